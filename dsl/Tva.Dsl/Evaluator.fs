/// The door for hosts (the command, the prompt, other .NET programs): texts go in; diagnostics, plans and results come out.
namespace Tva.Dsl

open System
open System.IO
open System.Threading
open Tva.Dsl.Plan
open Tva.Dsl.Syntax
open Tva.Dsl.Typing

type EvaluatorOptions =
    { Permissions: Permissions
      /// Values for `param` statements, as text.
      Settings: Map<string, string>
      Run: RunSettings
      /// Makes the F# compiler for `fs`, called when a text first holds F#.
      FSharp: (unit -> IFSharpHost) option }

    /// No commands, no F#, all cores, default memory.
    static member Default =
        { Permissions = { Run = false; FSharp = false }; Settings = Map.empty; Run = RunSettings.Default; FSharp = None }

module internal Resources =

    let prelude =
        lazy
            (use stream = typeof<EvaluatorOptions>.Assembly.GetManifestResourceStream "Prelude.tva" |> Unchecked.nonNull
             use reader = new StreamReader(stream)
             reader.ReadToEnd())

/// Checks texts and runs them. Check first: what is wrong with a text is found before the first byte is written.
/// Names stay from one text to the next. Not thread-safe; dispose it to close the checkpoints.
type Evaluator(options: EvaluatorOptions) =
    let program = new Program(options.Permissions)
    let checker = Checker(program, options.Settings)
    do Stack.run (fun () -> checker.CheckPrelude Resources.prelude.Value)

    let mutable listener: Action<Event> option = None
    let mutable stopping = CancellationToken.None

    let errors () = program.Diagnostics |> Seq.exists (fun d -> d.Severity = Severity.Error)

    let notify (e: Event) = listener |> Option.iter (fun (listen: Action<Event>) -> listen.Invoke e)

    let fsharp = options.FSharp |> Option.map (fun make -> lazy make ())

    do
        program.FSharp <- fun () -> fsharp |> Option.map _.Value
        program.Stopping <- fun () -> stopping
        program.Printed <- fun text -> notify (Event.Noted text)

    // A basis whose number of atoms depends on data is solved while its text is checked.
    do
        program.Solve <-
            fun number ->
                BasisWork(program, Work(program, options.Run, notify, stopping), fun _ _ -> None).Solve [ number ]
                program.Solved[number]

    /// Checking reads data in one case: to tell how many atoms `basis(F, error = ...)` has. This is who hears of such passes, and what stops them.
    member _.Watch(onEvent: Action<Event>, cancellation: CancellationToken) =
        listener <- Some onEvent
        stopping <- cancellation

    /// Reads and checks one text. `name` is how diagnostics call it, `folder` what its paths are relative to.
    /// Returns every finding so far, in the order of the texts.
    member _.Check(name: string, folder: string, text: string) : Diagnostic list =
        Stack.run (fun () ->
            checker.Check(program.AddText(name, Path.GetFullPath folder, text))
            checker.Finish())
        program.Diagnostics |> Seq.sortBy (fun d -> d.Span.Source, d.Span.Start) |> List.ofSeq

    /// All texts read so far, by the numbers that spans have.
    member _.Texts = List.ofSeq program.Texts

    member internal _.Plans() : Planned list = Stack.run (fun () -> Preview.plans program options.Run)

    /// What would be done, for people.
    member _.Explain() : string =
        Stack.run (fun () -> String.Join("\n", Preview.plans program options.Run |> List.map Explain.plan))

    /// What would be done, as JSON.
    member _.ExplainJson() : string =
        Stack.run (fun () -> "[" + String.Join(",", Preview.plans program options.Run |> List.map Explain.json) + "]")

    /// Does what the texts say. Faults are exceptions (FaultException), as is cancelling.
    member _.Run(onEvent: Action<Event>, cancellation: CancellationToken) : Outcome =
        if errors () then
            invalidOp "the text has errors; check it first"
        Stack.run (fun () ->
            let outcome = Runner(program, Work(program, options.Run, onEvent.Invoke, cancellation)).Run()
            program.Effects.Clear()
            outcome)

    interface IDisposable with
        member _.Dispose() =
            match fsharp with
            | Some host when host.IsValueCreated -> host.Value.Dispose()
            | _ -> ()
            (program :> IDisposable).Dispose()

/// What is known of each function, for help and completion.
module Help =

    type Entry =
        { Name: string
          Group: string
          Signature: string
          Summary: string
          Example: string
          /// Written in TVA, in the prelude.
          Derived: bool }

    let private derived =
        lazy
            (let source = { Number = 0; Name = "<prelude>"; Folder = "."; Text = Resources.prelude.Value }
             fst (Parser.parse source)
             |> List.choose (fun s ->
                 match s.Node with
                 | Def d ->
                     let lines = d.Doc.Split('\n') |> List.ofArray
                     let isExample (l: string) = l.StartsWith "example:"
                     Some
                         { Name = d.Name.Text
                           Group = "derived, written in TVA"
                           Signature = Trees.signature d
                           Summary = String.Join(" ", lines |> List.filter (isExample >> not))
                           Example = lines |> List.tryFind isExample |> Option.map (fun l -> l.Substring(8).Trim()) |> Option.defaultValue ""
                           Derived = true }
                 | _ -> None))

    /// Every function: built-in ones, then those of the prelude.
    let entries =
        lazy
            ((Builtins.Table.all
              |> List.map (fun b ->
                  { Name = b.Name; Group = b.Group; Signature = b.Signature; Summary = b.Summary; Example = b.Example; Derived = false }))
             @ derived.Value)
