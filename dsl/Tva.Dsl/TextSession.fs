/// Texts that come one after another: each goes in, is checked against what those before it have said, and is done; names stay from one to the
/// next, and what goes wrong leaves none.
namespace Tva.Dsl

open System
open System.Collections.Generic
open System.IO
open System.Threading
open Tva.Core.Checkpoints
open Tva.Dsl.Plan
open Tva.Dsl.Syntax
open Tva.Dsl.Typing

/// The program behind an evaluator; `given` names the checkpoints that are there for its only text. Not thread-safe.
type internal TextSession(options: EvaluatorOptions, given: string list) =
    do
        // A name that no device has is told at once.
        options.Run.Choice.Named |> ignore
        if options.Run.Memory < 1L || options.Run.Threads < 1 || options.Run.DeviceMemory |> Option.exists (fun bytes -> bytes < 1L) then
            invalidArg (nameof options) "memory and threads are positive"

    let memory = Remembered()
    let mutable settings = options.Run
    let mutable permissions = options.Permissions
    let mutable listener: Action<Event> option = None
    let mutable stopping = CancellationToken.None

    /// Bytes that pinned checkpoints hold; they count.
    let mutable held = 0L
    let settingsLeft () = { settings with Memory = max 1L (settings.Memory - held) }

    let notify (e: Event) = listener |> Option.iter (fun (listen: Action<Event>) -> listen.Invoke e)

    let mutable fsharp: Lazy<IFSharpHost> option = None

    let closeFSharp () =
        match fsharp with
        | Some host when host.IsValueCreated -> host.Value.Dispose()
        | _ -> ()

    /// A program that knows the prelude, its checker, and what it asks the session's memory by.
    let start () =
        let program = new Program(permissions)
        program.Surroundings <- { Variables = options.Variables; Outputs = options.Outputs; Folders = options.Folders }
        let checker = Checker(program, options.Settings)
        Stack.run (fun () -> checker.CheckPrelude Resources.prelude.Value)
        for v in options.Variables do
            checker.Bind(v.Key, v.Value)
        let recall = if options.Session then Some(Recall(program, memory)) else None
        closeFSharp ()
        fsharp <- options.FSharp |> Option.map (fun make -> lazy make ())
        program.FSharp <- fun () -> fsharp |> Option.map _.Value
        program.Stopping <- fun () -> stopping
        program.HearFSharp <- fun text -> notify (Event.Noted text)
        // A basis whose number of atoms depends on data is solved while its text is checked.
        program.Solve <-
            fun number ->
                BasisWork(program, Work(program, settingsLeft (), recall, notify, stopping), fun _ _ -> None).Solve [ number ]
                program.Solved[number]
        struct (program, checker, recall)

    let mutable state = start ()
    let mutable stamps = Map.empty<string, string>
    let accepted = Collections.Generic.List<SessionText>()
    let waiting = Collections.Generic.List<SessionText>()
    /// Goes back to where nothing waited to be run.
    let mutable back: (unit -> unit) option = None
    let mutable failed = false

    let isWrong (found: Diagnostic seq) = found |> Seq.exists (fun d -> d.Severity = Severity.Error)

    /// Takes a text in; where it has errors, everything is as before.
    let take (text: SessionText) : Diagnostic list =
        let struct (program, checker, _) = state
        let undo = checker.Mark()
        let known = program.Diagnostics.Count
        try
            Stack.run (fun () ->
                checker.Check(program.AddText(text.Name, text.Folder, text.Text))
                // A person may still come to the `param` that a setting is for.
                if not options.Session then
                    checker.Finish())
        with _ ->
            undo ()
            reraise ()
        let found = program.Diagnostics |> Seq.skip known |> Seq.sortBy (fun d -> d.Span.Source, d.Span.Start) |> List.ofSeq
        failed <- isWrong found
        if options.Session then
            program.Effects |> Seq.toArray |> Array.iteri (fun i e -> program.Effects[i] <- Gather.forPerson program e)
        if failed then undo ()
        elif back.IsNone then
            back <- Some undo
        found

    let pinned () =
        let struct (program, _, _) = state
        [ for s in program.Sources do
              match s.Checkpoint with
              | :? PinnedCheckpoint as c -> c
              | _ -> () ]

    let count () = held <- pinned () |> List.sumBy _.Held

    let undoWaiting () =
        back |> Option.iter (fun undo -> undo ())
        back <- None
        waiting.Clear()

    let note () =
        let struct (program, _, _) = state
        for s in program.Sources do
            if not (stamps.ContainsKey s.Checkpoint.Path) then
                stamps <- stamps.Add(s.Checkpoint.Path, Remembered.Stamp s.Checkpoint)

    /// Opens everything again where a file is not what it was: the texts so far are checked once more, and nothing is done twice.
    let refresh () =
        let struct (program, _, _) = state
        let changed = [ for s in program.Sources do if stamps.TryFind s.Checkpoint.Path |> Option.exists ((<>) (Remembered.Stamp s.Checkpoint)) then s.Path ]
        if not changed.IsEmpty && waiting.Count = 0 then
            let printed = List.ofSeq program.Printed
            let wanted = pinned () |> List.map _.Path
            (program :> IDisposable).Dispose()
            stamps <- Map.empty
            state <- start ()
            let texts = List.ofSeq accepted
            accepted.Clear()
            for text in texts do
                if isWrong (take text) then
                    notify (Event.Warned $"what `{text.Text.Trim()}` said is gone: it no longer fits the files")
                else
                    let struct (program, _, _) = state
                    program.Effects.Clear()
                    for entry in printed do
                        program.Printed[entry.Key] <- entry.Value
                    accepted.Add text
                back <- None
            failed <- false
            note ()
            let struct (program, _, _) = state
            held <- 0L
            if not wanted.IsEmpty then
                try
                    Pinning.again program settings wanted notify stopping
                finally
                    count ()
            notify (Event.Noted $"changed on disk, so opened again: {Suggest.listing changed}")

    /// Takes the only text of a session in.
    let takeAlone (text: string) : CheckResult =
        let struct (program, checker, _) = state
        let known = checker.Names
        Stack.run (fun () ->
            checker.Check(program.AddText("<text>", Path.GetFullPath options.Folder, text))
            checker.Finish()
            checker.FinishGiven given)
        let diagnostics = program.Diagnostics |> Seq.sortBy (fun d -> d.Span.Source, d.Span.Start) |> List.ofSeq
        failed <- isWrong diagnostics
        let context = Context.afterwards program
        let kind (v: Value) =
            match v with
            | Value.Function f -> Trees.signature f.Definition
            | v -> Kind.text (Context.kindOf context v)
        let types = SortedDictionary<string, string>(StringComparer.Ordinal)
        for n in checker.Names do
            if not (known.ContainsKey n.Key && obj.ReferenceEquals(known[n.Key], n.Value)) then
                types[n.Key] <- kind n.Value
        CheckResult(List.ofSeq program.Texts, diagnostics, types)

    member _.CheckAlone(text: string) : CheckResult = takeAlone text

    /// Checking reads data in one case: to tell how many atoms `basis(F, error = ...)` has. This is who hears of such passes, and what stops them.
    member _.Watch(onEvent: Action<Event>, cancellation: CancellationToken) =
        listener <- Some onEvent
        stopping <- cancellation

    /// Reads and checks one text. `name` is how diagnostics call it, `folder` what its paths are relative to.
    /// Returns what was found in it, in the order of the text.
    member _.Check(name: string, folder: string, text: string) : Diagnostic list =
        if options.Session then
            refresh ()
        let text = { Name = name; Folder = Path.GetFullPath folder; Text = text }
        let found = take text
        if not failed then
            waiting.Add text
            note ()
        found

    /// All texts read so far, by the numbers that spans have.
    member _.Texts =
        let struct (program, _, _) = state
        List.ofSeq program.Texts

    /// The texts that have been run to their end, in order.
    member _.Accepted = List.ofSeq accepted

    /// The checkpoints that texts have loaded, as they call them, with their fingerprints.
    member _.Inputs : IReadOnlyDictionary<string, string> =
        let struct (program, _, _) = state
        let found = Dictionary<string, string>()
        for i in 0 .. program.Sources.Count - 1 do
            let s = program.Sources[program.Original i]
            found[s.Path] <- s.Checkpoint.Fingerprint
        found

    /// What texts may do besides algebra.
    member _.Permissions
        with get () = permissions
        and set (value: Permissions) =
            permissions <- value
            let struct (program, _, _) = state
            program.Permissions <- value

    /// How texts are run.
    member _.Settings
        with get () = settings
        and set (value: RunSettings) = settings <- value

    member _.Plans() : Planned list =
        let struct (program, _, _) = state
        Stack.run (fun () -> Preview.plans program (settingsLeft ()))

    /// What would be done, for people.
    member this.Explain() : string =
        let where (p: Planned) = settings.Choice.Explain(p.Plan, settings.Threads) |> Seq.map (fun line -> line + "\n") |> String.concat ""
        String.Join("\n", this.Plans() |> List.map (fun p -> Explain.plan p + where p))

    /// What would be done, as JSON.
    member this.ExplainJson() : string =
        let where (p: Planned) = settings.Choice.Explain(p.Plan, settings.Threads) |> List.ofSeq
        "[" + String.Join(",", this.Plans() |> List.map (fun p -> Explain.json (where p) p)) + "]"

    /// Does what the texts say. Faults are exceptions (FaultException), as is cancelling.
    member _.Run(onEvent: Action<Event>, cancellation: CancellationToken) : Outcome =
        if failed then
            invalidOp "the text has errors; check it first"
        let struct (program, _, recall) = state
        try
            let outcome = Stack.run (fun () -> Runner(program, Work(program, settingsLeft (), recall, onEvent.Invoke, cancellation)).Run())
            match outcome with
            | Outcome.Completed ->
                program.Effects.Clear()
                back <- None
                accepted.AddRange waiting
                waiting.Clear()
            | Outcome.AssertionFailed _ -> undoWaiting ()
            outcome
        with _ ->
            undoWaiting ()
            reraise ()

    /// Bytes of memory that pinned checkpoints take.
    member _.PinnedBytes = held

    /// Keeps the checkpoints that an expression reads in memory, as long as they fit into the budget with room to compute; a line for each.
    /// Faults are exceptions.
    member this.Pin(folder: string, text: string, onEvent: Action<Event>, cancellation: CancellationToken) : Result<string list, Diagnostic list> =
        if options.Session then
            refresh ()
        let struct (program, checker, _) = state
        let undo = checker.Mark()
        let known = program.Diagnostics.Count
        let value = Stack.run (fun () -> checker.ValueOf(program.AddText("<pin>", Path.GetFullPath folder, text)))
        let found = program.Diagnostics |> Seq.skip known |> List.ofSeq
        undo ()
        match value with
        | Some value when not (isWrong found) ->
            note ()
            try
                Ok(Pinning.pin program settings value onEvent.Invoke cancellation)
            finally
                count ()
        | _ -> Result.Error found

    /// Lets go of what is pinned.
    member _.Unpin() =
        let struct (program, _, _) = state
        Pinning.unpin program
        count ()

    /// The statements that an expression rests on, then the expression, a line each.
    member _.Provenance(expression: string) =
        let struct (program, _, _) = state
        program.Provenance expression

    /// Takes back the texts that have been checked and not yet run.
    member _.Forget() = undoWaiting ()

    /// Opens what has changed on disk again.
    member _.Refresh() =
        if options.Session then
            refresh ()

    /// Takes a text as one that has been run: somebody has done the same otherwise.
    member _.Accept(folder: string, name: string, text: string) =
        accepted.Add { Name = name; Folder = Path.GetFullPath folder; Text = text }

    /// Does these effects and nothing that waits to be run.
    member _.Do(effects: Effect list, onEvent: Event -> unit, cancellation: CancellationToken) : Outcome =
        let struct (program, _, recall) = state
        let later = program.Effects.ToArray()
        program.Effects.Clear()
        program.Effects.AddRange effects
        try
            Stack.run (fun () -> Runner(program, Work(program, settings, recall, onEvent, cancellation)).Run())
        finally
            program.Effects.Clear()
            program.Effects.AddRange later

    /// The program and what is in sight, for the language services.
    member _.State =
        let struct (program, checker, _) = state
        program, checker

    interface IDisposable with
        member _.Dispose() =
            closeFSharp ()
            let struct (program, _, _) = state
            (program :> IDisposable).Dispose()
