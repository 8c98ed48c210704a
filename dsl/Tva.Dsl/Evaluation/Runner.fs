/// Carries a checked program's effects out, in order: batches of saves, shows and assertions share passes; a command ends a batch.
namespace Tva.Dsl

open System
open System.Collections.Generic
open System.IO
open Tva.Core
open Tva.Core.Execution
open Tva.Core.Tensors
open Tva.Dsl.Graph
open Tva.Dsl.Plan
open Tva.Dsl.Typing

/// Ends a run at a failed assertion.
exception AssertionException of string

type Runner(program: Program, work: Work) =
    let tables = program.Printed

    let fromTable table from =
        match tables.TryGetValue table with
        | true, cells ->
            let values = cells |> List.map snd
            match from with
            | FromTable.Cell name ->
                match cells |> List.tryFind (fun (n, _) -> n = name) with
                | Some(_, v) -> Some v
                | None ->
                    raise (FaultException $"the command printed no `{name}`; it printed {Suggest.listing (cells |> List.map fst)}")
            | FromTable.Mean -> Some(if values.IsEmpty then nan else List.average values)
            | FromTable.Sum -> Some(List.sum values)
            | FromTable.Min -> Some(if values.IsEmpty then nan else List.min values)
            | FromTable.Max -> Some(if values.IsEmpty then nan else List.max values)
        | _ -> None

    let bases = BasisWork(program, work, fromTable)

    let context = Context.afterwards program
    let measuring = Measuring(program, work, bases)

    let bound (node: Node) = Passes.simplify program.Graph (bases.Bind node)

    let purpose (group: PlannedGroup) =
        match group.Saves with
        | [] -> "computing"
        | saves -> "saving " + Suggest.listing (saves |> List.map (fun s -> string (Path.GetFileName s.Path)) |> List.distinct)

    /// The cautions about values that these nodes use, each told once.
    let cautionsOf (nodes: Node list) =
        if program.Cautions.Count = 0 then []
        else
            let used = HashSet(reachable nodes |> Seq.map _.Id)
            let found = program.Cautions |> Seq.filter (fun c -> used.Contains c.Value.Id) |> Seq.distinctBy (fun c -> c.Condition.Id, c.Message) |> List.ofSeq
            program.Cautions.RemoveAll(fun c -> used.Contains c.Value.Id) |> ignore
            found

    /// Runs one batch; assertions are checked before anything gets its final name.
    let flush (batch: Effect list) =
        let models =
            batch
            |> List.choose (function
                | Effect.Save(value, path, form, provenance, _) ->
                    Some { Value = value; Path = path; Types = form.Types; Shard = form.Shard; Provenance = provenance; Stack = None }
                | _ -> None)
        bases.Require(batch |> List.collect (Gather.needs program))
        bases.Require(models |> List.map _.Value.Node)
        let kept =
            batch
            |> List.choose (function
                | Effect.SaveBasis(basis, path, dtype, expression, _) ->
                    bases.Solve [ basis.Number ]
                    Some(BasisSaving.prepare program basis path dtype expression)
                | _ -> None)
        bases.Require(kept |> List.collect (fun s -> s.Saves |> List.map _.Value.Node))
        let saves = models @ (kept |> List.collect _.Saves)
        let numbers = (batch |> List.collect (Gather.needs program)) @ (kept |> List.collect BasisSaving.numbers)
        let asked =
            batch |> List.choose (function
                | Effect.SaveAdapter(value, path, rank, dtype, expression, _) -> Some(value, path, rank, dtype, expression)
                | _ -> None)
        bases.Require(asked |> List.map (fun (value, _, _, _, _) -> value.Node))
        work.Require(bases.Bind, (saves |> List.map _.Value.Node) @ (asked |> List.map (fun (value, _, _, _, _) -> value.Node)) @ numbers)
        let adapters =
            asked |> List.map (fun (value, path, rank, dtype, expression) ->
                AdapterSaving.prepare program (bound value.Node) value path rank dtype expression)
        let numbers = numbers @ (adapters |> List.collect AdapterSaving.numbers)
        let cautions = cautionsOf ((saves |> List.map _.Value.Node) @ (asked |> List.map (fun (value, _, _, _, _) -> value.Node)) @ numbers)
        let numbers = numbers @ (cautions |> List.map _.Condition)
        let unknown = numbers |> List.filter (fun n -> not (bound n).Op.IsConst)
        let results = List<RunResult>()
        let mutable finished = false
        try
            let values = Dictionary<int, float[]>()
            let tags = Dictionary<int, string list>()
            let known, unknown, learn = work.Recall(bases.Bind, unknown)
            for n, found in known do
                values[n.Id] <- found |> List.map snd |> Array.ofList
                tags[n.Id] <- found |> List.map fst
            for group in Batch.plan program bases.Bind saves unknown do
                let result = if group.NeedsNoRun then None else Some(work.Run(group, purpose group))
                Option.iter results.Add result
                for number, n in List.zip group.Planned.Scalars group.Numbers do
                    let found = work.Read(group, result, number)
                    values[n.Id] <- found |> List.map snd |> Array.ofList
                    tags[n.Id] <- found |> List.map fst
                    learn n found
            let lookup (n: Node) =
                match values.TryGetValue n.Id with
                | true, v -> v
                | _ ->
                    match (bound n).Op with
                    | Const v -> [| v |]
                    | _ -> [| nan |]
            let label (n: Node) =
                match tags.TryGetValue n.Id with
                | true, l -> l
                | _ -> [ "" ]
            for c in cautions do
                match List.zip (label c.Condition) (List.ofArray (lookup c.Condition)) |> List.filter (fun (_, v) -> v <> 0.0 && not (Double.IsNaN v)) |> List.map fst with
                | [] -> ()
                | [ "" ] -> work.Tell(Event.Warned c.Message)
                | places -> work.Tell(Event.Warned $"{c.Message} ({Suggest.listing places})")
            let show = Gather.show program context lookup label (fun i -> tables[i])
            // A comparison with NaN is false already; NaN as a condition holds nothing either.
            let holds (condition: float[]) = condition[0] <> 0.0 && not (Double.IsNaN condition[0])
            for effect in batch do
                match effect with
                | Effect.Show(items, _) ->
                    work.Tell(Event.Shown(List.tryHead items |> Option.bind fst, items |> List.map (snd >> show)))
                | Effect.Assert(condition, sides, text, message, _) when not (holds (lookup condition)) ->
                    let shown =
                        [ for s in sides do
                              let value = Gather.plain (Array.head (lookup s.Node))
                              // `1000 = 1000` tells nothing.
                              if s.Text <> value then
                                  $"  {s.Text} = {value}" ]
                    let title = if message = "" then $"assert {text}" else $"{message}\n  assert {text}"
                    raise (AssertionException(String.Join("\n", title :: shown)))
                | _ -> ()
            let pictures = batch |> List.choose (Drawing.draw program show lookup)
            let decomposed = adapters |> List.map (fun s -> s, AdapterSaving.decompose program work s)
            for r in results do
                work.During(saves, r.Commit)
            let before = dict [ for r in results do for o in r.Outputs do o.Path, o ]
            for s in models do
                measuring.Saved s
                match before.TryGetValue s.Path with
                | true, o when o.Unchanged -> work.Tell(Event.Noted $"{Path.GetFileName s.Path} is as it would be: nothing was written")
                | _ ->
                    Batch.roundedVector program (bound s.Value.Node) s |> Option.iter (fun text -> work.Tell(Event.Warned text))
                    work.Tell(Event.Saved(s.Path, work.SizeOf s.Path))
                match s.Value.Set |> Option.map (fun set -> program.Stacks.TryGetValue set.Reference) with
                | Some(true, stack) when s.Shard.IsNone ->
                    work.Tell(Event.Noted $"{Path.GetFileName s.Path} has {stack.Layers.Length} layers: the config.json that goes with it needs \"num_hidden_layers\": {stack.Layers.Length}")
                | _ -> ()
            for s in kept do
                let note = BasisSaving.finish program s lookup
                let bytes = Directory.GetFiles s.Folder |> Seq.filter (fun f -> f.Contains s.Id || f.EndsWith Bases.BasisFolder.FileName) |> Seq.sumBy (fun f -> FileInfo(f).Length)
                work.Tell(Event.Saved(s.Folder, bytes))
                note |> Option.iter (fun text -> work.Tell(Event.Noted text))
            for s, content in decomposed do
                let found (n: Node) = List.zip (label n) (List.ofArray (lookup n))
                let bytes, errors = AdapterSaving.finish program s content found work.Settings.Threads work.Cancellation
                work.Tell(Event.Saved(s.Folder, bytes))
                if s.Rank.IsSome then
                    work.Tell(Event.Truncated(s.Folder, [ for e in errors -> e.Module, e.Rank, e.RelativeError ]))
            for path, content in pictures do
                Checkpoints.WholeFile.Write(path, content)
                work.Tell(Event.Saved(path, int64 content.Length))
            finished <- true
        finally
            for r in results do
                r.Dispose()
            if not finished then
                List.iter BasisSaving.discard kept

    /// All effects, in order; but where a command takes many models at once, those that later prints ask for are made along with the first.
    member _.Run() : Outcome =
        let effects = Array.ofSeq program.Effects
        let batch = List<Effect>()
        let evaluations = List<Evaluation>()
        let pending = HashSet<int>()
        let flushBatch () =
            let effects = List.ofSeq batch
            batch.Clear()
            if not effects.IsEmpty then
                flush effects
        let take at =
            match effects[at] with
            | Effect.Evaluate(table, value, command, folder, _) ->
                evaluations.Add { Table = table; Model = value; Command = command; Folder = folder }
                pending.Add table |> ignore
            | _ -> ()
        /// What comes later, up to where something is written or required, and needs nothing that is still to be measured.
        let rec lookAhead at =
            if at < effects.Length then
                match effects[at] with
                | Effect.Show _ -> lookAhead (at + 1)
                | Effect.Evaluate(table, value, command, _, _) ->
                    if tables.ContainsKey table || pending.Contains table then
                        lookAhead (at + 1)
                    elif OutsideCommand.takesAll command && measuring.HasRoom(evaluations, value, command) then
                        if not (measuring.Waits value) then
                            take at
                        lookAhead (at + 1)
                | _ -> ()
        let flushEvaluations at =
            if evaluations.Count > 0 then
                if evaluations |> Seq.forall (fun e -> OutsideCommand.takesAll e.Command) then
                    lookAhead at
                let all = List.ofSeq evaluations
                evaluations.Clear()
                pending.Clear()
                measuring.Run all
        for note in program.TakeNotes() do
            work.Tell(Event.Noted note)
        try
            for at in 0 .. effects.Length - 1 do
                work.Cancellation.ThrowIfCancellationRequested()
                match effects[at] with
                | Effect.Evaluate(table, value, command, _, _) ->
                    if not (tables.ContainsKey table) then
                        flushBatch ()
                        if evaluations.Count > 0 && (measuring.Waits value || not (measuring.HasRoom(evaluations, value, command))) then
                            flushEvaluations at
                        if not (tables.ContainsKey table) then
                            take at
                | e ->
                    flushEvaluations at
                    batch.Add e
            flushEvaluations effects.Length
            flushBatch ()
            Outcome.Completed
        with AssertionException message ->
            Outcome.AssertionFailed message
