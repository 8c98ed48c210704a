/// From a plot or report, once its numbers are known, to the bytes of its file.
module Tva.Dsl.Drawing

open System
open System.Text
open Tva.Core
open Tva.Core.Bases
open Tva.Core.Tensors
open Tva.Dsl.Graph
open Tva.Dsl.Pictures
open Tva.Dsl.Typing

/// The columns of numbers, and as labels the words before them.
let private ofFindings (f: Findings) : ResultTable =
    let column i = f.Rows |> List.map (List.item i)
    let isWords i = column i |> List.exists _.IsWord
    let numbers = [ for i in 0 .. f.Columns.Length - 1 do if not (isWords i) && column i |> List.exists _.IsFigure then i ]
    let first = numbers |> List.tryHead |> Option.defaultValue 0
    let label row =
        let words = List.take first row |> List.choose (function Cell.Word w -> Some w | _ -> None)
        match words with
        | [ kind; name ] when name.StartsWith kind -> name
        | words -> String.Join(": ", words)
    ResultTable.Of(
        [ for i in numbers -> f.Columns[i] ],
        [ for row in f.Rows -> label row, [ for i in numbers -> (match row[i] with Cell.Figure v -> v | _ -> nan) ] ]
    )

let private tableOf (path: string) (shown: Shown) =
    let t =
        match shown with
        | Shown.Table t -> t
        | Shown.Findings f -> ofFindings f
        | _ -> raise (FaultException $"{path}: what came out is no table; nothing was drawn")
    match Builtins.Pictures.problem t.Rows.Length t.Columns.Length with
    | Some problem -> raise (FaultException $"{path}: {problem}; nothing was drawn")
    | None -> t

let private plot (show: Value -> Shown) (table: Value) (mark: Value option) (options: PlotOptions) (path: string) =
    let t = tableOf path (show table)
    let marks = mark |> Option.map (show >> tableOf path)
    match marks with
    | Some m when m.Rows.Length <> t.Rows.Length || m.Columns.Length <> t.Columns.Length ->
        raise (FaultException $"{path}: `mark` has {m.Rows.Length} rows and {m.Columns.Length} columns, and the table {t.Rows.Length} and {t.Columns.Length}")
    | _ -> ()
    Chart.svg options t marks

let private percent (v: float) = (100.0 * v).ToString("0.#", Globalization.CultureInfo.InvariantCulture) + " %"

let private section heading words drawing table : Page.Section = { Heading = heading; Words = words; Drawing = drawing; Table = table }

let private similarity (names: string list) (gram: float[,]) =
    let cosine i j =
        let size = sqrt gram[i, i] * sqrt gram[j, j]
        if size = 0.0 then 0.0 elif i = j then 1.0 else gram[i, j] / size
    let table = ResultTable.Of(names, names |> List.mapi (fun i name -> name, names |> List.mapi (fun j _ -> cosine i j)))
    section "Similarity"
        [ "Cosines of the task vectors. Near 0 they are independent; below 0 they pull against each other. It is the weights' own measure, and only a hint at whether the tasks agree." ]
        (Some(HeatMap.draw "Cosine of every two members" "" "" table None))
        (Some table)

let private conflicts (names: string list) (pairs: (float * float) list list option) =
    match pairs with
    | None -> section "Conflicts" [ $"Left out: {names.Length} members have too many pairs to look at. Take a family of fewer." ] None None
    | Some pairs ->
        let share i j =
            if i = j then 0.0
            else
                let against, both = pairs[min i j][abs (i - j) - 1]
                if both = 0.0 then 0.0 else against / both
        let table = ResultTable.Of(names, names |> List.mapi (fun i name -> name, names |> List.mapi (fun j _ -> share i j)))
        section "Conflicts"
            [ "Of the elements that two task vectors both change, the share that they change in opposite directions: 0.5 is what chance gives." ]
            (Some(HeatMap.draw "Share of opposite signs" "" "" table None))
            (Some table)

/// What M vectors can hold at best, for each M; with the chosen M, what is beyond it stands apart.
let private spectrum (gram: float[,]) (chosen: (int * int) option) =
    let shares = GramSpectrum.Shares gram |> List.ofArray
    let held = shares |> List.scan (+) 0.0 |> List.tail
    let rows = List.zip shares held |> List.mapi (fun i (s, h) -> string (i + 1), [ s; h ])
    let table = ResultTable.Of([ "share of the energy"; "held by so many" ], rows)
    let words, note, kept =
        match chosen with
        | Some(atoms, vectors) ->
            let at = held[min vectors held.Length - 1]
            let also = if vectors > atoms then " and their mean" else ""
            [ $"Chosen: M = {atoms} atoms{also} of {shares.Length} tasks. No {vectors} vectors hold more than {percent at} of the energy; {percent (1.0 - at)} is lost at the least." ],
            $"hatched: beyond the chosen M = {atoms}",
            Some vectors
        | None ->
            let needed = (held |> List.tryFindIndex (fun h -> h >= 0.9) |> Option.defaultValue (held.Length - 1)) + 1
            [ $"Eigenvalues of the Gram matrix as shares of their sum: {needed} of {shares.Length} directions hold nine tenths." ], "", None
    section "Spectrum" words (Some(Bars.draw "Eigenvalues of the Gram matrix" note table kept)) (Some table)

/// The same for each layer or tensor of a basis that has atoms of its own there.
let private spectra (groups: BasisGroup list) atoms vectors =
    let held = [ for g in groups -> g.Label, GramSpectrum.Shares g.Gram |> List.ofArray |> List.scan (+) 0.0 |> List.tail ]
    let columns = [ for m in 1 .. (snd held.Head).Length -> string m ]
    let table = ResultTable.Of(columns, held)
    let chosen = ResultTable.Of(columns, [ for label, values in held -> label, values |> List.mapi (fun m _ -> if m + 1 = vectors then 1.0 else 0.0) ])
    let also = if vectors > atoms then " and a mean" else ""
    section "Spectrum"
        [ $"Chosen: M = {atoms} atoms{also} for each of {groups.Length} parts. What so many vectors hold at best of each part's energy." ]
        (Some(HeatMap.draw "Held by so many vectors, by part" "part \\ vectors" "the chosen M" table (Some chosen)))
        (Some table)

let private errors (names: string list) (r: BasisReport) =
    let table = ResultTable.Of([ "relative error"; "cosine" ], names |> List.mapi (fun t name -> name, [ r.RelativeError[t]; r.Cosine[t] ]))
    section "Error per task"
        [ $"‖τ−τ̂‖/‖τ‖ of each task as it comes back from the atoms, and the cosine of the two. All together lose {percent r.Loss} of the energy; no linear method loses less than {percent r.Bound}." ]
        (Some(Bars.draw "What each task loses" "" table None))
        (Some table)

let private coefficients (names: string list) (groups: BasisGroup list) =
    match groups with
    | [ g ] ->
        let rows = [ for m in 0 .. Array2D.length1 g.Coefficients - 1 -> $"atom {m + 1}", [ for t in 0 .. names.Length - 1 -> g.Coefficients[m, t] ] ]
        let table = ResultTable.Of(names, rows)
        [ section "Coefficients" [ "How much of each atom is in each task; a mean, where there is one, stands last." ] (Some(HeatMap.draw "Atoms in tasks" "" "" table None)) (Some table) ]
    | _ -> []

let private report (program: Program) (show: Value -> Shown) (lookup: Node -> float[]) (parts: ReportParts) =
    let names = parts.Members |> List.map fst
    let one (n: Node) = (lookup n)[0]
    let pairs = parts.Conflicts |> Option.map (List.map (List.map (fun (a, b) -> one a, one b)))
    let facts =
        match show parts.Of with
        | Shown.Card(title, facts) -> ("what", title) :: facts
        | _ -> []
    let parameters (t: TensorValue) =
        match t.Set with
        | Some set -> [ "parameters", (program.SetTensors set |> Seq.filter _.DType.IsFloating() |> Seq.sumBy _.Shape.Elements).ToString("N0", Globalization.CultureInfo.InvariantCulture) ]
        | None -> []
    let facts = facts @ (parts.Members |> List.tryHead |> Option.map (snd >> parameters) |> Option.defaultValue [])
    let ofGram (gram: float[,]) chosen =
        if gram |> Seq.cast<float> |> Seq.forall Double.IsFinite then [ similarity names gram ], [ spectrum gram chosen ]
        else
            [ section "Similarity" [ "Left out: NaN or infinity among the dot products of these task vectors, or none are known." ] None None ], []
    let sections =
        match parts.Of with
        | Value.Basis b ->
            let solved = program.Solved[b.Number]
            let size = names.Length
            let whole i j = solved.Groups |> List.sumBy (fun g -> if i < Array2D.length1 g.Gram && j < Array2D.length2 g.Gram then g.Gram[i, j] else nan)
            let atoms = b.Atoms.Length
            let vectors = atoms + (if b.Mean.IsSome then 1 else 0)
            let alike, spread = ofGram (Array2D.init size size whole) (Some(atoms, vectors))
            let spread =
                match spread, solved.Groups with
                | [ _ ], _ :: _ :: _ -> [ spectra solved.Groups atoms vectors ]
                | _ -> spread
            [ errors names solved.Report ] @ spread @ alike @ [ conflicts names pairs ] @ coefficients names solved.Groups
        | _ ->
            let gram = Array2D.init names.Length names.Length (fun i j -> one (parts.Gram[min i j][abs (i - j)]))
            let norms = ResultTable.Of([ "norm" ], names |> List.mapi (fun i name -> name, [ sqrt gram[i, i] ]))
            let alike, spread = ofGram gram None
            [ section "Norms" [ "How far each task has moved from the base." ] (Some(Bars.draw "Norm of each member" "" norms None)) (Some norms) ]
            @ alike
            @ [ conflicts names pairs ]
            @ spread
    Page.html parts.Title facts sections

/// The file that an effect draws and what is in it; None for one that draws nothing.
let draw (program: Program) (show: Value -> Shown) (lookup: Node -> float[]) (effect: Effect) : (string * byte[]) option =
    match effect with
    | Effect.Plot(table, mark, options, path, _) -> Some(path, Encoding.UTF8.GetBytes(plot show table mark options path))
    | Effect.Report(parts, path, _) -> Some(path, Encoding.UTF8.GetBytes(report program show lookup parts))
    | _ -> None
