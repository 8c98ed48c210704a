/// The F# compiler behind `fs` in scripts.
namespace Tva.Scripting

open System
open System.Collections.Generic
open System.Threading
open FSharp.Compiler.Diagnostics
open FSharp.Compiler.Text
open Tva.Dsl.Typing
open Tva.Scripting.Layout

/// Pieces of one program. Not thread-safe.
type FSharpHost() =
    let pieces = List<Piece>()
    let interactive = lazy new Interactive([])
    let functions = Dictionary<struct (int * FSharpCode * bool list), FSharpFunction option * FSharpMistake list>(HashIdentity.Structural)

    let oneLine (message: string) = String.Join(" ", message.Split([| ' '; '\n'; '\r'; '\t' |], StringSplitOptions.RemoveEmptyEntries))

    let short (message: string) = if message.Length > 500 then message.Substring(0, 500) + "..." else message

    let mistake piece first last message help : FSharpMistake =
        { Piece = piece; Start = first; End = last; Message = message; Code = ""; Help = help; IsWarning = false }

    /// Findings worth telling, at their places; `find` tells where a line and column of the compiled text stands.
    let found (find: int -> int -> struct (int * int) voption) (diagnostics: FSharpDiagnostic list) : FSharpMistake list =
        [ for d in diagnostics do
              match d.Severity with
              | FSharpDiagnosticSeverity.Error
              | FSharpDiagnosticSeverity.Warning ->
                  match find d.StartLine d.StartColumn with
                  | ValueSome(struct (piece, first)) ->
                      let last =
                          match find d.EndLine d.EndColumn with
                          | ValueSome(struct (p, last)) when p = piece -> last
                          | _ -> first
                      { mistake piece first last (short (oneLine d.Message)) None with
                          Code = d.ErrorNumberText
                          IsWarning = (d.Severity = FSharpDiagnosticSeverity.Warning) }
                  | ValueNone -> ()
              | _ -> () ]
        // An operator between two types is blamed (FS0043), and so is the operand that does not fit (FS0001), which is meant.
        |> fun all -> all |> List.filter (fun m -> m.Code <> "FS0043" || not (all |> List.exists (fun n -> n.Code = "FS0001" && n.Message = m.Message)))
        |> List.map (fun m -> if m.Code = "FS0030" then { m with Code = ""; Message = Conversion.givesFunction; Help = Some Conversion.functionHelp } else m)

    /// Where a line and column of a piece compiled on its own stands.
    let alone (p: Piece) = fun line column -> ValueSome(struct (p.Number, offset p (line - 1) column))

    let fileOf (p: Piece) = if p.Number < 0 then "expression.fsx" else $"piece{p.Number}.fsx"

    /// An exception of the F#'s, at the line that it came from.
    let threw (asked: Piece) (e: exn) : FSharpMistake =
        let e = match e with :? Reflection.TargetInvocationException when not (isNull e.InnerException) -> Unchecked.nonNull e.InnerException | _ -> e
        let message = $"the F# threw {e.GetType().Name}: {short (oneLine e.Message)}"
        let place =
            interactive.Value.LineOf e
            |> Option.bind (fun (file, line) ->
                (asked :: List.ofSeq pieces) |> List.tryFind (fun p -> fileOf p = file && line <= p.Lines.Length) |> Option.map (fun p -> p, line - 1))
        match place with
        | Some(p, line) ->
            let blank = p.Lines[line].Length - p.Lines[line].TrimStart().Length
            // A text of one line is blamed from its first character to its last.
            mistake p.Number (offset p line blank) (offset p line p.Lines[line].Length) message None
        | None -> mistake asked.Number 0 asked.Source.Length message None

    let isError (m: FSharpMistake) = not m.IsWarning

    /// The pieces so far, and below them the function with its type.
    let compose (p: Piece) (annotation: string) =
        let text = Composed()
        text.Add "module TvaScript"
        text.Add "open System"
        for earlier in pieces do
            // In modules of their own, so that a later piece may give a name anew.
            text.Add "[<AutoOpen>]"
            text.Add $"module TvaPiece{earlier.Number} ="
            text.Add(earlier, 4)
            text.Add "    let private tvaEnd = ()"
        text.Add $"let tvaFunction{annotation} ="
        text.Add(p, 4)
        text

    let annotation (number: string) (parameters: bool list) =
        " : " + String.Join(" -> ", (parameters |> List.map (fun isTruth -> if isTruth then "bool" else number)) @ [ "_" ])

    let translate (p: Piece) (text: Composed) (result: Checking.Checked) (parameters: bool list) =
        let place (r: range) =
            match text.Find(r.StartLine, r.StartColumn), text.Find(r.EndLine, r.EndColumn) with
            | ValueSome(struct (a, first)), ValueSome(struct (b, last)) when a = p.Number && b = p.Number -> struct (first, last)
            | _ -> struct (0, 0)
        match result.Last with
        | None -> None, [ mistake p.Number 0 p.Source.Length "this is no F# function" None ]
        | Some(v, f) ->
            let warnings = found (fun l c -> text.Find(l, c)) result.Diagnostics
            try
                let steps, isTruth = Elementwise.Translator(result.Definitions, place).Function(f, v.DeclarationLocation, v, parameters)
                Some { Steps = steps; IsTruth = isTruth }, warnings
            with Elementwise.Refused(range, message, help) ->
                match text.Find(range.StartLine, range.StartColumn), text.Find(range.EndLine, range.EndColumn) with
                | ValueSome(struct (piece, first)), ValueSome(struct (other, last)) when piece = other -> None, warnings @ [ mistake piece first last message help ]
                | _ -> None, warnings @ [ mistake p.Number 0 p.Source.Length message help ]

    /// The function with its numbers as float32, else as float, else as it says itself; the first that the compiler takes.
    let functionOf (p: Piece) (parameters: bool list) =
        let attempts =
            [ annotation "float32" parameters
              annotation "float" parameters
              if p.Source.Contains ':' then "" ]
        let results =
            attempts
            |> Seq.map (fun a ->
                let text = compose p a
                let result = Checking.check (text.Text)
                text, result, found (fun l c -> text.Find(l, c)) result.Diagnostics |> List.filter isError)
            |> Seq.cache
        match results |> Seq.tryFind (fun (_, r, _) -> r.Diagnostics |> List.forall (fun d -> d.Severity <> FSharpDiagnosticSeverity.Error)) with
        | Some(text, result, _) -> translate p text result parameters
        | None ->
            // What is wrong is best told by the reading that comes closest.
            let _, result, errors = results |> Seq.minBy (fun (_, _, errors) -> if errors.IsEmpty then Int32.MaxValue else errors.Length)
            let errors =
                if not errors.IsEmpty then errors
                else
                    let first = result.Diagnostics |> List.find (fun d -> d.Severity = FSharpDiagnosticSeverity.Error)
                    [ { mistake p.Number 0 p.Source.Length (oneLine first.Message) None with Code = first.ErrorNumberText } ]
            None, errors |> List.distinctBy (fun m -> m.Piece, m.Start, m.Code)

    interface IFSharpHost with
        member _.Define(code, stop) =
            let p = piece pieces.Count code
            let answer = interactive.Value.Interaction(text p, fileOf p, stop)
            let mistakes = (found (alone p) answer.Diagnostics) @ (answer.Thrown |> Option.map (threw p) |> Option.toList)
            pieces.Add(if mistakes |> List.exists isError then { p with Lines = [||]; Starts = [||] } else p)
            mistakes |> List.map (fun m -> if m.Piece = p.Number then { m with Piece = -1 } else m)

        member _.Evaluate(code, stop) =
            let p = piece -1 code
            interactive.Value.Expression(text p, fileOf p, stop, fun answer ->
                let mistakes = found (alone p) answer.Diagnostics
                match answer.Value, answer.Thrown with
                | _, Some e -> None, mistakes @ [ threw p e ]
                | Some v, None ->
                    try
                        Some(Conversion.ofObject v.ReflectionValue), mistakes
                    with
                    | Conversion.NoCounterpart(message, help) -> None, mistakes @ [ mistake -1 0 p.Source.Length message help ]
                    | e -> None, mistakes @ [ threw p e ]
                | None, None ->
                    let silent = mistakes |> List.exists isError |> not
                    None, (if silent then mistakes @ [ mistake -1 0 p.Source.Length "this is no F# expression" (Some "definitions stand in `fs \"\"\"...\"\"\"` as a statement of its own") ] else mistakes))

        member _.Function(code, parameters, stop) =
            let key = struct (pieces.Count, code, parameters)
            match functions.TryGetValue key with
            | true, known -> known
            | _ ->
                // Nothing of the person's runs here, and the checker may end in the background what it has begun.
                let answer = Async.RunSynchronously(async { return functionOf (piece -1 code) parameters }, cancellationToken = stop)
                functions[key] <- answer
                answer

        member _.TakeOutput() = if interactive.IsValueCreated then interactive.Value.TakePrinted() else ""

    interface IDisposable with
        member _.Dispose() =
            if interactive.IsValueCreated then
                (interactive.Value :> IDisposable).Dispose()

module FSharpHosts =

    /// For `EvaluatorOptions.FSharp`.
    let create () : IFSharpHost = new FSharpHost()
