/// Bases that take newcomers in: what is read for it, and what becomes of old and new members, against float64 loops over the tensors.
module Tva.Dsl.Tests.BasisGrowingTests

open System
open Tva.Dsl
open Tva.Dsl.Typing
open Xunit
open Tva.Dsl.Tests.Scripts
open Tva.Dsl.Tests.BasisSupport

let private old = List.truncate 6 names
let private newcomer = "stripes"
let private all = old @ [ newcomer ]

let private tasks = lazy (Map taskVectors.Value)

let private onlyBase = $"base = model(\"{baseFile}\")\n"

let private entries = String.Join(", ", [ for n in old -> $"{n}: \"{taskFile n}\"" ])

let private definition method by atoms = $"b = family({{ {entries} }}, base) @basis({atoms}, \"{method}\", by = \"{by}\"{trainedFor 300 method})\n"

let private loaded = onlyBase + "b = family(\"kept\", base)\n"

/// The newcomer as a name, which its member has then.
let private comes = $"{newcomer} = delta(\"{taskFile newcomer}\", base)\n"

/// A saved basis of the old tasks; its members and atoms as saved, and the mean of the tasks where the method keeps it.
let private start (temp: TempFolder) method by atoms =
    runOk temp.Path (onlyBase + definition method by atoms + "b |> save(\"kept\")") |> ignore
    runOk temp.Path (loaded + saveMembers "b" old "old-" + "\n" + saveAtoms "b" atoms "old-") |> ignore
    let members = [ for n in old -> read (temp.File $"old-{n}.safetensors") ]
    let mean = if method = "pca" then [ sum [ for n in old -> tasks.Value[n] ] |> scale (1.0 / 6.0) ] else []
    members, [ for m in 1..atoms -> read (temp.File $"old-atom{m}.safetensors") ] @ mean

let private grown (temp: TempFolder) (prefix: string) (text: string) =
    let ran = runOk temp.Path (text + "errors(g)\n" + saveMembers "g" all prefix)
    ran, List.head (tables ran), [ for n in all -> read (temp.File $"{prefix}{n}.safetensors") ]

let kinds =
    [ for method in [ "svd"; "ae"; "pca"; "sample" ] do
          for by in [ "all"; "layer" ] -> [| box method; box by |] ]

let private measuring = "measuring the tasks (Gram matrix)"

let private kept (method: string) atoms = int64 (atoms + (if method = "pca" then 1 else 0))

[<Theory>]
[<MemberData(nameof kinds)>]
let ``below the threshold only coefficients are new`` (method: string) (by: string) =
    use temp = new TempFolder()
    let members, parts = start temp method by 3
    let ran, errors, now = grown temp "new-" (loaded + comes + $"g = refine(b, {newcomer}, threshold = 2)\n")
    // Atoms and newcomer are measured; then only atoms are read, for the newcomer's member as well.
    let n = kept method 3
    Assert.Equal((measuring, (n + 2L) * size, 0L), List.head (passes ran))
    Assert.Equal<(string * int64) list>([ n * size, 7L * size ] |> List.map (fun (r, w) -> $"{w}", r), passes ran |> List.tail |> List.map (fun (_, r, w) -> $"{w}", r))
    for was, is in List.zip members (List.truncate 6 now) do
        near was is (1e-6 * largest was)
    let task = tasks.Value[newcomer]
    let expected = fitted by parts task
    near expected now[6] (2e-5 * largest task)
    Assert.Equal(norm (minus task expected) / norm task, cell errors newcomer "relative_error", 1e-5)
    Assert.Equal(norm task, cell errors newcomer "norm", 1e-6)
    Assert.Equal(dot task expected / norm task / norm expected, cell errors newcomer "cosine", 1e-4)
    for name, is in List.zip old (List.truncate 6 now) do
        Assert.Equal(norm (minus tasks.Value[name] is) / norm tasks.Value[name], cell errors name "relative_error", 2e-5)
    // The atoms are the tensors that were there.
    let again = runOk temp.Path (loaded + comes + $"g = refine(b, {newcomer}, threshold = 2)\n" + saveAtoms "g" 3 "new-")
    Assert.Equal((kept method 3 + 2L) * size, passes again |> List.head |> fun (_, r, _) -> r)
    for m in 1..3 do
        sameTensors (temp.File $"old-atom{m}.safetensors") (temp.File $"new-atom{m}.safetensors")

[<Theory>]
[<MemberData(nameof kinds)>]
let ``above it the atoms are made anew of atoms and newcomer`` (method: string) (by: string) =
    use temp = new TempFolder()
    let members, _ = start temp method by 3
    let ran, errors, now = grown temp "new-" (loaded + comes + $"g = refine(b, {newcomer})\n")
    let n = kept method 3
    Assert.Equal((measuring, (n + 2L) * size, 0L), List.head (passes ran))
    // Those of a sample that are not drawn again are not read.
    let _, last, _ = List.last (passes ran)
    Assert.True(last = (n + 2L) * size || method = "sample" && last < (n + 2L) * size)
    let task = tasks.Value[newcomer]
    Assert.Equal(norm (minus task now[6]) / norm task, cell errors newcomer "relative_error", 2e-5)
    for name, was, is in List.zip3 old members (List.truncate 6 now) do
        let t = tasks.Value[name]
        // What had been lost counts as orthogonal to what is lost now.
        let lost, more = norm (minus t was), norm (minus was is)
        Assert.Equal(sqrt (lost * lost + more * more) / norm t, cell errors name "relative_error", 2e-5)
        Assert.Equal(norm t, cell errors name "norm", 1e-6)
        // And it nearly is: the zoo's tasks have little in common.
        Assert.Equal(norm (minus t is) / norm t, cell errors name "relative_error", 0.05)
    // No three vectors do better on what was kept than the spectrum allows.
    let best = bound by (int n) (members @ [ task ]) * (List.sumBy (fun v -> dot v v) (members @ [ task ]))
    let loss = List.sum (List.map2 (fun a b -> (let d = minus a b in dot d d)) (members @ [ task ]) now)
    Assert.True(loss >= best * (1.0 - 1e-6) - 1e-9, $"{loss} is below {best}")
    if method = "svd" then
        Assert.InRange(loss, best * 0.999999 - 1e-9, best * 1.0001 + 1e-9)

[<Theory>]
[<MemberData(nameof kinds)>]
let ``a basis that is extended keeps the newcomer and all it had`` (method: string) (by: string) =
    use temp = new TempFolder()
    let members, parts = start temp method by 2
    let ran, errors, now = grown temp "new-" (loaded + comes + $"g = extend(b, {newcomer})\n")
    Assert.Equal((measuring, (kept method 2 + 2L) * size, 0L), List.head (passes ran))
    for was, is in List.zip members (List.truncate 6 now) do
        near was is (1e-6 * largest was)
    let task = tasks.Value[newcomer]
    near task now[6] (1e-6 * largest task)
    Assert.InRange(cell errors newcomer "relative_error", 0.0, 1e-6)
    for name, was in List.zip old members do
        Assert.Equal(norm (minus tasks.Value[name] was) / norm tasks.Value[name], cell errors name "relative_error", 2e-5)
    // The new atom is what the others have nothing of.
    runOk temp.Path (loaded + comes + $"g = extend(b, {newcomer})\n" + saveAtoms "g" 3 "new-") |> ignore
    let atom = read (temp.File "new-atom3.safetensors")
    near (minus task (fitted by parts task)) atom (2e-5 * largest task)
    for m in 1..2 do
        sameTensors (temp.File $"old-atom{m}.safetensors") (temp.File $"new-atom{m}.safetensors")

[<Theory>]
[<InlineData("refine(b, stripes)", "svd", "f32")>]
[<InlineData("refine(b, stripes)", "pca", "f32")>]
[<InlineData("refine(b, stripes, threshold = 2)", "ae", "bf16")>]
[<InlineData("extend(b, stripes)", "pca", "f32")>]
[<InlineData("extend(b, stripes)", "ae", "int8")>]
[<InlineData("extend(refine(b, stripes), more)", "svd", "f32")>]
let ``a grown basis is saved and read back`` (text: string) (method: string) (dtype: string) =
    use temp = new TempFolder()
    start temp method "layer" 3 |> ignore
    let more = comes + $"more = 0.5 * {newcomer} + delta(\"{taskFile names[6]}\", base)\n"
    let first = runOk temp.Path (loaded + more + $"g = {text}\nerrors(g)\ncoefficients(g)\ng |> save(\"grown\", dtype = \"{dtype}\")\n" + saveMembers "g" all "new-")
    let again = runOk temp.Path (onlyBase + "g = family(\"grown\", base)\nerrors(g)\ncoefficients(g)\n" + saveMembers "g" all "again-")
    match tables first, tables again with
    | [ errors; coefficients ], [ errors'; coefficients' ] ->
        Assert.Equal(coefficients, coefficients')
        for name, row in errors.Rows do
            for column, value in List.zip errors.Columns row do
                Assert.Equal(value, cell errors' name column, (if dtype = "f32" then 1e-9 else 0.01))
    | _ -> Assert.Fail "two tables each"
    let loose = match dtype with "f32" -> 3e-6 | _ -> 0.02
    for n in all do
        let was = read (temp.File $"new-{n}.safetensors")
        near was (read (temp.File $"again-{n}.safetensors")) (loose * largest was + 1e-12)
    // And it grows on.
    let shapes = taskFile "shapes"
    let last = runOk temp.Path (onlyBase + $"g = family(\"grown\", base)\nh = extend(g, 0.5 * delta(\"{shapes}\", base))\nerrors(h)")
    let t = List.head (tables last)
    Assert.InRange((snd (List.last t.Rows))[1], 0.0, 1e-5)

[<Fact>]
let ``a basis in memory grows as its folder does`` () =
    use temp = new TempFolder()
    for method in [ "svd"; "pca"; "cluster" ] do
        start temp method "all" 3 |> ignore
        for grow in [ $"refine(b, {newcomer})"; $"refine(b, {newcomer}, threshold = 2)"; $"extend(b, {newcomer})" ] do
            let _, errors, members = grown temp "memory-" (onlyBase + definition method "all" 3 + comes + $"g = {grow}\n")
            let _, errors', members' = grown temp "folder-" (loaded + comes + $"g = {grow}\n")
            for name in all do
                for column in errors.Columns do
                    Assert.Equal(cell errors name column, cell errors' name column, 1e-5)
            for a, b in List.zip members members' do
                near a b (2e-5 * largest a)

[<Fact>]
let ``a published basis grows as well`` () =
    use temp = new TempFolder()
    let tvb = golden + "/tvb"
    for folder in [ "ae_softmax"; "pca" ] do
        let text = $"base = model(\"{tvb}/zeroshot.safetensors\")\nb = family(\"{tvb}/{folder}\", base)\nextra = 2 * delta(\"{tvb}/TaskAVal/finetuned.pt\", base) - delta(\"{tvb}/TaskEVal/finetuned.pt\", base)\n"
        let ran = runOk temp.Path (text + "g = extend(b, extra)\nerrors(g)\nprint(norm(g.extra - extra) / norm(extra))\ng |> save(\"" + folder + "\")\nprint(norm(g.TaskB - b.TaskB))")
        Assert.Equal(2, (numbers ran).Length)
        Assert.All(numbers ran, fun v -> Assert.InRange(v, 0.0, 1e-6))
        Assert.InRange(cell (List.head (tables ran)) "extra" "relative_error", 0.0, 1e-6)
        let again = runOk temp.Path ($"base = model(\"{tvb}/zeroshot.safetensors\")\ng = family(\"{folder}\", base)\nerrors(refine(g, zeros(base) + 0.1 * g.TaskA, threshold = 0.5))")
        Assert.InRange((snd (List.last (List.head (tables again)).Rows))[1], 0.0, 1e-6)

[<Fact>]
let ``a newcomer's Gram matrix is kept as well`` () =
    use temp = new TempFolder()
    start temp "svd" "all" 3 |> ignore
    let text = onlyBase + "b = family(\"kept\", base)\n" + $"x = delta(\"x.safetensors\", base)\nerrors(refine(b, x))"
    IO.File.Copy(taskFile newcomer, temp.File "x.safetensors")
    let first, second = runAs RunSettings.Default temp.Path text, runAs RunSettings.Default temp.Path text
    Assert.Equal((1, 0), ((passes first).Length, (passes second).Length))
    Assert.Equal(List.head (tables first), List.head (tables second))
    // Nothing of it looks like a part of the basis.
    Assert.Equal(3.0, number temp.Path (onlyBase + "size(atoms(family(\"kept\", base)))"))

[<Theory>]
[<InlineData("extend(b, n)")>]
[<InlineData("refine(b, n)")>]
[<InlineData("refine(b, n, threshold = 0.001)")>]
let ``what a folder does not tell of its members stays unknown`` (text: string) =
    use temp = new TempFolder()
    let tvb = golden + "/tvb"
    let ran = runOk temp.Path $"base = model(\"{tvb}/zeroshot.pt\")\nb = family(\"{tvb}/ae_softmax\", base)\nn = delta(\"{tvb}/TaskAVal/finetuned.pt\", base)\nerrors({text})"
    let table = List.head (tables ran)
    for name in [ "TaskA"; "TaskF" ] do
        Assert.All(table.Columns, fun column -> Assert.True(Double.IsNaN(cell table name column), $"{name} {column}"))
    Assert.InRange(cell table "n" "relative_error", 0.0, 0.5)
    Assert.True(Double.IsNaN(table.Summary |> List.find (fun (l, _) -> l = "loss") |> snd))
