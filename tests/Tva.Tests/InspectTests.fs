module Tva.Tests.InspectTests

open System
open System.IO
open System.Text
open System.Text.Json
open Tva
open Xunit

/// A safetensors file by hand: header length, header, bytes.
let private write (path: string) (header: string) (content: byte[]) =
    use file = File.Create path
    let header = Encoding.UTF8.GetBytes header
    file.Write(BitConverter.GetBytes(uint64 header.Length), 0, 8)
    file.Write(header, 0, header.Length)
    file.Write(content, 0, content.Length)

let private floats (values: float32 list) = values |> List.map BitConverter.GetBytes |> Array.concat

/// Weight [2, 2] of F32 (norm 5), a bias of BF16 and positions of I16.
let private small (folder: TempFolder) =
    let path = folder.File "small.safetensors"
    write
        path
        """{"__metadata__":{"made by":"hand\u001b[2J"},"w":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},"b":{"dtype":"BF16","shape":[2],"data_offsets":[16,20]},"p":{"dtype":"I16","shape":[4],"data_offsets":[20,28]}}"""
        (Array.concat [ floats [ 3.0f; 0.0f; 0.0f; -4.0f ]; [| 0uy; 0x40uy; 0uy; 0uy |]; BitConverter.GetBytes 7L ])
    path

[<Fact>]
let ``tensors, totals and metadata`` () =
    use temp = new TempFolder()
    let ran = Command.run [ "inspect"; small temp ]
    let expected =
        "tensor  dtype  shape   bytes\n\
         w       F32    [2, 2]     16\n\
         b       BF16   [2]         4\n\
         p       I16    [4]         8\n\
         \n\
         3 tensors, 10 elements, 28 bytes (28 B)\n\
         \u0020 F32: 1 tensor, 4 elements, 16 bytes\n\
         \u0020 BF16: 1 tensor, 2 elements, 4 bytes\n\
         \u0020 I16: 1 tensor, 4 elements, 8 bytes\n\
         metadata\n\
         \u0020 made by: hand\uFFFD[2J\n"
    Assert.Equal({ Status = 0; Out = expected; Error = "" }, ran)

[<Fact>]
let ``norms of floating tensors`` () =
    use temp = new TempFolder()
    let ran = Command.run [ "inspect"; small temp; "--norms" ]
    Assert.Equal(0, ran.Status)
    let rows = ran.Out.Split '\n'
    Assert.Equal("w       F32    [2, 2]     16     5", rows[1])
    Assert.Equal("b       BF16   [2]         4     2", rows[2])
    Assert.Equal("p       I16    [4]         8", rows[3])

[<Fact>]
let ``JSON has the same facts`` () =
    use temp = new TempFolder()
    let ran = Command.run [ "inspect"; small temp; "--norms"; "--json" ]
    Assert.Equal(0, ran.Status)
    use document = JsonDocument.Parse(ran.Out.TrimEnd().Split('\n') |> Array.last)
    let e = document.RootElement
    Assert.Equal(10L, e.GetProperty("elements").GetInt64())
    Assert.Equal(28L, e.GetProperty("bytes").GetInt64())
    let w = e.GetProperty("tensors").[0]
    Assert.Equal("w", w.GetProperty("name").GetString())
    Assert.Equal(5.0, w.GetProperty("norm").GetDouble(), 12)
    Assert.Equal("hand\u001b[2J", e.GetProperty("metadata").GetProperty("made by").GetString())

[<Fact>]
let ``shards are listed`` () =
    use temp = new TempFolder()
    let one name tensor =
        write (temp.File name) ("{\"" + tensor + "\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}") (floats [ 1.0f ])
    one "model-00001-of-00002.safetensors" "a"
    one "model-00002-of-00002.safetensors" "b"
    temp.Write("model.safetensors.index.json", """{"weight_map":{"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}}""")
    |> ignore
    let ran = Command.run [ "inspect"; temp.Path ]
    Assert.Equal(0, ran.Status)
    Assert.Contains("2 tensors, 2 elements, 8 bytes", ran.Out)
    Assert.Contains("2 files\n  model-00001-of-00002.safetensors: 1 tensor, 4 bytes\n  model-00002-of-00002.safetensors: 1 tensor, 4 bytes\n", ran.Out)

[<Fact>]
let ``an adapter's modules, with their ranks, scales and norms`` () =
    let golden = Repository.path "tests/golden/lora"
    let ran = Command.run [ "inspect"; Path.Combine(golden, "adapter"); "--norms" ]
    Assert.Equal(0, ran.Status)
    Assert.Contains("low-rank adapter: r 4, alpha 8, rsLoRA\n", ran.Out)
    // alpha_pattern says 16 for it: 16 / √4.
    Assert.Contains("model.layers.0.up       4         8", ran.Out)
    Assert.Contains("in full: head.weight", ran.Out)
    let ran = Command.run [ "inspect"; Path.Combine(golden, "adapter"); "--json" ]
    use document = JsonDocument.Parse(ran.Out)
    let adapter = document.RootElement.GetProperty "adapter"
    Assert.Equal(6, adapter.GetProperty("modules").GetArrayLength())
    Assert.Equal(4, adapter.GetProperty("modules").[0].GetProperty("rank").GetInt32())

[<Fact>]
let ``an adapter of another kind is listed, with what is wrong`` () =
    use temp = new TempFolder()
    let path = temp.File "other.safetensors"
    write path """{"a.hada_w1_a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}""" (floats [ 1.0f ])
    let ran = Command.run [ "inspect"; path ]
    Assert.Equal(0, ran.Status)
    Assert.Contains("is of LoHa", ran.Out)

/// A GGUF file by hand: one key, a matrix [2, 32] of Q8_0 whose elements are 0.5 * q, and a bias of F32.
let private gguf (path: string) (q: sbyte) =
    use file = new BinaryWriter(File.Create path)
    let text (s: string) = file.Write(uint64 s.Length); file.Write(Encoding.UTF8.GetBytes s)
    file.Write(Encoding.UTF8.GetBytes "GGUF")
    file.Write 3u
    file.Write 2UL
    file.Write 2UL
    text "general.architecture"; file.Write 8u; text "llama"
    text "tokenizer.ggml.tokens"; file.Write 9u; file.Write 8u; file.Write 7UL
    for token in [ "a"; "b"; "c\u001b"; "d"; "e"; "f"; "g" ] do text token
    text "blk.0.attn_q.weight"; file.Write 2u; file.Write 32UL; file.Write 2UL; file.Write 8u; file.Write 0UL
    text "output_norm.weight"; file.Write 1u; file.Write 2UL; file.Write 0u; file.Write 96UL
    while file.BaseStream.Position % 32L <> 0L do file.Write 0uy
    for _ in 0..1 do
        file.Write(BitConverter.HalfToUInt16Bits(Half.op_Explicit 0.5f))
        for _ in 1..32 do file.Write q
    for _ in 1 .. 96 - 68 do file.Write 0uy
    file.Write 3.0f
    file.Write 4.0f

[<Fact>]
let ``a GGUF file: how tensors are kept, what is read of them, its keys, and that its names are its own`` () =
    use temp = new TempFolder()
    let path = temp.File "m.gguf"
    gguf path 2y
    let ran = Command.run [ "inspect"; path; "--norms" ]
    let expected =
        "tensor               dtype        shape    bytes  norm\n\
         blk.0.attn_q.weight  Q8_0 as F32  [2, 32]     68     8\n\
         output_norm.weight   F32          [2]          8     5\n\
         \n\
         2 tensors, 66 elements, 76 bytes (76 B)\n\
         \u0020 F32: 1 tensor, 2 elements, 8 bytes\n\
         \u0020 Q8_0: 1 tensor, 64 elements, 68 bytes\n\
         note: GGUF names tensors in a way of its own (blk.0.attn_q.weight) and llama.cpp's converter reorders rows of some: combine it with models from GGUF only\n\
         metadata\n\
         \u0020 general.architecture: llama\n\
         \u0020 tokenizer.ggml.tokens: [a, b, c\uFFFD, d, e, f, ... 7 items]\n"
    Assert.Equal({ Status = 0; Out = expected; Error = "" }, ran)
    let json = Command.run [ "inspect"; path; "--json" ]
    use document = JsonDocument.Parse json.Out
    let tensor = document.RootElement.GetProperty("tensors")[0]
    Assert.Equal<string list>([ "F32"; "Q8_0"; "68" ], [ for key in [ "dtype"; "stored"; "bytes" ] -> tensor.GetProperty(key).ToString() ])

[<Fact>]
let ``GGUF files are operands like others`` () =
    use temp = new TempFolder()
    gguf (temp.File "base.gguf") 2y
    gguf (temp.File "tuned.gguf") 6y
    let script =
        "base = model(\"base.gguf\")\nA = model(\"tuned.gguf\") - base\nnorm(A)\nbase + 0.5 * A |> save(\"out.safetensors\")\nnorm(raw(model(\"base.gguf\")[\"blk.*\"]))"
    File.WriteAllText(temp.File "s.tva", script)
    let ran = Command.run [ "run"; temp.File "s.tva" ]
    Assert.Equal(0, ran.Status)
    Assert.Contains("16", ran.Out) // 64 elements that differ by 2
    // base + 0.5 A: 1 + 0.5 * 2 = 2 everywhere, norm 16.
    let inspected = Command.run [ "inspect"; temp.File "out.safetensors"; "--norms" ]
    Assert.Contains("blk.0.attn_q.weight  F32    [2, 32]    256    16", inspected.Out)
    // What a converter's names would hide from somebody who mixes formats.
    File.WriteAllText(temp.File "mixed.tva", $"model(\"base.gguf\") - model(\"{(small temp).Replace('\\', '/')}\")")
    let mixed = Command.run [ "check"; temp.File "mixed.tva" ]
    Assert.Equal(2, mixed.Status)

[<Theory>]
[<InlineData("module_legacy.pt", "is an object of '__main__.Net', never made: its tensors are those of its state_dict()")>]
[<InlineData("training.pt", "is what stands under 'model'; left out: 'epoch', 'optimizer', 'args', 'rng', 'scheduler', 'key'")>]
let ``PyTorch files of all kinds, and what was left out of them`` (name: string) (note: string) =
    let rec root (folder: string) =
        if File.Exists(Path.Combine(folder, "Dsl.sln")) then folder else root (Path.GetDirectoryName folder |> Unchecked.nonNull)
    let ran = Command.run [ "inspect"; Path.Combine(root AppContext.BaseDirectory, "tests", "golden", "torch", name) ]
    Assert.Equal(0, ran.Status)
    Assert.Contains("body.1.running_mean", ran.Out)
    Assert.Contains($"note: {note}\n", ran.Out)

[<Fact>]
let ``files of a folder that are no part of the model are named`` () =
    use temp = new TempFolder()
    Directory.CreateDirectory(temp.File "m") |> ignore
    File.Copy(Repository.path "examples/zoo/base.safetensors", temp.File "m/model.safetensors")
    for name in [ "pytorch_model.bin"; "training_args.bin"; "notes.txt" ] do
        File.WriteAllText(temp.File $"m/{name}", "")
    Assert.Contains("\nnote: left out: pytorch_model.bin, training_args.bin\n", (Command.run [ "inspect"; temp.File "m" ]).Out)
    Assert.DoesNotContain("left out", (Command.run [ "inspect"; temp.File "m/model.safetensors" ]).Out)
