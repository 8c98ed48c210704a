/// Merges that no other tool's output stands for, against float64 loops over the same files, as their papers have them.
module Tva.Dsl.Tests.DerivedTests

open System.IO
open Xunit
open Tva.Dsl.Tests.Places
open Tva.Dsl.Tests.Scripts

let private names = [ "digits"; "letters"; "arrows" ]

let private heading =
    "base = model(\"zoo/base.safetensors\")\n"
    + "F = family({ digits: \"zoo/tasks/digits.safetensors\", letters: \"zoo/tasks/letters.safetensors\", arrows: \"zoo/tasks/arrows.safetensors\" }, base)\n"

let private zoo name = load (Path.Combine(examples, "zoo", name)) |> Map.map (fun _ (info, values) -> info.Shape.Dims.Count, values)

/// Per tensor its number of dimensions and the members' differences, as float32 has them.
let private members =
    lazy
        (let origin = zoo "base.safetensors"
         let tasks = names |> List.map (fun n -> zoo $"tasks/{n}.safetensors")
         origin
         |> Map.map (fun tensor (rank, start) ->
             rank, [| for t in tasks -> Array.map2 (fun x y -> float (float32 x - float32 y)) (snd t[tensor]) start |]))

let private length (member': int) (f: float -> float) =
    members.Value |> Map.toSeq |> Seq.sumBy (fun (_, (_, d)) -> d[member'] |> Array.sumBy f)

/// A result that is known element by element from the members' entries there.
let private expectAt (tolerance: float) (expression: string) (expected: float[] -> float) =
    use temp = new TempFolder()
    let out = temp.File "d.safetensors"
    let ran = run examples (heading + $"{expression} |> save(\"{out}\")")
    Assert.Empty(ran.Diagnostics |> List.map _.Message)
    let got = load out
    for KeyValue(name, (_, d)) in members.Value do
        let want = Array.init d[0].Length (fun i -> expected [| for m in d -> m[i] |])
        let largest = want |> Array.map abs |> Array.fold max 1e-30
        Array.iter2 (fun (w: float) g -> Assert.True(abs (w - g) <= tolerance * largest, $"{expression}, {name}: {w} expected, {g} found")) want (snd got[name])

/// FedGMA: the sum, less where fewer than a share rho agree on the sign.
let agreed rho (x: float[]) =
    let agreement = abs (x |> Array.sumBy (sign >> float)) / float x.Length
    (if agreement >= rho then 1.0 else agreement) * Array.sum x

/// The largest magnitude; of equal ones the positive.
let farthest (x: float[]) = x |> Array.sortBy (fun v -> -(abs v), -v) |> Array.head

/// A member's mask: where the sum of all is nearer to it than nothing is.
let tall lambda (x: float[]) m = holds (abs x[m] > lambda * abs (Array.sum x - x[m]))

/// What EMR keeps of its one vector for a member.
let kept m (x: float[]) =
    let s = float (sign (Array.sum x))
    let unified = s * (x |> Array.map (fun v -> s * v) |> Array.fold max 0.0)
    holds (x[m] * unified > 0.0) * unified

[<Fact>]
let ``federated averages`` () =
    let steps = [| 10.0; 20.0; 60.0 |]
    // FedNova: the mean number of steps over a member's own, over the number of members.
    expectAt 1e-6 "fednova(F, [10, 20, 60])" (fun x -> Array.map2 (fun s v -> 30.0 / s * v / 3.0) steps x |> Array.sum)
    expectAt 2e-6 "fedgma(F, 0.8)" (agreed 0.8)
    let clips = [| for m in 0..2 -> min 1.0 (1.0 / sqrt (length m (fun v -> v * v))) |]
    Assert.Contains(clips, fun c -> c < 1.0)
    expectAt 2e-6 "cclip(F, 1)" (fun x -> Array.map2 (*) clips x |> Array.sum)

[<Fact>]
let ``the member of the largest magnitude`` () =
    expectAt 0.0 "magmax(F)" farthest

[<Theory>]
[<InlineData(0.4)>]
[<InlineData(1.0)>]
let ``masks of what matters to a member`` (lambda: float) =
    for m in 0..2 do
        expectAt 2e-6 $"tall(F, {lambda}).{names[m]}" (fun x -> tall lambda x m * Array.sum x)
    for least in 1..3 do
        expectAt 2e-6 $"tall_consensus(F, {least}, {lambda})" (fun x -> holds (Seq.sumBy (tall lambda x) [ 0..2 ] >= float least) * Array.sum x)

[<Fact>]
let ``one vector elected, masked and rescaled`` () =
    for m in 0..2 do
        let before = length m abs
        let after = members.Value |> Map.toSeq |> Seq.sumBy (fun (_, (_, d)) -> Seq.init d[0].Length (fun i -> abs (kept m [| for k in d -> k[i] |])) |> Seq.sum)
        Assert.True(after > before)
        expectAt 2e-6 $"emr(F).{names[m]}" (fun x -> before / after * kept m x)

[<Fact>]
let ``a bit for each element of a matrix`` () =
    use temp = new TempFolder()
    let out = temp.File "d.safetensors"
    let ran = run examples (heading + $"bitdelta(F.digits) |> save(\"{out}\")")
    Assert.Empty(ran.Diagnostics |> List.map _.Message)
    let got = load out
    for KeyValue(name, (rank, d)) in members.Value do
        let x = d[0]
        let mean = Array.averageBy abs x
        let want = if rank = 2 then x |> Array.map (fun v -> if v > 0.0 then mean else -mean) else x
        Array.iter2 (fun (w: float) g -> Assert.True(abs (w - g) <= 1e-6 * max 1e-30 mean, $"{name}: {w} expected, {g} found")) want (snd got[name])
    Assert.Contains(members.Value.Values, fun (rank, _) -> rank = 2)
