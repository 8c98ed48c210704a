/// What goes over elements (norm, dot, cosine, quantile...), and what orders or draws them (trim, drop).
module Tva.Dsl.Typing.Builtins.Reductions

open Tva.Core.Execution
open Tva.Dsl
open Tva.Dsl.Graph
open Tva.Dsl.Typing
open Tva.Dsl.Typing.Context

let extents = [ "all", Extent.All; "layer", Extent.Layer; "tensor", Extent.Tensor; "row", Extent.Row ]

let private extentOf ctx (call: Call) i fallback =
    match Call.choice ctx call i "by" (extents |> List.map fst) fallback with
    | Some by -> Some(extents |> List.find (fun (name, _) -> name = by) |> snd)
    | None -> None

let private reduce ctx span kind extent (args: Node[]) = (graph ctx).Make(Reduce(kind, extent), args, span)

let private op ctx span name args = apply ctx name span args

/// √Σx².
let norm ctx span extent (x: Node) = op ctx span "sqrt" [| reduce ctx span ReduceKind.Dot extent [| x; x |] |]

let dot ctx span extent (x: Node) (y: Node) =
    reduce ctx span ReduceKind.Dot extent (if x.Id <= y.Id then [| x; y |] else [| y; x |])

/// ⟨x, y⟩ / (‖x‖ ‖y‖), 0 where either is zero.
let cosine ctx span extent x y =
    let size = op ctx span "mul" [| norm ctx span extent x; norm ctx span extent y |]
    let ratio = op ctx span "div" [| dot ctx span extent x y; size |]
    op ctx span "where" [| op ctx span "eq" [| size; number ctx 0.0 |]; number ctx 0.0; ratio |]

let numel ctx span extent (x: Node) = (graph ctx).Make(Numel extent, [| x |], span)

let private per ctx span sum extent x = op ctx span "div" [| sum; numel ctx span extent x |]

let l1 ctx span extent x = reduce ctx span ReduceKind.SumAbs extent [| x |]
let maxAbs ctx span extent x = reduce ctx span ReduceKind.MaxAbs extent [| x |]
let meanAbs ctx span extent x = per ctx span (l1 ctx span extent x) extent x
let meanSquare ctx span extent x = per ctx span (reduce ctx span ReduceKind.Dot extent [| x; x |]) extent x
let nonzero ctx span extent x = reduce ctx span ReduceKind.CountNonzero extent [| x |]

/// A function of one tensor, member by member; `needsDelta` false: also of points.
let private unary needsDelta f ctx (call: Call) =
    Call.orUnknown (extentOf ctx call 1 "all") (fun extent ->
        lift ctx $"`{call.Function}`" call.Span [ call.Args[0].Value.Value ] (function
            | [ Value.Tensor t ] ->
                if not needsDelta || wantDelta ctx $"`{call.Function}`" call.Args[0].Value.Span t then
                    Value.Scalar(f ctx call.Span extent t.Node)
                else
                    Value.Unknown Kind.Scalar
            | [ Value.Unknown _ ] -> Value.Unknown Kind.Scalar
            | [ v ] ->
                report ctx (Diagnostics.wrongKind $"`{call.Function}`" "a Delta" (describe ctx v) call.Args[0].Value.Span None)
                Value.Unknown Kind.Scalar
            | _ -> Call.unknown))

let private binary f ctx (call: Call) =
    Call.orUnknown (extentOf ctx call 2 "all") (fun extent ->
        lift ctx $"`{call.Function}`" call.Span [ call.Args[0].Value.Value; call.Args[1].Value.Value ] (function
            | [ Value.Tensor a; Value.Tensor b ] ->
                let what = $"`{call.Function}`"
                let okA = wantDelta ctx what call.Args[0].Value.Span a
                let okB = wantDelta ctx what call.Args[1].Value.Span b
                if okA && okB then
                    joinSets ctx call.Span a b |> ignore
                    Value.Scalar(f ctx call.Span extent a.Node b.Node)
                else
                    Value.Unknown Kind.Scalar
            | [ Value.Unknown _; _ ]
            | [ _; Value.Unknown _ ] -> Value.Unknown Kind.Scalar
            | vs ->
                let odd = vs |> List.find (fun v -> not v.IsTensor)
                report ctx (Diagnostics.wrongKind $"`{call.Function}`" "two Deltas" (describe ctx odd) call.Span None)
                Value.Unknown Kind.Scalar))

let private share ctx (call: Call) what span node =
    match known ctx node with
    | Some v when not (v >= 0.0 && v <= 1.0) ->
        report ctx (Diagnostics.outOfRange $"`{what}` of `{call.Function}`" "0" "1" v span)
        false
    | _ -> true

/// A selection over the model or a layer has one share; one that varies by tensor would be no single selection.
let private coarse ctx (call: Call) what span extent (node: Node) =
    if (simplify ctx node).Extent <= extent then true
    else
        report ctx
            (Diagnostics.cannotCompute $"`{what}` of `{call.Function}` varies more finely than what it selects from" span
                (Some "select by tensor, or give one number"))
        false

/// Over a Delta and a number between 0 and 1, both member by member.
let private withShare extent name (build: TensorValue -> Node -> Value) ctx (call: Call) =
    let a = call.Args[1].Value
    lift ctx $"`{call.Function}`" call.Span [ call.Args[0].Value.Value; a.Value ] (function
        | Value.Unknown k :: _ -> Value.Unknown k
        | _ :: Value.Unknown _ :: _ -> Value.Unknown Kind.Delta
        | Value.Tensor t :: Value.Scalar n :: _ ->
            Arithmetic.deadKeys ctx call.Span n t
            if wantDelta ctx $"`{call.Function}`" call.Args[0].Value.Span t && share ctx call name a.Span n && coarse ctx call name a.Span extent n then
                build t n
            else
                Value.Unknown Kind.Delta
        | Value.Tensor _ :: v :: _ ->
            report ctx (Diagnostics.wrongKind $"`{name}` of `{call.Function}`" "a number" (describe ctx v) a.Span None)
            Call.unknown
        | v :: _ ->
            report ctx (Diagnostics.wrongKind $"`{call.Function}`" "a Delta" (describe ctx v) call.Args[0].Value.Span None)
            Call.unknown
        | _ -> Call.unknown)

let private quantile ctx (call: Call) =
    Call.orUnknown (extentOf ctx call 2 "all") (fun extent ->
        withShare extent "q"
            (fun t q ->
                // The ends need no order.
                match known ctx q with
                | Some 0.0 -> Value.Scalar(reduce ctx call.Span ReduceKind.Min extent [| t.Node |])
                | Some 1.0 -> Value.Scalar(reduce ctx call.Span ReduceKind.Max extent [| t.Node |])
                | _ -> Value.Scalar(reduce ctx call.Span ReduceKind.Quantile extent [| t.Node; q |]))
            ctx call)

let private trim ctx (call: Call) =
    match Call.choice ctx call 2 "by" [ "tensor"; "layer"; "all" ] "tensor", Call.choice ctx call 3 "of" [ "all"; "nonzero" ] "all" with
    | None, _
    | _, None -> Call.unknown
    | Some by, Some share ->
        let extent = extents |> List.find (fun (name, _) -> name = by) |> snd
        withShare extent "density"
            (fun t density ->
                let selection = reduce ctx call.Span (if share = "nonzero" then ReduceKind.KeepLargestNonzero else ReduceKind.KeepLargest) extent [| t.Node; density |]
                Value.Tensor { t with Node = (graph ctx).Make(Keep, [| t.Node; selection |], call.Span); Weight = number ctx 0.0 })
            ctx call

/// The probability is one number, or one for each row or element.
let private drop ctx (call: Call) =
    let x, p = call.Args[0].Value, call.Args[1].Value
    let seed = match call.Args[2] with Some a -> a.Value | None -> Value.Scalar(number ctx 0.0)
    let what = $"`{call.Function}`"
    lift ctx what call.Span [ x.Value; p.Value; seed ] (function
        | [ Value.Tensor t; probability; Value.Scalar seed ] when wantDelta ctx what x.Span t ->
            let drop (p: Node) set =
                Value.Tensor { t with Node = (graph ctx).Make(Drop None, [| t.Node; p; seed |], call.Span); Weight = number ctx 0.0; Set = set }
            match known ctx seed, probability with
            | Some s, _ when not (System.Double.IsFinite s) ->
                report ctx (Diagnostics.cannotCompute $"`seed` of {what} is {s}" call.Span (Some "any finite number will do"))
                Value.Unknown Kind.Delta
            | _, Value.Scalar n when share ctx call "p" p.Span n ->
                Arithmetic.deadKeys ctx call.Span n t
                drop n t.Set
            | _, Value.Tensor n when wantDelta ctx $"`p` of {what}" p.Span n -> drop n.Node (joinSets ctx call.Span t n)
            | _, (Value.Scalar _ | Value.Tensor _ | Value.Unknown _) -> Value.Unknown Kind.Delta
            | _, v ->
                report ctx (Diagnostics.wrongKind $"`p` of {what}" "a number or a Delta" (describe ctx v) p.Span None)
                Call.unknown
        | (Value.Tensor _ | Value.Unknown _) :: _ -> Value.Unknown Kind.Delta
        | v :: _ ->
            report ctx (Diagnostics.wrongKind what "a Delta" (describe ctx v) x.Span None)
            Call.unknown
        | _ -> Call.unknown)

/// Ranks are of elements, so they are a Delta; of a point they would mean nothing.
let private rank ctx (call: Call) =
    match Call.choice ctx call 1 "by" [ "row"; "tensor" ] "row" with
    | None -> Call.unknown
    | Some by ->
        let extent = extents |> List.find (fun (name, _) -> name = by) |> snd
        let what = $"`{call.Function}`"
        lift ctx what call.Span [ call.Args[0].Value.Value ] (function
            | [ Value.Tensor t ] when wantDelta ctx what call.Args[0].Value.Span t ->
                Value.Tensor { t with Node = (graph ctx).Make(Rank extent, [| t.Node |], call.Span); Weight = number ctx 0.0 }
            | [ Value.Tensor _ ]
            | [ Value.Unknown _ ] -> Value.Unknown Kind.Delta
            | [ v ] ->
                report ctx (Diagnostics.wrongKind what "a Delta" (describe ctx v) call.Args[0].Value.Span None)
                Call.unknown
            | _ -> Call.unknown)

let private zoo = "delta(\"zoo/tasks/digits.safetensors\", model(\"zoo/base.safetensors\"))"

let private by = Call.optional "by" Kind.Text "\"all\""

let private overElements name summary run : Builtin =
    { Name = name; Group = "over elements"; Parameters = [ Call.required "x" Kind.Any; by ]; Variadic = false
      Summary = summary + " `by` is \"all\", \"layer\", \"tensor\" or \"row\"."
      Example = $"{name}({zoo})"; Result = Kind.Scalar; Run = run }

let private ofTwo name summary run : Builtin =
    { overElements name summary run with
        Parameters = [ Call.required "a" Kind.Any; Call.required "b" Kind.Any; by ]
        Example = $"{name}({zoo}, delta(\"zoo/tasks/letters.safetensors\", model(\"zoo/base.safetensors\")))" }

let all =
    [ overElements "norm" "√Σx²." (unary true norm)
      ofTwo "dot" "⟨a, b⟩ = Σ a·b." (binary dot)
      ofTwo "cosine" "⟨a, b⟩ / (‖a‖ ‖b‖); 0 where either is zero." (binary cosine)
      overElements "l1" "Σ|x|." (unary true l1)
      overElements "max_abs" "max |x|." (unary true maxAbs)
      overElements "mean_abs" "Σ|x| / n." (unary true meanAbs)
      overElements "mean_square" "Σx² / n." (unary true meanSquare)
      overElements "numel" "n, the number of elements." (unary false numel)
      overElements "nonzero" "The number of elements that are not 0." (unary true nonzero)
      { overElements "quantile" "The q-quantile, linear between neighbours: 0 is the least, 0.5 the median, 1 the greatest. NaN where any is." quantile with
          Parameters = [ Call.required "x" Kind.Any; Call.required "q" Kind.Any; by ]
          Example = $"quantile(abs({zoo}), 0.9)" }
      { Name = "trim"; Group = "order and chance"
        Parameters = [ Call.required "x" Kind.Any; Call.required "density" Kind.Any; Call.optional "by" Kind.Text "\"tensor\""; Call.optional "of" Kind.Text "\"all\"" ]
        Variadic = false
        Summary =
            "Keeps the int(density·n) largest magnitudes of each tensor (or layer, or all), the lower index first among equals; zero elsewhere. With "
            + "of = \"nonzero\" n counts the elements that are not 0 alone."
        Example = $"nonzero(trim({zoo}, 0.2))"; Result = Kind.Delta; Run = trim }
      { Name = "drop"; Group = "order and chance"
        Parameters = [ Call.required "x" Kind.Any; Call.required "p" Kind.Any; Call.optional "seed" Kind.Scalar "0" ]
        Variadic = false
        Summary = "Zeroes each element with probability p, a number or a Delta of them, drawn by a counter-based generator (Philox) from seed, tensor name and index alone."
        Example = $"nonzero(drop({zoo}, 0.9, 1))"; Result = Kind.Delta; Run = drop }
      { Name = "rank"; Group = "order and chance"
        Parameters = [ Call.required "x" Kind.Any; Call.optional "by" Kind.Text "\"row\"" ]
        Variadic = false
        Summary =
            "Each element's rank among the n of its row, or with by = \"tensor\" of its tensor: (position - 1)/(n - 1) in ascending order, the lower index first "
            + "among equals, NaN last; 1/2 where n is 1. Rows, or whole tensors, are sorted in memory."
        Example = $"max_abs(rank(abs({zoo})))"; Result = Kind.Delta; Run = rank } ]
