/// `tva verify`: what is as it was, what isn't, and where.
module Tva.Tests.VerifyTests

open System.IO
open System.Text.Json
open Xunit

let private zoo = Repository.path "examples/zoo"

/// A folder with two inputs and what was made of them, in shards under `out`.
let private made () =
    let temp = new TempFolder()
    File.Copy(Path.Combine(zoo, "base.safetensors"), temp.File "base.safetensors")
    File.Copy(Path.Combine(zoo, "tasks/digits.safetensors"), temp.File "digits.safetensors")
    temp.Write("merge.tva", "param k = 0.25\nbase = model(\"base.safetensors\")\nA = model(\"digits.safetensors\") - base\nbase + k * trim(A, 0.5) |> save(\"out/m\", shard = \"100KB\", dtype = { \"*.ln_*\": \"f32\", else: \"bf16\" })") |> ignore
    let ran = Command.runIn temp.Path "" [ "run"; "merge.tva"; "--set"; "k=0.75" ]
    Assert.Equal(0, ran.Status)
    temp

let private verify (temp: TempFolder) (options: string list) = Command.runIn temp.Path "" ([ "verify"; "out/m" ] @ options)

[<Fact>]
let ``an output as it was made`` () =
    use temp = made ()
    let ran = verify temp [ "--deep" ]
    Assert.Equal("", ran.Error)
    Assert.Equal(0, ran.Status)
    let lines = ran.Out.TrimEnd().Split '\n'
    Assert.StartsWith("structure: 3 files, 54 tensors, ", lines[0])
    Assert.Equal("contents: 54 of 54 tensors are as they were written", lines[1])
    Assert.Contains("input: digits.safetensors: as it was", lines)
    Assert.Contains("computed anew: 54 tensors, ", lines[lines.Length - 2])
    Assert.Equal("ok", Array.last lines)
    // From wherever it is asked.
    let elsewhere = Command.runIn zoo "" [ "verify"; temp.File "out/m"; "--deep"; "--json" ]
    Assert.Equal(0, elsewhere.Status)
    use json = JsonDocument.Parse(elsewhere.Out.TrimEnd().Split '\n' |> Array.last)
    Assert.Equal("same", json.RootElement.GetProperty("inputs").GetProperty("base.safetensors").GetString())
    Assert.Equal(54, json.RootElement.GetProperty("deep").GetProperty("tensors").GetInt32())

[<Fact>]
let ``a bit, an input, a file`` () =
    use temp = made ()
    let flip (path: string) =
        let bytes = File.ReadAllBytes path
        bytes[bytes.Length - 3] <- bytes[bytes.Length - 3] ^^^ 4uy
        File.WriteAllBytes(path, bytes)
    let shard = temp.File "out/m/model-00002-of-00003.safetensors"
    flip shard
    let damaged = verify temp []
    Assert.Equal(1, damaged.Status)
    Assert.Contains("contents: 53 of 54 tensors are as they were written", damaged.Out)
    Assert.Contains($"wrong: {shard}: tensor ", damaged.Out)
    // Both looks find it.
    Assert.Contains("computed anew it differs from byte", (verify temp [ "--deep" ]).Out)
    flip shard
    Assert.Equal(0, (verify temp []).Status)
    File.Delete(temp.File "out/m/README.md")
    Assert.Contains("README.md was written with it and is gone", (verify temp []).Out)
    File.WriteAllText(temp.File "out/m/README.md", "")
    flip (temp.File "digits.safetensors")
    let changed = verify temp [ "--deep" ]
    Assert.Equal(1, changed.Status)
    Assert.Contains("input: digits.safetensors: has changed", changed.Out)
    Assert.Contains("it can't be computed anew: its inputs are not what they were", changed.Out)
    File.Delete(temp.File "digits.safetensors")
    let missing = verify temp []
    Assert.Equal(0, missing.Status)
    Assert.Contains("input: digits.safetensors: is not to be found", missing.Out)
    File.Delete shard
    let gone = verify temp []
    Assert.Equal(1, gone.Status)
    Assert.Contains("1 of its 3 shards are missing", gone.Error)

[<Fact>]
let ``what other programs wrote`` () =
    let ran = Command.run [ "verify"; "examples/zoo/base.safetensors" ]
    Assert.Equal(0, ran.Status)
    Assert.Contains("contents: nothing is recorded of the tensors", ran.Out)
    Assert.Contains("inputs: none are named", ran.Out)
    Assert.Equal(1, (Command.run [ "verify"; "examples/zoo/base.safetensors"; "--deep" ]).Status)
    Assert.Equal(2, (Command.run [ "run"; "examples/quickstart.tva"; "--deep" ]).Status)
