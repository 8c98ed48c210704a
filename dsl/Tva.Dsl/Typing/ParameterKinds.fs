/// The kinds of a `def`'s parameters and result: from their names to kinds, to whether a value fits, and to what stands for one that is not known.
module Tva.Dsl.Typing.ParameterKinds

open Tva.Dsl
open Tva.Dsl.Syntax
open Tva.Dsl.Typing.Context

/// The kind a `def` names, reported where there is none of that name.
let named (program: Program) (name: Ident option) =
    match name with
    | None -> Kind.Any
    | Some t ->
        match Kind.parse t.Text with
        | Some k -> k
        | None ->
            program.Report(Diagnostics.unknownType t.Text t.Span (Kind.all |> List.map Kind.text))
            Kind.Any

/// Whether a value may stand where that kind is asked for; reports where not.
let fits (ctx: Context) what span kind (value: Value) =
    match kind, value with
    | Kind.Any, _ -> true
    | _, Value.Unknown _ -> true
    | Kind.Model, Value.Tensor t -> wantModel ctx what span t
    | Kind.Delta, Value.Tensor t -> wantDelta ctx what span t
    | Kind.Tensor, Value.Tensor t -> checkWhole ctx what span t
    | Kind.Scope, Value.Text _
    | Kind.List, (Value.Family _ | Value.Basis _ | Value.Range _)
    | Kind.Family, Value.Basis _
    | Kind.Scalar, Value.Record _ -> true
    | kind, value when kindOf ctx value = kind -> true
    | _ ->
        report ctx (Diagnostics.wrongKind what (Kind.article kind) (describe ctx value) span (familyHelp kind value))
        false

/// What stands for a parameter while its `def` is checked on its own.
let placeholder (program: Program) kind =
    match kind with
    | Kind.Model -> Value.Tensor(program.PlaceholderTensor 1.0)
    | Kind.Delta -> Value.Tensor(program.PlaceholderTensor 0.0)
    | Kind.Scalar -> Value.Scalar(program.PlaceholderNumber())
    | Kind.Bool -> Value.Bool(program.PlaceholderNumber())
    | k -> Value.Unknown k
