/// F# typed by a person, in sight of an evaluator's names: texts go in, what they print and what is wrong with them come out.
namespace Tva.Scripting

open System
open System.Collections.Generic
open System.IO
open System.Threading
open FSharp.Compiler.Diagnostics
open Tva.Dsl
open Tva.Dsl.Typing

/// What is wrong with a text, or worth knowing; lines and columns from 1.
type FSharpFinding =
    { Code: string
      IsError: bool
      Message: string
      Line: int
      Column: int
      EndLine: int
      EndColumn: int }

type FSharpOutcome =
    { /// What the F# printed, then its values as F# Interactive shows them.
      Output: string
      Findings: FSharpFinding list
      /// What the F# threw; a TvaException's message is the checker's.
      Thrown: exn option }

    member o.Succeeded = o.Thrown.IsNone && not (o.Findings |> List.exists _.IsError)

/// The session's Models, Deltas and Families are Expressions under their names, numbers and texts plain .NET values; `tva` is the Session.
/// A name that is a keyword of F# gets its kind behind it: `base` is `baseModel`. Not thread-safe; the evaluator stays its owner's.
type FSharpSession(evaluator: Evaluator, folder: string) =
    let keywords =
        set
            [ "abstract"; "and"; "as"; "assert"; "base"; "begin"; "class"; "default"; "delegate"; "do"; "done"; "downcast"; "downto"; "elif"; "else"; "end"
              "exception"; "extern"; "false"; "finally"; "fixed"; "for"; "fun"; "function"; "global"; "if"; "in"; "inherit"; "inline"; "interface"; "internal"
              "lazy"; "let"; "match"; "member"; "module"; "mutable"; "namespace"; "new"; "not"; "null"; "of"; "open"; "or"; "override"; "private"; "public"
              "rec"; "return"; "sig"; "static"; "struct"; "then"; "to"; "true"; "try"; "type"; "upcast"; "use"; "val"; "void"; "when"; "while"; "with"; "yield"
              "const"; "component"; "constraint"; "include"; "mixin"; "parallel"; "process"; "protected"; "pure"; "sealed"; "tailcall"; "trait"; "virtual" ]
    let session = new Session(evaluator, folder)
    let own = [ for t in [ typeof<Session>; typeof<Evaluator>; typeof<Tva.Core.FaultException> ] -> t.Assembly.Location ]
    let interactive = new Interactive(own)
    let bound = Dictionary<string, Value>()
    let mutable ready = false

    let prepare () =
        if interactive.IsAbandoned then
            bound.Clear()
            ready <- false
        if not ready then
            interactive.Interaction("open Tva.Scripting\nopen Tva.Scripting.Algebra", "start.fsx", CancellationToken.None) |> ignore
            interactive.Bind("tva", session)
            ready <- true

    /// A name as F# has it.
    let nameOf (name: string) (value: Value) =
        if keywords.Contains name then
            match value with
            | Value.Tensor _ -> name + session.Wrap(name, value).Kind
            | v -> name + Kind.text (Context.kindOf (Context.afterwards session.Program) v)
        else
            name

    let known (value: Value) : obj option =
        let context = Context.afterwards session.Program
        let number n = Context.known context n
        match value with
        | Value.Scalar n -> number n |> Option.map (fun v -> v :> obj)
        | Value.Bool n -> number n |> Option.map (fun v -> (v <> 0.0) :> obj)
        | Value.Text t -> Some(t :> obj)
        | Value.List items ->
            let numbers = items |> List.map (function Value.Scalar n -> number n | _ -> None)
            if numbers |> List.forall Option.isSome then Some((numbers |> List.map Option.get) :> obj) else None
        | Value.Range r -> Some(Context.rangeValues r :> obj)
        | _ -> None

    /// Gives F# the evaluator's names as they are now.
    let bindNames () =
        for entry in session.Checker.Names do
            let isNew =
                match bound.TryGetValue entry.Key with
                | true, before -> not (obj.ReferenceEquals(before, entry.Value))
                | _ -> true
            match entry.Value with
            | Value.Function _
            | Value.Unit
            | Value.Unknown _ -> ()
            | value when isNew ->
                bound[entry.Key] <- value
                let given = match known value with Some v -> v | None -> session.Wrap(entry.Key, value) :> obj
                interactive.Bind(nameOf entry.Key value, given)
            | _ -> ()

    let finding (d: FSharpDiagnostic) =
        { Code = d.ErrorNumberText
          IsError = (d.Severity = FSharpDiagnosticSeverity.Error)
          Message = String.Join(" ", d.Message.Split([| ' '; '\n'; '\r'; '\t' |], StringSplitOptions.RemoveEmptyEntries))
          Line = d.StartLine
          Column = d.StartColumn + 1
          EndLine = d.EndLine
          EndColumn = d.EndColumn + 1 }

    /// The evaluator's expressions for .NET.
    member _.Session = session

    /// Loads the compiler, so that the first text does not wait for it; may run on the side.
    member _.Prepare() = prepare ()

    /// Under which names F# sees the evaluator's, where they differ.
    member _.Renamed =
        [ for entry in session.Checker.Names do
              match entry.Value with
              | Value.Function _ | Value.Unit | Value.Unknown _ -> ()
              | v -> if nameOf entry.Key v <> entry.Key then entry.Key, nameOf entry.Key v ]

    /// Evaluates a text. Stopping throws OperationCanceledException, also where the F# loops for ever; names stay, unless the F# could
    /// not be ended (it was in a native call), which `HasLostNames` then tells.
    member _.Eval(text: string, stop: CancellationToken) : FSharpOutcome =
        prepare ()
        bindNames ()
        interactive.TakePrinted() |> ignore
        interactive.TakeEchoed() |> ignore
        session.Cancellation <- stop
        let answer = interactive.Interaction(text, "input.fsx", stop)
        let output = interactive.TakePrinted() + interactive.TakeEchoed()
        { Output = output
          Findings = answer.Diagnostics |> List.filter (fun d -> d.Severity = FSharpDiagnosticSeverity.Error || d.Severity = FSharpDiagnosticSeverity.Warning) |> List.map finding
          Thrown = answer.Thrown |> Option.map (fun e -> match e with :? Reflection.TargetInvocationException when not (isNull e.InnerException) -> Unchecked.nonNull e.InnerException | _ -> e) }

    /// The last stop had to leave the F# session behind; the next text begins a new one.
    member _.HasLostNames = interactive.IsAbandoned

    interface IDisposable with
        member _.Dispose() = (interactive :> IDisposable).Dispose()
