/// What a `def` asks of its arguments: choices, ranges, shares, enough members, and values to be careful with.
module Tva.Dsl.Typing.Builtins.Checks

open Tva.Dsl
open Tva.Dsl.Typing
open Tva.Dsl.Typing.Context

/// A text that must be one of a few.
let private oneOf ctx (call: Call) =
    let choices =
        match call.Args[1].Value.Value with
        | Value.List items -> items |> List.choose (function Value.Text t -> Some t | _ -> None)
        | _ -> []
    match call.Args[0].Value.Value with
    | Value.Text t when not (List.contains t choices) ->
        report ctx (Diagnostics.notAChoice t choices call.Args[0].Value.Span)
        Value.Unknown Kind.Text
    | v -> v

/// A number, or each of several, that must be right; what a `def` says of its options. One that is not known yet passes.
let private required ctx (call: Call) (what: string) (isRight: float -> bool) mistake =
    let a = call.Args[0].Value
    lift ctx $"`{call.Function}`" call.Span [ a.Value ] (function
        | [ Value.Scalar n as v ] ->
            match known ctx n with
            | Some x when not (isRight x) ->
                report ctx (mistake x a.Span)
                Value.Unknown Kind.Scalar
            | _ -> v
        | [ Value.Unknown _ ] -> Value.Unknown Kind.Scalar
        | v ->
            report ctx (Diagnostics.wrongKind what "a number" (describe ctx v.Head) a.Span None)
            Value.Unknown Kind.Scalar)

let private within ctx (call: Call) =
    let bound i name = Call.constant ctx call i name 0.0
    match bound 1 "low", bound 2 "high", Call.text ctx call 3 "what" "the number" with
    | Some low, Some high, Some what -> required ctx call what (fun x -> x >= low && x <= high) (Diagnostics.outOfRange what (string low) (string high))
    | _ -> Value.Unknown Kind.Scalar

let private share ctx (call: Call) =
    match Call.text ctx call 1 "what" "the share" with
    | Some what -> required ctx call what (fun x -> x > 0.0 && x <= 1.0) (Diagnostics.notAShare what)
    | None -> Value.Unknown Kind.Scalar

/// Members that must be so many at least; what a `def` says of its family.
let private several ctx (call: Call) =
    match Call.members ctx call 0 "members", Call.constant ctx call 1 "least" 2.0 with
    | Some ms, Some least when float ms.Length < least ->
        report ctx (Diagnostics.tooFewMembers (int least) ms.Length call.Args[0].Value.Span)
        Call.unknown
    | Some _, Some _ -> call.Args[0].Value.Value
    | _ -> Call.unknown

/// A value, with a word of warning when it is used and data say that the condition holds somewhere.
let private caution ctx (call: Call) =
    let x = call.Args[0].Value.Value
    match x, call.Args[1].Value.Value, Call.text ctx call 2 "message" "" with
    | Value.Tensor t, (Value.Bool condition | Value.Scalar condition), Some message when not ctx.Abstract ->
        ctx.Program.Cautions.Add { Value = t.Node; Condition = condition; Message = message; Span = call.Span }
        x
    | _ -> x

let private zoo = "family(\"zoo/tasks/*.safetensors\", model(\"zoo/base.safetensors\"))"

let private row name parameters summary example result run : Builtin =
    { Name = name; Group = "checks"; Parameters = parameters; Variadic = false; Summary = summary; Example = example; Result = result; Run = run }

let all =
    [ row "one_of" [ Call.required "text" Kind.Text; Call.required "choices" Kind.List ] "The text, which must be one of the choices: for the options of a `def`."
          "one_of(\"row\", [\"row\", \"tensor\"])" Kind.Text oneOf
      row "share" [ Call.required "x" Kind.Any; Call.optional "what" Kind.Text "\"the share\"" ]
          "x, a number or several; an error that names `what` where one is known not to lie above 0 and up to 1."
          "share(0.2, \"density\")" Kind.Scalar share
      row "within" [ Call.required "x" Kind.Any; Call.required "low" Kind.Scalar; Call.required "high" Kind.Scalar; Call.required "what" Kind.Text ]
          "The number, which must lie in low..high if it is known beforehand: for the options of a `def`; `what` names it in the message."
          "within(0.5, 0, 1, \"the share\")" Kind.Scalar within
      row "several" [ Call.required "members" Kind.Any; Call.optional "least" Kind.Scalar "2" ] "The members as they are; an error where there are fewer than `least`."
          $"size(several({zoo}))" Kind.Any several
      row "caution" [ Call.required "x" Kind.Any; Call.required "condition" Kind.Any; Call.required "message" Kind.Text ]
          "x as it is; where it is used and the condition (a number of the model or by tensor) holds, the run warns with the message."
          $"caution(sum({zoo}), norm(sum({zoo})) > 100, \"that is a lot\")" Kind.Any caution ]
