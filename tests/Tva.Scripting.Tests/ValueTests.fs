/// `fs "..."` as a value, and names that `fs """..."""` defines.
module Tva.Scripting.Tests.ValueTests

open System
open Tva.Core
open Tva.Dsl
open Xunit
open Tva.Dsl.Tests.Scripts
open Tva.Scripting.Tests.Support

let private numbers values = Shown.List(values |> List.map Shown.Number)

[<Fact>]
let ``numbers, texts, truths and collections become values`` () =
    Assert.Equal(numbers [ 1.0; 0.5; 1.0 / 3.0 ], value "fs \"[ for i in 1..3 -> 1.0 / float i ]\"")
    let all =
        shown
            "print(fs \"1 + 1\", fs \"2.5f\", fs \"0.1f\", fs \"\\\"a\\\" + \\\"b\\\"\", fs \"2 > 1\", fs \"[| 1; 2 |]\", fs \"seq { 1L; 2L }\", fs \"(1, 2.0)\", fs \"10000000000I\", fs \"array2D [ [ 1.0; 2.0 ]; [ 3.0; 4.0 ] ]\")"
    Assert.Equal<Shown list>(
        [ Shown.Number 2.0
          Shown.Number 2.5
          Shown.Number 0.1
          Shown.Text "ab"
          Shown.Truth true
          numbers [ 1.0; 2.0 ]
          numbers [ 1.0; 2.0 ]
          numbers [ 1.0; 2.0 ]
          Shown.Number 1e10
          Shown.List [ numbers [ 1.0; 2.0 ]; numbers [ 3.0; 4.0 ] ] ],
        all)

[<Fact>]
let ``records and maps have members, and are coefficients by tensor`` () =
    let text = "fs \"\"\"\ntype Weights = { low: float; high: float }\n\"\"\"\nw = fs \"{ low = 0.25; high = 1.0 }\"\nr = fs \"{| a = 2 |}\"\nm = fs \"Map [ \\\"b\\\", 3 ]\"\nprint(w.low, r.a, m.b)"
    Assert.Equal<Shown list>([ Shown.Number 0.25; Shown.Number 2.0; Shown.Number 3.0 ], shown text)
    let same = "m = fs \"dict [ \\\"*.qkv.*\\\", 0.5; \\\"else\\\", 0.0 ]\"\nprint(norm(m * A), norm(0.5 * A[\"*.qkv.*\"]))"
    match shown (heading + same) with
    | [ Shown.Number a; Shown.Number b ] ->
        Assert.True(a > 0.0)
        Assert.Equal(b, a, 1e-12)
    | other -> Assert.Fail $"%A{other}"

[<Fact>]
let ``weights from F# are weights`` () =
    let text = heading + "w = fs \"[ for i in 1..8 -> 1.0 / float i ]\"\nprint(norm(weighted(tasks, w)), norm(weighted(tasks, [1, 1/2, 1/3, 1/4, 1/5, 1/6, 1/7, 1/8])))"
    match shown text with
    | [ Shown.Number a; Shown.Number b ] -> Assert.Equal(b, a, 1e-9)
    | other -> Assert.Fail $"%A{other}"

[<Fact>]
let ``names that a text defines are there for later texts, and may be given anew`` () =
    let text = "fs \"\"\"\nlet half x = x / 2.0\nlet k = 3.0\"\"\"\na = fs \"half k\"\nfs \"\"\"let k = 5.0\n      let l = half k\"\"\"\nprint(a, fs \"l + k\")"
    Assert.Equal<Shown list>([ Shown.Number 1.5; Shown.Number 7.5 ], shown text)

[<Fact>]
let ``lines keep their columns wherever the text opens`` () =
    Assert.Equal(Shown.Number 3.0, value "fs \"\"\"let a = 1\n            let b = 2\n            a + b\"\"\"")
    Assert.Equal(Shown.Number 3.0, value "fs \"\"\"\n  let a = 1\n  let b = 2\n  a + b\n  \"\"\"")
    Assert.Equal(Shown.Number 7.0, value "fs \"\"\"if true then\n  7\nelse 8\"\"\"")

[<Fact>]
let ``what F# prints is told and not mixed with results`` () =
    let found = Collections.Generic.List<Event>()
    use e = new Evaluator(options)
    e.Watch((fun event -> found.Add event), Threading.CancellationToken.None)
    Assert.Empty(e.Check("test.tva", examples, "x = fs \"\"\"\n  printfn \"hello\"\n  System.Console.Write \"there\"\n  1\"\"\""))
    Assert.Equal<Event list>([ Event.Noted "hello\nthere" ], List.ofSeq found)
