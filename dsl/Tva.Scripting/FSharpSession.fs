/// F# typed by a person, in sight of an evaluator's names: texts go in, what they print and what is wrong with them come out.
namespace Tva.Scripting

open System
open System.Collections.Generic
open System.IO
open System.Threading
open FSharp.Compiler.Diagnostics
open Tva.Dsl
open Tva.Dsl.Typing

/// What is wrong with a text, or worth knowing; lines and columns from 1. `File` is empty for the text itself.
type FSharpFinding =
    { Code: string
      IsError: bool
      Message: string
      File: string
      Line: int
      Column: int
      EndLine: int
      EndColumn: int }

type FSharpOutcome =
    { /// What the F# printed, if nobody took it as it came, then its values as F# Interactive shows them.
      Output: string
      Findings: FSharpFinding list
      /// What the F# threw; a TvaException's message is the checker's.
      Thrown: exn option
      /// The text, of those evaluated, and its line, from 1, that it was thrown in.
      ThrownAt: (string * int) option
      /// What the text gave, where that is the language's; it is not in `Output`.
      Value: Expression option
      /// Names that the evaluator has from this text.
      Returned: string list
      /// Why it has not got others.
      Notes: string list }

    member o.Succeeded = o.Thrown.IsNone && not (o.Findings |> List.exists _.IsError)

/// The session's Models, Deltas and Families are Expressions under their names, numbers and texts plain .NET values, its functions functions;
/// `tva` is the Session. A name that is a keyword of F# gets its kind behind it: `base` is `baseModel`. What F# defines is the evaluator's too
/// where TVA has such values. Not thread-safe but for `Prepare`; the evaluator stays its owner's.
type FSharpSession(evaluator: Evaluator, folder: string) =
    let session = new Session(evaluator, folder)
    let sharing = Sharing(evaluator, session, folder)
    let own = [ for t in [ typeof<Session>; typeof<Evaluator>; typeof<Tva.Core.FaultException> ] -> t.Assembly.Location ]
    let interactive = new Interactive(own)
    let defined = HashSet<FSharpCode>(HashIdentity.Structural)
    let inputs = Dictionary<string, string>()
    let gate = obj ()
    let mutable ready = false

    let prepare () =
        lock gate (fun () ->
            if interactive.IsAbandoned then
                sharing.Clear()
                defined.Clear()
                ready <- false
            if not ready then
                interactive.Interaction("open Tva.Scripting\nopen Tva.Scripting.Algebra", "start.fsx", CancellationToken.None) |> ignore
                interactive.Bind("tva", session)
                ready <- true)

    /// Gives F# the evaluator's names as they are now, and what its texts have defined in F#.
    let share (stop: CancellationToken) =
        for code in session.Checker.FSharpDefinitions do
            if defined.Add code then
                interactive.Interaction(Layout.text (Layout.piece -1 code), "definitions.fsx", stop) |> ignore
        for name, value in sharing.News() do
            interactive.Bind(name, value)
        interactive.TakePrinted() |> ignore
        interactive.TakeEchoed() |> ignore

    let finding (input: string) (d: FSharpDiagnostic) =
        { Code = d.ErrorNumberText
          IsError = (d.Severity = FSharpDiagnosticSeverity.Error)
          Message = String.Join(" ", d.Message.Split([| ' '; '\n'; '\r'; '\t' |], StringSplitOptions.RemoveEmptyEntries))
          File = (if Path.GetFileName d.FileName = input then "" else d.FileName)
          Line = d.StartLine
          Column = d.StartColumn + 1
          EndLine = d.EndLine
          EndColumn = d.EndColumn + 1 }

    let isTold (d: FSharpDiagnostic) = d.Severity = FSharpDiagnosticSeverity.Error || d.Severity = FSharpDiagnosticSeverity.Warning

    /// What F# Interactive says of the last value, which is shown otherwise.
    let withoutIt (echoed: string) =
        match ("\n" + echoed).LastIndexOf "\nval it: Expression" with
        | -1 -> echoed
        | i -> echoed.Substring(0, max 0 (i - 1)) + (if i > 0 then "\n" else "")

    /// The evaluator's expressions for .NET.
    member _.Session = session

    /// Loads the compiler, so that the first text does not wait for it; may run on the side.
    member _.Prepare() = prepare ()

    /// Who hears what the F# prints as it comes; else it is kept for the outcome.
    member _.Output
        with get () = interactive.Output
        and set (value: TextWriter | null) = interactive.Output <- value

    /// Under which names F# sees the evaluator's, where they differ.
    member _.Renamed = sharing.Renamed

    /// Names that begin so, for whoever types: of F#'s own, the algebra's and the session's. Waits for nothing.
    member _.Complete(beginning: string) : string list =
        if Monitor.TryEnter gate then
            try
                if ready && not interactive.IsAbandoned then interactive.Complete beginning else []
            finally
                Monitor.Exit gate
        else []

    /// A text evaluated before, by its name in `ThrownAt`.
    member _.Input(name: string) = match inputs.TryGetValue name with | true, text -> Some text | _ -> None

    /// Evaluates a text. Stopping throws OperationCanceledException, also where the F# loops for ever; names stay, unless the F# could
    /// not be ended (it was in a native call), which `HasLostNames` then tells.
    member _.Eval(text: string, stop: CancellationToken) : FSharpOutcome =
        evaluator.Watch(session.OnEvent, stop)
        evaluator.Refresh()
        session.Cancellation <- stop
        session.Done.Clear()
        prepare ()
        share stop
        let input = $"input{inputs.Count + 1}.fsx"
        inputs[input] <- text
        /// What has been done counts, also where the rest went wrong.
        let give () =
            for said, rests in session.Done do
                if session.StillSays rests then
                    evaluator.Accept(folder, "<F#>", said)
            sharing.Return(interactive.Values())
        try
            let answer = interactive.Interaction(text, input, stop)
            let printed, echoed = interactive.TakePrinted(), interactive.TakeEchoed()
            let value =
                match answer.Value with
                | Some v ->
                    match v.ReflectionValue with
                    | :? Expression as e when not e.Value.IsUnit && e.StillSays -> Some e
                    | _ -> None
                | None -> None
            let returned = give ()
            { Output = printed + (if value.IsSome then withoutIt echoed else echoed)
              Findings = answer.Diagnostics |> List.filter isTold |> List.map (finding input)
              Thrown = answer.Thrown |> Option.map (fun e -> match e with :? Reflection.TargetInvocationException when not (isNull e.InnerException) -> Unchecked.nonNull e.InnerException | _ -> e)
              ThrownAt = answer.Thrown |> Option.bind interactive.LineOf |> Option.filter (fun (file, _) -> inputs.ContainsKey file)
              Value = value
              Returned = returned.Names
              Notes = returned.Notes }
        with :? OperationCanceledException ->
            if not interactive.IsAbandoned then
                give () |> ignore
            reraise ()

    /// The last stop had to leave the F# session behind; the next text begins a new one.
    member _.HasLostNames = interactive.IsAbandoned

    interface IDisposable with
        member _.Dispose() = (interactive :> IDisposable).Dispose()
