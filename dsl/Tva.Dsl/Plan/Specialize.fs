/// Graphs as they are for one tensor: from the scopes and schedules in them to groups of tensors for which they come out the same.
namespace Tva.Dsl.Plan

open System.Collections.Generic
open System.Text
open Tva.Core.Execution
open Tva.Core.Tensors
open Tva.Dsl.Graph

/// Tensors for which every scope says the same and every schedule is equally 0, 1 or in between.
type Group =
    { /// Indices in the set's tensor list.
      Members: int list
      Layers: HashSet<int>
      /// The node as it is for these tensors, simplified.
      Resolve: Node -> Node }

module Specialize =

    /// A schedule is a number per tensor, not part of the kernel, except where it is exactly 0 or 1: then terms vanish.
    /// A schedule between tensors (rather than numbers) takes part in the kernel with its weights.
    let private resolveRamp (g: Graph) position (ramp: Node) =
        if ramp.Extent = Extent.Element then
            Passes.rampAt g position ramp
        else
            let struct (i, j, t) = Passes.segment position ramp.Args.Length
            let value =
                match ramp.Args[i].Op, ramp.Args[j].Op with
                | Const a, Const b -> Some(if t = 0.0 then a else (1.0 - t) * a + t * b)
                | Const a, _ when t = 0.0 -> Some a
                | _ -> None
            match value with
            | Some(0.0 | 1.0 as v) -> g.Const v
            | _ -> ramp

    /// What is the same for two tensors whose ramps resolve the same way.
    let private rampSignature position (ramp: Node) =
        let struct (i, j, t) = Passes.segment position ramp.Args.Length
        match ramp.Args[i].Op, ramp.Args[j].Op with
        | Const a, Const b when ramp.Args |> Array.forall _.Op.IsConst ->
            match (if t = 0.0 then a else (1.0 - t) * a + t * b) with
            | 0.0 -> "0"
            | 1.0 -> "1"
            | _ -> "r"
        | _ -> $"{i}+{t};"

    /// Groups of the set's floating tensors, in order of their first members.
    let groups (g: Graph) (tensors: IReadOnlyList<TensorInfo>) (roots: Node list) : Group list =
        let nodes = reachable roots
        let scopes =
            nodes
            |> Seq.collect (fun n ->
                match n.Op with
                | Restrict s -> [ s ]
                | Choose s -> s
                | _ -> [])
            |> Seq.distinct
            |> Array.ofSeq
        let ramps = nodes |> Seq.filter _.Op.IsRamp |> Array.ofSeq
        let signature (t: TensorInfo) =
            let b = StringBuilder()
            for s in scopes do
                b.Append(if TensorScope.selects t.Name t.Layer s then '1' else '0') |> ignore
            if ramps.Length > 0 then
                let position = Passes.position tensors t
                for r in ramps do
                    b.Append(rampSignature position r) |> ignore
            b.ToString()
        // The nodes that keep their meaning for all tensors must also keep their identity.
        let simplifier = Simplifier.Of g
        for n in nodes do
            if n.Op.IsReduce then
                simplifier.Freeze n
        [ 0 .. tensors.Count - 1 ]
        |> List.filter (fun i -> tensors[i].DType.IsFloating())
        |> List.groupBy (fun i -> signature tensors[i])
        |> List.map (fun (key, members) ->
            let first = tensors[members.Head]
            let place = Array.init scopes.Length (fun i -> KeyValuePair(scopes[i], key[i] = '1')) |> Dictionary
            let memo = Dictionary<int, Node>()
            // Where a tensor stands takes a look at all names.
            let ramp = if ramps.Length = 0 then id else resolveRamp g (Passes.position tensors first)
            { Members = members
              Layers = HashSet(members |> Seq.map (fun i -> tensors[i].Layer))
              Resolve = fun n -> n |> Passes.resolve g (fun s -> place[s]) ramp memo |> Passes.simplify g })
