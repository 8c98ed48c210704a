/// The door for hosts (the command, the prompt, other .NET programs): texts go in; diagnostics, plans and results come out.
namespace Tva.Dsl

open System
open System.Collections.Generic
open System.Runtime.InteropServices
open System.Threading
open System.Threading.Tasks
open Tva.Core.Checkpoints
open Tva.Dsl.Plan
open Tva.Dsl.Typing

/// Checks texts and runs them, in one of two ways. `Check(text)`, `Explain(text)` and `RunAsync(text)` take a text by itself and may be called
/// from any number of threads at once: each call works on a program of its own, and nothing stays.
/// The others are for texts that come one after another, and not thread-safe: check first, since what is wrong with a text is found before the
/// first byte is written; names stay from one text to the next; a text with errors, and one whose run fails or is stopped, leaves none. Dispose
/// the evaluator to close the checkpoints.
/// It writes to no console, ends no process and changes nothing that is the process's.
type Evaluator(options: EvaluatorOptions) =
    do ArgumentNullException.ThrowIfNull(box options, nameof options)
    let own = new TextSession(options, [])
    let mutable disposed = false
    let alive () = ObjectDisposedException.ThrowIf(disposed, typeof<Evaluator>)
    let live () =
        alive ()
        own

    /// This evaluator's options with what one call gives: parameters by name and, where nobody else does, somebody who takes outputs;
    /// and the names of the checkpoints among the parameters.
    let optionsFor (parameters: IReadOnlyDictionary<string, obj> | null) (take: MemoryCheckpoint -> unit) : EvaluatorOptions * string list =
        let settings, checkpoints = Parameters.split parameters
        let add more (map: Map<string, 'a>) = (map, more) ||> Map.fold (fun all name v -> all.Add(name, v))
        { options with
            Session = false
            Settings = add settings options.Settings
            Variables = add checkpoints options.Variables
            Outputs =
                options.Outputs
                |> Option.orElse (Some(OutputTarget(fun name tensors metadata -> new MemoryWriter(name, tensors, metadata, take)))) },
        List.ofSeq checkpoints.Keys

    /// Reads and checks one text by itself; it is not run.
    /// `parameters`: for `param` statements numbers, bools, lists of numbers and texts (a text for a `param` that is no Text is read as an
    /// expression), and MemoryCheckpoints, which become names; one that the text doesn't call is told as an error, as a parameter is that it lacks.
    member _.Check(text: string, [<Optional; DefaultParameterValue(null: IReadOnlyDictionary<string, obj> | null)>] parameters: IReadOnlyDictionary<string, obj> | null) : CheckResult =
        alive ()
        ArgumentNullException.ThrowIfNull(text, nameof text)
        use alone = new TextSession(optionsFor parameters ignore)
        alone.CheckAlone text

    /// What would be done with a text by itself, for people. Its mistakes are an ArgumentException.
    member _.Explain(text: string, [<Optional; DefaultParameterValue(null: IReadOnlyDictionary<string, obj> | null)>] parameters: IReadOnlyDictionary<string, obj> | null) : string =
        alive ()
        ArgumentNullException.ThrowIfNull(text, nameof text)
        use alone = new TextSession(optionsFor parameters ignore)
        let found = alone.CheckAlone text
        if not found.Succeeded then
            raise (ArgumentException(found.Messages, nameof text))
        alone.Explain()

    /// Checks one text by itself and, where nothing is wrong with it, does what it says. What goes on is reported while it does; an exception
    /// of whoever listens ends the run and comes out here, as do faults of files (FaultException) and cancelling (OperationCanceledException);
    /// files are then whole: each has its final name and all its bytes, or is not there.
    member _.RunAsync
        (
            text: string,
            [<Optional; DefaultParameterValue(null: IReadOnlyDictionary<string, obj> | null)>] parameters: IReadOnlyDictionary<string, obj> | null,
            [<Optional; DefaultParameterValue(null: IProgress<Event> | null)>] progress: IProgress<Event> | null,
            [<Optional>] cancellationToken: CancellationToken
        ) : Task<EvaluationResult> =
        alive ()
        ArgumentNullException.ThrowIfNull(text, nameof text)
        let models = SortedDictionary<string, MemoryCheckpoint>(StringComparer.Ordinal)
        let forCall = optionsFor parameters (fun m -> models[m.Name] <- m)
        let work () =
            let events = ResizeArray<Event>()
            let hear (e: Event) =
                if not e.IsProgressed then
                    events.Add e
                progress |> Option.ofObj |> Option.iter _.Report(e)
            use alone = new TextSession(forCall)
            alone.Watch(hear, cancellationToken)
            let found: CheckResult = alone.CheckAlone text
            let outcome = if found.Succeeded then Some(alone.Run(hear, cancellationToken)) else None
            EvaluationResult(found, outcome, List.ofSeq events, models)
        Task.Run(Func<EvaluationResult>(work), cancellationToken)

    /// Checking reads data in one case: to tell how many atoms `basis(F, error = ...)` has. This is who hears of such passes, and what stops them.
    member _.Watch(onEvent: Action<Event>, cancellation: CancellationToken) = (live ()).Watch(onEvent, cancellation)

    /// Reads and checks one text. `name` is how diagnostics call it, `folder` what its paths are relative to.
    /// Returns what was found in it, in the order of the text.
    member _.Check(name: string, folder: string, text: string) : Diagnostic list = (live ()).Check(name, folder, text)

    /// All texts read so far, by the numbers that spans have.
    member _.Texts = (live ()).Texts

    /// The texts that have been run to their end, in order.
    member _.Accepted = (live ()).Accepted

    /// The checkpoints that texts have loaded, as they call them, with their fingerprints.
    member _.Inputs : IReadOnlyDictionary<string, string> = (live ()).Inputs

    /// What texts may do besides algebra.
    member _.Permissions
        with get () = (live ()).Permissions
        and set (value: Permissions) = (live ()).Permissions <- value

    /// How texts are run.
    member _.Settings
        with get () = (live ()).Settings
        and set (value: RunSettings) = (live ()).Settings <- value

    member internal _.Plans() : Planned list = (live ()).Plans()

    /// What would be done, for people.
    member _.Explain() : string = (live ()).Explain()

    /// What would be done, as JSON.
    member _.ExplainJson() : string = (live ()).ExplainJson()

    /// Does what the texts say. Faults are exceptions (FaultException), as is cancelling.
    member _.Run(onEvent: Action<Event>, cancellation: CancellationToken) : Outcome = (live ()).Run(onEvent, cancellation)

    /// Bytes of memory that pinned checkpoints take.
    member _.PinnedBytes = (live ()).PinnedBytes

    /// Keeps the checkpoints that an expression reads in memory, as long as they fit into the budget with room to compute; a line for each.
    /// Faults are exceptions.
    member _.Pin(folder: string, text: string, onEvent: Action<Event>, cancellation: CancellationToken) : Result<string list, Diagnostic list> =
        (live ()).Pin(folder, text, onEvent, cancellation)

    /// Lets go of what is pinned.
    member _.Unpin() = (live ()).Unpin()

    /// The statements that an expression rests on, then the expression, a line each.
    member _.Provenance(expression: string) : string = (live ()).Provenance expression

    /// Takes back the texts that have been checked and not yet run.
    member _.Forget() = (live ()).Forget()

    /// Opens what has changed on disk again.
    member internal _.Refresh() = (live ()).Refresh()

    /// Takes a text as one that has been run: somebody has done the same otherwise.
    member internal _.Accept(folder: string, name: string, text: string) = (live ()).Accept(folder, name, text)

    /// Does these effects and nothing that waits to be run.
    member internal _.Do(effects: Effect list, onEvent: Event -> unit, cancellation: CancellationToken) : Outcome =
        (live ()).Do(effects, onEvent, cancellation)

    /// The program and what is in sight, for the language services.
    member internal _.State = (live ()).State

    /// Closes the checkpoints that texts have loaded; afterwards nothing can be asked of it.
    member _.Dispose() =
        if not disposed then
            disposed <- true
            (own :> IDisposable).Dispose()

    interface IDisposable with
        member this.Dispose() = this.Dispose()
