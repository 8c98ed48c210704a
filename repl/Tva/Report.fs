/// From a run's events, findings and failures to the streams: results on stdout, everything else on stderr; all of it on stdout as JSON,
/// an object a line or one document at the end.
namespace Tva

open System
open System.Diagnostics
open System.IO
open Tva.Dsl

/// What an exception is: a file's fault, the wish to stop, or a mistake of ours.
module Cause =

    let rec isCancelled (e: exn) =
        match e with
        | :? OperationCanceledException -> true
        | :? AggregateException as a -> a.InnerExceptions |> Seq.exists isCancelled
        | _ -> false

    let rec fault (e: exn) =
        match e with
        | :? Tva.Core.FaultException as f -> Some f.Message
        | :? AggregateException as a -> a.InnerExceptions |> Seq.tryPick fault
        // A part of .NET, by its assembly's full name.
        | :? FileNotFoundException as f when (string f.FileName).Contains ", Culture=" ->
            Some $"can't load {string f.FileName}: is the installation whole, and are not too many files open (`ulimit -n`)?"
        | :? UnauthorizedAccessException
        | :? IOException -> Some $"a file or folder can't be used: {e.Message}"
        | _ -> None

type Report(host: Host, asJson: bool, ?asDocument: bool, ?resume: bool) =
    let document = if defaultArg asDocument false then Some(JsonDocument()) else None
    let watch = Stopwatch.StartNew()
    let progress = Progress(host, fun () -> watch.Elapsed)
    let gate = obj ()

    /// So many findings are shown; a file that is no script has one for every byte.
    let most = 100
    let mutable saved = false

    let result (text: string) =
        lock gate (fun () ->
            try
                host.Out.Write text
                host.Out.Flush()
            with
            | :? IOException
            | :? UnauthorizedAccessException as e ->
                // A disk that is full, a stream that was closed: not ours, and what is buffered must not be tried again at the end.
                raise (Tva.Core.FaultException($"can't write to the standard output: {e.Message}", e)))

    let json (part: JsonPart) (line: string) =
        match document with
        | Some d -> lock gate (fun () -> d.Add(part, line))
        | None -> result (line + "\n")

    let say (line: string) =
        progress.Clear()
        host.Say line

    /// As the user would find it from the working folder.
    let near (path: string) =
        let relative = Path.GetRelativePath(host.Folder, path)
        if relative.StartsWith ".." || Path.IsPathRooted relative then path else relative

    let yellow (text: string) = if host.Color then $"\u001b[1;33m{text}\u001b[0m" else text
    let red (text: string) = if host.Color then $"\u001b[1;31m{text}\u001b[0m" else text

    member _.Json = asJson

    /// Text for stdout, as it is.
    member _.Result(text: string) =
        progress.Clear()
        match document with
        | Some _ -> json JsonPart.Result text
        | None -> result (if text.EndsWith '\n' then text else text + "\n")

    /// What a program prints while it runs, as it comes.
    member _.Printed(text: string) =
        progress.Clear()
        result text

    member _.Event(e: Event) =
        saved <- saved || e.IsSaved
        if asJson then
            let part =
                match e with
                | Event.Shown _ -> JsonPart.Result
                | Event.Saved _
                | Event.Truncated _ -> JsonPart.File
                | Event.Warned _
                | Event.Noted _ -> JsonPart.Message
                | _ -> JsonPart.Course
            Json.event e |> Option.iter (json part)
        else
            match e with
            | Event.Shown(_, items) ->
                progress.Clear()
                result (Format.items items)
            | Event.Truncated(_, modules) -> say (Format.truncated modules)
            | Event.Noted message -> say (Format.printable message)
            | Event.Warned message -> say $"""{yellow "warning:"} {Format.printable message}"""
            | Event.Started what -> progress.Started what
            | Event.Progressed p -> progress.Progressed p
            | Event.Saved(path, bytes) -> progress.Saved(near path, bytes)
            | Event.Finished(read, written, elapsed) -> progress.Finished(read, written, elapsed)

    /// What was found in texts; true where nothing is an error, with `strict` not even a warning.
    member _.Findings(texts: SourceText list, found: Diagnostic list, strict: bool) =
        let found =
            if strict then found |> List.map (fun d -> { d with Severity = Severity.Error }) else found
        if not found.IsEmpty then
            if asJson then
                for d in found do
                    json JsonPart.Diagnostic (Json.diagnostic texts d)
            else
                progress.Clear()
                host.Error.Write(Render.diagnostics texts host.Color (List.truncate most found))
                if found.Length > most then
                    host.Error.WriteLine $"... and {found.Length - most} more"
                host.Error.Flush()
        found |> List.forall (fun d -> d.Severity <> Severity.Error)

    member _.Fault(message: string) = if asJson then json JsonPart.Failure (Json.message "fault" message) else say $"""{red "tva:"} {message}"""

    member _.AssertionFailed(message: string) =
        if asJson then json JsonPart.Failure (Json.message "assert" message)
        else say $"""{red "assertion failed:"} {message}"""

    member _.Cancelled() =
        let message = if saved then "cancelled: what has been saved so far stays, nothing else was" else "cancelled: nothing was saved"
        let message = if defaultArg resume false then message + "; `--resume` goes on from what is done" else message
        if asJson then json JsonPart.Failure (Json.message "cancelled" message) else say $"tva: {message}"

    member _.Internal(e: exn) =
        let message = $"internal error: {e.GetType().Name}: {e.Message}"
        if asJson then json JsonPart.Failure (Json.message "internal" message)
        else say $"""{red "tva:"} {message}{"\n"}this is a mistake in tva, not in your text; please report it with the text and the lines below{"\n"}{e}"""

    /// The end of a run: nothing more is coming.
    member _.End() = progress.Clear()

    /// The end of the command: the document, where one is wanted.
    member _.Close(status: int) = document |> Option.iter (fun d -> result (d.Text status + "\n"))
