/// Records as coefficients: their keys are members' names beside a family, else globs over tensor names. Against float64 loops.
module Tva.Dsl.Tests.RecordTests

open Tva.Dsl
open Xunit
open Tva.Dsl.Tests.Scripts
open Tva.Dsl.Tests.Places
open Tva.Dsl.Tests.Written

let private weighted (w: float[]) = each (fun d -> Array.fold2 (fun s w x -> s + w * x) 0.0 w d)
let private isW (p: Place) = p.Name.EndsWith "w"

[<Fact>]
let ``beside a family a record's keys are its members' names`` () =
    let mine = [| 0.5; -1.0; 2.0 |]
    agree 1e-6
        [ "sum({ c: 2, a: 0.5, b: -1 } * F)", weighted mine
          "sum(F * { c: 2, \"a\": 0.5, else: -1 })", weighted mine
          "sum(F / { a: 2, else: 4 })", weighted [| 0.5; 0.25; 0.25 |]
          "weighted(F, weights = { b: 3, else: 0 })", weighted [| 0.0; 3.0; 0.0 |]
          "weighted(F, 2 * { b: 3, else: 0 } + 1)", weighted [| 1.0; 7.0; 1.0 |]
          // One member's number may vary by tensor.
          "sum({ a: { \"*w\": 1, else: 0.5 }, else: 0 } * F)", (fun p -> weighted [| (if isW p then 1.0 else 0.5); 0.0; 0.0 |] p)
          "sum(norm(F) * { a: 1, else: 0 }) * (0 * A + 1)", (fun p -> Array.create p.Base.Length (length (everywhere p |> List.map (fun q -> q.D[0]) |> Array.concat))) ]

[<Fact>]
let ``options of merges take a record by member`` () =
    let shares = [| 0.5; 0.25; 1.0 |]
    let kept (p: Place) = { p with D = Array.map2 trimmed shares p.D }
    let w = [| 2.0; 1.0; 1.0 |]
    agree 1e-6
        [ "sum(trim(F, { a: 0.5, b: 0.25, c: 1 }))", (kept >> weighted [| 1.0; 1.0; 1.0 |])
          "ties(F, density = { a: 0.5, b: 0.25, else: 1 }, weights = { a: 2, else: 1 })", (kept >> each (OptionTests.elected "weighted" "weights" true w))
          "consensus(F, { a: 2, else: 1 })", each (OptionTests.elected "weighted" "weights" true w) ]

[<Fact>]
let ``a record whose keys are no members' names is a coefficient by tensor`` () =
    let by hit miss (p: Place) = if isW p then hit else miss
    agree 1e-6
        [ "sum({ \"*w\": 2, else: 0.5 } * F)", (fun p -> weighted (Array.create 3 (by 2.0 0.5 p)) p)
          "-(3 * { \"*w\": 2, else: 0.5 } - 1) * A", (fun p -> p.D[0] |> Array.map (fun x -> by -5.0 -0.5 p * x))
          "({ \"*w\": 2, else: 0.5 } + { \"*w\": 1, else: 0 }) * A", (fun p -> p.D[0] |> Array.map (fun x -> by 3.0 0.5 p * x))
          "({ \"*w\": 2, else: 0.5 } + { \"one\": 1, else: 0 }) * A", (fun p -> p.D[0] |> Array.map (fun x -> (by 2.0 0.5 p + holds (p.Name = "one")) * x))
          "weighted(F, { \"*w\": 2, else: 0.5 })", (fun p -> weighted (Array.create 3 (by 2.0 0.5 p)) p) ]

[<Theory>]
[<InlineData("{ a: 1, bb: 2, else: 0 } * F", "`bb` is not in the family, and other keys of this record are")>]
[<InlineData("sum({ a: 1, \"*w\": 2, else: 0 } * F)", "`*w` is not in the family, and other keys of this record are")>]
[<InlineData("sum({ a: 1 } * F)", "this record gives the family's members numbers, but b, c none")>]
[<InlineData("weighted(F, { b: 1 })", "in `weighted`: this record gives the family's members numbers, but a, c none")>]
[<InlineData("sum({ x: 1 } * F)", "a record used as a coefficient must say what holds for the other tensors")>]
[<InlineData("trim(A, { \"*v\": 0.5, else: 1 })", "\"*v\" selects no tensor")>]
[<InlineData("drop(A, { \"*v\": 0.5, else: 0 })", "\"*v\" selects no tensor")>]
let ``a key that means nothing is told`` (text: string) (message: string) =
    use temp = new TempFolder()
    write temp
    Assert.Equal<string list>([ message ], (run temp.Path (heading + text)).Diagnostics |> List.map _.Message)
