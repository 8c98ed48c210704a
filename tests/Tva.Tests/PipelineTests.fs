/// The command between other commands: one JSON document for a run, and the Makefile of examples/pipeline.
module Tva.Tests.PipelineTests

open System
open System.Diagnostics
open System.IO
open System.Text.Json
open Tva
open Xunit

let private document (ran: Ran) =
    let text = Assert.Single(ran.Out.Split('\n', StringSplitOptions.RemoveEmptyEntries))
    JsonDocument.Parse(text).RootElement

let private length (e: JsonElement) (name: string) = e.GetProperty(name).GetArrayLength()

[<Fact>]
let ``a run from the standard input is one document`` () =
    use temp = new TempFolder()
    let zoo = Repository.path "examples/zoo"
    let text = $"b = model(\"{zoo}/base.safetensors\")\nprint(\"size\", numel(raw(b)))\n1 / 4\nb |> save(\"out.safetensors\")"
    let ran = Command.runIn temp.Path text [ "run"; "-"; "--json" ]
    Assert.Equal((0, ""), (ran.Status, ran.Error))
    let d = document ran
    Assert.Equal(0, d.GetProperty("status").GetInt32())
    let results = d.GetProperty "results"
    Assert.Equal(2, results.GetArrayLength())
    Assert.Equal(136256.0, results[0].GetProperty("items").[1].GetProperty("value").GetDouble())
    Assert.Equal("1 / 4", results[1].GetProperty("expression").GetString())
    Assert.Equal(0.25, results[1].GetProperty("items").[0].GetProperty("value").GetDouble())
    Assert.Equal(temp.File "out.safetensors", d.GetProperty("files").[0].GetProperty("path").GetString())
    Assert.Equal(JsonValueKind.Null, d.GetProperty("failure").ValueKind)
    Assert.Equal(0, length d "diagnostics")

[<Theory>]
[<InlineData("print(1)\nassert 1 > 2, \"no\"", 3, "assert")>]
[<InlineData("print(1)\nx = y", 2, "")>]
[<InlineData("model(\"nowhere.safetensors\")", 1, "")>]
let ``how a run fails is in the document and the status`` (text: string, status: int, failure: string) =
    let ran = Command.runIn Repository.root text [ "run"; "-"; "--json" ]
    Assert.Equal(status, ran.Status)
    let d = document ran
    Assert.Equal(status, d.GetProperty("status").GetInt32())
    if failure = "" then Assert.True(length d "diagnostics" > 0)
    else Assert.Equal(failure, d.GetProperty("failure").GetProperty("event").GetString())

[<Fact>]
let ``plans and lists of functions are documents too`` () =
    let zoo = Repository.path "examples/zoo"
    let plan = document (Command.runIn zoo "model(\"base.safetensors\") |> save(\"x.safetensors\")" [ "plan"; "-"; "--json" ])
    Assert.Equal(1, length plan "results")
    let ops = document (Command.run [ "ops"; "norm"; "--json" ])
    Assert.Equal("norm", ops.GetProperty("results").[0].GetProperty("name").GetString())

/// What `make` does where there is none: the recipes of a Makefile whose targets stand after what uses them, last first.
let private recipes (makefile: string) =
    let groups = ResizeArray<ResizeArray<string>>()
    for line in File.ReadAllLines makefile do
        if line.StartsWith '\t' then groups[groups.Count - 1].Add(line.Trim())
        elif line.Contains ": " && not (line.StartsWith '#') then groups.Add(ResizeArray())
    groups |> Seq.rev |> Seq.concat |> List.ofSeq

[<Fact>]
let ``the pipeline of the examples is made, and a failed assertion stops it`` () =
    Assert.SkipWhen(OperatingSystem.IsWindows(), "a Makefile's recipes are for a Unix shell")
    use temp = new TempFolder()
    let copy (relative: string) =
        let target = temp.File relative
        Directory.CreateDirectory(Path.GetDirectoryName target |> Unchecked.nonNull) |> ignore
        File.Copy(Repository.path ("examples/" + relative), target)
    for file in Directory.GetFiles(Repository.path "examples/zoo/tasks", "*.safetensors") do
        copy ("zoo/tasks/" + string (Path.GetFileName file))
    List.iter copy [ "zoo/base.safetensors"; "pipeline/Makefile"; "pipeline/merge.tva"; "pipeline/check.tva" ]
    let hasMake = (string (Environment.GetEnvironmentVariable "PATH")).Split(':') |> Array.exists (fun d -> File.Exists(Path.Combine(d, "make")))
    let make () =
        let command =
            if hasMake then $"make TVA='{Command.executable}'"
            else String.Join(" && ", recipes (temp.File "pipeline/Makefile") |> List.map _.Replace("$(TVA)", $"'{Command.executable}'"))
        let info = ProcessStartInfo("/bin/sh", [ "-c"; command ], WorkingDirectory = temp.File "pipeline", RedirectStandardOutput = true, RedirectStandardError = true)
        use p = new Process(StartInfo = info)
        Assert.True(p.Start())
        Command.finish p
    let made = make ()
    Assert.True((made.Status = 0), made.Out + made.Error)
    use report = JsonDocument.Parse(File.ReadAllText(temp.File "pipeline/out/report.json"))
    let step = report.RootElement.GetProperty("results").[0].GetProperty("items").[1].GetProperty("value").GetDouble()
    Assert.InRange(step, 0.001, 0.2)
    Assert.Equal(0, report.RootElement.GetProperty("status").GetInt32())
    if hasMake then
        Assert.DoesNotContain("merge.tva", (make ()).Out)
    File.Delete(temp.File "pipeline/out/report.json")
    File.WriteAllText(temp.File "pipeline/check.tva", File.ReadAllText(temp.File "pipeline/check.tva").Replace("most = 0.2", "most = 0.0001"))
    let failed = make ()
    Assert.NotEqual(0, failed.Status)
    if hasMake then
        Assert.Contains("Error 3", failed.Error)
    Assert.False(File.Exists(temp.File "pipeline/out/report.json"))
