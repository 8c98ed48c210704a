/// Simplifies graphs: from nodes as the text has them to nodes of the same meaning that compute and read less.
namespace Tva.Dsl.Graph

open System
open System.Collections.Generic
open System.Runtime.CompilerServices
open Tva.Core.Execution
open Tva.Core.Tensors
open Rules

/// What a pass did to a set of roots: reachable nodes before and after, and how often each rule applied.
type PassReport =
    { Pass: string
      Before: int
      After: int
      Fired: (string * int) list }

/// Rewrites by local rules, arguments first, until none applies; every node once.
type Rewriter(g: Graph, rules: Rule list, fired: string -> unit) =
    let memo = Dictionary<int, Node>()

    /// Applies the rules to one node, not to its arguments.
    let rec fold (n: Node) =
        let rec first rules =
            match rules with
            | [] -> n
            | r :: rest ->
                match r.Apply g n with
                | ValueSome m when m.Id <> n.Id ->
                    fired r.Name
                    fold m
                | _ -> first rest
        first rules

    let rec rewrite (n: Node) =
        match memo.TryGetValue n.Id with
        | true, r -> r
        | _ ->
            let args = n.Args |> Array.map rewrite
            let same = Array.forall2 (fun (a: Node) (b: Node) -> a.Id = b.Id) args n.Args
            let n1 = if same then n else g.Make(n.Op, args, n.Origin)
            let n2 = fold n1
            let r = if n2.Id = n.Id then n else rewrite n2
            memo[n.Id] <- r
            memo[r.Id] <- r
            r

    member _.Fold(n: Node) = fold n
    member _.Rewrite(n: Node) = rewrite n
    member _.Freeze(n: Node) = memo[n.Id] <- n

/// The passes over one graph, with what they have found out so far.
type Simplifier(g: Graph) =
    let counts = Dictionary<string, int>()
    let fired name =
        counts[name] <- (match counts.TryGetValue name with | true, n -> n | _ -> 0) + 1
    let local = Rewriter(g, folding, fired)
    let sums = LinearForm(g, local.Fold, fired)

    /// The passes, in order; the list is run until nothing changes.
    member _.Passes: (string * (Node -> Node)) list =
        [ "fold constants", local.Rewrite
          "collect linear terms", sums.Normalize ]

    /// Leaves the node as it is from now on, in whatever it appears.
    member _.Freeze(n: Node) =
        local.Freeze n
        sums.Freeze n

    /// Forgets and returns how often each rule applied since the last call.
    member _.TakeFired() =
        let all = [ for c in counts -> c.Key, c.Value ] |> List.sortByDescending snd
        counts.Clear()
        all

    static member val private All = ConditionalWeakTable<Graph, Simplifier>()

    /// The simplifier that goes with a graph.
    static member Of(g: Graph) = Simplifier.All.GetValue(g, fun g -> Simplifier g)

module Passes =

    /// What is wrong with a graph; for checks between passes.
    let verify (roots: Node seq) =
        [ for n in reachable roots do
              let arity =
                  match n.Op with
                  | Const _
                  | Source _
                  | Late _
                  | Given _
                  | Carried _ -> n.Args.Length = 0
                  | Loop l -> n.Args.Length % 2 = 0 && l.Output >= 0 && l.Output < n.Args.Length / 2
                  | Apply op -> n.Args.Length = Tva.Core.Ops.OpTable.All[op].Arity
                  | Linear -> n.Args.Length > 0 && n.Args.Length % 2 = 0
                  | Restrict _ -> n.Args.Length = 1
                  | Choose s -> n.Args.Length = s.Length && s <> []
                  | Ramp -> n.Args.Length > 0
                  | Numel _ -> n.Args.Length <= 1
                  | Reduce((ReduceKind.Dot | ReduceKind.KeepLargest | ReduceKind.KeepLargestNonzero | ReduceKind.Quantile), _) -> n.Args.Length = 2
                  | Reduce _ -> n.Args.Length = 1
                  | Keep -> n.Args.Length = 2
                  | Rank _ -> n.Args.Length = 1
                  | Drop _ -> n.Args.Length = 3
                  | Matrix MatrixKind.Polar -> n.Args.Length = 1
                  | Matrix MatrixKind.SingularMerge -> n.Args.Length > 1
                  | Matrix _ -> n.Args.Length = 2
              if not arity then
                  $"node {n.Id} ({n.Op}) has {n.Args.Length} arguments"
              if n.Op = Linear && arity && pairs n |> List.exists (fun (k, _) -> not (isNumber k)) then
                  $"node {n.Id} has a coefficient that varies by element"
              if n.Op.IsCarried && n.Extent = Extent.Element then
                  $"node {n.Id} is a vector that no loop has"
              if n.Op.IsReduce && n.Inside <> 0 then
                  $"node {n.Id} is a reduction inside a loop"
              if n.Op = Keep && arity && not (n.Args[1].Op.IsReduce || n.Args[1].Op.IsConst) then
                  $"node {n.Id} keeps by something that is no selection" ]

    let private check (name: string) (roots: Node list) =
#if DEBUG
        match verify roots with
        | [] -> ()
        | faults -> invalidOp $"after {name}: {String.Join(Environment.NewLine, faults)}"
#else
        ignore (name, roots)
#endif

    /// One round is nearly always enough; more than this would be a rule pair that undoes each other.
    let private rounds = 8

    /// Runs the passes over the roots until nothing changes, reporting each that changed something.
    let run (g: Graph) (report: PassReport -> unit) (roots: Node list) =
        let s = Simplifier.Of g
        let same = List.forall2 (fun (a: Node) (b: Node) -> a.Id = b.Id)
        s.TakeFired() |> ignore
        let pass roots (name, rewrite) =
            let after = roots |> List.map rewrite
            if not (same roots after) then
                report
                    { Pass = name
                      Before = (reachable roots).Count
                      After = (reachable after).Count
                      Fired = s.TakeFired() }
                check name after
            after
        let rec go round roots =
            let after = s.Passes |> List.fold pass roots
            if round = rounds || same roots after then after else go (round + 1) after
        go 1 roots

    // Most calls are for a node already simple, so nothing is counted for reports.
    let private quickly (g: Graph) (node: Node) =
        let s = Simplifier.Of g
        let rec go round (n: Node) =
            let m = s.Passes |> List.fold (fun n (_, rewrite) -> rewrite n) n
            if round = rounds || m.Id = n.Id then m else go (round + 1) m
        go 1 node

    /// The node of the same meaning in normal form.
    let simplify (g: Graph) (node: Node) : Node = quickly g node

    /// Components of a name that mark a tensor without a layer as standing after the last layer: heads, final norms and projections
    /// as Transformers, timm, OpenCLIP, Mamba and llama.cpp name them.
    let private closing =
        HashSet(
            [ "lm_head"; "head"; "heads"; "score"; "classifier"; "qa_outputs"; "predictions"; "pooler"; "output"; "embed_out"; "unembed"
              "norm"; "norm_f"; "ln"; "ln_f"; "ln_post"; "ln_final"; "output_norm"; "final"; "final_norm"; "final_layernorm"; "final_layer_norm"
              "post_layernorm"; "fc"; "fc_norm"; "proj"; "text_projection"; "visual_projection"; "logit_scale" ]
        )

    /// An embedding's own norm or projection stands with it, before the first layer, whatever it is called.
    let private isClosing (name: string) =
        let parts = name.Split '.'
        let embeds (part: string) = part.Contains("embed", StringComparison.Ordinal) && not (closing.Contains part)
        not (Array.exists embeds parts) && Array.exists closing.Contains parts

    /// What stands in a name before its layer: `model.layers` and `vision_tower.blocks` are two series of layers in one model.
    let series (t: TensorInfo) =
        let isNumber (part: string) = part.Length > 0 && Seq.forall Char.IsAsciiDigit part
        String.Join('.', t.Name.Split '.' |> Array.takeWhile (isNumber >> not))

    let private lastLayers = ConditionalWeakTable<IReadOnlyList<TensorInfo>, Dictionary<string, int>>()

    /// Where a tensor stands in a schedule, from 0 (layer 0) to 1 (the last layer of its series).
    let position (tensors: IReadOnlyList<TensorInfo>) (t: TensorInfo) =
        if t.Layer > 0 then
            let lasts = lastLayers.GetValue(tensors, fun ts ->
                ts |> Seq.filter (fun t -> t.Layer >= 0) |> Seq.groupBy series |> Seq.map (fun (name, members) -> KeyValuePair(name, members |> Seq.map _.Layer |> Seq.max)) |> Dictionary)
            let last = match lasts.TryGetValue(series t) with | true, l -> max l t.Layer | _ -> t.Layer
            float t.Layer / float last
        elif t.Layer < 0 && isClosing t.Name then 1.0
        else 0.0

    /// The two arguments of a ramp a position lies between, and how far it is from the first to the second (0: at the first).
    let segment (position: float) (count: int) =
        let x = position * float (count - 1)
        let i = min (int x) (count - 1)
        struct (i, min (i + 1) (count - 1), x - float i)

    /// Replaces scopes by what they are for one tensor. `pick` is told the scope, `ramp` the ramp with its arguments done;
    /// reductions over a layer or the model stay as they are, being the same number for other tensors too.
    let resolve (g: Graph) (pick: TensorScope -> bool) (ramp: Node -> Node) (memo: Dictionary<int, Node>) (node: Node) =
        let fold = Rewriter(g, folding, ignore).Fold
        let rec go (n: Node) : Node =
            match memo.TryGetValue n.Id with
            | true, r -> r
            | _ ->
                let r =
                    match n.Op with
                    | Restrict s -> if pick s then go n.Args[0] else g.Const 0.0
                    | Choose scopes ->
                        match scopes |> List.tryFindIndex pick with
                        | Some i -> go n.Args[i]
                        | None -> g.Const 0.0
                    | Reduce(_, (Extent.All | Extent.Layer)) -> n
                    // One node stands for the numbers of all tensors, so it is left alone unless here it is known.
                    | Reduce _ ->
                        match (fold (g.Make(n.Op, n.Args |> Array.map go, n.Origin))).Op with
                        | Const v -> g.Const v
                        | _ -> n
                    | Keep -> rebuild n [| go n.Args[0]; n.Args[1] |]
                    | Ramp -> ramp (rebuild n (n.Args |> Array.map go))
                    | _ -> rebuild n (n.Args |> Array.map go)
                memo[n.Id] <- r
                r
        and rebuild n args =
            if Array.forall2 (fun (a: Node) (b: Node) -> a.Id = b.Id) args n.Args then n else g.Make(n.Op, args, n.Origin)
        go node

    /// A ramp's value at a position.
    let rampAt (g: Graph) (position: float) (ramp: Node) =
        if not ramp.Op.IsRamp then
            ramp
        else
            let struct (i, j, t) = segment position ramp.Args.Length
            if t = 0.0 || ramp.Args[i].Id = ramp.Args[j].Id then
                ramp.Args[i]
            else
                g.Make(Linear, [| g.Const(1.0 - t); ramp.Args[i]; g.Const t; ramp.Args[j] |], ramp.Origin)

    /// The node as it is for one tensor of a set: scopes resolved, ramps at their value.
    let simplifyFor (g: Graph) (tensors: IReadOnlyList<TensorInfo>) (t: TensorInfo) (node: Node) : Node =
        let pick = TensorScope.selects t.Name t.Layer
        node |> resolve g pick (fun ramp -> rampAt g (position tensors t) ramp) (Dictionary()) |> quickly g

    /// Replaces the late numbers that are known by now.
    let bind (g: Graph) (values: int -> Op option) (node: Node) : Node =
        let known (n: Node) =
            match n.Op with
            | Late(i, _) -> values i |> Option.map (fun op -> g.Make(op, [||], n.Origin))
            | _ -> None
        List.head (replace g known [ node ])
