/// Merges against the outputs of other tools: tests/golden/merge-f32 and merge-bf16.
module Tva.Dsl.Tests.GoldenTests

open System
open System.IO
open System.Text.Json
open Tva.Core.Tensors
open Tva.Dsl
open Xunit
open Tva.Dsl.Tests.Scripts

/// The case's parameters as the field names them, in TVA. `F` is the family, `models` the list, `base` the base.
let private script (case: JsonElement) =
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
          use document = JsonDocument.Parse(File.ReadAllText(Path.Combine(golden, folder, "cases.json")))
          for case in document.RootElement.GetProperty("cases").EnumerateArray() do
              [| box folder; box (string (case.GetProperty("name").GetString())) |] ]

/// Elements whose magnitude equals a trim's threshold, where not all of its equals are kept: that tool's sort is not stable, so
/// which of them it keeps is anybody's guess. Ours keeps the lower index; bfloat16 differences have many such ties.
let private tied (home: string) (case: JsonElement) =
    let read (name: string) = load (Path.Combine(home, name + ".safetensors"))
    let origin = read "base"
    let p = case.GetProperty "params"
    let density = p.GetProperty("density").GetDouble()
    // Breadcrumbs cuts twice: below the outliers, and above what is too small.
    let cuts (n: int) =
        match p.TryGetProperty "gamma" with
        | true, gamma -> (let top = int (gamma.GetDouble() * float n) in [ top; top + int (density * float n) ])
        | _ -> [ int (density * float n) ]
    let models = [ for m in case.GetProperty("models").EnumerateArray() -> read (string (m.GetString())) ]
    fun (tensor: string) ->
        Set.unionMany
            [ for m in models do
                  let magnitudes = Array.map2 (fun x y -> abs (float (float32 x - float32 y))) (snd m[tensor]) (snd origin[tensor])
                  for kept in cuts magnitudes.Length do
                      if kept > 0 then
                          let threshold = (Array.sortDescending magnitudes)[kept - 1]
                          if (magnitudes |> Array.filter (fun v -> v >= threshold) |> Array.length) > kept then
                              set [ for i in 0 .. magnitudes.Length - 1 do if magnitudes[i] = threshold then i ] ]

let private ulp (v: float) =
    // A unit in the last place of bfloat16: 8 significant bits.
    if v = 0.0 then 2.0 ** -133.0 else 2.0 ** (floor (Math.Log2(abs v)) - 7.0)

[<Theory>]
[<MemberData(nameof cases)>]
let ``a merge agrees with the tool it is known from`` (folder: string) (name: string) =
    use temp = new TempFolder()
    let home = Path.Combine(golden, folder)
    use document = JsonDocument.Parse(File.ReadAllText(Path.Combine(home, "cases.json")))
    let case = document.RootElement.GetProperty("cases").EnumerateArray() |> Seq.find (fun c -> c.GetProperty("name").GetString() = name)
    let out = temp.File "out.safetensors"
    let ran = run home ((script case).Replace("OUT", out))
    Assert.Empty ran.Diagnostics
    let expected = load (Path.Combine(home, string (case.GetProperty("expected").GetString())))
    let actual = load out
    Assert.Equal<string list>(expected |> Map.toList |> List.map fst, actual |> Map.toList |> List.map fst)
    let picks = List.contains (string (case.GetProperty("method").GetString())) [ "ties"; "breadcrumbs"; "breadcrumbs_ties" ]
    let free = if picks then tied home case else fun _ -> Set.empty
    for KeyValue(tensor, (info, want)) in expected do
        let gotInfo, got = actual[tensor]
        Assert.Equal(info.DType, gotInfo.DType)
        let largest = want |> Array.map abs |> Array.max
        let off i =
            match info.DType with
            | DType.BF16 -> abs (got[i] - want[i]) > 1.001 * ulp want[i]
            | _ -> abs (got[i] - want[i]) > 2e-5 * largest
        let free = free tensor
        let different = Seq.init want.Length id |> Seq.filter (fun i -> off i && not (free.Contains i)) |> Seq.length
        // Votes that cancel to nothing but rounding are the one other freedom: the reference's README allows 0.2 %.
        let allowed = if picks then max 2 (int (0.002 * float want.Length)) else 0
        Assert.True(different <= allowed, $"{tensor}: {different} of {want.Length} elements differ, {allowed} may")

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
