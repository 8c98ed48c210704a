/// Keeps a session's checkpoints in memory: from a value to the sources it reads, and from those to the same held in memory.
module Tva.Dsl.Pinning

open System
open System.Diagnostics
open System.Threading
open Tva.Core
open Tva.Core.Checkpoints
open Tva.Core.Execution
open Tva.Core.Tensors
open Tva.Dsl.Graph
open Tva.Dsl.Typing

/// What a run needs at least beside what is pinned.
let private room = 64L <<< 20

/// What it reads, but for low-rank adapters: their factors are small, and what is known of them is not of a checkpoint held in full.
let private sourcesOf (program: Program) (value: Value) : int list =
    let rec nodes value =
        match value with
        | Value.Tensor t -> [ t.Node ]
        | Value.Family ms -> ms |> List.map (fun (_, t) -> t.Node)
        | Value.Basis b -> (b.Atoms @ Option.toList b.Mean) |> List.map _.Node
        | Value.Scalar n
        | Value.Bool n -> [ n ]
        | Value.List items -> items |> List.collect nodes
        | Value.Named items -> items |> List.collect (snd >> nodes)
        | _ -> []
    reachable (nodes value)
    |> Seq.choose (fun n -> match n.Op with Op.Source i when i >= 0 && not (program.IsLowRank i) -> Some i | _ -> None)
    |> Seq.distinct
    |> List.ofSeq

let private load (program: Program) (settings: RunSettings) (sources: int list) (onEvent: Event -> unit) (cancellation: CancellationToken) =
    let isPinned i = program.Sources[i].Checkpoint :? PinnedCheckpoint
    let missing = sources |> List.filter (isPinned >> not)
    let held = program.Sources |> Seq.sumBy (fun s -> match s.Checkpoint with :? PinnedCheckpoint as c -> c.Held | _ -> 0L)
    let wanted = missing |> List.sumBy (fun i -> PinnedCheckpoint.BytesFor program.Sources[i].Checkpoint)
    if held + wanted + room > settings.Memory then
        let size (n: int64) = Sizes.Text n
        let sum = $"{size wanted} to pin, {size held} pinned already and {size room} to compute with"
        // Whole MiB, rounded up: a size that can be set.
        let enough = (held + wanted + room + (1L <<< 20) - 1L) >>> 20
        raise (FaultException $"{sum} are more than the memory of {size settings.Memory}; :set memory {enough}MiB, or pin less")
    for i in missing do
        let s = program.Sources[i]
        let watch = Stopwatch.StartNew()
        onEvent (Event.Started $"pinning {s.Path}")
        let progress =
            { new IProgress<struct (int64 * int64)> with
                member _.Report(struct (d, total)) = onEvent (Event.Progressed(RunProgress(d, total))) }
        let pinned = PinnedCheckpoint.Load(s.Checkpoint, settings.Threads, progress, cancellation)
        program.Sources[i] <- { s with Checkpoint = pinned }
        onEvent (Event.Finished(pinned.Held, 0L, watch.Elapsed))
    [ for i in sources ->
          let s = program.Sources[i]
          $"pinned {s.Path} ({Sizes.Text (PinnedCheckpoint.BytesFor s.Checkpoint)})" ]

/// Pins what a value reads; a line for each source.
let pin (program: Program) (settings: RunSettings) (value: Value) onEvent cancellation : string list =
    match sourcesOf program value with
    | [] -> raise (FaultException "it reads no checkpoint, so there is nothing to pin")
    | sources -> load program settings sources onEvent cancellation

/// Pins what was pinned before its files were opened again.
let again (program: Program) (settings: RunSettings) (paths: string list) onEvent cancellation =
    let sources = [ for i, s in Seq.indexed program.Sources do if List.contains s.Checkpoint.Path paths then i ]
    load program settings sources onEvent cancellation |> ignore

/// Gives the memory back; what was pinned is read from its files again.
let unpin (program: Program) =
    for i in 0 .. program.Sources.Count - 1 do
        match program.Sources[i].Checkpoint with
        | :? PinnedCheckpoint as c -> program.Sources[i] <- { program.Sources[i] with Checkpoint = c.Release() }
        | _ -> ()
