/// `advise` and `advised` against the theorems of arXiv 2504.10957 written out here, and against float64 products of the zoo's task vectors.
module Tva.Dsl.Tests.AdviceTests

open System
open System.IO
open Tva.Core
open Tva.Dsl
open Tva.Dsl.Typing
open Xunit
open Tva.Dsl.Tests.Scripts
open Tva.Dsl.Tests.BasisSupport

let task name = taskVectors.Value |> List.find (fst >> (=) name) |> snd

let cosineOf a b = dot a b / norm a / norm b

let findings (ran: Ran) = shownBy ran |> List.collect (List.choose (function Shown.Findings f -> Some f | _ -> None))

let rowsOf finding (f: Findings) = f.Rows |> List.filter (fun row -> row.Head = Cell.Word finding)

let text cell = match cell with Cell.Word w -> w | Cell.Figure v -> string v | Cell.Blank -> ""

/// What an advice has under its names; NaN where none serves.
let private told edit options (names: string list) =
    use temp = new TempFolder()
    let shown = String.Join(", ", names |> List.map (fun n -> "a." + n))
    match shownBy (runOk temp.Path (heading + $"a = advise({edit}{options})\nprint({shown})")) with
    | [ items ] -> items |> List.map (function Shown.Number v -> v | other -> failwith $"{other}")
    | other -> failwith $"{other}"

let adding = "add(tasks.digits, tasks.letters)"
let forgetting = "forget(tasks.digits, keep = tasks.letters)"

[<Theory>]
[<InlineData(0.0, 1.05)>]
[<InlineData(0.3, 0.75)>]
[<InlineData(1.0, 0.05)>]
[<InlineData(-0.001, Double.NaN)>]
[<InlineData(-1.0, Double.NaN)>]
let ``adding takes λ from 1 - α + β on, and none where the tasks contradict`` (alpha: float, least: float) =
    let found = told adding $", alpha = {alpha}" [ "alpha"; "lambda"; "low"; "high"; "feasible"; "digits"; "letters" ]
    let high, feasible, first = if Double.IsNaN least then nan, 0.0, nan else infinity, 1.0, 1.0
    for e, g in List.zip [ alpha; least; least; high; feasible; first; least ] found do
        Assert.Equal(e, g, 1e-12)

[<Theory>]
[<InlineData(0.0, -1.0, Double.NegativeInfinity)>]
[<InlineData(-0.5, -1.0, -4.0)>]
[<InlineData(-1.0, -1.0, -1.0)>]
[<InlineData(0.15, -1.0, Double.NegativeInfinity)>]
[<InlineData(0.25, Double.NaN, Double.NaN)>]
let ``forgetting takes λ <= 0, down to -1/α² where the tasks contradict, and none where they are aligned`` (alpha: float, lambda: float, low: float) =
    let found = told forgetting $", alpha = {alpha}" [ "lambda"; "low"; "high" ]
    for e, g in List.zip [ lambda; low; (if Double.IsNaN lambda then nan else 0.0) ] found do
        Assert.Equal(e, g, 1e-12)

[<Fact>]
let ``without anything else the cosine stands for α, as a proxy, by layer too`` () =
    use temp = new TempFolder()
    let ran = runOk temp.Path (heading + $"a = advise({adding}, irrelevant = 0.05)\na\nprint(a.alpha, a.lambda)")
    let cos = cosineOf (task "digits") (task "letters")
    match shownBy ran |> List.last with
    | [ Shown.Number alpha; Shown.Number lambda ] ->
        Assert.Equal(cos, alpha, 1e-9)
        Assert.Equal(1.0 - cos + 0.05, lambda, 1e-9)
    | other -> Assert.Fail $"{other}"
    let f = (findings ran).Head
    for row in rowsOf "relation by layer" f do
        let label = (text row[1]).Split(':')[0]
        let a, b = part "layer" label (task "digits"), part "layer" label (task "letters")
        match row[2] with
        | Cell.Figure v -> Assert.Equal(cosineOf a b, v, 1e-9)
        | other -> Assert.Fail $"{other}"
        Assert.Contains("proxy", text row[4])
    Assert.Equal(groups "layer" (task "digits") |> List.length, (rowsOf "relation by layer" f).Length)
    // Whatever follows from a proxy says so.
    for row in rowsOf "relation" f @ rowsOf "range" f @ rowsOf "recommended" f do
        Assert.Contains("proxy", text row[4])
    for row in rowsOf "recommended" f do
        Assert.Equal("on a proxy", text row[3])

[<Fact>]
let ``a small estimate counts as no relation, and knowledge does not`` () =
    Assert.Equal(1.05, (told adding "" [ "lambda" ]).Head, 1e-12)
    Assert.Equal(1.05 - 0.1, (told adding ", alpha = 0.1" [ "lambda" ]).Head, 1e-12)

[<Fact>]
let ``what is advised is what is made`` () =
    use temp = new TempFolder()
    let text =
        heading
        + $"base + advised({adding}, alpha = 0.4) |> save(\"added.safetensors\")\n"
        + "base + advised(forget(tasks.digits, keep = [tasks.letters, tasks.count]), alpha = [0, -0.5, 0.2], beta = 0.1) |> save(\"forgot.safetensors\")\n"
        + "norm(advised(ood([tasks.digits, tasks.letters], gamma = [0.8, -0.5]), c = 0.5))"
    let ran = runOk temp.Path text
    let expected (terms: (float * string) list) = sum (origin.Value :: [ for k, name in terms -> scale k (task name) ])
    let agree file (e: Vector) =
        for KeyValue(name, values) in read (temp.File file) do
            Array.iter2 (fun (x: float) y -> Assert.Equal(x, y, 2e-6)) e[name] values
    agree "added.safetensors" (expected [ 1.0, "digits"; 0.65, "letters" ])
    agree "forgot.safetensors" (expected [ -1.0, "digits"; 1.0, "letters"; 0.9, "count" ])
    // γ = (0.8, −0.5), both conditions binding: λ solves 0.8a − 0.5b = 1.5, 0.64a + 0.25b = 1.5.
    let a = (1.5 * 0.25 + 1.5 * 0.5) / (0.8 * 0.25 + 0.5 * 0.64)
    let b = (0.8 * a - 1.5) / 0.5
    Assert.Equal(norm (sum [ scale a (task "digits"); scale b (task "letters") ]), (numbers ran).Head, 1e-6)

[<Fact>]
let ``out of domain the conditions are told in numbers, and where none serves the proof`` () =
    use temp = new TempFolder()
    let ran = runOk temp.Path (heading + "advise(ood([tasks.digits, tasks.letters], gamma = [0.8, -0.5]), c = 0.5)\nadvise(ood([tasks.digits, tasks.letters], gamma = [-0.5, -0.5]))")
    match findings ran with
    | [ serves; none ] ->
        let value finding of' (f: Findings) =
            match (rowsOf finding f |> List.find (fun row -> text row[1] = of'))[2] with
            | Cell.Figure v -> v
            | other -> failwith $"{other}"
        Assert.Equal(1.5, value "condition (B)" "Σλγ" serves, 1e-9)
        Assert.Equal(1.5, value "condition (B)" "Σλγ²" serves, 1e-9)
        Assert.Contains("none serves", rowsOf "condition (B)" none |> List.map (fun row -> text row[3]))
        let y = value "certificate" "y₁, y₂" none
        // y₁γ + y₂γ² = 0 for γ = −0.5: y₁ = y₂/2.
        Assert.Equal(1.0 / 3.0, y, 1e-9)
    | other -> Assert.Fail $"{other}"

[<Fact>]
let ``all pairs of a family rest on one pass, and a later run on none`` () =
    use temp = new TempFolder()
    Directory.CreateDirectory(temp.File "tasks") |> ignore
    for name in names do
        File.Copy(taskFile name, temp.File $"tasks/{name}.safetensors")
    let text =
        $"base = model(\"{baseFile}\")\ntasks = family(\"tasks/*.safetensors\", base)\n"
        + String.Join("\n", [ for i in 0..7 do for j in i + 1 .. 7 -> $"print(advise(add(tasks.{names[i]}, tasks.{names[j]})).alpha)" ])
    let first = runAs RunSettings.Default temp.Path text
    let again = runAs RunSettings.Default temp.Path text
    Assert.Equal<(int64 * int64) list>([ 9L * size, 0L ], passes first |> List.map (fun (_, r, w) -> r, w))
    Assert.Empty(passes again)
    let expected = [ for i in 0..7 do for j in i + 1 .. 7 -> cosineOf (task names[i]) (task names[j]) ]
    for e, a, b in List.zip3 expected (numbers first) (numbers again) do
        Assert.Equal(e, a, 1e-9)
        Assert.Equal(a, b)

/// A model's last number of `pos` as its outputs, in a script that needs nothing but a shell.
let private outputs =
    "for m in \"$@\"; do\n  v=$(tail -c 4 \"$m\" | od -An -tf4 | tr -d ' ')\n  printf '{\"letters\": [[%s, 1], [2, 3], [0, 0]], \"other\": [1, 2, 3]}\\n' \"$v\"\ndone\n"

let private allowed = { optionsOf uncached with Permissions = { Run = true; FSharp = false } }

[<Fact>]
let ``α̂ is the mean cosine of outputs about their means, over the tasks' own data sets or all`` () =
    Assert.SkipWhen(OperatingSystem.IsWindows(), "the measuring script is one for a Unix shell")
    use temp = new TempFolder()
    File.WriteAllText(temp.File "outputs.sh", outputs)
    let ran = runWith allowed temp.Path (heading + $"a = advise({adding}, outputs = \"sh outputs.sh {{models}}\")\na\nprint(a.alpha)")
    Assert.Empty(ran.Diagnostics)
    let samples name =
        let v = read (taskFile name) |> Map.find "pos" |> Array.last
        [ [ v; 1.0 ]; [ 2.0; 3.0 ]; [ 0.0; 0.0 ] ]
    let centred (rows: float list list) =
        let mean k = rows |> List.averageBy (List.item k)
        rows |> List.map (fun r -> [ r[0] - mean 0; r[1] - mean 1 ])
    let cos (a: float list) (b: float list) =
        let d (x: float list) (y: float list) = x[0] * y[0] + x[1] * y[1]
        d a b / sqrt (d a a) / sqrt (d b b)
    // `letters` is one of the two tasks, but the other has no data set of its own: all count, and in `other` both answer alike, but for the
    // middle sample, which is the mean.
    let letters = List.map2 cos (centred (samples "digits")) (centred (samples "letters")) |> List.average
    match shownBy ran |> List.last with
    | [ Shown.Number alpha ] -> Assert.Equal((letters + 2.0 / 3.0) / 2.0, alpha, 1e-5)
    | other -> Assert.Fail $"{other}"
    let f = (findings ran).Head
    for row in rowsOf "relation" f @ rowsOf "range" f @ rowsOf "recommended" f do
        Assert.Contains("estimate", text row[4])

[<Theory>]
[<InlineData("printf '{}\\n{}\\n'", "it printed an empty object")>]
[<InlineData("printf '{\"a\": 1}\\n{\"a\": 1}\\n'", "`a` is one number, which is a score and no output")>]
[<InlineData("printf '{\"a\": [1, 2]}\\n{\"a\": [1, 2, 3]}\\n'", "outputs of other samples")>]
[<InlineData("printf '{\"a\": [[1, 2], [1]]}\\n{\"a\": [[1, 2], [1]]}\\n'", "the samples of `a` have")>]
[<InlineData("printf '{\"a\": [1]}\\n{\"a\": [1]}\\n'", "likeness is told from two on")>]
[<InlineData("printf 'hello\\n'", "should print one JSON object")>]
[<InlineData("exit 3; ", "ended with status 3")>]
let ``a command that fails or prints nonsense is a fault`` (command: string, message: string) =
    Assert.SkipWhen(OperatingSystem.IsWindows(), "the commands are a Unix shell's")
    use temp = new TempFolder()
    let quoted = command.Replace("\\", "\\\\").Replace("\"", "\\\"").Replace("{", "\\u{7b}")
    let run () = runWith allowed temp.Path (heading + $"advise({adding}, outputs = \"{quoted} # {{models}}\")") |> ignore
    Assert.Contains(message, (Assert.Throws<FaultException> run).Message)

[<Fact>]
let ``what follows a mistake is no fault of its own`` () =
    use temp = new TempFolder()
    let found = (run temp.Path $"base = model(\"{baseFile}\")\nf = family(\"nowhere/*\", base)\nadvise(add(f.a, f.b))\nbase + advised(ood([f.a], gamma = [0.5]))\nconflicts([f.a, f.b])").Diagnostics
    Assert.Equal<string list>([ "TVA0503" ], found |> List.map _.Code)

[<Theory>]
[<InlineData("advise(ood(tasks, gamma = [1, 2]))", "`gamma` has 2 numbers for 8 task vectors")>]
[<InlineData("advise(ood([tasks.digits, tasks.letters], gamma = [0, 0]))", "all of `gamma` is 0")>]
[<InlineData("advise(ood([tasks.digits, tasks.letters], gamma = [0.8, -0.7]))", "Σγ² is 1.13")>]
[<InlineData("advise(add(tasks.digits, tasks.letters), basis = basis(family(tasks.count, tasks.digits), 1))", "letters")>]
[<InlineData("advise(add(tasks.digits, tasks.letters), alpha = 1.5)", "`alpha` of `advise` is 1.5, outside -1..1")>]
[<InlineData("advise(add(tasks.digits, tasks.letters), alpha = -1.01)", "outside -1..1")>]
[<InlineData("advise(add(tasks), alpha = [0.1, 0.2])", "`alpha` has 2 numbers for 28 pairs")>]
[<InlineData("advise(tasks)", "`advise` takes an edit")>]
[<InlineData("advise(add(tasks.digits))", "at least 2 members are needed")>]
[<InlineData("advise(add(base, tasks.digits))", "Delta")>]
[<InlineData("advise(forget(tasks.digits, keep = [tasks.digits]))", "`digits` is to be forgotten and kept")>]
[<InlineData("advise(add(tasks.digits, other - theirs))", "`digits` is a task vector over")>]
[<InlineData("advised(add(tasks.digits, tasks.letters), alpha = -0.3)", "no λ serves: digits and letters: α = -0.3 < 0")>]
[<InlineData("advised(ood([tasks.digits], gamma = [-0.5]))", "no λ meets the conditions of Theorem 3")>]
[<InlineData("advise(add(tasks.digits, tasks.letters), outputs = \"run {model}\")", "running a command is not allowed")>]
[<InlineData("advise(add(tasks.digits, tasks.letters), alpha = 0, outputs = \"run {model}\")", "either given or estimated")>]
[<InlineData("advise(add(tasks.digits, tasks.letters), beta = 0)", "`beta` of `advise` is 0")>]
[<InlineData("advise(ood([tasks.digits], gamma = [1]), c = 1)", "`c` of `advise` is 1")>]
[<InlineData("advise(add(tasks.digits, tasks.letters), smoothness = [1])", "`smoothness` of `advise`")>]
let ``what is wrong is a mistake of the text`` (text: string, message: string) =
    use temp = new TempFolder()
    let more = $"theirs = model(\"{taskFile names[0]}\")\nother = model(\"{taskFile names[1]}\")\n"
    let found = (run temp.Path (heading + more + text)).Diagnostics |> List.map _.Message
    Assert.Contains(found, fun m -> m.Contains message)

[<Fact>]
let ``an α that data tell is looked at when they do`` () =
    let found = told adding ", alpha = cosine(tasks.digits, tasks.letters)" [ "lambda" ]
    Assert.Equal(1.05 - cosineOf (task "digits") (task "letters"), found.Head, 1e-9)
    use temp = new TempFolder()
    let f = (findings (runOk temp.Path (heading + $"advise({adding}, alpha = cosine(tasks.digits, tasks.letters))"))).Head
    for row in rowsOf "relation" f @ rowsOf "range" f @ rowsOf "recommended" f do
        Assert.Contains("proxy", text row[4])
    let message = (Assert.Throws<FaultException>(fun () -> told adding ", alpha = 10 * norm(tasks.digits)" [ "lambda" ] |> ignore)).Message
    Assert.Contains("outside -1..1", message)

[<Fact>]
let ``advice that turns out as none is a fault where it was to be used`` () =
    use temp = new TempFolder()
    let run () = runOk temp.Path (heading + "x = -1 * tasks.digits\nbase + advised(add(tasks.digits, x)) |> save(\"x.safetensors\")") |> ignore
    let message = (Assert.Throws<FaultException> run).Message
    Assert.Contains("no λ serves", message)
    Assert.Contains("proxy", message)
    Assert.False(File.Exists(temp.File "x.safetensors"))
