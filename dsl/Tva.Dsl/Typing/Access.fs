/// From a value and a name to the member of that name: `x.name`, and `member(x, name)`.
module Tva.Dsl.Typing.Access

open Tva.Dsl
open Tva.Dsl.Syntax
open Tva.Dsl.Typing.Context

/// The member, or what is reported where there is none; `text` is how messages call the value.
let memberOf (ctx: Context) (value: Value) (name: string) (text: string) span : Value =
    let program = ctx.Program
    let report d = program.Report d
    match value with
    | FamilyLike members ->
        match members |> List.tryFind (fun (n, _) -> n = name) with
        | Some(_, t) ->
            program.AddHome(t.Node, name, members)
            Value.Tensor t
        | None ->
            report (Diagnostics.unknownMember name text (members |> List.map fst) span)
            Value.Unknown Kind.Delta
    | Value.Record entries ->
        let keyName key =
            match key with
            | Key k
            | Glob k -> k.Text
            | Else _ -> "else"
        match entries |> List.tryFind (fun (key, _) -> keyName key = name) with
        | Some(_, v) -> v
        | None ->
            report (Diagnostics.unknownMember name text (entries |> List.map (fst >> keyName)) span)
            Value.Unknown Kind.Any
    | Value.Named members ->
        match members |> List.tryFind (fun (n, _) -> n = name) with
        | Some(_, v) -> v
        | None ->
            report (Diagnostics.unknownMember name text (members |> List.map fst) span)
            Value.Unknown Kind.Any
    | Value.Table(Printed table) -> Value.Scalar(program.LateNumber(table, FromTable.Cell name))
    | Value.Table(Summed(_, _, summary)) when summary |> List.exists (fun (label, _) -> label = name) ->
        Value.Scalar(summary |> List.find (fun (label, _) -> label = name) |> snd)
    | Value.Table(Cells(columns, rows) | Summed(columns, rows, _)) ->
        match rows |> List.tryFind (fun (label, _) -> label = name), columns |> List.tryFindIndex ((=) name) with
        | Some(_, [ n ]), _ -> Value.Scalar n
        | Some(_, ns), _ -> Value.List(ns |> List.map Value.Scalar)
        | None, Some i -> Value.List(rows |> List.map (fun (_, ns) -> Value.Scalar ns[i]))
        | None, None ->
            report (Diagnostics.unknownMember name text ((rows |> List.map fst) @ columns) span)
            Value.Unknown Kind.Scalar
    | Value.Table(Found f) ->
        match f.Numbers |> List.tryFind (fun (label, _) -> label = name) with
        | Some(_, n) -> Value.Scalar n
        | None ->
            report (Diagnostics.unknownMember name text (f.Numbers |> List.map fst) span)
            Value.Unknown Kind.Scalar
    | Value.Unknown(Kind.Family | Kind.Basis) -> Value.Tensor(program.PlaceholderTensor 0.0)
    | Value.Unknown Kind.Table -> Value.Scalar(program.PlaceholderNumber())
    | Value.Unknown _ -> Value.Unknown Kind.Any
    | v ->
        report (Diagnostics.noMembers (describe ctx v) span)
        Value.Unknown Kind.Any
