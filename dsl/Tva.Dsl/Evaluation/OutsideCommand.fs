/// Runs a measuring command on a checkpoint: the command's text and a path go in, the JSON object of numbers it prints comes out.
module Tva.Dsl.OutsideCommand

open System
open System.Diagnostics
open System.IO
open System.Text.Json
open System.Threading
open Tva.Core

let private quoted (path: string) =
    if OperatingSystem.IsWindows() then $"\"{path}\"" else "'" + path.Replace("'", "'\\''") + "'"

let private tail (text: string) = if text.Length > 300 then "..." + text.Substring(text.Length - 300) else text

/// The numbers of the object, in its order; those of a list have its name with their place, as in `digits[3]`, lists in lists `digits[3][0]`.
let parse (command: string) (output: string) =
    let fail what = raise (FaultException $"`{command}` should print one JSON object of numbers on its standard output: {what}")
    if String.IsNullOrWhiteSpace output then fail "it printed nothing"
    let document =
        try
            JsonDocument.Parse(output, JsonDocumentOptions(AllowTrailingCommas = true))
        with :? JsonException ->
            fail $"logs belong on its standard error; it printed: {tail (output.Trim())}"
    use document = document
    if document.RootElement.ValueKind <> JsonValueKind.Object then fail $"it printed {tail (output.Trim())}"
    let rec numbers (name: string) (value: JsonElement) : (string * float) list =
        match value.ValueKind with
        | JsonValueKind.Number -> [ name, value.GetDouble() ]
        | JsonValueKind.True -> [ name, 1.0 ]
        | JsonValueKind.False -> [ name, 0.0 ]
        | JsonValueKind.Array -> [ for i, item in Seq.indexed (value.EnumerateArray()) do yield! numbers $"{name}[{i}]" item ]
        | _ -> fail $"`{name}` is {value.GetRawText() |> tail}"
    [ for p in document.RootElement.EnumerateObject() do
          yield! numbers p.Name p.Value ]

/// Whether the command takes all models at once.
let takesAll (command: string) = command.Contains "{models}"

/// What the command prints, started in the shell with `folder` as its working folder. Its standard error goes through to ours.
let private start (command: string) (text: string) (folder: string) (cancellation: CancellationToken) =
    let start =
        if OperatingSystem.IsWindows() then ProcessStartInfo("cmd.exe", $"/d /s /c \"{text}\"")
        else
            let s = ProcessStartInfo "/bin/sh"
            s.ArgumentList.Add "-c"
            s.ArgumentList.Add text
            s
    start.WorkingDirectory <- folder
    start.RedirectStandardOutput <- true
    start.RedirectStandardInput <- true
    start.UseShellExecute <- false
    use p = new Process(StartInfo = start)
    try
        p.Start() |> ignore
    with e ->
        raise (FaultException($"can't start `{command}`: {e.Message}", e))
    p.StandardInput.Close()
    use _ =
        cancellation.Register(fun () ->
            try
                p.Kill true
            with :? InvalidOperationException -> ())
    let output = p.StandardOutput.ReadToEnd()
    p.WaitForExit()
    cancellation.ThrowIfCancellationRequested()
    if p.ExitCode <> 0 then
        let printed = if String.IsNullOrWhiteSpace output then "" else $"\n  it printed: {tail (output.Trim())}"
        raise (FaultException $"`{command}` ended with status {p.ExitCode}; run it by hand on a saved model to see why{printed}")
    output

/// One object for each model: `{model}` stands for a checkpoint's path, and the command is started for each; `{models}` for all of them, and it
/// prints one object a line, in their order.
let run (command: string) (folder: string) (models: string list) (cancellation: CancellationToken) : (string * float) list list =
    if takesAll command then
        let text = command.Replace("{models}", String.Join(" ", models |> List.map quoted))
        let lines = (start command text folder cancellation).Split('\n', StringSplitOptions.RemoveEmptyEntries ||| StringSplitOptions.TrimEntries)
        if lines.Length <> models.Length then
            raise (FaultException $"`{command}` should print one JSON object a line for each of {models.Length} models, and printed {lines.Length} lines")
        lines |> List.ofArray |> List.map (parse command)
    else
        models |> List.map (fun m -> parse command (start command (command.Replace("{model}", quoted m)) folder cancellation))
