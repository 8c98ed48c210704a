/// Operators on whole matrices, against the float64 singular value decomposition of MathNet.Numerics.
module Tva.Dsl.Tests.MatrixTests

open System
open System.IO
open MathNet.Numerics.LinearAlgebra
open Tva.Core.Execution
open Tva.Dsl
open Xunit
open Tva.Dsl.Tests.Scripts
open Tva.Dsl.Tests.BasisSupport

let private shapes =
    lazy (use c = Tva.Core.Checkpoints.Checkpoint.Open baseFile in Map.ofList [ for t in c.Tensors -> t.Name, [ for d in t.Shape.Dims -> int d ] ])

/// By tensor of two dimensions or more its matrix [first, all others].
let private asMatrices (v: Vector) =
    v |> Map.toList |> List.choose (fun (name, x) ->
        match shapes.Value[name] with
        | rows :: _ :: _ -> Some(name, Matrix<float>.Build.DenseOfRowMajor(rows, x.Length / rows, x))
        | _ -> None)
    |> Map.ofList

let private svd (x: Matrix<float>) = x.Svd true

/// The leading r terms of Σ σ·u·vᵀ.
let private leading r (x: Matrix<float>) =
    let s = svd x
    let r = min r s.S.Count
    s.U.SubMatrix(0, x.RowCount, 0, r) * Matrix<float>.Build.DiagonalOfDiagonalVector(s.S.SubVector(0, r)) * s.VT.SubMatrix(0, r, 0, x.ColumnCount)

let private polarOf (x: Matrix<float>) =
    let s = svd x
    let k = s.S |> Seq.filter (fun v -> v > 1e-10 * s.S[0]) |> Seq.length
    s.U.SubMatrix(0, x.RowCount, 0, k) * s.VT.SubMatrix(0, k, 0, x.ColumnCount)

let private digits = lazy (taskVectors.Value |> List.find (fst >> (=) "digits") |> snd)

let private saved (temp: TempFolder) text : Vector =
    runOk temp.Path (heading + $"A = tasks.digits\n{text} |> save(\"x.safetensors\")") |> ignore
    read (temp.File "x.safetensors")

/// Matrices as expected, within `tolerance` of their largest magnitude; other tensors as they are in `others`.
let private agree tolerance (expected: Map<string, Matrix<float>>) (others: Vector) (got: Vector) =
    for KeyValue(name, values) in got do
        match expected.TryFind name with
        | Some m ->
            let m = m.ToRowMajorArray()
            let most = m |> Array.map abs |> Array.max
            Array.iter2 (fun (e: float) g -> Assert.Equal(e, g, tolerance * most)) m values
        | None -> Array.iter2 (fun (e: float) g -> Assert.Equal(e, g, 1e-7)) others[name] values

[<Theory>]
[<InlineData(1)>]
[<InlineData(4)>]
[<InlineData(20)>]
let ``lowrank keeps the leading singular triples`` (r: int) =
    use temp = new TempFolder()
    saved temp $"lowrank(A, rank = {r})" |> agree 2e-5 (asMatrices digits.Value |> Map.map (fun _ x -> leading r x)) digits.Value

[<Fact>]
let ``lowrank of a higher rank than there is changes nothing`` () =
    use temp = new TempFolder()
    let a = saved temp "A"
    let b = saved temp "lowrank(A, rank = 500)"
    Assert.True((a = b))

[<Theory>]
[<InlineData(0.5)>]
[<InlineData(0.9)>]
let ``energy keeps the least rank that reaches it`` (share: float) =
    use temp = new TempFolder()
    let expected =
        asMatrices digits.Value |> Map.map (fun _ x ->
            let squares = (svd x).S |> Seq.map (fun s -> s * s) |> Array.ofSeq
            let rank = (squares |> Array.scan (+) 0.0 |> Array.findIndex (fun kept -> kept >= share * Array.sum squares))
            leading rank x)
    saved temp $"lowrank(A, energy = {share})" |> agree 2e-5 expected digits.Value

[<Fact>]
let ``a rank may vary by layer, and a scope selects matrices`` () =
    use temp = new TempFolder()
    let last = 3.0
    let layer (name: string) = name.Split '.' |> Array.tryPick (fun p -> match Int32.TryParse p with | true, n -> Some(float n) | _ -> None)
    let expected =
        asMatrices digits.Value |> Map.map (fun name x ->
            match layer name with
            | Some l when name.Contains "qkv" -> leading (int (1.0 + 6.0 * l / last)) x
            | _ -> x * 0.0)
    let zero = digits.Value |> Map.map (fun _ x -> Array.map (fun _ -> 0.0) x)
    saved temp "lowrank(A[\"*qkv.weight\"], rank = ramp(1, 7))" |> agree 2e-5 expected zero

[<Fact>]
let ``polar is the nearest matrix with orthonormal rows or columns`` () =
    use temp = new TempFolder()
    saved temp "polar(A)" |> agree 2e-4 (asMatrices digits.Value |> Map.map (fun _ x -> polarOf x)) digits.Value

[<Fact>]
let ``iso_c gives every singular value of the sum their mean, and averages vectors`` () =
    use temp = new TempFolder()
    let total = taskVectors.Value |> List.map snd |> sum
    let expected =
        asMatrices total
        |> Map.filter (fun name _ -> shapes.Value[name].Length = 2)
        |> Map.map (fun _ x -> polarOf x * ((svd x).S |> Seq.average))
    saved temp "iso_c(tasks)" |> agree 2e-4 expected (scale 0.125 total)

[<Fact>]
let ``iso_c counts singular values of 0 in the mean`` () =
    use temp = new TempFolder()
    let two = taskVectors.Value |> List.filter (fun (n, _) -> n = "digits" || n = "letters") |> List.map snd
    let expected =
        asMatrices two.Head
        |> Map.filter (fun name _ -> shapes.Value[name].Length = 2)
        |> Map.map (fun name _ ->
            let x = two |> List.map (fun t -> (let m = asMatrices t in leading 2 m[name])) |> List.reduce (+)
            polarOf x * ((svd x).S |> Seq.average))
    let mean = sum two |> scale 0.5
    let got = saved temp "iso_c(lowrank(family(A, tasks.letters), 2))"
    // Others than matrices of two dimensions are averaged as they come out of lowrank.
    got |> Map.filter (fun name _ -> expected.ContainsKey name || shapes.Value[name].Length = 1) |> agree 2e-4 expected mean

[<Fact>]
let ``a number that is the same for all rows of a tensor is a coefficient like any other`` () =
    let width (name: string) = shapes.Value[name] |> List.last |> float
    let expected = digits.Value |> Map.map (fun name x -> Array.map ((*) (width name)) x) |> norm
    Assert.Equal(expected, number "." (heading + "norm(numel(tasks.digits, by = \"row\") * tasks.digits)"), 1e-6 * expected)

/// TSV-M as its paper has it, in float64.
let private tsv (share: float option) (xs: Matrix<float> list) =
    let parts = xs |> List.map svd
    let least = min xs.Head.RowCount xs.Head.ColumnCount
    let k = int (defaultArg share 1.0 * float least / float xs.Length)
    let beside (pick: Factorization.Svd<float> -> Matrix<float>) = parts |> List.map pick |> List.reduce (fun a b -> a.Append b)
    let u = beside (fun s -> s.U.SubMatrix(0, xs.Head.RowCount, 0, k))
    let v = beside (fun s -> s.VT.SubMatrix(0, k, 0, xs.Head.ColumnCount).Transpose())
    let sigma = parts |> List.collect (fun s -> List.ofSeq (s.S.SubVector(0, k)))
    polarOf u * Matrix<float>.Build.DiagonalOfDiagonalArray(Array.ofList sigma) * (polarOf v).Transpose()

[<Theory>]
[<InlineData(false)>]
[<InlineData(true)>]
let ``tsv_merge keeps leading triples of each task and makes them orthonormal`` (given: bool) =
    use temp = new TempFolder()
    let three = taskVectors.Value |> List.filter (fun (n, _) -> List.contains n [ "digits"; "letters"; "shapes" ]) |> List.map snd
    let expected =
        asMatrices three.Head
        |> Map.filter (fun name _ -> shapes.Value[name].Length = 2)
        |> Map.map (fun name _ -> tsv (if given then Some 0.5 else None) [ for t in three -> (asMatrices t)[name] ])
    let text = "tsv_merge(family(A, tasks.letters, tasks.shapes)" + (if given then ", keep = 0.5)" else ")")
    saved temp text |> agree 5e-4 expected (sum three |> scale (1.0 / 3.0))

[<Fact>]
let ``matrices are the same whatever the threads and the memory`` () =
    use temp = new TempFolder()
    let bytes threads memory =
        let settings = { RunSettings.Default with Threads = threads; Memory = memory }
        let text = heading + "base + lowrank(tasks.digits, 3) - 0.1 * tsv_merge(tasks) + 0.1 * iso_c(tasks) |> save(\"x.safetensors\")"
        let ran = runWith (optionsOf settings) temp.Path text
        Assert.Equal(Some Outcome.Completed, ran.Outcome)
        File.ReadAllBytes(temp.File "x.safetensors")
    let expected = bytes 1 (1L <<< 30)
    Assert.Equal<byte>(expected, bytes 5 (1L <<< 30))
    Assert.Equal<byte>(expected, bytes 3 (8L <<< 20))

[<Fact>]
let ``the error of an approximation is told`` () =
    use temp = new TempFolder()
    let ran = runOk temp.Path (heading + "lowrank(tasks.digits, rank = 4) |> save(\"x.safetensors\")")
    let matrices = asMatrices digits.Value
    let lost = matrices |> Map.toList |> List.sumBy (fun (_, x) -> (x - leading 4 x).FrobeniusNorm() ** 2.0)
    let all = matrices |> Map.toList |> List.sumBy (fun (_, x) -> x.FrobeniusNorm() ** 2.0)
    let note = ran.Events |> List.pick (function Event.Noted n -> Some n | _ -> None)
    let figure = (note.Split "relative error ").[1].Split(',').[0]
    Assert.Equal(sqrt (lost / all), float figure, 1e-4)

[<Fact>]
let ``a low-rank term is read once and computed beside the rest`` () =
    use e = new Evaluator(EvaluatorOptions.Default)
    Assert.Empty(e.Check("test.tva", ".", heading + "base + 0.5 * lowrank(tasks.digits, 4) + 0.1 * tasks.letters |> save(\"x.safetensors\")"))
    let plan = Assert.Single(e.Plans()).Plan
    Assert.Equal(2, plan.Steps.Count)
    Assert.Equal(MatrixKind.LowRank, Assert.Single(plan.Steps[0].Matrices).Kind)
    // Vectors need no matrix and are done in the first pass; matrices wait for theirs.
    for t in plan.Tensors do
        let first, second = plan.Steps[0].Kernels[t.Class], plan.Steps[1].Kernels[t.Class]
        Assert.Equal((t.Shape.Dims.Count < 2 || Seq.min t.Shape.Dims <= 4L), isNull second)
        Assert.Equal((t.Shape.Dims.Count < 2 || Seq.min t.Shape.Dims <= 4L), not (isNull first))

[<Fact>]
let ``a matrix that the memory can't hold is named before anything is written`` () =
    use temp = new TempFolder()
    let settings = { RunSettings.Default with Memory = 300L <<< 10 }
    let text = heading + "base + lowrank(tasks.digits, 3) |> save(\"x.safetensors\")"
    let fault = Assert.Throws<Tva.Core.FaultException>(fun () -> runWith (optionsOf settings) temp.Path text |> ignore)
    Assert.Contains("as a matrix of", fault.Message)
    Assert.Empty(Directory.GetFiles temp.Path)

[<Theory>]
[<InlineData("lowrank(A, 0)", "rank")>]
[<InlineData("lowrank(A, 1.5)", "rank")>]
[<InlineData("lowrank(A)", "energy")>]
[<InlineData("lowrank(A, 4, 0.5)", "energy")>]
[<InlineData("lowrank(A, energy = 0)", "outside")>]
[<InlineData("lowrank(A, energy = 1.2)", "outside")>]
[<InlineData("lowrank(A[\"*.bias\"], 2)", "two dimensions")>]
[<InlineData("lowrank(base, 2)", "task vector")>]
[<InlineData("lowrank(A, norm(A, by = \"row\"))", "varies within")>]
[<InlineData("polar(A[\"*.bias\"])", "two dimensions")>]
[<InlineData("polar(base)", "task vector")>]
[<InlineData("tsv_merge(family(A))", "at least 2 members")>]
[<InlineData("tsv_merge(tasks, keep = 2)", "outside")>]
[<InlineData("tsv_merge(A)", "Family")>]
let ``mistakes are found before anything is read`` (expression: string) (expected: string) =
    let ran = run "." (heading + "A = tasks.digits\nx = " + expression)
    Assert.Contains(expected, String.Join("\n", [ for d in ran.Diagnostics -> d.Message + string d.Help ]))
    Assert.Empty ran.Events

[<Fact>]
let ``any task vector is saved as an adapter that reads back as its low-rank form`` () =
    use temp = new TempFolder()
    let ran = runOk temp.Path (heading + "save(tasks.digits, \"lora\", as = \"lora\", rank = 4)")
    let back = runOk temp.Path (heading + "delta(\"lora\", base) |> save(\"x.safetensors\")") |> fun _ -> read (temp.File "x.safetensors")
    let matrices = asMatrices digits.Value
    let isModule (name: string) = shapes.Value[name].Length >= 2 && name.EndsWith ".weight"
    for KeyValue(name, values) in back do
        let expected = if isModule name then (leading 4 matrices[name]).ToRowMajorArray() else digits.Value[name]
        let most = expected |> Array.map abs |> Array.max
        Array.iter2 (fun (e: float) g -> Assert.Equal(e, g, 2e-5 * most + 1e-7)) expected values
    let errors = ran.Events |> List.pick (function Event.Truncated(_, errors) -> Some errors | _ -> None)
    Assert.Equal(shapes.Value.Keys |> Seq.filter isModule |> Seq.length, errors.Length)
    for name, rank, error in errors do
        let x = matrices[name + ".weight"]
        let kept = leading 4 x
        Assert.Equal(min 4 (min x.RowCount x.ColumnCount), rank)
        Assert.Equal((x - kept).FrobeniusNorm() / x.FrobeniusNorm(), error, 1e-4)

[<Fact>]
let ``an adapter of a restricted task vector has the modules of the scope`` () =
    use temp = new TempFolder()
    runOk temp.Path (heading + "save(0.5 * tasks.digits[\"*.qkv.weight\"], \"lora\", as = \"lora\", rank = 2, dtype = \"bf16\")") |> ignore
    use c = Tva.Core.Checkpoints.Checkpoint.Open(temp.File "lora/adapter_model.safetensors")
    Assert.All(c.Tensors, fun t -> Assert.Contains(".qkv.lora_", t.Name))
    Assert.Equal(2 * (shapes.Value.Keys |> Seq.filter _.EndsWith(".qkv.weight") |> Seq.length), c.Tensors.Count)
