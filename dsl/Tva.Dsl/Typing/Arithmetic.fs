/// Operators on values: numbers fold, tensors follow the affine rule, families and lists go member by member.
module Tva.Dsl.Typing.Arithmetic

open System
open Tva.Core.Execution
open Tva.Dsl
open Tva.Dsl.Graph
open Tva.Dsl.Syntax
open Tva.Dsl.Typing.Context

/// Symbol, and the table's name.
let private opName op =
    match op with
    | Add -> "+", "add"
    | Subtract -> "-", "sub"
    | Multiply -> "*", "mul"
    | Divide -> "/", "div"
    | Power -> "^", "pow"
    | Less -> "<", "lt"
    | LessEqual -> "<=", "le"
    | Greater -> ">", "gt"
    | GreaterEqual -> ">=", "ge"
    | Equal -> "==", "eq"
    | NotEqual -> "!=", "ne"
    | And -> "and", "and"
    | Or -> "or", "or"

let private zero ctx = number ctx 0.0

let private tensor (ctx: Context) node weight set = Value.Tensor { Node = node; Weight = weight; Set = set }

/// A factor that must not touch a point: Delta, or reported.
let private deltas (ctx: Context) symbol span (ts: TensorValue list) =
    ts |> List.forall (want ctx Weight.Delta (Diagnostics.productOfPoints symbol span) (quote (ctx.Program.TextOf span)) span)

let private isZero ctx s = known ctx s = Some 0.0

/// Keys of a record that meet no tensor: a misspelt glob would otherwise be a coefficient that is never used.
let deadKeys (ctx: Context) span (s: Node) (t: TensorValue) =
    match t.Set with
    | Some set when s.Extent = Extent.Tensor ->
        let tensors = lazy (ctx.Program.SetTensors set)
        for n in reachable [ s ] do
            match n.Op with
            | Choose scopes ->
                for scope in scopes do
                    if scope <> Everything && scope <> TensorScope.anyLayer && not (tensors.Value |> Seq.exists (fun i -> TensorScope.selects i.Name i.Layer scope)) then
                        report ctx
                            { FileDiagnostics.scopeSelectsNothing (TensorScope.text scope) (tensors.Value |> Seq.map _.Name) (if n.Origin.Source >= 0 then n.Origin else span) with
                                Help = Some "a record's keys as a coefficient are globs over tensor names, or members' names where it stands beside the family" }
            | _ -> ()
    | _ -> ()

let private withScalar (ctx: Context) op span (node: Node) (t: TensorValue) (s: Node) =
    let symbol, name = opName op
    deadKeys ctx span s t
    let isWrong =
        match op, known ctx s with
        | _ when ctx.Abstract -> false
        | Multiply, Some v when not (Double.IsFinite v) || abs v > float Single.MaxValue ->
            report ctx (Diagnostics.cannotCompute $"a coefficient of {v:G6} is beyond float32, in which tensors compute" span None)
            true
        | Divide, Some 0.0 ->
            report ctx (Diagnostics.cannotCompute "a tensor is divided by 0" span None)
            true
        | _ -> false
    match op with
    | _ when isWrong -> Value.Unknown Kind.Delta
    | Multiply
    | Divide -> tensor ctx node (apply ctx name span [| t.Weight; s |]) t.Set
    | Add
    | Subtract when not (isZero ctx s) && weightOf ctx t = Weight.Model ->
        report ctx (Diagnostics.numberOnPoint symbol span)
        Value.Unknown Kind.Model
    | Add
    | Subtract -> tensor ctx node t.Weight t.Set
    | _ -> if deltas ctx symbol span [ t ] then tensor ctx node (zero ctx) t.Set else Value.Unknown Kind.Any

let rec private combine (ctx: Context) op span (left: Value) (right: Value) =
    let symbol, name = opName op
    let node a b = apply ctx name span [| a; b |]
    match op, left, right with
    | _, Value.Unknown a, b
    | _, b, Value.Unknown a ->
        let k = kindOf ctx b
        Value.Unknown(if a = k then a elif a = Kind.Scalar && b.IsTensor then k else Kind.Any)
    | _, Value.Tensor a, Value.Tensor b ->
        let set =
            match joinSets ctx span a b with
            // A difference of points is a task vector over the point that is taken away.
            | Some _ when op = Subtract && weightOf ctx a = Weight.Model && weightOf ctx b = Weight.Model -> b.Set |> Option.orElse a.Set
            | set -> set
        let result = node a.Node b.Node
        match op with
        | Add
        | Subtract -> tensor ctx result (node a.Weight b.Weight) set
        | _ -> if deltas ctx symbol span [ a; b ] then tensor ctx result (zero ctx) set else Value.Unknown Kind.Any
    | _, Value.Tensor t, Value.Scalar s -> withScalar ctx op span (node t.Node s) t s
    | (Add | Multiply), Value.Scalar s, Value.Tensor t -> withScalar ctx op span (node s t.Node) t s
    | Subtract, Value.Scalar s, Value.Tensor t ->
        tensor ctx (node s t.Node) (apply ctx "neg" span [| t.Weight |]) t.Set
    | _, Value.Scalar s, Value.Tensor t ->
        if deltas ctx symbol span [ t ] then tensor ctx (node s t.Node) (zero ctx) t.Set else Value.Unknown Kind.Any
    | (Less | LessEqual | Greater | GreaterEqual | Equal | NotEqual | And | Or), Value.Scalar a, Value.Scalar b -> truth ctx (node a b)
    | _, Value.Scalar a, Value.Scalar b -> Value.Scalar(node a b)
    | (And | Or | Equal | NotEqual), Value.Bool a, Value.Bool b -> Value.Bool(node a b)
    | (Equal | NotEqual), Value.Text a, Value.Text b -> Value.Bool(number ctx (if (a = b) = (op = Equal) then 1.0 else 0.0))
    | Add, Value.Text a, Value.Text b -> Value.Text(a + b)
    | (And | Or), (Value.Scope _ | Value.Text _), (Value.Scope _ | Value.Text _) ->
        let scope v =
            match v with
            | Value.Scope s -> s
            | Value.Text g -> TensorScope.Glob g
            | _ -> Everything
        Value.Scope(if op = And then Both(scope left, scope right) else Either(scope left, scope right))
    | _ ->
        report ctx (Diagnostics.cannotCombine symbol (describe ctx left) (describe ctx right) span)
        Value.Unknown Kind.Any

/// `left op right`.
let binary (ctx: Context) op span left right =
    let symbol, _ = opName op
    lift ctx $"`{symbol}`" span [ left; right ] (function
        | [ a; b ] -> combine ctx op span a b
        | _ -> Value.Unknown Kind.Any)

let private unaryOne (ctx: Context) op span value =
    match op, value with
    | _, Value.Unknown k -> Value.Unknown k
    | Negate, Value.Scalar n -> Value.Scalar(apply ctx "neg" span [| n |])
    | Negate, Value.Tensor t ->
        tensor ctx (apply ctx "neg" span [| t.Node |]) (apply ctx "neg" span [| t.Weight |]) t.Set
    | Not, Value.Bool n -> Value.Bool(apply ctx "not" span [| n |])
    | Not, Value.Scalar n -> truth ctx (apply ctx "not" span [| n |])
    | Not, Value.Scope s -> Value.Scope(Except s)
    | Not, Value.Text g -> Value.Scope(Except(TensorScope.Glob g))
    | Not, Value.Tensor t ->
        if deltas ctx "not" span [ t ] then
            tensor ctx (apply ctx "not" span [| t.Node |]) (zero ctx) t.Set
        else
            Value.Unknown Kind.Any
    | _, v ->
        let symbol = if op = Negate then "-" else "not"
        report ctx (Diagnostics.wrongKind $"`{symbol}`" "a number, a condition or tensors" (describe ctx v) span None)
        Value.Unknown Kind.Any

/// `-x` and `not x`.
let unary (ctx: Context) op span value =
    lift ctx "the operator" span [ value ] (function
        | [ v ] -> unaryOne ctx op span v
        | _ -> Value.Unknown Kind.Any)

/// `x[where]`: x there and zero elsewhere.
let restrict (ctx: Context) span (scope: TensorScope) value =
    let one v =
        match v with
        | Value.Tensor t ->
            let g = graph ctx
            match t.Set with
            | Some set ->
                let tensors = ctx.Program.SetTensors set
                let rec named s =
                    match s with
                    | Names names -> names
                    | Both(a, b)
                    | Either(a, b) -> named a @ named b
                    | Except a -> named a
                    | _ -> []
                let missing = named scope |> List.filter (fun name -> not (tensors |> Seq.exists (fun i -> i.Name = name)))
                if not missing.IsEmpty then
                    report ctx (FileDiagnostics.namesMissing missing span)
                elif not (tensors |> Seq.exists (fun i -> TensorScope.selects i.Name i.Layer scope)) then
                    let found = FileDiagnostics.scopeSelectsNothing (TensorScope.text scope) (tensors |> Seq.map _.Name) span
                    let layers = tensors |> Seq.map _.Layer |> Seq.filter (fun layer -> layer >= 0) |> List.ofSeq
                    let asksForLayers = (TensorScope.text scope).Contains "layers("
                    report ctx (if asksForLayers && not layers.IsEmpty then { found with Help = Some $"there are layers {List.min layers}..{List.max layers}" } else found)
            | None -> ()
            Value.Tensor
                { t with
                    Node = g.Make(Restrict scope, [| t.Node |], span)
                    Weight = g.Make(Restrict scope, [| t.Weight |], span) }
        | Value.Unknown k -> Value.Unknown k
        | v ->
            report ctx (Diagnostics.wrongKind "`[...]`" "a Model, a Delta or a Family" (describe ctx v) span None)
            Value.Unknown Kind.Any
    lift ctx "`[...]`" span [ value ] (function
        | [ v ] -> one v
        | _ -> Value.Unknown Kind.Any)
