/// Selecting tensors and varying by layer: `match`, `layers`, `tensors`, `ramp`.
module Tva.Dsl.Typing.Builtins.Scopes

open System
open Tva.Dsl
open Tva.Dsl.Graph
open Tva.Dsl.Typing
open Tva.Dsl.Typing.Context

let private matching ctx (call: Call) =
    Call.orUnknown (Call.text ctx call 0 "regex" "") (fun pattern ->
        try
            TensorScope.regex pattern |> ignore
            Value.Scope(Match pattern)
        with :? ArgumentException | :? NotSupportedException as e ->
            report ctx (Diagnostics.cannotCompute $"the pattern is not a regular expression: {e.Message}" call.Args[0].Value.Span None)
            Value.Unknown Kind.Scope)

let private layers ctx (call: Call) =
    let whole v = v = floor v && abs v < 1e9
    match call.Args[0].Value with
    | { Value = Value.Range r } when whole r.First && whole r.Last -> Value.Scope(Layers(int r.First, int r.Last))
    | { Value = Value.Scalar n } as a ->
        match known ctx n with
        | Some v when whole v -> Value.Scope(Layers(int v, int v))
        | _ ->
            if not ctx.Abstract then
                report ctx (Diagnostics.mustBeKnown "a layer" a.Span)
            Value.Unknown Kind.Scope
    | { Value = Value.Unknown _ } -> Value.Unknown Kind.Scope
    | a ->
        report ctx (Diagnostics.wrongKind "`layers`" "a range of integers" (describe ctx a.Value) a.Span (Some "for instance `layers(0..11)`"))
        Value.Unknown Kind.Scope

let private tensors ctx (call: Call) =
    let args = Option.toList call.Args[0] @ call.Rest
    let names = args |> List.choose (fun a -> match a.Value with Value.Text t -> Some t | _ -> None)
    if names.Length = args.Length then Value.Scope(Names names)
    else
        report ctx (Diagnostics.wrongKind "`tensors`" "tensor names" "something else" call.Span (Some "for instance `tensors(\"lm_head.weight\")`"))
        Value.Unknown Kind.Scope

let private ramp ctx (call: Call) =
    let args = Option.toList call.Args[0] @ call.Rest
    let values = args |> List.map (fun a -> settle ctx a.Span a.Value)
    let nodes = values |> List.choose (function Value.Scalar n -> Some n | _ -> None)
    if values |> List.exists _.IsUnknown then Value.Unknown Kind.Scalar
    elif nodes.Length < args.Length then
        report ctx (Diagnostics.wrongKind "`ramp`" "numbers" "something else" call.Span (Some "for instance `ramp(0, 0.5, 1)`"))
        Value.Unknown Kind.Scalar
    else
        let inside = if nodes.Length = 1 then nodes.Head else (graph ctx).Make(Ramp, Array.ofList nodes, call.Span)
        match call.Args[1] with
        | None -> Value.Scalar inside
        | Some _ ->
            match Call.number ctx call 1 "outside" 0.0 with
            | Some outside -> Value.Scalar((graph ctx).Make(Choose [ TensorScope.anyLayer; Everything ], [| inside; outside |], call.Span))
            | None -> Value.Unknown Kind.Scalar

let private row name group parameters variadic summary example result run : Builtin =
    { Name = name; Group = group; Parameters = parameters; Variadic = variadic; Summary = summary; Example = example; Result = result; Run = run }

let private zoo = "delta(\"zoo/tasks/digits.safetensors\", model(\"zoo/base.safetensors\"))"

let all =
    [ row "match" "scopes" [ Call.required "regex" Kind.Text ] false "The tensors whose name the regular expression finds." $"norm({zoo}[match(\"qkv|proj\")])" Kind.Scope matching
      row "layers" "scopes" [ Call.required "range" Kind.Range ] false "The tensors of these layers; a tensor's layer is the first integer component of its name." $"norm({zoo}[layers(0..1)])" Kind.Scope layers
      row "tensors" "scopes" [ Call.required "name" Kind.Text ] true "The tensors of exactly these names." $"norm({zoo}[tensors(\"cls\")])" Kind.Scope tensors
      row "ramp" "schedule" [ Call.required "a" Kind.Scalar; Call.optional "outside" Kind.Scalar "" ] true
          "A number per layer, piecewise linear over a, b, ... from the first layer to the last, of a model with several series of layers in each (as vision and language towers are). Tensors of no layer take `outside`; without it the first number, those named like a head or a final norm the last."
          $"norm(ramp(0, 1) * {zoo})" Kind.Scalar ramp ]
