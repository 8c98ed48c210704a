/// What texts become: plans compared, passes, kernels and bytes counted.
module Tva.Dsl.Tests.FusionTests

open System
open System.IO
open Tva.Core.Execution
open Tva.Dsl
open Tva.Dsl.Plan
open Xunit
open Tva.Dsl.Tests.Scripts

let private heading =
    "base = model(\"zoo/base.safetensors\")\n"
    + "tasks = family(\"zoo/tasks/*.safetensors\", base)\n"
    + "ft = model(\"zoo/tasks/digits.safetensors\")\n"
    + "A = tasks.digits\nB = tasks.letters\n"

let private checkedText (text: string) =
    let e = new Evaluator(EvaluatorOptions.Default)
    let found = e.Check("test.tva", examples, heading + text)
    Assert.Empty(found |> List.map _.Message)
    e

/// The only plan of a text.
let private plan (text: string) =
    use e = checkedText text
    Assert.Single(e.Plans())

/// What a plan does, without how it was found: steps, kernels, reductions, bytes.
let private doing (text: string) =
    use e = checkedText text
    let lines = e.Explain().Split('\n')
    String.Join("\n", lines |> Array.skipWhile (fun l -> not (l.StartsWith "step ")))

let private saved expression = $"{expression} |> save(\"out/x.safetensors\")"

let private steps text = (plan text).Plan.Steps.Count

/// The files a plan reads, by name.
let private reads text =
    let p = (plan text).Plan
    [ for step in p.Steps do
          for k in step.Kernels do
              match k with
              | null -> ()
              | k ->
                  for i in k.Inputs do
                      match i with
                      | :? FileInput as f -> string (Path.GetFileNameWithoutExtension p.Sources[f.Source].Path)
                      | _ -> () ]

let private kernels text =
    [ for step in (plan text).Plan.Steps do
          for k in step.Kernels do
              match k with
              | null -> ()
              | k -> k ]

[<Theory>]
[<InlineData("base + (ft - base)", "ft")>]
[<InlineData("base + 0.5 * (ft - base)", "0.5 * base + 0.5 * ft")>]
[<InlineData("base + A", "ft")>]
[<InlineData("base + 0.3 * sum(tasks) - 0.3 * B", "base + 0.3 * (sum(tasks) - B)")>]
[<InlineData("base + 0 * A + 0.5 * B", "base + 0.5 * B")>]
[<InlineData("base + 0.3*A + 0.2*A", "base + 0.5*A")>]
[<InlineData("base - -A", "ft")>]
[<InlineData("base + A[\"*.qkv.*\"] + A[not \"*.qkv.*\"]", "ft")>]
[<InlineData("base + A * 2 / 4", "base + A / 2")>]
[<InlineData("base + {\"*\": 0.5, else: 1} * A", "base + 0.5 * A")>]
[<InlineData("base + 0.5*A |> point", "base + 0.5*A")>]
[<InlineData("base + (A |> trim(0.5))", "base + trim(A, 0.5)")>]
[<InlineData("base + A @trim(0.5)", "base + trim(A, 0.5)")>]
let ``two texts are one plan`` (left: string) (right: string) =
    Assert.Equal(doing (saved right), doing (saved $"({left})"))

[<Fact>]
let ``a linear expression is one kernel that reads every file once`` () =
    let text = saved "base + 0.3 * sum(tasks) - 0.1 * A + 0.7 * (mean(tasks) - B)"
    let k = Assert.Single(kernels text)
    Assert.Equal(9, (reads text |> List.distinct).Length)
    Assert.Equal(9, k.Inputs.Count)
    Assert.Equal(1, steps text)

[<Fact>]
let ``the engine reads what the plan says, byte for byte`` () =
    use temp = new TempFolder()
    let out = temp.File "m.safetensors"
    let ran = run examples (heading + $"base + 0.3 * sum(tasks) |> save(\"{out}\")")
    let size = 545024L
    Assert.Contains(ran.Events, (function Event.Finished(read, written, _) -> read = 9L * size && written = size | _ -> false))

[<Fact>]
let ``a zero coefficient is not read`` () =
    Assert.Equal<string list>([ "base"; "letters" ], reads (saved "base + 0 * A + 0.5 * B") |> List.sort)
    Assert.Equal<string list>([ "base"; "letters" ], reads (saved "base + (0.5 - 0.5) * A + 0.5 * B") |> List.sort)

[<Fact>]
let ``a restriction is not read outside itself`` () =
    let p = (plan (saved "base + 0.5 * A[\"*.qkv.*\"]")).Plan
    let step = Assert.Single p.Steps
    for t in p.Tensors do
        let sources = step.Kernels[t.Class] |> Unchecked.nonNull |> fun k -> k.Inputs.Count
        Assert.Equal((if t.Name.Contains ".qkv." then 2 else 1), sources)

[<Fact>]
let ``where a restriction leaves the base alone, its bytes are copied`` () =
    use temp = new TempFolder()
    let out = temp.File "m.safetensors"
    run examples (heading + $"base + 0.5 * A[\"*.qkv.*\"] |> save(\"{out}\")") |> ignore
    let before = load (Path.Combine(examples, "zoo", "base.safetensors"))
    for KeyValue(name, (_, values)) in load out do
        if not (name.Contains ".qkv.") then
            Assert.Equal<float[]>(snd before[name], values)

[<Fact>]
let ``outputs of one script that read the same inputs share one pass`` () =
    let text = "base + 0.3 * sum(tasks) |> save(\"out/a.safetensors\")\nbase - 0.5 * A |> save(\"out/b.safetensors\")\nprint(norm(A), dot(A, B))"
    let p = plan text
    Assert.Equal(1, p.Plan.Steps.Count)
    let k = Assert.Single(kernels text)
    Assert.Equal(9, k.Inputs.Count)
    Assert.Equal(2, p.Plan.Outputs.Count)

[<Theory>]
[<InlineData("base + weighted(tasks, 0.3)", 1)>]
[<InlineData("average([ft, base], [1, 3])", 1)>]
[<InlineData("slerp(base, ft, 0.3)", 2)>]
[<InlineData("base + ties(tasks, density = 0.2)", 2)>]
[<InlineData("base + ties(tasks, density = 0.2, scope = \"model\")", 2)>]
[<InlineData("base + dare(tasks, 0.5, seed = 3)", 1)>]
[<InlineData("base + dare(tasks, 0.5, rescale = \"l1\")", 2)>]
[<InlineData("base + dare_ties(tasks, 0.5)", 1)>]
[<InlineData("base + della(tasks, 0.5)", 2)>]
[<InlineData("base + della(tasks, 0.5, rescale = \"density\")", 1)>]
[<InlineData("base + della_linear(tasks, 0.5, rescale = \"none\")", 1)>]
[<InlineData("base + perpendicular(A, B)", 2)>]
[<InlineData("base + cosine(A, B) * A + norm(B) * B", 2)>]
// ⟨A, A⟩, ⟨A, B⟩ and ⟨B, B⟩ tell the norm of any combination of A and B.
[<InlineData("base + norm(A - cosine(A, B) * B) * A", 2)>]
[<InlineData("base + breadcrumbs(tasks, 0.4, 0.05)", 2)>]
[<InlineData("base + breadcrumbs_ties(tasks, 0.4, 0.05)", 2)>]
[<InlineData("base + model_stock(tasks)", 2)>]
[<InlineData("base + model_stock(tasks, by = \"row\")", 2)>]
[<InlineData("base + multislerp(tasks)", 2)>]
[<InlineData("base + nuslerp(A, B)", 2)>]
[<InlineData("base + nearswap(A, 0.01)", 1)>]
[<InlineData("base + ram(tasks)", 1)>]
[<InlineData("base + ram_plus(tasks)", 2)>]
[<InlineData("base + magmax(tasks)", 1)>]
[<InlineData("base + tall(tasks).digits", 1)>]
[<InlineData("base + tall_consensus(tasks)", 1)>]
[<InlineData("base + emr(tasks).digits", 2)>]
[<InlineData("base + bitdelta(A)", 2)>]
[<InlineData("base + sce(tasks, 0.5)", 3)>]
[<InlineData("base + sce(tasks)", 2)>]
[<InlineData("fusion(base, base + A)", 5)>]
[<InlineData("base + median(tasks)", 1)>]
[<InlineData("base + karcher(tasks)", 2)>]
[<InlineData("karcher([ft, base])", 2)>]
[<InlineData("base + geometric_median(tasks)", 2)>]
[<InlineData("base + geometric_median(tasks, by = \"row\")", 2)>]
[<InlineData("base + sum(awd(tasks))", 2)>]
[<InlineData("base + sum(awd(tasks, by = \"layer\"))", 2)>]
let ``a merge takes the least number of passes`` (expression: string) (passes: int) = Assert.Equal(passes, steps (saved expression))

[<Fact>]
let ``equal subexpressions are computed once`` () =
    let twice = plan (saved "base + trim(A, 0.2) + 2 * trim(A, 0.2) * sign(trim(A, 0.2))")
    Assert.Single(twice.Plan.Steps[0].Reductions) |> ignore

let private four =
    "four = family({ " + String.Join(", ", [ for n in [ "arrows"; "digits"; "letters"; "shapes" ] -> $"{n}: \"zoo/tasks/{n}.safetensors\"" ]) + " }, base)\n"

/// An iteration over T members measures their Gram matrix, T(T + 1)/2 dot products, whatever its rounds, and then writes.
[<Theory>]
[<InlineData("karcher(tasks)", 8)>]
[<InlineData("karcher(four)", 4)>]
[<InlineData("geometric_median(tasks)", 8)>]
[<InlineData("geometric_median(four)", 4)>]
[<InlineData("sum(awd(tasks))", 8)>]
[<InlineData("sum(awd(four))", 4)>]
let ``an iteration is a pass for the Gram matrix and one to write`` (expression: string) (members: int) =
    let p = (plan (four + saved $"base + {expression}")).Plan
    Assert.Equal(2, p.Steps.Count)
    Assert.Equal(members * (members + 1) / 2, p.Steps[0].Reductions.Count)
    Assert.All(p.Steps[0].Reductions, fun r -> Assert.Equal(ReduceKind.Dot, r.Kind))
    Assert.Empty(p.Steps[1].Reductions)
    for step in p.Steps do
        for k in step.Kernels do
            match k with
            | null -> ()
            | k -> Assert.Equal(members + 1, k.Inputs.Count)

[<Fact>]
let ``ranks are computed once, from inputs that are read once`` () =
    let text = "base + rank(abs(A)) * A + rank(abs(A)) * drop(A, 1 - rank(abs(A)), 3)"
    Assert.Equal<string list>([ "base"; "digits" ], reads (saved text) |> List.sort)
    let k = Assert.Single(kernels (saved text))
    Assert.Single(k.Inputs, (fun (i: InputBinding) -> i :? RankInput)) |> ignore
    use e = checkedText (saved text)
    let explained = e.Explain()
    Assert.Contains("rank(abs(digits - base))", explained)
    Assert.Contains(", sorts 136,256 elements", explained)
