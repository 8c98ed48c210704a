/// Names with something in front of them, as training on several cards leaves them.
module Tva.Dsl.Tests.PrefixTests

open Tva.Dsl
open Xunit
open Tva.Dsl.Tests.Scripts
open Tva.Dsl.Tests.Written

let private a, b = [ 1.0; 2.0; 3.0; 4.0 ], [ 5.0; 7.0; 11.0; 13.0 ]

let private write (temp: TempFolder) =
    let file (name: string) (prefix: string) values = save (temp.File name) [ f32 (prefix + "layers.0.w") [ 2; 2 ] values; f32 (prefix + "norm") [ 2 ] (List.truncate 2 values) ]
    file "base.safetensors" "" a
    file "cards/one.safetensors" "module." b
    file "cards/two.safetensors" "module." a
    file "other.safetensors" "module._orig_mod." b
    save (temp.File "both.safetensors") [ f32 "x" [ 1 ] [ 1.0 ]; f32 "module.x" [ 1 ] [ 2.0 ] ]

let private codes (temp: TempFolder) text = (run temp.Path ("base = model(\"base.safetensors\")\n" + text)).Diagnostics |> List.map (fun d -> d.Code, defaultArg d.Help "")

[<Fact>]
let ``a prefix is taken off the names`` () =
    use temp = new TempFolder()
    write temp
    let text =
        "base = model(\"base.safetensors\")\n"
        + "base + 0.5 * delta(\"cards/one.safetensors\", base, prefix = \"module.\") |> save(\"d.safetensors\")\n"
        + "0.5 * base + 0.5 * model(\"other.safetensors\", prefix = \"module._orig_mod.\") |> save(\"m.safetensors\")\n"
        + "base + 0.5 * sum(family(\"cards/*\", base, prefix = \"module.\")) |> save(\"f.safetensors\")"
    Assert.Empty((run temp.Path text).Diagnostics |> List.filter (fun d -> d.Severity = Severity.Error))
    let want = [| for x, y in List.zip a b -> 0.5 * (x + y) |]
    for name in [ "d"; "m"; "f" ] do
        let got = load (temp.File $"{name}.safetensors") |> Map.map (fun _ (_, values) -> values)
        Assert.Equal<Map<string, float[]>>(Map [ "layers.0.w", want; "norm", Array.truncate 2 want ], got)

[<Fact>]
let ``a prefix in the way is named, and one that isn't there too`` () =
    use temp = new TempFolder()
    write temp
    let way = "the names of one begin with `module.` and are the other's otherwise: load that file with `prefix = \"module.\"`, which takes it off"
    Assert.Equal<(string * string) list>([ "TVA0507", way ], codes temp "delta(\"cards/one.safetensors\", base)")
    Assert.Equal<(string * string) list>([ "TVA0502", way ], codes temp "model(\"cards/one.safetensors\") - base")
    Assert.Equal<(string * string) list>([ "TVA0543", "they are called module.layers.0.w, module.norm" ], codes temp "model(\"cards/one.safetensors\", prefix = \"model.\")")
    Assert.Equal<(string * string) list>([ "TVA0544", "give a longer prefix" ], codes temp "model(\"both.safetensors\", prefix = \"module.\")")
