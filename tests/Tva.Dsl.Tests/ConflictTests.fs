/// `conflicts`, `prune_rows`, `row_gap` and `spectrum` against float64 loops over the zoo's task vectors and MathNet's singular values.
module Tva.Dsl.Tests.ConflictTests

open System
open MathNet.Numerics.LinearAlgebra
open Tva.Dsl
open Xunit
open Tva.Dsl.Tests.Scripts
open Tva.Dsl.Tests.BasisSupport

let private shapes =
    lazy (use c = Tva.Core.Checkpoints.Checkpoint.Open baseFile in Map.ofList [ for t in c.Tensors -> t.Name, [ for d in t.Shape.Dims -> int d ] ])

let private matrices = lazy [ for KeyValue(name, dims) in shapes.Value do if dims.Length = 2 then name, dims[0], dims[1] ]

let private some = [ "digits"; "letters"; "count" ]

let private chosen = lazy [ for name in some -> taskVectors.Value |> List.find (fst >> (=) name) |> snd ]

let private table (temp: TempFolder) text =
    match shownBy (runOk temp.Path (heading + text)) with
    | [ [ Shown.Findings f ] ] -> f
    | other -> failwith $"{other}"

let private column (f: Findings) name (row: Cell list) = row[List.findIndex ((=) name) f.Columns]

let private figure cell = match cell with Cell.Figure v -> v | _ -> nan

/// Where the int(density·n) largest magnitudes are, the lower index first among equals.
let private large density (x: float[]) =
    let kept = int (density * float x.Length)
    let first = [| 0 .. x.Length - 1 |] |> Array.sortBy (fun i -> -(abs x[i]), i) |> Array.truncate kept |> Set.ofArray
    Array.init x.Length (fun i -> first.Contains i && x[i] <> 0.0)

/// By pairs and element by element: agreeing and differing signs, shared and kept large ones, Σ PN and Σ (P + N)².
let private counted density (xs: float[] list) =
    let agree, differ = ref 0.0, ref 0.0
    let both, kept = ref 0.0, ref 0.0
    let opposed, gross = ref 0.0, ref 0.0
    let marks = xs |> List.map (large density)
    let xs, marks = Array.ofList xs, Array.ofList marks
    for e in 0 .. xs[0].Length - 1 do
        for i in 0 .. xs.Length - 1 do
            if marks[i][e] then kept.Value <- kept.Value + 1.0
            for j in i + 1 .. xs.Length - 1 do
                let product = float (sign (xs[i][e])) * float (sign (xs[j][e]))
                if product > 0.0 then agree.Value <- agree.Value + 1.0
                if product < 0.0 then differ.Value <- differ.Value + 1.0
                if marks[i][e] && marks[j][e] then both.Value <- both.Value + 1.0
        let p = xs |> Array.sumBy (fun x -> max x[e] 0.0)
        let n = xs |> Array.sumBy (fun x -> max -x[e] 0.0)
        opposed.Value <- opposed.Value + p * n
        gross.Value <- gross.Value + (p + n) * (p + n)
    [| agree.Value; differ.Value; both.Value; kept.Value; opposed.Value; gross.Value |]

/// mean cos² of the angles between the leading r directions of row spaces, over pairs; and the least angle.
let private angles r (ms: Matrix<float> list) =
    let spaces = ms |> List.map (fun m -> (let s = m.Svd true in s.VT.SubMatrix(0, r, 0, m.ColumnCount)))
    let pairs = [ for i in 0 .. spaces.Length - 1 do for j in i + 1 .. spaces.Length - 1 -> (spaces[i] * spaces[j].Transpose()).Svd(false).S ]
    pairs |> List.averageBy (Seq.averageBy (fun c -> c * c)), acos (pairs |> List.map Seq.max |> List.max) * 180.0 / Math.PI

[<Theory>]
[<InlineData(0.2, 3)>]
[<InlineData(0.55, 1)>]
let ``conflicts are those that loops count`` (density: float, rank: int) =
    use temp = new TempFolder()
    let f = table temp $"conflicts([tasks.digits, tasks.letters, tasks.count], {density}, {rank})"
    let vectors = chosen.Value
    let tensors = vectors.Head |> Map.toList |> List.map fst
    let counts = tensors |> List.map (fun t -> t, counted density (vectors |> List.map (Map.find t))) |> Map.ofList
    let total (ts: string list) = Array.init 6 (fun k -> ts |> List.sumBy (fun t -> counts[t][k]))
    let allOpposed = (total tensors)[4]
    let check (row: Cell list) (ts: string list) =
        let value name = figure (column f name row)
        let c = total ts
        let near (e: float) (g: float) = Assert.Equal(e, g, 1e-6 * max 1.0 (abs e))
        near (c[0] / (c[0] + c[1])) (value "sign_agreement")
        near (2.0 * c[2] / (2.0 * c[3])) (value "overlap")
        near (4.0 * c[4] / c[5]) (value "cancelled")
        near (c[4] / allOpposed) (value "share")
        let parts = vectors |> List.map (Map.filter (fun t _ -> List.contains t ts))
        let cosines = [ for i in 0..2 do for j in i + 1 .. 2 -> (some[i], some[j]), dot parts[i] parts[j] / norm parts[i] / norm parts[j] ]
        near (cosines |> List.averageBy snd) (value "cosine")
        let (a, b), least = cosines |> List.minBy snd
        near least (value "least_cosine")
        Assert.Equal(Cell.Word $"{a}, {b}", column f "between" row)
        let energies = parts |> List.map (fun p -> dot p p)
        near (List.max energies / List.sum energies) (value "dominance")
        Assert.Equal(Cell.Word some[List.findIndex ((=) (List.max energies)) energies], column f "dominant" row)
    let rows part = f.Rows |> List.filter (fun row -> row.Head = Cell.Word part)
    check (rows "all").Head tensors
    Assert.Equal(tensors.Length, (rows "tensor").Length)
    for row in rows "tensor" @ rows "fix first" do
        match row[1] with
        | Cell.Word t -> check row [ t ]
        | other -> Assert.Fail $"{other}"
    for row in rows "layer" do
        match row[1] with
        | Cell.Word layer -> check row (tensors |> List.filter (fun t -> groupOf "layer" t = layer))
        | other -> Assert.Fail $"{other}"
    // The first to fix are those where most is lost.
    let worst = tensors |> List.sortByDescending (fun t -> counts[t][4]) |> List.truncate 3
    Assert.Equal<Cell list>(worst |> List.map Cell.Word, rows "fix first" |> List.map (List.item 1))
    for row in rows "tensor" do
        let name = match row[1] with Cell.Word t -> t | _ -> ""
        match matrices.Value |> List.tryFind (fun (n, _, _) -> n = name) with
        | Some(_, m, n) ->
            let overlap, least = angles rank (vectors |> List.map (fun v -> Matrix<float>.Build.DenseOfRowMajor(m, n, v[name])))
            Assert.Equal(overlap, figure (column f "row_overlap" row), 1e-4)
            Assert.Equal(least, figure (column f "row_angle" row), 0.05)
        | None -> Assert.Equal(Cell.Blank, column f "row_overlap" row)

let private rowNorms name n (v: Vector) = v[name] |> Array.chunkBySize n |> Array.map (fun row -> sqrt (Array.sumBy (fun x -> x * x) row))

let private keptRows (keep: float) (norms: float[]) =
    let k = int (floor (keep * float norms.Length + 1e-9))
    [| 0 .. norms.Length - 1 |] |> Array.sortBy (fun i -> -norms[i], i) |> Array.truncate k |> Set.ofArray

[<Theory>]
[<InlineData(0.3)>]
[<InlineData(0.5)>]
[<InlineData(0.01)>]
[<InlineData(1.0)>]
let ``prune_rows keeps the rows of largest norm, and row_gap tells the gap`` (keep: float) =
    use temp = new TempFolder()
    let digits = chosen.Value.Head
    runOk temp.Path (heading + $"prune_rows(tasks.digits, {keep}) |> save(\"x.safetensors\")") |> ignore
    let got = read (temp.File "x.safetensors")
    let f = table temp $"row_gap(tasks.digits, {keep})"
    for KeyValue(name, values) in got do
        match matrices.Value |> List.tryFind (fun (n, _, _) -> n = name) with
        | None -> Assert.Equal<float[]>(digits[name], values)
        | Some(_, m, n) ->
            let norms = rowNorms name n digits
            let kept = keptRows keep norms
            Assert.Equal<float[]>(digits[name] |> Array.mapi (fun i x -> if kept.Contains(i / n) then x else 0.0), values)
            let row = f.Rows |> List.find (fun row -> row.Head = Cell.Word name)
            let value c = figure (column f c row)
            Assert.Equal(float m, value "rows")
            Assert.Equal(float kept.Count, value "kept")
            if not kept.IsEmpty then
                Assert.Equal(kept |> Seq.map (fun i -> norms[i]) |> Seq.min, value "least_kept", 1e-6)
            let dropped = [ for i in 0 .. m - 1 do if not (kept.Contains i) then norms[i] ]
            if not dropped.IsEmpty then
                Assert.Equal(List.max dropped, value "most_dropped", 1e-6)
            let energy = norms |> Array.sumBy (fun v -> v * v)
            Assert.Equal((kept |> Seq.sumBy (fun i -> norms[i] * norms[i])) / energy, value "energy", 1e-6)

[<Fact>]
let ``a gap is one where the kept rows are twice as long as the others`` () =
    use temp = new TempFolder()
    // Rows of one kind alone: those that were dropped before are zero.
    let f = table temp "row_gap(prune_rows(tasks.digits, 0.5), 0.5)"
    for row in f.Rows do
        Assert.Equal(Cell.Word "nothing is lost", column f "says" row)
    let g = table temp "row_gap(prune_rows(tasks.digits, 0.5) + 0.001 * tasks.digits, 0.5)"
    for row in g.Rows do
        Assert.Equal(Cell.Word "a gap", column g "says" row)
    let none = table temp "row_gap(tasks.digits, 0.5)"
    for row in none.Rows do
        Assert.Equal(Cell.Word "no gap", column none "says" row)

[<Fact>]
let ``the spectrum is that of the singular values`` () =
    use temp = new TempFolder()
    let f = table temp "spectrum(tasks.digits, ranks = [1, 4])"
    let digits = chosen.Value.Head
    Assert.Equal(matrices.Value.Length, f.Rows.Length)
    for name, m, n in matrices.Value do
        let s = Matrix<float>.Build.DenseOfRowMajor(m, n, digits[name]).Svd(false).S |> Array.ofSeq
        let total = s |> Array.sumBy (fun v -> v * v)
        let row = f.Rows |> List.find (fun row -> row.Head = Cell.Word name)
        let value c = figure (column f c row)
        Assert.Equal(s[0], value "largest", 1e-5)
        Assert.Equal(total / (s[0] * s[0]), value "stable_rank", 1e-3)
        for r in [ 1; 4 ] do
            let energy = (s |> Array.truncate r |> Array.sumBy (fun v -> v * v)) / total
            Assert.Equal(energy, value $"energy_{r}", 1e-5)
            Assert.Equal(sqrt (1.0 - energy), value $"error_{r}", 1e-5)

[<Fact>]
let ``a form is near where it loses a tenth of the norm at most`` () =
    use temp = new TempFolder()
    let says text = (let f = table temp text in f.Rows |> List.map (column f "says") |> List.distinct)
    Assert.Equal<Cell list>([ Cell.Word "rank 1 is near" ], says "spectrum(lowrank(tasks.digits, 1) + 0.02 * tasks.digits, ranks = [1, 4])")
    Assert.Equal<Cell list>([ Cell.Word "rank 4 is near" ], says "spectrum(lowrank(tasks.digits, 4), ranks = [1, 4])")
    Assert.Equal<Cell list>([ Cell.Word "no rank is near" ], says "spectrum(tasks.digits, ranks = [1, 4])")
    Assert.Equal<Cell list>([ Cell.Word "nothing here" ], says "spectrum(0 * tasks.digits)")

[<Theory>]
[<InlineData("conflicts(tasks.digits)", "at least 2 members")>]
[<InlineData("conflicts(tasks, density = 0)", "`density` of `conflicts` is 0")>]
[<InlineData("conflicts(tasks, rank = 1.5)", "`rank` of `conflicts`")>]
[<InlineData("prune_rows(tasks.digits, 0)", "`keep` of `prune_rows` is 0")>]
[<InlineData("prune_rows(base, 0.5)", "Delta")>]
[<InlineData("prune_rows(tasks.digits[\"*.bias\"], 0.5)", "`prune_rows` works on matrices")>]
[<InlineData("row_gap(tasks.digits, 2)", "`keep` of `row_gap` is 2")>]
[<InlineData("spectrum(tasks.digits, ranks = [0.5])", "`ranks` of `spectrum`")>]
let ``what is wrong is a mistake of the text`` (text: string, message: string) =
    use temp = new TempFolder()
    let found = (run temp.Path (heading + text)).Diagnostics |> List.map _.Message
    Assert.Contains(found, fun m -> m.Contains message)
