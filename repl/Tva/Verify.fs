/// From an output of an earlier run to whether it is what it says: its structure, its bytes, the inputs that it names; `--deep` computes
/// tensors anew and compares them.
module Tva.Verify

open System
open System.Collections.Generic
open System.IO
open System.Text.Json
open Tva.Core
open Tva.Core.Checkpoints
open Tva.Core.Tensors
open Tva.Dsl

/// How an input stands.
type private Standing =
    | Same
    | Changed
    | Missing

type private Findings =
    { Checkpoint: Checkpoint
      Content: VerifiedContent
      Inputs: (string * Standing) list
      /// Of what is left beside it by runs that were stopped.
      Leftovers: string list
      /// Tensors and bytes computed anew, and where they differ; or why that could not be done.
      Deep: Result<int * int64 * (string * int64) list, string> option }

    member f.Problems =
        [ for d in f.Content.Damages do
              match d.Tensor with
              | null -> $"{d.File}: {d.What}"
              | t -> $"{d.File}: tensor {t}: {d.What}"
          for path, standing in f.Inputs do
              if standing = Changed then
                  $"input {path} is no longer what it was made from; run its script again"
          match f.Deep with
          | Some(Ok(_, _, differences)) ->
              for tensor, at in differences do
                  $"tensor {tensor}: computed anew it differs from byte {at} of the tensor on"
          | Some(Result.Error reason) -> "it can't be computed anew: " + reason.ReplaceLineEndings "; "
          | None -> () ]

let private inputsOf (c: Checkpoint) =
    match c.Metadata.TryGetValue "tva.inputs" with
    | true, text ->
        try
            use json = JsonDocument.Parse text
            [ for p in json.RootElement.EnumerateObject() -> p.Name, string (p.Value.GetString()) ]
        with :? JsonException ->
            raise (FaultException $"{c.Path}: its header's tva.inputs is no JSON; the file is damaged")
    | _ -> []

/// The folder that the paths are relative to: the output's own or one above it, or the working folder, whichever has most of them.
let private folderOf (host: Host) (output: string) (inputs: (string * string) list) =
    let rec up (folder: string | null) = [ match folder with null -> () | f -> yield f; yield! up (Path.GetDirectoryName f) ]
    let has folder =
        inputs |> List.filter (fun (path, _) -> let full = Path.GetFullPath(path, folder) in File.Exists full || Directory.Exists full) |> List.length
    let candidates = up (if Directory.Exists output then output else Path.GetDirectoryName output) @ [ host.Folder ]
    let best = candidates |> List.maxBy has
    if has best > 0 then Some best else None

/// The text that makes the output again, with its types as they are.
let private text (c: Checkpoint) (expression: string) =
    let lines = expression.Split '\n'
    let floating = c.Tensors |> Seq.filter _.DType.IsFloating() |> List.ofSeq
    let name (d: DType) = d.Name().ToLowerInvariant()
    let quote (s: string) = "\"" + s.Replace("\\", "\\\\").Replace("\"", "\\\"") + "\""
    let dtype =
        match floating |> List.countBy _.DType |> List.sortByDescending snd with
        | [] -> ""
        | [ d, _ ] -> $", dtype = \"{name d}\""
        | (most, _) :: _ ->
            let others = [ for t in floating do if t.DType <> most then $"{quote t.Name}: \"{name t.DType}\"" ]
            $""", dtype = {{ {String.Join(", ", others)}, else: "{name most}" }}"""
    let before = lines[.. lines.Length - 2]
    String.Join("\n", Array.append before [| $"({Array.last lines}) |> save(\"memory:verify\"{dtype})" |])

/// Loads the inputs as the expression does; in a deep look also computes.
let private again (host: Host) (report: Report) (options: EvaluatorOptions) (c: Checkpoint) (inputs: (string * string) list) folder (expression: string) deep =
    let mutable writer: ComparingWriter option = None
    let target =
        OutputTarget(fun name tensors _ ->
            let w = new ComparingWriter(name, tensors, c, (if deep then max (64L <<< 20) ((c.Tensors |> Seq.sumBy _.Bytes) / 8L) else 0L))
            writer <- Some w
            w)
    use evaluator = new Evaluator({ options with Outputs = Some target; Run = { options.Run with Resume = false; Incremental = false } })
    evaluator.Watch((fun e -> report.Event e), host.Cancel)
    let isWhole = match c.Metadata.TryGetValue "tva.kind" with | true, ("atoms" | "lora") -> false | _ -> true
    let errors = evaluator.Check("<tva.expression>", folder, (if isWhole then text c expression else expression)) |> List.filter (fun d -> d.Severity = Severity.Error)
    let now = evaluator.Inputs
    let standing (path: string, fingerprint: string) =
        match now.TryGetValue path with
        | true, found -> path, (if found = fingerprint then Same else Changed)
        | _ ->
            let full = Path.GetFullPath(path, folder)
            // It is there, but the expression no longer takes it.
            path, (if File.Exists full || Directory.Exists full then Changed else Missing)
    let inputs = inputs |> List.map standing
    let found =
        if not deep then None
        elif not isWhole then Some(Result.Error "a basis and a low-rank adapter are not computed anew; compare with what the script makes")
        elif not errors.IsEmpty then Some(Result.Error(errors |> List.map _.Message |> Suggest.listing))
        elif inputs |> List.exists (fun (_, s) -> s <> Same) then Some(Result.Error "its inputs are not what they were")
        else
            // Nothing is saved, whatever the events say.
            let hear e = match e with Event.Warned _ | Event.Started _ | Event.Progressed _ -> report.Event e | _ -> ()
            match evaluator.Run((fun e -> hear e), host.Cancel), writer with
            | Outcome.Completed, Some w -> Some(Ok(w.Sampled, w.Compared, [ for struct (tensor, at) in w.Differences -> tensor, at ]))
            | _ -> Some(Result.Error "its expression writes nothing")
    inputs, found

let private leftovers (path: string) =
    let path = Path.TrimEndingDirectorySeparator path
    [ for suffix in [ ".partial"; ".old.partial"; ".journal.partial" ] do
          if File.Exists(path + suffix) || Directory.Exists(path + suffix) then path + suffix ]

let private plural n what = if n = 1 then $"1 {what}" else $"{n} {what}s"

let private show (f: Findings) =
    let c = f.Content
    let bytes = f.Checkpoint.Tensors |> Seq.sumBy _.Bytes
    String.Join("\n", [
        $"""structure: {plural f.Checkpoint.Files.Count "file"}, {plural c.Tensors "tensor"}, {Sizes.Text bytes}"""
        if c.Recorded = 0 then "contents: nothing is recorded of the tensors, so their bytes can't be checked"
        else
            let wrong = c.Damages |> Seq.filter (fun d -> not (isNull d.Tensor)) |> Seq.length
            $"""contents: {c.Recorded - wrong} of {plural c.Recorded "tensor"} are as they were written"""
        if f.Inputs.IsEmpty then "inputs: none are named"
        else
            for path, standing in f.Inputs do
                let what = match standing with Same -> "as it was" | Changed -> "has changed" | Missing -> "is not to be found"
                $"input: {Format.printable path}: {what}"
        match f.Deep with
        | Some(Ok(tensors, bytes, [])) -> $"""computed anew: {plural tensors "tensor"}, {Sizes.Text bytes}, the same to the bit"""
        | _ -> ()
        for path in f.Leftovers do
            $"left by a run that was stopped: {Format.printable path} (`--resume` goes on with it)"
        for problem in f.Problems do
            $"wrong: {Format.printable problem}"
        if f.Problems.IsEmpty then "ok" ])

let private json (f: Findings) =
    Json.line (fun json ->
        json.WriteString("path", f.Checkpoint.Path)
        json.WriteNumber("files", f.Checkpoint.Files.Count)
        json.WriteNumber("tensors", f.Content.Tensors)
        json.WriteNumber("recorded", f.Content.Recorded)
        json.WriteStartObject "inputs"
        for path, standing in f.Inputs do
            json.WriteString(path, (match standing with Same -> "same" | Changed -> "changed" | Missing -> "missing"))
        json.WriteEndObject()
        match f.Deep with
        | Some(Ok(tensors, bytes, _)) ->
            json.WriteStartObject "deep"
            json.WriteNumber("tensors", tensors)
            json.WriteNumber("bytes", bytes)
            json.WriteEndObject()
        | _ -> ()
        let list (name: string) (items: string list) =
            json.WriteStartArray name
            for item in items do
                json.WriteStringValue(item: string)
            json.WriteEndArray()
        list "leftovers" f.Leftovers
        list "problems" f.Problems)

/// Prints how the output stands; faults of structure are exceptions.
let run (host: Host) (report: Report) (options: EvaluatorOptions) (path: string) (deep: bool) =
    let full = host.Full path
    use checkpoint = Checkpoint.Open full
    let content = Verification.Content(checkpoint, options.Run.Threads, host.Cancel)
    let inputs = inputsOf checkpoint
    let folder = folderOf host full inputs
    let inputs, found =
        match folder, checkpoint.Metadata.TryGetValue "tva.expression" with
        | Some folder, (true, expression) ->
            again host report options checkpoint inputs folder expression deep
        | _ ->
            (inputs |> List.map (fun (path, _) -> path, Missing)), (if deep then Some(Result.Error "its inputs are not to be found, or it names none") else None)
    let findings =
        { Checkpoint = checkpoint; Content = content; Inputs = inputs; Leftovers = leftovers full; Deep = found }
    report.Result(if report.Json then json findings else show findings)
    if findings.Problems.IsEmpty then Exit.Done else Exit.Fault
