/// The normal form of sums: from any mix of + - · / and restrictions to one Σ cᵢ·xᵢ with every term once.
namespace Tva.Dsl.Graph

open System.Collections.Generic
open Tva.Core.Execution
open Rules

/// Normalizes nodes of one graph and remembers them. `fold` applies the local rules to a node whose arguments are normal.
type LinearForm(g: Graph, fold: Node -> Node, fired: string -> unit) =

    /// More monomials than this in a product are not multiplied out: the factor stays a whole.
    let expansion = 64

    let normal = Dictionary<int, Node>()
    let polynomials = Dictionary<int, Polynomial>()
    let known = Dictionary<int, Node>()
    let inverses = Dictionary<int, Node>()
    let rests = Dictionary<int, bool>()
    let whole = HashSet<int>()
    let one = g.Const 1.0

    /// More pairs than this cost more than the pass they save.
    let mostProducts = 1024

    let remember (n: Node) =
        known[n.Id] <- n
        n.Id

    let call name args = g.Make(Apply(opNumber name), args, Tva.Dsl.Span.None)

    let isLinear (n: Node) =
        match n with
        | _ when whole.Contains n.Id -> false
        // A round is done as it is written: multiplied out, products of sums of carried numbers would grow without end.
        | _ when n.Inside <> 0 && isNumber n -> false
        | Call(("add" | "sub" | "neg"), _) -> true
        | Call(("mul" | "fma"), args) -> isNumber args[0] || isNumber args[1]
        | Call("div", [| _; b |]) -> isNumber b && (match b.Op with Const 0.0 -> false | _ -> true)
        | { Op = Restrict _; Args = [| x |] } -> not (isNumber x)
        | { Op = Linear } -> true
        | _ -> false

    let rec normalize (n: Node) : Node =
        match normal.TryGetValue n.Id with
        | true, r -> r
        | _ ->
            let r = if isLinear n then build (collect n) else leaf n
            normal[n.Id] <- r
            normal[r.Id] <- r
            r

    /// A node that is no sum, its arguments normal; it may turn out as one after all.
    and leaf (n: Node) : Node =
        let args = n.Args |> Array.map normalize
        let same = Array.forall2 (fun (a: Node) (b: Node) -> a.Id = b.Id) args n.Args
        let m = fold (if same then n else g.Make(n.Op, args, n.Origin))
        match products m with
        | Some sum -> sum
        | None -> if m.Id = n.Id then n else normalize m

    /// ⟨Σ aᵢ·xᵢ, Σ bⱼ·yⱼ⟩ = Σ aᵢ·bⱼ·⟨xᵢ, yⱼ⟩, where a coefficient rests on a reduction: the products of the vectors themselves need no
    /// pass of their own: what is a sum of task vectors is measured by their Gram matrix. Sums with a plain number are left alone: a
    /// variance taken as a difference of means would lose its digits.
    and products (n: Node) : Node option =
        match n.Op, n.Args with
        | Reduce(ReduceKind.Dot, extent), [| a; b |] when a.Op.IsLinear || b.Op.IsLinear ->
            let parts x = if x.Op.IsLinear then Some(byVector x) else None
            let rests = restsOnReduction
            let coarse (k: Node) = k.Extent <= extent
            match parts a, parts b with
            | pa, pb when
                [ pa; pb ] |> List.choose id |> List.exists (List.exists (fun (k, _) -> rests k))
                && [ pa; pb ] |> List.choose id |> List.forall (List.forall (fun (k, x) -> coarse k && not (isNumber x)))
                && not (isNumber a || isNumber b)
                && (match pa, pb with Some p, Some q -> p.Length * q.Length | Some p, None | None, Some p -> p.Length | _ -> 0) <= mostProducts
                ->
                fired "products of sums"
                let vectors p x = match p with Some parts -> parts | None -> [ one, x ]
                let sum =
                    [ for ka, xa in vectors pa a do
                          for kb, xb in vectors pb b do
                              call "mul" [| call "mul" [| ka; kb |]; g.Make(n.Op, (if xa.Id <= xb.Id then [| xa; xb |] else [| xb; xa |]), n.Origin) |] ]
                    |> List.reduce (fun x y -> call "add" [| x; y |])
                // A square is not below 0, whatever rounding makes of it.
                let result = if a.Id = b.Id then call "max" [| sum; g.Const 0.0 |] else sum
                // Taken as a whole from here on: multiplied out, sums of sums would grow without end.
                whole.Add result.Id |> ignore
                normal[result.Id] <- result
                Some result
            | _ -> None
        | _ -> None

    /// A sum as Σ number · (Σ constant · x): what varies alike stays together, so that task vectors come out as differences.
    and byVector (sum: Node) : (Node * Node) list =
        let parts = Dictionary<Monomial, List<Node>>(HashIdentity.Structural)
        let order = List<Monomial>()
        for k, x in pairs sum do
            for KeyValue(m, c) in polynomial k do
                match parts.TryGetValue m with
                | true, terms -> terms.AddRange [ g.Const c.Value; x ]
                | _ ->
                    parts[m] <- List [ g.Const c.Value; x ]
                    order.Add m
        [ for m in order -> normalize (g.Make(Linear, parts[m].ToArray(), sum.Origin)), m ]
        |> List.groupBy (fun (v, _) -> v.Id)
        |> List.map (fun (_, same) ->
            let coefficient = (Polynomial.zero, same) ||> List.fold (fun p (_, m) -> Polynomial.add p (Map.ofList [ m, { Value = 1.0; Magnitude = 1.0 } ]))
            number coefficient, fst same.Head)

    and restsOnReduction (n: Node) =
        match rests.TryGetValue n.Id with
        | true, r -> r
        | _ ->
            let r = n.Op.IsReduce || n.Args |> Array.exists restsOnReduction
            rests[n.Id] <- r
            r

    /// The polynomial of a number.
    and polynomial (n: Node) : Polynomial =
        let n = normalize n
        match polynomials.TryGetValue n.Id with
        | true, p -> p
        | _ ->
            let terms = collect n
            let p = match terms.TryGetValue one.Id with | true, p -> p | _ -> Polynomial.zero
            polynomials[n.Id] <- p
            p

    /// A product, multiplied out unless that makes too many terms.
    and times (m: Polynomial) (factor: Node) : Polynomial =
        let p = polynomial factor
        if p.Count <= 1 || m.Count * p.Count <= expansion then
            Polynomial.multiply m p
        else
            Polynomial.multiply m (Polynomial.ofAtom (remember (normalize factor)))

    /// The terms of a node: a polynomial per tensor, that of the node 1 for what is a number.
    /// Inner sums are taken in descending order of ids, each once with all its multipliers added up, so shared sums cost nothing extra.
    and collect (root: Node) : Dictionary<int, Polynomial> =
        let terms = Dictionary<int, Polynomial>()
        let waiting = Dictionary<int, Polynomial>()
        let queue = PriorityQueue<Node, int>()

        let into (d: Dictionary<int, Polynomial>) id p =
            match d.TryGetValue id with
            | true, before ->
                d[id] <- Polynomial.add before p
                false
            | _ ->
                d[id] <- p
                true

        let give (n: Node) (m: Polynomial) =
            if not m.IsEmpty && into waiting n.Id m then queue.Enqueue(n, -n.Id)

        let record (n: Node) (m: Polynomial) =
            if isNumber n then
                into terms one.Id (Polynomial.multiply m (Polynomial.ofAtom (remember n))) |> ignore
            else
                into terms (remember n) m |> ignore

        let giveOrRecord (n: Node) m = if n.Op.IsConst || isLinear n then give n m else record n m

        let restrict scope origin (x: Node) (m: Polynomial) =
            let one' (x: Node) m = giveOrRecordRestricted (fold (g.Make(Restrict scope, [| x |], origin))) m record give
            match normalize x with
            | { Op = Linear } as sum ->
                for k, x in pairs sum do
                    one' x (times m k)
            | x -> one' x m

        let divide (a: Node) (b: Node) (m: Polynomial) =
            match normalize b with
            | Number 0.0 as z -> giveOrRecord (fold (call "div" [| normalize a; z |])) m
            | Number v -> give a (Polynomial.multiply m (Polynomial.ofNumber (1.0 / v)))
            | q ->
                let inverse = call "div" [| one; q |]
                inverses[inverse.Id] <- q
                give a (Polynomial.multiply m (Polynomial.ofAtom (remember inverse)))

        let expand (n: Node) (m: Polynomial) =
            match n with
            | Number v -> into terms one.Id (Polynomial.multiply m (Polynomial.ofNumber v)) |> ignore
            | Call("add", [| a; b |]) ->
                give a m
                give b m
            | Call("sub", [| a; b |]) ->
                give a m
                give b (Polynomial.negate m)
            | Call("neg", [| a |]) -> give a (Polynomial.negate m)
            | Call("mul", [| a; b |]) when isNumber b -> give a (times m b)
            | Call("mul", [| a; b |]) when isNumber a -> give b (times m a)
            | Call("div", [| a; b |]) when isLinear n -> divide a b m
            | Call("fma", [| a; b; c |]) when isLinear n ->
                (if isNumber b then give a (times m b) else give b (times m a))
                give c m
            | { Op = Linear } ->
                for k, x in pairs n do
                    give x (times m k)
            | { Op = Restrict s; Args = [| x |] } when not (isNumber x) -> restrict s n.Origin x m
            | _ -> invalidOp "not a sum"

        // Terms get their ids from left to right, so sums are computed in the order of the text.
        let seen = HashSet<int>()
        let rec order (n: Node) =
            if seen.Add n.Id && not (normal.ContainsKey n.Id) then
                if isLinear n then Array.iter order n.Args
                elif not n.Op.IsConst && n.Id <> root.Id then normalize n |> ignore
        order root

        give root Polynomial.one
        while queue.Count > 0 do
            let n = queue.Dequeue()
            let mutable m = Polynomial.zero
            waiting.Remove(n.Id, &m) |> ignore
            match normal.TryGetValue n.Id with
            | true, r when r.Id <> n.Id -> give r m
            | _ when n.Op.IsConst || isLinear n -> expand n m
            | _ ->
                let l = leaf n
                if l.Id <> n.Id then give l m else record l m
        terms

    // A restricted leaf is a term of its own: expanding it again would come back here.
    and giveOrRecordRestricted (n: Node) m (record: Node -> Polynomial -> unit) (give: Node -> Polynomial -> unit) =
        match n with
        | { Op = Restrict _; Args = [| { Op = Linear } |] } -> give n m
        | { Op = Restrict _ } -> record n m
        | _ when n.Op.IsConst || isLinear n -> give n m
        | _ -> record n m

    and product (m: Monomial) =
        match m with
        | [] -> one
        | first :: rest -> (known[first], rest) ||> List.fold (fun acc id -> call "mul" [| acc; known[id] |])

    /// A number from its polynomial: quotients over one denominator gathered, the rest a Linear over products.
    and number (p: Polynomial) : Node =
        let split = p |> Map.toList |> List.groupBy (fun (m, _) -> m |> List.filter inverses.ContainsKey)
        let mutable plain = Polynomial.zero
        for denominators, monomials in split do
            let numerator =
                monomials |> List.map (fun (m, c) -> (m |> List.filter (inverses.ContainsKey >> not)), c) |> Map.ofList
            match denominators with
            | [] -> plain <- Polynomial.add plain numerator
            | [ d ] when (Polynomial.ratio numerator (polynomial inverses[d])).IsSome ->
                fired "a number over itself"
                plain <- Polynomial.add plain (Polynomial.ofNumber (Polynomial.ratio numerator (polynomial inverses[d])).Value)
            | ds ->
                let below = ds |> List.map (fun d -> inverses[d]) |> List.reduce (fun a b -> call "mul" [| a; b |])
                plain <- Polynomial.add plain (Polynomial.ofAtom (remember (call "div" [| number numerator; below |])))
        match hoist plain with
        | Some n -> n
        | None ->
            match Map.toList plain with
            | [] -> g.Const 0.0
            | [ [], c ] -> g.Const c.Value
            | [ m, c ] when c.Value = 1.0 -> product m
            | terms -> g.Make(Linear, [| for m, c in terms do g.Const c.Value; product m |], Tva.Dsl.Span.None)

    /// Whether no product holds two of the atoms.
    and linear (p: Polynomial) (atoms: Node list) =
        p |> Map.forall (fun m _ -> m |> List.filter (fun id -> atoms |> List.exists (fun a -> a.Id = id)) |> List.length <= 1)

    /// A polynomial over choices among the same scopes is the choice of the polynomials, and one linear in ramps is a ramp;
    /// done where it gives plain numbers or makes all of them equal.
    and hoist (p: Polynomial) : Node option =
        let atoms = p |> Map.toSeq |> Seq.collect fst |> Seq.distinct |> Seq.map (fun id -> known[id]) |> List.ofSeq
        let varying = atoms |> List.filter (fun a -> a.Op.IsChoose || a.Op.IsRamp)
        let shape (a: Node) = a.Op, a.Args.Length
        let total (a: Node) = match a.Op with Choose scopes -> List.contains Everything scopes | _ -> linear p varying
        let bare = p.Count = 1 && (match (Seq.head p).Key, (Seq.head p).Value with | [ _ ], c -> c.Value = 1.0 | _ -> false)
        match varying with
        | first :: others when
            not bare
            && others |> List.forall (fun o -> shape o = shape first)
            && total first
            ->
            let branch j =
                let value id =
                    let a = known[id]
                    if a.Op = first.Op && (a.Op.IsChoose || a.Op.IsRamp) then polynomial a.Args[j] else Polynomial.ofAtom id
                (Polynomial.zero, p) ||> Map.fold (fun acc m c ->
                    let start = Map.ofList [ ([]: Monomial), c ]
                    Polynomial.add acc ((start, m) ||> List.fold (fun acc id -> Polynomial.multiply acc (value id))))
            let branches = Array.init first.Args.Length (branch >> number)
            let equal = branches |> Array.forall (fun b -> b.Id = branches[0].Id)
            if equal || branches |> Array.forall _.Op.IsConst then
                fired (if first.Op.IsRamp then "a sum of ramps" else "a sum of choices")
                Some(fold (g.Make(first.Op, branches, first.Origin)))
            else
                None
        | _ -> None

    /// A node from its terms.
    and build (terms: Dictionary<int, Polynomial>) : Node =
        let constant = match terms.TryGetValue one.Id with | true, p -> number p | _ -> g.Const 0.0
        let tensors =
            [| for entry in Seq.sortBy (fun (e: KeyValuePair<int, Polynomial>) -> e.Key) terms do
                   if entry.Key <> one.Id then
                       match number entry.Value with
                       | Number 0.0 -> fired "a zero coefficient"
                       | c ->
                           c
                           known[entry.Key] |]
        match constant, tensors with
        | c, [||] -> c
        | Number 0.0, [| Number 1.0; x |] -> x
        | Number 0.0, args -> g.Make(Linear, args, Tva.Dsl.Span.None)
        | c, args -> g.Make(Linear, Array.append args [| c; one |], Tva.Dsl.Span.None)

    /// The node's normal form.
    member _.Normalize(n: Node) = normalize n

    /// Takes the node for normal as it is.
    member _.Freeze(n: Node) = normal[n.Id] <- n
