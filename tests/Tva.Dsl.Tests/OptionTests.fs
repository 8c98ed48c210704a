/// What each option of a merge makes of it, and what comes of tensors of zeros, of one element, of equal magnitudes and of equal members:
/// against float64 loops over small checkpoints.
module Tva.Dsl.Tests.OptionTests

open System
open Xunit
open Tva.Dsl.Tests.Places

[<Fact>]
let ``the largest of a tensor, a layer, the model`` () =
    agree 0.0
        [ for density in [ 0.37; 0.5; 1.0 ] do
              $"trim(A, {density})", (fun p -> trimmed density p.D[0])
              $"trim(A, {density}, by = \"layer\")", trimmedOver density inLayer 0
              $"trim(A, {density}, by = \"all\")", trimmedOver density everywhere 0
          let share density (x: float[]) = int (density * float (x |> Array.filter ((<>) 0.0) |> Array.length))
          "trim(A, 0.4, of = \"nonzero\")", (fun p -> masked (largest (share 0.4 p.D[0]) p.D[0]) p.D[0])
          "trim(C, 1, of = \"nonzero\")", (fun p -> p.D[2]) ]

// TIES

let elected elect divide normalize (w: float[]) (x: float[]) =
    let weighted = Array.map2 (*) w x
    let votes =
        match elect with
        | "count" -> weighted |> Array.sumBy (sign >> float)
        | "unweighted" -> Array.sum x
        | _ -> Array.sum weighted
    let s = if votes >= 0.0 then 1.0 else -1.0
    let kept = [ for i in 0 .. x.Length - 1 do if s * weighted[i] > 0.0 then i ]
    let total = kept |> List.sumBy (fun i -> weighted[i])
    let divisor = if divide = "count" then float kept.Length else kept |> List.sumBy (fun i -> w[i])
    if normalize && abs divisor >= 1e-8 then total / divisor else total

[<Theory>]
[<InlineData("1")>]
[<InlineData("[1, 0.5, 2]")>]
[<InlineData("[0.75, -0.5, 0]")>]
let ``ties by every election, divisor and scope`` (weights: string) =
    let w = match weights with "1" -> [| 1.0; 1.0; 1.0 |] | "[1, 0.5, 2]" -> [| 1.0; 0.5; 2.0 |] | _ -> [| 0.75; -0.5; 0.0 |]
    let ties density over elect divide normalize (p: Place) = each (elected elect divide normalize w) { p with D = [| for m in 0..2 -> trimmedOver density over m p |] }
    agree 1e-6
        [ for elect in [ "weighted"; "unweighted"; "count" ] do
              for divide in [ "weights"; "count" ] do
                  $"ties(F, 0.4, {weights}, elect = \"{elect}\", divide = \"{divide}\")", ties 0.4 List.singleton elect divide true
                  $"ties(F, 0.4, {weights}, elect = \"{elect}\", divide = \"{divide}\", scope = \"model\")", ties 0.4 everywhere elect divide true
                  $"consensus(F, {weights}, elect = \"{elect}\", divide = \"{divide}\")", each (elected elect divide true w)
              $"ties(F, 0.4, {weights}, normalize = false, elect = \"{elect}\")", ties 0.4 List.singleton elect "weights" false
          $"ties(F, weights = {weights})", ties 0.2 List.singleton "weighted" "weights" true
          $"ties(F, 1, {weights})", each (elected "weighted" "weights" true w) ]

// Dropping

/// DARE of one member: kept where the generator says so.
let private dropped density rescale seed (name: string) (x: float[]) =
    let u = DellaTests.uniform seed name
    let kept = x |> Array.mapi (fun i v -> if u i < 1.0 - density then 0.0 else v)
    let left = Array.sumBy abs kept
    let scale =
        match rescale with
        | "l1" -> if left = 0.0 then 0.0 else Array.sumBy abs x / left
        | "none" -> 1.0
        | _ -> 1.0 / density
    kept |> Array.map (fun v -> scale * v)

let private sparse density rescale seed (p: Place) = { p with D = [| for m in 0..2 -> dropped density rescale (seed + int64 m) p.Name p.D[m] |] }

[<Theory>]
[<InlineData("density")>]
[<InlineData("l1")>]
[<InlineData("none")>]
let ``dropped at random, rescaled and added or elected`` (rescale: string) =
    let w = [| 1.0; 0.5; -2.0 |]
    let options = $"0.625, seed = 3, weights = [1, 0.5, -2], rescale = \"{rescale}\""
    agree 1e-6
        [ $"dare(F, {options})", sparse 0.625 rescale 3L >> each (Array.map2 (*) w >> Array.sum)
          $"dare_ties(F, {options})", sparse 0.625 rescale 3L >> each (elected "weighted" "weights" false w)
          $"dare_ties(F, {options}, normalize = true)", sparse 0.625 rescale 3L >> each (elected "weighted" "weights" true w)
          $"sparsified(F, 0.625, 3, \"{rescale}\").c", sparse 0.625 rescale 3L >> fun p -> p.D[2]
          $"dare(F, 1, rescale = \"{rescale}\")", each Array.sum ]

[<Theory>]
[<InlineData("l1")>]
[<InlineData("l2")>]
[<InlineData("linf")>]
[<InlineData("density")>]
[<InlineData("none")>]
let ``pruned by rank, with each rescaling and election`` (rescale: string) =
    let w = [| 1.0; 2.0; -0.5 |]
    let members p = { p with D = [| for m in 0..2 -> DellaTests.magpruned 0.5 0.25 (4L + int64 m) rescale p.Name p.Width p.D[m] |] }
    agree 2e-6
        [ $"magpruned(F, 0.5, 0.25, 4, \"{rescale}\").b", members >> fun p -> p.D[1]
          for elect in [ "weighted"; "unweighted"; "count" ] do
              $"della(F, 0.5, 0.25, 4, [1, 2, -0.5], \"{rescale}\", elect = \"{elect}\")", members >> each (elected elect "weights" true w) ]

/// Less the int(γn) largest, or as many as leave int(density·n), which are kept of the rest.
let private crumbs density gamma (x: float[]) =
    let n = float x.Length
    let stay = int (density * n)
    let top = min (int (gamma * n)) (x.Length - stay)
    Array.map2 (-) (masked (largest (top + stay) x) x) (masked (largest top x) x)

[<Fact>]
let ``breadcrumbs of any share, with and without outliers to drop`` () =
    let w = [| 1.0; 0.5; -2.0 |]
    agree 1e-6
        [ for density, gamma in [ 0.375, 0.0; 0.375, 0.125; 0.75, 0.125; 0.75, 0.5; 1.0, 0.25; 1.0, 0.0; 0.25, 1.0 ] do
              let members (p: Place) = { p with D = p.D |> Array.map (crumbs density gamma) }
              $"crumbs(F, {density}, {gamma}).c", members >> fun p -> p.D[2]
              $"breadcrumbs(F, {density}, {gamma}, [1, 0.5, -2])", members >> each (Array.map2 (*) w >> Array.sum)
              $"breadcrumbs_ties(F, {density}, {gamma}, [1, 0.5, -2])", members >> each (elected "weighted" "weights" false w) ]

// Spheres

let private cosineOf x y = (let size = length x * length y in if size = 0.0 then 0.0 else dots x y / size)

let private combine (terms: (float * float[]) list) = terms |> List.map (fun (k, x) -> Array.map (fun v -> k * v) x) |> List.reduce (Array.map2 (+))

let private spherical isFlat t x y =
    let c = max -1.0 (min 1.0 (cosineOf x y))
    let angle = acos c
    if isFlat c angle then combine [ 1.0 - t, x; t, y ] else combine [ sin ((1.0 - t) * angle) / sin angle, x; sin (t * angle) / sin angle, y ]

let private model m (p: Place) = Array.map2 (+) p.Base p.D[m]

[<Fact>]
let ``spherical interpolation of models and of task vectors, by tensor and by row`` () =
    let slerp t = spherical (fun c _ -> abs c > 0.9995) t
    // Rows that are parallel to float32's last digits are so to float64's in neither.
    let nuslerp t = spherical (fun _ angle -> abs (sin angle) < 1e-8) t
    agree 4e-6
        [ for t in [ 0.0; 0.25; 1.0; 1.5 ] do
              $"slerp(M0, M1, {t})", (fun p -> slerp t (model 0 p) (model 1 p))
          "nuslerp(M0, M1, [1, 3])", (fun p -> nuslerp 0.75 (model 0 p) (model 1 p))
          "nuslerp(A, C, [1, 3])", (fun p -> nuslerp 0.75 p.D[0] p.D[2])
          "nuslerp(A, C, [1, 3], by = \"row\")", byRow (fun p -> nuslerp 0.75 p.D[0] p.D[2])
          "nuslerp(M0, M1, [3, 1], by = \"row\")", byRow (fun p -> nuslerp 0.25 (model 0 p) (model 1 p)) ]

[<Fact>]
let ``a weighted mean on the sphere, with members of no length`` () =
    let multislerp (w: float[]) (p: Place) =
        let a = w |> Array.map (fun v -> v / Array.sum w) |> List.ofArray
        let n = p.D |> Array.map length
        let u = [ for m in 0..2 -> p.D[m] |> Array.map (fun v -> v / (if n[m] = 0.0 then 1.0 else n[m])) ]
        let mean = combine (List.zip a u)
        let unit = mean |> Array.map (fun v -> v / (if length mean = 0.0 then 1.0 else length mean))
        let tangent = combine [ for k, x in List.zip a u do
                                    k, x
                                    -k * dots x unit, unit ]
        let angle = length tangent + 1e-8
        if length mean < 1e-5 then combine (List.zip a (List.ofArray p.D))
        else combine [ cos angle, unit; sin angle / angle, tangent ] |> Array.map (fun v -> v * (List.zip a (List.ofArray n) |> List.sumBy (fun (k, l) -> k * l)))
    agree 4e-6
        [ "multislerp(F)", multislerp [| 1.0; 1.0; 1.0 |]
          "multislerp(F, [1, 2, 0.5])", multislerp [| 1.0; 2.0; 0.5 |]
          "multislerp(F, [1, 1, -0.5])", multislerp [| 1.0; 1.0; -0.5 |]
          "multislerp([A, B, C], [1, 0, 0])", multislerp [| 1.0; 0.0; 0.0 |] ]

/// t·mean with the mean of every two members' cosine; where the members point away from each other all around, so that no t is, nothing.
let stock (p: Place) =
    let n = float p.D.Length
    let c = List.average [ for i in 0 .. p.D.Length - 1 do for j in i + 1 .. p.D.Length - 1 -> cosineOf p.D[i] p.D[j] ]
    let under = 1.0 + (n - 1.0) * c
    let t = if under < 1e-6 then 0.0 else n * c / under
    each (fun x -> t * Array.average x) p

[<Fact>]
let ``model stock with members of no length, equal ones and opposite ones`` () =
    let pair (p: Place) = { p with D = p.D[0..1] }
    agree 1e-5
        [ "model_stock(F)", stock
          "model_stock(F, by = \"row\")", byRow stock
          "model_stock(family(A, B))", pair >> stock
          "model_stock(family(A, B), by = \"row\")", pair >> byRow stock ]

// Others

[<Fact>]
let ``perpendicular parts, where there is something to be perpendicular to`` () =
    let part over (p: Place) =
        let all m = over p |> List.map (fun (q: Place) -> q.D[m]) |> Array.concat
        let a, b = all 1, all 0
        let k = if dots a a = 0.0 then 0.0 else dots a b / dots a a
        combine [ 1.0, p.D[0]; -k, p.D[1] ]
    agree 2e-6
        [ "perpendicular(A, B)", part everywhere
          "perpendicular(A, B, by = \"layer\")", part inLayer
          "perpendicular(A, B, by = \"tensor\")", part List.singleton
          "perpendicular(A, B, by = \"row\")", byRow (part List.singleton) ]

[<Theory>]
[<InlineData(1.0)>]
[<InlineData(0.5)>]
[<InlineData(0.25)>]
let ``sce chooses by variance, weighs by energy, erases the minority`` (density: float) =
    let sce (p: Place) =
        let variance = each (fun x -> (let m = Array.average x in x |> Array.sumBy (fun v -> (v - m) * (v - m)))) p
        let some = variance |> Array.filter ((<>) 0.0) |> Array.length
        let chosen = if density >= 1.0 then Array.create variance.Length true else largest (int (density * float some)) variance
        let energy = p.D |> Array.map (masked chosen >> Array.averageBy (fun v -> v * v))
        let w = energy |> Array.map (fun e -> if Array.sum energy = 0.0 then 1.0 / 3.0 else e / Array.sum energy)
        each (fun x ->
            let s = if Array.sum x >= 0.0 then 1.0 else -1.0
            let kept = [ for i in 0..2 do if s * x[i] > 0.0 then i ]
            (kept |> List.sumBy (fun i -> w[i] * x[i])) / max 1e-6 (kept |> List.sumBy (fun i -> w[i]))) p
        |> masked chosen
    agree 2e-6 [ $"sce(F, {density})", sce ]

[<Theory>]
[<InlineData(0.1, 0.2, 0.1)>]
[<InlineData(0.5, 10.0, 0.4)>]
[<InlineData(2.0, 0.3, 0.0)>]
let ``ram tells what one member alone changes from what several do`` (r: float) (alpha: float) (epsilon: float) =
    let among (x: float[]) = x |> Array.filter (fun v -> abs v > epsilon)
    let ram = each (fun x -> (let s = among x in if s.Length = 0 then 0.0 else Array.average s))
    let plus (p: Place) =
        let counts = each (fun x -> float (among x).Length) p
        let alone m = Array.map2 (fun c v -> c = 1.0 && abs v > epsilon) counts p.D[m]
        let factor m =
            let unique = alone m |> Array.sumBy holds
            let own = among p.D[m] |> Array.length |> float
            if unique = 0.0 then 1.0 else 1.0 + r * min alpha ((own - unique) / unique)
        let sums = [ for m in 0..2 -> masked (alone m) p.D[m] |> Array.map (fun v -> factor m * v) ] |> List.reduce (Array.map2 (+))
        Array.map2 (fun (s, c) v -> if c = 1.0 then s else v) (Array.zip sums counts) (ram p)
    agree 2e-6 [ $"ram(F, {epsilon})", ram; $"ram_plus(F, {r}, {alpha}, {epsilon})", plus ]

[<Fact>]
let ``near swap and means of models`` () =
    agree 2e-6
        [ "nearswap(A, 0.125)", (fun p -> p.D[0] |> Array.map (fun v -> min 1.0 (0.125 / max 1e-6 (abs v)) * v))
          "nearswap(A, 0)", (fun p -> p.D[0] |> Array.map (fun _ -> 0.0))
          "average([M0, M1, M2])", (fun p -> Array.init p.Base.Length (fun i -> List.average [ for m in 0..2 -> (model m p)[i] ]))
          "average([M0, M1, M2], [1, 2, -0.5])", (fun p -> combine [ 0.4, model 0 p; 0.8, model 1 p; -0.2, model 2 p ])
          "average([M0, M1], [0.25, 0.5], normalize = false)", (fun p -> combine [ 0.25, model 0 p; 0.5, model 1 p ])
          "weighted(F, 0.25)", each (fun x -> 0.25 * Array.sum x)
          "weighted(F, [0, -1, 2])", each (fun x -> 2.0 * x[2] - x[1]) ]
