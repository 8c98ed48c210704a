/// Output layers tied to embeddings: kept once, or given to whoever lacks one, by what config.json says.
module Tva.Dsl.Tests.TiedTests

open System.IO
open Tva.Dsl
open Xunit
open Tva.Dsl.Tests.Scripts
open Tva.Dsl.Tests.BasisSupport
open Tva.Dsl.Tests.Written

let private embedding = "model.embed_tokens.weight"

/// A folder with an embedding, perhaps an output layer, and what its configuration says.
let private folder (temp: TempFolder) name (config: string) (embed: float list) (head: float list option) =
    save (temp.File $"{name}/model.safetensors")
        [ f32 embedding [ 2; 2 ] embed
          f32 "model.layers.0.mlp.weight" [ 2 ] [ embed[0] + 10.0; 1.0 ]
          match head with
          | Some h -> f32 "lm_head.weight" [ 2; 2 ] h
          | None -> () ]
    if config <> "" then
        File.WriteAllText(temp.File $"{name}/config.json", config)

let private tied = "{ \"model_type\": \"llama\", \"tie_word_embeddings\": true }"
let private untied = "{ \"tie_word_embeddings\": false }"

let private notes (ran: Ran) = ran.Events |> List.choose (function Event.Noted n -> Some n | _ -> None)

let private one = [ 1.0; 2.0; 3.0; 4.0 ]
let private two = [ 2.0; 4.0; 6.0; 8.0 ]
let private three = [ 5.0; 5.0; 5.0; 5.0 ]

let private merge = "a = model(\"a\")\nb = model(\"b\")\n0.5 * a + 0.5 * b |> save(\"m.safetensors\")"

let private merged (temp: TempFolder) text =
    let ran = runOk temp.Path text
    ran, read (temp.File "m.safetensors")

[<Fact>]
let ``a tied output layer is the embedding where the other model has one of its own`` () =
    for order in [ "a", "b"; "b", "a" ] do
        use temp = new TempFolder()
        folder temp (fst order) tied one None
        folder temp (snd order) untied two (Some three)
        let ran, m = merged temp merge
        Assert.Equal<float[]>([| 1.5; 3.0; 4.5; 6.0 |], m[embedding])
        Assert.Equal<float[]>([| 3.0; 3.5; 4.0; 4.5 |], m["lm_head.weight"])
        let a, b = order
        Assert.Equal<string list>(
            [ $"{a}: lm_head.weight is {embedding}, to which its config.json ties it; {b} has one of its own, so what is saved has one, too, and \"tie_word_embeddings\": false in its config.json (a single file's has to say so, too)" ],
            notes ran)

[<Fact>]
let ``a base whose output layer is tied takes a task vector that has its own`` () =
    use temp = new TempFolder()
    folder temp "a" tied one None
    folder temp "b" untied two (Some three)
    let _, m = merged temp "a = model(\"a\")\nd = delta(\"b\", a)\na + 2 * d |> save(\"m.safetensors\")"
    // θ₀ + 2(θ − θ₀), the base's output layer being its embedding.
    Assert.Equal<float[]>([| 9.0; 8.0; 7.0; 6.0 |], m["lm_head.weight"])
    Assert.Equal<float[]>([| 3.0; 6.0; 9.0; 12.0 |], m[embedding])
    let _, m = merged temp "a = model(\"a\")\nd = delta(\"b\", a, extra = \"drop\")\na + 2 * d |> save(\"m.safetensors\")"
    Assert.False(m.ContainsKey "lm_head.weight")

[<Fact>]
let ``a family of task vectors may be tied or not, one by one`` () =
    use temp = new TempFolder()
    folder temp "a" untied one (Some three)
    folder temp "tasks/b" tied two None
    folder temp "tasks/c" untied one (Some one)
    let _, m = merged temp "a = model(\"a\")\na + sum(family(\"tasks/*\", a)) |> save(\"m.safetensors\")"
    // three + (two - three) + (one - three)
    Assert.Equal<float[]>([| -2.0; 1.0; 4.0; 7.0 |], m["lm_head.weight"])

[<Fact>]
let ``a configuration without the field ties what has no output layer, as transformers does`` () =
    use temp = new TempFolder()
    folder temp "a" "{ \"model_type\": \"gpt2\" }" one None
    folder temp "b" "{ \"model_type\": \"gpt2\" }" two (Some three)
    let _, m = merged temp merge
    Assert.Equal<float[]>([| 3.0; 3.5; 4.0; 4.5 |], m["lm_head.weight"])

[<Fact>]
let ``the text part of a configuration counts where the whole says nothing`` () =
    use temp = new TempFolder()
    folder temp "a" "{ \"text_config\": { \"tie_word_embeddings\": false } }" one None
    folder temp "b" untied two (Some three)
    Assert.Equal<string list>([ "TVA0502" ], findings temp.Path merge |> List.map fst)

[<Theory>]
[<InlineData("")>]
[<InlineData("{ \"tie_word_embeddings\": false }")>]
let ``without a word of a tie a missing output layer is a mismatch`` (config: string) =
    use temp = new TempFolder()
    folder temp "a" config one None
    folder temp "b" untied two (Some three)
    Assert.Equal<string list>([ "TVA0502" ], findings temp.Path merge |> List.map fst)

[<Fact>]
let ``two copies of a tied tensor become one`` () =
    use temp = new TempFolder()
    folder temp "a" tied one (Some one)
    folder temp "b" tied two (Some two)
    let ran, m = merged temp merge
    Assert.Equal<string list>([ embedding; "model.layers.0.mlp.weight" ], m.Keys |> List.ofSeq)
    Assert.Equal<string list>([ for n in [ "a"; "b" ] -> $"{n}: lm_head.weight is the same as {embedding}, to which its config.json ties it, and is left out" ], notes ran)
    // Once, so that it goes with one that has it once.
    folder temp "b" tied two None
    let _, m = merged temp merge
    Assert.Equal<string list>([ embedding; "model.layers.0.mlp.weight" ], m.Keys |> List.ofSeq)
    // Not tied, two copies are two tensors.
    folder temp "a" untied one (Some one)
    folder temp "b" untied two (Some two)
    let _, m = merged temp merge
    Assert.Equal<float[]>(m[embedding], m["lm_head.weight"])

[<Fact>]
let ``copies that differ are two tensors, with a warning`` () =
    use temp = new TempFolder()
    folder temp "a" tied one (Some [ 1.0; 2.0; 3.0; 4.5 ])
    folder temp "b" tied two None
    let ran = runWith (optionsOf uncached) temp.Path merge
    Assert.Equal<(string * string) list>(
        [ "TVA0540", $"a has a lm_head.weight that is not its {embedding}, though its config.json ties them: they are taken as two tensors" ],
        ran.Diagnostics |> List.map (fun d -> d.Code, d.Message))
    Assert.Equal<float[]>([| 1.5; 3.0; 4.5; 6.25 |], (read (temp.File "m.safetensors"))["lm_head.weight"])

[<Fact>]
let ``models that don't meet stay as they are`` () =
    use temp = new TempFolder()
    folder temp "a" tied one None
    folder temp "b" untied two (Some three)
    let ran = runOk temp.Path "a = model(\"a\")\nb = model(\"b\")\npoint(2 * raw(a)) |> save(\"m.safetensors\")\npoint(2 * raw(b)) |> save(\"n.safetensors\")"
    Assert.False((read (temp.File "m.safetensors")).ContainsKey "lm_head.weight")
    Assert.Empty(notes ran)

[<Fact>]
let ``a stack made before its model met another is what it was`` () =
    use temp = new TempFolder()
    folder temp "a" tied one None
    folder temp "b" untied two (Some three)
    runOk temp.Path "a = model(\"a\")\ns = stack(a, a)\nm = 0.5 * a + 0.5 * model(\"b\")\nt = stack(a, m)\ns |> save(\"s.safetensors\")\nt |> save(\"t.safetensors\")" |> ignore
    let s, t = read (temp.File "s.safetensors"), read (temp.File "t.safetensors")
    Assert.False(s.ContainsKey "lm_head.weight")
    Assert.Equal<float[]>(Array.ofList one, t["lm_head.weight"])
    Assert.Equal<float[]>([| 11.0; 1.0 |], s["model.layers.1.mlp.weight"])
    Assert.Equal<float[]>([| 11.5; 1.0 |], t["model.layers.1.mlp.weight"])

[<Fact>]
let ``a configuration that is no JSON is a fault where it is asked`` () =
    use temp = new TempFolder()
    folder temp "a" "{ no" one None
    folder temp "b" untied two (Some three)
    match findings temp.Path merge with
    | [ "TVA0501", fault; "TVA0502", _ ] -> Assert.Contains("config.json: is no JSON", fault)
    | other -> Assert.Fail $"{other}"
    // Nobody asks.
    runOk temp.Path "a = model(\"a\")\na |> save(\"m.safetensors\")" |> ignore

[<Fact>]
let ``the configuration that goes along says that the output layer is no embedding`` () =
    for config in [ tied; "{ \"model_type\": \"llama\" }"; "{ \"text_config\": { \"tie_word_embeddings\": true } }" ] do
        use temp = new TempFolder()
        folder temp "a" config one None
        folder temp "b" untied two (Some three)
        runOk temp.Path "a = model(\"a\")\nb = model(\"b\")\n0.5 * a + 0.5 * b |> save(\"m\")" |> ignore
        let says name =
            use json = System.Text.Json.JsonDocument.Parse(File.ReadAllText(temp.File $"{name}/config.json"))
            let find (e: System.Text.Json.JsonElement) = match e.TryGetProperty "tie_word_embeddings" with | true, v -> Some(v.GetBoolean()) | _ -> None
            match json.RootElement.TryGetProperty "text_config" with
            | true, text when (find text).IsSome -> find text
            | _ -> find json.RootElement
        Assert.Equal(Some false, says "m")
