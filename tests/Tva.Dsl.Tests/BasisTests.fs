/// Bases of the zoo's tasks: what is reported and saved of them, against plain float64 loops over the tensors.
module Tva.Dsl.Tests.BasisTests

open System
open System.IO
open Tva.Dsl
open Tva.Dsl.Typing
open Xunit
open Tva.Dsl.Tests.Scripts
open Tva.Dsl.Tests.BasisSupport

let private methods = [ "ae"; "ae-linear"; "svd"; "pca"; "random"; "sample"; "cluster" ]

let kinds =
    [ for m in methods do
          for by in [ "all"; "layer"; "tensor" ] -> [| box m; box by |] ]

/// Trainings of a basis for each tensor are cut short: what is tested holds after any number of steps.
let private options method by = if by = "tensor" && (method: string).StartsWith "ae" then ", steps = 200" else ""

let private tasks = lazy (taskVectors.Value |> List.map snd)

/// What a basis comes to: its tables, its members and its atoms as saved.
let private made (temp: TempFolder) method by atoms =
    let text =
        heading
        + $"b = tasks @basis({atoms}, \"{method}\", by = \"{by}\"{options method by})\nerrors(b)\ncoefficients(b)\n"
        + saveMembers "b" names ""
        + "\n"
        + saveAtoms "b" atoms ""
    let ran = runOk temp.Path text
    match tables ran with
    | [ errors; coefficients ] ->
        errors, coefficients, [ for n in names -> read (temp.File $"{n}.safetensors") ], [ for m in 1..atoms -> read (temp.File $"atom{m}.safetensors") ]
    | other -> failwith $"{other.Length} tables"

[<Theory>]
[<MemberData(nameof kinds)>]
let ``what is reported of a basis is what comes out of it`` (method: string) (by: string) =
    use temp = new TempFolder()
    let errors, coefficients, members, atoms = made temp method by 3
    let tasks = tasks.Value
    for name, task, member' in List.zip3 names tasks members do
        let error = norm (minus task member')
        Assert.Equal(norm task, cell errors name "norm", 1e-6)
        Assert.Equal(error / norm task, cell errors name "relative_error", 1e-5)
        Assert.Equal(dot task member' / norm task / norm member', cell errors name "cosine", 1e-5)
    let energy = tasks |> List.sumBy (fun t -> dot t t)
    let loss = (List.map2 (fun t m -> (let d = minus t m in dot d d)) tasks members |> List.sum) / energy
    let least = bound by (if method = "pca" then 4 else 3) tasks
    Assert.Equal(loss, summary errors "loss", 1e-5)
    Assert.Equal(least, summary errors "bound", 1e-5)
    Assert.True(loss >= least * (1.0 - 1e-5), $"{loss} is below the bound {least}")
    if method = "svd" then
        Assert.InRange(summary errors "loss", least * (1.0 - 1e-4), least * (1.0 + 1e-4))
    let kept = if method = "pca" then 4L else 3L
    Assert.Equal(float (kept * size), summary errors "bytes_kept")
    Assert.Equal(float (8L * size), summary errors "bytes_given")
    // Atoms times coefficients, plus the mean where the method keeps one, are the members.
    let mean = sum tasks |> scale (1.0 / 8.0)
    for t, name in List.indexed names do
        let expected: Vector =
            mean |> Map.map (fun tensor mean ->
                let group = groupOf by tensor
                let start = if method = "pca" then mean else Array.zeroCreate mean.Length
                List.fold2
                    (fun (x: float[]) m (atom: Vector) ->
                        let c = cell coefficients ((if group = "" then "" else group + " ") + $"atom{m}") name
                        Array.map2 (fun x a -> x + c * a) x atom[tensor])
                    start [ 1..3 ] atoms)
        near expected members[t] (3e-6 * largest expected + 1e-9)

[<Fact>]
let ``a basis kept by layer or tensor is no worse than one of the whole`` () =
    let loss by = summary (runOk "." (heading + $"errors(tasks @basis(3, \"svd\", by = \"{by}\"))") |> tables |> List.head) "loss"
    Assert.True(loss "layer" <= loss "all" && loss "tensor" <= loss "layer")

[<Theory>]
[<InlineData("0.5", 4)>]
[<InlineData("0.01", 1)>]
[<InlineData("0.99", 8)>]
[<InlineData("1", 1)>]
[<InlineData("8", 8)>]
let ``M is a number or a share`` (m: string) (atoms: int) =
    Assert.Equal(float atoms, number "." (heading + $"size(atoms(tasks @basis({m}, \"svd\")))"))

[<Theory>]
[<InlineData("svd", 0.7)>]
[<InlineData("sample", 0.97)>]
[<InlineData("random", 0.8)>]
[<InlineData("pca", 0.5)>]
let ``an error asks for the least M that keeps every task within it`` (method: string) (limit: float) =
    let worst m =
        let t = runOk "." (heading + $"errors(tasks @basis({m}, \"{method}\"))") |> tables |> List.head
        names |> List.map (fun n -> cell t n "relative_error") |> List.max
    let least = Seq.find (fun m -> worst m <= limit) (seq { 1..8 })
    Assert.Equal(float least, (runOk "." (heading + $"size(atoms(tasks @basis(method = \"{method}\", error = {limit})))") |> numbers |> List.last))

[<Fact>]
let ``all the tasks as atoms lose nothing`` () =
    for method in [ "svd"; "sample"; "random" ] do
        let t = runOk "." (heading + $"errors(tasks @basis(8, \"{method}\"))") |> tables |> List.head
        for n in names do
            Assert.InRange(cell t n "relative_error", 0.0, 1e-5)
            Assert.Equal(1.0, cell t n "cosine", 1e-9)

[<Fact>]
let ``a member's basis is the family's, and its member that one`` () =
    use temp = new TempFolder()
    let text = "a = tasks.digits @basis(4, \"svd\")\nb = tasks @basis(4, \"svd\")\na |> save(\"a.safetensors\")\nb.digits |> save(\"b.safetensors\")\n"
    let ran = runOk temp.Path (heading + text)
    Assert.Equal<Vector>(read (temp.File "a.safetensors"), read (temp.File "b.safetensors"))
    // One pass measures, one saves both.
    Assert.Equal(2, (passes ran).Length)

[<Fact>]
let ``the same options make one basis, other options another`` () =
    let plans text =
        use e = new Evaluator(optionsOf uncached)
        Assert.Empty(e.Check("test.tva", ".", heading + text))
        // What the passes over the graph saw on the way may differ.
        String.Join("\n", e.Explain().Split '\n' |> Array.filter (fun line -> not (line.Contains " nodes to ")))
    Assert.Equal(plans "print(norm(sum(tasks @basis(4, \"ae\"))))", plans "print(norm(0.5 * sum(tasks @basis(4)) + 0.5 * sum(basis(tasks, 0.5, by = \"all\", seed = 0))))")
    let ran = runOk "." (heading + "print(norm(tasks.digits @basis(4, \"random\") - tasks.digits @basis(4, \"random\", seed = 0)))\nprint(norm(tasks.digits @basis(4, \"random\") - tasks.digits @basis(4, \"random\", seed = 1)))")
    match numbers ran with
    | [ same; other ] ->
        Assert.Equal(0.0, same)
        Assert.True(other > 0.01)
    | n -> failwith $"{n.Length} numbers"

/// Expressions over a family `F`; how many elements may differ because a threshold lies between equals.
let operations =
    [ for text, free in
          [ "base + 0.3 * sum(F)", 0
            "base + mean(F)", 0
            "base - F.digits", 0
            "base + F.digits[\"*.qkv.*\" and layers(1..2)]", 0
            "base + 0.4 * sum(F - 0.5 * F.letters)", 0
            "base + sum(-F)", 0
            "base + sum([1, 2, 3, 4, 5, 6, 7, 8] * F)", 0
            "base + dare(F, 0.5, seed = 3)", 0
            "base + median(F)", 0
            "base + max(F)", 0
            "base + ties(F, density = 0.2)", 20 ] -> [| box text; box free |] ]

[<Theory>]
[<MemberData(nameof operations)>]
let ``a basis stands for its tasks`` (text: string) (free: int) =
    use temp = new TempFolder()
    let saved = "b = tasks @basis(4, \"svd\", by = \"layer\")\n" + saveMembers "b" names "kept/"
    Directory.CreateDirectory(temp.File "kept") |> ignore
    runOk temp.Path (heading + saved + $"\nF = b\n{text} |> save(\"folded.safetensors\")") |> ignore
    runOk temp.Path (heading + $"F = family(\"kept/*.safetensors\", base)\n{text} |> save(\"plain.safetensors\")") |> ignore
    let folded, plain = read (temp.File "folded.safetensors"), read (temp.File "plain.safetensors")
    let mutable off = 0
    for KeyValue(name, want) in plain do
        let tolerance = 1e-5 * max 1e-3 (want |> Array.map abs |> Array.max)
        off <- off + (Array.map2 (fun a b -> if abs (a - b) <= tolerance then 0 else 1) want folded[name] |> Array.sum)
    Assert.True(off <= free, $"{off} elements differ, {free} may")

[<Theory>]
[<InlineData("ae", "layer")>]
[<InlineData("pca", "all")>]
[<InlineData("cluster", "tensor")>]
let ``threads and memory leave the bytes as they are`` (method: string) (by: string) =
    use temp = new TempFolder()
    let text (name: string) =
        heading + $"b = tasks @basis(3, \"{method}\", by = \"{by}\"{trainedFor 300 method})\nb |> save(\"{name}\", dtype = \"int8\")\nbase + sum(b) |> save(\"{name}.safetensors\")"
    let settings = [ uncached; { uncached with Threads = 1; Memory = 16L <<< 20 }; { uncached with Threads = 7; Memory = 64L <<< 20 } ]
    for i, s in List.indexed settings do
        let name = $"m{i}"
        runAs s temp.Path (text name) |> ignore
        sameBytes (temp.File "m0.safetensors") (temp.File $"{name}.safetensors")
        Assert.Equal<Map<string, byte[]>>(contents (temp.File "m0"), contents (temp.File name))
