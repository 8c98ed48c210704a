/// The local laws of the algebra: from a node to a simpler node of the same meaning, one line per rule.
namespace Tva.Dsl.Graph

open Tva.Core.Execution
open Tva.Core.Ops

/// A rewrite of one node; `Apply` gives nothing where the rule has nothing to say, else a simpler node.
type Rule =
    { Name: string
      Law: string
      Apply: Graph -> Node -> Node voption }

module Rules =

    /// An elementwise op by name, so that rules read like the laws they state.
    [<return: Struct>]
    let (|Call|_|) (n: Node) =
        match n.Op with
        | Apply i -> ValueSome(OpTable.All[i].Name, n.Args)
        | _ -> ValueNone

    /// Varies less than by element.
    let isNumber (n: Node) = n.Extent < Extent.Element

    /// An op of the table in float64.
    let host op (args: float[]) =
        let at i = if i < args.Length then args[i] else 0.0
        OpTable.All[op].Host.Invoke(at 0, at 1, at 2)

    let private rule name law apply = { Name = name; Law = law; Apply = apply }

    /// A rule whose right side is a node already there.
    let private only name law (pick: Node -> Node option) =
        rule name law (fun _ n -> match pick n with Some m -> ValueSome m | None -> ValueNone)

    /// A rule whose right side is a number.
    let private number name law (value: Node -> float option) =
        rule name law (fun g n -> match value n with Some v -> ValueSome(g.Const v) | None -> ValueNone)

    /// A rule whose right side is made.
    let private make name law (build: Graph -> Node -> Node option) =
        rule name law (fun g n -> match build g n with Some m -> ValueSome m | None -> ValueNone)

    let private allNumbers (args: Node[]) = args |> Array.forall (fun a -> a.Op.IsConst)
    let private value (n: Node) = match n.Op with Const v -> v | _ -> nan
    let private allSame (args: Node[]) = args |> Array.forall (fun a -> a.Id = args[0].Id)
    let private out (a: Node) (b: Node) = a.Id > b.Id

    let private ofConstant kind (args: Node[]) =
        match kind, args with
        | (ReduceKind.Sum | ReduceKind.SumAbs | ReduceKind.CountNonzero), [| Number 0.0 |] -> Some 0.0
        | ReduceKind.Dot, ([| Number 0.0; _ |] | [| _; Number 0.0 |]) -> Some 0.0
        | ReduceKind.MaxAbs, [| Number v |] -> Some(abs v)
        | (ReduceKind.Min | ReduceKind.Max), [| Number v |] -> Some v
        | ReduceKind.Quantile, [| Number v; _ |] -> Some v
        | _ -> None

    /// Laws of numbers and of ops.
    let arithmetic =
        [ number "numbers" "an op on numbers is a number" (fun n -> match n.Op with Apply op when allNumbers n.Args -> Some(host op (Array.map value n.Args)) | _ -> None)
          only "times one" "1·x = x" (function Call("mul", ([| x; Number 1.0 |] | [| Number 1.0; x |])) -> Some x | _ -> None)
          // NaN·0 and ∞·0 are given up on purpose: what has a zero coefficient isn't read.
          number "times zero" "0·x = 0" (function Call("mul", ([| _; Number 0.0 |] | [| Number 0.0; _ |])) -> Some 0.0 | _ -> None)
          only "plus zero" "x + 0 = x" (function Call("add", ([| x; Number 0.0 |] | [| Number 0.0; x |])) -> Some x | _ -> None)
          only "minus zero" "x - 0 = x" (function Call("sub", [| x; Number 0.0 |]) -> Some x | _ -> None)
          only "over one" "x / 1 = x" (function Call("div", [| x; Number 1.0 |]) -> Some x | _ -> None)
          number "zero over a number" "0 / k = 0 for a number k that only a run can tell" (function Call("div", [| Number 0.0; k |]) when isNumber k && not k.Op.IsConst -> Some 0.0 | _ -> None)
          only "double negation" "-(-x) = x" (function Call("neg", [| Call("neg", [| x |]) |]) -> Some x | _ -> None)
          number "power zero" "x^0 = 1" (function Call("pow", [| _; Number 0.0 |]) -> Some 1.0 | _ -> None)
          only "power one" "x^1 = x" (function Call("pow", [| x; Number 1.0 |]) -> Some x | _ -> None)
          make "square" "x^2 = x·x" (fun g n -> match n with Call("pow", [| x; Number 2.0 |]) -> Some(g.Apply("mul", n.Origin, x, x)) | _ -> None)
          make "cube" "x^3 = x·x·x" (fun g n -> match n with Call("pow", [| x; Number 3.0 |]) -> Some(g.Apply("mul", n.Origin, g.Apply("mul", n.Origin, x, x), x)) | _ -> None)
          make "root" "x^0.5 = √x" (fun g n -> match n with Call("pow", [| x; Number 0.5 |]) -> Some(g.Apply("sqrt", n.Origin, x)) | _ -> None)
          make "inverse" "x^-1 = 1/x" (fun g n -> match n with Call("pow", [| x; Number -1.0 |]) -> Some(g.Apply("div", n.Origin, g.Const 1.0, x)) | _ -> None)
          only "known condition" "where(1, a, b) = a, where(0, a, b) = b" (function Call("where", [| Number c; a; b |]) -> Some(if c <> 0.0 then a else b) | _ -> None)
          only "equal branches" "where(c, a, a) = a" (function Call("where", [| _; a; b |]) when a.Id = b.Id -> Some a | _ -> None)
          only "extremum of one" "min(x, x) = max(x, x) = x" (function Call(("min" | "max"), [| a; b |]) when a.Id = b.Id -> Some a | _ -> None)
          only "abs twice" "||x|| = |x|" (function Call("abs", [| Call("abs", _) as a |]) -> Some a | _ -> None)
          make "abs of negative" "|-x| = |x|" (fun g n -> match n with Call("abs", [| Call("neg", [| x |]) |]) -> Some(g.Apply("abs", n.Origin, x)) | _ -> None)
          make "commute" "a∘b = b∘a for mul, min, max, eq, ne, and, or" (fun g n -> match n with Call(("mul" | "min" | "max" | "eq" | "ne" | "and" | "or"), [| a; b |]) when out a b -> Some(g.Make(n.Op, [| b; a |], n.Origin)) | _ -> None) ]

    /// Laws of restrictions, choices and schedules.
    let scopes =
        [ only "restrict to everything" "x[everything] = x" (fun n -> match n.Op, n.Args with Restrict Everything, [| x |] -> Some x | _ -> None)
          number "restrict zero" "0[s] = 0" (fun n -> match n.Op, n.Args with Restrict _, [| Number 0.0 |] -> Some 0.0 | _ -> None)
          make "restrict twice" "x[t][s] = x[s and t]" (fun g n -> match n.Op, n.Args with Restrict s, [| { Op = Restrict t; Args = [| x |] } |] -> Some(g.Make(Restrict(if s = t then s else Both(s, t)), [| x |], n.Origin)) | _ -> None)
          make "choice is complete" "what stands after `everything` is never chosen" (fun g n -> match n.Op with Choose s when List.contains Everything s && List.findIndex ((=) Everything) s < s.Length - 1 -> (let k = List.findIndex ((=) Everything) s + 1 in Some(g.Make(Choose(List.take k s), Array.truncate k n.Args, n.Origin))) | _ -> None)
          only "equal choices" "{ a: x, else: x } = x" (fun n -> match n.Op with Choose s when List.contains Everything s && allSame n.Args -> Some n.Args[0] | _ -> None)
          only "flat ramp" "ramp(a, a, ...) = a" (fun n -> if n.Op.IsRamp && allSame n.Args then Some n.Args[0] else None) ]

    /// Laws of reductions, selection and chance.
    let reductions =
        [ make "numel" "the number of elements is that of the tensor set" (fun g n -> match n.Op with Numel _ when n.Args.Length > 0 -> Some(g.Make(n.Op, [||], n.Origin)) | _ -> None)
          number "reduce a constant" "Σ0 = 0, max|c| = |c|, min c = max c = c" (fun n -> match n.Op with Reduce(kind, _) -> ofConstant kind n.Args | _ -> None)
          make "dot commutes" "x·y = y·x" (fun g n -> match n.Op, n.Args with Reduce(ReduceKind.Dot, _), [| a; b |] when out a b -> Some(g.Make(n.Op, [| b; a |], n.Origin)) | _ -> None)
          number "keep of zero" "trim(0, d) = 0" (fun n -> match n.Op, n.Args with Keep, [| Number 0.0; _ |] -> Some 0.0 | _ -> None)
          only "keep all" "trim(x, 1) = x" (fun n -> match n.Op, n.Args with Keep, [| x; { Op = Reduce((ReduceKind.KeepLargest | ReduceKind.KeepLargestNonzero), _); Args = [| _; Number d |] } |] when d >= 1.0 -> Some x | _ -> None)
          number "keep none" "trim(x, 0) = 0" (fun n -> match n.Op, n.Args with Keep, [| _; { Op = Reduce((ReduceKind.KeepLargest | ReduceKind.KeepLargestNonzero), _); Args = [| _; Number 0.0 |] } |] -> Some 0.0 | _ -> None)
          number "matrix of zeros" "lowrank(0, r) = polar(0) = 0" (fun n -> match n.Op, n.Args[0..0] with Matrix kind, [| Number 0.0 |] when kind <> MatrixKind.SingularMerge -> Some 0.0 | _ -> None)
          only "drop none" "drop(x, 0) = x" (fun n -> match n.Op, n.Args with Drop _, [| x; Number 0.0; _ |] -> Some x | _ -> None)
          number "drop all" "drop(x, 1) = drop(0, p) = 0" (fun n -> match n.Op, n.Args with Drop _, ([| _; Number 1.0; _ |] | [| Number 0.0; _; _ |]) -> Some 0.0 | _ -> None) ]

    /// The value of a loop that rests on nothing but plain numbers.
    let private iterated (loop: Loop) (args: Node[]) =
        let count = args.Length / 2
        let state = Array.init count (fun i -> value args[i])
        let round = System.Collections.Generic.Dictionary<int, float>()
        let plain = System.Collections.Generic.HashSet<int>()
        let rec isPlain (n: Node) =
            plain.Contains n.Id
            || (match n.Op with
                | Const _ -> true
                | Carried(depth, _, _) -> depth = loop.Depth
                | Apply _
                | Linear -> n.Args |> Array.forall isPlain && plain.Add n.Id
                | _ -> false)
        let rec compute (n: Node) =
            match n.Op with
            | Const v -> v
            | Carried(_, i, _) -> state[i]
            | _ ->
                match round.TryGetValue n.Id with
                | true, v -> v
                | _ ->
                    let v =
                        match n.Op with
                        | Apply op -> host op (n.Args |> Array.map compute)
                        | _ -> pairs n |> List.sumBy (fun (k, x) -> compute k * compute x)
                    round[n.Id] <- v
                    v
        if Array.forall (fun (a: Node) -> a.Op.IsConst) (Array.truncate count args) && Array.forall isPlain args then
            for _ in 1 .. loop.Rounds do
                round.Clear()
                let next = Array.init count (fun i -> compute args[count + i])
                Array.blit next 0 state 0 count
            Some state[loop.Output]
        else
            None

    let loops =
        [ number "loop of numbers" "a loop over plain numbers is a number" (fun n -> match n.Op with Loop l -> iterated l n.Args | _ -> None) ]

    /// Everything that needs to see only a node and its arguments.
    let folding = arithmetic @ scopes @ reductions @ loops
