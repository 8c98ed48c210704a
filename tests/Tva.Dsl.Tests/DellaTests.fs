/// Ranks, dropping by them, and DELLA, against float64 loops and a scalar generator written here.
module Tva.Dsl.Tests.DellaTests

open System
open System.IO
open System.Text
open Tva.Core.Tensors
open Tva.Dsl
open Xunit
open Tva.Dsl.Tests.Scripts

let private names = [ "arrows"; "digits"; "letters" ]

let private heading =
    let tasks = names |> List.map (fun n -> $"\"zoo/tasks/{n}.safetensors\"")
    "base = model(\"zoo/base.safetensors\")\nF = family([" + String.Join(", ", tasks) + "], base)\nA = F.digits\none = family([\"zoo/tasks/digits.safetensors\"], base)\n"

let private zoo name = load (Path.Combine(examples, "zoo", name))
let private origin = lazy zoo "base.safetensors"
let private delta name =
    zoo $"tasks/{name}.safetensors" |> Map.map (fun tensor (_, values) -> Array.map2 (fun x y -> float (float32 x - float32 y)) values (snd origin.Value[tensor]))
let private members = lazy (names |> List.map delta)
let private a = lazy members.Value[1]

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

/// (position - 1)/(n - 1) in each run of so many, by value, then index.
let ranks (length: int) (values: float[]) =
    values
    |> Array.chunkBySize length
    |> Array.collect (fun row ->
        let ranks = Array.zeroCreate<float> row.Length
        row |> Array.indexed |> Array.sortBy (fun (i, v) -> v, i) |> Array.iteri (fun k (i, _) -> ranks[i] <- if row.Length = 1 then 0.5 else float k / float (row.Length - 1))
        ranks)

let private rowLength name = int (fst origin.Value[name]).Shape.RowLength

let private rankBySize name (values: float[]) = values |> Array.map abs |> ranks (rowLength name)

/// Philox4x32-10 (SC11), keyed and laid out as the language promises: element i is word i % 64 / 16 of counter i / 64 * 16 + i % 16.
let uniform (seed: int64) (tensor: string) =
    let hash = (0xcbf29ce484222325UL, Encoding.UTF8.GetBytes tensor) ||> Array.fold (fun h b -> (h ^^^ uint64 b) * 0x100000001b3UL)
    let mix shift factor x = (x ^^^ (x >>> shift)) * factor
    let key = hash ^^^ (uint64 seed * 0x9e3779b97f4a7c15UL) |> mix 30 0xbf58476d1ce4e5b9UL |> mix 27 0x94d049bb133111ebUL |> fun x -> x ^^^ (x >>> 31)
    fun (i: int) ->
        let counter = uint64 (i / 64 * 16 + i % 16)
        let mutable x, y, z, w = uint32 counter, uint32 (counter >>> 32), 0u, 0u
        let mutable k0, k1 = uint32 key, uint32 (key >>> 32)
        for _ in 1..10 do
            let p, q = 0xd2511f53UL * uint64 x, 0xcd9e8d57UL * uint64 z
            let x', y', z', w' = uint32 (q >>> 32) ^^^ y ^^^ k0, uint32 q, uint32 (p >>> 32) ^^^ w ^^^ k1, uint32 p
            x <- x'
            y <- y'
            z <- z'
            w <- w'
            k0 <- k0 + 0x9e3779b9u
            k1 <- k1 + 0xbb67ae85u
        float ([| x; y; z; w |].[i % 64 / 16] >>> 8) / 16777216.0

/// MagPrune of a tensor of that name and row length.
let magpruned density epsilon seed rescale (name: string) width (values: float[]) =
    let u = uniform seed name
    let p = ranks width (Array.map abs values) |> Array.map (fun r -> density - epsilon + 2.0 * epsilon * r)
    let masked = values |> Array.mapi (fun i v -> if u i < 1.0 - p[i] then 0.0 else v)
    let by (size: float[] -> float) =
        let before, after = size values, size masked
        if before < 1e-7 || after < 1e-7 then masked else masked |> Array.map (fun v -> v * before / after)
    match rescale with
    | "l1" -> by (Array.sumBy abs)
    | "l2" -> by (Array.sumBy (fun v -> v * v) >> sqrt)
    | "linf" -> by (Array.map abs >> Array.max)
    | "density" -> Array.map2 (/) masked p
    | _ -> masked

let private pruned density epsilon seed rescale = Map.map (fun name values -> magpruned density epsilon seed rescale name (rowLength name) values)

let private combine (f: float list -> float) (ds: Map<string, float[]> list) =
    ds.Head |> Map.map (fun name v -> Array.init v.Length (fun i -> f [ for d in ds -> d[name].[i] ]))

[<Fact>]
let ``a rank is the place in the row or the tensor, ascending, the lower index first`` () =
    equal 1e-7 (a.Value |> Map.map (fun name v -> ranks (rowLength name) v)) (result "rank(A)")
    equal 1e-7 (a.Value |> Map.map rankBySize) (result "rank(abs(A))")
    equal 1e-7 (a.Value |> Map.map (fun _ v -> ranks v.Length v)) (result "rank(A, by = \"tensor\")")
    // Of equal values, zeros here, the order is the index's.
    let kept = result "trim(A, 0.1)"
    equal 1e-7 (kept |> Map.map rankBySize) (result "rank(abs(trim(A, 0.1)))")
    // What is ranked may hold a rank itself, and numbers of rows.
    let inner = a.Value |> Map.map (fun name v -> (let r = rankBySize name v in Array.map2 (fun x r -> float (float32 x * float32 r)) v r))
    equal 1e-6 (inner |> Map.map (fun name v -> ranks (rowLength name) v)) (result "rank(rank(abs(A)) * A)")
    // Elements of a row all the same, so the whole tensor's order is the rows' by norm.
    let norms = result "norm(A, by = \"row\") * (0 * A + 1)"
    equal 1e-7 (norms |> Map.map (fun _ v -> ranks v.Length v)) (result "rank(norm(A, by = \"row\") * (0 * A + 1), by = \"tensor\")")

[<Theory>]
[<InlineData("l1")>]
[<InlineData("l2")>]
[<InlineData("linf")>]
[<InlineData("density")>]
[<InlineData("none")>]
let ``della drops by rank, rescales, elects and divides`` (rescale: string) =
    let weights = [ 1.0; 2.0; 0.5 ]
    let kept = members.Value |> List.mapi (fun i d -> pruned 0.4 0.2 (7L + int64 i) rescale d)
    let elected (values: float list) =
        let weighted = List.map2 (*) weights values
        let sign = if List.sum weighted >= 0.0 then 1.0 else -1.0
        let agreeing = List.zip weights values |> List.filter (fun (_, v) -> v * sign > 0.0)
        let divisor = agreeing |> List.sumBy fst
        let total = agreeing |> List.sumBy (fun (w, v) -> w * v)
        total, (if divisor < 1e-8 then total else total / divisor)
    let options = $"0.4, epsilon = 0.2, seed = 7, weights = [1, 2, 0.5], rescale = \"{rescale}\""
    equal 1e-5 (combine (elected >> snd) kept) (result $"della(F, {options})")
    equal 1e-5 (combine (elected >> fst) kept) (result $"della(F, {options}, normalize = false)")
    equal 1e-5 (combine (fun v -> List.sum (List.map2 (*) weights v)) kept) (result $"della_linear(F, {options})")
    equal 1e-5 (combine (fun v -> List.sum (List.map2 (*) weights v) / 3.5) kept) (result $"della_linear(F, {options}, normalize = true)")

[<Fact>]
let ``larger elements are kept more often, by as much as they should`` () =
    // Ten shares of the ranks: each is kept with the mean of its probabilities, within four standard deviations.
    let kept = result "drop(0 * A + 1, 1 - (0.5 - 0.3 + 0.6 * rank(abs(A))), 3)"
    let pairs = [| for KeyValue(name, v) in a.Value do yield! Array.zip (rankBySize name v) kept[name] |]
    for tenth in 0..9 do
        let some = pairs |> Array.filter (fun (r, _) -> min 9 (int (10.0 * r)) = tenth)
        let p = some |> Array.averageBy (fun (r, _) -> 0.2 + 0.6 * r)
        let share = some |> Array.averageBy snd
        Assert.InRange(share, p - 4.0 * sqrt (p * (1.0 - p) / float some.Length), p + 4.0 * sqrt (p * (1.0 - p) / float some.Length))

[<Fact>]
let ``rescaled element by element, pruning is unbiased`` () =
    // The mean of 64 draws of every element, compared over all of them: its χ² is the number of elements, within five standard deviations.
    let draws = 64
    let text = String.Join(", ", [ for s in 1..draws -> $"della_linear(one, 0.5, 0.3, {s}, 1, \"density\")" ])
    let mean = result $"(1 / {draws}) * sum([{text}])"
    let terms =
        [| for KeyValue(name, v) in a.Value do
               let p = rankBySize name v |> Array.map (fun r -> 0.2 + 0.6 * r)
               for i in 0 .. v.Length - 1 do
                   if v[i] <> 0.0 then
                       let off = (mean[name].[i] / v[i] - 1.0)
                       off, off * off / ((1.0 / p[i] - 1.0) / float draws) |]
    let n = float terms.Length
    // The mean of all elements' errors has the standard deviation of one over the square root of their number.
    Assert.InRange(terms |> Array.averageBy fst, -5.0 * sqrt (1.7 / float draws / n), 5.0 * sqrt (1.7 / float draws / n))
    Assert.InRange(terms |> Array.averageBy snd, 1.0 - 5.0 * sqrt (3.0 / n), 1.0 + 5.0 * sqrt (3.0 / n))

[<Fact>]
let ``a density of one keeps all`` () =
    equal 0.0 (result "weighted(F)") (result "della_linear(F, 1)")

[<Theory>]
[<InlineData(1, 4194304L)>]
[<InlineData(2, 16777216L)>]
[<InlineData(5, 1073741824L)>]
let ``the same bytes whatever the threads and the memory`` (threads: int) (memory: int64) =
    use temp = new TempFolder()
    let text out =
        heading + $"base + della(F, 0.5, seed = 4) + trim(rank(A, by = \"tensor\") * A, 0.3) + norm(rank(A), by = \"row\") * A |> save(\"{out}\")"
    let bytes settings (out: string) =
        let ran = runWith (optionsOf settings) examples (text out)
        Assert.Empty(ran.Diagnostics |> List.map _.Message)
        let whole = File.ReadAllBytes out
        whole[8 + int (BitConverter.ToInt64(whole, 0)) ..]
    let standard = bytes RunSettings.Default (temp.File "standard.safetensors")
    Assert.Equal<byte[]>(standard, bytes { RunSettings.Default with Threads = threads; Memory = memory } (temp.File "other.safetensors"))
