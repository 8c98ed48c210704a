/// From the values that a batch of actions shows or checks to the numbers it needs, and back to plain results.
module Tva.Dsl.Gather

open System
open Tva.Core.Execution
open Tva.Core.Tensors
open Tva.Dsl.Graph
open Tva.Dsl.Typing

/// The relative error of the member that a basis keeps worst.
let private worst (program: Program) (b: BasisValue) = program.BasisNumber(b.Number, BasisNumber.Worst)

/// The numbers inside a value.
let rec numbers (program: Program) (value: Value) : Node list =
    let numbers = numbers program
    match value with
    | Value.Scalar n
    | Value.Bool n -> [ n ]
    | Value.List items -> items |> List.collect numbers
    | Value.Named items -> items |> List.collect (snd >> numbers)
    | Value.Record entries -> entries |> List.collect (snd >> numbers)
    | Value.Table(Cells(_, rows)) -> rows |> List.collect snd
    | Value.Table(Summed(_, rows, summary)) -> (rows |> List.collect snd) @ (summary |> List.map snd)
    | Value.Table(PerTensor(_, columns)) -> columns |> List.map snd
    | Value.Table(Found f) -> f.Needs
    | Value.Basis b -> [ worst program b ]
    | _ -> []

/// The numbers an effect needs before it can be shown or checked.
let needs (program: Program) (effect: Effect) : Node list =
    match effect with
    | Effect.Show(items, _) -> items |> List.collect (snd >> numbers program)
    | Effect.Assert(condition, sides, _, _, _) -> condition :: (sides |> List.map _.Node)
    | Effect.Plot(table, mark, _, _, _) -> table :: Option.toList mark |> List.collect (numbers program)
    | Effect.Report(parts, _, _) ->
        numbers program parts.Of
        @ List.concat parts.Gram
        @ (parts.Conflicts |> Option.defaultValue [] |> List.concat |> List.collect (fun (a, b) -> [ a; b ]))
    | _ -> []

let private thousands (n: int64) = n.ToString("N0", Globalization.CultureInfo.InvariantCulture)

/// A Model's or Delta's card: what it is, without computing it.
let card (program: Program) (ctx: Context) (t: TensorValue) =
    let kind = Context.kindOf ctx (Value.Tensor t) |> Kind.text
    match t.Set with
    | None -> Shown.Card(kind, [])
    | Some set ->
        let tensors = program.SetTensors set
        let dtypes = tensors |> Seq.map (fun i -> i.DType.Name()) |> Seq.distinct
        let simplified = Passes.simplify program.Graph t.Node
        let sources = reachable [ simplified ] |> Seq.choose (fun n -> match n.Op with Op.Source i -> Some(program.Original i) | _ -> None) |> Seq.distinct |> List.ofSeq
        let shown = sources |> List.truncate 3 |> List.map (fun i -> program.Sources[i].Path)
        let from = String.Join(", ", shown) + (if sources.Length > 3 then $" and {sources.Length - 3} more" else "")
        Shown.Card(
            kind,
            [ "tensors", string tensors.Count
              "parameters", thousands (tensors |> Seq.sumBy (fun i -> if i.DType.IsFloating() then i.Shape.Elements else 0L))
              "stored as", (match set.DType with Some d -> d.Name() | None -> String.Join(", ", dtypes))
              "reads", (if sources.IsEmpty then "nothing" else from) ]
        )

let familyCard (members: (string * TensorValue) list) =
    Shown.Card("Family", [ "members", string members.Length; "names", String.Join(", ", members |> List.map fst) ])

/// A family that a person asks for is shown with its members' norms; a script's is only described, which reads nothing.
let forPerson (program: Program) (effect: Effect) =
    match effect with
    | Effect.Show([ Some text, Value.Family ms ], span) ->
        let norm (t: TensorValue) = Builtins.Reductions.norm (Context.afterwards program) span Extent.All t.Node
        let table = Cells([ "norm" ], [ for name, t in ms -> name, [ norm t ] ])
        Effect.Show([ Some text, Value.Text $"Family of {ms.Length}"; None, Value.Table table ], span)
    | e -> e


/// A basis's card: method, T → M, the worst member's error, size.
let basisCard (program: Program) (ctx: Context) (b: BasisValue) (worst: float) =
    let d = program.Bases[b.Number]
    let given, kept = Builtins.Bases.bytes ctx b
    let mean = if b.Mean.IsSome then " and their mean" else ""
    let by = match d.By with Extent.Layer -> ", one for each layer" | Extent.Tensor -> ", one for each tensor" | _ -> ""
    Shown.Card(
        "Basis",
        [ "method", Tva.Core.Bases.BasisMethods.Name d.Options.Method + by
          "members", $"{d.Names.Length} → {b.Atoms.Length} atoms{mean}"
          "names", String.Join(", ", d.Names)
          "worst error", (if Double.IsNaN worst then "not known" else worst.ToString("0.####", Globalization.CultureInfo.InvariantCulture))
          "size", $"{Sizes.Text kept} for {Sizes.Text given}" ]
    )

/// A value as it is shown, with the numbers looked up: one value for extent All, else one per layer, tensor or row with labels.
let rec show (program: Program) ctx (lookup: Node -> float[]) (labels: Node -> string list) (tables: int -> (string * float) list) (value: Value) : Shown =
    let again = show program ctx lookup labels tables
    let one (n: Node) = (lookup n)[0]
    match value with
    | Value.Scalar n when n.Extent = Extent.All -> Shown.Number((lookup n)[0])
    // A schedule has no values before there are layers.
    | Value.Scalar n when reachable [ n ] |> Seq.forall (fun n -> match n.Op with Op.Source _ -> false | _ -> true) ->
        Shown.Text $"a Scalar that varies by {(string n.Extent).ToLowerInvariant()}"
    | Value.Scalar n -> Shown.Table(ResultTable.Of([ "value" ], List.zip (labels n) (lookup n |> List.ofArray |> List.map List.singleton)))
    | Value.Bool n -> Shown.Truth((lookup n)[0] <> 0.0)
    | Value.Text t -> Shown.Text t
    | Value.List items -> Shown.List(items |> List.map again)
    | Value.Named items ->
        let shown = items |> List.map (fun (name, v) -> name, again v)
        let numbers = shown |> List.choose (fun (name, v) -> match v with Shown.Number n -> Some(name, [ n ]) | _ -> None)
        let tables = shown |> List.choose (fun (name, v) -> match v with Shown.Table t -> Some(name, t) | _ -> None)
        let labels (t: ResultTable) = t.Rows |> List.map fst
        if numbers.Length = shown.Length then Shown.Table(ResultTable.Of([ "value" ], numbers))
        elif tables.Length = shown.Length && tables |> List.forall (fun (_, t) -> labels t = labels (snd tables.Head)) then
            // A number per layer or tensor for each member: members side by side.
            Shown.Table(
                ResultTable.Of(
                    tables |> List.map fst,
                    labels (snd tables.Head) |> List.mapi (fun i label -> label, tables |> List.map (fun (_, t) -> (snd t.Rows[i]).Head))
                )
            )
        else Shown.List(shown |> List.map snd)
    | Value.Range r -> Shown.List(Context.rangeValues r |> List.map Shown.Number)
    | Value.Record entries ->
        let key k =
            match k with
            | Syntax.Key k
            | Syntax.Glob k -> k.Text
            | Syntax.Else _ -> "else"
        Shown.Card("Record", entries |> List.map (fun (k, v) -> key k, (match again v with Shown.Number n -> n.ToString "R" | Shown.Text t -> t | other -> $"%A{other}")))
    | Value.Table(Cells(columns, rows)) ->
        Shown.Table(ResultTable.Of(columns, rows |> List.map (fun (label, cells) -> label, cells |> List.map one)))
    | Value.Table(Summed(columns, rows, summary)) ->
        Shown.Table
            { Columns = columns
              Rows = rows |> List.map (fun (label, cells) -> label, cells |> List.map one)
              Summary = summary |> List.map (fun (label, n) -> label, one n) }
    | Value.Table(PerTensor(_, columns)) ->
        let names = labels (snd columns.Head)
        let values = columns |> List.map (fun (_, n) -> lookup n)
        Shown.Table(ResultTable.Of(columns |> List.map fst, names |> List.mapi (fun i name -> name, values |> List.map (fun v -> v[i]))))
    | Value.Table(Printed table) -> Shown.Table(ResultTable.Of([ "value" ], tables table |> List.map (fun (name, v) -> name, [ v ])))
    | Value.Table(Found f) -> Shown.Findings(f.Tell lookup labels)
    | Value.Edit e -> Shown.Card("Edit", [ "goal", Builtins.Edits.goalText e.Goal; "task vectors", String.Join(", ", e.Members |> List.map fst) ])
    | Value.Tensor t -> card program ctx t
    | Value.Family ms -> familyCard ms
    | Value.Basis b -> basisCard program ctx b (one (worst program b))
    | Value.Scope s -> Shown.Text(TensorScope.text s)
    | Value.Function c -> Shown.Text(Syntax.Trees.signature c.Definition)
    | Value.Unit
    | Value.Unknown _ -> Shown.Text ""

/// A number as messages have it: seven digits, whole numbers whole.
let plain (v: float) =
    if v = floor v && abs v < 1e15 then v.ToString("0", Globalization.CultureInfo.InvariantCulture)
    else v.ToString("G7", Globalization.CultureInfo.InvariantCulture)
