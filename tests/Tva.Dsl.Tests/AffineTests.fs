/// The affine rule on random sums: a result is a Model where the weights add up to 1, a Delta where to 0, else an error.
module Tva.Dsl.Tests.AffineTests

open System
open FsCheck
open FsCheck.FSharp
open Tva.Dsl
open Xunit
open Tva.Dsl.Tests.Scripts

/// Models and Deltas with the weight each brings.
let private leaves =
    [ "base", 1.0; "ft", 1.0; "A", 0.0; "B", 0.0; "(base + A)", 1.0; "(ft - base)", 0.0; "raw(base)", 0.0; "point(A)", 1.0
      "slerp(base, ft, 0.5)", 1.0; "trim(A, 0.5)", 0.0 ]

let private heading =
    "base = model(\"zoo/base.safetensors\")\nft = model(\"zoo/tasks/digits.safetensors\")\n"
    + "A = delta(\"zoo/tasks/digits.safetensors\", base)\nB = delta(\"zoo/tasks/letters.safetensors\", base)\n"

let private coefficients = [ -2.0; -1.0; -0.5; 0.0; 0.25; 0.5; 1.0; 1.5; 3.0 ]

/// One evaluator for all texts: names and open files stay.
let private checker = lazy (
    let e = new Evaluator(EvaluatorOptions.Default)
    Assert.Empty(e.Check("heading", examples, heading))
    e)

[<Fact>]
let ``weights add up`` () =
    let term = Gen.zip (Gen.elements coefficients) (Gen.elements leaves)
    let sums = Gen.nonEmptyListOf term |> Gen.map (List.truncate 5)
    Check.One(
        Config.QuickThrowOnFailure.WithMaxTest 300,
        Prop.forAll (Arb.fromGen sums) (fun terms ->
            let text = String.Join(" + ", terms |> List.map (fun (c, (leaf, _)) -> $"({c}) * {leaf}"))
            let weight = terms |> List.sumBy (fun (c, (_, w)) -> c * w)
            let found = checker.Value.Check("sum", examples, $"x = {text}")
            if weight = 1.0 || weight = 0.0 then
                found.IsEmpty
            else
                found.Length = 1 && (found |> List.exists (fun d -> d.Code = "TVA0401" && d.Message.Contains $"has weight {Math.Round(weight, 6)}:")))
    )

[<Theory>]
[<InlineData("def f(t: Scalar): Model = (1 - t) * base + t * ft", 0)>]
[<InlineData("def f(t: Scalar, s: Scalar): Model = (1 - t) * ((1 - s) * base + s * ft) + t * ft", 0)>]
[<InlineData("def f(t: Scalar): Model = base + t * (ft - base)", 0)>]
[<InlineData("def f(a: Model, b: Model, t: Scalar): Model = (t * a + b) / (t + 1)", 0)>]
[<InlineData("x = ramp(0, 1) * base + ramp(1, 0) * ft", 0)>]
[<InlineData("x = {\"*.qkv.*\": 0.4, else: 0.6} * base + {\"*.qkv.*\": 0.6, else: 0.4} * ft", 0)>]
[<InlineData("x = base[\"*.qkv.*\"] + ft[not \"*.qkv.*\"]", 0)>]
[<InlineData("def f(t: Scalar): Model = (1 - t) * base + 2 * t * ft\nx = f(0.5)", 1)>]
[<InlineData("x = ramp(0, 1) * base + ramp(1, 0.5) * ft", 1)>]
[<InlineData("x = {\"*.qkv.*\": 0.4, else: 0.6} * base + 0.5 * ft", 1)>]
[<InlineData("x = base[\"*.qkv.*\"] + ft[\"*.fc.*\"]", 1)>]
let ``weights hold for every value of a parameter and at every tensor`` (text: string) (mistakes: int) =
    use e = new Evaluator(EvaluatorOptions.Default)
    Assert.Equal(mistakes, (e.Check("test.tva", examples, heading + text)).Length)
