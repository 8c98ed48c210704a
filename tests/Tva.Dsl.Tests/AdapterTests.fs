/// Low-rank adapters as Deltas: what they mean, what is read of them, how they are saved, and what is said of wrong ones.
module Tva.Dsl.Tests.AdapterTests

open System
open System.IO
open System.Text.Json
open MathNet.Numerics.LinearAlgebra
open Tva.Core.Checkpoints
open Tva.Dsl
open Xunit
open Tva.Dsl.Tests.Scripts
open Tva.Dsl.Tests.AdapterSupport

let private ok folder text =
    let ran = run folder text
    Assert.Empty ran.Diagnostics
    Assert.Equal(Some Outcome.Completed, ran.Outcome)
    ran

let private heading = "base = model(\"base.safetensors\")\n"

let private merge (temp: TempFolder) (k: string) what =
    ok temp.Path $"{heading}base + {k} * delta(\"{what}\", base) |> save(\"out.safetensors\")" |> ignore
    temp.File "out.safetensors"

let private bytesRead (ran: Ran) = ran.Events |> List.sumBy (function Event.Finished(read, _, _) -> read | _ -> 0L)

let private shownNumbers (ran: Ran) = ran.Events |> List.collect (function Event.Shown(_, items) -> items |> List.choose (function Shown.Number v -> Some v | _ -> None) | _ -> [])

let private tables (ran: Ran) = ran.Events |> List.collect (function Event.Shown(_, items) -> items |> List.choose (function Shown.Table t -> Some t | _ -> None) | _ -> [])

[<Fact>]
let ``a merge is what an independent tool made of the same files`` () =
    // tests/golden/lora: rsLoRA, patterns, an embedding, a convolution and a module in full, merged in float64 by PyTorch.
    let golden = Path.Combine(golden, "lora")
    use temp = new TempFolder()
    let saved = temp.File "merged.safetensors"
    ok golden $"base = model(\"base.safetensors\")\nbase + delta(\"adapter\", base) |> save(\"{saved}\")" |> ignore
    let want, got = load (Path.Combine(golden, "merged.safetensors")), load saved
    Assert.Equal<string list>(List.ofSeq want.Keys, List.ofSeq got.Keys)
    for KeyValue(name, (_, w)) in want do
        let _, g = got[name]
        Array.iter2 (fun (x: float) y -> Assert.Equal(x, y, 2e-5)) w g

[<Theory>]
[<InlineData(false, 2.0, 3.5)>]
[<InlineData(true, 4.0, 7.0)>]
let ``rank, alpha, patterns and rslora`` (rslora: bool, _one: float, _two: float) =
    use temp = new TempFolder()
    putBase (temp.File "base.safetensors")
    let q0, q1, up = factors 3 "model.layers.0.q" 4 8 8, factors 3 "model.layers.1.q" 2 8 8, factors 3 "model.layers.1.up" 4 12 8
    put (temp.File "lora/adapter_model.safetensors") [ for b, a in [ q0; q1; up ] do b; a ]
    let flag = if rslora then "true" else "false"
    config (temp.File "lora")
        $"""{{"peft_type":"LORA","r":4,"lora_alpha":8,"use_rslora":{flag},"rank_pattern":{{"layers.1.q":2,"q":9}},"alpha_pattern":{{"^model\\.layers\\.1\\.up":14}}}}"""
    // The first pattern that matches counts, and `q` would match layer 0: so its rank is 9, which the file contradicts.
    let wrong = run temp.Path (heading + "delta(\"lora\", base)")
    Assert.Contains("has rank 4, and adapter_config.json says 9", (Assert.Single wrong.Diagnostics).Message)
    config (temp.File "lora")
        $"""{{"peft_type":"LORA","r":4,"lora_alpha":8,"use_rslora":{flag},"rank_pattern":{{"layers.1.q":2,"x.q":9}},"alpha_pattern":{{"^model\\.layers\\.1\\.up":14}}}}"""
    let scale alpha (r: float) = if rslora then alpha / sqrt r else alpha / r
    let change =
        Map [ "model.layers.0.q.weight", product (scale 8.0 4.0) (fst q0) (snd q0)
              "model.layers.1.q.weight", product (scale 8.0 2.0) (fst q1) (snd q1)
              "model.layers.1.up.weight", product (scale 14.0 4.0) (fst up) (snd up) ]
    isMerged (merge temp "0.8" "lora") 0.8 change

[<Fact>]
let ``transposed weights, embeddings, convolutions, biases and modules in full`` () =
    use temp = new TempFolder()
    putBase (temp.File "base.safetensors")
    // Square: only the setting tells which way it lies. up is [12, 8] there: the shape tells.
    let q = factors 4 "model.layers.0.q" 3 8 8
    let up = factors 4 "model.layers.0.up" 3 8 12
    let straight = factors 4 "model.layers.1.up" 3 12 8
    let ea, eb = stored 4 "base_model.model.model.embed.lora_embedding_A" [ 3; 21 ], stored 4 "base_model.model.model.embed.lora_embedding_B" [ 8; 3 ]
    let ca, cb = stored 4 "base_model.model.model.conv.lora_A.weight" [ 3; 4; 3; 3 ], stored 4 "base_model.model.model.conv.lora_B.weight" [ 6; 3; 1; 1 ]
    let extra = stored 4 "base_model.model.model.layers.1.up.lora_B.bias" [ 12 ]
    let bias = stored 4 "base_model.model.model.layers.0.up.base_layer.bias" [ 12 ]
    let head = stored 4 "base_model.model.head.modules_to_save.default.weight" [ 5; 8 ]
    put (temp.File "lora/adapter_model.safetensors") [ fst q; snd q; fst up; snd up; fst straight; snd straight; ea; eb; ca; cb; extra; bias; head ]
    config (temp.File "lora") """{"peft_type":"LORA","r":3,"lora_alpha":6,"fan_in_fan_out":true,"bias":"lora_only","lora_bias":true,"modules_to_save":["head"]}"""
    let values (_, _, v: float32[]) = v |> Array.map float
    let change =
        Map [ "model.layers.0.q.weight", turned 8 (product 2.0 (fst q) (snd q))
              "model.layers.0.up.weight", turned 8 (product 2.0 (fst up) (snd up))
              "model.layers.1.up.weight", product 2.0 (fst straight) (snd straight)
              "model.embed.weight", turned 8 (product 2.0 eb ea)
              "model.conv.weight", product 2.0 cb ca
              "model.layers.1.up.bias", values extra |> Array.map ((*) 2.0)
              "model.layers.0.up.bias", Array.map2 (-) (values bias) baseValues.Value["model.layers.0.up.bias"]
              "head.weight", Array.map2 (-) (values head) baseValues.Value["head.weight"] ]
    isMerged (merge temp "1" "lora") 1.0 change
    isMerged (merge temp "0.8" "lora") 0.8 change
    // And kept as an adapter again, all of it is there.
    ok temp.Path (heading + "0.5 * delta(\"lora\", base) |> save(\"half\", as = \"lora\")") |> ignore
    isMerged (merge temp "1" "half") 0.5 change

[<Theory>]
[<InlineData("model.layers.0.q", true)>]
[<InlineData("layers.0.q", true)>]
[<InlineData("wrapped.model.layers.0.q", true)>]
[<InlineData("q", false)>]
[<InlineData("layers.7.q", false)>]
let ``names with another prefix are found where only one place fits`` (name: string, found: bool) =
    use temp = new TempFolder()
    putBase (temp.File "base.safetensors")
    let up, down = factors 5 name 2 8 8
    put (temp.File "lora/adapter_model.safetensors") [ up; down ]
    config (temp.File "lora") """{"peft_type":"LORA","r":2,"lora_alpha":2}"""
    if found then
        isMerged (merge temp "1" "lora") 1.0 (Map [ "model.layers.0.q.weight", product 1.0 up down ])
    else
        Assert.True((run temp.Path (heading + "delta(\"lora\", base)")).Outcome.IsNone)

[<Theory>]
[<InlineData("lora_unet_layers_0_q.lora_down.weight", "lora_unet_layers_0_q.lora_up.weight", "lora_unet_layers_0_q.alpha")>]
[<InlineData("lora_te_model_layers_0_q.lora_down.weight", "lora_te_model_layers_0_q.lora_up.weight", "")>]
[<InlineData("unet.layers.0.q.lora.down.weight", "unet.layers.0.q.lora.up.weight", "")>]
[<InlineData("transformer.layers.0.q.lora_A.weight", "transformer.layers.0.q.lora_B.weight", "")>]
[<InlineData("model.layers.0.processor.q_lora.down.weight", "model.layers.0.processor.q_lora.up.weight", "")>]
let ``single files in other tools' styles`` (down: string, up: string, alpha: string) =
    use temp = new TempFolder()
    putBase (temp.File "base.safetensors")
    let b, a = stored 6 up [ 8; 2 ], stored 6 down [ 2; 8 ]
    put (temp.File "style.safetensors") ([ b; a ] @ [ if alpha <> "" then alpha, [], [| 3.0f |] ])
    isMerged (merge temp "1" "style.safetensors") 1.0 (Map [ "model.layers.0.q.weight", product (if alpha = "" then 1.0 else 1.5) b a ])

[<Theory>]
[<InlineData("transformer.", "transformer.", 3.0)>]
[<InlineData("", "", 3.0)>]
[<InlineData("transformer.", "unet.", 1.0)>]
let ``diffusers keeps alpha in the header`` (prefix: string, told: string, scale: float) =
    use temp = new TempFolder()
    putBase (temp.File "base.safetensors")
    let b, a = stored 6 $"{prefix}layers.0.q.lora_B.weight" [ 8; 2 ], stored 6 $"{prefix}layers.0.q.lora_A.weight" [ 2; 8 ]
    let write json = putWith (temp.File "style.safetensors") [ "lora_adapter_metadata", json ] [ b; a ]
    write $"{{\"{told}r\": 2, \"{told}lora_alpha\": 6}}"
    isMerged (merge temp "1" "style.safetensors") 1.0 (Map [ "model.layers.0.q.weight", product scale b a ])
    let wrong json = write json; (Assert.Single (run temp.Path (heading + "delta(\"style.safetensors\", base)")).Diagnostics).Message
    Assert.Contains("is no JSON", wrong "{")
    Assert.Contains("one object", wrong "[]")
    if told = prefix then
        Assert.Contains("its header says 3", wrong $"{{\"{told}r\": 3}}")

[<Fact>]
let ``norms, cosines and tables read the factors alone`` () =
    use temp = new TempFolder()
    putBase (temp.File "base.safetensors")
    let changes = [ for i in 1..4 -> plain i (temp.File $"loras/t{i}") ]
    let sum = addOf 1.0 changes[0] 2.0 changes[1]
    let heading = heading + "f = family(\"loras/*\", base)\n"
    let near (want: float) got = Assert.Equal(want, got, 1e-9 * (1.0 + abs want))

    let ran = ok temp.Path (heading + "norm(f.t1 + 2*f.t2)")
    near (sqrt (dotOf sum sum)) (List.exactlyOne (shownNumbers ran))
    Assert.Equal(2L * plainBytes, bytesRead ran)

    let ran = ok temp.Path (heading + "similarity(f)")
    Assert.Equal(4L * plainBytes, bytesRead ran)
    (List.exactlyOne (tables ran)).Rows |> List.iteri (fun i (_, row) ->
        row |> List.iteri (fun j v -> near (dotOf changes[i] changes[j] / sqrt (dotOf changes[i] changes[i] * dotOf changes[j] changes[j])) v))

    // By layer, under a restriction, with a schedule and with a coefficient that is itself a cosine.
    let only = sum |> Map.filter (fun name _ -> name.Contains ".q.")
    near (sqrt (dotOf only only)) (ok temp.Path (heading + "norm((f.t1 + 2*f.t2)[\"*.q.*\"])") |> shownNumbers |> List.exactlyOne)
    let layer n = sum |> Map.filter (fun name _ -> name.Contains $".{n}.")
    let rows = (ok temp.Path (heading + "norm(f.t1 + 2*f.t2, by = \"layer\")") |> tables |> List.exactlyOne).Rows |> Map
    for l in 0..1 do
        near (sqrt (dotOf (layer l) (layer l))) rows[$"layer {l}"].Head
    let byTensor = (ok temp.Path (heading + "norm(f.t1 + 2*f.t2, by = \"tensor\")") |> tables |> List.exactlyOne).Rows |> Map
    for name, _ in shapes do
        near (match sum.TryFind name with Some v -> sqrt (Array.sumBy (fun x -> x * x) v) | None -> 0.0) byTensor[name].Head
    let c = dotOf changes[0] changes[1] / sqrt (dotOf changes[0] changes[0] * dotOf changes[1] changes[1])
    let leaning = addOf 1.0 changes[0] c changes[1]
    let ran = ok temp.Path (heading + "norm(f.t1 + cosine(f.t1, f.t2) * f.t2)")
    near (sqrt (dotOf leaning leaning)) (List.exactlyOne (shownNumbers ran))
    Assert.Equal(2L * plainBytes, bytesRead ran)
    let graded = addOf 1.0 (changes[0] |> Map.map (fun n v -> if n.Contains ".0." then Array.map ((*) 0.5) v else v)) 0.0 changes[1]
    near (sqrt (dotOf graded graded)) (ok temp.Path (heading + "norm(ramp(0.5, 1) * f.t1)") |> shownNumbers |> List.exactlyOne)

[<Theory>]
[<InlineData("all")>]
[<InlineData("layer")>]
let ``a basis over adapters reads the factors alone`` (by: string) =
    use temp = new TempFolder()
    putBase (temp.File "base.safetensors")
    for i in 1..4 do
        plain i (temp.File $"loras/t{i}") |> ignore
    let heading = heading + "f = family(\"loras/*\", base)\n"
    let ran = ok temp.Path $"{heading}errors(f @basis(2, by = \"{by}\"))"
    Assert.Equal(4L * plainBytes, bytesRead ran)
    // The same through the elements: |x|·sign(x) is x, and no sum of adapters to whoever looks at the text.
    let slow = ok temp.Path $"{heading}g = abs(f) * sign(f)\nerrors(g @basis(2, by = \"{by}\"))"
    for (_, a), (_, b) in List.zip (tables ran |> List.exactlyOne).Rows (tables slow |> List.exactlyOne).Rows do
        List.iter2 (fun (x: float) y -> Assert.Equal(x, y, 1e-5 * (1.0 + abs x))) a b

[<Fact>]
let ``what cancels is measured element by element`` () =
    use temp = new TempFolder()
    putBase (temp.File "base.safetensors")
    plain 1 (temp.File "a") |> ignore
    plain 1 (temp.File "b") |> ignore
    let b, a = factors 9 "model.layers.0.q" 4 8 8
    // a and b are the same but for a header, so that they are two sources.
    File.WriteAllText(temp.File "b/adapter_config.json", """{"peft_type": "LORA", "r": 4, "lora_alpha": 8.000001}""")
    let v = ok temp.Path (heading + "norm(delta(\"a\", base) - delta(\"b\", base)) / norm(delta(\"a\", base))") |> shownNumbers |> List.exactlyOne
    Assert.InRange(v, 0.5e-7, 3e-7)
    ignore (a, b)

/// An adapter's folder by the test's own reading: product of factors by module, in float64.
let private reread (folder: string) : Change =
    let tensors = load (Path.Combine(folder, "adapter_model.safetensors"))
    use json = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, "adapter_config.json")))
    let root = json.RootElement
    let pick (pattern: string) (fallback: string) (m: string) =
        match root.GetProperty(pattern).TryGetProperty m with
        | true, v -> v.GetDouble()
        | _ -> root.GetProperty(fallback).GetDouble()
    Assert.Equal("LORA", root.GetProperty("peft_type").GetString())
    Map [ for KeyValue(name, (info, b)) in tensors do
              if name.EndsWith ".lora_B.weight" then
                  let m = name.Substring("base_model.model.".Length).Replace(".lora_B.weight", "")
                  let down, a = tensors[name.Replace("lora_B", "lora_A")]
                  let r = pick "rank_pattern" "r" m
                  Assert.Equal(r, float down.Shape.Dims[0])
                  let f (values: float[]) = values |> Array.map float32
                  let dims (i: Tva.Core.Tensors.TensorInfo) = [ for d in i.Shape.Dims -> int d ]
                  m + ".weight", product (pick "alpha_pattern" "lora_alpha" m / r) ("", dims info, f b) ("", dims down, f a) ]

[<Fact>]
let ``a sum of adapters is kept exactly, its ranks added up`` () =
    use temp = new TempFolder()
    putBase (temp.File "base.safetensors")
    let a, b = plain 1 (temp.File "a"), plain 2 (temp.File "b")
    let text = heading + "a = delta(\"a\", base)\nb = delta(\"b\", base)\n0.5*a - 2*b[\"*.q.*\"] |> save(\"sum\", as = \"lora\")"
    ok temp.Path text |> ignore
    let want = addOf 0.5 a -2.0 (b |> Map.filter (fun name _ -> name.Contains ".q."))
    let got = reread (temp.File "sum")
    Assert.Equal<string list>(List.ofSeq want.Keys, List.ofSeq got.Keys)
    for KeyValue(name, w) in want do
        Array.iter2 (fun (x: float) y -> Assert.Equal(x, y, 1e-6)) w got[name]
    isMerged (merge temp "1" "sum") 1.0 want
    use json = JsonDocument.Parse(File.ReadAllBytes(temp.File "sum/adapter_config.json"))
    Assert.Equal<string list>([ "q"; "up" ], [ for t in json.RootElement.GetProperty("target_modules").EnumerateArray() -> string (t.GetString()) ])
    Assert.Equal<string list>([ "adapter_config.json"; "adapter_model.safetensors" ], [ for f in Directory.GetFiles(temp.File "sum") |> Array.sort -> string (Path.GetFileName f) ])

[<Theory>]
[<InlineData(1)>]
[<InlineData(3)>]
[<InlineData(7)>]
let ``a lower rank is the best there is, and its errors are told`` (rank: int) =
    use temp = new TempFolder()
    putBase (temp.File "base.safetensors")
    let a, b = plain 1 (temp.File "a"), plain 2 (temp.File "b")
    let ran = ok temp.Path $"{heading}delta(\"a\", base) + 0.7*delta(\"b\", base) |> save(\"low\", as = \"lora\", rank = {rank})"
    let told = ran.Events |> List.pick (function Event.Truncated(_, modules) -> Some(Map [ for name, r, e in modules -> name + ".weight", (r, e) ]) | _ -> None)
    let want, got = addOf 1.0 a 0.7 b, reread (temp.File "low")
    for KeyValue(name, w) in want do
        let s = (Matrix<float>.Build.Dense(w.Length / 8, 8, fun i j -> w[i * 8 + j])).Svd(false).S |> List.ofSeq
        let size = sqrt (List.sumBy (fun x -> x * x) s)
        let best = sqrt (s |> List.skip rank |> List.sumBy (fun x -> x * x)) / size
        let off = sqrt (Seq.sum (Seq.map2 (fun x y -> (x - y) ** 2.0) w got[name])) / size
        let r, error = told[name]
        Assert.Equal(rank, r)
        Assert.Equal(best, error, 1e-6)
        Assert.Equal(best, off, 1e-5)

[<Fact>]
let ``an interrupted or failed save leaves no adapter`` () =
    use temp = new TempFolder()
    putBase (temp.File "base.safetensors")
    plain 1 (temp.File "a") |> ignore
    // A folder stands where the file should go.
    Directory.CreateDirectory(temp.File "out/adapter_model.safetensors") |> ignore
    File.WriteAllText(temp.File "out/adapter_config.json", "{}")
    let attempt () = ok temp.Path (heading + "delta(\"a\", base) |> save(\"out\", as = \"lora\")") |> ignore
    Assert.Throws<Tva.Core.FaultException>(attempt) |> ignore
    Assert.Equal("{}", File.ReadAllText(temp.File "out/adapter_config.json"))
    Assert.Empty(Directory.GetFiles(temp.Path, "*.partial", SearchOption.AllDirectories))

[<Fact>]
let ``an adapter takes its folder over as a whole`` () =
    use temp = new TempFolder()
    putBase (temp.File "base.safetensors")
    plain 1 (temp.File "a") |> ignore
    let save k = ok temp.Path (heading + $"{k} * delta(\"a\", base) |> save(\"out\", as = \"lora\")") |> ignore
    save "1"
    let first = File.ReadAllBytes(temp.File "out/adapter_model.safetensors")
    File.WriteAllText(temp.File "out/notes.txt", "mine")
    save "2"
    Assert.NotEqual<byte[]>(first, File.ReadAllBytes(temp.File "out/adapter_model.safetensors"))
    Assert.Equal("mine", File.ReadAllText(temp.File "out/notes.txt"))
    use c = Tva.Core.Checkpoints.Checkpoint.Open(temp.File "out/adapter_model.safetensors")
    Assert.Equal("lora", c.Metadata["tva.kind"])
    Assert.Equal<string[]>([| "a"; "base.safetensors"; "out" |], Directory.GetFileSystemEntries temp.Path |> Array.map (Path.GetFileName >> string) |> Array.sort)

/// What is said of an adapter with this configuration and these tensors.
let private said (json: string) (tensors: Stored list) =
    use temp = new TempFolder()
    putBase (temp.File "base.safetensors")
    put (temp.File "lora/adapter_model.safetensors") tensors
    config (temp.File "lora") json
    let ran = run temp.Path (heading + "base + delta(\"lora\", base) |> save(\"out.safetensors\")")
    Assert.True ran.Outcome.IsNone
    Assert.False(File.Exists(temp.File "out.safetensors"))
    (Assert.Single ran.Diagnostics).Message

let private pair = (let b, a = factors 1 "model.layers.0.q" 2 8 8 in [ b; a ])

[<Theory>]
[<InlineData("""{"peft_type":"LOHA","r":2}""", "peft_type is 'LOHA'")>]
[<InlineData("""{"peft_type":"LORA","r":2,"use_dora":true}""", "use_dora")>]
[<InlineData("""{"peft_type":"LORA","r":2,"init_lora_weights":"pissa"}""", "starts from a changed base")>]
[<InlineData("""{"peft_type":"LORA","r":2,"layer_replication":[[0,4],[2,5]]}""", "repeats layers")>]
[<InlineData("""{"peft_type":"LORA","r":0}""", "its r is 0")>]
[<InlineData("""{"peft_type":"LORA","r":-3}""", "its r is -3")>]
[<InlineData("""{"peft_type":"LORA","r":"8"}""", "should be a number")>]
[<InlineData("""{"peft_type":"LORA","r":1e400}""", "should be a number")>]
[<InlineData("""{"peft_type":"LORA","r":4}""", "has rank 2, and adapter_config.json says 4")>]
[<InlineData("""{"peft_type":"LORA","r":2,"rank_pattern":{"(":3}}""", "no regular expression")>]
[<InlineData("""{"peft_type":"LORA","r":2,"rank_pattern":{"q":2.5}}""", "whole number")>]
[<InlineData("""{"peft_type":"LORA","r":2,"alpha_pattern":[1]}""", "object of numbers")>]
[<InlineData("""{"peft_type":7}""", "should be a text")>]
[<InlineData("""[1, 2]""", "should hold one object")>]
[<InlineData("""{"peft_type":"LORA",""", "is no JSON")>]
[<InlineData("", "is no JSON")>]
let ``configurations that can't be followed`` (json: string, expected: string) = Assert.Contains(expected, said json pair)

[<Fact>]
let ``a configuration nested without end is refused`` () =
    Assert.Contains("is no JSON", said ("""{"rank_pattern":""" + String('[', 100_000)) pair)

[<Fact>]
let ``tensors that don't fit`` () =
    let fine = """{"peft_type":"LORA","r":2}"""
    let with' name shape = stored 1 name shape
    Assert.Contains("lacks the other factor", said fine [ pair.Head ])
    Assert.Contains("of other shapes", said fine (let b, a = factors 1 "model.layers.0.q" 2 9 8 in [ b; a ]))
    Assert.Contains("model.layers.0.q.weight is F32 [8, 8] there, and the adapter changes [9, 8]", said fine (let b, a = factors 1 "model.layers.0.q" 2 9 8 in [ b; a ]))
    Assert.Contains("should be [r, in] and [out, r]", said fine [ with' "base_model.model.model.layers.0.q.lora_A.weight" [ 2; 8 ]; with' "base_model.model.model.layers.0.q.lora_B.weight" [ 8; 3 ] ])
    Assert.Contains("is of DoRA", said fine (pair @ [ with' "base_model.model.model.layers.0.q.lora_magnitude_vector" [ 8 ] ]))
    Assert.Contains("is of LoHa", said fine [ with' "model.layers.0.q.hada_w1_a" [ 8; 2 ] ])
    Assert.Contains("changes 1 modules that base.safetensors lacks: model.layers.9.q", said fine (pair @ (let b, a = factors 1 "model.layers.9.q" 2 8 8 in [ b; a ])))
    Assert.Contains("has [5, 9] instead", said fine (pair @ [ with' "base_model.model.head.weight" [ 5; 9 ] ]))

[<Fact>]
let ``missing modules may be dropped, and an adapter is no model`` () =
    use temp = new TempFolder()
    putBase (temp.File "base.safetensors")
    let (b, a), (c, d) = factors 1 "model.layers.0.q" 2 8 8, factors 1 "model.layers.9.q" 2 8 8
    put (temp.File "lora/adapter_model.safetensors") [ b; a; c; d ]
    config (temp.File "lora") """{"peft_type":"LORA","r":2,"lora_alpha":2}"""
    ok temp.Path (heading + "base + delta(\"lora\", base, extra = \"drop\") |> save(\"out.safetensors\")") |> ignore
    isMerged (temp.File "out.safetensors") 1.0 (Map [ "model.layers.0.q.weight", product 1.0 b a ])
    Assert.Equal("TVA0518", (Assert.Single (run temp.Path "model(\"lora\")").Diagnostics).Code)
    Assert.Equal("TVA0507", (put (temp.File "lora/adapter_model.safetensors") [ c; d ]; Assert.Single (run temp.Path (heading + "delta(\"lora\", base)")).Diagnostics).Code)
    File.Delete(temp.File "lora/adapter_model.safetensors")
    Assert.Contains("neither adapter_model.safetensors nor adapter_model.bin", (Assert.Single (run temp.Path (heading + "delta(\"lora\", base)")).Diagnostics).Message)

[<Fact>]
let ``results don't depend on threads or memory`` () =
    use temp = new TempFolder()
    putBase (temp.File "base.safetensors")
    plain 1 (temp.File "a") |> ignore
    plain 2 (temp.File "b") |> ignore
    let text = heading + "a = delta(\"a\", base)\nbase + a - 0.3*delta(\"b\", base) |> save(\"out.safetensors\")\na |> save(\"low\", as = \"lora\", rank = 2)"
    let bytes threads =
        let ran = runWith (optionsOf { RunSettings.Default with Threads = threads }) temp.Path text
        Assert.Equal(Some Outcome.Completed, ran.Outcome)
        File.ReadAllBytes(temp.File "out.safetensors"), File.ReadAllBytes(temp.File "low/adapter_model.safetensors")
    Assert.Equal(bytes 1, bytes 4)

[<Theory>]
[<InlineData(true)>]
[<InlineData(false)>]
let ``an adapter of a tied output layer gives the model one of its own`` (whole: bool) =
    use temp = new TempFolder()
    let embedding = stored 1 "model.embed_tokens.weight" [ 7; 8 ]
    put (temp.File "base/model.safetensors") [ embedding; stored 1 "model.layers.0.q.weight" [ 8; 8 ] ]
    File.WriteAllText(temp.File "base/config.json", """{"model_type":"llama","tie_word_embeddings":true}""")
    let up, down = factors 3 "lm_head" 2 7 8
    let head: Stored = "base_model.model.lm_head.weight", [ 7; 8 ], draw 5 "head" 56
    put (temp.File "lora/adapter_model.safetensors") (if whole then [ head ] else [ up; down ])
    config (temp.File "lora") """{"peft_type":"LORA","r":2,"lora_alpha":4,"target_modules":["lm_head"],"modules_to_save":["lm_head"]}"""
    run temp.Path "base = model(\"base\")\nbase + delta(\"lora\", base) |> save(\"out\")" |> _.Diagnostics |> Assert.Empty
    let got = load (temp.File "out/model.safetensors") |> Map.map (fun _ (_, values) -> values)
    let e = (let _, _, v = embedding in Array.map float v)
    let want = if whole then (let _, _, v = head in Array.map float v) else Array.map2 (+) e (product 2.0 up down)
    Array.iter2 (fun (w: float) g -> Assert.Equal(w, g, 1e-6)) want got["lm_head.weight"]
    Assert.Equal<float[]>(e, got["model.embed_tokens.weight"])
    use json = JsonDocument.Parse(File.ReadAllText(temp.File "out/config.json"))
    Assert.False(json.RootElement.GetProperty("tie_word_embeddings").GetBoolean())
