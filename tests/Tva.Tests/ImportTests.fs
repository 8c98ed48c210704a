/// What imported configurations make, against mergekit's own outputs and its rules evaluated here in float64.
module Tva.Tests.ImportTests

open System
open System.IO
open System.Text.Json
open Tva
open Xunit

let private home = Repository.path "tests/golden/merge-f32"
let private zoo = Repository.path "examples/zoo"

/// Imports a configuration, runs the script and gives what it saved.
let private merged (temp: TempFolder) (folder: string) (config: string) =
    let yml = temp.Write("merge.yml", config)
    // The script's paths are relative to it, and the configuration's to the working folder.
    let imported = Command.runIn folder "" [ "import"; yml; "-o"; temp.File "merge.tva" ]
    Assert.True((imported.Status = 0), imported.Error + config)
    let ran = Command.runIn temp.Path "" [ "run"; "merge.tva"; "--threads"; "2" ]
    Assert.True((ran.Status = 0), ran.Error + File.ReadAllText(temp.File "merge.tva"))
    imported.Error, temp.File "merge.safetensors"

/// A reference case as mergekit has it: its `params` under the names of the configuration.
let private config (case: JsonElement) =
    let methodName = Golden.text (case.GetProperty "method")
    let models = [ for m in case.GetProperty("models").EnumerateArray() -> Golden.text m ]
    let given = [ for p in case.GetProperty("params").EnumerateObject() -> p.Name, p.Value ]
    let perModel = [ "density"; "gamma" ]
    let weights = given |> List.tryFind (fst >> (=) "weights") |> Option.map snd
    let measured = given |> List.tryFind (fst >> (=) "base_origin") |> Option.map (fun (_, v) -> v.GetBoolean())
    let hasBase = defaultArg measured (not (List.contains methodName [ "linear"; "karcher" ]))
    String.Join(
        "\n",
        [ $"merge_method: {methodName}"
          "models:"
          // These two are between their two models, and one of them is the base.
          for i, m in List.indexed models do
              $"  - model: {m}.safetensors"
              let own =
                  [ match weights with
                    | Some w -> $"      weight: {w[i].GetRawText()}"
                    | None -> ()
                    for name, v in given do
                        if List.contains name perModel then
                            $"      {name}: {v.GetRawText()}" ]
              if not own.IsEmpty then
                  "    parameters:"
                  yield! own
          if methodName = "slerp" then $"base_model: {models.Head}.safetensors"
          elif hasBase then "base_model: base.safetensors"
          "dtype: float32"
          let all =
              [ for name, v in given do
                    if not (List.contains name ("weights" :: "base_origin" :: perModel)) then
                        let name = if name = "flatten" then "nuslerp_flatten" else name
                        $"  {name}: {v.GetRawText().ToLowerInvariant()}" ]
          if not all.IsEmpty then
              "parameters:"
              yield! all ]
    )

let cases () =
    let data = TheoryData<string>()
    for name, _ in Golden.cases home do
        data.Add name
    data

[<Theory>]
[<MemberData(nameof cases)>]
let ``an imported merge agrees with mergekit`` (name: string) =
    use temp = new TempFolder()
    let case = Golden.case home name
    let warnings, out = merged temp home (config case)
    let saved = temp.File "merge.tva"
    Assert.Equal($"saved {saved}\n", warnings)
    Golden.compare home case out

// Gradients and filters, as mergekit's evaluate_setting has them

/// The first entry whose filter is in the name; a list of numbers is gone along with t from 0 at a slice's first layer to 1 at its last.
let private evaluate (cases: (string option * float list) list) (tensor: string) (t: float) =
    let _, values = cases |> List.find (fun (filter, _) -> match filter with Some f -> tensor.Contains f | None -> true)
    let scaled = t * float (values.Length - 1)
    let i = int scaled
    let j = min (values.Length - 1) (i + 1)
    let part = scaled - float i
    (1.0 - part) * values[i] + part * values[j]

/// t of a tensor of a network of so many layers; tensors of no layer have 0.
let private position (layers: int) (tensor: string) =
    match tensor.Split '.' |> Array.tryFind (fun p -> p |> Seq.forall Char.IsDigit) with
    | Some n -> float n / float (layers - 1)
    | None -> 0.0

let private setting (indent: string) name (cases: (string option * float list) list) =
    let numbers (v: float list) = if v.Length = 1 then string v.Head else "[" + String.Join(", ", v) + "]"
    match cases with
    | [ None, v ] -> [ $"{indent}{name}: {numbers v}" ]
    | _ ->
        $"{indent}{name}:"
        :: [ for filter, v in cases do
                 match filter with
                 | Some f -> $"{indent}  - filter: {f}"; $"{indent}    value: {numbers v}"
                 | None -> $"{indent}  - value: {numbers v}" ]

let private values (path: string) = Golden.load path |> Map.map (fun _ (_, v) -> v)

let private near (tolerance: float) (expected: Map<string, float[]>) (actual: Map<string, float[]>) =
    Assert.Equal<string list>(List.map fst (Map.toList expected), List.map fst (Map.toList actual))
    for KeyValue(name, want) in expected do
        let largest = want |> Array.map abs |> Array.max
        for i in 0 .. want.Length - 1 do
            if abs (want[i] - actual[name][i]) > tolerance * largest then
                Assert.Fail $"{name}[{i}]: {actual[name][i]} instead of {want[i]}"

let private settings: (string * (string option * float list) list * (string option * float list) list) list =
    [ "a gradient", [ None, [ 0.0; 0.5; 0.2 ] ], [ None, [ 1.0; 0.1 ] ]
      "a gradient longer than the network", [ None, [ 0.0; 1.0; 0.0; 1.0; 0.3; 0.7 ] ], [ None, [ 0.25 ] ]
      "filters", [ Some "qkv", [ 0.4 ]; Some "fc", [ 0.7 ]; Some "fc_proj", [ 9.0 ]; None, [ 0.5 ] ], [ Some "ln", [ 0.1 ]; None, [ 0.2 ] ]
      "filters with gradients", [ Some "ln", [ 0.3; 0.9 ]; Some "qkv", [ 0.0; 1.0 ]; None, [ 0.5; 0.6; 0.1 ] ], [ None, [ 0.3 ] ]
      "an entry that hides what follows", [ Some "attn", [ 3.0 ]; None, [ 0.5 ]; Some "qkv", [ 0.9 ] ], [ None, [ -0.3 ] ] ]

let gradients () =
    let data = TheoryData<string>()
    for name, _, _ in settings do
        data.Add name
    data

[<Theory>]
[<MemberData(nameof gradients)>]
let ``coefficients vary as in mergekit`` (name: string) =
    use temp = new TempFolder()
    let _, first, second = settings |> List.find (fun (n, _, _) -> n = name)
    let text =
        String.Join(
            "\n",
            [ "merge_method: task_arithmetic"
              "base_model: base.safetensors"
              "models:"
              "  - model: tasks/digits.safetensors"
              "    parameters:"
              yield! setting "      " "weight" first
              "  - model: tasks/letters.safetensors"
              "parameters:"
              yield! setting "  " "weight" second ]
        )
    let _, out = merged temp zoo text
    let origin = values (Path.Combine(zoo, "base.safetensors"))
    let digits = values (Path.Combine(zoo, "tasks/digits.safetensors"))
    let letters = values (Path.Combine(zoo, "tasks/letters.safetensors"))
    let expected =
        origin |> Map.map (fun tensor v ->
            let t = position 4 tensor
            let a, b = evaluate first tensor t, evaluate second tensor t
            Array.init v.Length (fun i -> v[i] + a * (digits[tensor][i] - v[i]) + b * (letters[tensor][i] - v[i])))
    near 1e-6 expected (values out)

[<Fact>]
let ``t of slerp varies by filter and layer`` () =
    use temp = new TempFolder()
    let cases = [ Some "qkv", [ 0.0; 0.5; 0.3; 0.7; 1.0 ]; Some "fc", [ 1.0; 0.0 ]; None, [ 0.5; 0.25 ] ]
    let text =
        String.Join(
            "\n",
            [ "slices:"
              "  - sources:"
              "      - {model: tasks/digits.safetensors, layer_range: [0, 4]}"
              "      - {model: tasks/letters.safetensors, layer_range: [0, 4]}"
              "merge_method: slerp"
              "base_model: tasks/letters.safetensors"
              "parameters:"
              yield! setting "  " "t" cases ]
        )
    let _, out = merged temp zoo text
    // The base stands at t = 0, wherever it is among the sources.
    let a = values (Path.Combine(zoo, "tasks/letters.safetensors"))
    let b = values (Path.Combine(zoo, "tasks/digits.safetensors"))
    let expected =
        a |> Map.map (fun tensor x ->
            let y = b[tensor]
            let t = evaluate cases tensor (position 4 tensor)
            let dot = Array.sum (Array.map2 (*) x y) / sqrt (Array.sumBy (fun v -> v * v) x * Array.sumBy (fun v -> v * v) y)
            if abs dot > 0.9995 then Array.map2 (fun x y -> (1.0 - t) * x + t * y) x y
            else
                let theta = acos dot
                Array.map2 (fun x y -> (sin ((1.0 - t) * theta) * x + sin (t * theta) * y) / sin theta) x y)
    near 1e-5 expected (values out)

[<Fact>]
let ``densities of each model vary, and a trim that is rescaled keeps its L1 norm`` () =
    use temp = new TempFolder()
    let cases = [ Some "qkv", [ 0.2 ]; None, [ 0.6; 0.9 ] ]
    let text =
        String.Join(
            "\n",
            [ "merge_method: ties"
              "base_model: base.safetensors"
              "models:"
              "  - model: tasks/digits.safetensors"
              "    parameters: {weight: 1}"
              "parameters:"
              "  rescale: true"
              yield! setting "  " "density" cases ]
        )
    let _, out = merged temp zoo text
    let origin = values (Path.Combine(zoo, "base.safetensors"))
    let digits = values (Path.Combine(zoo, "tasks/digits.safetensors"))
    let expected =
        origin |> Map.map (fun tensor v ->
            let delta = Array.map2 (fun (x: float) (y: float) -> float (float32 x - float32 y)) digits[tensor] v
            let kept = int (evaluate cases tensor (position 4 tensor) * float v.Length)
            let threshold = if kept = 0 then infinity else (delta |> Array.map abs |> Array.sortDescending)[kept - 1]
            let cut = delta |> Array.map (fun x -> if abs x >= threshold then x else 0.0)
            let scale = Array.sumBy abs delta / max (Array.sumBy abs cut) 1e-7
            Array.map2 (fun x d -> x + scale * d) v cut)
    near 1e-5 expected (values out)

[<Fact>]
let ``slices that are the whole network are merged whole`` () =
    let merge (text: string) =
        use temp = new TempFolder()
        let _, out = merged temp zoo text
        values out
    let sources a b =
        $"  - sources:\n      - model: tasks/digits.safetensors\n        layer_range: [{a}, {b}]\n        parameters: {{weight: 0.7}}\n      - model: tasks/letters.safetensors\n        layer_range: [{a}, {b}]\n        parameters: {{weight: 0.4}}\n"
    let expected = merge "merge_method: linear\nmodels:\n  - model: tasks/digits.safetensors\n    parameters: {weight: 0.7}\n  - model: tasks/letters.safetensors\n    parameters: {weight: 0.4}\n"
    Assert.Equal<Map<string, float[]>>(expected, merge ("merge_method: linear\nslices:\n" + sources 0 4))
    Assert.Equal<Map<string, float[]>>(expected, merge ("merge_method: linear\nslices:\n" + sources 0 1 + sources 1 4))

[<Theory>]
[<InlineData(0.5, 0.05)>]
[<InlineData(0.93, 0.2)>]
[<InlineData(1.0, 0.2)>]
let ``breadcrumbs drop outliers as far as the density leaves room`` (density: float, gamma: float) =
    use temp = new TempFolder()
    let text = $"merge_method: breadcrumbs\nbase_model: base.safetensors\nmodels:\n  - model: tasks/digits.safetensors\n    parameters: {{weight: 0.5, density: {density}, gamma: {gamma}}}\nparameters: {{normalize: false}}\n"
    let _, out = merged temp zoo text
    let origin, digits = values (Path.Combine(zoo, "base.safetensors")), values (Path.Combine(zoo, "tasks/digits.safetensors"))
    let expected =
        origin |> Map.map (fun tensor v ->
            let delta = Array.map2 (fun (x: float) (y: float) -> float (float32 x - float32 y)) digits[tensor] v
            let n = delta.Length
            // mergekit's magnitude_outliers: what lacks at the bottom stays at the top.
            let kept, top = int (density * float n), int (gamma * float n)
            let top = if n - kept - top < 0 then n - kept else top
            let order = Array.init n id |> Array.sortBy (fun i -> -(abs delta[i]), i)
            let stay = order[top .. top + kept - 1] |> Set.ofArray
            Array.init n (fun i -> v[i] + (if stay.Contains i then 0.5 * delta[i] else 0.0)))
    near 1e-6 expected (values out)

/// The zoo's network with an embedding before its layers: the class token under a name that tells so.
let private withEmbedding (temp: TempFolder) name =
    let out = temp.File name
    let source = Golden.load (Path.Combine(zoo, "tasks", name))
    let renamed = source |> Map.toList |> List.map (fun (n, (info, v)) -> (if n = "cls" then "embed.weight" else n), info, v)
    let mutable at = 0
    let entries =
        [ for n, info: Tva.Core.Tensors.TensorInfo, v in renamed ->
              let first = at
              at <- at + 4 * v.Length
              $"\"{n}\":{{\"dtype\":\"F32\",\"shape\":[{String.Join(',', info.Shape.Dims)}],\"data_offsets\":[{first},{at}]}}" ]
    let header = Text.Encoding.UTF8.GetBytes("{" + String.Join(",", entries) + "}")
    let data = renamed |> List.map (fun (_, _, v) -> v |> Array.collect (fun x -> BitConverter.GetBytes(float32 x)))
    File.WriteAllBytes(out, Array.concat [ BitConverter.GetBytes(int64 header.Length); header; yield! data ])

[<Fact>]
let ``slices of unequal length give the embedding of the first and the rest of the last`` () =
    use temp = new TempFolder()
    for name in [ "digits.safetensors"; "letters.safetensors" ] do
        withEmbedding temp name
    let sources a b w =
        $"  - sources:\n      - model: digits.safetensors\n        layer_range: [{a}, {b}]\n        parameters: {{weight: {w}}}\n      - model: letters.safetensors\n        layer_range: [{a}, {b}]\n        parameters: {{weight: 1}}\n"
    let _, out = merged temp temp.Path ("merge_method: linear\nslices:\n" + sources 0 1 "3.0" + sources 1 4 "0.25")
    let digits, letters = values (temp.File "digits.safetensors"), values (temp.File "letters.safetensors")
    let mean (w: float) name = Array.map2 (fun x y -> (w * x + y) / (w + 1.0)) digits[name] letters[name]
    let expected = digits |> Map.map (fun name _ -> mean (if name = "embed.weight" || name.StartsWith "blocks.0." then 3.0 else 0.25) name)
    near 1e-6 expected (values out)

[<Fact>]
let ``weights of a mean that vary by layer are divided by their sum there`` () =
    use temp = new TempFolder()
    let first, second = [ None, [ 0.25; 1.0; 0.5 ] ], [ Some "qkv", [ 2.0; 0.5 ]; None, [ 0.75 ] ]
    let text =
        String.Join(
            "\n",
            [ "merge_method: linear"
              "models:"
              for name, w in [ "digits", first; "letters", second ] do
                  $"  - model: tasks/{name}.safetensors"
                  "    parameters:"
                  yield! setting "      " "weight" w ]
        )
    let _, out = merged temp zoo text
    let a, b = values (Path.Combine(zoo, "tasks/digits.safetensors")), values (Path.Combine(zoo, "tasks/letters.safetensors"))
    let expected =
        a |> Map.map (fun tensor x ->
            let t = position 4 tensor
            let v, w = evaluate first tensor t, evaluate second tensor t
            Array.map2 (fun x y -> (v * x + w * y) / (v + w)) x b[tensor])
    near 1e-6 expected (values out)

[<Fact>]
let ``merges of several documents go on with each other`` () =
    use temp = new TempFolder()
    let text =
        "merge_method: linear\nmodels:\n  - model: soup\n    parameters: {weight: 3}\n  - model: tasks/arrows.safetensors\n    parameters: {weight: 1}\n"
        + "---\nname: soup\nmerge_method: linear\nmodels:\n  - model: tasks/digits.safetensors\n  - model: tasks/letters.safetensors\nparameters: {weight: 1.0}\n"
    let _, out = merged temp zoo text
    let of' name = values (Path.Combine(zoo, $"tasks/{name}.safetensors"))
    let a, b, c = of' "digits", of' "letters", of' "arrows"
    let expected = a |> Map.map (fun t v -> Array.init v.Length (fun i -> 0.375 * v[i] + 0.375 * b[t][i] + 0.25 * c[t][i]))
    near 1e-6 expected (values out)

[<Fact>]
let ``a scaled passthrough is the model with those tensors scaled`` () =
    use temp = new TempFolder()
    let _, out = merged temp zoo "merge_method: passthrough\nmodels:\n  - model: tasks/digits.safetensors\n    parameters:\n      scale:\n        - {filter: fc_proj, value: 0}\n"
    let expected = values (Path.Combine(zoo, "tasks/digits.safetensors")) |> Map.map (fun t v -> if t.Contains "fc_proj" then Array.map (fun _ -> 0.0) v else v)
    Assert.Equal<Map<string, float[]>>(expected, values out)
