/// A restriction is zero outside its scope, whatever is computed of it: reductions count those zeros, functions map them, members vote with them.
/// Against float64 loops over task vectors with the zeros written out.
module Tva.Dsl.Tests.RestrictedTests

open System
open Xunit
open Tva.Dsl.Tests.Places

let private isIn (p: Place) = p.Name.EndsWith "w" || p.Name = "one" || p.Name = "blocks.1.coarse" || p.Name = "blocks.3.rows"

let private scope = "[\"*w\" or \"one\" or \"*.coarse\" or \"*.rows\"]"

/// The place with zeros outside the scope.
let private cut (p: Place) = if isIn p then p else { p with D = p.D |> Array.map (Array.map (fun _ -> 0.0)) }

let private fill f (over: Place -> Place list) (p: Place) = Array.create p.Base.Length (over p |> List.map (fun q -> (cut q).D[0]) |> Array.concat |> f: float)

[<Fact>]
let ``reductions count the zeros outside`` () =
    agree 1e-6
        [ for text, f in
              [ "norm", length
                "l1", Array.sumBy abs
                "max_abs", (Array.map abs >> Array.max)
                "mean_abs", Array.averageBy abs
                "mean_square", Array.averageBy (fun v -> v * v)
                "numel", (fun x -> float x.Length)
                "nonzero", Array.sumBy (fun v -> holds (v <> 0.0)) ] do
              for by, over in [ "all", everywhere; "layer", inLayer; "tensor", List.singleton ] do
                  $"{text}(A{scope}, \"{by}\") * (0 * A + 1)", fill f over
                  // With a factor, and of what is the same outside but not zero.
                  $"{text}(-2 * A{scope}, \"{by}\") * (0 * A + 1)", fill (Array.map (fun v -> -2.0 * v) >> f) over
                  $"{text}(A{scope} + 0.5, \"{by}\") * (0 * A + 1)", fill (Array.map (fun v -> v + 0.5) >> f) over
              $"{text}(A{scope}, \"row\") * (0 * A + 1)", byRow (fun p -> fill f List.singleton p)
          for q in [ 0.0; 0.5; 0.75; 1.0 ] do
              for by, over in [ "all", everywhere; "layer", inLayer; "tensor", List.singleton ] do
                  $"quantile(A{scope}, {q}, \"{by}\") * (0 * A + 1)", fill (ElementTests.quantile q) over ]

[<Fact>]
let ``functions and comparisons map the zeros outside`` () =
    let x f (p: Place) = each (fun v -> f v[0]) (cut p)
    let mixed f (p: Place) = Array.map2 f (cut p).D[0] p.D[1]
    agree 1e-6
        [ $"exp(A{scope})", x exp
          $"cos(A{scope})", x cos
          $"A{scope} >= 0", x (fun v -> holds (v >= 0.0))
          $"A{scope} == 0", x (fun v -> holds (v = 0.0))
          $"not (A{scope} > 0)", x (fun v -> holds (not (v > 0.0)))
          $"where(A{scope} == 0, B, 2)", mixed (fun a b -> if a = 0.0 then b else 2.0)
          $"max(A{scope}, B)", mixed max
          $"A{scope} * B + B", mixed (fun a b -> a * b + b)
          $"clamp(A{scope}, 0.25, 0.5)", x (fun v -> max 0.25 (min 0.5 v))
          $"A{scope} ^ 0", x (fun _ -> 1.0)
          $"rank(A{scope})", (fun p -> DellaTests.ranks p.Width (cut p).D[0])
          $"(A{scope} + B)[\"*w\"] - A", (fun p -> Array.map2 (fun a b -> (if p.Name.EndsWith "w" then a + b else 0.0) - a) p.D[0] p.D[1]) ]

[<Fact>]
let ``members vote with the zeros outside`` () =
    let trimmed density over = trimmedOver density (over >> List.map cut)
    let ties over = (fun p -> { p with D = [| for m in 0..2 -> trimmed 0.3 over m p |] }) >> each (OptionTests.elected "weighted" "weights" true [| 1.0; 1.0; 1.0 |])
    agree 1e-6
        [ $"trim(A{scope}, 0.3, \"all\")", trimmed 0.3 everywhere 0
          $"trim(A{scope}, 0.3, \"layer\")", trimmed 0.3 inLayer 0
          $"ties(F{scope}, 0.3)", ties List.singleton
          $"ties(F{scope}, 0.3, scope = \"model\")", ties everywhere
          $"model_stock(F{scope})", cut >> OptionTests.stock
          $"median(F{scope})", cut >> each ElementTests.middle
          $"median([A, B{scope}])", (fun p -> Array.map2 (fun a b -> 0.5 * (a + b)) p.D[0] (cut p).D[1])
          $"max([A, B{scope}, C])", (fun p -> Array.map3 (fun a b c -> max a (max b c)) p.D[0] (cut p).D[1] p.D[2])
          $"count(F{scope} == 0)", cut >> each (fun x -> x |> Array.sumBy (fun v -> holds (v = 0.0)))
          $"magmax(F{scope})", cut >> each DerivedTests.farthest
          $"perpendicular(B, A{scope})",
          (let all m f = places.Value |> List.map (fun p -> (f p: Place).D[m]) |> Array.concat
           let k = lazy (dots (all 0 cut) (all 1 id) / dots (all 0 cut) (all 0 cut))
           fun p -> Array.map2 (fun a b -> b - k.Value * a) (cut p).D[0] p.D[1]) ]
