/// The elementwise functions of the op table, and `where`: number by number, member by member.
module Tva.Dsl.Typing.Builtins.Elementwise

open Tva.Core.Execution
open Tva.Core.Ops
open Tva.Dsl
open Tva.Dsl.Graph
open Tva.Dsl.Typing
open Tva.Dsl.Typing.Context

let private args (call: Call) = call.Args |> Array.choose id |> List.ofArray

let private set ctx span (ts: TensorValue list) =
    match ts with
    | [] -> None
    | first :: rest ->
        rest |> List.fold (fun (acc: TensorValue) t -> { acc with Set = joinSets ctx span acc t }) first |> _.Set

/// An op on numbers and Deltas, broadcasting.
let applyOp ctx name what span (values: Value list) =
    let one (values: Value list) =
        if values |> List.exists _.IsUnknown then Call.unknown
        else
            let tensors = values |> List.choose (function Value.Tensor t -> Some t | _ -> None)
            let nodes =
                values
                |> List.choose (function
                    | Value.Tensor t -> Some t.Node
                    | Value.Scalar n
                    | Value.Bool n -> Some n
                    | _ -> None)
            if nodes.Length < values.Length then
                let odd = values |> List.find (function Value.Tensor _ | Value.Scalar _ | Value.Bool _ -> false | _ -> true)
                report ctx (Diagnostics.wrongKind what "numbers or Deltas" (describe ctx odd) span None)
                Call.unknown
            elif tensors.IsEmpty then
                Value.Scalar(apply ctx name span (Array.ofList nodes))
            elif tensors |> List.map (wantDelta ctx what span) |> List.forall id then
                Value.Tensor
                    { Node = apply ctx name span (Array.ofList nodes)
                      Weight = number ctx 0.0
                      Set = set ctx span tensors }
            else
                Call.unknown
    lift ctx what span values one

let private runOp name ctx (call: Call) =
    applyOp ctx name $"`{name}`" call.Span (args call |> List.map _.Value)

/// where(cond, a, b): a condition known now picks a side whole; else element by element.
let private where ctx (call: Call) =
    let one values =
        match values with
        | Value.Unknown _ :: a :: b :: _ -> if kindOf ctx a = kindOf ctx b then Value.Unknown(kindOf ctx a) else Call.unknown
        | (Value.Bool c | Value.Scalar c) :: a :: b :: _ when (known ctx c).IsSome ->
            if (known ctx c).Value <> 0.0 then a else b
        | _ :: a :: b :: _ when a.IsUnknown || b.IsUnknown -> Call.unknown
        | cond :: (Value.Tensor a) :: (Value.Tensor b) :: _ when (simplify ctx a.Weight) = (simplify ctx b.Weight) ->
            // Both sides of one kind: choosing between two points is a point.
            let c, sets =
                match cond with
                | Value.Tensor c when wantDelta ctx "the condition of `where`" call.Span c -> Some c.Node, [ a; b; c ]
                | Value.Bool n
                | Value.Scalar n -> Some n, [ a; b ]
                | _ -> None, []
            match c with
            | Some c ->
                Value.Tensor { Node = apply ctx "where" call.Span [| c; a.Node; b.Node |]; Weight = a.Weight; Set = set ctx call.Span sets }
            | None -> Call.unknown
        | [ Value.Bool c; Value.Bool a; Value.Bool b ] -> Value.Bool(apply ctx "where" call.Span [| c; a; b |])
        | values -> applyOp ctx "where" "`where`" call.Span values
    lift ctx "`where`" call.Span (args call |> List.map _.Value) one

let private signatureOf (op: OpInfo) =
    let inside = op.Signature.Substring(op.Signature.IndexOf '(' + 1).TrimEnd(')')
    inside.Split(',') |> List.ofArray |> List.map (fun p -> Call.required (p.Trim()) Kind.Any)

/// Ops that have an operator instead of a function name, or a place of their own.
let private isOperator name =
    List.contains name [ "add"; "sub"; "mul"; "div"; "neg"; "fma"; "pow"; "lt"; "le"; "gt"; "ge"; "eq"; "ne"; "and"; "or"; "not"; "where"; "min"; "max" ]

let private example (op: OpInfo) =
    let zoo = "delta(\"zoo/tasks/digits.safetensors\", model(\"zoo/base.safetensors\"))"
    match op.Arity with
    | 1 -> $"norm({op.Name}({zoo}))"
    | 2 -> $"norm({op.Name}({zoo}, 0.01))"
    | _ -> $"norm({op.Name}({zoo}, -0.01, 0.01))"

let all : Builtin list =
    [ for op in OpTable.All do
          if not (isOperator op.Name) then
              { Name = op.Name; Group = "elementwise"; Parameters = signatureOf op; Variadic = false
                Summary = op.Formula; Example = example op; Result = Kind.Any; Run = runOp op.Name }
      { Name = "where"; Group = "elementwise"
        Parameters = [ Call.required "cond" Kind.Any; Call.required "a" Kind.Any; Call.required "b" Kind.Any ]
        Variadic = false
        Summary = "a where cond holds (is not 0), else b; a condition known beforehand picks a side whole."
        Example = "where(1 < 2, 10, 20)"; Result = Kind.Any; Run = where } ]
