/// A small checkpoint and three fine-tuned ones with tensors of every odd kind, what expressions over them come to, and parts of the loops
/// that say what they should.
module Tva.Dsl.Tests.Places

open System
open System.IO
open Tva.Dsl
open Xunit
open Tva.Dsl.Tests.Scripts
open Tva.Dsl.Tests.Written

/// A tensor's name, rows and row length, and how the three members differ there from the base.
type Place = { Name: string; Shape: int list; Rows: int; Width: int; Base: float[]; D: float[][] }

/// Multiples of 2⁻⁶ below 1, so that sums and differences are exact in float32.
let private steps (random: Random) n = Array.init n (fun _ -> float (random.Next(-63, 64)) / 64.0)

let places =
    lazy
        (let random = Random 7
         let place name shape (d: int -> float[][]) =
             let n = List.fold (*) 1 shape
             let width = match shape with [] -> 1 | _ -> List.last shape
             { Name = name; Shape = shape; Rows = n / width; Width = width; Base = steps random n; D = d n }
         let any n = [| for _ in 1..3 -> steps random n |]
         let keep f = any >> Array.map (Array.mapi f)
         [ place "blocks.0.b" [ 5 ] any
           place "blocks.0.w" [ 8; 7 ] any
           // Magnitudes of which many are equal, both signs, and zeros.
           place "blocks.1.coarse" [ 6; 5 ] (keep (fun _ v -> float (sign v) * Math.Ceiling(abs v * 2.0) / 4.0) >> Array.map (Array.mapi (fun i v -> if i % 7 = 3 then 0.0 else v)))
           // Nothing has moved here, and in the next only the second member.
           place "blocks.1.none" [ 3; 4 ] (fun n -> [| for _ in 1..3 -> Array.zeroCreate n |])
           place "blocks.2.one_member" [ 3; 4 ] (fun n -> [| Array.zeroCreate n; steps random n; Array.zeroCreate n |])
           // The members agree to the last bit; they cancel; they are rows of zeros and others.
           place "blocks.2.same" [ 4; 3 ] (fun n -> (let d = steps random n in [| d; d; d |]))
           place "blocks.2.opposite" [ 4; 3 ] (fun n -> (let d = steps random n in [| d; Array.map (~-) d; Array.zeroCreate n |]))
           place "blocks.3.rows" [ 5; 4 ] (fun n -> [| for m in 0..2 -> steps random n |> Array.mapi (fun i v -> if i / 4 = m then 0.0 else v) |])
           place "blocks.3.deep" [ 2; 3; 4 ] any
           place "one" [ 1 ] any
           place "single" [] any ]
         |> List.sortBy _.Name)

/// No numbers to compute with: they are the same beside every result.
let private ids = i64 "ids" [ 3 ] [ 4L; 5L; 6L ]

let write (folder: TempFolder) =
    let file name values = save (folder.File $"{name}.safetensors") (ids :: [ for p in places.Value -> f32 p.Name p.Shape (List.ofArray (values p)) ])
    file "base" _.Base
    for m in 0..2 do
        file $"m{m}" (fun p -> Array.map2 (+) p.Base p.D[m])

let heading =
    "base = model(\"base.safetensors\")\nM0 = model(\"m0.safetensors\")\nM1 = model(\"m1.safetensors\")\nM2 = model(\"m2.safetensors\")\n"
    + "F = family({ a: \"m0.safetensors\", b: \"m1.safetensors\", c: \"m2.safetensors\" }, base)\nA = F.a\nB = F.b\nC = F.c\n"

/// What expressions come to, each by tensor: written by one run over the files and more.
let savedWith (more: string) (files: (string * Tensor list) list) (expressions: string list) =
    use temp = new TempFolder()
    write temp
    for name, tensors in files do
        save (temp.File name) tensors
    let lines = expressions |> List.mapi (fun i e -> $"{e} |> save(\"o{i}.safetensors\")")
    let ran = run temp.Path (heading + more + String.Join("\n", lines))
    Assert.Empty(ran.Diagnostics |> List.map _.Message)
    [ for i in 0 .. expressions.Length - 1 ->
          let found = bytesOf (temp.File $"o{i}.safetensors")
          Assert.Equal<byte[]>(ids.Bytes, (let _, _, bytes = found[ids.Name] in bytes))
          found |> Map.remove ids.Name |> Map.map (fun _ (_, _, bytes) -> bytes |> Array.chunkBySize 4 |> Array.map (fun b -> float (BitConverter.ToSingle(b, 0)))) ]

let saved = savedWith "" []

/// Each expression against what loops find for a place, to a tolerance relative to the largest number there.
let agree tolerance (cases: (string * (Place -> float[])) list) =
    for (expression, expected), got in List.zip cases (saved (List.map fst cases)) do
        for p in places.Value do
            let want = expected p
            let largest = Seq.concat [ want; yield! p.D ] |> Seq.map abs |> Seq.fold max 1e-30
            Assert.Equal(want.Length, got[p.Name].Length)
            for w, g in Array.zip want got[p.Name] do
                Assert.True(abs (w - g) <= tolerance * largest, $"{expression}, {p.Name}: {w} expected, {g} found")

let each (f: float[] -> float) (p: Place) = Array.init p.Base.Length (fun i -> f [| for d in p.D -> d[i] |])
let length (x: float[]) = sqrt (Array.sumBy (fun v -> v * v) x)
let dots (x: float[]) (y: float[]) = Array.fold2 (fun s a b -> s + a * b) 0.0 x y
let holds c = if c then 1.0 else 0.0

/// A function of a place done row by row.
let byRow (f: Place -> float[]) (p: Place) =
    Array.concat [ for r in 0 .. p.Rows - 1 -> (let cut (x: float[]) = x[r * p.Width .. (r + 1) * p.Width - 1] in f { p with Base = cut p.Base; D = Array.map cut p.D; Rows = 1 }) ]

/// The `count` largest magnitudes, the lower index first among equals.
let largest count (x: float[]) =
    let order = Array.init x.Length id |> Array.sortBy (fun i -> -(abs x[i]), i) |> Array.truncate count |> Set.ofArray
    Array.init x.Length order.Contains

let masked (keep: bool[]) (x: float[]) = Array.map2 (fun k v -> if k then v else 0.0) keep x

let trimmed density (x: float[]) = masked (largest (int (density * float x.Length)) x) x

/// The same over some places together.
let trimmedOver density (together: Place -> Place list) m (p: Place) =
    let group = together p
    let all = group |> List.map (fun q -> q.D[m]) |> Array.concat |> trimmed density
    let start = group |> List.takeWhile (fun q -> q.Name <> p.Name) |> List.sumBy _.Base.Length
    all[start .. start + p.Base.Length - 1]

let layerOf (p: Place) = p.Name.Split('.') |> Array.tryItem 1
let inLayer p = places.Value |> List.filter (fun q -> layerOf q = layerOf p)
let everywhere (_: Place) = places.Value
