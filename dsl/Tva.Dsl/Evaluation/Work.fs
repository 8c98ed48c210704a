/// Runs plans for one host: tells it what goes on, and reads the numbers that come out.
namespace Tva.Dsl

open System
open System.Collections.Generic
open System.IO
open System.Threading
open Tva.Core
open Tva.Core.Checkpoints
open Tva.Core.Execution
open Tva.Dsl.Graph
open Tva.Dsl.Plan
open Tva.Dsl.Typing

type Work(program: Program, settings: RunSettings, recall: Recall option, onEvent: Event -> unit, cancellation: CancellationToken) =
    /// Bytes of what has gone elsewhere than into files.
    let taken = Dictionary<string, int64>()

    let target =
        match program.Surroundings.Outputs with
        | None -> null
        | Some take ->
            OutputTarget(fun path tensors metadata ->
                if (program.Surroundings.InMemory path).IsNone then null
                else
                    let writer = take.Invoke(path, tensors, metadata)
                    writer |> Option.ofObj |> Option.iter (fun w -> taken[path] <- w.Bytes)
                    writer)

    let options resume incremental =
        RunOptions(settings.Memory, settings.Threads, settings.Strict, Target = target, Resume = resume, Incremental = incremental)

    let progress =
        { new IProgress<RunProgress> with
            member _.Report p = onEvent (Event.Progressed p) }

    /// A few tensors in a line each, with where there are many the others of a file together.
    let warn (result: RunResult) =
        let counts (found: NonFinite list) =
            let count what (k: int64) = if k = 0L then [] else [ $"{k} {what}" ]
            String.Join(" and ", count "NaN" (found |> List.sumBy _.NaNs) @ count "infinite" (found |> List.sumBy _.Infinities))
        for path, found in result.NonFinite |> List.ofSeq |> List.groupBy _.Path do
            let few, others = List.splitAt (min 8 found.Length) found
            for n in few do
                onEvent (Event.Warned $"{path}: tensor `{n.Tensor}` has {counts [ n ]} elements")
            if not others.IsEmpty then
                let names = String.Join(", ", others |> List.map (fun n -> $"`{n.Tensor}`"))
                onEvent (Event.Warned $"{path}: {others.Length} more tensors have {counts others} elements: {names}")

    /// How near low-rank matrices came, for each operation of the plan.
    let tellMatrices (planned: Planned) (result: RunResult) =
        for _, reports in result.Matrices |> Seq.filter (fun r -> not (Double.IsNaN r.Error)) |> Seq.groupBy (fun r -> struct (r.Step, r.Matrix)) do
            let reports = List.ofSeq reports
            let total = reports |> List.sumBy (fun r -> r.Norm * r.Norm)
            let lost = reports |> List.sumBy (fun r -> r.Norm * r.Error * r.Norm * r.Error)
            let worst = reports |> List.maxBy _.Error
            let least, most = reports |> List.map _.Rank |> List.min, reports |> List.map _.Rank |> List.max
            let rank = if least = most then $"rank {most}" else $"ranks {least} to {most}"
            let matrices = if reports.Length = 1 then "1 matrix" else $"{reports.Length} matrices"
            let error = sqrt (if total > 0.0 then lost / total else 0.0)
            onEvent (Event.Noted $"lowrank: {matrices} at {rank}, relative error {Formula.number error}, at most {Formula.number worst.Error} ({planned.Plan.Tensors[worst.Tensor].Name})")

    /// What there was of the outputs before.
    let tellOutputs (result: RunResult) =
        for o in result.Outputs do
            let name = Path.GetFileName o.Path
            if not (isNull o.Restarted) then
                onEvent (Event.Warned $"{name}: what a stopped run has left can't be gone on with, since {o.Restarted}; it is written anew")
            if o.Resumed > 0 then
                onEvent (Event.Noted $"{name}: went on after {o.Resumed} of {o.Tensors} tensors")
            if o.Reused > 0 then
                onEvent (Event.Noted $"{name}: {o.Reused} of {o.Tensors} tensors are as they were and were taken over")

    let traces = Traces program

    /// Size of an output that is there.
    member _.SizeOf(path: string) =
        match taken.TryGetValue path with
        | true, bytes -> bytes
        | _ when Directory.Exists path -> Directory.GetFiles path |> Seq.sumBy (fun f -> FileInfo(f).Length)
        | _ -> FileInfo(match File.ResolveLinkTarget(path, true) with null -> path | target -> target.FullName).Length

    member _.Settings = settings
    /// What is known of adapters from their factors.
    member _.Traces = traces

    /// Makes the inner products of adapters known that these nodes rest on.
    member _.Require(bind: Node -> Node, nodes: Node list) = traces.Require(bind, nodes, settings.Threads, onEvent, cancellation)
    member _.Tell(e: Event) = onEvent e
    member _.Cancellation = cancellation

    /// Runs a step of work for these outputs; a fault's message says which expression it happened in.
    member _.During(saves: SaveRequest list, f: unit -> 'a) : 'a =
        try
            f ()
        with :? FaultException as e ->
            match saves with
            | [] -> raise (FaultException(e.Message, e))
            | _ ->
                let last (s: SaveRequest) = s.Provenance.Split('\n') |> Array.last
                let what = saves |> List.map (fun s -> $"`{last s}` to {s.Path}") |> List.distinct
                raise (FaultException($"{e.Message}\n  while saving {Suggest.listing what}", e))

    member private this.Execute(group: PlannedGroup, what: string, options: RunOptions) : RunResult =
        onEvent (Event.Started what)
        let told text = onEvent (Event.Warned text)
        let result = this.During(group.Saves, fun () -> settings.Choice.Run(group.Planned.Plan, options, told, progress, cancellation))
        warn result
        tellOutputs result
        onEvent (Event.Finished(result.BytesRead, result.BytesWritten, result.Elapsed))
        result

    member private this.ExecuteTelling(group: PlannedGroup, what: string, options: RunOptions) : RunResult =
        let result = this.Execute(group, what, options)
        tellMatrices group.Planned result
        result

    /// Runs the plan of a group, for a purpose.
    member this.Run(group: PlannedGroup, what: string) = this.ExecuteTelling(group, what, options settings.Resume settings.Incremental)

    /// The same; how near its matrices came is nobody's question.
    member this.RunQuietly(group: PlannedGroup, what: string) = this.Execute(group, what, options settings.Resume settings.Incremental)

    /// The same where nothing is to be left of outputs, nor taken from them.
    member this.RunAnew(group: PlannedGroup, what: string) = this.ExecuteTelling(group, what, options false false)

    /// A number's values with their labels: one for the model, or one per layer, floating tensor or row of one.
    member _.Read(group: PlannedGroup, result: RunResult option, number: ScalarResult) : (string * float) list =
        match number, result with
        | ScalarResult.Known v, _ -> [ "", v ]
        | ScalarResult.Result _, None -> []
        | ScalarResult.Result i, Some result ->
            let plan = group.Planned.Plan
            let values = result.Results[i]
            match plan.Scalars[plan.Results[i]].Extent with
            | Extent.All -> [ "", values[0] ]
            | Extent.Layer -> [ for l, v in Seq.zip result.Layers values -> Solving.layerName l, v ]
            | Extent.Tensor -> [ for k, t in Seq.indexed plan.Tensors do if t.Class >= 0 then t.Name, values[k] ]
            | _ ->
                let mutable at = 0L
                [ for t in plan.Tensors do
                      if t.Class >= 0 then
                          for r in 0L .. t.Shape.Rows - 1L -> $"{t.Name}[{r}]", values[int (at + r)]
                      at <- at + t.Shape.Rows ]

    /// Takes from the numbers those that are remembered, and adds what is worth remembering beside the others; the last tells it what a pass
    /// has found.
    member _.Recall(bind: Node -> Node, numbers: Node list) : (Node * (string * float) list) list * Node list * (Node -> (string * float) list -> unit) =
        match recall with
        | None -> [], numbers, (fun _ _ -> ())
        | Some recall ->
            let reference n = Batch.referenceOf program n |> Option.map (Batch.canonical program)
            let bound = numbers |> List.map (fun n -> n, reference n, Passes.simplify program.Graph (bind n))
            let known, unknown =
                bound |> List.partition (fun (_, r, b) -> r.IsSome && (recall.Values(r.Value, b)).IsSome)
            // Of what stands beside a number its list is that of the number.
            let over = Dictionary<int, int>()
            let beside =
                [ for n, r, b in unknown do
                      if r.IsSome then
                          over[n.Id] <- r.Value
                          for m in recall.Beside b do
                              if over.TryAdd(m.Id, r.Value) && reference m = r then m ]
            let learn (n: Node) values =
                match over.TryGetValue n.Id with
                | true, r -> recall.Learn(r, Passes.simplify program.Graph (bind n), values)
                | _ -> ()
            [ for n, r, b in known -> n, (recall.Values(r.Value, b)).Value ], (unknown |> List.map (fun (n, _, _) -> n)) @ beside, learn

    /// The values of numbers, with their labels, by node; one pass for all of them.
    member this.Numbers(bind: Node -> Node, numbers: Node list, what: string) : Dictionary<int, (string * float) list> =
        let found = Dictionary<int, (string * float) list>()
        let known, unknown, learn = this.Recall(bind, numbers)
        for n, values in known do
            found[n.Id] <- values
        this.Require(bind, unknown)
        for group in Batch.plan program bind [] unknown do
            let result = if group.NeedsNoRun then None else Some(this.Run(group, what))
            try
                for number, n in List.zip group.Planned.Scalars group.Numbers do
                    found[n.Id] <- this.Read(group, result, number)
                    learn n found[n.Id]
            finally
                result |> Option.iter (fun r -> r.Dispose())
        found
