/// What the examples, the README and the functions' own examples promise, run as written.
module Tva.Tests.ExampleTests

open System
open System.Globalization
open System.IO
open System.Text.Json
open Tva
open Xunit

// The scripts write to examples/out and start the zoo's evaluator, which uses every core: one after the other.
[<CollectionDefinition("scripts", DisableParallelization = true)>]
type Scripts() = class end

let private examples = Repository.path "examples"

[<Collection("scripts")>]
type ScriptTests() =

    static member All() =
        let data = TheoryData<string>()
        for file in Directory.EnumerateFiles(examples, "*.tva") do
            data.Add(Path.GetFileName file |> Unchecked.nonNull)
        data

    [<Theory>]
    [<MemberData("All")>]
    member _.``every script runs as written``(name: string) =
        let ran = Command.run [ "run"; "examples/" + name; "--allow-run" ]
        Assert.True((ran.Status = 0), ran.Error)

    /// With a coarse grid of λ: the whole takes half an hour.
    [<Fact>]
    member _.``the tables of bases come out, and full task arithmetic is what PyTorch measured``() =
        // Built once, and started without the SDK's look at what is to be built.
        let built = Path.GetRelativePath(Path.Combine(Repository.path "tests", "Tva.Tests"), AppContext.BaseDirectory)
        let evaluator = Path.Combine(examples, "zoo/evaluator", built, "Zoo.Evaluator.dll")
        Assert.True(File.Exists evaluator, "built with the solution")
        let set = [ "step=0.3"; "negation_step=1"; $"validate=dotnet {evaluator} {{models}} --split val"; $"measure=dotnet {evaluator} {{models}} --split test" ]
        let ran = Command.run ([ "run"; "examples/zoo/tables.tva"; "--allow-run" ] @ (set |> List.collect (fun s -> [ "--set"; s ])))
        Assert.True((ran.Status = 0), ran.Error)
        let rows (title: string) =
            [ for line in ran.Out.Split '\n' do
                  if line.StartsWith title then
                      [ for cell in line.Substring(line.IndexOf '[').Split([| '['; ']'; ','; ' ' |], StringSplitOptions.RemoveEmptyEntries) ->
                            Double.Parse(cell, CultureInfo.InvariantCulture) ] ]
        use results = JsonDocument.Parse(File.ReadAllText(Path.Combine(examples, "zoo/results.json")))
        let measured (group: string) = [ for p in results.RootElement.GetProperty(group).EnumerateObject() -> p.Value.GetDouble() ]
        let addition = results.RootElement.GetProperty("addition").GetProperty "task_arithmetic"
        // Two images of a task's 512.
        let near (expected: float) (actual: float) = Assert.Equal(expected, actual, 2.0 / 512.0)
        let full = (rows "task arithmetic").Head
        near (addition.GetProperty("avg").GetDouble()) full[0]
        near (addition.GetProperty("normalized").GetDouble()) full[1]
        near 0.3 full[2]
        near (List.average (measured "zero_shot")) (rows "zero-shot").Head.Head
        near (List.average (measured "fine_tuned")) (rows "fine-tuned").Head.Head
        let methods = [ "sample"; "random"; "cluster"; "pca"; "svd"; "ae-linear"; "ae" ]
        for m in methods do
            // Addition at M = 4 and 2, six numbers each, then negation, two each; accuracies and λ are shares.
            let of' = rows (m.PadRight 10 + "M")
            Assert.Equal<int list>([ 6; 6; 2; 2 ], of' |> List.map List.length)
            Assert.All(List.concat of', fun v -> Assert.InRange(v, 0.0, 1.2))
        let forgotten = (rows "full vectors").Head
        Assert.True(forgotten[0] < (rows "zero-shot").Head.Head, "negation lowers the target's accuracy")

    /// A part of what examples/zoo/README.md tells of all pairs.
    [<Fact>]
    member _.``advice is held against what the evaluator measures``() =
        let program = Repository.path $"examples/zoo/advice/bin/{Command.configuration}/net10.0/Zoo.Advice.dll"
        let start = Diagnostics.ProcessStartInfo("dotnet", [ program; "--tasks"; "digits,position"; "--step"; "2"; "--images"; "8" ], RedirectStandardOutput = true, RedirectStandardError = true)
        use p = new Diagnostics.Process(StartInfo = start)
        p.Start() |> ignore
        let ran = Command.finish p
        Assert.True((ran.Status = 0), ran.Error)
        let rows = [ for line in ran.Out.Split '\n' do if line.StartsWith "digits, position " then line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[2..] ]
        let byCosine, byOutputs = rows[0], rows[1]
        let number (text: string) = Double.Parse(text, CultureInfo.InvariantCulture)
        use results = JsonDocument.Parse(File.ReadAllText(Path.Combine(examples, "zoo/results.json")))
        let tasks = [ for t in results.RootElement.GetProperty("fine_tuned").EnumerateObject() -> t.Name ]
        let place task = tasks |> List.findIndex ((=) task)
        let cosine = results.RootElement.GetProperty("cosine").Item(place "digits").Item(place "position").GetDouble()
        Assert.Equal(cosine, number byCosine[0], 6e-4)
        // What the language and the evaluator make of the model that is advised, for the proxy and for the estimate.
        for row, l in [ byCosine, 1.05; byOutputs, 1.0 - number byOutputs[0] + 0.05 ] do
            Assert.Equal(l, number row[1], 6e-3)
            let text = $"base = model(\"zoo/base.safetensors\"); t = family(\"zoo/tasks/*.safetensors\", base); m = evaluate(base + t.digits + {number row[1]} * t.position, \"dotnet run --no-build -c {Command.configuration} --project zoo/evaluator -- {{model}} --split val\"); print(m.digits); print(m.position)"
            let measured = Command.runIn examples "" [ "eval"; text; "--allow-run" ]
            Assert.True((measured.Status = 0), measured.Error)
            let accuracies = measured.Out.Split('\n', StringSplitOptions.RemoveEmptyEntries) |> Array.map number
            // One image of a task's 256, since λ is told to two digits.
            Assert.Equal(accuracies[0], number row[2], 1.5 / 256.0)
            Assert.Equal(accuracies[1], number row[3], 1.5 / 256.0)
        Assert.Contains("adding: the recommended λ does it for 2 of 2", ran.Out)

    [<Fact>]
    member _.``the quickstart's accuracies are the ones PyTorch measured``() =
        let ran = Command.run [ "run"; "examples/quickstart.tva"; "--allow-run" ]
        Assert.True((ran.Status = 0), ran.Error)
        let accuracies =
            ran.Out.Split('\n', StringSplitOptions.RemoveEmptyEntries)
            |> Array.map (fun line -> Double.Parse(Array.last (line.Split ' '), CultureInfo.InvariantCulture))
        Assert.Equal(8, accuracies.Length)
        use results = JsonDocument.Parse(File.ReadAllText(Path.Combine(examples, "zoo/results.json")))
        let expected = results.RootElement.GetProperty("addition").GetProperty("task_arithmetic").GetProperty("avg").GetDouble()
        // Two images of a task's 512.
        Assert.Equal(expected, Array.average accuracies, 2.0 / 512.0)
        Assert.True(File.Exists(Path.Combine(examples, "out/merged.safetensors")))

let functions () =
    let data = TheoryData<string, string>()
    for e in Tva.Dsl.Help.statements @ Tva.Dsl.Help.entries.Value do
        if e.Example <> "" then
            data.Add(e.Name, e.Example)
    data

[<Theory>]
[<MemberData(nameof functions)>]
let ``a function's example runs`` (name: string, example: string) =
    Assert.Contains(name, example)
    let ran = Command.runIn examples "" [ "eval"; example ]
    Assert.True((ran.Status = 0), ran.Error)
    // What is saved is told there; there is nothing else to tell.
    Assert.DoesNotContain("warning", ran.Error)

[<Fact>]
let ``every function of the prelude has an example`` () =
    for e in Tva.Dsl.Help.entries.Value do
        if e.Derived then
            Assert.True((e.Example <> ""), e.Name)

[<Fact>]
let ``the README's commands and scripts exist`` () =
    let readme = File.ReadAllText(Repository.path "README.md")
    Assert.Contains("\ndotnet run -c Release --project repl/Tva -- run examples/quickstart.tva --allow-run\n", readme)
    Assert.Contains("\ndotnet test --solution Dsl.sln -c Release\n", readme)
    Assert.True(File.Exists(Repository.path "repl/Tva/Tva.fsproj"))
    for file in Directory.EnumerateFiles(examples, "*.tva") do
        let name = Path.GetFileName file
        Assert.Contains($"[{name}](examples/{name})", readme)

[<Fact>]
let ``the README's language by example is right`` () =
    let readme = File.ReadAllText(Repository.path "README.md")
    let section = readme.Substring(readme.IndexOf "## The language by example")
    let start = section.IndexOf "```\n" + 4
    let text = section.Substring(start, section.IndexOf("\n```", start) - start)
    let ran = Command.runIn examples "" [ "eval"; text; "--dry-run" ]
    Assert.True((ran.Status = 0), ran.Error)

[<Fact>]
let ``the README's scripts on bases, merges and advice run as written`` () =
    let readme = File.ReadAllText(Repository.path "README.md")
    let blocks (title: string) = (readme.Substring(readme.IndexOf title)).Split "```"
    let bases, merges, advice = blocks "## Task vector bases", blocks "## Merges and matrices", blocks "## When it should work"
    let folder = Directory.CreateTempSubdirectory("tva-readme-").FullName
    try
        Directory.CreateDirectory(Path.Combine(folder, "zoo/tasks")) |> ignore
        for file in Directory.EnumerateFiles(Path.Combine(examples, "zoo"), "*.safetensors", SearchOption.AllDirectories) do
            let name = Path.GetRelativePath(examples, file)
            if name.Contains "tasks" || name.Contains "base" then
                File.Copy(file, Path.Combine(folder, name))
        let given = "base = model(\"zoo/base.safetensors\")\ntasks = family(\"zoo/tasks/*.safetensors\", base)\n"
        for text in [ given + bases[1]; bases[3]; given + merges[1]; given + advice[1] + advice[3] ] do
            let ran = Command.runIn folder "" [ "eval"; text ]
            Assert.True((ran.Status = 0), ran.Error)
        for file in [ "twisted.safetensors"; "conflicts.svg"; "report.html" ] do
            Assert.True(File.Exists(Path.Combine(folder, "out", file)), file)
    finally
        Directory.Delete(folder, true)

[<Fact>]
let ``the README's import of a mergekit configuration runs as written and makes the script it shows`` () =
    let readme = File.ReadAllText(Repository.path "README.md")
    let section = readme.Substring(readme.IndexOf "## Coming from mergekit")
    let blocks = section.Split "```"
    use temp = new TempFolder()
    for file in Directory.EnumerateFiles(Path.Combine(examples, "zoo"), "*.safetensors", SearchOption.AllDirectories) do
        let copy = temp.File(Path.Combine("examples/zoo", Path.GetRelativePath(Path.Combine(examples, "zoo"), file)))
        Directory.CreateDirectory(Path.GetDirectoryName copy |> Unchecked.nonNull) |> ignore
        File.Copy(file, copy)
    File.Copy(Path.Combine(examples, "mergekit.yml"), temp.File "examples/mergekit.yml")
    for line in blocks[1].Split('\n', StringSplitOptions.RemoveEmptyEntries) do
        let words = line.Split ' ' |> List.ofArray
        Assert.Equal("tva", words.Head)
        let ran = Command.runIn temp.Path "" words.Tail
        Assert.True((ran.Status = 0), ran.Error)
    Assert.Equal(blocks[3].Trim('\n') + "\n", File.ReadAllText(temp.File "examples/out/mergekit.tva"))
    Assert.True(File.Exists(temp.File "examples/out/mergekit.safetensors"))
