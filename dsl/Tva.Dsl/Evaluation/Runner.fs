/// Carries a checked program's effects out, in order: batches of saves, shows and assertions share passes; a command ends a batch.
namespace Tva.Dsl

open System
open System.Collections.Generic
open System.IO
open System.Threading
open Tva.Core
open Tva.Core.Execution
open Tva.Core.Tensors
open Tva.Dsl.Graph
open Tva.Dsl.Plan
open Tva.Dsl.Typing

/// Ends a run at a failed assertion.
exception AssertionException of string

type Runner(program: Program, settings: RunSettings, onEvent: Event -> unit, cancellation: CancellationToken) =
    let tables = Dictionary<int, (string * float) list>()
    /// What has been written where, so that a model saved and then measured is not written twice.
    let written = Dictionary<struct (int * int), string>()
    let measured = Dictionary<struct (int * string), (string * float) list>()

    let late i =
        let table, from = program.Late[i]
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

    let context = Context.afterwards program

    let bound (node: Node) = Passes.simplify program.Graph (Passes.bind program.Graph late node)

    let options = RunOptions(settings.Memory, settings.Threads, settings.Strict)

    let progress =
        { new IProgress<RunProgress> with
            member _.Report p = onEvent (Event.Progressed p) }

    let warn (result: RunResult) =
        for n in result.NonFinite do
            let count what (k: int64) = if k = 0L then [] else [ $"{k} {what}" ]
            let counts = String.Join(" and ", count "NaN" n.NaNs @ count "infinite" n.Infinities)
            onEvent (Event.Warned $"{n.Path}: tensor `{n.Tensor}` has {counts} elements")

    /// The expression a fault happened in, for its message.
    let during (saves: SaveRequest list) (f: unit -> 'a) =
        try
            f ()
        with :? FaultException as e ->
            match saves with
            | [] -> raise (FaultException(e.Message, e))
            | _ ->
                let last (s: SaveRequest) = s.Provenance.Split('\n') |> Array.last
                let what = saves |> List.map (fun s -> $"`{last s}` to {s.Path}")
                raise (FaultException($"{e.Message}\n  while saving {Suggest.listing what}", e))

    let run (group: PlannedGroup) =
        let what =
            match group.Saves with
            | [] -> "computing"
            | saves -> "saving " + Suggest.listing (saves |> List.map (fun s -> string (Path.GetFileName s.Path)))
        onEvent (Event.Started what)
        let result = during group.Saves (fun () -> Executor.Run(group.Planned.Plan, options, progress, cancellation))
        warn result
        onEvent (Event.Finished(result.BytesRead, result.BytesWritten, result.Elapsed))
        result

    /// A number's values with their labels: one for the model, or one per layer, floating tensor or row of one.
    let read (group: PlannedGroup) (result: RunResult option) (number: ScalarResult) =
        match number, result with
        | ScalarResult.Known v, _ -> [ "", v ]
        | ScalarResult.Result _, None -> []
        | ScalarResult.Result i, Some result ->
            let plan = group.Planned.Plan
            let values = result.Results[i]
            let floating = plan.Tensors |> Seq.indexed |> Seq.filter (fun (_, t) -> t.Class >= 0)
            match plan.Scalars[plan.Results[i]].Extent with
            | Extent.All -> [ "", values[0] ]
            | Extent.Layer ->
                [ for l, v in Seq.zip result.Layers values -> (if l < 0 then "no layer" else $"layer {l}"), v ]
            | Extent.Tensor -> [ for k, t in floating -> t.Name, values[k] ]
            | _ ->
                let mutable at = 0L
                [ for t in plan.Tensors do
                      if t.Class >= 0 then
                          for r in 0L .. t.Shape.Rows - 1L -> $"{t.Name}[{r}]", values[int (at + r)]
                      at <- at + t.Shape.Rows ]

    /// Runs one batch; assertions are checked before anything gets its final name.
    let flush (batch: Effect list) =
        let saves =
            batch
            |> List.choose (function
                | Effect.Save(value, path, dtype, provenance, _) -> Some { Value = value; Path = path; DType = dtype; Provenance = provenance }
                | _ -> None)
        let numbers = batch |> List.collect Gather.needs
        let unknown = numbers |> List.filter (fun n -> not (bound n).Op.IsConst)
        let results = List<RunResult>()
        try
            let values = Dictionary<int, float[]>()
            let tags = Dictionary<int, string list>()
            for group in Batch.plan program late saves unknown do
                let result = if group.Planned.Plan.Steps.Count = 0 && group.Saves.IsEmpty then None else Some(run group)
                Option.iter results.Add result
                for number, n in List.zip group.Planned.Scalars group.Numbers do
                    let found = read group result number
                    values[n.Id] <- found |> List.map snd |> Array.ofList
                    tags[n.Id] <- found |> List.map fst
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
            // A comparison with NaN is false already; NaN as a condition holds nothing either.
            let holds (condition: float[]) = condition[0] <> 0.0 && not (Double.IsNaN condition[0])
            for effect in batch do
                match effect with
                | Effect.Show(items, _) ->
                    let show = Gather.show program context lookup label (fun i -> tables[i])
                    onEvent (Event.Shown(List.tryHead items |> Option.bind fst, items |> List.map (snd >> show)))
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
            for r in results do
                during saves r.Commit
            for s in saves do
                written[struct ((bound s.Value.Node).Id, (match s.DType with Some d -> int d | None -> -1))] <- s.Path
                onEvent (Event.Saved(s.Path, FileInfo(s.Path).Length))
        finally
            for r in results do
                r.Dispose()

    let evaluate table (value: TensorValue) command folder =
        let node = (bound value.Node).Id
        let cells =
            match measured.TryGetValue(struct (node, command)), written.TryGetValue(struct (node, -1)) with
            | (true, cells), _ -> cells
            | _, (true, path) when File.Exists path -> OutsideCommand.run command folder path cancellation
            | _ ->
                let path = Path.Combine(Path.GetTempPath(), $"tva-{Environment.ProcessId}-{Guid.NewGuid():N}.safetensors")
                try
                    let save = { Value = value; Path = path; DType = None; Provenance = "the model to evaluate" }
                    for group in Batch.plan program late [ save ] [] do
                        use result = run group
                        during [ save ] result.Commit
                    OutsideCommand.run command folder path cancellation
                finally
                    File.Delete path
        measured[struct (node, command)] <- cells
        tables[table] <- cells

    /// All effects, in order.
    member _.Run() : Outcome =
        let batch = List<Effect>()
        let flushBatch () =
            let effects = List.ofSeq batch
            batch.Clear()
            if not effects.IsEmpty then
                flush effects
        try
            for effect in program.Effects do
                cancellation.ThrowIfCancellationRequested()
                match effect with
                | Effect.Evaluate(table, value, command, folder, _) ->
                    flushBatch ()
                    evaluate table value command folder
                | e -> batch.Add e
            flushBatch ()
            Outcome.Completed
        with AssertionException message ->
            Outcome.AssertionFailed message
