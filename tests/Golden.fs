/// Comparison with the outputs of other tools in tests/golden, for every test project that makes them.
module Tva.Tests.Golden

open System
open System.IO
open System.Text.Json
open Tva.Core.Checkpoints
open Tva.Core.Tensors
open Xunit

let private toFloats (t: TensorInfo) (bytes: byte[]) =
    match t.DType with
    | DType.F32 -> Array.init (bytes.Length / 4) (fun i -> float (BitConverter.ToSingle(bytes, 4 * i)))
    | DType.BF16 -> Array.init (bytes.Length / 2) (fun i -> float (BitConverter.UInt32BitsToSingle(uint32 (BitConverter.ToUInt16(bytes, 2 * i)) <<< 16)))
    | other -> failwith $"the test does not read {other}"

/// All tensors of a checkpoint as numbers, by plain conversion.
let load (path: string) =
    use c = Checkpoint.Open path
    [ for t in c.Tensors do
          let bytes = Array.zeroCreate<byte> (int t.Bytes)
          c.Read(t, 0L, bytes)
          t.Name, (t, toFloats t bytes) ]
    |> Map.ofList

let text (e: JsonElement) = string (e.GetString())

/// The cases of a folder by name.
let cases (home: string) =
    use document = JsonDocument.Parse(File.ReadAllText(Path.Combine(home, "cases.json")))
    [ for case in document.RootElement.GetProperty("cases").EnumerateArray() do
          text (case.GetProperty "name"), case.Clone() ]

let case (home: string) (name: string) = cases home |> List.find (fst >> (=) name) |> snd

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

/// Asserts that a file holds what the case expects, within what tests/golden allows.
let compare (home: string) (case: JsonElement) (out: string) =
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
