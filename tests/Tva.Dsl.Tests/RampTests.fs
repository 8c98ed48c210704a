/// Where tensors stand in a ramp, by their names.
module Tva.Dsl.Tests.RampTests

open Tva.Dsl
open Xunit
open Tva.Dsl.Tests.Scripts
open Tva.Dsl.Tests.Written

[<Fact>]
let ``tensors of no layer stand in a ramp where networks have them`` () =
    let first = [ "model.embed_tokens.weight"; "transformer.wte.weight"; "embeddings.norm.weight"; "visual.patch_embed.proj.weight"; "token_embd.weight"; "pre_layrnorm.weight"; "cls" ]
    let last =
        [ "lm_head.weight"; "model.norm.weight"; "transformer.ln_f.bias"; "gpt_neox.final_layer_norm.weight"; "embed_out.weight"; "output_norm.weight"; "output.weight"
          "backbone.norm_f.weight"; "model.final_layernorm.weight"; "vision_model.post_layernorm.weight"; "visual.ln_post.weight"; "visual.proj"; "score.weight"; "pooler.dense.weight" ]
    let layers = [ for i in 0..2 -> $"model.layers.{i}.mlp.weight" ]
    use temp = new TempFolder()
    save (temp.File "x.safetensors") [ for name in first @ last @ layers -> f32 name [ 1 ] [ 1.0 ] ]
    (run temp.Path "ramp(0, 1) * raw(model(\"x.safetensors\")) |> save(\"y.safetensors\")").Diagnostics |> Assert.Empty
    let got = load (temp.File "y.safetensors") |> Map.map (fun _ (_, values) -> Array.exactlyOne values)
    let expected = Map [ for name in first -> name, 0.0
                         for name in last -> name, 1.0
                         for i in 0..2 -> layers[i], float i / 2.0 ]
    Assert.Equal<Map<string, float>>(expected, got)

[<Fact>]
let ``each series of layers has a whole ramp`` () =
    use temp = new TempFolder()
    let names = [ for i in 0..3 -> $"model.layers.{i}.w" ] @ [ for i in 0..8 -> $"visual.blocks.{i}.mlp.0.w" ] @ [ "single.0.w" ]
    save (temp.File "x.safetensors") [ for name in names -> f32 name [ 1 ] [ 1.0 ] ]
    (run temp.Path "ramp(0, 1) * raw(model(\"x.safetensors\")) |> save(\"y.safetensors\")").Diagnostics |> Assert.Empty
    let got = load (temp.File "y.safetensors") |> Map.map (fun _ (_, values) -> Array.exactlyOne values)
    for i in 0..3 do
        Assert.Equal(float i / 3.0, got[$"model.layers.{i}.w"], 1e-7)
    for i in 0..8 do
        Assert.Equal(float i / 8.0, got[$"visual.blocks.{i}.mlp.0.w"], 1e-7)
    Assert.Equal(0.0, got["single.0.w"])
