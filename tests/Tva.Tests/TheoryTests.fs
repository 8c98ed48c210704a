/// The laboratory of examples/theory: its network and gradients against plain float64 code, its measurements against the theorems, its saved tables
/// against what it measures now.
module Tva.Tests.TheoryTests

open System
open System.Globalization
open System.IO
open Theory.Lab
open Xunit

let private sizes = Sizes()
let private threads = Environment.ProcessorCount

// The network as the paper writes it, token by token, without the laboratory's counting of equal tokens.

let private small = Sizes(Dimension = 16, Hidden = 16, Neutral = 4, Tokens = 12, Relevant = 5, Confusing = 2, Initial = 0.6)

/// 1/P Σ_l aᵀ relu(V X softmax(Xᵀ W x_l)), with W and V row by row and X a list of tokens.
let private written (w: float[]) (v: float[]) (a: float[]) (tokens: float[] list) =
    let d, m = tokens.Head.Length, a.Length
    let times (matrix: float[]) rows (x: float[]) = Array.init rows (fun r -> Seq.sum (seq { for c in 0 .. d - 1 -> matrix[r * d + c] * x[c] }))
    let values = tokens |> List.map (times v m)
    let answer (query: float[]) =
        let turned = times w d query
        let weights = tokens |> List.map (fun key -> exp (Array.fold2 (fun s p q -> s + p * q) 0.0 key turned))
        let mixed = Array.init m (fun r -> List.fold2 (fun s share (value: float[]) -> s + share * value[r]) 0.0 weights values / List.sum weights)
        Array.fold2 (fun s out z -> s + out * max z 0.0) 0.0 a mixed
    (tokens |> List.sumBy answer) / float tokens.Length

let private task (sizes: Sizes) alpha seed =
    let patterns = Patterns(sizes, seed)
    Discrimination(sizes, patterns.Direction(ReadOnlySpan [| alpha |]), patterns.Neutral)

/// An example as the laboratory has it, and as its tokens.
let private example (task: Discrimination) (counts: int[]) = [ for i in 0 .. counts.Length - 1 do for _ in 1 .. counts[i] -> task.Kinds[i] ]

[<Fact>]
let ``counting equal tokens gives what the formula gives token by token`` () =
    let network = Network.Pretrained(small, 3)
    let task = task small 0.4 3
    let pass = Pass(network, task)
    let draws = Draws(5, ReadOnlySpan [| 0 |])
    let counts = Array.zeroCreate task.Kinds.Count
    for _ in 1 .. 50 do
        let label = task.Draw(draws, counts.AsSpan())
        Assert.Equal(small.Tokens, Array.sum counts)
        Assert.Equal(label, sign (counts[0] - counts[1]))
        let expected = written network.Attention network.Values network.Output (example task counts)
        Assert.Equal(expected, pass.Output(ReadOnlySpan counts), 1e-12)

[<Fact>]
let ``gradients by hand agree with finite differences`` () =
    let network = Network.Pretrained(small, 4)
    let task = task small -0.3 4
    let pass = Pass(network, task)
    let counts = [| 4; 2; 3; 0; 1; 2 |]
    pass.Output(ReadOnlySpan counts) |> ignore
    pass.Gather(ReadOnlySpan counts, 1.0)
    let gradient = Network small
    pass.Scatter(1.0, gradient)
    let tokens = example task counts
    let f w v = written w v network.Output tokens
    let step = 1e-6
    let moved (weights: float[]) i by = weights |> Array.mapi (fun k x -> if k = i then x + by else x)
    for i in 0 .. network.Attention.Length - 1 do
        let at by = f (moved network.Attention i by) network.Values
        Assert.Equal((at step - at -step) / (2.0 * step), gradient.Attention[i], 1e-7)
    for i in 0 .. network.Values.Length - 1 do
        let at by = f network.Attention (moved network.Values i by)
        Assert.Equal((at step - at -step) / (2.0 * step), gradient.Values[i], 1e-7)
    Assert.True(gradient.Attention |> Array.exists (fun g -> abs g > 1e-3), "the attention has a gradient to speak of")

[<Fact>]
let ``patterns are orthonormal, and directions have length one and the inner product asked for`` () =
    let patterns = Patterns(sizes, 9)
    let dot (x: float[]) y = Array.fold2 (fun s p q -> s + p * q) 0.0 x y
    let first, second = patterns.Direction(ReadOnlySpan [| 1.0 |]), patterns.Direction(ReadOnlySpan [| -0.37 |])
    Assert.Equal(-0.37, dot first second, 1e-12)
    Assert.Equal(1.0, dot second second, 1e-12)
    for v in patterns.Neutral do
        Assert.Equal(1.0, dot v v, 1e-12)
        Assert.Equal(0.0, dot v second, 1e-12)
    Assert.Throws<ArgumentException>(fun () -> patterns.Direction(ReadOnlySpan [| 0.9; 0.9 |]) |> ignore)

[<Fact>]
let ``a model edited by TVA is the float32 sum`` () =
    let start = Network.Pretrained(small, 1)
    let trained = [| Network.Pretrained(small, 2); Network.Pretrained(small, 3) |]
    let edited = Editing.Edit(start, trained, [| [| 1.0; -0.8 |]; [| 0.5; 0.0 |] |])
    let expected (a: float) (b: float) (of': Network -> float[]) i =
        (of' start)[i] + a * ((of' trained[0])[i] - (of' start)[i]) + b * ((of' trained[1])[i] - (of' start)[i])
    for network, a, b in [ edited[0], 1.0, -0.8; edited[1], 0.5, 0.0 ] do
        for of' in [ (fun (n: Network) -> n.Attention); _.Values ] do
            for i in 0 .. (of' network).Length - 1 do
                Assert.Equal(expected a b of' i, (of' network)[i], 1e-6)

// The theorems, on a part of the grid. Learned is a mean hinge loss of at most 0.1, forgotten one of at least 0.9: an untrained model has 1.

let private alphas = [| -0.9; -0.5; -0.2; 0.0; 0.5; 1.0 |]
let private lambdas = Tables.Range(-2, 2, 0.25)
let private pairs = lazy Pairs.Run(sizes, alphas, lambdas, 2, threads)

let private places of' =
    [ for a in 0 .. alphas.Length - 1 do
          for l in 0 .. lambdas.Length - 1 do
              if of' alphas[a] lambdas[l] then a, l ]

let private losses =
    lazy (pairs.Value.Mean(fun a _ -> a.Loss), pairs.Value.Mean(fun _ b -> b.Loss))

[<Fact>]
let ``aligned and irrelevant tasks are both learned by addition from 1 - alpha on, and not well before`` () =
    let first, second = losses.Value
    for a, l in places (fun alpha lambda -> Theorem.Adds(alpha, lambda)) do
        Assert.True(first[a, l] <= Verdict.Learned && second[a, l] <= Verdict.Learned, $"alpha {alphas[a]}, lambda {lambdas[l]}: {first[a, l]}, {second[a, l]}")
    for a, l in places (fun alpha lambda -> alpha >= 0.0 && lambda <= 1.0 - alpha - 0.25) do
        Assert.True(second[a, l] > Verdict.Learned, $"alpha {alphas[a]}, lambda {lambdas[l]}: {second[a, l]}")

[<Fact>]
let ``contradictory tasks have no coefficient good for both`` () =
    let first, second = losses.Value
    for a, l in places (fun alpha _ -> alpha < 0.0) do
        Assert.True(max first[a, l] second[a, l] > Verdict.Learned, $"alpha {alphas[a]}, lambda {lambdas[l]}: {first[a, l]}, {second[a, l]}")
    // The theorem is about the loss. The sign alone can be right for both where alpha is not too near -1: |alpha| < lambda < 1/|alpha|.
    let accuracy = pairs.Value.Mean(fun a b -> min a.Accuracy b.Accuracy)
    Assert.True(accuracy[1, Array.IndexOf(lambdas, 1.0)] > 0.99)

[<Fact>]
let ``an irrelevant task is forgotten by lambda up to 0 and the other kept`` () =
    let first, second = losses.Value
    let kept, lost = pairs.Value.Mean(fun a _ -> a.Accuracy), pairs.Value.Mean(fun _ b -> b.Accuracy)
    for a, l in places (fun alpha lambda -> alpha = 0.0 && lambda <= 0.0) do
        Assert.True(first[a, l] <= Verdict.Learned && kept[a, l] = 1.0, $"lambda {lambdas[l]}: {first[a, l]}, {kept[a, l]}")
        if lambdas[l] >= -1.0 then
            Assert.True(second[a, l] >= Verdict.Forgotten, $"lambda {lambdas[l]}: {second[a, l]}")
        // Here what is measured goes beyond what is proved: far below 0 the task comes back, since attention and values are both turned over.
        if lambdas[l] <= -1.5 then
            Assert.True(second[a, l] > 0.3 && lost[a, l] > 0.9, $"lambda {lambdas[l]}: {second[a, l]}, {lost[a, l]}")

[<Fact>]
let ``a contradictory task is forgotten by small negative lambda and the other kept`` () =
    let first, second = losses.Value
    for a, l in places (fun alpha lambda -> Theorem.Forgets(alpha, lambda) && alpha < 0.0 && lambda >= -1.0) do
        Assert.True(first[a, l] <= Verdict.Learned && second[a, l] >= Verdict.Forgotten, $"alpha {alphas[a]}, lambda {lambdas[l]}: {first[a, l]}, {second[a, l]}")

[<Fact>]
let ``an aligned task is not forgotten while the other is kept`` () =
    let first, second = losses.Value
    for a, l in places (fun alpha _ -> alpha >= 0.5) do
        Assert.False(first[a, l] <= Verdict.Learned && second[a, l] >= Verdict.Forgotten, $"alpha {alphas[a]}, lambda {lambdas[l]}")

[<Fact>]
let ``what the theorem neglects goes away as neutral patterns become many`` () =
    let crowds = Crowds.Run(sizes, [| 8; 64 |], [| -2.0; -1.0; 0.0 |], 2, threads)
    // Eight times as many: about an eighth of the loss on the task to be kept.
    Assert.True(crowds.Losses[0, 0] > Verdict.Learned && crowds.Losses[0, 1] > Verdict.Learned)
    Assert.InRange(crowds.Losses[0, 0] / crowds.Losses[1, 0], 4.0, 24.0)
    Assert.True(crowds.Losses[1, 0] <= Verdict.Learned && crowds.Losses[1, 1] <= Verdict.Learned && crowds.Losses[1, 2] <= Verdict.Learned)

[<Fact>]
let ``condition (B) separates the plane of targets out of domain`` () =
    let grid = Tables.Range(-1, 3, 0.5)
    let all = OutOfDomain.Run(sizes, OutOfDomain.Usual, grid, 1, threads)
    let mutable reached = 0
    for t in 0 .. all.Targets.Count - 1 do
        let target = all.Targets[t]
        for r in 0 .. grid.Length - 1 do
            for c in 0 .. grid.Length - 1 do
                let λ = [| grid[r]; grid[c]; target.Third |]
                let m = all.Means[t, r, c]
                let sum = Array.fold2 (fun s l g -> s + l * g) 0.0 λ target.Gamma
                let place = $"{target.Name}, lambda ({λ[0]}, {λ[1]}, {λ[2]}): {m}"
                if Theorem.Reaches(target.Gamma, λ) then
                    reached <- reached + 1
                    Assert.True(m.Loss <= Verdict.Learned && m.Accuracy = 1.0, place)
                // The condition is sufficient. What is necessary: its first half, without which the answer is too small (or wrong).
                if sum < 0.9 then
                    Assert.True(m.Loss > 0.0, place)
                if sum <= -0.01 && Array.forall (fun l -> l >= 0.0) λ then
                    Assert.True(m.Accuracy < 0.5, place)
        if target.Name = "unrelated" || target.Name = "against" then
            for r in 0 .. grid.Length - 1 do
                for c in 0 .. grid.Length - 1 do
                    Assert.True(all.Means[t, r, c].Loss > 0.5, target.Name)
    Assert.True(reached > 60, string reached)

[<Fact>]
let ``what comes out does not depend on threads`` () =
    let run threads = Pairs.Run(Sizes(Steps = 40, Tests = 50), [| -0.5; 0.5 |], [| -1.0; 1.0 |], 2, threads)
    Assert.Equal<Measured>(Seq.cast<Measured> (run 1).Runs |> Seq.toArray, Seq.cast<Measured> (run 3).Runs |> Seq.toArray)

[<Fact>]
let ``the saved pictures are what the script draws of the saved tables`` () =
    use temp = new TempFolder()
    let source = Repository.path "examples/theory"
    Directory.CreateDirectory(Path.Combine(temp.Path, "results")) |> ignore
    for file in Directory.GetFiles(Path.Combine(source, "results"), "*.csv") do
        File.Copy(file, Path.Combine(temp.Path, "results", Path.GetFileName file |> Unchecked.nonNull))
    File.Copy(Path.Combine(source, "pictures.tva"), Path.Combine(temp.Path, "pictures.tva"))
    let ran = Command.runIn temp.Path "" [ "run"; "pictures.tva" ]
    Assert.True((ran.Status = 0), ran.Error)
    let pictures folder = [ for f in Directory.GetFiles(Path.Combine(folder, "pictures"), "*.svg") |> Array.sort -> Path.GetFileName f, File.ReadAllText f ]
    Assert.Equal<(string | null * string) list>(pictures source, pictures temp.Path)

[<Fact>]
let ``the saved tables are what the laboratory measures`` () =
    let table (name: string) =
        [ for line in File.ReadAllLines(Repository.path $"examples/theory/results/{name}.csv") ->
              let cells = line.Split ','
              cells[0], [| for c in cells[1..] -> Double.Parse(c, CultureInfo.InvariantCulture) |] ]
    let _, columns = (table "pairs-loss-1").Head
    let again = Pairs.Run(sizes, [| -0.5 |], columns, 5, threads)
    let saved name = table name |> List.find (fun (label, _) -> label = "-0.5") |> snd
    let check name (what: Measured -> Measured -> float) =
        let mean = again.Mean what
        saved name |> Array.iteri (fun l v -> Assert.Equal(v, mean[0, l], 2e-3))
    check "pairs-loss-1" (fun a _ -> a.Loss)
    check "pairs-loss-2" (fun _ b -> b.Loss)
    check "pairs-accuracy-2" (fun _ b -> b.Accuracy)
