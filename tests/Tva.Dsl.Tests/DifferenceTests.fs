/// A difference of two models is a task vector over the one that is taken away, whichever way it is written.
module Tva.Dsl.Tests.DifferenceTests

open Tva.Dsl
open Xunit
open Tva.Dsl.Tests.Scripts
open Tva.Dsl.Tests.Written

let private matrix k = [ for i in 0..15 -> float ((i * 7 + k) % 11 - 5) / 8.0 ]
let private norms k = [ for i in 0..3 -> 1.0 + float ((i * 5 + k) % 7) / 8.0 ]

let private write (temp: TempFolder) =
    for name, k in [ "base", 0; "tuned", 3 ] do
        save (temp.File $"{name}.safetensors") [ f32 "layers.0.q.weight" [ 4; 4 ] (matrix k); f32 "norm.weight" [ 4 ] (norms k) ]
    save (temp.File "half.safetensors") [ bf16 "layers.0.q.weight" [ 4; 4 ] (matrix 0); bf16 "norm.weight" [ 4 ] (norms 0) ]

let differences =
    TheoryData<string, float>(
        [ struct ("tuned - base", 1.0)
          struct ("0.5 * (tuned - base)", 0.5)
          struct ("trim(tuned - base, 1)", 1.0)
          struct ("0.25 * tuned + 0.75 * base - base", 0.25)
          struct ("(base + 2 * (tuned - base)) - base", 2.0)
          struct ("delta(\"tuned.safetensors\", base)", 1.0) ]
    )

[<Theory>]
[<MemberData(nameof differences)>]
let ``an adapter keeps whole tensors as those of the base with the difference`` (text: string, k: float) =
    use temp = new TempFolder()
    write temp
    let ran = run temp.Path $"base = model(\"base.safetensors\")\ntuned = model(\"tuned.safetensors\")\n{text} |> save(\"out\", as = \"lora\", rank = 4)"
    Assert.Empty ran.Diagnostics
    let got = load (temp.File "out/adapter_model.safetensors") |> Map.map (fun _ (_, values) -> values)
    Assert.Equal<float[]>([| for b, t in List.zip (norms 0) (norms 3) -> b + k * (t - b) |], got["base_model.model.norm.weight"])

[<Theory>]
[<InlineData("tuned - half", "BF16")>]
[<InlineData("half - tuned", "F32")>]
[<InlineData("0.5 * half + 0.5 * tuned - half", "BF16")>]
let ``it is stored as the base is`` (text: string, dtype: string) =
    use temp = new TempFolder()
    write temp
    run temp.Path $"half = model(\"half.safetensors\")\ntuned = model(\"tuned.safetensors\")\n{text} |> save(\"out.safetensors\")" |> ignore
    for KeyValue(_, (info: Tva.Core.Tensors.TensorInfo, _)) in load (temp.File "out.safetensors") do
        Assert.Equal(dtype, string info.DType)
