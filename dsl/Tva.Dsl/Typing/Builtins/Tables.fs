/// Tables: `similarity`, `stats`, `sweep`, `best`.
module Tva.Dsl.Typing.Builtins.Tables

open Tva.Core.Execution
open Tva.Dsl
open Tva.Dsl.Graph
open Tva.Dsl.Typing
open Tva.Dsl.Typing.Context

let private similarity ctx (call: Call) =
    Call.orUnknown (Call.members ctx call 0 "F") (fun ms ->
        let tensors =
            ms |> List.mapi (fun i (name, v) ->
                match v with
                | Value.Tensor t -> Some(name |> Option.defaultValue $"m{i + 1}", t)
                | _ -> None)
        if tensors |> List.exists Option.isNone then
            if not (ms |> List.exists (fun (_, v) -> v.IsUnknown)) then
                report ctx (Diagnostics.wrongKind "`similarity`" "a Family" (describe ctx call.Args[0].Value.Value) call.Args[0].Value.Span None)
            Value.Unknown Kind.Table
        else
            let tensors = tensors |> List.map Option.get
            if tensors |> List.map (fun (_, t) -> wantDelta ctx "`similarity`" call.Args[0].Value.Span t) |> List.forall id then
                let cell (a: TensorValue) (b: TensorValue) = Reductions.cosine ctx call.Span Extent.All a.Node b.Node
                Value.Table(Cells(tensors |> List.map fst, [ for (name, a) in tensors -> name, [ for (_, b) in tensors -> cell a b ] ]))
            else
                Value.Unknown Kind.Table)

let private columns ctx span extent (x: Node) =
    let quantity name f = name, f ctx span extent x
    [ quantity "numel" Reductions.numel
      quantity "norm" Reductions.norm
      quantity "mean_abs" Reductions.meanAbs
      quantity "max_abs" Reductions.maxAbs
      quantity "nonzero" Reductions.nonzero ]

let private stats ctx (call: Call) =
    match call.Args[0].Value.Value with
    | Value.Tensor({ Set = Some set } as t) -> Value.Table(PerTensor(set, columns ctx call.Span Extent.Tensor t.Node))
    | FamilyLike ms ->
        let rows = ms |> List.map (fun (name, t) -> name, columns ctx call.Span Extent.All t.Node)
        Value.Table(Cells(rows.Head |> snd |> List.map fst, rows |> List.map (fun (name, cs) -> name, cs |> List.map snd)))
    | Value.Tensor _
    | Value.Unknown _ -> Value.Unknown Kind.Table
    | v ->
        report ctx (Diagnostics.wrongKind "`stats`" "a Model, a Delta or a Family" (describe ctx v) call.Args[0].Value.Span None)
        Value.Unknown Kind.Table

let private closure ctx (call: Call) i =
    match call.Args[i] with
    | Some { Value = Value.Function c } -> Some c
    | Some { Value = Value.Unknown _ }
    | None -> None
    | Some a ->
        report ctx (Diagnostics.wrongKind $"`{call.Function}`" "the name of a def" (describe ctx a.Value) a.Span None)
        None

/// sweep(f, range, score): the def f for each value, the def score on each result. Unrolled here, so each step is planned like a script of its own.
let private sweep ctx (call: Call) =
    match closure ctx call 0, members ctx call.Args[1].Value.Value, closure ctx call 2 with
    | Some f, Some values, Some score when not ctx.Abstract ->
        let row (_, value) =
            match value with
            | Value.Scalar n ->
                let result = ctx.Invoke ctx f [ value ] call.Span
                match ctx.Invoke ctx score [ result ] call.Span with
                | Value.Scalar s -> Some("", [ n; s ])
                | Value.Unknown _ -> None
                | v ->
                    report ctx
                        (Diagnostics.wrongKind "`sweep`" "a score that is a number" (describe ctx v) call.Args[2].Value.Span
                            (Some "a table has `mean(t)` or `t.name`"))
                    None
            | v ->
                report ctx (Diagnostics.wrongKind "`sweep`" "a range or list of numbers" (describe ctx v) call.Args[1].Value.Span None)
                None
        let rows = values |> List.map row
        if rows.IsEmpty || rows |> List.exists Option.isNone then Value.Unknown Kind.Table
        else Value.Table(Cells([ "value"; "score" ], rows |> List.map Option.get))
    | Some _, None, Some _ ->
        if not call.Args[1].Value.Value.IsUnknown then
            report ctx (Diagnostics.wrongKind "`sweep`" "a range" (describe ctx call.Args[1].Value.Value) call.Args[1].Value.Span (Some "for instance `0..1 by 0.05`"))
        Value.Unknown Kind.Table
    | _ -> Value.Unknown Kind.Table

/// The first column's value in the row whose last column is highest; the earlier row among equals.
let private best ctx (call: Call) =
    match call.Args[0].Value.Value with
    | Value.Table(Cells(_, rows)) when not rows.IsEmpty ->
        let node name args = apply ctx name call.Span args
        let better (value, score) (_, cells: Node list) =
            let v, s = cells.Head, List.last cells
            let wins = node "gt" [| s; score |]
            node "where" [| wins; v; value |], node "where" [| wins; s; score |]
        let first = snd rows.Head
        Value.Scalar(rows.Tail |> List.fold better (first.Head, List.last first) |> fst)
    | Value.Unknown _ -> Value.Unknown Kind.Scalar
    | v ->
        report ctx (Diagnostics.wrongKind "`best`" "a Table of values and scores" (describe ctx v) call.Args[0].Value.Span (Some "`sweep` gives one"))
        Value.Unknown Kind.Scalar

let private zoo = "family(\"zoo/tasks/*.safetensors\", model(\"zoo/base.safetensors\"))"

let private row name parameters summary example result run : Builtin =
    { Name = name; Group = "tables"; Parameters = parameters; Variadic = false; Summary = summary; Example = example; Result = result; Run = run }

let all =
    [ row "similarity" [ Call.required "F" Kind.Family ] "The cosine of every two members." $"similarity({zoo})" Kind.Table similarity
      row "stats" [ Call.required "x" Kind.Any ] "Elements, norm, mean and largest magnitude, nonzeros: by tensor, or by member of a family." $"stats({zoo})" Kind.Table stats
      row "sweep" [ Call.required "f" Kind.Function; Call.required "range" Kind.Range; Call.required "score" Kind.Function ]
          "The def f for each value of a range, the def score on each result." "" Kind.Table sweep
      row "best" [ Call.required "table" Kind.Table ] "The value with the highest score." "" Kind.Scalar best ]
