/// The options of `basis`: that each reaches the solver as it is meant, whose methods the engine's own tests compare with loops; decoders against
/// least squares, and atoms that are TIES merges against loops over the members.
module Tva.Dsl.Tests.BasisOptionTests

open System
open Tva.Core.Bases
open Xunit
open Tva.Dsl.Tests.Scripts
open Tva.Dsl.Tests.BasisSupport

let private tasks = lazy (taskVectors.Value |> List.map snd)

let private products = lazy (let g = gram tasks.Value in Array2D.init 8 8 (fun i j -> g[i][j]))

/// W as the language shows it, M×T.
let private shown text = (runOk "." (heading + $"coefficients(tasks @basis({text}))") |> tables |> List.head).Rows |> List.map snd

/// A text and the options that it stands for; each differs from the first in one.
let cases: (string * BasisOptions) list =
    [ "3, decoder = \"trained\", steps = 40", BasisOptions(Atoms = 3, Decoder = "trained", Steps = 40)
      "3, decoder = \"trained\", steps = 60", BasisOptions(Atoms = 3, Decoder = "trained", Steps = 60)
      "3, \"ae-linear\", decoder = \"trained\", steps = 40", BasisOptions(Method = BasisMethod.AeLinear, Atoms = 3, Decoder = "trained", Steps = 40)
      "3, decoder = \"trained\", steps = 40, seed = 5", BasisOptions(Atoms = 3, Decoder = "trained", Steps = 40, Seed = 5L)
      "3, decoder = \"trained\", steps = 40, lr = 0.05", BasisOptions(Atoms = 3, Decoder = "trained", Steps = 40, LearningRate = 0.05)
      "3, decoder = \"trained\", steps = 40, weight_decay = 0.5", BasisOptions(Atoms = 3, Decoder = "trained", Steps = 40, WeightDecay = 0.5)
      "3, decoder = \"trained\", steps = 40, tau = 0.7", BasisOptions(Atoms = 3, Decoder = "trained", Steps = 40, Temperature = Nullable 0.7)
      "3, decoder = \"trained\", steps = 40, anneal_every = 9", BasisOptions(Atoms = 3, Decoder = "trained", Steps = 40, AnnealEvery = Nullable 9)
      "3, decoder = \"trained\", steps = 40, anneal_every = 9, anneal_factor = 0.8",
      BasisOptions(Atoms = 3, Decoder = "trained", Steps = 40, AnnealEvery = Nullable 9, AnnealFactor = 0.8)
      "3, decoder = \"trained\", steps = 40, softmax = true", BasisOptions(Atoms = 3, Decoder = "trained", Steps = 40, SoftmaxDecoder = true)
      "3, steps = 40", BasisOptions(Atoms = 3, Steps = 40)
      "3, \"random\", seed = 2", BasisOptions(Method = BasisMethod.Random, Atoms = 3, Seed = 2L)
      "3, \"sample\", seed = 2", BasisOptions(Method = BasisMethod.Sample, Atoms = 3, Seed = 2L)
      "3, \"sample\", seed = 2, decoder = \"selection\"", BasisOptions(Method = BasisMethod.Sample, Atoms = 3, Seed = 2L, Decoder = "selection")
      "3, \"cluster\"", BasisOptions(Method = BasisMethod.Cluster, Atoms = 3)
      "3, \"cluster\", merge = \"sum\"", BasisOptions(Method = BasisMethod.Cluster, Atoms = 3, Merge = "sum")
      "3, \"cluster\", merge = \"sum\", decoder = \"membership\"", BasisOptions(Method = BasisMethod.Cluster, Atoms = 3, Merge = "sum", Decoder = "membership") ]

[<Fact>]
let ``an option is the solver's of that name, and changes something`` () =
    let all = [ for text, options in cases -> text, shown text, BasisSolver.Solve(products.Value, options).Decoder ]
    for text, rows, expected in all do
        for m, row in List.indexed rows do
            for t, v in List.indexed row do
                Assert.True(abs (expected[m, t] - v) <= 1e-6 * max 1.0 (abs v), $"{text}: {expected[m, t]} expected, {v} found at {m}, {t}")
    Assert.Equal(all.Length, all |> List.map (fun (_, rows, _) -> rows) |> List.distinct |> List.length)

[<Theory>]
[<InlineData("ae", "all")>]
[<InlineData("ae-linear", "layer")>]
[<InlineData("random", "all")>]
[<InlineData("sample", "layer")>]
[<InlineData("cluster", "all")>]
let ``members come back by least squares on the atoms`` (method: string) (by: string) =
    use temp = new TempFolder()
    let text = heading + $"b = tasks @basis(3, \"{method}\", by = \"{by}\"{trainedFor 200 method})\n" + saveMembers "b" names "" + "\n" + saveAtoms "b" 3 ""
    runOk temp.Path text |> ignore
    let atoms = [ for m in 1..3 -> read (temp.File $"atom{m}.safetensors") ]
    for name, task in taskVectors.Value do
        near (fitted by atoms task) (read (temp.File $"{name}.safetensors")) (2e-5 * largest task)

/// TIES with everything by default: trim to a fifth, the sign of the sum, the mean of what agrees.
let private ties (members: Vector list) : Vector =
    let trimmed =
        members |> List.map (Map.map (fun _ x ->
            let kept = [| 0 .. x.Length - 1 |] |> Array.sortBy (fun i -> -(abs x[i]), i) |> Array.truncate (int (0.2 * float x.Length)) |> Set.ofArray
            x |> Array.mapi (fun i v -> if kept.Contains i then v else 0.0)))
    trimmed.Head |> Map.map (fun name x ->
        Array.init x.Length (fun i ->
            let values = [ for m in trimmed -> m[name].[i] ]
            let s = if List.sum values >= 0.0 then 1.0 else -1.0
            match values |> List.filter (fun v -> s * v > 0.0) with
            | [] -> 0.0
            | agreeing -> List.average agreeing))

[<Fact>]
let ``a cluster's atom is the TIES merge of its members`` () =
    use temp = new TempFolder()
    let text = "b = tasks @basis(3, \"cluster\", merge = \"ties\", decoder = \"membership\")\nc = tasks @basis(3, \"cluster\", merge = \"ties\")\ncoefficients(b)\n"
    let ran = runOk temp.Path (heading + text + saveMembers "b" names "in/" + "\n" + saveMembers "c" names "on/" + "\n" + saveAtoms "b" 3 "")
    let table = (tables ran).Head
    let atoms = [ for m in 1..3 -> read (temp.File $"atom{m}.safetensors") ]
    let clusters = [ for _, row in table.Rows -> [ for t in 0..7 do if row[t] <> 0.0 then t ] ]
    Assert.Equal<int list>([ 0..7 ], clusters |> List.concat |> List.sort)
    Assert.Contains(clusters, fun c -> c.Length > 1)
    for atom, cluster in List.zip atoms clusters do
        near (ties [ for t in cluster -> tasks.Value[t] ]) atom (1e-6 * largest atom)
        for t in cluster do
            near atom (read (temp.File $"in/{names[t]}.safetensors")) (1e-6 * largest atom)
    for t, name in List.indexed names do
        near (fitted "all" atoms tasks.Value[t]) (read (temp.File $"on/{name}.safetensors")) (2e-5 * largest tasks.Value[t])
