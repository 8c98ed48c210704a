/// Reductions and selections by every extent, what goes over members, scopes and schedules, and the rest of the prelude on odd tensors:
/// against float64 loops over small checkpoints.
module Tva.Dsl.Tests.ElementTests

open System
open Xunit
open Tva.Dsl
open Tva.Dsl.Typing
open Tva.Dsl.Tests.Scripts
open Tva.Dsl.Tests.Places

// Reductions: a number goes to every element of what it is of.

let private fill (f: float[] -> float[] -> float) (over: Place -> Place list) (p: Place) =
    let all m = over p |> List.map (fun (q: Place) -> q.D[m]) |> Array.concat
    Array.create p.Base.Length (f (all 0) (all 1))

let private extents f = [ "all", fill f everywhere; "layer", fill f inLayer; "tensor", fill f List.singleton; "row", byRow (fill f List.singleton) ]

/// Linear between neighbours.
let quantile q (x: float[]) =
    let sorted = Array.sort x
    let at = q * float (x.Length - 1)
    let low = int (floor at)
    if low + 1 >= x.Length then sorted[low] else sorted[low] + (at - floor at) * (sorted[low + 1] - sorted[low])

let private reductions: (string * (float[] -> float[] -> float)) list =
    [ "norm(A", (fun a _ -> length a)
      "dot(A, B", (dots)
      "cosine(A, B", (fun a b -> if length a * length b = 0.0 then 0.0 else dots a b / (length a * length b))
      "l1(A", (fun a _ -> Array.sumBy abs a)
      "max_abs(A", (fun a _ -> a |> Array.map abs |> Array.max)
      "mean_abs(A", (fun a _ -> Array.averageBy abs a)
      "mean_square(A", (fun a _ -> a |> Array.averageBy (fun v -> v * v))
      "numel(A", (fun a _ -> float a.Length)
      "nonzero(A", (fun a _ -> a |> Array.sumBy (fun v -> holds (v <> 0.0)))
      for q in [ "0"; "0.3"; "0.5"; "1" ] do
          $"quantile(A, {q}", (fun a _ -> quantile (float q) a) ]

[<Fact>]
let ``reductions over the model, by layer, by tensor and by row`` () =
    agree 1e-6
        [ for text, f in reductions do
              for by, expected in extents f do
                  $"{text}, by = \"{by}\") * (0 * A + 1)", expected ]

[<Fact>]
let ``ranks in rows and tensors`` () =
    agree 1e-7
        [ "rank(A)", (fun p -> DellaTests.ranks p.Width p.D[0])
          "rank(A, by = \"tensor\")", (fun p -> DellaTests.ranks p.Base.Length p.D[0])
          "rank(abs(C), by = \"tensor\")", (fun p -> DellaTests.ranks p.Base.Length (Array.map abs p.D[2])) ]

// Over members

let middle (x: float[]) =
    let s = Array.sort x
    let n = s.Length
    if n % 2 = 1 then s[n / 2] else 0.5 * (s[n / 2 - 1] + s[n / 2])

[<Fact>]
let ``members of odd and even number`` () =
    let four f = each (fun x -> f (Array.append x [| x[0] * x[1] |]))
    let models f (p: Place) = Array.init p.Base.Length (fun i -> f [| for d in p.D -> p.Base[i] + d[i] |])
    let scatter (x: float[]) = (let m = Array.average x in x |> Array.sumBy (fun v -> (v - m) * (v - m)))
    agree 1e-6
        [ "median(F)", each middle
          "median([A, B])", each (fun x -> 0.5 * (x[0] + x[1]))
          "median([A, B, C, A * B])", four middle
          "median([A])", each (fun x -> x[0])
          "median([M0, M1, M2])", models middle
          "min([M0, M1, M2])", models Array.min
          "max([A, B, C, A * B])", four Array.max
          "max(A, B)", each (fun x -> max x[0] x[1])
          "min(A, 0.125)", each (fun x -> min x[0] 0.125)
          "mean([A, B, C, A * B])", four Array.average
          "mean([M0, M1, M2])", models Array.average
          "sum([A])", each (fun x -> x[0])
          "scatter([A, B, C, A * B])", four scatter
          "scatter([A])", each (fun _ -> 0.0)
          "count(F)", each (fun x -> x |> Array.sumBy (fun v -> holds (v <> 0.0)))
          "count(F > 0.25)", each (fun x -> x |> Array.sumBy (fun v -> holds (v > 0.25)))
          "size(F) * A", each (fun x -> 3.0 * x[0])
          "member(F, \"b\")", (fun p -> p.D[1])
          "sum(spread(0.5, F) * F)", each (fun x -> 0.5 * Array.sum x)
          "sum(spread([1, 2, 3], F) * F)", each (fun x -> x[0] + 2.0 * x[1] + 3.0 * x[2]) ]

// Scopes and schedules

[<Fact>]
let ``scopes select tensors`` () =
    let on (f: string -> bool) (p: Place) = p.D[0] |> Array.map (fun v -> holds (f p.Name) * v)
    let layer (n: string) = if n.StartsWith "blocks." then int (n.Split('.')[1]) else -1
    let matrices = places.Value |> List.filter (fun p -> p.Shape.Length = 2) |> List.map _.Name |> Set.ofList
    agree 0.0
        [ "A[\"blocks.*\"]", on _.StartsWith("blocks.")
          "A[\"*w\"]", on _.EndsWith("w")
          "A[match(\"^one|\\\\.w$\")]", on (fun n -> n.StartsWith "one" || n.EndsWith ".w")
          "A[layers(1..2)]", on (fun n -> layer n = 1 || layer n = 2)
          "A[layers(3)]", on (fun n -> layer n = 3)
          "A[tensors(\"single\", \"blocks.0.w\")]", on (fun n -> n = "single" || n = "blocks.0.w")
          "A[matrices(A)]", on matrices.Contains
          "A[not layers(0..1) and not \"*rows*\" or \"one\"]", on (fun n -> not (layer n = 0 || layer n = 1) && not (n.Contains "rows") || n = "one") ]

[<Fact>]
let ``a ramp of several points over the layers`` () =
    let along (points: float[]) outside (p: Place) =
        let k =
            match layerOf p with
            | None -> outside
            | Some l ->
                let at = float l / 3.0 * float (points.Length - 1)
                let low = min (int at) (points.Length - 2)
                points[low] + (at - float low) * (points[low + 1] - points[low])
        p.D[0] |> Array.map (fun v -> k * v)
    agree 1e-6
        [ "ramp(0.5, 2) * A", along [| 0.5; 2.0 |] 0.5
          "ramp(0, 1, -1) * A", along [| 0.0; 1.0; -1.0 |] 0.0
          "ramp(0, 1, -1, 4, 2, outside = 7) * A", along [| 0.0; 1.0; -1.0; 4.0; 2.0 |] 7.0
          "ramp(3, outside = 2) * A", along [| 3.0; 3.0 |] 2.0 ]

// The rest of the prelude

[<Fact>]
let ``members that vote, mask or stand for all, where entries are zero or equal`` () =
    let total f = places.Value |> List.sumBy (fun p -> each f p |> Array.sum)
    let emr m = (let k = total (fun x -> abs x[m]) / total (DerivedTests.kept m >> abs) in each (fun x -> k * DerivedTests.kept m x))
    let clipped rho (p: Place) =
        let k = [| for m in 0..2 -> min 1.0 (rho / (places.Value |> List.sumBy (fun q -> dots q.D[m] q.D[m]) |> sqrt)) |]
        each (fun x -> Array.map2 (*) k x |> Array.sum) p
    agree 1e-6
        [ "magmax(F)", each DerivedTests.farthest
          "tall(F, 0.5).b", each (fun x -> DerivedTests.tall 0.5 x 1 * Array.sum x)
          "tall_consensus(F, 2, 0.5)", each (fun x -> holds (Seq.sumBy (DerivedTests.tall 0.5 x) [ 0..2 ] >= 2.0) * Array.sum x)
          "emr(F).a", emr 0
          "emr(F).c", emr 2
          "fedgma(F, 0.5)", each (DerivedTests.agreed 0.5)
          "fedgma(F, 1)", each (DerivedTests.agreed 1.0)
          "cclip(F, 2)", clipped 2.0
          "cclip(0 * F, 2)", each (fun _ -> 0.0)
          "emr(0 * F).a", each (fun _ -> 0.0)
          "fednova(F, 5)", each Array.average
          "bitdelta(A)", (fun p -> if p.Shape.Length = 2 then p.D[0] |> Array.map (fun v -> (if v > 0.0 then 1.0 else -1.0) * Array.averageBy abs p.D[0]) else p.D[0]) ]

[<Fact>]
let ``log softmax of rows, whatever they are`` () =
    let logged (scale: float) shift (p: Place) =
        let x = p.D[0] |> Array.map (fun v -> scale * v + shift)
        let top = Array.max x
        let s = x |> Array.sumBy (fun v -> exp (v - top)) |> log
        x |> Array.map (fun v -> v - top - s)
    agree 1e-5
        [ "log_softmax(A)", byRow (logged 1.0 0.0)
          "log_softmax(40 * A)", byRow (logged 40.0 0.0)
          // Rows far below zero have exponentials all the same.
          "log_softmax(A - 80)", byRow (logged 1.0 -80.0)
          "log_softmax(A + 200)", byRow (logged 1.0 200.0) ]

[<Fact>]
let ``the entry at a place in order, and what stands out`` () =
    let ordered q (x: float[]) = (Array.sort x)[int (floor (q * float (x.Length - 1)))]
    let softmax (x: float[]) = (let e = x |> Array.map (fun v -> exp (v - Array.max x)) in e |> Array.map (fun v -> v / Array.sum e))
    let importance (p: Place) =
        let part (p: Place) =
            let other = Array.map2 (+) p.Base p.D[0] |> softmax
            let divergence = Array.map2 (fun a b -> a * log (a / b)) other (softmax p.Base) |> Array.sum
            p.D[0] |> Array.map (fun v -> abs v * divergence)
        byRow part p
    let fused (p: Place) =
        let x = importance p
        let limit = ordered 0.5 x + 1.5 * (ordered 0.75 x - ordered 0.25 x)
        Array.map3 (fun b d v -> if v >= limit then b + d else b) p.Base p.D[0] x
    agree 1e-6
        [ for q in [ 0.0; 0.25; 0.5; 0.9; 1.0 ] do
              $"order_statistic(A, {q}) * (0 * A + 1)", (fun p -> Array.create p.Base.Length (ordered q p.D[0]))
          "direction(A)", (fun p -> p.D[0] |> Array.map (fun v -> v / max 1e-8 (length p.D[0])))
          "fusion(base, M0)", fused ]

/// The rows of a table that is shown.
let private table text =
    use temp = new TempFolder()
    write temp
    let ran = run temp.Path (heading + text)
    Assert.Empty(ran.Diagnostics |> List.map _.Message)
    ran.Events |> List.pick (function Event.Shown(_, [ Shown.Table t ]) -> Some t | _ -> None)

[<Fact>]
let ``statistics by tensor and by member, cosines of members`` () =
    let columns (x: float[]) = [ float x.Length; length x; Array.averageBy abs x; x |> Array.map abs |> Array.max; x |> Array.sumBy (fun v -> holds (v <> 0.0)) ]
    let check (t: ResultTable) (expected: (string * float list) list) =
        Assert.Equal<string list>(expected |> List.map fst, t.Rows |> List.map fst)
        for (label, want), (_, got) in List.zip expected t.Rows do
            List.iter2 (fun (w: float) g -> Assert.True(abs (w - g) <= 1e-6 * max 1e-12 (abs w), $"{label}: {w} expected, {g} found")) want got
    let whole m = places.Value |> List.map (fun p -> p.D[m]) |> Array.concat
    let t = table "stats(A)"
    Assert.Equal<string list>([ "numel"; "norm"; "mean_abs"; "max_abs"; "nonzero" ], t.Columns)
    check t [ for p in places.Value -> p.Name, columns p.D[0] ]
    check (table "stats(F)") [ for m, name in List.indexed [ "a"; "b"; "c" ] -> name, columns (whole m) ]
    let cosine i j = dots (whole i) (whole j) / length (whole i) / length (whole j)
    check (table "similarity(F)") [ for i, name in List.indexed [ "a"; "b"; "c" ] -> name, [ for j in 0..2 -> cosine i j ] ]

[<Fact>]
let ``a sweep calls for each value, and the best is the first of the highest`` () =
    let whole m = places.Value |> List.map (fun p -> p.D[m]) |> Array.concat
    let score k = -(Array.map2 (fun a b -> k * a - b) (whole 0) (whole 1) |> length)
    let text = "def made(k) = k * A\ndef score(x) = -norm(x - B)\nt = sweep(made, -1..1 by 0.25, score)\n"
    let t = table (text + "t")
    let values = [ for i in 0..8 -> -1.0 + 0.25 * float i ]
    for k, (_, row) in List.zip values t.Rows do
        Assert.Equal(k, row[0], 1e-12)
        Assert.Equal(score k, row[1], 1e-6)
    use temp = new TempFolder()
    write temp
    Assert.Equal(values |> List.maxBy score, number temp.Path (heading + text + "best(t)"))
    // Two equal scores: the earlier.
    Assert.Equal(-0.5, number temp.Path (heading + "def made(k) = k * A\ndef score(x) = norm(x)\nbest(sweep(made, [0.25, -0.5, 0.5], score))"))

[<Fact>]
let ``tensors that a checkpoint lacks are unchanged, those that it has beyond the base are left out`` () =
    // Less the first two, more one that the base has not.
    let lacks = places.Value |> List.truncate 2 |> List.map _.Name
    let part =
        Written.i64 "ids" [ 3 ] [ 4L; 5L; 6L ] :: Written.f32 "surplus" [ 2 ] [ 1.0; 2.0 ]
        :: [ for p in places.Value do
                 if not (List.contains p.Name lacks) then
                     Written.f32 p.Name p.Shape (List.ofArray (Array.map2 (+) p.Base p.D[0])) ]
    let got = savedWith "" [ "part.safetensors", part ] [ "delta(\"part.safetensors\", base, missing = \"zero\", extra = \"drop\")" ]
    for p in places.Value do
        Assert.Equal<float[]>((if List.contains p.Name lacks then Array.map (fun _ -> 0.0) p.Base else p.D[0]), got.Head[p.Name])

[<Fact>]
let ``what is computed over a model is stored in the type that it was opened with`` () =
    use temp = new TempFolder()
    write temp
    let ran = run temp.Path "base = model(\"base.safetensors\", dtype = \"bf16\")\nbase + 0.5 * (model(\"m0.safetensors\") - base) |> save(\"o.safetensors\")"
    Assert.Empty(ran.Diagnostics |> List.map _.Message)
    let found = Written.bytesOf (temp.File "o.safetensors")
    for p in places.Value do
        let dtype, _, bytes = found[p.Name]
        Assert.Equal(Tva.Core.Tensors.DType.BF16, dtype)
        let got = bytes |> Array.chunkBySize 2 |> Array.map (fun b -> float (BitConverter.UInt32BitsToSingle(uint32 (BitConverter.ToUInt16(b, 0)) <<< 16)))
        // Of eight significant bits the nearest, to even: what lies halfway is a multiple of twice the last place.
        let rounded (x: float) =
            if x = 0.0 then 0.0
            else
                let place = 2.0 ** (floor (Math.Log2(abs x)) - 7.0)
                Math.Round(x / place, MidpointRounding.ToEven) * place
        Assert.Equal<float[]>(Array.map2 (fun b d -> rounded (b + 0.5 * d)) p.Base p.D[0], got)
