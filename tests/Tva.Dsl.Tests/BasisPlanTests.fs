/// What bases cost: passes, kernels and bytes of expressions over saved, measured and new bases, with Gram matrices of earlier runs and without.
module Tva.Dsl.Tests.BasisPlanTests

open System
open System.IO
open Tva.Core.Execution
open Tva.Dsl
open Xunit
open Tva.Dsl.Tests.Scripts
open Tva.Dsl.Tests.BasisSupport

/// Copies of the zoo's base and of its first tasks, so that caches are the test's own.
let copied (temp: TempFolder) count =
    Directory.CreateDirectory(temp.File "tasks") |> ignore
    File.Copy(baseFile, temp.File "base.safetensors")
    for name in List.truncate count names do
        File.Copy(taskFile name, temp.File $"tasks/{name}.safetensors")

let private own = "base = model(\"base.safetensors\")\ntasks = family(\"tasks/*.safetensors\", base)\n"

let private caches (temp: TempFolder) = Directory.GetFiles(temp.File "tasks", ".tva-gram-*")

let private measuring = "measuring the tasks (Gram matrix)"

let private plansOf settings folder text =
    use e = new Evaluator(optionsOf settings)
    Assert.Empty(e.Check("test.tva", folder, text) |> List.map _.Message)
    e.Plans(), e.Explain()

/// The kernels of a plan's steps.
let private kernels (p: Plan.Planned) = [ for s in p.Plan.Steps do for k in s.Kernels do match k with null -> () | k -> k ]

let private inputs (k: ClassKernel) = [ for i in k.Inputs do match i with :? FileInput as f -> f.Source | _ -> () ]

[<Fact>]
let ``over a saved basis everything is one kernel that reads the base, A and the atoms once`` () =
    use temp = new TempFolder()
    runOk temp.Path (heading + "tasks @basis(3, \"svd\") |> save(\"kept\")") |> ignore
    let text = $"base = model(\"{baseFile}\")\nA = delta(\"{taskFile names.Head}\", base)\nB = family(\"kept\", base)\nbase + 0.5 * A - B.digits |> save(\"m.safetensors\")"
    let plans, explained = plansOf uncached temp.Path text
    let plan = Assert.Single plans
    Assert.Equal(1, plan.Plan.Steps.Count)
    let k = Assert.Single(kernels plan)
    let files = inputs k |> List.map (fun s -> string (Path.GetFileName plan.Plan.Sources[s].Path))
    Assert.Equal<string list>([ "arrows.safetensors"; "atom1"; "atom2"; "atom3"; "base.safetensors" ], List.sort files)
    Assert.DoesNotContain("dot", explained)
    let ran = runOk temp.Path text
    Assert.Equal<(string * int64 * int64) list>([ "saving m.safetensors", 5L * size, size ], passes ran)
    // And it is what it says.
    let members = runOk temp.Path ($"base = model(\"{baseFile}\")\nB = family(\"kept\", base)\nB.digits |> save(\"digits.safetensors\")")
    Assert.Equal<(string * int64 * int64) list>([ "saving digits.safetensors", 3L * size, size ], passes members)
    let origin, a, b = read baseFile, read (taskFile names.Head), read (temp.File "digits.safetensors")
    near (zip (-) (zip (fun o x -> o + 0.5 * (x - o)) origin a) b) (read (temp.File "m.safetensors")) 1e-6

[<Fact>]
let ``sums, means and members of a saved basis fold into one pass`` () =
    use temp = new TempFolder()
    runOk temp.Path (heading + "tasks @basis(4, \"svd\") |> save(\"kept\")") |> ignore
    let text = $"base = model(\"{baseFile}\")\nB = family(\"kept\", base)\nbase + 0.3 * sum(B) - 0.1 * B.digits + mean(B)[\"*.qkv.*\"] |> save(\"m.safetensors\")"
    Assert.Equal<(string * int64 * int64) list>([ "saving m.safetensors", 5L * size, size ], passes (runOk temp.Path text))

[<Fact>]
let ``an atom whose coefficient is 0 is not read`` () =
    use temp = new TempFolder()
    let saved = runOk temp.Path (heading + "b = tasks @basis(3, \"sample\", decoder = \"selection\", seed = 5)\ncoefficients(b)\nb |> save(\"kept\")\n")
    let table = List.head (tables saved)
    let atomOf name = [ for m in 1..3 do if cell table $"atom{m}" name <> 0.0 then m ]
    let selected = names |> List.filter (fun n -> atomOf n <> [])
    Assert.Equal(3, selected.Length)
    let again = $"base = model(\"{baseFile}\")\nb = family(\"kept\", base)\n"
    for name in selected do
        Assert.Equal(1, (atomOf name).Length)
        let ran = runOk temp.Path (again + $"base - b.{name} |> save(\"{name}.safetensors\")")
        Assert.Equal<(string * int64 * int64) list>([ $"saving {name}.safetensors", 2L * size, size ], passes ran)
        // The task itself came back.
        near (zip (fun o x -> o - (x - o)) (read baseFile) (read (taskFile name))) (read (temp.File $"{name}.safetensors")) 1e-6
    // A task that was not drawn is zero: only the base is read.
    let other = names |> List.find (fun n -> atomOf n = [])
    Assert.Equal<(string * int64 * int64) list>([ "saving other.safetensors", size, size ], passes (runOk temp.Path (again + $"base - b.{other} |> save(\"other.safetensors\")")))
    sameTensors baseFile (temp.File "other.safetensors")

[<Fact>]
let ``a basis in memory takes two passes the first time and one where its Gram matrix is kept`` () =
    use temp = new TempFolder()
    copied temp 4
    let text = own + "base + 0.3 * sum(tasks @basis(2, \"svd\")) |> save(\"m.safetensors\")"
    let first = runAs RunSettings.Default temp.Path text
    Assert.Equal<(string * int64 * int64) list>([ measuring, 5L * size, 0L; "saving m.safetensors", 5L * size, size ], passes first)
    Assert.Single(caches temp) |> ignore
    let bytes = File.ReadAllBytes(temp.File "m.safetensors")
    let second = runAs RunSettings.Default temp.Path text
    Assert.Equal<(string * int64 * int64) list>([ "saving m.safetensors", 5L * size, size ], passes second)
    Assert.Equal<byte[]>(bytes, File.ReadAllBytes(temp.File "m.safetensors"))

[<Fact>]
let ``a plan shows the measuring pass where nothing is kept, and none where it is`` () =
    use temp = new TempFolder()
    copied temp 4
    let text = own + "base + 0.3 * sum(tasks @basis(2, \"svd\")) |> save(\"m.safetensors\")"
    let count () =
        let plans, explained = plansOf RunSettings.Default temp.Path text
        plans.Length, (explained.Split '\n' |> Array.filter (fun l -> l.StartsWith "step ")).Length, explained.Contains "dot"
    Assert.Equal((2, 2, true), count ())
    Assert.Empty(caches temp)
    runAs RunSettings.Default temp.Path text |> ignore
    Assert.Equal((1, 1, false), count ())
    let plans, _ = plansOf uncached temp.Path text
    Assert.Equal(2, plans.Length)

[<Fact>]
let ``a kept Gram matrix serves every number of atoms, method and extent of one family`` () =
    use temp = new TempFolder()
    copied temp 4
    let run text = passes (runAs RunSettings.Default temp.Path (own + text)) |> List.map (fun (what, _, _) -> what)
    Assert.Equal<string list>([ measuring ], run "errors(tasks @basis(2, \"svd\"))")
    for text in [ "errors(tasks @basis(3, \"svd\"))"; "errors(tasks @basis(2, \"pca\"))"; "coefficients(tasks @basis(2, steps = 100))"; "tasks @basis(0.5, \"random\", seed = 3)"; "size(atoms(tasks @basis(error = 0.9, method = \"svd\")))" ] do
        Assert.Equal<string list>([], run text)
    // One for each layer needs other products, and these are kept as well.
    Assert.Equal<string list>([ measuring ], run "errors(tasks @basis(2, \"svd\", by = \"layer\"))")
    Assert.Equal<string list>([], run "errors(tasks @basis(3, \"pca\", by = \"layer\"))")
    Assert.Equal(2, (caches temp).Length)

let private table settings (temp: TempFolder) =
    let ran = runAs settings temp.Path (own + "errors(tasks @basis(2, \"svd\"))")
    (passes ran).Length, List.head (tables ran)

[<Fact>]
let ``what comes of a kept Gram matrix is the same to the last bit`` () =
    use temp = new TempFolder()
    copied temp 4
    let fresh = table RunSettings.Default temp
    let kept = table RunSettings.Default temp
    Assert.Equal((1, 0), (fst fresh, fst kept))
    Assert.Equal(snd fresh, snd kept)

[<Fact>]
let ``without the cache nothing is kept or used`` () =
    use temp = new TempFolder()
    copied temp 4
    Assert.Equal(1, fst (table uncached temp))
    Assert.Empty(caches temp)
    table RunSettings.Default temp |> ignore
    Assert.Equal(1, fst (table uncached temp))

/// Adds 1e-3 to a task's first element of some tensor, wherever in the file it is.
let private change (path: string) (offset: int64) =
    use f = File.Open(path, FileMode.Open, FileAccess.ReadWrite)
    f.Seek(offset, SeekOrigin.End) |> ignore
    let bytes = Array.zeroCreate<byte> 4
    f.ReadExactly bytes
    f.Seek(offset, SeekOrigin.End) |> ignore
    f.Write(BitConverter.GetBytes(BitConverter.ToSingle bytes + 0.25f))

[<Fact>]
let ``a changed task is measured again`` () =
    use temp = new TempFolder()
    copied temp 4
    let before = snd (table RunSettings.Default temp)
    // Far from where a fingerprint looks, perhaps; the file is newer than the numbers.
    change (temp.File "tasks/arrows.safetensors") -200004L
    File.SetLastWriteTimeUtc(temp.File "tasks/arrows.safetensors", DateTime.UtcNow.AddSeconds 5.0)
    let count, after = table RunSettings.Default temp
    Assert.Equal(1, count)
    Assert.NotEqual(before, after)
    let expected = norm (difference (read (temp.File "tasks/arrows.safetensors")) (read baseFile))
    Assert.Equal(expected, cell after "arrows" "norm", 1e-6)

[<Fact>]
let ``another file of the same age is measured again`` () =
    use temp = new TempFolder()
    copied temp 4
    table RunSettings.Default temp |> ignore
    let old = File.GetLastWriteTimeUtc(temp.File "tasks/count.safetensors")
    File.Copy(taskFile "stripes", temp.File "tasks/count.safetensors", true)
    File.SetLastWriteTimeUtc(temp.File "tasks/count.safetensors", old)
    let count, after = table RunSettings.Default temp
    Assert.Equal(1, count)
    Assert.Equal(norm (difference (read (taskFile "stripes")) (read baseFile)), cell after "count" "norm", 1e-6)

[<Fact>]
let ``a damaged cache file is as good as none`` () =
    use temp = new TempFolder()
    copied temp 3
    let expected = snd (table RunSettings.Default temp)
    let file = Assert.Single(caches temp)
    let good = File.ReadAllText file
    let damaged =
        [ ""; "{"; "[]"; "null"; "7"; "{}"; good.Substring(0, good.Length / 2); good.Substring(0, good.Length - 1)
          good.Replace("\"key\":\"", "\"key\":\"0"); good.Replace("\"dots\"", "\"dot\""); good.Replace("\"labels\":[\"\"]", "\"labels\":[\"\",\"\"]")
          good.Replace("\"labels\":[\"\"]", "\"labels\":[null]"); good.Replace("\"labels\":[\"\"]", "\"labels\":[\"x\"]"); good.Replace("\"labels\":[\"\"]", "\"labels\":7")
          good.Replace("[[", "[[1e999],["); good.Replace("\"dots\":[[", "\"dots\":[[\"a\"],["); good.Replace("\"dots\":[[", "\"dots\":[[],[")
          good.Replace("\"dots\":[[", "\"dots\":[[1"); good + good; String('[', 100000) ]
    for text in damaged do
        File.WriteAllText(file, text)
        let count, found = table RunSettings.Default temp
        Assert.True((count = 1), $"was used: {text.Substring(0, min 200 text.Length)}")
        Assert.Equal(expected, found)
        Assert.Equal(good, File.ReadAllText file)
    File.WriteAllBytes(file, [| 0xFFuy; 0xFEuy; 0uy |])
    Assert.Equal((1, expected), table RunSettings.Default temp)

[<Fact>]
let ``scratches of a cache file never show`` () =
    use temp = new TempFolder()
    copied temp 3
    let expected = snd (table RunSettings.Default temp)
    let file = Assert.Single(caches temp)
    let good = File.ReadAllBytes file
    let random = Random 7
    for _ in 1..200 do
        let bytes = Array.copy good
        for _ in 0 .. random.Next 4 do
            bytes[random.Next bytes.Length] <- byte (random.Next 256)
        File.WriteAllBytes(file, bytes)
        Assert.Equal(expected, snd (table RunSettings.Default temp))

[<Fact>]
let ``where a cache can't be kept, runs go on without`` () =
    use temp = new TempFolder()
    copied temp 3
    runAs RunSettings.Default temp.Path (own + "errors(tasks @basis(2, \"svd\"))") |> ignore
    let file = Assert.Single(caches temp)
    // A folder in its place can be neither read nor replaced, whoever runs this.
    File.Delete file
    Directory.CreateDirectory(Path.Combine(file, "in the way")) |> ignore
    Assert.Equal(1, fst (table RunSettings.Default temp))
    Assert.Empty(Directory.GetFiles(temp.File "tasks", "*.partial"))
    Directory.Delete(file, true)
    if not (OperatingSystem.IsWindows()) && Environment.UserName <> "root" then
        let folder = temp.File "tasks"
        let mode = File.GetUnixFileMode folder
        File.SetUnixFileMode(folder, UnixFileMode.UserRead ||| UnixFileMode.UserExecute)
        try
            Assert.Equal(1, fst (table RunSettings.Default temp))
            Assert.Empty(caches temp)
        finally
            File.SetUnixFileMode(folder, mode)

[<Fact>]
let ``cache files are no members of a family`` () =
    use temp = new TempFolder()
    copied temp 3
    table RunSettings.Default temp |> ignore
    for pattern in [ "tasks/*"; "tasks/?*"; "**/tasks/*" ] do
        Assert.Equal(3.0, number temp.Path ($"base = model(\"base.safetensors\")\nsize(family(\"{pattern}\", base))"))

[<Fact>]
let ``a basis in memory by layer saves in one pass after one that measures`` () =
    use temp = new TempFolder()
    let ran = runOk temp.Path (heading + "b = tasks @basis(3, \"svd\", by = \"layer\")\nerrors(b)\nb |> save(\"kept\")\nbase + sum(b) |> save(\"m.safetensors\")")
    match passes ran with
    | [ what, read, written; _, read', written' ] ->
        Assert.Equal((measuring, 9L * size, 0L), (what, read, written))
        Assert.Equal(9L * size, read')
        Assert.Equal(4L * size, written')
    | other -> failwith $"{other}"

let planned =
    [ for text in
          [ "errors(tasks @basis(3, \"svd\"))"
            "tasks @basis(3, \"pca\", by = \"layer\") |> save(\"kept\", dtype = \"int8\")"
            "tasks @basis(3, \"svd\") |> save(\"kept\", dtype = \"bf16\")\nassert norm(tasks.digits) > 0"
            "b = tasks @basis(3, \"cluster\")\nbase + ties(b, density = 0.2) |> save(\"m.safetensors\")"
            "b = tasks @basis(3, \"svd\", by = \"tensor\")\nprint(norm(b.digits), norm(sum(atoms(b))))\nbase - b.digits |> save(\"m.safetensors\")"
            "b = tasks @basis(error = 0.9, method = \"svd\")\nb\nb |> save(\"kept\")"
            "b = family(tasks.digits, tasks.letters, tasks.arrows) @basis(2, \"svd\")\nerrors(refine(b, tasks.count))\nextend(b, tasks.count) |> save(\"kept\")"
            "a = 0.5 * sum(tasks @basis(2, \"svd\"))\nfamily({ x: tasks.digits - a, y: tasks.letters - a, z: a }, base) @basis(2, \"svd\") |> save(\"kept\")" ] -> [| box text |] ]

[<Theory>]
[<MemberData(nameof planned)>]
let ``a plan can be shown of any basis, and what it reads is read`` (text: string) =
    use temp = new TempFolder()
    let plans, explained = plansOf uncached temp.Path (heading + text)
    Assert.NotEmpty explained
    let known = plans |> List.collect (fun p -> [ for s in p.Plan.Sources -> s.Path ]) |> List.distinct
    let ran = runOk temp.Path (heading + text)
    // Passes that measure bases come to the same files; how many there are may depend on numbers not known before.
    Assert.NotEmpty(passes ran)
    Assert.Contains(baseFile, known)
    use json =
        use e = new Evaluator(optionsOf uncached)
        e.Check("test.tva", temp.Path, heading + text) |> ignore
        System.Text.Json.JsonDocument.Parse(e.ExplainJson())
    Assert.Equal(plans.Length, json.RootElement.GetArrayLength())
