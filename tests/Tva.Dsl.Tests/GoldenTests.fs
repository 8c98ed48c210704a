/// Merges against the outputs of other tools: tests/golden/merge-f32 and merge-bf16.
module Tva.Dsl.Tests.GoldenTests

open System
open System.IO
open System.Text.Json
open Tva.Dsl
open Tva.Tests
open Xunit
open Tva.Dsl.Tests.Scripts

/// The case's parameters as the field names them, in TVA. `F` is the family, `models` the list, `base` the base.
let internal script (case: JsonElement) =
    let p = case.GetProperty "params"
    let models = [ for m in case.GetProperty("models").EnumerateArray() -> string (m.GetString()) ]
    let number (name: string) = p.GetProperty(name).GetRawText()
    let weights = if fst (p.TryGetProperty "weights") then p.GetProperty("weights").GetRawText() else "1"
    let t = lazy number "t"
    let density = lazy number "density"
    let lambda = lazy number "lambda"
    let normalize = lazy number "normalize"
    let gamma = lazy number "gamma"
    let select = lazy number "select_topk"
    let epsilon = lazy number "epsilon"
    let alpha = lazy number "alpha"
    let r = lazy number "r"
    let steps = lazy number "max_iter"
    let tol = lazy number "tol"
    let expression =
        match string (case.GetProperty("method").GetString()) with
        | "task_arithmetic" when p.GetProperty("normalize").GetBoolean() -> $"base + {lambda.Value} * weighted(F, W) / sum(W)"
        | "task_arithmetic" -> $"base + {lambda.Value} * weighted(F, W)"
        | "linear" -> $"average(models, weights = W, normalize = {normalize.Value})"
        | "slerp" -> $"slerp(models_0, models_1, {t.Value})"
        | "ties" -> $"base + {lambda.Value} * ties(F, density = {density.Value}, weights = W, normalize = {normalize.Value})"
        | "breadcrumbs" -> $"base + {lambda.Value} * breadcrumbs(F, {density.Value}, {gamma.Value}, W)"
        | "breadcrumbs_ties" -> $"base + {lambda.Value} * breadcrumbs_ties(F, {density.Value}, {gamma.Value}, W)"
        | "nuslerp" when p.GetProperty("base_origin").GetBoolean() -> "base + nuslerp(models_0 - base, models_1 - base, W)"
        | "nuslerp" -> "nuslerp(models_0, models_1, W)"
        | "multislerp" when p.GetProperty("base_origin").GetBoolean() -> "base + multislerp(F, W)"
        | "multislerp" -> "multislerp(models, W)"
        | "model_stock" when p.GetProperty("filter_wise").GetBoolean() -> "base + model_stock(F, by = \"row\")"
        | "model_stock" -> "base + model_stock(F)"
        | "sce" -> $"base + sce(F, {select.Value})"
        | "nearswap" -> $"base + nearswap(models_0 - base, {t.Value})"
        | "arcee_fusion" -> "fusion(base, models_0)"
        | "ram" -> $"base + ram(F, {epsilon.Value})"
        | "karcher" -> $"karcher(models, {steps.Value}, {tol.Value})"
        | "ramplus_tl" -> $"base + ram_plus(F, {r.Value}, {alpha.Value}, {epsilon.Value})"
        | other -> failwith $"no script for {other}"
    let load i m = $"models_{i} = model(\"{m}.safetensors\")"
    String.Join(
        "\n",
        [ "base = model(\"base.safetensors\")"
          yield! models |> List.mapi load
          "models = [" + String.Join(", ", models |> List.mapi (fun i _ -> $"models_{i}")) + "]"
          "F = family([" + String.Join(", ", models |> List.map (fun m -> $"\"{m}.safetensors\"")) + "], base)"
          $"W = {weights}"
          $"{expression} |> save(\"OUT\")" ]
    )

let cases =
    [ for folder in [ "merge-f32"; "merge-bf16" ] do
          for name, _ in Golden.cases (Path.Combine(golden, folder)) do
              [| box folder; box name |] ]

[<Theory>]
[<MemberData(nameof cases)>]
let ``a merge agrees with the tool it is known from`` (folder: string) (name: string) =
    use temp = new TempFolder()
    let home = Path.Combine(golden, folder)
    let case = Golden.case home name
    let out = temp.File "out.safetensors"
    let ran = run home ((script case).Replace("OUT", out))
    Assert.Empty ran.Diagnostics
    Golden.compare home case out

[<Fact>]
let ``the zoo's cosines are those measured with PyTorch`` () =
    let text = "b = model(\"zoo/base.safetensors\")\nsimilarity(family({ a: \"zoo/tasks/shapes.safetensors\", b: \"zoo/tasks/digits.safetensors\", c: \"zoo/tasks/letters.safetensors\" }, b))"
    let ran = run examples text
    let table = ran.Events |> List.pick (function Event.Shown(_, [ Shown.Table t ]) -> Some t | _ -> None)
    use document = JsonDocument.Parse(File.ReadAllText(Path.Combine(examples, "zoo", "results.json")))
    let cosine = document.RootElement.GetProperty "cosine"
    // results.json was computed in float32, in the order shapes, digits, letters, ...
    for i, (_, row) in List.indexed table.Rows do
        for j, v in List.indexed row do
            Assert.Equal((cosine[i][j]).GetDouble(), v, 5e-6)
