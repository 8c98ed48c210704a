/// Decides what is computed when: from roots and groups of tensors to the reductions that are needed, the step of each, and what each group feeds them.
namespace Tva.Dsl.Plan

open System.Collections.Generic
open Tva.Core.Execution
open Tva.Dsl.Graph

/// The result of fusing: every reduction once, at the earliest step at which what it reads is known.
type Fused =
    { /// Output roots as they are for each group: by group, by output.
      Roots: Node[][]
      /// Reductions per step, in order of their nodes.
      Steps: Node[][]
      /// Matrices per step, in order of their nodes.
      Matrices: Node[][]
      /// What a group computes for a reduction or a matrix, by (group, node); the streams it takes.
      Feeds: Dictionary<struct (int * int), Node[]>
      /// The step a value is known in.
      Level: Node -> int
      /// Step and index of a reduction, or of a matrix.
      Slot: Node -> struct (int * int) }

module Fuse =

    /// The reductions and matrices an expression depends on directly; a selection that keeps elements is one of them.
    let reductionsIn =
        let rec visit (seen: HashSet<int>) (found: List<Node>) (n: Node) =
            if seen.Add n.Id then
                if isFound n then found.Add n else Array.iter (visit seen found) n.Args
        fun (n: Node) ->
            let found = List<Node>()
            visit (HashSet()) found n
            found

    /// The streams of a reduction or a matrix and, where it takes one, its number.
    let parts (reduction: Node) =
        match reduction.Op with
        | Matrix MatrixKind.Polar -> reduction.Args, None
        | Matrix _ -> Array.take (reduction.Args.Length - 1) reduction.Args, Some(Array.last reduction.Args)
        | Reduce((ReduceKind.KeepLargest | ReduceKind.KeepLargestNonzero | ReduceKind.Quantile), _) -> [| reduction.Args[0] |], Some reduction.Args[1]
        | _ -> reduction.Args, None

    let private extentOf (reduction: Node) = reduction.Extent

    let private kindOf (reduction: Node) =
        match reduction.Op with
        | Reduce(kind, _) -> kind
        | _ -> invalidOp "not a reduction"

    /// Whether streams leave the reduction as it is: then nothing is computed for it.
    let contributesNothing (reduction: Node) (streams: Node[]) =
        if reduction.Op.IsMatrix then false else
        match kindOf reduction with
        // An extremum and a quantile notice zeros.
        | ReduceKind.Min
        | ReduceKind.Max
        | ReduceKind.Quantile -> false
        | _ -> streams |> Array.exists (fun s -> s.Op = Const 0.0)

    /// `kept` are matrices wanted for themselves.
    let run (groups: Group[]) (outputs: Node list) (scalars: Node list) (kept: Node list) : Fused =
        let cache = Dictionary<int, List<Node>>()
        let direct (n: Node) =
            match cache.TryGetValue n.Id with
            | true, r -> r
            | _ ->
                let r = reductionsIn n
                cache[n.Id] <- r
                r
        let feeds = Dictionary<struct (int * int), Node[]>()
        let needed = SortedDictionary<int, Node>()

        // A reduction over the model or a layer wants every tensor of it, one over a tensor or a row only those that use it.
        let rec need (user: int) (r: Node) =
            needed[r.Id] <- r
            let contributors =
                match extentOf r with
                | Extent.All -> [ 0 .. groups.Length - 1 ]
                | Extent.Layer -> [ 0 .. groups.Length - 1 ] |> List.filter (fun i -> groups[i].Layers.Overlaps groups[user].Layers)
                | _ -> [ user ]
            for c in contributors do
                let key = struct (c, r.Id)
                if not (feeds.ContainsKey key) then
                    let streams, number = parts r
                    let streams = streams |> Array.map groups[c].Resolve
                    feeds[key] <- streams
                    if not (contributesNothing r streams) then
                        for s in streams do
                            for inner in direct s do
                                need c inner
                    for n in Option.toList number do
                        for inner in direct n do
                            need c inner

        let roots = groups |> Array.map (fun group -> outputs |> List.map group.Resolve |> Array.ofList)
        for c in 0 .. groups.Length - 1 do
            for root in roots[c] do
                for r in direct root do
                    need c r
        for k in kept do
            for c in 0 .. groups.Length - 1 do
                for r in direct (groups[c].Resolve k) do
                    need c r
        for s in scalars do
            for r in direct s do
                for c in 0 .. groups.Length - 1 do
                    need c r

        let levels = Dictionary<int, int>()
        let rec level (n: Node) = (0, direct n) ||> Seq.fold (fun m r -> max m (stepOf r + 1))
        and stepOf (r: Node) : int =
            match levels.TryGetValue r.Id with
            | true, l -> l
            | _ ->
                let _, number = parts r
                let mutable l = number |> Option.map level |> Option.defaultValue 0
                for c in 0 .. groups.Length - 1 do
                    match feeds.TryGetValue(struct (c, r.Id)) with
                    | true, streams when not (contributesNothing r streams) ->
                        for s in streams do
                            l <- max l (level s)
                    | _ -> ()
                levels[r.Id] <- l
                l

        let byStep = needed.Values |> Seq.groupBy stepOf |> dict
        let last =
            // What is only copied needs a pass too.
            Seq.fold max (if outputs.IsEmpty then -1 else 0) (Seq.append byStep.Keys (seq { for rs in roots do for r in rs -> level r }))
        let found wanted =
            [| for s in 0..last ->
                   match byStep.TryGetValue s with
                   | true, rs -> rs |> Seq.filter wanted |> Array.ofSeq
                   | _ -> [||] |]
        let steps = found _.Op.IsReduce
        let matrices = found _.Op.IsMatrix
        let slots = Dictionary<int, struct (int * int)>()
        for steps in [ steps; matrices ] do
            steps |> Array.iteri (fun s rs -> rs |> Array.iteri (fun i r -> slots[r.Id] <- struct (s, i)))
        { Roots = roots
          Steps = steps
          Matrices = matrices
          Feeds = feeds
          Level = level
          Slot = fun r -> slots[r.Id] }
