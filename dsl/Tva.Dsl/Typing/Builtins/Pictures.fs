/// What is looked at: `plot`, `report`, and `table`, which reads numbers from a file.
module Tva.Dsl.Typing.Builtins.Pictures

open System
open System.IO
open Tva.Core.Checkpoints
open Tva.Core.Execution
open Tva.Dsl
open Tva.Dsl.Graph
open Tva.Dsl.Typing
open Tva.Dsl.Typing.Context

/// The kinds of picture, by the names that scripts use.
let private kinds = [ "auto"; "heat"; "bars"; "lines" ]

/// More marks than this nobody can tell apart, and no browser shows them quickly.
let private most = 20_000

/// What can be said of a table's size before it is drawn.
let problem (rows: int) (columns: int) : string option =
    if rows = 0 || columns = 0 then Some "the table is empty, so there is nothing to draw"
    elif int64 rows * int64 columns > int64 most then Some $"a picture of {rows} rows by {columns} columns is more than anyone can read (at most {most} cells)"
    else None

/// So many members have pairs that a person still looks at, and a pass still counts quickly.
let private mostInPairs = 24

/// The full path of what may be written there; reports what speaks against it.
let private target ctx (call: Call) (endings: string list) =
    let p = ctx.Program
    match Call.text ctx call 1 "path" "" with
    | Some path when not ctx.Abstract ->
        let span = call.Args[1].Value.Span
        let full = fullPath ctx path
        let isThere (effect: Effect) =
            match effect with
            | Effect.Save(_, other, _, _, _)
            | Effect.SaveBasis(_, other, _, _, _)
            | Effect.SaveAdapter(_, other, _, _, _, _)
            | Effect.Plot(_, _, _, other, _)
            | Effect.Report(_, other, _) -> other = full
            | _ -> false
        let isInput (file: string) = Checkpoint.IsSameFile(file, full)
        if (p.Surroundings.InMemory path).IsSome then
            report ctx (FileDiagnostics.pictureInMemory path span)
            None
        elif not (mayWrite ctx span path) then None
        elif not (endings |> List.exists (fun e -> full.EndsWith(e, StringComparison.OrdinalIgnoreCase))) then
            report ctx (FileDiagnostics.pictureForm path endings.Head span)
            None
        elif p.Sources |> Seq.exists (fun s -> s.Checkpoint.Files |> Seq.exists isInput) || p.TablesRead |> Seq.exists isInput then
            report ctx (FileDiagnostics.outputIsInput path span)
            None
        elif p.Effects |> Seq.exists isThere then
            report ctx (FileDiagnostics.outputTwice path span)
            None
        else Some full
    | _ -> None

/// How many rows and columns a value has as a table, where that is known before the run; None for what is no table.
let rec private form (ctx: Context) (value: Value) : (int * int) option option =
    match value with
    | Value.Table(Cells(columns, rows))
    | Value.Table(Summed(columns, rows, _)) -> Some(Some(rows.Length, columns.Length))
    | Value.Table(PerTensor(set, columns)) -> Some(Some((ctx.Program.SetTensors set).Count, columns.Length))
    | Value.Table(Printed _) -> Some None
    | Value.Table(Found f) when f.IsDrawn -> Some None
    | Value.Scalar n when n.Extent <> Extent.All && reachable [ n ] |> Seq.exists (fun n -> match n.Op with Op.Source _ -> true | _ -> false) -> Some None
    | Value.Named items when not items.IsEmpty && items |> List.forall (fun (_, v) -> match v with Value.Scalar n -> n.Extent = Extent.All | _ -> false) ->
        Some(Some(items.Length, 1))
    | Value.Named items when not items.IsEmpty && items |> List.forall (fun (_, v) -> v.IsScalar && (form ctx v).IsSome) -> Some None
    | _ -> None

let private drawable ctx (call: Call) i =
    match call.Args[i] with
    | None
    | Some { Value = Value.Unknown _ } -> None
    | Some a ->
        match form ctx a.Value with
        | None ->
            let help =
                match a.Value with
                | Value.Family _
                | Value.Basis _ -> Some "`similarity` and `stats` make tables of it; `report` draws all there is to see"
                | Value.Table _ -> Some "what it finds is words; its numbers have names, and `conflicts`, `row_gap` and `spectrum` can be drawn"
                | _ -> Some "`similarity`, `stats`, `sweep`, `errors`, a number by layer, or `table(\"file.csv\")` give one"
            let what = match a.Value with Value.Table _ -> "a table of words" | v -> describe ctx v
            report ctx (FileDiagnostics.pictureOf $"`{call.Function}`" what help a.Span)
            None
        | Some size ->
            match size |> Option.bind (fun (rows, columns) -> problem rows columns) with
            | Some problem ->
                report ctx (FileDiagnostics.pictureSize problem a.Span)
                None
            | None -> Some(a, size)

let private plot ctx (call: Call) =
    let options =
        match Call.choice ctx call 2 "kind" kinds "auto", Call.text ctx call 3 "title" "", Call.text ctx call 4 "axes" "", Call.text ctx call 6 "note" "" with
        | Some kind, Some title, Some axes, Some note ->
            let title = if title = "" then call.Args[0] |> Option.map _.Text |> Option.defaultValue "" else title
            Some { Kind = kind; Title = title; Axes = axes; Note = note }
        | _ -> None
    let table = drawable ctx call 0
    let mark = if call.Args[5].IsSome then drawable ctx call 5 |> Option.map Some else Some None
    match table, mark with
    | Some(_, Some size), Some(Some(m, Some given)) when size <> given -> report ctx (FileDiagnostics.markForm size given m.Span)
    | Some(t, _), Some mark when not ctx.Abstract ->
        match options, target ctx call [ ".svg" ] with
        | Some options, Some path -> ctx.Program.Do(Effect.Plot(t.Value, mark |> Option.map (fun (m, _) -> m.Value), options, path, call.Span))
        | _ -> ()
    | _ -> ()
    Value.Unit

/// How many elements of two members have opposite signs, and how many are zero in neither.
let private conflict ctx span (a: Node) (b: Node) =
    let signs = apply ctx "mul" span [| apply ctx "sign" span [| a |]; apply ctx "sign" span [| b |] |]
    let count x = Reductions.nonzero ctx span Extent.All x
    count (apply ctx "lt" span [| signs; number ctx 0.0 |]), count signs

let private reportOn ctx (call: Call) =
    let a = call.Args[0]
    let pairs (members: (string * TensorValue) list) =
        if members.Length > mostInPairs then None
        else
            let nodes = members |> List.map (fun (_, t) -> t.Node)
            Some [ for i in 0 .. nodes.Length - 1 -> [ for j in i + 1 .. nodes.Length - 1 -> conflict ctx call.Span nodes[i] nodes[j] ] ]
    let make (title: string) (value: Value) (members: (string * TensorValue) list) isBasis =
        match target ctx call [ ".html"; ".htm" ] with
        | Some path ->
            let nodes = members |> List.map (fun (_, t) -> t.Node)
            let gram =
                if isBasis then []
                else [ for i in 0 .. nodes.Length - 1 -> [ for j in i .. nodes.Length - 1 -> Reductions.dot ctx call.Span Extent.All nodes[i] nodes[j] ] ]
            let parts = { Title = title; Of = value; Members = members; Gram = gram; Conflicts = pairs members }
            ctx.Program.Do(Effect.Report(parts, path, call.Span))
        | None -> ()
    match a, Call.text ctx call 2 "title" "" with
    | Some a, Some title ->
        let title = if title = "" then a.Text else title
        match a.Value with
        | Value.Basis b when not ctx.Abstract ->
            // Of its tasks where it is made of them, else of what it makes of them.
            let d = ctx.Program.Bases[b.Number]
            let members = if d.Sources.Length >= d.Names.Length && d.Origin.IsTasks then List.zip d.Names (List.truncate d.Names.Length d.Sources) else b.Members
            make title a.Value members true
        | Value.Family members when not ctx.Abstract -> make title a.Value members false
        | Value.Basis _
        | Value.Family _
        | Value.Unknown _ -> ()
        | v -> report ctx (Diagnostics.wrongKind "`report`" "a Family or a Basis" (describe ctx v) a.Span (Some "`plot` draws a Table"))
    | _ -> ()
    Value.Unit

let private table ctx (call: Call) =
    match Call.text ctx call 0 "path" "" with
    | Some path when not ctx.Abstract ->
        let span = call.Args[0].Value.Span
        let full = fullPath ctx path
        if not (mayRead ctx span path) then Value.Unknown Kind.Table
        else
            try
                let columns, rows = TableFile.read full
                ctx.Program.TablesRead.Add full |> ignore
                Value.Table(Cells(columns, rows |> List.map (fun (label, values) -> label, values |> List.map (number ctx))))
            with
            | TableFile.Wrong(line, what) ->
                report ctx (FileDiagnostics.badTable path line what span)
                Value.Unknown Kind.Table
            | :? FileNotFoundException
            | :? DirectoryNotFoundException ->
                report ctx (FileDiagnostics.cannotOpen $"{path}: there is no such file" span)
                Value.Unknown Kind.Table
            | :? IOException
            | :? UnauthorizedAccessException as e ->
                report ctx (FileDiagnostics.cannotOpen $"{path}: can't be read: {e.Message}" span)
                Value.Unknown Kind.Table
    | _ -> Value.Unknown Kind.Table

let private zoo = "family(\"zoo/tasks/*.safetensors\", model(\"zoo/base.safetensors\"))"

let private row name group parameters summary example result run : Builtin =
    { Name = name; Group = group; Parameters = parameters; Variadic = false; Summary = summary; Example = example; Result = result; Run = run }

let all =
    [ row "plot" "out"
          [ Call.required "table" Kind.Any; Call.required "path" Kind.Text; Call.optional "kind" Kind.Text "\"auto\""; Call.optional "title" Kind.Text ""
            Call.optional "axes" Kind.Text ""; Call.optional "mark" Kind.Any ""; Call.optional "note" Kind.Text "" ]
          "Draws a table as an SVG file: a map of cells (\"heat\"), \"bars\" with a panel for each column, or \"lines\" over the first column or the rows' labels; \"auto\" takes what fits. In a map `axes` says what rows and columns are, and cells where the table `mark` is not zero are outlined, which `note` explains. Colours follow the reader's light or dark; numbers, hatching and dashes say the same without them."
          $"plot(similarity({zoo}), \"out/similarity.svg\")" Kind.Unit plot
      row "report" "out" [ Call.required "x" Kind.Any; Call.required "path" Kind.Text; Call.optional "title" Kind.Text "" ]
          "Writes what there is to see of a Family or a Basis as one HTML page that needs nothing else: cosines, opposite signs, the spectrum with the chosen number of atoms, each task's error."
          $"report({zoo} @basis(4), \"out/report.html\")" Kind.Unit reportOn
      row "table" "tables" [ Call.required "path" Kind.Text ]
          "Reads a table of numbers from a CSV file: a line of titles, then a label and numbers on each line. An empty cell is NaN."
          "table(\"theory/results/pairs-loss-1.csv\")" Kind.Table table ]
