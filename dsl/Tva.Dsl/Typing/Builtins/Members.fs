/// What goes over the members of a family or a list: sum, mean, median, scatter, min, max, count, size.
module Tva.Dsl.Typing.Builtins.Members

open Tva.Core.Execution
open Tva.Dsl
open Tva.Dsl.Graph
open Tva.Dsl.Typing
open Tva.Dsl.Typing.Context

/// A tensor or a number of the members: nodes, what they weigh, where they live.
type private Gathered =
    | Tensors of TensorValue list
    | Numbers of Node list
    | Neither

let private gather ctx (call: Call) (members: Value list) =
    let members = members |> List.map (settle ctx call.Span)
    let tensors = members |> List.choose (function Value.Tensor t -> Some t | _ -> None)
    let numbers = members |> List.choose (function Value.Scalar n -> Some n | _ -> None)
    if members |> List.exists _.IsUnknown then Neither
    elif tensors.Length = members.Length then Tensors tensors
    elif numbers.Length = members.Length then Numbers numbers
    else
        report ctx
            (Diagnostics.wrongKind $"`{call.Function}`" "members of one kind (numbers, Models or Deltas)" "a mixture" call.Span None)
        Neither

let private join ctx span (ts: TensorValue list) =
    ts.Tail |> List.fold (fun (acc: TensorValue) t -> { acc with Set = joinSets ctx span acc t }) ts.Head |> _.Set

let private over (call: Call) ctx fromTable (f: Gathered -> Value) =
    match call.Args[0], fromTable with
    | Some { Value = Value.Table(Printed table) }, Some from -> Value.Scalar(ctx.Program.LateNumber(table, from))
    | Some { Value = Value.Table(Cells(_, rows)) }, Some _ -> f (Numbers(rows |> List.collect snd))
    | _ -> Call.orUnknown (Call.members ctx call 0 "members") (fun ms -> f (gather ctx call (ms |> List.map snd)))

let private total ctx span (nodes: Node list) = nodes |> List.reduce (fun a b -> apply ctx "add" span [| a; b |])

let private scaled ctx span node (by: float) = apply ctx "mul" span [| number ctx by; node |]

let private linear from byCount ctx (call: Call) =
    over call ctx (Some from) (fun gathered ->
        let finish nodes =
            let sum = total ctx call.Span nodes
            if byCount then scaled ctx call.Span sum (1.0 / float nodes.Length) else sum
        match gathered with
        | Tensors ts ->
            Value.Tensor
                { Node = finish (ts |> List.map _.Node)
                  Weight = finish (ts |> List.map _.Weight)
                  Set = join ctx call.Span ts }
        | Numbers ns -> Value.Scalar(finish ns)
        | Neither -> Call.unknown)

/// Tensors that all weigh the same may be chosen among element by element: of points it is a point, of Deltas a Delta.
let private chosen ctx (call: Call) from (pick: Node list -> Node) =
    over call ctx from (fun gathered ->
        match gathered with
        | Tensors ts ->
            let weights = ts |> List.map (fun t -> simplify ctx t.Weight) |> List.distinct
            if weights.Length = 1 || (ts |> List.map (wantDelta ctx $"`{call.Function}`" call.Span) |> List.forall id) then
                Value.Tensor { Node = pick (ts |> List.map _.Node); Weight = weights.Head; Set = join ctx call.Span ts }
            else
                Call.unknown
        | Numbers ns -> Value.Scalar(pick ns)
        | Neither -> Call.unknown)

let private extreme name from ctx (call: Call) =
    match call.Args[0], call.Args[1] with
    | Some a, Some b -> Elementwise.applyOp ctx name $"`{name}`" call.Span [ a.Value; b.Value ]
    | _ -> chosen ctx call (Some from) (List.reduce (fun a b -> apply ctx name call.Span [| a; b |]))

/// Batcher's merge exchange (Knuth, TAOCP 3, 5.2.2 M): the pairs that sort n values, n·log²n/4 of them, whatever they are.
let private network n =
    let rec top t = if 1 <<< t < n then top (t + 1) else t
    let highest = 1 <<< (max 1 (top 0) - 1)
    let rec merge p q r d =
        seq {
            for i in 0 .. n - d - 1 do
                if i &&& p = r then struct (i, i + d)
            if q <> p then
                yield! merge p (q / 2) p (q - p)
        }
    Seq.unfold (fun p -> if p = 0 then None else Some(merge p highest 0 p, p / 2)) highest |> Seq.concat

/// The median, by minima and maxima, which fuse like any other expression; of numbers that are known by sorting them.
let private medianOf ctx span (nodes: Node list) =
    let n = nodes.Length
    let middle (v: 'a[]) half = if n % 2 = 1 then v[n / 2] else half v[n / 2 - 1] v[n / 2]
    match nodes |> List.choose (known ctx) with
    | numbers when numbers.Length = n ->
        let v = Array.ofList numbers
        number ctx (if Array.exists System.Double.IsNaN v then nan else (Array.sortInPlace v; middle v (fun a b -> 0.5 * (a + b))))
    | _ ->
        let v = Array.ofList nodes
        for struct (i, j) in network n do
            let a, b = v[i], v[j]
            v[i] <- apply ctx "min" span [| a; b |]
            v[j] <- apply ctx "max" span [| a; b |]
        middle v (fun a b -> scaled ctx span (apply ctx "add" span [| a; b |]) 0.5)

let private median ctx (call: Call) = chosen ctx call None (medianOf ctx call.Span)

/// Σ (xᵢ - m)² = Σ dᵢ² - (Σ dᵢ)²/T with dᵢ = xᵢ - x₁: the squares can't cancel by more than a factor T, equal members give exactly 0,
/// and it takes as many operations as members, not their square.
let private scatterOf ctx span (nodes: Node list) =
    let op name a b = apply ctx name span [| a; b |]
    match nodes.Tail |> List.map (fun x -> op "sub" x nodes.Head) with
    | [] -> number ctx 0.0
    | ds ->
        let s = total ctx span ds
        op "sub" (total ctx span (ds |> List.map (fun d -> op "mul" d d))) (scaled ctx span (op "mul" s s) (1.0 / float nodes.Length))

let private scatter ctx (call: Call) =
    over call ctx None (function
        | Tensors ts when ts |> List.map (wantDelta ctx $"`{call.Function}`" call.Args[0].Value.Span) |> List.forall id ->
            Value.Tensor { Node = scatterOf ctx call.Span (ts |> List.map _.Node); Weight = number ctx 0.0; Set = join ctx call.Span ts }
        | Numbers ns -> Value.Scalar(scatterOf ctx call.Span ns)
        | _ -> Call.unknown)

let private count ctx (call: Call) =
    Call.orUnknown (Call.members ctx call 0 "cond") (fun ms ->
        let nonzero v = Arithmetic.binary ctx Syntax.NotEqual call.Span v (Value.Scalar(number ctx 0.0))
        let conditions =
            ms
            |> List.map (fun (_, v) ->
                match v with
                | Value.Bool n -> Value.Scalar n
                | v ->
                    match nonzero v with
                    | Value.Bool n -> Value.Scalar n
                    | v -> v)
        match gather ctx call conditions with
        | Tensors ts -> Value.Tensor { Node = total ctx call.Span (ts |> List.map _.Node); Weight = number ctx 0.0; Set = join ctx call.Span ts }
        | Numbers ns -> Value.Scalar(total ctx call.Span ns)
        | Neither -> Call.unknown)

let private size ctx (call: Call) =
    Call.orUnknown (Call.members ctx call 0 "members") (fun ms -> Value.Scalar(number ctx (float ms.Length)))

/// `x.name` with a name that is a value: what a `def` over families and tables needs.
let private memberNamed ctx (call: Call) =
    match Call.text ctx call 1 "name" "" with
    | Some name when not (ctx.Abstract && name = "") ->
        let a = call.Args[0].Value
        Access.memberOf ctx a.Value name a.Text call.Args[1].Value.Span
    | _ -> Call.unknown

let private zoo = "family(\"zoo/tasks/*.safetensors\", model(\"zoo/base.safetensors\"))"

let private row name parameters summary result run : Builtin =
    { Name = name; Group = "over members"; Parameters = parameters; Variadic = false; Summary = summary
      Example = (if name = "size" then $"size({zoo})" elif name = "member" then $"norm(member({zoo}, \"digits\"))" elif name = "count" then $"norm(count({zoo} > 0))" else $"norm({name}({zoo}))")
      Result = result; Run = run }

let all =
    let members = Call.required "members" Kind.Any
    let second = Call.optional "b" Kind.Any ""
    [ row "sum" [ members ] "Σ over the members of a family, a list or a table." Kind.Any (linear FromTable.Sum false)
      row "mean" [ members ] "Σ / T over the T members." Kind.Any (linear FromTable.Mean true)
      row "median" [ members ] "The median of the members, element by element; the mean of the middle two for an even number." Kind.Any median
      row "scatter" [ members ] "Σ (x - m)² over the members, m their mean, element by element: T times their variance." Kind.Any scatter
      row "min" [ members; second ] "The least member, element by element; `min(a, b)` of two values. NaN wins." Kind.Any (extreme "min" FromTable.Min)
      row "max" [ members; second ] "The greatest member, element by element; `max(a, b)` of two values. NaN wins." Kind.Any (extreme "max" FromTable.Max)
      row "count" [ Call.required "cond" Kind.Any ] "How many members are not 0 (conditions that hold), element by element." Kind.Any count
      row "member" [ Call.required "x" Kind.Any; Call.required "name" Kind.Text ] "The member of that name, of a family, a record or a table: `x.name` where the name is a value." Kind.Any memberNamed
      row "size" [ members ] "The number of members, T." Kind.Scalar size ]
