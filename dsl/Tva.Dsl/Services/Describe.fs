/// From a value of the checker to a line that says what it is, for hovering and for lists of names.
module internal Tva.Dsl.Services.Describe

open System
open System.Globalization
open Tva.Core.Execution
open Tva.Core.Tensors
open Tva.Dsl
open Tva.Dsl.Graph
open Tva.Dsl.Syntax
open Tva.Dsl.Typing

let private thousands (n: int64) = n.ToString("N0", CultureInfo.InvariantCulture)

let private plural n (noun: string) = if n = 1 then $"1 {noun}" else $"{n} {noun}s"

let private tensor (program: Program) ctx (t: TensorValue) =
    let kind = Context.kindOf ctx (Value.Tensor t) |> Kind.text
    match t.Set with
    | None -> kind
    | Some set ->
        let tensors = program.SetTensors set
        let parameters = tensors |> Seq.sumBy (fun i -> if i.DType.IsFloating() then i.Shape.Elements else 0L)
        $"""{kind}: {plural tensors.Count "tensor"}, {thousands parameters} parameters"""

let rec value (program: Program) (v: Value) : string =
    let ctx = Context.afterwards program
    match v with
    | Value.Tensor t -> tensor program ctx t
    | Value.Family ms -> $"Family of {ms.Length}: {Suggest.listing (ms |> List.map fst)}"
    | Value.Basis b -> $"""Basis of {b.Members.Length} in {plural b.Atoms.Length "atom"}: {Suggest.listing (b.Members |> List.map fst)}"""
    | Value.Scalar n when (Context.known ctx n).IsSome -> $"Scalar: {Gather.plain (Context.known ctx n).Value}"
    | Value.Scalar n when n.Extent = Extent.All -> "Scalar"
    | Value.Scalar n -> $"Scalar by {(string n.Extent).ToLowerInvariant()}"
    | Value.Bool _ -> "Bool"
    | Value.Text t -> (if t.Length > 60 then $"Text of {t.Length} characters" else $"Text: \"{t}\"")
    | Value.List items -> $"List of {items.Length}"
    | Value.Named items -> $"List of {items.Length}: {Suggest.listing (items |> List.map fst)}"
    | Value.Range r -> $"Range from {Gather.plain r.First} to {Gather.plain r.Last} by {Gather.plain r.By}"
    | Value.Record entries -> $"Record of {entries.Length}"
    | Value.Table(Cells(columns, rows) | Summed(columns, rows, _)) -> $"Table of {rows.Length} by {columns.Length}"
    | Value.Table(PerTensor(set, columns)) -> $"Table by tensor: {Suggest.listing (columns |> List.map fst)}"
    | Value.Table(Printed _) -> "Table that a command prints"
    | Value.Table(Found _) -> "Table of findings"
    | Value.Edit e -> $"Edit: {Builtins.Edits.goalText e.Goal} {Suggest.listing (e.Members |> List.map fst)}"
    | Value.Scope s -> $"Scope: {TensorScope.text s}"
    | Value.Function c -> Trees.signature c.Definition
    | Value.Unit -> "nothing"
    | Value.Unknown k -> Kind.text k

/// Members that can stand behind a dot, with what they are.
let members (program: Program) (v: Value) : (string * string) list =
    let ctx = Context.afterwards program
    match v with
    | Value.Family ms -> ms |> List.map (fun (name, t) -> name, Kind.text (Context.kindOf ctx (Value.Tensor t)))
    | Value.Basis b -> b.Members |> List.map (fun (name, _) -> name, "Delta")
    | Value.Named ms -> ms |> List.map (fun (name, m) -> name, value program m)
    | Value.Record entries ->
        [ for key, m in entries do
              match key with
              | Key k
              | Glob k -> k.Text, value program m
              | Else _ -> () ]
    | Value.Table(Printed table) ->
        match program.Printed.TryGetValue table with
        | true, cells -> cells |> List.map (fun (name, v) -> name, Gather.plain v)
        | _ -> []
    | Value.Table(Found f) -> f.Numbers |> List.map (fun (name, _) -> name, "Scalar")
    | Value.Table(Summed(columns, rows, summary)) ->
        [ for name, _ in summary -> name, "Scalar"
          for name, _ in rows -> name, "row"
          for name in columns -> name, "column" ]
    | Value.Table(Cells(columns, rows)) ->
        [ for name, _ in rows -> name, "row"
          for name in columns -> name, "column" ]
        |> List.distinctBy fst
    | _ -> []

/// Names of the tensors a value is over.
let tensorNames (program: Program) (v: Value) : string list =
    let set =
        match v with
        | Value.Tensor t -> t.Set
        | Value.Family((_, t) :: _) -> t.Set
        | Value.Basis b -> b.Members |> List.tryHead |> Option.bind (fun (_, t) -> t.Set)
        | _ -> None
    match set with
    | Some set -> [ for t in program.SetTensors set -> t.Name ]
    | None -> []
