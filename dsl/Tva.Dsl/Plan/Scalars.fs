/// Numbers of a plan: from nodes coarser than an element to scalar definitions, each once.
namespace Tva.Dsl.Plan

open System
open System.Collections.Generic
open Tva.Core.Execution
open Tva.Core.Tensors
open Tva.Dsl.Graph

/// A loop whose round is being written. Values of a round are negative numbers, -1 - its register, where scalars of the plan are not.
type private Writing(states: int[]) =
    let code = List<LoopStep>()
    let known = Dictionary<struct (int * int * int * int), int>()
    let inputs = Dictionary<int, int>()
    let order = List<LoopInput>()
    let mutable registers = states.Length

    let fresh () =
        registers <- registers + 1
        registers - 1

    /// The register that holds a value.
    member _.Register(value: int) =
        if value < 0 then -1 - value
        else
            match inputs.TryGetValue value with
            | true, r -> r
            | _ ->
                let r = fresh ()
                inputs[value] <- r
                order.Add(LoopInput(r, value))
                r

    member w.Compute(op: int, args: int list) =
        let at i = if i < args.Length then w.Register args[i] else -1
        let key = struct (op, at 0, at 1, at 2)
        match known.TryGetValue key with
        | true, value -> value
        | _ ->
            let r = fresh ()
            code.Add(LoopStep(r, op, at 0, at 1, at 2))
            known[key] <- -1 - r
            -1 - r

    member val ByNode = Dictionary<int, int>()
    member _.State(index: int) = -1 - Array.IndexOf(states, index)
    member _.Finish(rounds, starts: int[], next: int[]) = ScalarLoop(rounds, registers, starts, order, code, next)

/// Collects a plan's scalars. `set` is the whole tensor list of the reference, `planned` the indices of those in the plan,
/// `slot` tells step and index of a reduction.
type Scalars(set: IReadOnlyList<TensorInfo>, planned: int[], slot: Node -> struct (int * int)) =
    let defs = List<ScalarDef>()
    let known = Dictionary<ScalarDef, int>(HashIdentity.Structural)
    // By their bits: NaN is no number that F# would find again, and -0 is another one than 0.
    let numbers = Dictionary<int64, int>()
    let byNode = Dictionary<int, int>()
    let free = Dictionary<int, bool>()
    let values = Dictionary<int, float[]>()
    let loops = Dictionary<string, ScalarLoop>()
    let mutable writing: Writing option = None
    let positions = lazy (planned |> Array.map (fun i -> Passes.position set set[i]))

    let op name = opNumber name

    /// Whether no data is needed to know it.
    let rec isFree (n: Node) =
        match free.TryGetValue n.Id with
        | true, f -> f
        | _ ->
            let f = not (n.Op.IsReduce || n.Op.IsCarried) && n.Args |> Array.forall isFree
            free[n.Id] <- f
            f

    let elements (pick: TensorInfo -> bool) =
        set |> Seq.filter (fun t -> t.DType.IsFloating() && pick t) |> Seq.sumBy (fun t -> float t.Shape.Elements)

    /// The value per planned tensor of what needs no data.
    let rec evaluate (n: Node) : float[] =
        match values.TryGetValue n.Id with
        | true, v -> v
        | _ ->
            let args = n.Args |> Array.map evaluate
            let each f = Array.init planned.Length f
            let v =
                match n.Op with
                | Const v -> each (fun _ -> v)
                | Given numbers -> each (fun t -> numbers.ByName[set[planned[t]].Name])
                | Apply op -> each (fun t -> Rules.host op (args |> Array.map (fun a -> a[t])))
                | Linear -> each (fun t -> Seq.sum (seq { for i in 0..2 .. args.Length - 1 -> args[i][t] * args[i + 1][t] }))
                | Restrict s -> each (fun t -> if selects s t then args[0][t] else 0.0)
                | Choose scopes ->
                    each (fun t ->
                        match scopes |> List.tryFindIndex (fun s -> selects s t) with
                        | Some i -> args[i][t]
                        | None -> 0.0)
                | Ramp -> each (fun t -> Array.fold2 (fun sum w (a: float[]) -> if w = 0.0 then sum else sum + w * a[t]) 0.0 (weights args.Length t) args)
                | Numel Extent.All -> (let all = elements (fun _ -> true) in each (fun _ -> all))
                | Numel Extent.Layer -> each (fun t -> elements (fun u -> u.Layer = set[planned[t]].Layer))
                | Numel Extent.Tensor -> each (fun t -> float set[planned[t]].Shape.Elements)
                | Numel Extent.Row -> each (fun t -> float set[planned[t]].Shape.RowLength)
                | Numel _ -> each (fun _ -> 1.0)
                | op -> invalidOp $"{op} is no number known beforehand"
            values[n.Id] <- v
            v

    and selects scope t = (let i = set[planned[t]] in TensorScope.selects i.Name i.Layer scope)

    /// How much of each argument a ramp takes at a tensor.
    and weights count t : float[] =
        let struct (i, j, x) = Passes.segment positions.Value[t] count
        Array.init count (fun k -> (if k = i then 1.0 - x else 0.0) + (if k = j && x > 0.0 then x else 0.0))

    let add (def: ScalarDef) =
        match def with
        | :? StaticScalar ->
            defs.Add def
            defs.Count - 1
        | _ ->
            match known.TryGetValue def with
            | true, i -> i
            | _ ->
                defs.Add def
                known[def] <- defs.Count - 1
                defs.Count - 1

    let number (v: float) =
        let bits = BitConverter.DoubleToInt64Bits v
        match numbers.TryGetValue bits with
        | true, i -> i
        | _ ->
            let i = add (StaticScalar(Extent.All, [| v |]))
            numbers[bits] <- i
            i

    let compute (name: string) (args: int list) =
        let extent = lazy (args |> List.map (fun a -> defs[a].Extent) |> List.max)
        match args with
        | _ when args |> List.exists (fun a -> a < 0) -> writing.Value.Compute(op name, args)
        | [ a ] -> add (ComputedScalar(extent.Value, op name, a))
        | [ a; b ] -> add (ComputedScalar(extent.Value, op name, a, b))
        | [ a; b; c ] -> add (ComputedScalar(extent.Value, op name, a, b, c))
        | _ -> invalidOp "one to three operands"

    let perTensor (f: int -> float) = add (StaticScalar(Extent.Tensor, Array.init planned.Length f))

    let flag b = if b then 1.0 else 0.0

    let rec index (n: Node) : int =
        // What no round changes is a number of the plan.
        let home = match writing with Some w when n.Inside <> 0 -> w.ByNode | _ -> byNode
        match home.TryGetValue n.Id with
        | true, i -> i
        | _ ->
            let i =
                match n.Op with
                | Const v -> number v
                | Carried(_, i, _) -> writing.Value.State i
                | Loop loop -> iterated n loop
                | Reduce _ -> (let struct (step, i) = slot n in add (ReducedScalar(n.Extent, step, i)))
                | _ when isFree n -> ofValues n (evaluate n)
                | Apply op ->
                    compute (Tva.Core.Ops.OpTable.All[op].Name) (n.Args |> Array.map index |> List.ofArray)
                | Linear -> sum n
                | Restrict s -> compute "where" [ perTensor (selects s >> flag); index n.Args[0]; number 0.0 ]
                | Choose scopes ->
                    (List.zip scopes (List.ofArray n.Args), number 0.0)
                    ||> List.foldBack (fun (s, x) rest ->
                        if s = Everything then index x else compute "where" [ perTensor (selects s >> flag); index x; rest ])
                | Ramp ->
                    // An argument without weight must not make a NaN of the sum.
                    [ for k in 0 .. n.Args.Length - 1 ->
                          let weight = perTensor (fun t -> (weights n.Args.Length t)[k])
                          compute "where" [ weight; compute "mul" [ weight; index n.Args[k] ]; number 0.0 ] ]
                    |> List.reduce (fun a b -> compute "add" [ a; b ])
                | op -> invalidOp $"{op} is no number"
            home[n.Id] <- i
            i

    /// The state of a loop after its rounds; only those states go round that it rests on.
    and iterated (n: Node) (loop: Loop) =
        let count = n.Args.Length / 2
        let needed = SortedSet<int>()
        let rec need i =
            if needed.Add i then
                for c in reachable [ n.Args[count + i] ] do
                    match c.Op with
                    | Carried(depth, j, _) when depth = loop.Depth -> need j
                    | _ -> ()
        need loop.Output
        let states = Array.ofSeq needed
        let key = String.Join(",", Seq.concat [ Seq.singleton loop.Rounds; Seq.ofArray states; n.Args |> Seq.map _.Id ])
        let made =
            match loops.TryGetValue key with
            | true, made -> made
            | _ ->
                let outer = writing
                let w = Writing(states)
                writing <- None
                let starts = states |> Array.map (fun i -> index n.Args[i])
                writing <- Some w
                let next = states |> Array.map (fun i -> w.Register(index n.Args[count + i]))
                writing <- outer
                let made = w.Finish(loop.Rounds, starts, next)
                loops[key] <- made
                made
        add (LoopScalar(n.Extent, made, Array.IndexOf(states, loop.Output)))

    and ofValues (n: Node) (v: float[]) =
        if n.Extent = Extent.All then number (if v.Length > 0 then v[0] else 0.0)
        elif n.Extent = Extent.Layer then
            // The engine numbers layers in the order in which they come.
            let first = planned |> Array.mapi (fun t i -> set[i].Layer, v[t]) |> Array.distinctBy fst
            add (StaticScalar(Extent.Layer, Array.map snd first))
        else add (StaticScalar(Extent.Tensor, v))

    /// c₀x₀ + c₁x₁ + ...; a coefficient that is one over an integer divides, so that 3/10 is 0.3.
    and sum (n: Node) =
        let term (k: Node, x: Node) =
            match k.Op, x.Op with
            | _, Const 1.0 -> index k
            | Const c, _ when c = 1.0 -> index x
            | Const c, _ when c = -1.0 -> compute "neg" [ index x ]
            | Const c, _ when abs c < 1.0 && abs (1.0 / c) < 9e15 && 1.0 / Math.Round(1.0 / c) = c -> compute "div" [ index x; number (Math.Round(1.0 / c)) ]
            | _ -> compute "mul" [ index k; index x ]
        let positive, rest = pairs n |> List.partition (fun (k, _) -> k.Op = Const 1.0)
        let ordered = positive @ rest
        (term ordered.Head, ordered.Tail) ||> List.fold (fun acc (k, x) ->
            match k.Op, x.Op with
            | Const -1.0, x' when x' <> Const 1.0 -> compute "sub" [ acc; index x ]
            | _ -> compute "add" [ acc; term (k, x) ])

    /// Over what a scalar holds; coarser than its node's where that is the same for all rows of a tensor, as its row length is.
    member _.Extent(index: int) = defs[index].Extent
    /// The scalar that is this node.
    member _.Index(n: Node) = index n
    member _.Number(v: float) = number v
    /// All so far; each refers only to earlier ones.
    member _.Definitions: ScalarDef list = List.ofSeq defs
