/// F# Interactive in this process: pieces go in; values, output and diagnostics come out. References are the runtime's own assemblies,
/// so that no SDK is asked for.
namespace Tva.Scripting

open System
open System.Collections.Generic
open System.Diagnostics
open System.IO
open System.Threading
open FSharp.Compiler.Diagnostics
open FSharp.Compiler.Interactive.Shell
open FSharp.Compiler.Text

/// What became of a text.
type Answer =
    { Value: FsiValue option
      /// What the F# threw.
      Thrown: exn option
      Diagnostics: FSharpDiagnostic list }

type Interactive(references: string list) =
    /// As much as anybody reads.
    let printed = new Printing.Keeper(1_000_000, ignore)
    /// F# Interactive speaks when what it ran has ended.
    let echoed = new Printing.Keeper(1_000_000, Running.ends)
    let mutable abandoned = false
    let mutable output: TextWriter | null = null

    let create () =
        let arguments =
            [ "fsi.exe"; "--noninteractive"; "--nologo"; "--gui-"; "--usesdkrefs-"; "--readline-"; "--crossoptimize-" ]
            @ (references |> List.map (fun r -> "-r:" + r))
        let configuration = FsiEvaluationSession.GetDefaultConfiguration()
        let session =
            FsiEvaluationSession.Create(configuration, Array.ofList arguments, TextReader.Null, echoed, TextWriter.Null, collectible = false)
        Running.aside (fun () -> session.EvalInteractionNonThrowing "open System") |> ignore
        Running.aside (fun () -> session.AddBoundValue(Stopping.Name, Action Running.check))
        echoed.Take() |> ignore
        session

    let mutable session = lazy create ()

    let answer (outcome: Choice<FsiValue option, exn>, diagnostics: FSharpDiagnostic[]) =
        let value, thrown =
            match outcome with
            | Choice1Of2 v -> v, None
            | Choice2Of2(:? FsiCompilationException) -> None, None
            | Choice2Of2 e -> None, Some e
        // Behind what is wrong, F# Interactive says once more that something is.
        { Value = value; Thrown = thrown; Diagnostics = diagnostics |> Array.filter (fun d -> d.Message <> "parse error") |> List.ofArray }

    /// For each text, as diagnostics and stack traces call it, which of its lines those of the compiled one are.
    let lines = Dictionary<string, int[]>()

    let lineOf (file: string) (line: int) =
        match lines.TryGetValue file with
        | true, known when line >= 1 && line <= known.Length -> known[line - 1]
        | _ -> line

    /// At the place of the text that was given.
    let placed (file: string) (d: FSharpDiagnostic) =
        if Path.GetFileName d.FileName <> file then d
        else
            let at line column = Position.mkPos (lineOf file line) column
            let range = Range.mkRange d.FileName (at d.StartLine d.StartColumn) (at d.EndLine d.EndColumn)
            FSharpDiagnostic.Create(d.Severity, d.Message, d.ErrorNumber, range, d.ErrorNumberPrefix, d.Subcategory)

    /// Evaluates a text as one that asks whether it is to stop, or as it is where the compiler doesn't take that.
    let evaluate (s: FsiEvaluationSession) (text: string) (file: string) (how: string -> Answer) =
        let attempt (t: Stopping.Asking) =
            lines[file] <- t.Lines
            let found = how t.Text
            { found with Diagnostics = found.Diagnostics |> List.map (placed file) }
        let isWrong (found: Answer) = found.Diagnostics |> List.exists (fun d -> d.Severity = FSharpDiagnosticSeverity.Error)
        let asking boxed = Stopping.asking s.InteractiveChecker text file boxed
        let asItIs () =
            Running.check ()
            attempt (Stopping.asItIs text)
        Running.compiles ()
        let found = attempt (asking false)
        if not (isWrong found) || Running.hasBegun () then found
        elif found.Diagnostics |> List.exists (fun d -> d.ErrorNumberText = "FS0030") then
            // A value of all types has none.
            let boxed = attempt (asking true)
            if isWrong boxed && not (Running.hasBegun ()) then asItIs () else boxed
        else asItIs ()

    /// Runs what may be stopped; F# that can't be ended takes the session with it.
    member private _.Run(stop: CancellationToken, work: FsiEvaluationSession -> 'a) : 'a =
        if abandoned then
            session <- lazy create ()
            abandoned <- false
        Running.run stop (fun () -> abandoned <- true) (fun () ->
            let writer: TextWriter = match output with null -> printed | w -> w
            Printing.into writer (fun () -> work session.Value))

    /// Evaluates an expression and goes on with its value, both under `stop`. `file` is how diagnostics and stack traces call the text.
    member this.Expression(text: string, file: string, stop: CancellationToken, goOn: Answer -> 'a) : 'a =
        this.Run(stop, fun s ->
            let found = evaluate s text file (fun t -> answer (s.EvalExpressionNonThrowing(t, file)))
            // A sequence runs when it is looked at.
            Running.begins ()
            goOn found)

    /// Takes declarations, or what else one may type.
    member this.Interaction(text: string, file: string, stop: CancellationToken) : Answer =
        this.Run(stop, fun s -> evaluate s text file (fun t -> answer (s.EvalInteractionNonThrowing(t, file, CancellationToken.None))))

    /// Gives a value a name.
    member this.Bind(name: string, value: obj) =
        this.Run(CancellationToken.None, fun s -> s.AddBoundValue(name, value))

    /// What stands under each name that was given or defined, as it is now.
    member _.Values() : (string * objnull) list =
        if abandoned || not session.IsValueCreated then []
        else [ for v in session.Value.GetBoundValues() do if v.Name <> Stopping.Name then v.Name, v.Value.ReflectionValue ]

    /// Names that go on a beginning: `List.ma`.
    member _.Complete(beginning: string) : string list =
        if abandoned || not session.IsValueCreated then []
        else session.Value.GetCompletions beginning |> Seq.distinct |> Seq.filter ((<>) Stopping.Name) |> List.ofSeq

    /// Who hears what the F# prints; else it is kept.
    member _.Output
        with get () = output
        and set value = output <- value

    /// Whether the last stop had to leave the session, and with it its names, behind.
    member _.IsAbandoned = abandoned
    /// What the F# printed since this was last asked.
    member _.TakePrinted() = printed.Take()
    /// What F# Interactive says of values and names (`val x: int = 1`).
    member _.TakeEchoed() = echoed.Take().Replace("val it: unit = ()\n", "").TrimStart('\n')

    /// The line of a text that an exception came from, from 1, with the text's name.
    member _.LineOf(e: exn) : (string * int) option =
        StackTrace(e, true).GetFrames()
        |> Seq.tryPick (fun f ->
            match f.GetFileName() with
            | null -> None
            | name when name.EndsWith ".fsx" && f.GetFileLineNumber() > 0 -> Some(string (Path.GetFileName name), lineOf (string (Path.GetFileName name)) (f.GetFileLineNumber()))
            | _ -> None)

    interface IDisposable with
        member _.Dispose() =
            if session.IsValueCreated && not abandoned then
                (session.Value :> IDisposable).Dispose()
