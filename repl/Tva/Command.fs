/// From the words of a command line to an exit status, over given streams.
module Tva.Command

open System
open System.Reflection
open Tva.Arguments
open Tva.Dsl

let private version =
    lazy
        (let a = Assembly.GetExecutingAssembly().GetCustomAttribute<AssemblyInformationalVersionAttribute>()
         (Unchecked.nonNull a).InformationalVersion)

let private optionsOf (request: Request) =
    let defaults = RunSettings.Default
    { EvaluatorOptions.Default with
        Permissions = request.Permissions
        Settings = request.Settings
        // Named inside the function only, so that the F# compiler is loaded when a text holds F# and not before.
        FSharp = Some(fun () -> Tva.Scripting.FSharpHosts.create ())
        Run =
            { Memory = defaultArg request.Memory defaults.Memory
              Threads = defaultArg request.Threads defaults.Threads
              Strict = request.Strict
              Cache = not request.NoCache
              Resume = request.Resume
              Incremental = request.Incremental
              Device = defaultArg request.Device defaults.Device
              DeviceMemory = request.DeviceMemory } }

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
        if not errors.IsEmpty && errors |> List.forall FileDiagnostics.isFault then Exit.Fault else Exit.Wrong
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
    let read path = if path = "-" then Script.ofInput host else Script.ofFile host path
    let script deed path = evaluate host report request deed (read path)
    let run = if request.DryRun then Plan else Run
    match request.Task with
    | Task.Help ->
        report.Result(Usage.help ())
        Exit.Done
    | Task.Version ->
        report.Result $"tva {version.Value}"
        Exit.Done
    | Task.Prompt ->
        match host.Prompt with
        | Some console -> Prompt.Loop.run host console (optionsOf request) version.Value
        | None ->
            // Not a terminal: a script comes from there, or nobody knew what to ask for.
            let input = Script.ofInput host
            if String.IsNullOrWhiteSpace input.Text then
                host.Say(Usage.help ())
                Exit.Wrong
            else
                evaluate host report request run input
    | Task.Run path -> script run path
    | Task.Check path -> script Check path
    | Task.Plan path -> script Plan path
    | Task.Eval text -> evaluate host report request run { Name = "<eval>"; Folder = host.Folder; Text = text }
    | Task.Inspect path -> Inspect.run host report (optionsOf request) path request.Norms
    | Task.Verify path -> Verify.run host report (optionsOf request) path request.Deep
    | Task.Ops name -> Ops.run report "tva ops NAME" name
    | Task.Devices -> Devices.run report
    | Task.Lsp -> Lsp.Server.run (optionsOf request) host.Folder version.Value host.Input host.Cancel
    | Task.Import config -> Import.Command.run host report config request.Out request.Force request.Strict

/// Does what the words say and returns the exit status; throws nothing.
let main (host: Host) (argv: string[]) : int =
    Tva.Core.Wording.Current <- Tva.Core.Wording.Switches
    let sensible (request: Request) =
        match request.Device |> Option.bind Devices.mistake with
        | Some message -> Result.Error message
        | None -> Ok request
    match parse argv |> Result.bind sensible with
    | Result.Error message ->
        host.Say $"tva: {message}"
        Exit.Wrong
    | Ok request ->
        let report = Report(host, request.Json, request.JsonDocument, request.Resume)
        let status =
            try
                perform host report request
            with e ->
                match Cause.fault e with
                | _ when Cause.isCancelled e ->
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
        with :? Tva.Core.FaultException as e ->
            host.Say $"tva: {e.Message}"
            Exit.Fault
