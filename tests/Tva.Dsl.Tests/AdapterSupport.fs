/// What the tests of adapters share: PEFT folders and bases written by hand, and what they mean in float64.
module Tva.Dsl.Tests.AdapterSupport

open System
open System.IO
open System.Text
open Tva.Dsl.Tests.Scripts

/// Name, shape, elements.
type Stored = string * int list * float32[]

/// A safetensors file by its definition: length, header, data.
let putWith (path: string) (metadata: (string * string) list) (tensors: Stored list) =
    Directory.CreateDirectory(string (Path.GetDirectoryName path)) |> ignore
    let mutable at = 0
    let entries =
        [ for name, shape, values in tensors ->
              let first = at
              at <- at + 4 * values.Length
              let dims = String.Join(",", shape)
              $"\"{name}\":{{\"dtype\":\"F32\",\"shape\":[{dims}],\"data_offsets\":[{first},{at}]}}" ]
    let text (s: string) = System.Text.Json.JsonSerializer.Serialize s
    let told = [ for k, v in metadata -> $"{text k}:{text v}" ]
    let meta = if told.IsEmpty then [] else [ "\"__metadata__\":{" + String.Join(",", told) + "}" ]
    let header = Encoding.UTF8.GetBytes("{" + String.Join(",", meta @ entries) + "}")
    use file = File.Create path
    let write (bytes: byte[]) = file.Write(bytes, 0, bytes.Length)
    write (BitConverter.GetBytes(int64 header.Length))
    write header
    for _, _, values in tensors do
        for v in values do
            write (BitConverter.GetBytes v)

let put path tensors = putWith path [] tensors

let config (folder: string) (json: string) =
    Directory.CreateDirectory folder |> ignore
    File.WriteAllText(Path.Combine(folder, "adapter_config.json"), json)

/// Numbers of a seed and a name, about 1 in size.
let draw (seed: int) (name: string) (count: int) =
    let random = Random(seed * 7919 + (name |> Seq.sumBy int))
    Array.init count (fun _ -> float32 (random.NextDouble() * 2.0 - 1.0))

let stored seed name (shape: int list) : Stored = name, shape, draw seed name (List.fold (*) 1 shape)

/// scale · B·A of a module's factors as a file has them, [out, in] flat, in float64.
let product (scale: float) (up: Stored) (down: Stored) =
    let _, upShape, b = up
    let _, downShape, a = down
    let outs, rank = upShape[0], upShape[1]
    let ins = a.Length / downShape[0]
    Array.init (outs * ins) (fun e ->
        let o, i = e / ins, e % ins
        scale * Seq.sum (seq { for k in 0 .. rank - 1 -> float b[o * rank + k] * float a[k * ins + i] }))

/// [rows, columns] to [columns, rows].
let turned (rows: int) (values: float[]) =
    let columns = values.Length / rows
    Array.init values.Length (fun e -> values[(e % rows) * columns + e / rows])

/// The base of most tests: two layers with attention and a wide matrix, an embedding, a convolution, a bias, a head.
let shapes =
    [ "model.embed.weight", [ 21; 8 ]
      "model.layers.0.q.weight", [ 8; 8 ]
      "model.layers.0.up.weight", [ 12; 8 ]
      "model.layers.0.up.bias", [ 12 ]
      "model.layers.0.norm.weight", [ 8 ]
      "model.layers.1.q.weight", [ 8; 8 ]
      "model.layers.1.up.weight", [ 12; 8 ]
      "model.layers.1.up.bias", [ 12 ]
      "model.layers.1.norm.weight", [ 8 ]
      "model.conv.weight", [ 6; 4; 3; 3 ]
      "head.weight", [ 5; 8 ] ]

let putBase path = put path [ for name, shape in shapes -> stored 1 name shape ]

let baseValues = lazy (Map [ for name, shape in shapes -> name, (let _, _, v = stored 1 name shape in v |> Array.map float) ])

/// The factors of a linear module under PEFT's keys.
let factors seed (name: string) rank outs ins =
    stored seed $"base_model.model.{name}.lora_B.weight" [ outs; rank ], stored seed $"base_model.model.{name}.lora_A.weight" [ rank; ins ]

/// An adapter of both q and both up at rank 4 and α 8, and what it means by tensor.
let plain seed (folder: string) =
    let all = [ for l in 0..1 do
                    $"model.layers.{l}.q", factors seed $"model.layers.{l}.q" 4 8 8
                    $"model.layers.{l}.up", factors seed $"model.layers.{l}.up" 4 12 8 ]
    put (Path.Combine(folder, "adapter_model.safetensors")) [ for _, (up, down) in all do up; down ]
    config folder """{"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q", "up"]}"""
    Map [ for name, (up, down) in all -> name + ".weight", product 2.0 up down ]

/// Bytes of its factors: they are float32.
let plainBytes = int64 (4 * 2 * (4 * (8 + 8) + 4 * (12 + 8)))

/// A delta in float64 by tensor; what isn't there is zero.
type Change = Map<string, float[]>

let dotOf (a: Change) (b: Change) =
    Seq.sum (seq { for KeyValue(name, x) in a do
                       match b.TryFind name with
                       | Some y -> Seq.sum (Seq.map2 (*) x y)
                       | None -> () })

let addOf (p: float) (a: Change) (q: float) (b: Change) : Change =
    Map [ for name in Seq.append a.Keys b.Keys |> Seq.distinct ->
              let value (k: float) (m: Change) = match m.TryFind name with Some v -> v |> Array.map ((*) k) | None -> [||]
              name,
              (match value p a, value q b with
               | [||], y -> y
               | x, [||] -> x
               | x, y -> Array.map2 (+) x y) ]

/// The saved model is the base plus the change, element by element; what the change leaves alone has the base's bits.
let isMerged (path: string) (k: float) (change: Change) =
    let saved = load path
    for name, _ in shapes do
        let origin = baseValues.Value[name]
        let _, got = saved[name]
        match change.TryFind name with
        | None -> Xunit.Assert.Equal<float[]>(origin, got)
        | Some d ->
            for i in 0 .. got.Length - 1 do
                let want = origin[i] + k * d[i]
                if not (abs (got[i] - want) <= 2e-6 * (1.0 + abs want + abs (k * d[i]))) then
                    Xunit.Assert.Fail $"{name}[{i}] is {got[i]}, and should be {want}"
