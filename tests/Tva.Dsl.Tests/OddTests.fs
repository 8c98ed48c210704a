/// What decomposes matrices and what goes round by round, on tensors of zeros, of low rank, of one element and of equal members: against
/// MathNet's singular values and float64 loops over small checkpoints.
module Tva.Dsl.Tests.OddTests

open System
open MathNet.Numerics.LinearAlgebra
open Xunit
open Tva.Dsl.Tests.Places

let private zeros (p: Place) = Array.zeroCreate<float> p.Base.Length

let private asMatrix (p: Place) (x: float[]) =
    let rows = List.head p.Shape
    Matrix<float>.Build.DenseOfRowMajor(rows, x.Length / rows, x)

/// Of a matrix the triples that are not zero.
let private triples (m: Matrix<float>) =
    let s = m.Svd true
    [ for k in 0 .. s.S.Count - 1 do
          if s.S[k] > 1e-10 * s.S[0] then
              s.S[k], s.U.Column k, s.VT.Row k ]

let private assemble (m: Matrix<float>) terms =
    let start = Matrix<float>.Build.Dense(m.RowCount, m.ColumnCount)
    (terms |> List.fold (fun (sum: Matrix<float>) (k: float, u: Vector<float>, v: Vector<float>) -> sum + k * u.OuterProduct v) start).ToRowMajorArray()

/// What a function of matrices makes of a Delta's, the other tensors staying.
let private onMatrices f (p: Place) = if p.Shape.Length >= 2 then f (asMatrix p p.D[0]) else p.D[0]

let private unit m = triples m |> List.map (fun (_, u, v) -> 1.0, u, v) |> assemble m

[<Fact>]
let ``matrices of zeros, of one row and of low rank are decomposed`` () =
    let energy share (m: Matrix<float>) =
        let all = triples m
        let total = all |> List.sumBy (fun (s, _, _) -> s * s)
        let reached k = (all |> List.truncate k |> List.sumBy (fun (s, _, _) -> s * s)) >= share * total
        all |> List.truncate (Seq.find reached (seq { 0 .. all.Length })) |> assemble m
    agree 1e-5
        [ "lowrank(A, 1)", onMatrices (fun m -> triples m |> List.truncate 1 |> assemble m)
          "lowrank(A, 2)", onMatrices (fun m -> triples m |> List.truncate 2 |> assemble m)
          "lowrank(A, 100)", (fun p -> p.D[0])
          "lowrank(A, energy = 0.6)", onMatrices (energy 0.6)
          "lowrank(A, energy = 0.95)", onMatrices (energy 0.95)
          "lowrank(A, energy = 1)", (fun p -> p.D[0])
          "polar(A)", onMatrices unit
          "polar(lowrank(A, 2))", onMatrices (fun m -> triples m |> List.truncate 2 |> List.map (fun (_, u, v) -> 1.0, u, v) |> assemble m) ]

[<Fact>]
let ``isotropic merging of members that are equal, cancel or are zero`` () =
    let iso members (p: Place) =
        let sum = each (fun x -> members x |> Array.sum) p
        if p.Shape.Length <> 2 then sum |> Array.map (fun v -> v / float (members [| 0.0; 0.0; 0.0 |]).Length)
        else
            let m = asMatrix p sum
            let mean = (triples m |> List.sumBy (fun (s, _, _) -> s)) / float (min m.RowCount m.ColumnCount)
            unit m |> Array.map (fun v -> mean * v)
    agree 1e-5 [ "iso_c(F)", iso id; "iso_c(family(A))", iso (Array.truncate 1) ]

[<Fact>]
let ``rows of equal norms are kept from above, rows of zeros are dropped`` () =
    let pruned keep (p: Place) =
        if p.Shape.Length <> 2 then p.D[0]
        else
            let rows = p.D[0] |> Array.chunkBySize p.Width
            let kept = rows |> Array.indexed |> Array.sortBy (fun (i, r) -> -(length r), i) |> Array.truncate (int (keep * float rows.Length)) |> Array.map fst |> Set.ofArray
            rows |> Array.mapi (fun i r -> if kept.Contains i then r else Array.map (fun _ -> 0.0) r) |> Array.concat
    agree 0.0 [ "prune_rows(A, 0.5)", pruned 0.5; "prune_rows(A, 0.25)", pruned 0.25; "prune_rows(A, 1)", (fun p -> p.D[0]) ]

// Round by round

let private away (m: float[]) (x: float[]) = Array.map2 (-) x m |> length

let private blend (terms: (float * float[]) list) = terms |> List.map (fun (k, x) -> Array.map (fun v -> k * v) x) |> List.reduce (Array.map2 (+))

let private geometricMedian steps tol (p: Place) =
    let scale = p.D |> Array.averageBy length
    let floor = tol * (if scale = 0.0 then 1.0 else scale)
    let rec go k m =
        if k = 0 then m
        else
            let w = [ for x in p.D -> 1.0 / max floor (away m x) ]
            let next = blend (List.zip (w |> List.map (fun v -> v / List.sum w)) (List.ofArray p.D))
            if away m next < floor then m else go (k - 1) next
    go steps (each Array.average p)

/// Rounds of descent on mean |cos(xᵢ − δ, xⱼ − δ)| + alpha·‖δ‖; a member that is all shared has no angle.
let private disentangled steps lr alpha (p: Place) =
    let pairs = [ 0, 1; 0, 2; 1, 2 ]
    let round (d: float[]) =
        let e = p.D |> Array.map (fun x -> Array.map2 (-) x d)
        let n = e |> Array.map (fun x -> if length x = 0.0 then 1.0 else length x)
        let slopes =
            [ for i, j in pairs do
                  let c = dots e[i] e[j] / (n[i] * n[j])
                  let k = float (sign c) / 3.0
                  k * (1.0 / (n[i] * n[j]) - c / (n[i] * n[i])), e[i]
                  k * (1.0 / (n[i] * n[j]) - c / (n[j] * n[j])), e[j] ]
        let l = if length d = 0.0 then 1.0 else length d
        blend ((1.0 - lr * alpha / l, d) :: [ for k, x in slopes -> lr * k, x ])
    let d = List.fold (fun d _ -> round d) (zeros p) [ 1..steps ]
    p.D |> Array.map (fun x -> Array.map2 (-) x d)

[<Fact>]
let ``medians in space and members less what they share, by tensor and by row`` () =
    // The sign of a cosine of 0 is a matter of rounding, so what is opposite or has zeros by row is left to the zoo.
    let smooth = [ "blocks.0.b"; "blocks.0.w"; "blocks.1.none"; "blocks.2.same"; "blocks.3.deep" ]
    let some f (p: Place) = if List.contains p.Name smooth then f p else zeros p
    let scope = "\"" + String.Join("\" or \"", smooth) + "\""
    agree 5e-5
        [ "geometric_median(F, steps = 7, by = \"tensor\")", geometricMedian 7 1e-6
          "geometric_median(F, steps = 7, by = \"row\")", byRow (geometricMedian 7 1e-6)
          "geometric_median(F, steps = 40, tol = 0.01, by = \"tensor\")", geometricMedian 40 0.01
          for m, name in List.indexed [ "a"; "b"; "c" ] do
              $"awd(F, steps = 9, lr = 0.02, alpha = 0.3, by = \"tensor\").{name}[{scope}]", some (fun p -> (disentangled 9 0.02 0.3 p)[m])
          "awd(F, steps = 9, lr = 0.02, by = \"row\").b[\"blocks.0.w\" or \"blocks.3.deep\"]",
          (fun p -> if p.Name = "blocks.0.w" || p.Name = "blocks.3.deep" then byRow (fun q -> (disentangled 9 0.02 0.1 q)[1]) p else zeros p) ]
