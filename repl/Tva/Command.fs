/// From the words of a command line to an exit status, over given streams.
module Tva.Command

open System
open System.IO
open System.Reflection
open System.Text
open Tva.Arguments
open Tva.Core
open Tva.Dsl

let private version =
    lazy
        (let a = Assembly.GetExecutingAssembly().GetCustomAttribute<AssemblyInformationalVersionAttribute>()
         (Unchecked.nonNull a).InformationalVersion)

/// A text with how diagnostics call it and what its paths are relative to.
type private Script = { Name: string; Folder: string; Text: string }

let private strictUtf8 = UTF8Encoding(false, true)

/// The script that is nearest to a missing one.
let private nearScript (full: string) =
    let folder = Path.GetDirectoryName full |> Option.ofObj |> Option.defaultValue "."
    if Directory.Exists folder then
        let names = Directory.EnumerateFiles(folder, "*.tva") |> Seq.map (fun f -> Path.GetFileName f |> Unchecked.nonNull)
        match Suggest.nearest (Path.GetFileName full |> Unchecked.nonNull) names with
        | Some near -> $"; did you mean {near}?"
        | None -> ""
    else
        $", nor does the folder {folder}"

let private read (host: Host) (path: string) =
    if path = "-" then
        { Name = "<stdin>"; Folder = host.Folder; Text = host.In.ReadToEnd() }
    else
        let full = host.Full path
        if Directory.Exists full then
            raise (FaultException $"{path}: is a folder, not a script; tva inspect lists a checkpoint's tensors")
        if not (File.Exists full) then
            raise (FaultException $"{path}: doesn't exist{nearScript full}")
        try
            // A checkpoint given by mistake is told from its size and first bytes, before it is read whole.
            use file = File.OpenRead full
            if file.Length > (64L <<< 20) then
                raise (FaultException $"{path}: is no script, it has {Format.bytes (float file.Length)}; is it a checkpoint? tva inspect {path} lists it")
            use reader = new StreamReader(file, strictUtf8)
            { Name = path
              Folder = Path.GetDirectoryName full |> Unchecked.nonNull
              Text = reader.ReadToEnd() }
        with
        | :? DecoderFallbackException -> raise (FaultException $"{path}: is no UTF-8 text; scripts are; tva inspect lists a checkpoint's tensors")
        | :? UnauthorizedAccessException
        | :? IOException as e -> raise (FaultException($"{path}: can't be read: {e.Message}", e))

let private optionsOf (request: Request) =
    let defaults = RunSettings.Default
    { EvaluatorOptions.Default with
        Permissions = request.Permissions
        Settings = request.Settings
        Run =
            { Memory = defaultArg request.Memory defaults.Memory
              Threads = defaultArg request.Threads defaults.Threads
              Strict = request.Strict
              Cache = not request.NoCache } }

/// What is done with a text that has no mistakes.
type private Deed =
    | Check
    | Plan
    | Run

let private evaluate (host: Host) (report: Report) (request: Request) (deed: Deed) (script: Script) =
    use evaluator = new Evaluator(optionsOf request)
    evaluator.Watch((fun e -> report.Event e), host.Cancel)
    let found = evaluator.Check(script.Name, script.Folder, script.Text)
    if not (report.Findings(evaluator.Texts, found, request.Strict)) then
        // Where nothing is wrong but files, it is the files' fault, not the text's.
        let errors = found |> List.filter (fun d -> d.Severity = Severity.Error)
        if not errors.IsEmpty && errors |> List.forall Diagnostics.isFault then Exit.Fault else Exit.Wrong
    else
        match deed with
        | Check ->
            if not report.Json then
                host.Say $"{script.Name}: ok"
            Exit.Done
        | Plan ->
            report.Result(if report.Json then evaluator.ExplainJson() else evaluator.Explain())
            Exit.Done
        | Run ->
            match evaluator.Run((fun e -> report.Event e), host.Cancel) with
            | Outcome.Completed ->
                report.End()
                Exit.Done
            | Outcome.AssertionFailed message ->
                report.AssertionFailed message
                Exit.AssertionFailed

let private perform (host: Host) (report: Report) (request: Request) =
    let script deed path = evaluate host report request deed (read host path)
    let run = if request.DryRun then Plan else Run
    match request.Task with
    | Task.Help ->
        report.Result(help ())
        Exit.Done
    | Task.Version ->
        report.Result $"tva {version.Value}"
        Exit.Done
    | Task.Prompt ->
        host.Say(help ())
        Exit.Wrong
    | Task.Run path -> script run path
    | Task.Check path -> script Check path
    | Task.Plan path -> script Plan path
    | Task.Eval text -> evaluate host report request run { Name = "<eval>"; Folder = host.Folder; Text = text }
    | Task.Inspect path -> Inspect.run host report (optionsOf request) path request.Norms
    | Task.Ops name -> Ops.run report name
    | Task.Lsp -> Lsp.Server.run (optionsOf request) host.Folder version.Value host.Cancel
    | Task.Import config -> Import.Command.run host report config request.Out request.Force request.Strict

let rec private isCancelled (e: exn) =
    match e with
    | :? OperationCanceledException -> true
    | :? AggregateException as a -> a.InnerExceptions |> Seq.exists isCancelled
    | _ -> false

let rec private fault (e: exn) =
    match e with
    | :? FaultException as f -> Some f.Message
    | :? AggregateException as a -> a.InnerExceptions |> Seq.tryPick fault
    | _ -> None

/// Does what the words say and returns the exit status; throws nothing.
let main (host: Host) (argv: string[]) : int =
    match parse argv with
    | Result.Error message ->
        host.Say $"tva: {message}"
        Exit.Wrong
    | Ok request ->
        let report = Report(host, request.Json, request.JsonDocument)
        let status =
            try
                perform host report request
            with e ->
                match fault e with
                | _ when isCancelled e ->
                    report.Cancelled()
                    Exit.Cancelled
                | Some message ->
                    report.Fault message
                    Exit.Fault
                | None ->
                    report.Internal e
                    Exit.Internal
        try
            report.Close status
            status
        with :? FaultException as e ->
            host.Say $"tva: {e.Message}"
            Exit.Fault
