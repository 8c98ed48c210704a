/// Inner products of sums of low-rank adapters: from graphs to the products of factors that they need, and from these to numbers; nothing is expanded.
namespace Tva.Dsl

open System
open System.Collections.Generic
open System.Diagnostics
open System.Threading
open Tva.Core.Adapters
open Tva.Core.Execution
open Tva.Core.Tensors
open Tva.Dsl.Graph
open Tva.Dsl.Typing

/// ⟨Σ aᵢ·BᵢAᵢ, Σ bⱼ·BⱼAⱼ⟩ = Σ aᵢ·bⱼ·⟨BᵢAᵢ, BⱼAⱼ⟩, for every tensor by itself (arXiv 2106.09685 for the form of an adapter).
type Traces(program: Program) =
    let values = Dictionary<int, Op>()
    /// Those of which too little would be left after cancelling: they are measured element by element.
    let refused = HashSet<int>()

    let adapterOf (t: LowRankTerm) = program.Sources[t.Source].Checkpoint :?> AdapterCheckpoint

    /// Whether there is an adapter at all; most programs have none.
    let isIdle () = Seq.isEmpty program.Origins || seq { 0 .. program.Sources.Count - 1 } |> Seq.forall (program.IsLowRank >> not)

    let terms (n: Node) =
        match LowRankForm.terms program.Graph program.IsLowRank n with
        | Some found when found |> List.forall (fun t -> LowRankForm.isFree t.Coefficient) -> Some found
        | _ -> None

    /// The sums that a dot product is of, if both are of adapters over one base.
    let sums (n: Node) =
        match n.Op, n.Args with
        | Reduce(ReduceKind.Dot, (Extent.All | Extent.Layer | Extent.Tensor as extent)), [| a; b |] ->
            match terms a, (if a.Id = b.Id then terms a else terms b) with
            | Some(_ :: _ as x), Some(_ :: _ as y) ->
                match x @ y |> List.map (fun t -> program.Origins[t.Source]) |> List.distinct with
                | [ origin ] -> Some(extent, x, y, origin)
                | _ -> None
            | _ -> None
        | _ -> None

    let wanted (nodes: Node list) =
        if isIdle () then []
        else
            [ for n in reachable nodes do
                  if not (values.ContainsKey n.Id || refused.Contains n.Id) then
                      match sums n with
                      | Some s -> n, s
                      | None -> () ]

    let weights (tensors: TensorInfo[]) all (t: LowRankTerm) : float[] =
        let byTensor (info: TensorInfo) =
            if not (LowRankForm.selects info.Name info.Layer t) then 0.0
            else
                match t.Coefficient.Op with
                | Const c -> c
                | _ ->
                    match (Passes.simplifyFor program.Graph all info t.Coefficient).Op with
                    | Const c -> c
                    | Given numbers -> numbers.ByName[info.Name]
                    | op -> invalidOp $"{op} is no number known beforehand"
        tensors |> Array.map byTensor

    /// The value, and the sum of its terms' magnitudes.
    let evaluate extent (a: LowRankTerm list) (b: LowRankTerm list) origin : Op option =
        let all = program.Tensors origin
        let tensors = all |> Seq.filter _.DType.IsFloating() |> Array.ofSeq
        let found = Array.zeroCreate<float> tensors.Length
        let size = Array.zeroCreate<float> tensors.Length
        let left = a |> List.map (fun t -> t, weights tensors all t)
        let right = b |> List.map (fun t -> t, weights tensors all t)
        for x, wx in left do
            for y, wy in right do
                let products = program.Products.Of(adapterOf x, adapterOf y)
                for t in 0 .. tensors.Length - 1 do
                    let w = wx[t] * wy[t]
                    if w <> 0.0 then
                        match products.TryGetValue tensors[t].Name with
                        | true, p ->
                            found[t] <- found[t] + w * p
                            size[t] <- size[t] + abs (w * p)
                        | _ -> ()
        let isSquare = a = b
        // Of a square the root is taken: what cancels leaves half the digits of its rounding.
        let lost (v: float) (s: float) = isSquare && s > 0.0 && v < 1e-8 * s
        let square (v: float) = if isSquare then max v 0.0 else v
        let given extent (keys: int[]) =
            let sum = Dictionary<int, struct (float * float)>()
            keys |> Array.iteri (fun t key ->
                let struct (v, s) = match sum.TryGetValue key with | true, before -> before | _ -> struct (0.0, 0.0)
                sum[key] <- struct (v + found[t], s + size[t]))
            if sum.Values |> Seq.exists (fun (struct (v, s)) -> lost v s) then None
            else
                let value t = (let struct (v, _) = sum[keys[t]] in square v)
                Some(Given { ByName = Dictionary(tensors |> Seq.mapi (fun t info -> KeyValuePair(info.Name, value t))); Extent = extent })
        match extent with
        | Extent.All -> if lost (Array.sum found) (Array.sum size) then None else Some(Const(square (Array.sum found)))
        | Extent.Layer -> given Extent.Layer (tensors |> Array.map _.Layer)
        | _ -> given Extent.Tensor (tensors |> Array.mapi (fun t _ -> t))

    let replaceBy (value: Node -> Op option) (node: Node) =
        let rec go (n: Node) =
            let simple = Passes.simplify program.Graph n
            let known (n: Node) = value n |> Option.map (fun op -> program.Graph.Make(op, [||], n.Origin))
            let m = List.head (replace program.Graph known [ simple ])
            if m.Id = simple.Id then simple else go m
        if isIdle () then node else go node

    /// The node with the products that are known.
    member _.Bind(node: Node) =
        replaceBy (fun n -> match values.TryGetValue n.Id with | true, op -> Some op | _ -> None) node

    /// The node with ones for the products that a run would take from factors.
    member _.Stand(node: Node) =
        let one (n: Node) =
            match values.TryGetValue n.Id, sums n with
            | (true, op), _ -> Some op
            | _, Some(Extent.All, _, _, _) -> Some(Const 1.0)
            | _, Some(extent, _, _, origin) ->
                values[n.Id] <- Given { ByName = Dictionary(program.Tensors origin |> Seq.map (fun t -> KeyValuePair(t.Name, 1.0))); Extent = extent }
                Some values[n.Id]
            | _ -> None
        replaceBy one node

    /// Makes the products known that these nodes rest on, inner ones first; `bind` must use `Bind`.
    member _.Require(bind: Node -> Node, nodes: Node list, threads: int, tell: Event -> unit, cancellation: CancellationToken) =
        let rec go (nodes: Node list) =
            match wanted nodes with
            | [] -> ()
            | found ->
                let pairs =
                    HashSet [ for _, (_, a, b, _) in found do
                                  for x in a do
                                      for y in b do
                                          struct (adapterOf x, adapterOf y) ]
                if pairs |> Seq.exists (fun (struct (a, b)) -> not (program.Products.Has(a, b))) then
                    let watch = Stopwatch.StartNew()
                    tell (Event.Started "multiplying the adapters' factors")
                    let read = program.Products.Require(pairs, threads, cancellation)
                    tell (Event.Finished(read, 0L, watch.Elapsed))
                for n, (extent, a, b, origin) in found do
                    match evaluate extent a b origin with
                    | Some op -> values[n.Id] <- op
                    | None -> refused.Add n.Id |> ignore
                go (nodes |> List.map bind)
        if not (isIdle ()) then
            go (nodes |> List.map bind)
