/// F# functions of scalars as operators: what they compute against the same functions run by .NET, and that they become the same kernels
/// as the same thing written in TVA.
module Tva.Scripting.Tests.ElementwiseTests

open System
open System.IO
open Tva.Core.Devices
open Tva.Dsl
open Xunit
open Tva.Dsl.Tests.Scripts
open Tva.Scripting.Tests.Support

let private soft = "def soft(x: Delta, k: Scalar): Delta = fs \"fun x k -> float32 (sign x) * max (abs x - k) 0.0f\"\n"

[<Theory>]
[<InlineData("fun x k -> float32 (sign x) * max (abs x - k) 0.0f", "sign(x) * max(abs(x) - k, 0)")>]
[<InlineData("fun x k -> float (sign x) * max (abs x - k) 0.0", "sign(x) * max(abs(x) - k, 0)")>]
[<InlineData("fun x k -> if abs x > k then x else 0.1f * x", "where(abs(x) > k, x, 0.1 * x)")>]
[<InlineData("fun x k -> if abs x > k then x else 0.1 * x", "where(abs(x) > k, x, 0.1 * x)")>]
[<InlineData("fun x k -> let y = x * x in y * k + Math.Sqrt y", "{ y = x * x; y * k + sqrt(y) }")>]
[<InlineData("fun x k -> x |> abs |> sqrt |> fun y -> y ** k", "sqrt(abs(x)) ^ k")>]
[<InlineData("fun x k -> if x > 0.0f && x < k || x = 1.0f then tanh x else -(exp x)", "where((x > 0 and x < k) or x == 1, tanh(x), -exp(x))")>]
[<InlineData("fun (x: float32) (k: float32) -> MathF.Min(x, k) + pown x 3", "min(x, k) + x ^ 3")>]
[<InlineData("fun x k -> match k with 0.0 -> x | 1.0 -> -x | _ -> floor x", "where(k == 0, x, where(k == 1, -x, floor(x)))")>]
let ``the same kernel as in TVA`` (fsharp: string) (tva: string) =
    // A parameter keeps k from being known, so that nothing is folded away.
    let text body = $"def f(x: Delta, k: Scalar): Delta = {body}\nk = norm(B)\npoint(f(A, k)) |> save(\"out/x.safetensors\")"
    let ours = kernels (text $"fs \"{fsharp}\"")
    Assert.NotEmpty ours
    Assert.Equal<Tva.Core.Kernels.KernelProgram list>(kernels (text tva), ours)

[<Fact>]
let ``it fuses with what stands around it, and goes over families`` () =
    let merged body = $"def f(x: Delta, k: Scalar): Delta = {body}\nbase + 0.3 * sum(f(tasks, 0.001)) |> save(\"out/x.safetensors\")"
    let ours = kernels (merged "fs \"fun x k -> float32 (sign x) * max (abs x - k) 0.0f\"")
    Assert.Equal<Tva.Core.Kernels.KernelProgram list>(kernels (merged "sign(x) * max(abs(x) - k, 0)"), ours)

let private helpers =
    "fs \"\"\"
let sq x : float32 = x * x
let inline cube x = x * x * x
let limit = 0.25f
let blend (a: float32, b: float32) = 0.75f * a + b / 4.0f
let shrink (k: float32) x = if abs x < k then 0.0f else x
let both = sq >> sqrt
let tiny () = 1e-6f
\"\"\"
"

/// Functions of x and k = 0.01 with the same thing in float64.
let private cases: (string * (float -> float -> float)) list =
    [ "fun x k -> float32 (sign x) * max (abs x - k) 0.0f", fun x k -> float (sign x) * max (abs x - k) 0.0
      "fun x k -> if x > k then x elif x < -k then -x else 0.5 * x", fun x k -> if x > k then x elif x < -k then -x else 0.5 * x
      "fun x k -> sq x + cube k", fun x k -> x * x + k * k * k
      "fun x _ -> blend (x, limit)", fun x _ -> 0.75 * x + 0.0625
      "fun x k -> shrink k x", fun x k -> if abs x < k then 0.0 else x
      "fun x k -> x |> shrink k |> both", fun x k -> (if abs x < k then 0.0 else abs x)
      "fun x k -> tanh (x / k) + sin x * cos k - exp x", fun x k -> tanh (x / k) + sin x * cos k - exp x
      "fun x _ -> log (abs x + tiny ()) / log10 (abs x + 1.5f)", fun x _ -> log (abs x + 1e-6) / log10 (abs x + 1.5)
      "fun x k -> let a, b = x + k, x - k in a * b", fun x k -> (x + k) * (x - k)
      "fun x k -> let f y = y * k + 1.0f in f (f x)", fun x k -> (x * k + 1.0) * k + 1.0
      "fun x k -> match x > k, x < 0.0 with | true, _ -> 1.0 | _, true -> -1.0 | _ -> 0.0", fun x k -> if x > k then 1.0 elif x < 0.0 then -1.0 else 0.0
      "fun x k -> float32 (int (x / k)) + floor (x / k) + ceil (x / k) + truncate (x / k)", fun x k ->
          let q = float (float32 x / float32 k)
          truncate q + floor q + ceil q + truncate q
      "fun x k -> float (int (x * 1000.0) / 3 + int (x * 1000.0) % 3)", fun x _ -> (let i = int (float32 x * 1000.0f) in float (i / 3 + i % 3))
      "fun x k -> Math.Clamp(x, -k, k) + Math.Max(x, k) + Math.Pow(Math.Abs x, 1.5)", fun x k -> Math.Clamp(x, -k, k) + max x k + Math.Pow(abs x, 1.5)
      "fun x k -> (x, k) ||> fun a b -> a - b", fun x k -> x - k
      "fun x _ -> if Double.IsNaN x || not (x = x) then infinity else pown x 2", fun x _ -> x * x
      "fun x -> function 0.0f -> x | k -> x - k", fun x k -> x - k ]

[<Fact>]
let ``functions compute what .NET computes`` () =
    use temp = new TempFolder()
    let text =
        heading + helpers
        + String.Join("\n", cases |> List.mapi (fun i (code, _) -> $"def f{i}(x: Delta, k: Scalar): Delta = fs \"{code}\"\npoint(f{i}(A, 0.01)) |> save(\"{temp.File(string i)}.safetensors\", dtype = \"f32\")"))
    let ran = runText text
    Assert.Empty(ran.Diagnostics |> List.map _.Message)
    let origin, tuned = load (Path.Combine(examples, "zoo/base.safetensors")), load (Path.Combine(examples, "zoo/tasks/digits.safetensors"))
    for i, (code, reference) in List.indexed cases do
        let found = load (temp.File(string i) + ".safetensors")
        for KeyValue(name, (info, values)) in found do
            if Tva.Core.Tensors.DTypes.IsFloating info.DType then
                let x = Array.map2 (fun (a: float) b -> float (float32 a - float32 b)) (snd tuned[name]) (snd origin[name])
                for j in 0 .. values.Length - 1 do
                    let expected = reference x[j] (float 0.01f)
                    Assert.True(abs (values[j] - expected) <= 2e-5 * max 0.01 (abs expected), $"{code} at {x[j]}: {values[j]}, not {expected}")

let devices =
    match [ for d in DeviceCatalog.Devices do if isNull d.Unusable then d.Id ] with
    | [] -> [ [| box "(none)" |] ]
    | ids -> [ for id in ids -> [| box id |] ]

/// The bytes are the CPU's where the device rounds as it does; elsewhere each step may be an ulp off, which tanh x / k and such carry on.
[<Theory>]
[<MemberData(nameof devices)>]
let ``every device computes what the CPU computes`` (device: string) =
    Assert.SkipWhen((device = "(none)"), $"no device: {DeviceCatalog.Missing()}")
    use temp = new TempFolder()
    let save (folder: string) =
        [ for i, code in List.indexed ((cases |> List.map fst) @ [ "fun x _ -> round (x * 100.0f)"; "fun x k -> x % (k * 0.3f)"; "fun x k -> 7.5f % (x * k)" ]) do
              $"def f{i}(x: Delta, k: Scalar): Delta = fs \"{code}\""
              $"point(f{i}(A, 0.01)) |> save(\"{temp.File folder}{i}.safetensors\", dtype = \"f32\")" ]
    for folder, options in [ "here", options; "there", options.WithDevice device ] do
        let ran = runWith options examples (heading + helpers + String.Join("\n", save folder))
        Assert.Empty(ran.Diagnostics |> List.map _.Message)
    let exact = (DeviceCatalog.Find device).Exact
    for file in Directory.GetFiles(temp.Path, "here*") do
        let here, there = load file, load (file.Replace("here", "there"))
        for KeyValue(name, (info, values)) in here do
            for x, y in Array.zip values (snd there[name]) do
                let near = if exact then 0.0 else 1e-5 * max 0.01 (abs x)
                Assert.True((x.Equals y || abs (x - y) <= near), $"{Path.GetFileName file}, {name}: {x} on the CPU, {y} on {device}")

/// To the bit: where a result could be near and wrong.
[<Theory>]
[<InlineData("fun x -> round x")>]
[<InlineData("fun x -> MathF.Round x")>]
[<InlineData("fun x -> x % 0.3f")>]
[<InlineData("fun x -> x % -1e10f")>]
[<InlineData("fun x -> 7.5f % x")>]
[<InlineData("fun x -> truncate x")>]
[<InlineData("fun x -> ceil x")>]
let ``rounding and remainders are .NET's`` (code: string) =
    let reference: float32 -> float32 =
        match code with
        | "fun x -> round x" | "fun x -> MathF.Round x" -> MathF.Round
        | "fun x -> x % 0.3f" -> fun x -> x % 0.3f
        | "fun x -> x % -1e10f" -> fun x -> x % -1e10f
        | "fun x -> 7.5f % x" -> fun x -> 7.5f % x
        | "fun x -> truncate x" -> MathF.Truncate
        | _ -> MathF.Ceiling
    let random = Random 5
    let values =
        [| yield! [ 0.0f; -0.0f; 0.5f; -0.5f; 1.5f; 2.5f; -2.5f; 0.49999997f; -0.49999997f; 8388607.5f; 8388609.0f; 16777217.0f; 1e10f; -3e38f; nanf; infinityf; -infinityf; 1e-45f ]
           for _ in 1..4000 -> BitConverter.Int32BitsToSingle(random.Next(Int32.MinValue, Int32.MaxValue)) |]
    let checkpoint = new Tva.Core.Checkpoints.MemoryCheckpoint("m", [ Tva.Core.Checkpoints.MemoryTensor.Of<float32>("w", ReadOnlyMemory values, int64 values.Length) ])
    use evaluator = new Evaluator(options.WithVariable checkpoint)
    let text = $"def f(x: Delta): Delta = fs \"{code}\"\npoint(f(raw(m))) |> save(\"memory:out\", dtype = \"f32\")"
    let result = evaluator.RunAsync(text).Result
    Assert.True(result.Succeeded, result.Check.Messages)
    let found = result.Models["out"].ToArray<float32> "w"
    for x, y in Array.zip values found do
        let expected = reference x
        Assert.True((Single.IsNaN expected && Single.IsNaN y) || BitConverter.SingleToInt32Bits expected = BitConverter.SingleToInt32Bits y, $"{code} at {x}: {y}, not {expected}")

[<Fact>]
let ``on numbers it is a number, with a truth a truth`` () =
    let text =
        "def f(a: Scalar, b: Scalar): Scalar = fs \"fun a b -> a * b + 1.0\"\n"
        + "def g(a: Scalar, on: Bool): Scalar = fs \"fun a on -> if on then a else -a\"\n"
        + "def h(a: Scalar): Bool = fs \"fun a -> a > 2.0\"\n"
        + "print(f(2, 3), g(1, 2 > 1), g(1, false), h(3), f([1, 2], 10))"
    Assert.Equal<Shown list>(
        [ Shown.Number 7.0; Shown.Number 1.0; Shown.Number -1.0; Shown.Truth true; Shown.List [ Shown.Number 11.0; Shown.Number 21.0 ] ],
        shown text)

[<Fact>]
let ``a large helper written out again and again stays one instruction each`` () =
    let twice = String.Join("\n", [ for i in 1..40 -> $"let f{i} x = f{i - 1} x + f{i - 1} (x + 0.0f)" ])
    let text = $"fs \"\"\"\nlet f0 (x: float32) = x\n{twice}\n\"\"\"\ndef f(x: Delta): Delta = fs \"fun x -> f8 x\"\n"
    Assert.Empty(mistakes (heading + text))
    let found = mistakes (heading + text.Replace("-> f8 x", "-> f40 x"))
    Assert.True((found.Length = 1), $"%A{found}")
    Assert.Contains("more than", (fst found.Head).Message)
