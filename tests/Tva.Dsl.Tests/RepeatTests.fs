/// `repeat`: what it computes, against float64 loops over explicit vectors and against the rounds written out; and what it refuses.
module Tva.Dsl.Tests.RepeatTests

open System
open System.IO
open Tva.Dsl
open Tva.Dsl.Typing
open Xunit
open Tva.Dsl.Tests.Scripts
open Tva.Dsl.Tests.BasisSupport

let private head = heading + "A = tasks.digits\nB = tasks.letters\n"
let private tau name = taskVectors.Value |> List.find (fst >> (=) name) |> snd
let private a = lazy tau "digits"
let private b = lazy tau "letters"

/// The Delta that an expression is, by way of a file.
let private result text (expression: string) : Vector =
    use temp = new TempFolder()
    runOk temp.Path (head + text + $"\n{expression} |> save(\"out.safetensors\")") |> ignore
    read (temp.File "out.safetensors")

let private value text expression = number examples (head + text + $"\n{expression}")

let private close (expected: Vector) actual = near expected actual (1e-5 * largest expected)

let private isClose (expected: float) (actual: float) = Assert.Equal(expected, actual, 1e-9 * max 1.0 (abs expected))

let private plus = zip (+)

/// f applied `rounds` times.
let rec private times rounds f x = if rounds = 0 then x else times (rounds - 1) f (f x)

/// A function of vectors done tensor by tensor, or row by row.
let private each by (f: float[] -> float[] -> float[]) (x: Vector) (y: Vector) : Vector =
    let shapes = load baseFile |> Map.map (fun _ (info, _) -> int info.Shape.RowLength)
    x |> Map.map (fun name v ->
        let width = if by = "row" then shapes[name] else v.Length
        Array.concat [ for i in 0..width .. v.Length - 1 -> f v[i .. i + width - 1] y.[name].[i .. i + width - 1] ])

let private length (x: float[]) = sqrt (Array.sumBy (fun v -> v * v) x)

// What it computes

[<Fact>]
let ``a number is carried`` () =
    isClose 1.0 (value "def halve(x) = x / 2" "repeat(halve, 3, 8)")
    isClose (sqrt 2.0) (value "def newton(x, a) = (x + a / x) / 2" "repeat(newton, 20, 1, 2)")
    isClose (sqrt (norm a.Value)) (value "def newton(x, a) = (x + a / x) / 2" "repeat(newton, 40, 1, norm(A))")
    isClose 5.0 (value "def same(x) = x" "repeat(same, 100000, 5)")

[<Fact>]
let ``a number of plain numbers is known while checking`` () =
    // A density must be.
    isClose (value "" "nonzero(trim(A, 0.25))") (value "def halve(x) = x / 2" "nonzero(trim(A, repeat(halve, 2, 1)))")
    isClose 3.0 (value "def more(x) = x + 1" "size(0 .. repeat(more, 2, 0))")

[<Fact>]
let ``no rounds leave the start`` () =
    isClose 8.0 (value "def halve(x) = x / 2" "repeat(halve, 0, 8)")
    close a.Value (result "def no(x) = trim(x, 0.5)" "repeat(no, 0, A)")

[<Fact>]
let ``a task vector is carried`` () =
    let step x = plus (scale 0.5 x) b.Value
    close (times 3 step a.Value) (result "def step(x, y) = x / 2 + y" "repeat(step, 3, A, B)")
    let turn x = plus (scale (1.0 / norm x) x) (scale (dot x b.Value) a.Value)
    close (times 4 turn a.Value) (result "def turn(x: Delta): Delta = x / norm(x) + dot(x, B) * A" "repeat(turn, 4, A)")

[<Theory>]
[<InlineData("tensor")>]
[<InlineData("row")>]
let ``by tensor and by row, numbers for each`` (by: string) =
    let turn y x = Array.map2 (fun p q -> p / (length x + 1e-3) + 0.5 * q) x y
    let expected = times 5 (each by (fun x y -> turn y x) >> fun f -> f b.Value) a.Value
    close expected (result $"def turn(x, y) = x / (norm(x, by = \"{by}\") + 0.001) + 0.5 * y" "repeat(turn, 5, A, B)")

[<Fact>]
let ``by layer, and over the whole model beside it`` () =
    let turn x =
        [ for g in groups "layer" x do
              let own = part "layer" g x
              yield! Map.toList (plus (scale (1.0 / (norm own + 0.01)) own) (scale 0.5 (part "layer" g b.Value))) ]
        |> Map.ofList
    close (times 3 turn a.Value) (result "def turn(x, y) = x / (norm(x, by = \"layer\") + 0.01) + 0.5 * y" "repeat(turn, 3, A, B)")

[<Fact>]
let ``a record of numbers and vectors is carried, and each number as far as it must be`` () =
    let text = "def step(s, y) = { k = s.k + 1; { x: s.x / k + y, k: k, far: s.far or norm(s.x) > 1 } }"
    let start = "{ x: A, k: 1, far: false }"
    let rec go n k x = if n = 0 then x else go (n - 1) (k + 1.0) (plus (scale (1.0 / (k + 1.0)) x) b.Value)
    close (go 4 1.0 a.Value) (result text $"repeat(step, 4, {start}, B).x")
    isClose 5.0 (value text $"repeat(step, 4, {start}, B).k")
    // `far` is one truth for the model, so it may be asserted.
    let ran = runOk examples (head + text + $"\nassert repeat(step, 4, {start}, B).far or norm(A) < 1")
    Assert.Equal(Some Outcome.Completed, ran.Outcome)

[<Fact>]
let ``a family is carried`` () =
    // Gram and Schmidt's way, all at once: each member less a share of the mean.
    let step (xs: Vector list) =
        let m = scale (1.0 / float xs.Length) (sum xs)
        xs |> List.map (fun x -> minus x (scale (0.5 * dot x m / dot m m) m))
    let members = taskVectors.Value |> List.map snd
    let text = "def step(F) = { m = mean(F); F - 0.5 * dot(F, m) / dot(m, m) * m }\nG = repeat(step, 3, tasks)"
    let expected = times 3 step members
    close expected[2] (result text "G.digits")
    close expected[7] (result text "G.stripes")
    isClose (dot expected[2] expected[3]) (value text "dot(G.digits, G.frequency)")

[<Fact>]
let ``a restriction, a coefficient by glob, a choice and a sum of elements stay in the span`` () =
    let only (x: Vector) : Vector = x |> Map.map (fun name v -> if name.Contains ".qkv." then v else Array.create v.Length 0.0)
    let step x =
        let k = norm (only x)
        let y = plus (scale 0.5 x) (only x)
        if k > 1e3 then a.Value else plus (scale (1.0 / (1.0 + k)) y) b.Value
    close (times 3 step a.Value) (result "def step(x) = { k = norm(x[\"*.qkv.*\"]); where(k > 1000, A, (0.5 * x + x[\"*.qkv.*\"]) / (1 + k) + B) }" "repeat(step, 3, A)")
    let globbed (x: Vector) : Vector = x |> Map.map (fun name v -> v |> Array.map (fun e -> (if name.Contains ".qkv." then 0.25 else 0.5) * e))
    close (times 3 (fun x -> plus (globbed x) b.Value) a.Value) (result "def step(x) = { \"*.qkv.*\": 0.25, else: 0.5 } * x + B" "repeat(step, 3, A)")

[<Fact>]
let ``the side not taken spoils nothing`` () =
    // x / norm(x) is 0/0 in the first round, and not taken.
    let text = "def step(x) = where(norm(x) == 0, A, x / norm(x) + B)"
    let expected = plus (scale (1.0 / norm a.Value) a.Value) b.Value
    close expected (result text "repeat(step, 2, 0 * A)")

[<Fact>]
let ``a vector made by element before the rounds is one of the vectors`` () =
    let positive : Vector = a.Value |> Map.map (fun _ v -> v |> Array.map (max 0.0))
    let step x = plus (scale (0.5 / norm x) x) positive
    close (times 3 step b.Value) (result "P = max(A, 0)\ndef step(x) = 0.5 * x / norm(x) + P" "repeat(step, 3, B)")

[<Theory>]
[<InlineData("x / (1 + norm(x)) + cosine(x, A) * B")>]
[<InlineData("perpendicular(x, A) + 0.25 * B")>]
[<InlineData("x - dot(x, B, by = \"tensor\") * A")>]
[<InlineData("mean([x, A, B]) * norm(x - A, by = \"row\")")>]
[<InlineData("(x + A * ramp(0, 1)) / (norm(x + B, by = \"layer\") + 1)")>]
[<InlineData("0.5 * (x - B)[layers(0..1)] + A / norm(x - B[\"*.qkv.*\"], by = \"tensor\")")>]
[<InlineData("clamp(norm(x) - 1, 0, 1) * x + exp(-norm(x)) * B")>]
let ``three rounds are three calls`` (body: string) =
    let text = $"def f(x: Delta): Delta = {body}"
    close (result text "f(f(f(A)))") (result text "repeat(f, 3, A)")

[<Fact>]
let ``a loop inside another that does not depend on it, and one after another`` () =
    let text = "def halve(x) = x / 2\ndef outer(x) = x + repeat(halve, 2, norm(A)) * B\n"
    let k = norm a.Value / 4.0
    close (plus a.Value (scale (3.0 * k) b.Value)) (result text "repeat(outer, 3, A)")
    let text = "def shrink(x, k) = x / (k + norm(x))\n"
    let shrink k x = scale (1.0 / (k + norm x)) x
    let once = times 2 (shrink 1.0) a.Value
    close (times 2 (shrink (norm once)) once) (result text "{ x = repeat(shrink, 2, A, 1); repeat(shrink, 2, x, norm(x)) }")

[<Fact>]
let ``threads and memory change nothing`` () =
    let bytes threads memory =
        use temp = new TempFolder()
        let settings = { uncached with Threads = threads; Memory = memory }
        runAs settings temp.Path (head + "base + geometric_median(tasks, by = \"row\") |> save(\"out.safetensors\")") |> ignore
        File.ReadAllBytes(temp.File "out.safetensors")
    let first = bytes 1 1073741824L
    Assert.Equal<byte[]>(first, bytes 2 1073741824L)
    Assert.Equal<byte[]>(first, bytes 3 33554432L)

[<Fact>]
let ``equal loops are one`` () =
    use e = new Evaluator(optionsOf uncached)
    Assert.Empty(e.Check("t.tva", examples, head + "base + geometric_median(tasks) |> save(\"out/x.safetensors\")\nprint(norm(geometric_median(tasks)))") |> List.map _.Message)
    let loops = [ for p in e.Plans() do for s in p.Plan.Scalars do match s with :? Tva.Core.Execution.LoopScalar as l -> l.Loop | _ -> () ]
    Assert.Single(loops |> Seq.distinct) |> ignore

[<Fact>]
let ``a plan tells of its loops`` () =
    use e = new Evaluator(optionsOf uncached)
    e.Check("t.tva", examples, head + "base + geometric_median(tasks, 70) |> save(\"out/x.safetensors\")") |> ignore
    let text = e.Explain()
    Assert.Contains("l0 = 70 rounds of 8 numbers, ", text)
    Assert.Contains("l0.7 * (", text)
    Assert.DoesNotContain("?", text)

// What it refuses

[<Theory>]
[<InlineData("def f(x) = trim(x, 0.5)", "repeat(f, 3, A)", "TVA0347", "trim(x, 0.5)")>]
[<InlineData("def f(x) = x * x", "repeat(f, 3, A)", "TVA0347", "x * x")>]
[<InlineData("def f(x) = x / l1(x)", "repeat(f, 3, A)", "TVA0347", "l1(x)")>]
[<InlineData("def f(x) = ties(family(x, B))", "repeat(f, 3, A)", "TVA0347", "kept / where")>]
[<InlineData("def f(x) = x / norm(x, by = \"tensor\") + B / norm(x)", "repeat(f, 3, A)", "TVA0347", "norm(x)")>]
[<InlineData("def f(k) = k * norm(trim(A, k), by = \"all\")", "repeat(f, 3, 0.5)", "TVA0347", "trim(A, k)")>]
[<InlineData("def g(y, k) = y / k\ndef f(x) = repeat(g, 2, x, norm(x))", "repeat(f, 3, A)", "TVA0347", "repeat(g, 2, x, norm(x))")>]
[<InlineData("def f(x) = norm(x)", "repeat(f, 3, A)", "TVA0346", "gives a number")>]
[<InlineData("def f(x) = [x, x]", "repeat(f, 3, A)", "TVA0346", "[a Delta, a Delta]")>]
[<InlineData("def f(s) = { a: s.a }", "repeat(f, 3, { a: A, b: 1 }).a", "TVA0346", "[a: a Delta, b: a number]")>]
[<InlineData("def f(x) = base + x", "repeat(f, 3, A)", "TVA0311", "repeat")>]
[<InlineData("def f(x) = x", "repeat(f, 3, base)", "TVA0311", "repeat")>]
[<InlineData("def f(x) = x", "repeat(f, 3, \"text\")", "TVA0310", "repeat")>]
[<InlineData("def f(x) = x", "repeat(f, -1, A)", "TVA0328", "rounds")>]
[<InlineData("def f(x) = x", "repeat(f, 1e9, A)", "TVA0328", "100000")>]
[<InlineData("def f(x) = x", "repeat(f, 1.5, A)", "TVA0331", "no whole number")>]
[<InlineData("def f(x) = x", "repeat(f, 0/0, A)", "TVA0328", "rounds")>]
[<InlineData("def f(x) = x", "repeat(f, norm(A), A)", "TVA0327", "rounds")>]
[<InlineData("def f(x) = x", "repeat(A, 3, A)", "TVA0310", "the name of a def")>]
[<InlineData("def f(x) = x", "repeat(f, 3)", "TVA0320", "start")>]
[<InlineData("def f(x) = x", "repeat(f, 3, A, B)", "TVA0321", "f")>]
[<InlineData("def f(x, y) = x + y", "repeat(f, 3, A)", "TVA0320", "y")>]
[<InlineData("def f(x) = x + nothing", "repeat(f, 3, A)", "TVA0301", "nothing")>]
[<InlineData("", "pairs([1])", "TVA0331", "two or more")>]
let ``what a loop can't do is told with its place`` (text: string) (expression: string) (code: string) (said: string) =
    let ran = runWith (optionsOf uncached) examples (head + text + "\nr = " + expression)
    let d = ran.Diagnostics |> List.filter (fun d -> d.Code = code)
    Assert.True(d.Length = 1, String.Join("; ", ran.Diagnostics |> List.map (fun d -> d.Code + " " + d.Message)))
    Assert.Contains(said, d.Head.Message)
    Assert.True(d.Head.Span.Source >= 0)

[<Fact>]
let ``a def that repeats is checked on its own`` () =
    let found text = (runWith (optionsOf uncached) examples (head + text)).Diagnostics |> List.map _.Code
    Assert.Empty(found "def f(x, k) = x / k\ndef g(F: Family, n): Delta = repeat(f, n, mean(F), 2)")
    Assert.Equal<string list>([ "TVA0321" ], found "def f(x) = x\ndef g(F: Family, n): Delta = repeat(f, n, mean(F), 2)")

[<Fact>]
let ``pairs are the members i < j`` () =
    isClose 11.0 (value "" "sum(pairs([1, 2, 3]).left * pairs([1, 2, 3]).right)")
    let cosines = [ for i in 0..7 do for j in i + 1 .. 7 -> (let x, y = snd taskVectors.Value[i], snd taskVectors.Value[j] in dot x y / (norm x * norm y)) ]
    isClose (List.sum cosines) (value "p = pairs(tasks)" "sum(cosine(p.left, p.right))")
