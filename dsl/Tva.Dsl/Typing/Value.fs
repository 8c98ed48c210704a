/// What an expression is after checking: its kind, and the graph nodes that say how to compute it.
namespace Tva.Dsl.Typing

open Tva.Core.Checkpoints
open Tva.Core.Tensors
open Tva.Dsl
open Tva.Dsl.Graph
open Tva.Dsl.Syntax

/// Kinds as the user writes and reads them. `Any` is a parameter without a type; `Tensor` is a Model or a Delta.
[<RequireQualifiedAccess>]
type Kind =
    | Model
    | Delta
    | Tensor
    | Family
    | Basis
    | Scalar
    | Text
    | Bool
    | List
    | Range
    | Record
    | Table
    | Scope
    /// What is meant to be done with task vectors: add, forget, carry over.
    | Edit
    | Function
    | Unit
    | Any

/// The tensor list a value lives over, and how its results are stored.
type TensorSet =
    { /// Index of the source whose names, shapes and types govern.
      Reference: int
      /// Stored type of results instead of the reference's.
      DType: DType option }

/// A Model, a Delta, or on the way to one: `Weight` 1 is a Model, 0 a Delta.
type TensorValue =
    { Node: Node
      Weight: Node
      /// None only for the parameters of a `def` being checked on its own.
      Set: TensorSet option }

/// A table of words and numbers that follows from numbers of a run, and the numbers in it that have names.
[<ReferenceEquality>]
type FindingsValue =
    { Needs: Node list
      /// Whether its numbers, below each other, are worth drawing.
      IsDrawn: bool
      /// From the values of a number, and their labels, to what is found.
      Tell: (Node -> float[]) -> (Node -> string list) -> Findings
      Numbers: (string * Node) list }

/// Where a table's numbers come from.
type TableValue =
    /// Rows of numbers (extent All), under column titles.
    | Cells of columns: string list * rows: (string * Node list) list
    /// Cells, and single numbers about all of them.
    | Summed of columns: string list * rows: (string * Node list) list * summary: (string * Node) list
    /// One row per tensor; the columns are numbers of extent Tensor.
    | PerTensor of set: TensorSet * columns: (string * Node) list
    /// What an `evaluate` will print; its number in the program.
    | Printed of int
    | Found of FindingsValue

/// A range with its ends included.
type RangeValue = { First: float; Last: float; By: float }

/// A family whose members are Σ coefficient · atom.
type BasisValue =
    { /// Its number in the program, where its definition and, once solved, its numbers are.
      Number: int
      Members: (string * TensorValue) list
      Atoms: TensorValue list
      /// What every member has in full besides its share of the atoms (PCA's mean).
      Mean: TensorValue option }

/// What an edit is for.
[<RequireQualifiedAccess>]
type Goal =
    /// All members at once, the first with coefficient 1.
    | Add
    /// The first member is to go, the others are to stay.
    | Forget
    /// A task that lies to the members' tasks as these numbers say.
    | Ood of gamma: float list

/// Task vectors and what is meant to be done with them; coefficients are `advise`'s and `advised`'s matter.
type EditValue =
    { Goal: Goal
      Members: (string * TensorValue) list }

[<RequireQualifiedAccess>]
type Value =
    | Tensor of TensorValue
    | Family of (string * TensorValue) list
    | Basis of BasisValue
    | Scalar of Node
    | Bool of Node
    | Text of string
    | List of Value list
    /// A List whose members have names, for instance a number for each member of a family.
    | Named of (string * Value) list
    | Range of RangeValue
    | Record of (RecordKey * Value) list
    | Table of TableValue
    | Scope of TensorScope
    | Edit of EditValue
    | Function of Closure
    | Unit
    /// Not known: a parameter while a `def` is checked on its own (then its kind), or the result of a reported mistake (Any).
    | Unknown of Kind

/// A `def` with what it sees.
and Closure =
    { Definition: Definition
      Scope: Scope
      IsPrelude: bool }

/// Names in sight, innermost first.
and Scope = Map<string, Value>

/// A loaded checkpoint.
type Source = { Checkpoint: Checkpoint; Path: string }

/// How a number follows from the table that a command prints.
[<RequireQualifiedAccess>]
type FromTable =
    | Cell of string
    | Mean
    | Sum
    | Min
    | Max

/// A number of a basis, known once its Gram matrix is. Atoms count the mean as the last, where there is one.
[<RequireQualifiedAccess>]
type BasisNumber =
    /// How much of a source an atom has.
    | Weight of source: int * atom: int
    /// How much of an atom a member has.
    | Coefficient of atom: int * task: int
    /// The same in one group.
    | CoefficientOf of group: int * atom: int * task: int
    | Norm of task: int
    | RelativeError of task: int
    | Cosine of task: int
    | Loss
    | Bound
    | Worst
    /// The dot product of two tasks, and its part in one group.
    | Dot of first: int * second: int
    | DotOf of group: int * first: int * second: int

/// What only a run can tell.
type LateNumber =
    | OfTable of table: int * from: FromTable
    | OfBasis of basis: int * number: BasisNumber
    /// How alike two models answer, from the tables that a command prints of their outputs (α̂ of arXiv 2504.10957).
    | OfOutputs of table: int * name: string * other: int * otherName: string
    /// Stands for the principal angles between row spaces, so that they are measured; the table that asks for them takes them from the program.
    | OfAngles of set: int
    /// What follows from other numbers by a rule of the program.
    | OfRule of int

/// One side of a failed assertion's report.
type Side = { Text: string; Node: Node }

/// What a person should know of a value where a condition holds.
type Caution = { Value: Node; Condition: Node; Message: string; Span: Span }

/// What floating tensors of an output are stored as.
[<RequireQualifiedAccess>]
type Storage =
    /// As the base is, tensor by tensor.
    | Kept
    | All of DType
    /// By the first that selects a tensor; as the base where none does.
    | Rules of (TensorScope * DType) list

    /// The type for a tensor, where it is said.
    member s.Of(name: string, layer: int) =
        match s with
        | Kept -> None
        | All d -> Some d
        | Rules rules -> rules |> List.tryFind (fun (scope, _) -> TensorScope.selects name layer scope) |> Option.map snd

/// How a Model or a Delta is written.
type SaveForm =
    { Types: Storage
      /// None: one file. Else a folder, with the most bytes that a shard holds.
      Shard: int64 option }

/// How a table is to be drawn.
type PlotOptions =
    { Kind: string
      Title: string
      /// What rows and columns are.
      Axes: string
      /// What the marked cells are.
      Note: string }

/// What a report is of, and the numbers that only it needs.
type ReportParts =
    { Title: string
      Of: Value
      Members: (string * TensorValue) list
      /// ⟨τᵢ, τⱼ⟩ for j from i on; empty for a basis, which has its own.
      Gram: Node list list
      /// For each pair i < j how many elements have opposite signs, and how many are zero in neither; None where there are too many pairs.
      Conflicts: (Node * Node) list list option }

/// What a statement does when the script runs, in the order of the text.
[<RequireQualifiedAccess>]
type Effect =
    | Save of value: TensorValue * path: string * form: SaveForm * expression: string * span: Span
    /// The atoms' type: F32, BF16, or I8 with a scale per row.
    | SaveBasis of basis: BasisValue * path: string * dtype: DType * expression: string * span: Span
    /// A sum of low-rank adapters as a folder, with the most rank a module may have.
    | SaveAdapter of value: TensorValue * path: string * rank: int option * dtype: DType * expression: string * span: Span
    | Show of (string option * Value) list * span: Span
    | Assert of condition: Node * sides: Side list * text: string * message: string * span: Span
    | Evaluate of table: int * value: TensorValue * command: string * folder: string * span: Span
    /// A table as a picture, with another of the same form that says which cells to mark.
    | Plot of table: Value * mark: Value option * options: PlotOptions * path: string * span: Span
    | Report of parts: ReportParts * path: string * span: Span

module Kind =

    let text kind =
        match kind with
        | Kind.Tensor -> "Model or Delta"
        | Kind.Any -> "value"
        // Written out: `%A` reflects, which took half of the time of checking a long script.
        | Kind.Model -> "Model"
        | Kind.Delta -> "Delta"
        | Kind.Family -> "Family"
        | Kind.Basis -> "Basis"
        | Kind.Scalar -> "Scalar"
        | Kind.Text -> "Text"
        | Kind.Bool -> "Bool"
        | Kind.List -> "List"
        | Kind.Range -> "Range"
        | Kind.Record -> "Record"
        | Kind.Table -> "Table"
        | Kind.Scope -> "Scope"
        | Kind.Edit -> "Edit"
        | Kind.Function -> "Function"
        | Kind.Unit -> "Unit"

    /// With its article, for sentences.
    let article kind =
        match kind with
        | Kind.Tensor -> "a Model or a Delta"
        | Kind.Any -> "a value"
        | Kind.Unit -> "nothing"
        | Kind.Edit -> "an edit (`add`, `forget`, `ood`)"
        | k -> $"a {text k}"

    let all =
        [ Kind.Model; Kind.Delta; Kind.Family; Kind.Basis; Kind.Scalar; Kind.Text; Kind.Bool; Kind.List; Kind.Range; Kind.Record; Kind.Table; Kind.Scope ]

    let private byName = all |> List.map (fun k -> text k, k) |> Map.ofList

    let parse (name: string) = byName.TryFind name
