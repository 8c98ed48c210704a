/// The prompt's other language: texts of F# are done in sight of the session's names, and what they give is shown as TVA's results are.
/// Nothing of the F# compiler is loaded before the first of these is made.
namespace Tva.Prompt

open System
open System.IO
open System.Text
open System.Threading.Tasks
open Tva
open Tva.Dsl
open Tva.Dsl.Services
open Tva.Scripting

/// Hands what F# prints on as it comes.
type private Printed(report: Report) =
    inherit TextWriter()
    override _.Encoding = Encoding.UTF8
    override _.Write(c: char) = report.Printed(string c)
    override _.Write(text: string | null) = match text with null -> () | t -> report.Printed t
    override _.Write(buffer: char[], index: int, count: int) = report.Printed(String(buffer, index, count))

type FSharpPrompt(session: Tva.Prompt.Session) =
    let host = session.Host
    let fsharp = lazy (new FSharpSession(session.Evaluator, host.Folder))
    /// Keys are the prompt's: F# that reads the console finds its end.
    let ready =
        lazy
            (Console.SetIn TextReader.Null
             Task.Run(fun () -> fsharp.Value.Prepare()))

    /// Offsets of a line and column, from 1, of a text.
    let offset (text: string) line column =
        let mutable at = 0
        for _ in 2..line do
            at <- (match text.IndexOf('\n', at) with -1 -> text.Length | i -> i + 1)
        min text.Length (at + column - 1)

    let source (text: string) : SourceText = { Number = 0; Name = "<F#>"; Folder = host.Folder; Text = text }

    let diagnostic code isError message help first last : Diagnostic =
        { Code = code
          Severity = (if isError then Severity.Error else Severity.Warning)
          Span = { Source = 0; Start = first; End = max (first + 1) last }
          Message = message
          Help = help }

    let findings (report: Report) (text: string) (found: FSharpFinding list) =
        let here, elsewhere = found |> List.partition (fun f -> f.File = "")
        for f in elsewhere do
            report.Fault $"{f.File}:{f.Line}:{f.Column}: {f.Code}: {f.Message}"
        let told = [ for f in here -> diagnostic f.Code f.IsError f.Message None (offset text f.Line f.Column) (offset text f.EndLine f.EndColumn) ]
        report.Findings([ source text ], told, false) |> ignore

    /// An exception at the line that it came from.
    let thrown (report: Report) (text: string) (e: exn) (at: (string * int) option) =
        let text, line =
            match at |> Option.bind (fun (name, line) -> fsharp.Value.Input name |> Option.map (fun t -> t, line)) with
            | Some place -> place
            | None -> text, 1
        let first = offset text line 1
        let last = match text.IndexOf('\n', first) with -1 -> text.Length | i -> i
        let first = first + (text.Substring(first, last - first).Length - text.Substring(first, last - first).TrimStart().Length)
        let tell code message help = report.Findings([ source text ], [ diagnostic code true message help first last ], false) |> ignore
        match e with
        | :? TvaException as e when not e.Diagnostics.IsEmpty ->
            for d in e.Diagnostics do
                let said = if e.Operation = "" then None else Some $"the operation is `{e.Operation}`"
                tell d.Code d.Message (match d.Help, said with Some a, Some b -> Some $"{a}\n{b}" | a, b -> a |> Option.orElse b)
        | :? TvaException as e -> tell "TVA0351" e.Message None
        | e ->
            match Cause.fault e with
            | Some message -> report.Fault message
            | None -> tell "TVA0351" $"the F# threw {e.GetType().Name}: {e.Message}" None

    /// Loads F# on the side.
    member _.Prepare() =
        if not ready.IsValueCreated then
            ready.Force() |> ignore

    interface IFSharpPrompt with
        member this.Prepare() = this.Prepare()

        member _.Renamed = fsharp.Value.Renamed

        member _.Complete(text, at) =
            let mutable first = at
            while first > 0 && (Char.IsLetterOrDigit text[first - 1] || text[first - 1] = '_' || text[first - 1] = '.' || text[first - 1] = '\'') do
                first <- first - 1
            let written = text.Substring(first, at - first)
            let start = first + written.LastIndexOf '.' + 1
            let names = if written = "" || not (ready.IsValueCreated && ready.Value.IsCompletedSuccessfully) then [] else fsharp.Value.Complete written
            let fits = names |> List.filter (fun n -> n.StartsWith(written.Substring(start - first), StringComparison.Ordinal)) |> List.sort
            { Start = start; End = at; Candidates = [ for n in fits -> { Text = n; Kind = CandidateKind.Name; Detail = "" } ] }

        member this.Run(text) =
            let value, ended =
                let mutable value = None
                let ended =
                    session.Guard(fun report cancel ->
                        this.Prepare()
                        ready.Value.Wait cancel
                        let f = fsharp.Value
                        use printed = new Printed(report)
                        f.Output <- printed
                        f.Session.OnEvent <- Action<Event>(fun e -> match e with Event.Shown _ -> () | e -> report.Event e)
                        try
                            let o = f.Eval(text, cancel)
                            match o.Output.Trim '\n' with
                            | "" -> ()
                            | said -> report.Result said
                            findings report text o.Findings
                            o.Thrown |> Option.iter (fun e -> thrown report text e o.ThrownAt)
                            for note in o.Notes do
                                report.Event(Event.Noted note)
                            value <- o.Value |> Option.map _.Text
                            if o.Succeeded then Ended.Done else Ended.Wrong
                        finally
                            if f.HasLostNames then
                                host.Say "tva: that F# could not be ended and goes on by itself; F# begins anew, and what TVA has of its names stays")
                value, ended
            // Shown as if it had been typed in TVA, and kept in `it`.
            match value, ended with
            | Some text, Ended.Done -> session.Run("<F#>", host.Folder, text, fun _ _ -> ()) |> ignore
            | _ -> ()

    interface IDisposable with
        member _.Dispose() =
            if fsharp.IsValueCreated then
                (fsharp.Value :> IDisposable).Dispose()
