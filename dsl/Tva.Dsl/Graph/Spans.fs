/// Vectors as sums over a few others, with numbers for coefficients: what lets a loop over vectors carry numbers alone.
namespace Tva.Dsl.Graph

open System
open System.Collections.Generic
open Tva.Core.Execution
open Rules

/// What is no sum of vectors, or measured by more than dot products: each round would need another pass over the data.
exception LeavesSpan of node: Node * why: string

/// Takes apart the nodes of one graph. `carried` tells the sum that a loop's vector is; what it gives may change between calls of `Forget`.
type Spans(g: Graph, carried: int -> (Node * Node) list) =
    let zero = g.Const 0.0
    let one = g.Const 1.0
    let terms = Dictionary<int, (Node * Node) list>()
    let sums = Dictionary<int, (Node * Node) list>()
    let numbers = Dictionary<int, Node>()
    let plain = Dictionary<int, bool>()
    let rests = Dictionary<int, bool>()
    let kept = List<Node>()
    let rows = List<Dictionary<int, float> * Dictionary<int, float>>()
    let found = Dictionary<int, (float * Node) list>()

    let call name (origin: Tva.Dsl.Span) args = g.Make(Apply(opNumber name), args, origin)

    let times (a: Node) (b: Node) =
        match a, b with
        | Number 0.0, _
        | _, Number 0.0 -> zero
        | Number 1.0, x
        | x, Number 1.0 -> x
        | Number -1.0, x
        | x, Number -1.0 -> call "neg" Tva.Dsl.Span.None [| x |]
        | _ -> call "mul" Tva.Dsl.Span.None [| a; b |]

    /// Σ of products, in order; a Linear node, so that a sum over T members is one node.
    let total (products: (Node * Node) list) =
        match products |> List.filter (fun (k, x) -> k.Op <> Const 0.0 && x.Op <> Const 0.0) with
        | [] -> zero
        | [ k, x ] -> times k x
        | many -> g.Make(Linear, [| for k, x in many do k; x |], Tva.Dsl.Span.None)

    let plus (ks: Node list) = total (ks |> List.map (fun k -> one, k))

    let rec restsOnReduction (n: Node) =
        match rests.TryGetValue n.Id with
        | true, r -> r
        | _ ->
            let r = n.Op.IsReduce || n.Args |> Array.exists restsOnReduction
            rests[n.Id] <- r
            r

    let constant (n: Node) = n.Inside = 0 && (Passes.simplify g n).Op.IsConst

    /// What a vector may have in it: a plain number, or one that varies and is known beforehand, such as a schedule. Taken for a coefficient,
    /// that would keep a norm over the whole model from coming apart.
    let settled (n: Node) = constant n || (n.Inside = 0 && n.Extent > Extent.All && not (restsOnReduction n))

    /// A vector with settled numbers for coefficients: kept whole, so that task vectors come out as differences.
    let rec isPlain (n: Node) =
        match plain.TryGetValue n.Id with
        | true, p -> p
        | _ ->
            let p =
                n.Inside = 0
                && (match n with
                    | _ when isNumber n -> false
                    | Call(("add" | "sub" | "neg"), args) -> args |> Array.forall isPlain
                    | Call("mul", [| a; b |]) when isNumber a -> settled a && isPlain b
                    | Call(("mul" | "div"), [| a; b |]) when isNumber b -> settled b && isPlain a
                    | Call("where", [| c; _; _ |]) when isNumber c -> false
                    | { Op = Linear } -> pairs n |> List.forall (fun (k, x) -> settled k && isPlain x)
                    | { Op = Restrict _ } -> isPlain n.Args[0]
                    | _ -> true)
            plain[n.Id] <- p
            p

    /// A vector as a row over what it is a plain sum of.
    let rowOf (v: Node) =
        match v.Op with
        | Linear -> Dictionary(dict [ for k, x in pairs v -> (match k.Op with Const c -> x.Id, c | _ -> (times k x).Id, 1.0) ])
        | _ -> Dictionary(dict [ v.Id, 1.0 ])

    /// Below this share of what it was computed from, a number is the rounding of a zero.
    let rounding = 1e-12

    /// A vector over those kept so far, or one more of them.
    let rec express (v: Node) : (float * Node) list =
        match found.TryGetValue v.Id with
        | true, r -> r
        | _ ->
            let rest = rowOf v
            let largest = rest.Values |> Seq.map abs |> Seq.max
            let combination = Dictionary<int, float>()
            let into (d: Dictionary<int, float>) key x = d[key] <- (match d.TryGetValue key with | true, before -> before | _ -> 0.0) + x
            for row, meaning in rows do
                // The first entry of a row is its pivot, which no later row has.
                let pivot = Seq.head row.Keys
                match rest.TryGetValue pivot with
                | true, r when r <> 0.0 ->
                    let k = r / row[pivot]
                    for entry in row do
                        into rest entry.Key (-k * entry.Value)
                    rest.Remove pivot |> ignore
                    for entry in meaning do
                        into combination entry.Key (k * entry.Value)
                | _ -> ()
            for key in List.ofSeq rest.Keys do
                if abs rest[key] <= rounding * largest then
                    rest.Remove key |> ignore
            let result =
                if rest.Count = 0 then
                    [ for entry in combination do if abs entry.Value > rounding then entry.Value, kept[entry.Key] ]
                else
                    // rest = v - Σ combination, where v is the newcomer.
                    let meaning = Dictionary(combination |> Seq.map (fun e -> KeyValuePair(e.Key, -e.Value)))
                    meaning[kept.Count] <- 1.0
                    kept.Add v
                    rows.Add((rest, meaning))
                    [ 1.0, v ]
            found[v.Id] <- result
            result

    /// What holds nothing carried, as numbers and vectors; a vector's last coefficient is 1, so that τ/8 and τ are one vector.
    let vectorsOf (n: Node) : (Node * Node) list =
        match Passes.simplify g n with
        | Number 0.0 -> []
        | s when isNumber s -> [ s, one ]
        | { Op = Linear } as s ->
            let fixedOnes, rest = pairs s |> List.partition (fun (k, x) -> settled k && not (isNumber x))
            let together =
                match fixedOnes with
                | [] -> []
                | [ { Op = Const _ } as k, x ] -> [ k, x ]
                | many ->
                    let scale = if many |> List.forall (fun (k, _) -> k.Op.IsConst) then (match (fst (List.last many)).Op with Const c -> c | _ -> 1.0) else 1.0
                    [ g.Const scale,
                      Passes.simplify g (g.Make(Linear, [| for k, x in many do (match k.Op with Const c -> g.Const(c / scale) | _ -> k); x |], s.Origin)) ]
            together @ rest
        | s -> [ one, s ]

    let fail n why = raise (LeavesSpan(n, why))

    /// A vector as Σ number · x, over vectors that hold nothing carried and over carried ones. Users come before what they use, each with all
    /// it is multiplied by, so what is used many times is looked at once.
    let rec termsOf (root: Node) : (Node * Node) list =
        match terms.TryGetValue root.Id with
        | true, r -> r
        | _ ->
            let waiting = Dictionary<int, List<Node>>()
            let queue = PriorityQueue<Node, int>()
            let result = Dictionary<int, List<Node>>()
            let order = List<Node>()
            let add (k: Node) (x: Node) =
                match result.TryGetValue x.Id with
                | true, ks -> ks.Add k
                | _ ->
                    result[x.Id] <- List [ k ]
                    order.Add x
            let give (n: Node) (k: Node) =
                if k.Op <> Const 0.0 then
                    match waiting.TryGetValue n.Id with
                    | true, ks -> ks.Add k
                    | _ ->
                        waiting[n.Id] <- List [ k ]
                        queue.Enqueue(n, -n.Id)
            give root one
            while queue.Count > 0 do
                let n = queue.Dequeue()
                let k = plus (List.ofSeq waiting[n.Id])
                waiting.Remove n.Id |> ignore
                let over (parts: (Node * Node) list) =
                    for c, x in parts do
                        add (times k c) x
                match n with
                | _ when isNumber n -> add (times k n) one
                | { Op = Carried _ } -> add k n
                | _ when isPlain n -> over (vectorsOf n)
                | Call("add", [| a; b |]) ->
                    give a k
                    give b k
                | Call("sub", [| a; b |]) ->
                    give a k
                    give b (times (g.Const -1.0) k)
                | Call("neg", [| a |]) -> give a (times (g.Const -1.0) k)
                | Call("mul", [| a; b |]) when isNumber b -> give a (times k b)
                | Call("mul", [| a; b |]) when isNumber a -> give b (times k a)
                | Call("div", [| a; b |]) when isNumber b -> give a (call "div" n.Origin [| k; b |])
                | Call("fma", [| a; b; c |]) when isNumber a || isNumber b ->
                    (if isNumber b then give a (times k b) else give b (times k a))
                    give c k
                // The side not taken must not make a NaN of the sum, so each coefficient is chosen for itself.
                | Call("where", [| c; a; b |]) when isNumber c ->
                    let left, right = termsOf a, termsOf b
                    let coefficient side (x: Node) = side |> List.tryFind (fun (_, y: Node) -> y.Id = x.Id) |> Option.map fst |> Option.defaultValue zero
                    for x in (left @ right) |> List.map snd |> List.distinctBy _.Id do
                        let l, r = coefficient left x, coefficient right x
                        add (times k (if l.Id = r.Id then l else call "where" n.Origin [| c; l; r |])) x
                | { Op = Linear } ->
                    for c, x in pairs n do
                        give x (times k c)
                | { Op = Restrict s; Args = [| x |] } ->
                    for c, y in sumOf x do
                        over (vectorsOf (g.Make(Restrict s, [| y |], n.Origin)) |> List.map (fun (d, z) -> times c d, z))
                | _ when n.Inside = 0 -> over (vectorsOf n)
                | _ -> fail n "is no sum of the vectors it starts from"
            let r = [ for x in order -> plus (List.ofSeq result[x.Id]), x ]
            terms[root.Id] <- r
            r

    /// The same over vectors that hold nothing carried, and none of which is a sum of the others; numbers without reductions of what is carried.
    and sumOf (n: Node) : (Node * Node) list =
        match sums.TryGetValue n.Id with
        | true, r -> r
        | _ ->
            let result = Dictionary<int, List<Node * Node>>()
            let order = List<Node>()
            let add (x: Node) (k: Node) c =
                match result.TryGetValue x.Id with
                | true, ks -> ks.Add((k, c))
                | _ ->
                    result[x.Id] <- List [ k, c ]
                    order.Add x
            for k, x in termsOf n do
                let k = number k
                match x.Op with
                | Carried(_, index, _) ->
                    for y, c in carried index do
                        add y k c
                | Const _ -> add x k one
                | _ ->
                    for c, y in express x do
                        add y k (g.Const c)
            let r =
                [ for x in order do
                      match total (List.ofSeq result[x.Id]) with
                      | Number 0.0 -> ()
                      | k -> k, x ]
            sums[n.Id] <- r
            r

    /// ⟨x, y⟩ of vectors that hold nothing carried; `one` is the vector of ones.
    and product extent origin (x: Node) (y: Node) =
        match x, y with
        | Number _, Number _ -> g.Make(Numel extent, [||], origin)
        | Number _, v
        | v, Number _ -> g.Make(Reduce(ReduceKind.Sum, extent), [| v |], origin)
        | _ -> g.Make(Reduce(ReduceKind.Dot, extent), (if x.Id <= y.Id then [| x; y |] else [| y; x |]), origin)

    /// ⟨Σ aᵢ·xᵢ, Σ bⱼ·yⱼ⟩ = Σ aᵢ·(Σ bⱼ·⟨xᵢ, yⱼ⟩): the inner sums are shared by all that is measured against b.
    and dot (n: Node) extent (a: Node) (b: Node) =
        let left, right = sumOf a, sumOf b
        for k, _ in left @ right do
            if k.Extent > extent then
                fail n "is over more than the numbers hold for that the state is made with"
        let outer, inner = if left.Length < right.Length || (left.Length = right.Length && a.Id <= b.Id) then left, right else right, left
        let sum = total [ for k, x in outer -> k, total [ for c, y in inner -> c, product extent n.Origin x y ] ]
        // A square is not below 0, whatever rounding makes of it.
        if a.Id = b.Id then call "max" n.Origin [| sum; zero |] else sum

    /// A number with its reductions of carried vectors, and of those that another pass would be needed for, come apart.
    and number (n: Node) : Node =
        match numbers.TryGetValue n.Id with
        | true, r -> r
        | _ ->
            let touched (x: Node) = x.Inside <> 0 || restsOnReduction x
            let r =
                match n.Op, n.Args with
                | Reduce(ReduceKind.Dot, extent), [| a; b |] when n.Inside <> 0 || ((touched a || touched b) && sumsOnly a && sumsOnly b && coarse extent a && coarse extent b) -> dot n extent a b
                | Reduce(ReduceKind.Sum, extent), [| a |] when n.Inside <> 0 -> total [ for k, x in sumOf a -> k, product extent n.Origin x one ]
                | Reduce _, _ when n.Inside <> 0 -> fail n "measures more than dot products tell"
                | Reduce _, _ -> n
                | Numel e, _ -> g.Make(Numel e, [||], n.Origin)
                | Loop _, _ -> n
                | _, [||] -> n
                | _, args ->
                    let args' = args |> Array.map number
                    if Array.forall2 (fun (x: Node) (y: Node) -> x.Id = y.Id) args args' then n else g.Make(n.Op, args', n.Origin)
            numbers[n.Id] <- r
            r

    /// Whether what holds nothing carried is a sum at all: an op by element is a vector of its own, and as good as any.
    and sumsOnly (n: Node) = not (isNumber n)

    and coarse extent (n: Node) = sumOf n |> List.forall (fun (k, x) -> k.Extent <= extent && not (isNumber x))

    /// The carried vectors in a sum, and the others, those that are sums of others replaced.
    member _.Support(n: Node) : int list * Node list =
        let parts = termsOf n
        let own = parts |> List.choose (fun (_, x) -> match x.Op with Carried(_, i, _) -> Some i | _ -> None)
        let fresh = parts |> List.collect (fun (_, x) -> match x.Op with Carried _ -> [] | Const _ -> [ x ] | _ -> express x |> List.map snd)
        own, fresh |> List.distinctBy _.Id

    /// The vectors that a sum is written over at first; the shortest should be seen first, so that longer ones come out as sums of them.
    member _.Vectors(n: Node) : Node list = termsOf n |> List.map snd |> List.filter (fun x -> not (x.Op.IsCarried || isNumber x))

    member _.See(vectors: Node list) =
        for v in vectors |> List.distinctBy _.Id |> List.sortBy (fun v -> (rowOf v).Count) do
            express v |> ignore

    /// A vector as Σ number · x.
    member _.Sum(n: Node) = sumOf n

    member _.Number(n: Node) = number n
