/// The language services: colours, completion, descriptions and types of texts that are being written.
module Tva.Dsl.Tests.ServicesTests

open System
open System.Diagnostics
open System.IO
open System.Text
open System.Threading
open Tva.Dsl
open Tva.Dsl.Services
open Tva.Dsl.Tests.Scripts
open Xunit

/// A session that knows the zoo as `base`, `tasks` and `A`.
let private zooSession () =
    let e = new Evaluator({ EvaluatorOptions.Default with Session = true })
    let text = "base = model(\"zoo/base.safetensors\")\ntasks = family(\"zoo/tasks/*.safetensors\", base)\nA = tasks.digits\ndef soft(x: Delta, k: Scalar = 0.1): Delta = k * x"
    Assert.Empty(e.Check("<test>", examples, text))
    e.Run(ignore, CancellationToken.None) |> ignore
    e

/// Completes at the `|` in the text.
let private completeIn (e: Evaluator) (folder: string) (marked: string) =
    let at = marked.LastIndexOf '|'
    let text = marked.Remove(at, 1)
    let c = LanguageService(e).Complete(folder, text, at)
    // What is offered goes where the word stands.
    Assert.InRange(c.Start, 0, at)
    Assert.InRange(c.End, c.Start, text.Length)
    c

let private offered marked =
    use e = zooSession ()
    (completeIn e examples marked).Candidates |> List.map _.Text

[<Theory>]
[<InlineData("def f(x: Delta, density = 1): Delta = den|", true)>]
[<InlineData("y = { density = 0.2; den|", true)>]
// Names of arguments and of entries are no values.
[<InlineData("ties(tasks, density = den|", false)>]
[<InlineData("y = { density: 0.2, other: den|", false)>]
let ``what a statement brings by name is offered`` (marked: string, isThere: bool) =
    Assert.Equal(isThere, offered marked |> List.contains "density")

[<Fact>]
let ``tokens are told apart`` () =
    let text = "x = norm(A, by = \"row\") # why\ndef f(k: Scalar): Delta = k * tasks.digits"
    let classes = Classify.classify text |> Array.map (fun c -> text.Substring(c.Start, c.End - c.Start), c.Class) |> List.ofArray
    let isOf word c = Assert.Contains((word, c), classes)
    isOf "x" TokenClass.Name
    isOf "norm" TokenClass.Function
    isOf "by" TokenClass.Option
    isOf "\"row\"" TokenClass.Text
    isOf "# why" TokenClass.Comment
    isOf "def" TokenClass.Keyword
    isOf "f" TokenClass.Function
    isOf "Scalar" TokenClass.Type
    isOf "digits" TokenClass.Member

[<Theory>]
[<InlineData("norm(A", true)>]
[<InlineData("x = {", true)>]
[<InlineData("x = 1 +", true)>]
[<InlineData("x |>", true)>]
[<InlineData("fs \"\"\"a", true)>]
[<InlineData("x = 1", false)>]
[<InlineData("x = 1 # (", false)>]
[<InlineData("print(\"(\")", false)>]
[<InlineData("x = \"(", false)>]
[<InlineData(")))", false)>]
[<InlineData(")(", false)>]
let ``a text asks for more`` (text: string, expected: bool) =
    let struct (isOpen, _) = Classify.isOpen text
    Assert.Equal(expected, isOpen)

[<Fact>]
let ``names and functions begin like the word`` () =
    let found = offered "x = t|"
    Assert.All(found, fun n -> Assert.StartsWith("t", n))
    Assert.All([ "tanh"; "tasks"; "tensors"; "ties" ], fun n -> Assert.Contains(n, found))
    Assert.Contains("soft", offered "so|")
    Assert.Contains("assert", offered "as|")

[<Fact>]
let ``functions come with their signatures`` () =
    use e = zooSession ()
    let c = (completeIn e examples "soft|").Candidates |> List.find (fun c -> c.Text = "soft")
    Assert.Equal("soft(x: Delta, k: Scalar = 0.1): Delta", c.Detail)
    let c = (completeIn e examples "x @bas|").Candidates |> List.find (fun c -> c.Text = "basis")
    Assert.StartsWith("basis(F, M?", c.Detail)

[<Fact>]
let ``members stand behind a dot`` () =
    let expected = [ "arrows"; "count"; "digits"; "frequency"; "letters"; "position"; "shapes"; "stripes" ]
    Assert.Equal<string list>(expected, offered "tasks.|")
    Assert.Equal<string list>([ "shapes"; "stripes" ], offered "base + 0.3 * tasks.s|")
    Assert.Equal<string list>([ "shapes"; "stripes" ], offered "trim(tasks, 0.2).s|")
    // Of a name that the text itself brings.
    Assert.Equal<string list>(expected, offered "small = trim(tasks, 0.5)\nnorm(small.|)")

[<Fact>]
let ``tensor names stand in a restriction`` () =
    let names = load (Path.Combine(examples, "zoo/base.safetensors")) |> Map.keys |> List.ofSeq
    let wanted = names |> List.filter (fun n -> n.StartsWith "blocks.0.") |> List.sort |> List.map (fun n -> n + "\"")
    Assert.NotEmpty wanted
    Assert.Equal<string list>(wanted, offered "A[\"blocks.0.|" |> List.sort)
    Assert.Equal<string list>(wanted, offered "norm((base - base)[\"blocks.0.|" |> List.sort)

[<Fact>]
let ``paths stand in what loads`` () =
    Assert.Equal<string list>([ "zoo/base.safetensors\"" ], offered "m = model(\"zoo/b|")
    Assert.Equal<string list>([ "zoo/base.safetensors" ], offered "m = model(\"zoo/b|\")")
    Assert.Contains("zoo/tasks/", offered "family(\"zoo/|")
    Assert.Contains("zoo/tasks/digits.safetensors\"", offered "family([\"zoo/tasks/arrows.safetensors\", \"zoo/tasks/d|")
    Assert.Contains("ties.tva\"", offered "include \"t|")
    Assert.Empty(offered "m = model(\"nowhere/|")
    // A text that is no path is none.
    Assert.Empty(offered "x = \"zoo/b|")

[<Fact>]
let ``options stand in calls, those given not again`` () =
    Assert.Equal<string list>([ "by = "; "x = " ], offered "norm(|)" |> List.filter (fun n -> n.EndsWith " = "))
    Assert.Contains("density = ", offered "ties(tasks, |")
    Assert.DoesNotContain("density = ", offered "ties(tasks, density = 0.1, |")
    Assert.DoesNotContain("density = ", offered "ties(tasks, 0.1, |")
    Assert.Contains("weights = ", offered "ties(tasks, 0.1, |")
    Assert.DoesNotContain("F = ", offered "ties(tasks, density = 0.1, |")
    Assert.DoesNotContain("F = ", offered "tasks @ties(|")
    Assert.Contains("k = ", offered "soft(A, |)")

[<Fact>]
let ``an option's choices are the checker's own`` () =
    Assert.Equal<string list>([ "\"all\""; "\"layer\""; "\"row\""; "\"tensor\"" ], offered "norm(A, by = |)")
    Assert.Equal<string list>([ "tensor\"" ], offered "norm(A, by = \"t|")
    Assert.Contains("ae-linear\"", offered "tasks @basis(4, method = \"|")
    Assert.Contains("bf16\"", offered "base |> save(\"x.safetensors\", dtype = \"|")

[<Fact>]
let ``nothing stays of a completion`` () =
    use e = zooSession ()
    completeIn e examples "q = 5\nr = q + wrong\nbase |> save(\"o.safetensors\")\nq.|" |> ignore
    Assert.Contains(e.Check("<test>", examples, "q"), fun d -> d.Message.Contains "`q`")
    Assert.Empty(e.Check("<test>", examples, "A"))

[<Fact>]
let ``names and calls are described`` () =
    use e = zooSession ()
    let service = LanguageService e
    let lines text at = service.Describe(examples, text, at) |> Option.map _.Lines |> Option.defaultValue []
    Assert.StartsWith("norm(x", (lines "norm(A)" 2).Head)
    Assert.StartsWith("norm(x", (lines "norm( " 6).Head)
    Assert.Equal<string list>([ "A: Delta: 54 tensors, 136,256 parameters" ], lines "norm(A)" 5)
    Assert.Equal<string list>([ "soft(x: Delta, k: Scalar = 0.1): Delta" ], lines "soft" 1)
    Assert.Empty(lines "nope" 1)

[<Theory>]
[<InlineData("A", "Delta: 54 tensors, 136,256 parameters")>]
[<InlineData("base + 0.3 * A", "Model: 54 tensors, 136,256 parameters")>]
[<InlineData("1 + 2", "Scalar: 3")>]
[<InlineData("norm(A)", "Scalar")>]
[<InlineData("norm(A, by = \"layer\")", "Scalar by layer")>]
[<InlineData("0..1 by 0.5", "Range from 0 to 1 by 0.5")>]
[<InlineData("soft", "soft(x: Delta, k: Scalar = 0.1): Delta")>]
let ``an expression has a type`` (text: string, expected: string) =
    use e = zooSession ()
    match LanguageService(e).TypeOf(examples, text) with
    | Ok t -> Assert.Equal(expected, t)
    | Result.Error found -> failwith $"%A{found}"

[<Fact>]
let ``a wrong expression has diagnostics instead`` () =
    use e = zooSession ()
    match LanguageService(e).TypeOf(examples, "0.5 * base + nope") with
    | Ok t -> failwith t
    | Result.Error found -> Assert.Contains(found, fun d -> d.Message.Contains "nope")

[<Fact>]
let ``completion at any place of any text never throws`` () =
    use e = zooSession ()
    let service = LanguageService e
    let texts =
        [ "A[\"blo" + "cks\"] + tasks.\"x y\" @basis(4, method = \"ae\") |> save(\"zoo/x\")"
          "def f(x: Delta): Delta = { k = 2; k * x }; include \"zoo\" \"\"\"raw (("
          "))) ][ \"\\u{1F600}😀 \u0000\u0007 #" ]
    for text in texts do
        for at in 0 .. text.Length do
            service.Complete(examples, text, at) |> ignore
            service.Describe(examples, text, at) |> ignore

/// A checkpoint of empty tensors by those names.
let private empty (path: string) (names: string seq) =
    let entries = names |> Seq.mapi (fun i n -> $"\"{n}\":{{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[{4 * i},{4 * i + 4}]}}")
    let header = Encoding.UTF8.GetBytes("{" + String.Join(",", entries) + "}")
    use out = new BinaryWriter(File.Create path)
    out.Write(uint64 header.Length)
    out.Write header
    for _ in names do
        out.Write 1.0f

[<Fact>]
let ``completions over five hundred tensors`` () =
    use temp = new TempFolder()
    let names = [ for i in 0..499 -> $"model.layers.{i / 10}.part{i % 10}.weight" ]
    empty (temp.File "base.safetensors") names
    for i in 1..4 do
        empty (temp.File $"t{i}.safetensors") names
    use e = new Evaluator({ EvaluatorOptions.Default with Session = true })
    let text = "base = model(\"base.safetensors\")\ntasks = family(\"t*.safetensors\", base)"
    Assert.Empty(e.Check("<test>", temp.Path, text))
    e.Run(ignore, CancellationToken.None) |> ignore
    for marked, least in [ "tasks.t1[\"model.|", 500; "base + 0.3 * tasks.|", 4; "x = sim|", 1; "norm(tasks, by = |", 4; "y = trim(tasks, 0.5)\nz = y.|", 4 ] do
        completeIn e temp.Path marked |> ignore
        let watch = Stopwatch.StartNew()
        let c = completeIn e temp.Path marked
        let took = watch.Elapsed.TotalMilliseconds
        Assert.True(c.Candidates.Length >= least, marked)
        TestContext.Current.TestOutputHelper |> Option.ofObj |> Option.iter (fun o -> o.WriteLine $"{marked}: {c.Candidates.Length} in {took:F1} ms")

[<Fact>]
let ``literal paths are found where they load and save`` () =
    let text = "m = model(\"a.st\"); f = family([\"b\", \"c\"], m); x = \"d\"; f.b |> save(\"e\", dtype = \"bf16\"); include \"g\""
    Assert.Equal<string list>([ "a.st"; "b"; "c"; "e"; "g" ], LanguageService.PathLiterals text |> List.map (fun (_, _, p) -> p))
    for first, last, path in LanguageService.PathLiterals text do
        Assert.Equal($"\"{path}\"", text.Substring(first, last - first))
