/// What is written without being computed: narrower types, integers.
module Tva.Dsl.Tests.StoredTests

open System
open Tva.Core
open Tva.Dsl
open Xunit
open Tva.Dsl.Tests.Scripts
open Tva.Dsl.Tests.Written

[<Theory>]
[<InlineData("f16", 70000.0)>]
[<InlineData("f8_e4m3", 500.0)>]
[<InlineData("f8_e5m2", 70000.0)>]
let ``what a narrower type can't hold is told of a plain copy`` (dtype: string, value: float) =
    use temp = new TempFolder()
    save (temp.File "x.safetensors") [ f32 "w" [ 3 ] [ 1.0; value; 2.0 ] ]
    let text = $"model(\"x.safetensors\") |> save(\"y.safetensors\", dtype = \"{dtype}\")"
    let what = if dtype = "f8_e4m3" then "NaN" else "infinite"
    let warned = (run temp.Path text).Events |> List.choose (function Event.Warned w -> Some w | _ -> None)
    Assert.Equal<string list>([ $"{temp.Path}/y.safetensors: tensor `w` has 1 {what} elements" ], warned)
    // As wide as it was: infinite elements are the input's, and told of there.
    save (temp.File "z.safetensors") [ f32 "w" [ 2 ] [ 1.0; infinity ] ]
    let warned = (run temp.Path "model(\"z.safetensors\") |> save(\"y.safetensors\")").Events |> List.choose (function Event.Warned w -> Some w | _ -> None)
    Assert.Equal<string list>([ $"{temp.Path}/z.safetensors: tensor `w` has 1 infinite elements" ], warned)

[<Fact>]
let ``integers that differ are the base's where no task vector reaches`` () =
    use temp = new TempFolder()
    let write name n w = save (temp.File name) [ f32 "bn.weight" [ 2 ] w; i64 "bn.num_batches_tracked" [ 1 ] [ n ] ]
    write "base.safetensors" 100L [ 1.0; 2.0 ]
    write "a.safetensors" 150L [ 3.0; 2.0 ]
    let heading = "base = model(\"base.safetensors\")\nA = delta(\"a.safetensors\", base)\n"
    for text in [ "base + 0.5 * A[\"*weight\"]"; "base + 0.5 * A[not \"bn.num_batches_tracked\"]" ] do
        let ran = run temp.Path (heading + text + " |> save(\"out.safetensors\")")
        Assert.Equal(Some Outcome.Completed, ran.Outcome)
        let found = bytesOf (temp.File "out.safetensors")
        Assert.Equal<byte[]>(BitConverter.GetBytes 100L, (let _, _, bytes = found["bn.num_batches_tracked"] in bytes))
        Assert.Equal<byte[]>(Array.collect (fun (x: float32) -> BitConverter.GetBytes x) [| 2.0f; 2.0f |], (let _, _, bytes = found["bn.weight"] in bytes))
    let fault = Assert.Throws<FaultException>(fun () -> run temp.Path (heading + "base + 0.5 * A |> save(\"out.safetensors\")") |> ignore)
    Assert.Contains("A[not \"bn.num_batches_tracked\"]", fault.Message)
