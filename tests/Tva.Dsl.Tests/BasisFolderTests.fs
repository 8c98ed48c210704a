/// Bases saved and read back: how near they come, what replaces what, and what is said where a folder or its base is wrong.
module Tva.Dsl.Tests.BasisFolderTests

open System
open System.Diagnostics
open System.IO
open System.Text
open System.Text.Json
open Tva.Core
open Tva.Dsl
open Tva.Dsl.Typing
open Xunit
open Tva.Dsl.Tests.Scripts
open Tva.Dsl.Tests.BasisSupport

let private onlyBase = $"base = model(\"{baseFile}\")\n"

let kinds =
    [ for method, by in [ "svd", "all"; "pca", "all"; "svd", "layer"; "ae", "layer"; "pca", "tensor"; "cluster", "all" ] do
          for dtype in [ "f32"; "bf16"; "int8" ] -> [| box method; box by; box dtype |] ]

/// What an element of an atom may be off by: half a unit of bfloat16's 8 bits, or half a step of its row.
let private allowed dtype (shape: int64[]) (values: float[]) =
    match dtype with
    | "f32" -> values |> Array.map (fun _ -> 0.0)
    | "bf16" -> values |> Array.map (fun v -> if v = 0.0 then 0.0 else 2.0 ** (floor (Math.Log2(abs v)) - 8.0))
    | _ ->
        let row = if shape.Length <= 1 then values.Length else int shape[shape.Length - 1]
        let steps = values |> Array.chunkBySize row |> Array.map (fun r -> (r |> Array.map abs |> Array.max) / 127.0)
        values |> Array.mapi (fun i _ -> 0.5001 * steps[i / row])

let private element (name: string) (e: JsonElement) = e.GetProperty name

let private json (folder: string) = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "basis.json"))).RootElement

[<Theory>]
[<MemberData(nameof kinds)>]
let ``a basis comes back as near as its type allows`` (method: string) (by: string) (dtype: string) =
    use temp = new TempFolder()
    let definition = heading + $"b = tasks @basis(3, \"{method}\", by = \"{by}\"{trainedFor 300 method})\n"
    let saved = runOk temp.Path (definition + $"errors(b)\nb |> save(\"kept\", dtype = \"{dtype}\")\n" + saveAtoms "b" 3 "was-" + "\n" + saveMembers "b" names "was-")
    let again = onlyBase + "b = family(\"kept\", base)\n"
    let loaded = runOk temp.Path (again + "errors(b)\ncoefficients(b)\n" + saveAtoms "b" 3 "is-" + "\n" + saveMembers "b" names "is-")
    let about = json (temp.File "kept")
    let relative = if dtype = "f32" then [] else [ for r in (element "rounding" about).EnumerateArray() -> r.GetDouble() ]
    for m in 1..3 do
        let tensors = load (temp.File $"was-atom{m}.safetensors")
        let was, now = read (temp.File $"was-atom{m}.safetensors"), read (temp.File $"is-atom{m}.safetensors")
        for KeyValue(name, (info, values)) in tensors do
            let free = allowed dtype (Array.ofSeq info.Shape.Dims) values
            for i in 0 .. values.Length - 1 do
                Assert.True(abs (now[name][i] - values[i]) <= free[i] + 1e-38, $"{name}[{i}] is {now[name][i]}, was {values[i]}, and may be off by {free[i]}")
        // What is said of the rounding is what can be measured.
        if dtype <> "f32" then
            let measured = norm (minus now was) / norm was
            Assert.InRange(relative[m - 1], measured * 0.999, measured * 1.001)
    let before, after = List.head (tables saved), List.head (tables loaded)
    let tasks = Map taskVectors.Value
    for name in names do
        let now = read (temp.File $"is-{name}.safetensors")
        Assert.Equal(cell before name "norm", cell after name "norm", 1e-12)
        // Coefficients of atoms that are off make members that are off: the larger of both errors stands in the folder.
        let error = norm (minus now tasks[name]) / norm tasks[name]
        Assert.Equal(error, cell after name "relative_error", (if dtype = "f32" then 1e-5 else 0.02 * error + 1e-4))
        if dtype = "f32" then
            let was = read (temp.File $"was-{name}.safetensors")
            near was now (3e-6 * largest was)
    let written = [ for f in Directory.GetFiles(temp.File "kept", "*.safetensors") -> FileInfo(f).Length ] |> List.sum
    Assert.Equal(written, (element "bytes_kept" about).GetInt64())
    Assert.Equal(8L * size, (element "bytes_given" about).GetInt64())
    Assert.Equal((if dtype = "int8" then 2 else 1) + (if method = "pca" then 1 else 0), (Directory.GetFiles(temp.File "kept", "*.safetensors")).Length)

[<Fact>]
let ``a basis saved again from its folder is the same basis`` () =
    use temp = new TempFolder()
    runOk temp.Path (heading + "tasks @basis(3, \"pca\", by = \"layer\") |> save(\"a\")") |> ignore
    runOk temp.Path (onlyBase + "family(\"a\", base) |> save(\"b\")") |> ignore
    let members folder =
        runOk temp.Path (onlyBase + $"b = family(\"{folder}\", base)\nerrors(b)\ncoefficients(b)\n" + saveMembers "b" names (folder + "-")) |> tables
    match members "a", members "b" with
    | [ errors; coefficients ], [ errors'; coefficients' ] ->
        Assert.Equal(coefficients, coefficients')
        Assert.Equal<(string * float list) list>(errors.Rows, errors'.Rows)
    | _ -> Assert.Fail "two tables each"
    for n in names do
        sameTensors (temp.File $"a-{n}.safetensors") (temp.File $"b-{n}.safetensors")

[<Fact>]
let ``zeros are stored as int8 too`` () =
    use temp = new TempFolder()
    // Only one tensor differs: every other row's largest magnitude is 0.
    let text =
        onlyBase + $"t = family(\"{zoo}/tasks/*.safetensors\", base)\nf = family({{ a: t.digits[\"blocks.1.fc.weight\"], b: t.letters[\"blocks.1.fc.weight\"] }}, base)\n"
    runOk temp.Path (text + "f @basis(1, \"svd\") |> save(\"kept\", dtype = \"int8\")") |> ignore
    runOk temp.Path (onlyBase + "b = family(\"kept\", base)\nb.a |> save(\"a.safetensors\")") |> ignore
    for KeyValue(name, values) in read (temp.File "a.safetensors") do
        Assert.Equal((name <> "blocks.1.fc.weight"), values |> Array.forall ((=) 0.0))

/// Every file a basis in the folder says it has, and no other.
let private whole (folder: string) =
    let files = [ for f in (element "files" (json folder)).EnumerateObject() -> (element "name" f.Value).GetString() |> string ]
    Assert.Equal<string list>(List.sort ("basis.json" :: files), Directory.GetFiles folder |> Seq.map (fun f -> string (Path.GetFileName f)) |> Seq.sort |> List.ofSeq)

[<Fact>]
let ``a basis saved over another replaces it and leaves nothing of it`` () =
    use temp = new TempFolder()
    let save definition dtype = runOk temp.Path (heading + $"{definition} |> save(\"kept\", dtype = \"{dtype}\")") |> ignore
    let atoms () = number temp.Path (onlyBase + "size(atoms(family(\"kept\", base)))")
    for definition, dtype, count in
        [ "tasks @basis(4, \"pca\")", "int8", 4.0
          "tasks @basis(4, \"pca\")", "int8", 4.0
          "tasks @basis(3, \"svd\")", "f32", 3.0
          "tasks @basis(2, \"svd\", by = \"layer\")", "bf16", 2.0
          "tasks @basis(3, \"svd\")", "f32", 3.0 ] do
        save definition dtype
        whole (temp.File "kept")
        Assert.Equal(count, atoms ())

[<Fact>]
let ``a parameter's value makes another basis`` () =
    use temp = new TempFolder()
    let text = heading + "param M = 3\ntasks @basis(M, \"svd\") |> save(\"kept\")"
    let files m =
        let ran = runWith { optionsOf uncached with Settings = Map [ "M", m ] } temp.Path text
        Assert.Equal(Some Outcome.Completed, ran.Outcome)
        whole (temp.File "kept")
        Directory.GetFiles(temp.File "kept", "atoms-*") |> Array.exactlyOne
    // Names that differ let the old basis stand until the new one is whole.
    Assert.NotEqual<string>(files "3", files "4")

[<Fact>]
let ``what else lies in the folder stays`` () =
    use temp = new TempFolder()
    runOk temp.Path (heading + "tasks @basis(3, \"svd\") |> save(\"kept\")") |> ignore
    File.WriteAllText(temp.File "kept/notes.txt", "mine")
    File.Copy(baseFile, temp.File "kept/mine.safetensors")
    runOk temp.Path (heading + "tasks @basis(2, \"svd\") |> save(\"kept\")") |> ignore
    Assert.Equal("mine", File.ReadAllText(temp.File "kept/notes.txt"))
    sameBytes baseFile (temp.File "kept/mine.safetensors")
    Assert.Equal(4, (Directory.GetFiles(temp.File "kept")).Length)

let private stillThere (temp: TempFolder) (before: Map<string, byte[]>) =
    Assert.Equal<Map<string, byte[]>>(before, contents (temp.File "kept"))
    Assert.Equal(3.0, number temp.Path (onlyBase + "size(atoms(family(\"kept\", base)))"))

[<Fact>]
let ``a run that fails leaves the basis that was there`` () =
    use temp = new TempFolder()
    runOk temp.Path (heading + "tasks @basis(3, \"svd\") |> save(\"kept\", dtype = \"int8\")") |> ignore
    let before = contents (temp.File "kept")
    for dtype in [ "f32"; "int8" ] do
        let ran = runWith (optionsOf uncached) temp.Path (heading + $"tasks @basis(4, \"pca\") |> save(\"kept\", dtype = \"{dtype}\")\nassert norm(tasks.digits) > 1000, \"too short\"")
        Assert.True(ran.Outcome.Value.IsAssertionFailed)
        stillThere temp before
        // Nothing of a new basis either, where none was.
        let ran = runWith (optionsOf uncached) temp.Path (heading + $"tasks @basis(4, \"pca\") |> save(\"new\", dtype = \"{dtype}\")\nassert norm(tasks.digits) > 1000")
        Assert.True(ran.Outcome.Value.IsAssertionFailed)
        Assert.False(Directory.Exists(temp.File "new") && Directory.EnumerateFileSystemEntries(temp.File "new") |> Seq.isEmpty |> not)
    // The very same basis, and at the last moment: when basis.json can't be written.
    for definition in [ "tasks @basis(3, \"svd\")"; "tasks @basis(4, \"pca\")" ] do
        Directory.CreateDirectory(temp.File "kept/basis.json.partial") |> ignore
        let e = Assert.Throws<FaultException>(fun () -> runOk temp.Path (heading + $"{definition} |> save(\"kept\", dtype = \"int8\")") |> ignore)
        Assert.Contains("basis.json: can't be written", e.Message)
        Directory.Delete(temp.File "kept/basis.json.partial")
        stillThere temp before

let private shell (command: string) =
    use p = Unchecked.nonNull (Process.Start(ProcessStartInfo("/bin/sh", [ "-c"; command ], RedirectStandardError = true)))
    p.WaitForExit()
    p.ExitCode

[<Fact>]
let ``a disk that fills up at any point leaves the basis that was there`` () =
    Assert.SkipWhen(OperatingSystem.IsWindows(), "mounts are a Unix matter")
    use temp = new TempFolder()
    let disk = temp.File "disk"
    Directory.CreateDirectory disk |> ignore
    Assert.SkipWhen((shell $"mount -t tmpfs -o size=4M tmpfs '{disk}'" <> 0), "mounting a small disk takes rights that are missing here")
    try
        runOk disk (heading + "tasks @basis(3, \"svd\") |> save(\"kept\", dtype = \"int8\")") |> ignore
        let before = contents (Path.Combine(disk, "kept"))
        let used = before |> Map.toSeq |> Seq.sumBy (fun (_, bytes) -> (bytes.Length + 4095) / 4096 * 4096)
        let save () =
            try
                runOk disk (heading + "tasks @basis(2, \"pca\") |> save(\"kept\", dtype = \"int8\")") |> ignore
                true
            with :? FaultException as e ->
                Assert.Contains("kept", e.Message)
                false
        // Room for less than the atoms, then a few pages more each time: for atoms, the mean, scales and basis.json in turn.
        let mutable failures = 0
        let mutable room = used + 4096
        while (shell $"mount -o remount,size={room} '{disk}'" |> ignore
               not (save ())) do
            failures <- failures + 1
            Assert.Equal<Map<string, byte[]>>(before, contents (Path.Combine(disk, "kept")))
            Assert.Equal(3.0, number disk (onlyBase + "size(atoms(family(\"kept\", base)))"))
            room <- room + (if failures < 3 then 300_000 else 12_288)
        Assert.InRange(failures, 4, 200)
        whole (Path.Combine(disk, "kept"))
        Assert.Equal(2.0, number disk (onlyBase + "size(atoms(family(\"kept\", base)))"))
    finally
        shell $"umount '{disk}'" |> ignore

[<Fact>]
let ``a basis over another base is told`` () =
    use temp = new TempFolder()
    runOk temp.Path (heading + "tasks @basis(2, \"svd\") |> save(\"kept\")") |> ignore
    let other = taskFile "digits"
    match findings temp.Path $"base = model(\"{other}\")\nb = family(\"kept\", base)\nprint(norm(sum(b)))" with
    | [ code, message ] ->
        Assert.Equal("TVA0515", code)
        Assert.Contains("kept is a basis over another model than", message)
    | other -> Assert.Fail $"{other}"
    // The same base elsewhere is the same.
    File.Copy(baseFile, temp.File "moved.safetensors")
    Assert.Empty(findings temp.Path "base = model(\"moved.safetensors\")\nb = family(\"kept\", base)\nprint(norm(sum(b)))")

[<Fact>]
let ``a basis read is not saved over itself`` () =
    use temp = new TempFolder()
    runOk temp.Path (heading + "tasks @basis(2, \"svd\") |> save(\"kept\")") |> ignore
    let before = contents (temp.File "kept")
    Assert.NotEmpty(findings temp.Path (onlyBase + "b = family(\"kept\", base)\nb |> save(\"kept\")"))
    Assert.Equal<Map<string, byte[]>>(before, contents (temp.File "kept"))

/// Checks and runs a text; whether it ended in any way that a user may be told of.
let private survives folder text what =
    try
        runWith (optionsOf uncached) folder text |> ignore
    with
    | :? FaultException -> ()
    | e -> Assert.Fail $"{what}: {e}"

[<Fact>]
let ``whatever basis.json holds, there is an answer`` () =
    use temp = new TempFolder()
    File.Copy(baseFile, temp.File "base.safetensors")
    let few = $"base = model(\"{baseFile}\")\nt = family({{ a: \"{taskFile names[0]}\", b: \"{taskFile names[1]}\", c: \"{taskFile names[2]}\" }}, base)\n"
    runOk temp.Path (few + "t @basis(2, \"pca\", by = \"layer\") |> save(\"kept\", dtype = \"int8\")") |> ignore
    let file = temp.File "kept/basis.json"
    let whole = File.ReadAllText file
    let text = onlyBase + $"b = family(\"kept\", base)\nb\nerrors(b)\ncoefficients(b)\nr = refine(b, delta(\"{taskFile names[3]}\", base))\nerrors(r)\nerrors(extend(b, delta(\"{taskFile names[3]}\", base)))\nprint(norm(b))"
    survives temp.Path text "whole"
    let pieces = [| "null"; "0"; "-1"; "1e999"; "1e308"; "-1e308"; "1e-320"; "\"\""; "[]"; "{}"; "["; "}"; "\\ud800"; "\"layer 9\""; "\"..\""; "1e155" |]
    let random = Random 11
    // Numbers and texts within the file, each replaced by something that is none or too much of one.
    let places = RegularExpressions.Regex.Matches(whole, "-?[0-9][0-9.eE+-]*|\"[^\"]*\"|null") |> Seq.map (fun m -> m.Index, m.Length) |> Array.ofSeq
    for round in 1..250 do
        let mutable damaged = whole
        let at, length = places[random.Next places.Length]
        damaged <- damaged.Remove(at, length).Insert(at, pieces[random.Next pieces.Length])
        if round % 3 = 0 then
            damaged <- damaged.Remove(random.Next damaged.Length, 1)
        File.WriteAllText(file, damaged)
        survives temp.Path text $"round {round}: {damaged.Substring(max 0 (at - 60), min 200 (damaged.Length - max 0 (at - 60)))}"

[<Fact>]
let ``damage is told where the folder is named`` () =
    use temp = new TempFolder()
    runOk temp.Path (heading + "tasks @basis(2, \"svd\") |> save(\"kept\")") |> ignore
    let atoms = Directory.GetFiles(temp.File "kept", "atoms-*") |> Array.exactlyOne
    let text = onlyBase + "b = family(\"kept\", base)\nprint(norm(sum(b)))"
    let whole = File.ReadAllBytes atoms
    let changed = Array.copy whole
    changed[changed.Length - 1] <- changed[changed.Length - 1] ^^^ 1uy
    let told (what: string) =
        match findings temp.Path text with
        | [ _, message ] -> Assert.Contains(what, message)
        | other -> Assert.Fail $"{other}"
    File.WriteAllBytes(atoms, changed)
    told "has changed since basis.json was written"
    File.WriteAllBytes(atoms, whole.AsSpan(0, whole.Length / 2).ToArray())
    told (string (Path.GetFileName atoms))
    File.Delete atoms
    told "which is missing"

// Folders of the published code.

let private tvb = Path.Combine(golden, "tvb")

let published =
    [ for folder in [ "ae_softmax"; "ae_linear"; "pca"; "random_projection"; "random_sample" ] do
          for origin in [ "zeroshot.pt"; "zeroshot.safetensors" ] -> [| box folder; box origin |] ]

let private within (expected: string) (actual: string) =
    let want, got = read expected, read actual
    Assert.Equal<string list>(want.Keys |> List.ofSeq, got.Keys |> List.ofSeq)
    for KeyValue(name, values) in want do
        let tolerance = 1e-5 * (values |> Array.map abs |> Array.max)
        Array.iter2 (fun (w: float) g -> Assert.InRange(g, w - tolerance, w + tolerance)) values got[name]

[<Theory>]
[<MemberData(nameof published)>]
let ``a published folder gives what its code recovers`` (folder: string) (origin: string) =
    use temp = new TempFolder()
    let text = $"base = model(\"{tvb}/{origin}\")\nb = family(\"{tvb}/{folder}\", base)\n"
    let expected = Directory.GetFiles(Path.Combine(tvb, folder), "recovered_*.expected.safetensors")
    let name (file: string) = (string (Path.GetFileName file)).Replace("recovered_", "").Replace(".expected.safetensors", "")
    let saves = [ for f in expected -> $"b.{name f} |> save(\"{name f}.safetensors\")" ]
    let models = [ for f in expected -> $"base + b.{name f} |> save(\"model-{name f}.safetensors\")" ]
    let ran = runOk temp.Path (text + String.Join("\n", saves @ models) + "\nerrors(b)\nsum(atoms(b)) |> save(\"sum.safetensors\")")
    Assert.Equal((if folder = "random_sample" then 0 else 6), expected.Length)
    let origin = read (Path.Combine(tvb, "zeroshot.safetensors"))
    for f in expected do
        within f (temp.File $"{name f}.safetensors")
        let sum = zip (+) origin (read f)
        near sum (read (temp.File $"model-{name f}.safetensors")) (1e-6 * largest sum + 1e-5 * largest (read f))
    within (Path.Combine(tvb, folder, "sum_of_basis.expected.safetensors")) (temp.File "sum.safetensors")
    // Such folders say nothing of errors.
    let t = List.head (tables ran)
    Assert.True(t.Rows |> List.forall (snd >> List.forall Double.IsNaN))

[<Fact>]
let ``a published folder saved becomes one of ours`` () =
    use temp = new TempFolder()
    let b = $"base = model(\"{tvb}/zeroshot.safetensors\")\n"
    runOk temp.Path (b + $"family(\"{tvb}/pca\", base) |> save(\"kept\")") |> ignore
    runOk temp.Path (b + "b = family(\"kept\", base)\nb.TaskC |> save(\"c.safetensors\")") |> ignore
    within (Path.Combine(tvb, "pca", "recovered_TaskC.expected.safetensors")) (temp.File "c.safetensors")
