/// A basis with its numbers: from a matrix for each group to the value of every number, one for each tensor where groups differ.
module Tva.Dsl.Typing.Solving

open System.Collections.Generic
open Tva.Core
open Tva.Core.Bases
open Tva.Core.Execution
open Tva.Core.Tensors
open Tva.Dsl.Graph
open Tva.Dsl.Typing

/// What a layer is called; -1 stands for tensors without one.
let layerName (layer: int) = if layer < 0 then "no layer" else $"layer {layer}"

let private floating (program: Program) (d: BasisDefinition) = program.SetTensors d.Set |> Seq.filter _.DType.IsFloating()

let private labelOf (by: Extent) (t: TensorInfo) =
    match by with
    | Extent.Layer -> layerName t.Layer
    | Extent.Tensor -> t.Name
    | _ -> ""

/// The groups' labels, in order of their first tensors; one without a name for the whole model.
let groupsOf (program: Program) (d: BasisDefinition) : string list =
    match d.By with
    | Extent.All -> [ "" ]
    | by -> floating program d |> Seq.map (labelOf by) |> Seq.distinct |> List.ofSeq

/// Numbers by tensor or layer with the labels of the basis's groups.
let labelled (program: Program) (d: BasisDefinition) (numbers: TensorNumbers) : (string * float) list =
    [ for t in floating program d -> labelOf d.By t, numbers.ByName[t.Name] ] |> List.distinctBy fst

let private varying (program: Program) (d: BasisDefinition) (values: float list) =
    if values |> List.forall ((=) values.Head) then Const values.Head
    else
        let ofGroup = List.zip (groupsOf program d) values |> dict
        Given { ByName = Dictionary(floating program d |> Seq.map (fun t -> KeyValuePair(t.Name, ofGroup[labelOf d.By t]))); Extent = Extent.Tensor }

/// Whether each column, an atom in terms of the tasks, has no weight below 0 and a sum of 1.
let isConvex (encoder: float[,]) =
    [ 0 .. Array2D.length2 encoder - 1 ]
    |> List.forall (fun m ->
        let column = encoder[*, m]
        Array.forall (fun w -> w >= 0.0) column && abs (Array.sum column - 1.0) <= 1e-9)

/// The basis with `atoms` atoms whose groups have these numbers.
let solved (program: Program) (d: BasisDefinition) (atoms: int) isConvex (groups: BasisGroup list) (report: BasisReport) : SolvedBasis =
    // Made once for each number, so that equal numbers are equal nodes.
    let numbers = Dictionary<BasisNumber, Op>(HashIdentity.Structural)
    let make number =
        match number with
        | BasisNumber.Weight(k, m) -> varying program d (groups |> List.map (fun g -> g.Weights[k, m]))
        | BasisNumber.Coefficient(m, t) -> varying program d (groups |> List.map (fun g -> g.Coefficients[m, t]))
        | BasisNumber.CoefficientOf(g, m, t) -> Const groups[g].Coefficients[m, t]
        | BasisNumber.Norm t -> Const report.Norm[t]
        | BasisNumber.RelativeError t -> Const report.RelativeError[t]
        | BasisNumber.Cosine t -> Const report.Cosine[t]
        | BasisNumber.Loss -> Const report.Loss
        | BasisNumber.Bound -> Const report.Bound
        | BasisNumber.Worst -> Const report.Worst
        | BasisNumber.Dot(i, j) -> Const(groups |> List.sumBy (fun g -> g.Gram[i, j]))
        | BasisNumber.DotOf(g, i, j) -> Const groups[g].Gram[i, j]
    { Atoms = atoms
      Groups = groups
      Report = report
      IsConvex = isConvex
      Number =
        fun number ->
            match numbers.TryGetValue number with
            | true, op -> op
            | _ ->
                let op = make number
                numbers[number] <- op
                op }

/// The numbers that a basis's folder tells; what it does not tell is NaN.
let ofStored (program: Program) (d: BasisDefinition) (basis: StoredBasis) : SolvedBasis =
    let tasks = basis.Tasks.Count
    let unknown = Array.create tasks nan
    let mean = not (isNull basis.Mean)
    let orUnknown (values: IReadOnlyList<float> | null) = match values with null -> unknown | v -> Array.ofSeq v
    let report =
        let norms, relative = orUnknown basis.Norms, orUnknown basis.RelativeErrors
        BasisReport(norms, unknown, Array.map2 (*) norms relative, relative, orUnknown basis.Cosines, basis.Loss, basis.Bound, nan)
    let sources = basis.Atoms.Count + (if mean then 1 else 0)
    /// Of one group of several, as far as its matrices tell.
    let ofGroup (g: StoredGroup) =
        match g.Gram, g.Encoder with
        | NonNull gram, NonNull encoder ->
            let decoder = Array2D.init basis.Atoms.Count tasks (fun m t -> g.Decoder[m, t])
            BasisReport.Of(gram, BasisSolution(encoder, decoder, mean, 0))
        | _ -> BasisReport(unknown, unknown, unknown, unknown, unknown, nan, nan, nan)
    let group (label: string) =
        let g =
            match basis.Groups |> Seq.tryFind (fun g -> g.Label = label) with
            | Some g -> g
            | None -> raise (FaultException $"{basis.Path}: has no coefficients for {label}; save the basis again")
        { Label = label
          Gram = (match g.Gram with null -> Array2D.create tasks tasks nan | gram -> gram)
          // A stored atom is a source of its own.
          Weights = Array2D.init sources sources (fun i j -> if i = j then 1.0 else 0.0)
          Coefficients = g.Decoder
          Report = (if d.By = Extent.All then report else ofGroup g) }
    let convex = not mean && basis.Groups |> Seq.forall (fun g -> match g.Encoder with null -> false | encoder -> isConvex encoder)
    solved program d basis.Atoms.Count convex (groupsOf program d |> List.map group) report
