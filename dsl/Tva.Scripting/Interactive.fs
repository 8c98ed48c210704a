/// F# Interactive in this process: pieces go in; values, output and diagnostics come out. References are the runtime's own assemblies,
/// so that no SDK is asked for.
namespace Tva.Scripting

open System
open System.Diagnostics
open System.IO
open System.Threading
open FSharp.Compiler.Diagnostics
open FSharp.Compiler.Interactive.Shell

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
        session.EvalInteractionNonThrowing "open System" |> ignore
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
            let found = answer (s.EvalExpressionNonThrowing(text, file))
            // A sequence runs when it is looked at.
            Running.begins ()
            goOn found)

    /// Takes declarations, or what else one may type.
    member this.Interaction(text: string, file: string, stop: CancellationToken) : Answer =
        this.Run(stop, fun s -> answer (s.EvalInteractionNonThrowing(text, file, CancellationToken.None)))

    /// Gives a value a name.
    member this.Bind(name: string, value: obj) =
        this.Run(CancellationToken.None, fun s -> s.AddBoundValue(name, value))

    /// What stands under each name that was given or defined, as it is now.
    member _.Values() : (string * objnull) list =
        if abandoned || not session.IsValueCreated then []
        else [ for v in session.Value.GetBoundValues() -> v.Name, v.Value.ReflectionValue ]

    /// Names that go on a beginning: `List.ma`.
    member _.Complete(beginning: string) : string list =
        if abandoned || not session.IsValueCreated then []
        else session.Value.GetCompletions beginning |> Seq.distinct |> List.ofSeq

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
    static member LineOf(e: exn) : (string * int) option =
        StackTrace(e, true).GetFrames()
        |> Seq.tryPick (fun f ->
            match f.GetFileName() with
            | null -> None
            | name when name.EndsWith ".fsx" && f.GetFileLineNumber() > 0 -> Some(string (Path.GetFileName name), f.GetFileLineNumber())
            | _ -> None)

    interface IDisposable with
        member _.Dispose() =
            if session.IsValueCreated && not abandoned then
                (session.Value :> IDisposable).Dispose()
