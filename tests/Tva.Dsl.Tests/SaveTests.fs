/// What `save` writes: folders of shards, types by rule, what goes beside the tensors; and what of an output is taken over.
module Tva.Dsl.Tests.SaveTests

open System
open System.IO
open System.Text.Json
open Tva.Core.Checkpoints
open Tva.Core.Tensors
open Tva.Dsl
open Tva.Dsl.Tests.Scripts
open Xunit

/// A folder with the zoo's base as a folder of its own, its tasks, and a configuration and a tokenizer beside the base.
let private zoo () =
    let temp = new TempFolder()
    let from = Path.Combine(examples, "zoo")
    Directory.CreateDirectory(temp.File "base") |> ignore
    Directory.CreateDirectory(temp.File "tasks") |> ignore
    File.Copy(Path.Combine(from, "base.safetensors"), temp.File "base/model.safetensors")
    for name in [ "digits"; "letters"; "shapes" ] do
        File.Copy(Path.Combine(from, "tasks", name + ".safetensors"), temp.File $"tasks/{name}.safetensors")
    File.WriteAllText(temp.File "base/config.json", """{"num_hidden_layers": 4, "torch_dtype": "float32"}""")
    File.WriteAllText(temp.File "base/tokenizer.json", "{}")
    temp

let private load = "base = model(\"base\")\ntasks = family(\"tasks/*\", base)\n"

let private ok (ran: Ran) =
    Assert.Empty ran.Diagnostics
    Assert.Equal(Some Outcome.Completed, ran.Outcome)
    ran.Events

let private notes events = events |> List.choose (function Event.Noted n -> Some n | _ -> None)

let private code (temp: TempFolder) text =
    let ran = run temp.Path (load + text)
    Assert.Equal(None, ran.Outcome)
    ran.Diagnostics |> List.map _.Code

[<Fact>]
let ``shards and one file hold the same tensors bit for bit`` () =
    use temp = zoo ()
    run temp.Path (load + "m = base + 0.3 * ties(tasks, 0.3)\nm |> save(\"one.safetensors\")\nm |> save(\"many\", shard = \"100KB\")\nm |> save(\"folder/\")")
    |> ok |> ignore
    let one = Written.bytesOf (temp.File "one.safetensors")
    Assert.Equal(54, one.Count)
    Assert.Equal<Map<_, _>>(one, Written.bytesOf (temp.File "many"))
    Assert.Equal<Map<_, _>>(one, Written.bytesOf (temp.File "folder"))
    Assert.InRange(Directory.GetFiles(temp.File "many", "model-*-of-*.safetensors").Length, 6, 9)
    Assert.True(File.Exists(temp.File "folder/model.safetensors"))
    use index = JsonDocument.Parse(File.ReadAllText(temp.File "many/model.safetensors.index.json"))
    Assert.Equal(136256L * 4L, index.RootElement.GetProperty("metadata").GetProperty("total_size").GetInt64())

[<Fact>]
let ``what goes beside the tensors`` () =
    use temp = zoo ()
    run temp.Path (load + "base + 0.3 * tasks.digits |> save(\"m\", dtype = \"bf16\")\n0.3 * tasks.digits |> save(\"d\")\nstack(base[layers(0..1)], base[layers(0..3)]) |> save(\"tall\")")
    |> ok |> ignore
    let names folder = Directory.GetFiles(temp.File folder) |> Array.map (Path.GetFileName >> string) |> Array.sort
    Assert.Equal<string[]>([| "README.md"; "config.json"; "model.safetensors"; "tokenizer.json" |], names "m")
    use config = JsonDocument.Parse(File.ReadAllText(temp.File "m/config.json"))
    Assert.Equal("bfloat16", config.RootElement.GetProperty("torch_dtype").GetString())
    let card = File.ReadAllText(temp.File "m/README.md")
    Assert.Contains("base + 0.3 * tasks.digits", card)
    Assert.Contains("`tasks/digits.safetensors`", card)
    // A folder that looked like a model would be loaded as one.
    Assert.Equal<string[]>([| "README.md"; "model.safetensors"; "tokenizer.json" |], names "d")
    use tall = JsonDocument.Parse(File.ReadAllText(temp.File "tall/config.json"))
    Assert.Equal(6, tall.RootElement.GetProperty("num_hidden_layers").GetInt32())

[<Fact>]
let ``the card's numbers are those of the stored tensors`` () =
    use temp = zoo ()
    run temp.Path (load + "base + 0.3 * tasks.digits |> save(\"m\", dtype = \"bf16\", shard = \"50KB\")") |> ok |> ignore
    let lines = File.ReadAllLines(temp.File "m/README.md")
    use c = Checkpoint.Open(temp.File "m")
    for t in c.Tensors do
        let bytes = Array.zeroCreate<byte> (int t.Bytes)
        c.Read(t, 0L, bytes)
        let values = [| for i in 0 .. bytes.Length / 2 - 1 -> float (BitConverter.UInt32BitsToSingle(uint32 (BitConverter.ToUInt16(bytes, 2 * i)) <<< 16)) |]
        let norm = sqrt (values |> Array.sumBy (fun x -> x * x))
        let row = lines |> Array.find (fun l -> l.StartsWith $"| `{t.Name}` |")
        let cells = row.Split '|' |> Array.map _.Trim()
        Assert.Equal(norm, float cells[4], norm * 1e-5)
        Assert.Equal(norm / sqrt (float values.Length), float cells[5], norm * 1e-5)
        Assert.Equal(values |> Array.map abs |> Array.max, float cells[6], 1e-5)

[<Fact>]
let ``types by rule`` () =
    use temp = zoo ()
    run temp.Path (load + "base |> save(\"r.safetensors\", dtype = { \"*.ln_*\": \"f32\", \"blocks.0.*\": \"f16\", else: \"bf16\" })\nbase |> save(\"k.safetensors\", dtype = { \"*.bias\": \"f16\" })")
    |> ok |> ignore
    use r = Checkpoint.Open(temp.File "r.safetensors")
    for t in r.Tensors do
        let expected = if t.Name.Contains ".ln_" then DType.F32 elif t.Name.StartsWith "blocks.0." then DType.F16 else DType.BF16
        Assert.Equal((t.Name, expected), (t.Name, t.DType))
    use k = Checkpoint.Open(temp.File "k.safetensors")
    for t in k.Tensors do
        Assert.Equal((t.Name, (if t.Name.EndsWith ".bias" then DType.F16 else DType.F32)), (t.Name, t.DType))

[<Fact>]
let ``a task vector in shards is read back as one`` () =
    use temp = zoo ()
    run temp.Path (load + "0.5 * tasks.digits |> save(\"d\", shard = \"100KB\")") |> ok |> ignore
    Assert.Equal(number temp.Path (load + "norm(0.5 * tasks.digits)"), number temp.Path "base = model(\"base\")\nnorm(delta(\"d\", base))", 1e-6)
    // As a model it would be a model of small numbers.
    let ran = run temp.Path "norm(raw(model(\"d\")))"
    Assert.Equal<string list>([ "TVA0525" ], ran.Diagnostics |> List.map _.Code)
    use c = Checkpoint.Open(temp.File "d")
    Assert.Equal("delta", c.Metadata["tva.kind"])
    Assert.Equal("pt", c.Metadata["format"])

[<Fact>]
let ``what can't be saved so`` () =
    use temp = zoo ()
    let saves options = code temp $"base |> save({options})"
    Assert.Equal<string list>([ "TVA0512" ], saves "\"m.safetensors\", shard = \"1GB\"")
    Assert.Equal<string list>([ "TVA0512" ], saves "\"m\", shard = \"big\"")
    Assert.Equal<string list>([ "TVA0512" ], saves "\"m\", shard = \"0\"")
    for path in [ "m.pt"; "m.safetensor"; "m.bin"; "a/m.gguf" ] do
        Assert.Equal<string list>([ "TVA0512" ], saves $"\"{path}\"")
    Assert.Equal<string list>([ "TVA0505" ], saves "\"m\", dtype = { \"*\": \"f31\" }")
    Assert.Equal<string list>([ "TVA0510" ], saves "\"base\"")
    Assert.Equal<string list>([ "TVA0510" ], saves "\".\"")
    // Two models would be in that folder.
    Assert.Equal<string list>([ "TVA0510" ], saves "\"base/x.safetensors\"")
    Directory.CreateSymbolicLink(temp.File "link", temp.File "base") |> ignore
    Assert.Equal<string list>([ "TVA0510" ], saves "\"link/x.safetensors\"")
    run temp.Path (load + "base |> save(\"base/x\")") |> ok |> ignore
    Assert.Equal<string list>([ "TVA0511" ], code temp "base |> save(\"m\")\nbase |> save(\"m/x.safetensors\")")
    Directory.CreateDirectory(temp.File "mine") |> ignore
    File.WriteAllText(temp.File "mine/thesis.tex", "")
    Assert.Equal<string list>([ "TVA0514" ], saves "\"mine\"")
    Assert.True(File.Exists(temp.File "mine/thesis.tex"))
    let ran = run temp.Path (load + "base |> save(\"m\", dtype = { \"*norm*\": \"f32\", else: \"bf16\" })")
    Assert.Equal<string list>([ "TVA0506" ], ran.Diagnostics |> List.map _.Code)

let private incremental = { RunSettings.Default with Incremental = true }

let private again (temp: TempFolder) text = runWith (optionsOf incremental) temp.Path (load + text) |> ok

[<Theory>]
[<InlineData("\"m.safetensors\"")>]
[<InlineData("\"m\", shard = \"100KB\"")>]
let ``only what is computed otherwise is written again`` (where: string) =
    use temp = zoo ()
    let path = temp.File(where.Split('"')[1])
    let text (k: string) = $"k = {{ \"*.qkv.*\": {k}, else: 0.3 }}\nbase + k * ties(tasks, 0.3) |> save({where})"
    run temp.Path (load + text "0.3") |> ok |> ignore
    let first = Written.bytesOf path
    Assert.Contains("nothing was written", Assert.Single(notes (again temp (text "0.3"))))
    // Four blocks have a weight and a bias each.
    Assert.Contains("46 of 54 tensors are as they were", Assert.Single(notes (again temp (text "0.4"))))
    let second = Written.bytesOf path
    for name, content in Map.toSeq second do
        Assert.Equal((name, name.Contains ".qkv."), (name, content <> first[name]))
    // The same as from nothing.
    if File.Exists path then File.Delete path else Directory.Delete(path, true)
    run temp.Path (load + text "0.4") |> ok |> ignore
    Assert.Equal<Map<_, _>>(second, Written.bytesOf path)

[<Fact>]
let ``an input that changes is seen`` () =
    use temp = zoo ()
    let text = "base + 0.3 * tasks.digits + { \"*.qkv.*\": 0.1, else: 0 } * tasks.letters |> save(\"m.safetensors\")"
    again temp text |> ignore
    // Another file of the same shapes: all that reads it is written again, and nothing else.
    File.Copy(temp.File "tasks/shapes.safetensors", temp.File "tasks/letters.safetensors", true)
    Assert.Contains("46 of 54", Assert.Single(notes (again temp text)))
    Assert.Contains("nothing was written", Assert.Single(notes (again temp text)))
    // Touched: its samples say nothing of what lies between them.
    File.SetLastWriteTimeUtc(temp.File "tasks/digits.safetensors", DateTime.UtcNow.AddMinutes 1.0)
    Assert.Empty(notes (again temp text))

[<Fact>]
let ``numbers are printed whether or not anything is written`` () =
    use temp = zoo ()
    let text = "m = base + 0.3 * tasks.digits\nm |> save(\"m.safetensors\")\nnorm(raw(m))"
    let number events = events |> List.pick (function Event.Shown(_, [ Shown.Number v ]) -> Some v | _ -> None)
    Assert.Equal(number (again temp text), number (again temp text))

[<Fact>]
let ``a saved task vector is no model`` () =
    use temp = zoo ()
    ok (run temp.Path (load + "tasks.digits |> save(\"d.safetensors\")\ntasks.digits |> save(\"folder\")")) |> ignore
    for path in [ "d.safetensors"; "folder" ] do
        Assert.Equal("TVA0525", (Assert.Single (run temp.Path $"model(\"{path}\")").Diagnostics).Code)
    ok (run temp.Path (load + "assert norm(delta(\"folder\", base) - delta(\"d.safetensors\", base)) == 0, \"the same\"")) |> ignore

/// 1 and 2⁻⁹ are bf16, and their difference needs nine bits where bf16 has eight.
[<Fact>]
let ``a task vector that is rounded to the base's narrow type says so, once for each output`` () =
    use temp = new TempFolder()
    let small = 1.0 / 512.0
    Written.save (temp.File "base.safetensors") [ Written.bf16 "w" [ 2 ] [ 1.0; 3.0 ]; Written.bf16 "v" [ 1 ] [ 2.0 ] ]
    Written.save (temp.File "tuned.safetensors") [ Written.bf16 "w" [ 2 ] [ small; 3.0 ]; Written.bf16 "v" [ 1 ] [ 4.0 ] ]
    let load = "base = model(\"base.safetensors\")\n"
    let warned text = run temp.Path (load + text) |> ok |> List.choose (function Event.Warned w -> Some w | _ -> None)
    let text = "is a task vector, rounded to BF16 as its base is: base + delta may not give the model back; dtype = \"f32\" keeps all of it"
    Assert.Equal<string list>(
        [ $"d.safetensors {text}"; $"e.safetensors {text}" ],
        warned "d = model(\"tuned.safetensors\") - base\nd |> save(\"d.safetensors\")\nd |> save(\"wide.safetensors\", dtype = \"f32\")\n0.5 * d |> save(\"e.safetensors\")\nbase + d |> save(\"m.safetensors\")"
    )
    // As the text says, and nothing is said of a copy, of a type that was chosen, of models.
    Assert.Empty(
        warned (
            "narrow = delta(\"d.safetensors\", base)\nnarrow |> save(\"copy.safetensors\")\nnarrow[\"w\"] |> save(\"part.safetensors\")\n0.5 * narrow |> save(\"half.safetensors\", dtype = \"bf16\")\n"
            + "base + narrow |> save(\"from_narrow.safetensors\")\nbase + delta(\"wide.safetensors\", base) |> save(\"from_wide.safetensors\")"
        )
    )
    Assert.Equal<Map<_, _>>(Written.bytesOf (temp.File "tuned.safetensors"), Written.bytesOf (temp.File "from_wide.safetensors"))
    Assert.NotEqual<Map<_, _>>(Written.bytesOf (temp.File "tuned.safetensors"), Written.bytesOf (temp.File "from_narrow.safetensors"))
    // A wide one is rounded where it takes the base's type.
    Assert.Single(warned "delta(\"wide.safetensors\", base) |> save(\"again.safetensors\")") |> ignore
