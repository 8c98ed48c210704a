/// What the language computes, against float64 loops written here over the same files.
module Tva.Dsl.Tests.MeaningTests

open System
open System.IO
open Tva.Core.Tensors
open Tva.Dsl
open Xunit
open Tva.Dsl.Tests.Scripts

let private heading =
    "base = model(\"zoo/base.safetensors\")\ntasks = family(\"zoo/tasks/*.safetensors\", base)\n"
    + "A = tasks.digits\nB = tasks.letters\n"

let private zoo name = load (Path.Combine(examples, "zoo", name))
let private origin = lazy zoo "base.safetensors"
let private delta name =
    zoo $"tasks/{name}.safetensors" |> Map.map (fun tensor (_, values) -> Array.map2 (fun x y -> float (float32 x - float32 y)) values (snd origin.Value[tensor]))
let private a = lazy delta "digits"
let private b = lazy delta "letters"
let private all (d: Map<string, float[]>) = d |> Map.toSeq |> Seq.collect snd |> Array.ofSeq
let private dot x y = Array.fold2 (fun s p q -> s + p * q) 0.0 x y
let private norm x = sqrt (dot x x)
let private number text = Scripts.number examples (heading + text)

let private near (expected: float) (actual: float) =
    Assert.True(abs (expected - actual) <= 1e-6 * max 1e-12 (abs expected), $"{expected} expected, {actual} found")

[<Fact>]
let ``reductions over the whole model`` () =
    let x, y = all a.Value, all b.Value
    near (norm x) (number "norm(A)")
    near (dot x y) (number "dot(A, B)")
    near (dot x y / (norm x * norm y)) (number "cosine(A, B)")
    near (Array.sumBy abs x) (number "l1(A)")
    near (x |> Array.map abs |> Array.max) (number "max_abs(A)")
    near (Array.sumBy abs x / float x.Length) (number "mean_abs(A)")
    near (dot x x / float x.Length) (number "mean_square(A)")
    near (float x.Length) (number "numel(A)")
    near (x |> Array.filter ((<>) 0.0) |> Array.length |> float) (number "nonzero(A)")

[<Fact>]
let ``a quantile is linear between its neighbours`` () =
    let sorted = Array.sort (all a.Value)
    let at = 0.3 * float (sorted.Length - 1)
    let low = int (floor at)
    near (sorted[low] + (at - floor at) * (sorted[low + 1] - sorted[low])) (number "quantile(A, 0.3)")

[<Fact>]
let ``reductions by tensor and layer`` () =
    let rows text =
        (run examples (heading + text)).Events
        |> List.pick (function Event.Shown(_, [ Shown.Table t ]) -> Some t.Rows | _ -> None)
    for name, values in rows "norm(A, by = \"tensor\")" do
        near (norm a.Value.[name]) values.Head
    let layer (name: string) =
        match name.Split '.' |> Array.tryFind (fun p -> p |> Seq.forall Char.IsDigit) with
        | Some n -> $"layer {n}"
        | None -> "no layer"
    let byLayer = a.Value |> Map.toSeq |> Seq.groupBy (fst >> layer) |> Map.ofSeq
    for label, values in rows "norm(A, by = \"layer\")" do
        near (byLayer[label] |> Seq.collect snd |> Array.ofSeq |> norm) values.Head

/// A saved Delta's tensors.
let private result (expression: string) =
    use temp = new TempFolder()
    let out = temp.File "d.safetensors"
    let ran = run examples (heading + $"{expression} |> save(\"{out}\")")
    Assert.Empty(ran.Diagnostics |> List.map _.Message)
    load out |> Map.map (fun _ (_, values) -> values)

let private equal (tolerance: float) (expected: Map<string, float[]>) (actual: Map<string, float[]>) =
    for KeyValue(name, want) in expected do
        let largest = max 1e-30 (want |> Array.map abs |> Array.max)
        Array.iter2 (fun (w: float) (g: float) -> Assert.True(abs (w - g) <= tolerance * largest, $"{name}: {w} expected, {g} found")) want actual[name]

let private map2 f (x: Map<string, float[]>) (y: Map<string, float[]>) = x |> Map.map (fun name v -> Array.map2 f v y[name])

[<Fact>]
let ``trim keeps int(density n) of the largest, the lower index first`` () =
    let trimmed (values: float[]) =
        let keep = int (0.3 * float values.Length)
        let order = Array.init values.Length id |> Array.sortBy (fun i -> -(abs values[i]), i) |> Array.truncate keep |> Set.ofArray
        values |> Array.mapi (fun i v -> if order.Contains i then v else 0.0)
    equal 0.0 (a.Value |> Map.map (fun _ v -> trimmed v)) (result "trim(A, 0.3)")
    // A share of what is left of those 0.3.
    let again (values: float[]) =
        let keep = int (0.4 * float (values |> Array.filter ((<>) 0.0) |> Array.length))
        let order = Array.init values.Length id |> Array.sortBy (fun i -> -(abs values[i]), i) |> Array.truncate keep |> Set.ofArray
        values |> Array.mapi (fun i v -> if order.Contains i then v else 0.0)
    equal 0.0 (a.Value |> Map.map (fun _ v -> again (trimmed v))) (result "trim(trim(A, 0.3), 0.4, of = \"nonzero\")")

[<Fact>]
let ``elementwise operators and functions`` () =
    equal 2e-6 (map2 (fun x y -> x * 2.0 + y / 3.0 - x * y) a.Value b.Value) (result "2*A + B/3 - A*B")
    equal 1e-6 (map2 (fun x y -> if abs x > abs y then x else y) a.Value b.Value) (result "where(abs(A) > abs(B), A, B)")
    equal 1e-6 (a.Value |> Map.map (fun _ v -> v |> Array.map (fun x -> exp (x * 10.0)))) (result "exp(10*A)")
    equal 2e-6 (a.Value |> Map.map (fun _ v -> v |> Array.map (fun x -> float (sign x) * sqrt (abs x)))) (result "sign(A) * sqrt(abs(A))")
    equal 1e-6 (a.Value |> Map.map (fun _ v -> v |> Array.map (fun x -> max -0.001 (min 0.002 x)))) (result "clamp(A, -0.001, 0.002)")
    equal 1e-6 (map2 (fun x y -> if x > 0.0 && not (y > 0.0) then 1.0 else 0.0) a.Value b.Value) (result "A > 0 and not (B > 0)")
    equal 1e-6 (a.Value |> Map.map (fun _ v -> v |> Array.map (fun x -> x ** 3.0))) (result "A ^ 3")

[<Fact>]
let ``members combine element by element`` () =
    let three = "family({ a: \"zoo/tasks/digits.safetensors\", b: \"zoo/tasks/letters.safetensors\", c: \"zoo/tasks/arrows.safetensors\" }, base)"
    let c = delta "arrows"
    let map3 f = a.Value |> Map.map (fun name v -> Array.init v.Length (fun i -> f v.[i] b.Value.[name].[i] c.[name].[i]))
    equal 0.0 (map3 (fun x y z -> max (min x y) (min (max x y) z))) (result $"median({three})")
    equal 0.0 (map3 (fun x y z -> min x (min y z))) (result $"min({three})")
    let square x = x * x
    equal 1e-6 (map3 (fun x y z -> (let m = (x + y + z) / 3.0 in square (x - m) + square (y - m) + square (z - m)))) (result $"scatter({three})")
    // Members that are equal have none, to the last bit, wherever they lie.
    equal 0.0 (map3 (fun _ _ _ -> 0.0)) (result "scatter([A, A, A])")
    equal 1e-6 (map3 (fun x y z -> 0.5 * x - y + 2.0 * z)) (result $"sum([0.5, -1, 2] * {three})")
    equal 0.0 (map3 (fun x y z -> [ x; y; z ] |> List.filter (fun v -> v > 0.0) |> List.length |> float)) (result $"count({three} > 0)")

[<Fact>]
let ``a ramp goes from the first layer to the last`` () =
    let factor (name: string) =
        match name.Split '.' |> Array.tryFind (fun p -> p |> Seq.forall Char.IsDigit) with
        | Some n -> float n / 3.0
        | None -> if name.StartsWith "ln." then 1.0 else 0.0
    equal 1e-6 (a.Value |> Map.map (fun name v -> v |> Array.map (fun x -> factor name * x))) (result "ramp(0, 1) * A")

[<Fact>]
let ``tensors of no layer take what a ramp says for outside`` () =
    let factor (name: string) =
        match name.Split '.' |> Array.tryFind (fun p -> p |> Seq.forall Char.IsDigit) with
        | Some n -> float n / 3.0
        | None -> 0.25
    equal 1e-6 (a.Value |> Map.map (fun name v -> v |> Array.map (fun x -> factor name * x))) (result "ramp(0, 1, outside = 0.25) * A")

[<Fact>]
let ``records are coefficients in a list and of any function`` () =
    let factor (name: string) = if name.Contains "qkv" then 0.5 else 0.25
    let expected = a.Value |> Map.map (fun name v -> Array.map2 (fun x y -> factor name * x + 2.0 * y) v b.Value.[name])
    let record = "{ \"*qkv*\": 0.5, else: 0.25 }"
    equal 1e-6 expected (result $"sum([{record}, 2] * family(A, B))")
    equal 1e-6 expected (result $"weighted(family(A, B), [{record}, 2])")
    let kept = a.Value |> Map.map (fun name v ->
        let threshold = (v |> Array.map abs |> Array.sortDescending)[int (factor name * float v.Length) - 1]
        v |> Array.map (fun x -> if abs x >= threshold then x else 0.0))
    equal 0.0 kept (result $"trim(A, {record})")

[<Fact>]
let ``a record of globs is a coefficient`` () =
    let factor (name: string) = if name.Contains ".qkv." then 0.4 elif name.Contains ".fc" then 0.7 else 0.5
    let text = "{ \"*.qkv.*\": 0.4, \"*.fc*\": 0.7, else: 0.5 } * A"
    equal 1e-6 (a.Value |> Map.map (fun name v -> v |> Array.map (fun x -> factor name * x))) (result text)

[<Fact>]
let ``by row, a number for each row of the last dimension`` () =
    let expected =
        a.Value
        |> Map.map (fun name v ->
            let shape = (fst origin.Value[name]).Shape
            let width = int shape.RowLength
            Array.init v.Length (fun i -> v[i] * norm v.[i / width * width .. i / width * width + width - 1]))
    equal 2e-6 expected (result "norm(A, by = \"row\") * A")

[<Fact>]
let ``a perpendicular part has no share in the other`` () =
    let coefficient = dot (all a.Value) (all b.Value) / dot (all b.Value) (all b.Value)
    equal 1e-5 (map2 (fun x y -> x - coefficient * y) a.Value b.Value) (result "perpendicular(A, B)")

[<Fact>]
let ``dropping is unbiased, by seed, and each member draws its own`` () =
    let share = number "nonzero(drop(A, 0.9, 1)) / numel(A)"
    // n = 136256 draws with p = 0.1: four standard deviations are 0.0033.
    Assert.InRange(share, 0.1 - 0.0033, 0.1 + 0.0033)
    near (number "norm(drop(A, 0.5, 7))") (number "norm(drop(A, 0.5, 7))")
    Assert.NotEqual(number "norm(drop(A, 0.5, 7))", number "norm(drop(A, 0.5, 8))")
    // Two independent halves share a quarter.
    let both = number "nonzero(drop(A, 0.5, 1) * drop(A, 0.5, 2)) / numel(A)"
    Assert.InRange(both, 0.25 - 0.005, 0.25 + 0.005)

[<Theory>]
[<InlineData(1, 4194304L)>]
[<InlineData(2, 16777216L)>]
[<InlineData(5, 1073741824L)>]
let ``the same bytes whatever the threads and the memory`` (threads: int) (memory: int64) =
    use temp = new TempFolder()
    let text out =
        heading
        + $"base + 0.3 * dare_ties(tasks, 0.5, seed = 4) + cosine(A, B) * ties(tasks) + norm(A, by = \"layer\") * perpendicular(A, B, by = \"row\") |> save(\"{out}\")"
    let bytes settings (out: string) =
        let ran = runWith (optionsOf settings) examples (text out)
        Assert.Empty(ran.Diagnostics |> List.map _.Message)
        let whole = File.ReadAllBytes out
        let start = 8 + int (BitConverter.ToInt64(whole, 0))
        whole[start..]
    let standard = bytes RunSettings.Default (temp.File "standard.safetensors")
    let other = bytes { RunSettings.Default with Threads = threads; Memory = memory } (temp.File "other.safetensors")
    Assert.Equal<byte[]>(standard, other)

/// Writes a checkpoint's tensors into so many shards with an index, by hand.
let private shard (count: int) (source: string) (folder: string) =
    Directory.CreateDirectory folder |> ignore
    use c = Tva.Core.Checkpoints.Checkpoint.Open source
    let files = c.Tensors |> Seq.indexed |> Seq.groupBy (fun (i, _) -> i % count) |> Seq.map (snd >> Seq.map snd >> List.ofSeq) |> List.ofSeq
    let name i = $"model-%05d{i + 1}-of-%05d{count}.safetensors"
    let map = ResizeArray<string>()
    for i, tensors in List.indexed files do
        let mutable at = 0L
        let entries =
            [ for t in tensors do
                  let dims = String.Join(",", t.Shape.Dims)
                  map.Add $"\"{t.Name}\":\"{name i}\""
                  $"\"{t.Name}\":{{\"dtype\":\"{t.DType.Name()}\",\"shape\":[{dims}],\"data_offsets\":[{at},{at + t.Bytes}]}}"
                  at <- at + t.Bytes ]
        let header = Text.Encoding.UTF8.GetBytes("{" + String.Join(",", entries) + "}")
        use out = File.Create(Path.Combine(folder, name i))
        out.Write(ReadOnlySpan(BitConverter.GetBytes(uint64 header.Length)))
        out.Write(ReadOnlySpan header)
        for t in tensors do
            let bytes = Array.zeroCreate<byte> (int t.Bytes)
            c.Read(t, 0L, bytes)
            out.Write(ReadOnlySpan bytes)
    File.WriteAllText(Path.Combine(folder, "model.safetensors.index.json"), "{\"weight_map\":{" + String.Join(",", map) + "}}")

[<Fact>]
let ``what is equal in all models stays as it is, to the last bit`` () =
    use temp = new TempFolder()
    File.Copy(Path.Combine(examples, "zoo", "base.safetensors"), temp.File "copy.safetensors")
    let out, two, same = temp.File "out.safetensors", temp.File "two.safetensors", temp.File "copy.safetensors"
    let copy = $"delta(\"{same}\", base)"
    let text = heading + $"c = {copy}\nbase + 0.3 * c + 0.7 * sum([c, 0.1 * c]) |> save(\"{out}\")"
    Assert.Empty (run examples text).Diagnostics
    for KeyValue(name, (_, values)) in load out do
        Assert.Equal<float[]>(snd origin.Value[name], values)
    let trained = heading + $"base + 0.3 * {copy} + 0.5 * A |> save(\"{two}\")"
    Assert.Empty (run examples trained).Diagnostics
    let expected = map2 (fun x d -> float (float32 x + 0.5f * float32 d)) (origin.Value |> Map.map (fun _ (_, v) -> v)) a.Value
    equal 0.0 expected (load two |> Map.map (fun _ (_, v) -> v))

[<Fact>]
let ``results that overflow or are no numbers are told, and refused when strict`` () =
    use temp = new TempFolder()
    let out = temp.File "out.safetensors"
    let text expression options = heading + $"{expression} |> save(\"{out}\"{options})"
    let warned (ran: Ran) = ran.Events |> List.filter _.IsWarned |> List.length
    Assert.True(warned (run examples (text "base + 1e9 * A" ", dtype = \"f16\"")) > 0)
    Assert.True(warned (run examples (text "point(sqrt(-raw(base)))" "")) > 0)
    Assert.Equal(0, warned (run examples (text "base + A" ", dtype = \"f16\"")))
    let strict = optionsOf { RunSettings.Default with Strict = true }
    let refused expression options =
        let e = Assert.Throws<Tva.Core.FaultException>(fun () -> runWith strict examples (text expression options) |> ignore)
        Assert.Contains("the result at", e.Message)
    File.Delete out
    refused "base + 1e9 * A" ", dtype = \"f16\""
    refused "point(sqrt(-raw(base)))" ""
    Assert.False(File.Exists out)

[<Theory>]
[<InlineData(1)>]
[<InlineData(3)>]
[<InlineData(17)>]
let ``the same values whatever the shards`` (count: int) =
    use temp = new TempFolder()
    let text (baseModel: string) (ft: string) (out: string) =
        $"base = model(\"{baseModel}\")\nA = delta(\"{ft}\", base)\n"
        + $"base + 0.3 * A + cosine(raw(base), A) * trim(A, 0.2, by = \"all\") + norm(A, by = \"layer\") * drop(A, 0.5, 3) |> save(\"{out}\")"
    let zoo name = Path.Combine(examples, "zoo", name)
    let whole, sharded = temp.File "whole.safetensors", temp.File "sharded.safetensors"
    shard count (zoo "base.safetensors") (temp.File "base")
    shard count (zoo "tasks/digits.safetensors") (temp.File "digits")
    Assert.Empty (run examples (text (zoo "base.safetensors") (zoo "tasks/digits.safetensors") whole)).Diagnostics
    Assert.Empty (run examples (text (temp.File "base") (temp.File "digits") sharded)).Diagnostics
    let tensors (path: string) =
        let all = File.ReadAllBytes path
        all[8 + int (BitConverter.ToInt64(all, 0)) ..]
    Assert.Equal<byte[]>(tensors whole, tensors sharded)

[<Fact>]
let ``coefficients by name, by layer and both`` () =
    let layer (name: string) = if name.StartsWith "blocks." then float (name.Split('.')[1]) else -1.0
    let scaled (share: string -> float) = a.Value |> Map.toSeq |> Seq.sumBy (fun (name, x) -> share name * share name * dot x x) |> sqrt
    near (scaled (fun n -> if n.Contains ".qkv." then 0.4 elif n.Contains ".fc." then 0.7 else 0.5)) (number "norm({ \"*.qkv.*\": 0.4, \"*.fc.*\": 0.7, else: 0.5 } * A)")
    // Four layers, so the schedule goes up by a third.
    near (scaled (fun n -> if n.Contains ".qkv." then layer n / 3.0 else 0.5)) (number "norm({ \"*.qkv.*\": ramp(0, 1), else: 0.5 } * A)")
    near (scaled (fun n -> if n.Contains ".qkv." then 1.0 - layer n / 3.0 elif n.Contains ".fc." then layer n / 3.0 * 0.6 else 0.5))
        (number "norm({ \"*.qkv.*\": ramp(1, 0), \"*.fc.*\": ramp(0, 0.6), else: 0.5 } * A)")
