/// F# as typed at a prompt: the evaluator's names, output, mistakes, stopping.
module Tva.Scripting.Tests.SessionTests

open System
open System.Diagnostics
open System.Threading
open Tva.Dsl
open Tva.Scripting
open Xunit
open Tva.Dsl.Tests.Scripts
open Tva.Scripting.Tests.Support

let private eval (session: FSharpSession) text = session.Eval(text, CancellationToken.None)

/// One F# session for all the tests of the class: starting one takes a second.
type Fixture() =
    let evaluator = new Evaluator({ options with Session = true })
    do
        Assert.Empty(evaluator.Check("<prompt>", examples, heading + "w = [1, 2]\nlambda = 0.3\nname = \"x\""))
        evaluator.Run(ignore, CancellationToken.None) |> ignore
    let session = new FSharpSession(evaluator, examples)
    member _.Evaluator = evaluator
    member _.Session = session
    interface IDisposable with
        member _.Dispose() =
            (session :> IDisposable).Dispose()
            (evaluator :> IDisposable).Dispose()

type SessionTests(fixture: Fixture) =
    let session = fixture.Session
    let good text =
        let o = eval session text
        Assert.True(o.Succeeded, $"%A{o}")
        o.Output

    interface IClassFixture<Fixture>

    [<Fact>]
    member _.``the session's names are .NET values``() =
        Assert.Contains("val it: float = 0.6", good "lambda * 2.0")
        Assert.Contains("[1.0; 2.0; 3.0]", good "w @ [ 3.0 ]")
        Assert.Contains("\"x!\"", good "name + \"!\"")
        Assert.Contains("Model: base + 0.3 * A", good "string (baseModel + lambda * A)")
        Assert.Contains("base", good "tva.Evaluator.Accepted.Head.Text")
        Assert.Contains(("base", "baseModel"), session.Renamed)

    [<Fact>]
    member _.``the algebra computes``() =
        let expected = Tva.Dsl.Tests.Scripts.number examples (heading + "norm(base + 0.5 * A - B @basis(4) - base)")
        let output = good "printf \"%.9f\" (norm (baseModel + 0.5 * A - basis 4 B - baseModel)).Number"
        Assert.StartsWith(expected.ToString("F9", Globalization.CultureInfo.InvariantCulture), output)

    [<Fact>]
    member _.``names defined in TVA later are seen``() =
        Assert.Empty(fixture.Evaluator.Check("<prompt>", examples, "later = 7"))
        fixture.Evaluator.Run(ignore, CancellationToken.None) |> ignore
        Assert.Contains("val it: float = 8.0", good "later + 1.0")

    [<Fact>]
    member _.``output is caught, mistakes and exceptions are told``() =
        Assert.Equal("hello\n", good "printfn \"hello\"")
        let o = eval session "1 +\n  nothing"
        Assert.False o.Succeeded
        let f = o.Findings |> List.find _.IsError
        Assert.Equal(("FS0039", 2, 3, 2, 10), (f.Code, f.Line, f.Column, f.EndLine, f.EndColumn))
        let o = eval session "let late () = 1\n\n(failwith \"no\" : int)"
        Assert.Equal("no", o.Thrown.Value.Message)
        Assert.Equal(3, snd o.ThrownAt.Value)
        Assert.Contains("late", (session.Input(fst o.ThrownAt.Value)).Value)
        let o = eval session "baseModel * baseModel"
        Assert.True(o.Thrown.IsSome, $"%A{o}")
        Assert.Contains("TVA0405", o.Thrown.Value.Message)
        Assert.Contains("...", good "String('x', 3_000_000) |> printfn \"%s\"")

    [<Fact>]
    member _.``F# that loops for ever is stopped, and names stay``() =
        good "let kept = 42" |> ignore
        use stop = new CancellationTokenSource()
        let stopped = stopWhenRunning stop
        let ended = Assert.ThrowsAny<OperationCanceledException>(fun () -> session.Eval($"{stopped.Mark}\nwhile true do ()", stop.Token) |> ignore)
        Assert.NotNull ended
        Assert.True(stopped.Since() < TimeSpan.FromSeconds 5.)
        Assert.False session.HasLostNames
        Assert.Contains("43", good "kept + 1")

    [<Theory>]
    [<InlineData("let rec fib n = if n < 2 then n else fib (n - 1) + fib (n - 2)\nfib 90")>]
    [<InlineData("let rec spin n = spin (n ^^^ 1)\nspin 3")>]
    [<InlineData("let mutable n = 0\nwhile true do n <- n + 1")>]
    [<InlineData("while true do\n    try failwith \"caught\" with _ -> ()")>]
    [<InlineData("Seq.initInfinite id |> Seq.map (fun x ->\n    x + 1) |> Seq.length")>]
    [<InlineData("[ for i in Seq.initInfinite id -> if i > 9 then 1 else i ] |> List.sum")>]
    [<InlineData("let f = function\n        | 0 -> 1\n        | n -> n - n\nlet ends = Seq.initInfinite id |> Seq.sumBy f")>]
    [<InlineData("type T() =\n    member _.Go(x) = while x do ()\nT().Go true")>]
    [<InlineData("Threading.Thread.Sleep 100000")>]
    [<InlineData("async { while true do do! Async.Sleep 1 } |> Async.RunSynchronously")>]
    [<InlineData("Threading.Tasks.Parallel.For(0, 4, fun i -> while true do ignore i)")>]
    member _.``F# is stopped whatever it is at``(text: string) =
        good "let stays = 42" |> ignore
        use stop = new CancellationTokenSource()
        let stopped = stopWhenRunning stop
        Assert.ThrowsAny<OperationCanceledException>(fun () -> session.Eval($"{stopped.Mark}\n{text}", stop.Token) |> ignore) |> ignore
        Assert.True(stopped.Since() < TimeSpan.FromSeconds 30.)
        Assert.False session.HasLostNames
        Assert.Contains("43", good "stays + 1")

    [<Fact>]
    member _.``what can't be ended is left to itself, and F# begins anew``() =
        use stop = new CancellationTokenSource()
        let stopped = stopWhenRunning stop
        let text = $"let gone = 1\n{stopped.Mark}\nSeq.initInfinite id |> Seq.length"
        use other = new FSharpSession(fixture.Evaluator, examples)
        Assert.ThrowsAny<OperationCanceledException>(fun () -> other.Eval(text, stop.Token) |> ignore) |> ignore
        Assert.True other.HasLostNames
        Assert.Contains("val it: float = 0.6", (eval other "lambda * 2.0").Output)
        Assert.Contains(eval other "gone" |> _.Findings, fun f -> f.Code = "FS0039")

    [<Fact>]
    member _.``places stay where they are in F# with loops and functions``() =
        let o = eval session "let f x =\n    match x with\n    | 0 -> failwith \"zero\"\n    | n -> n\nlet g = List.map (fun a ->\n    f a)\ng [ 1; 0 ]"
        Assert.Equal(Some 3, o.ThrownAt |> Option.map snd)
        let o = eval session "for i in 1..2 do ignore i\nlet h x = match x with 1 -> 2\nh 1"
        Assert.True(o.Succeeded, $"%A{o}")
        let f = List.exactlyOne o.Findings
        Assert.Equal(("FS0025", 2, 17), (f.Code, f.Line, f.Column))
        Assert.Contains("val it: int = 2", o.Output)

    [<Theory>]
    [<InlineData("query { for x in [ 1; 2; 3 ] do\n        where (x > 1)\n        select x } |> Seq.sum", "val it: int = 5")>]
    [<InlineData("let q = <@ fun x -> x + 1 @>\nmatch q with Quotations.Patterns.Lambda(v, _) -> v.Name | _ -> \"\"", "\"x\"")>]
    [<InlineData("let empty = []\n1 :: empty, \"a\" :: empty", "([1], [\"a\"])")>]
    [<InlineData("let inline add a b = a + b\nadd 1 2, add 1.0 2.0", "(3, 3.0)")>]
    [<InlineData("seq { for i in 1..3 do\n        yield i\n        yield! [ i ] } |> Seq.sum", "val it: int = 12")>]
    [<InlineData("let s = [ for i in 1..3 -> fun x -> x + i ]\ns[2] 4", "val it: int = 7")>]
    [<InlineData("let text = \"\"\"fun x ->\n  y\"\"\" in text.Length", "val it: int = 12")>]
    [<InlineData("let rec f : int -> int = fun n -> if n = 0 then 0 else f (n - 1)\nf 3", "val it: int = 0")>]
    member _.``F# that is to ask says what it says``(text: string, said: string) = Assert.Contains(said, good text)

    [<Fact>]
    member _.``an expression of all types throws what it throws``() =
        Assert.Equal("no", (eval session "failwith \"no\"").Thrown.Value.Message)
        Assert.Equal("not one", (eval session "let x = 1\nraise (InvalidOperationException \"not one\")").Thrown.Value.Message)

    /// What TVA says of an expression now.
    member private _.Tva(text: string) : string =
        let shown = ResizeArray<Shown>()
        Assert.Empty(fixture.Evaluator.Check("<prompt>", examples, $"print({text})"))
        fixture.Evaluator.Run((fun e -> match e with Event.Shown(_, items) -> shown.AddRange items | _ -> ()), CancellationToken.None) |> ignore
        $"%A{List.ofSeq shown}"

    [<Fact>]
    member this.``what F# defines is TVA's too, where TVA has such values``() =
        let o = eval session "let half = 0.5 * A\nlet three = 3\nlet weights = [ for i in 1..3 -> 1.0 / float i ]\nlet rates = {| low = 0.1; high = 0.9 |}\nlet f x = x + 1\nlet when' = DateTime.Now\nlet endless = Seq.initInfinite id"
        Assert.True(o.Succeeded, $"%A{o}")
        Assert.Equal<string list>([ "half"; "rates"; "three"; "weights" ], List.sort o.Returned)
        let norm = Tva.Dsl.Tests.Scripts.number examples (heading + "norm(0.5 * A)")
        Assert.Equal(norm, session.Session.Eval("norm(half)").Number, 1e-9)
        Assert.Equal("[Number 3.0]", this.Tva "three")
        Assert.Equal("[Number 0.5]", this.Tva "rates.high - 0.4")
        // A number stays what F# has it as; an expression goes by its name from then on.
        Assert.Contains("val it: int = 4", good "f three")
        Assert.Equal("half - B", eval session "half - B" |> _.Value.Value.Text)

    [<Fact>]
    member this.``what TVA would not take stays in F#``() =
        let o = eval session "let half' = 0.5 * baseModel\nlet partly = 0.5 * baseModel"
        Assert.True(o.Succeeded, $"%A{o}")
        Assert.Empty o.Returned
        Assert.Contains("`partly` stays in F#", List.exactlyOne o.Notes)
        Assert.Contains("Model", good "string (partly + 0.5 * baseModel)")

    [<Fact>]
    member this.``a text whose names mean something else by now is not TVA's``() =
        good "let old = A\nlet keep () = old - B" |> ignore
        Assert.Empty(fixture.Evaluator.Check("<prompt>", examples, "old = 2 * B"))
        fixture.Evaluator.Run(ignore, CancellationToken.None) |> ignore
        Assert.Empty(fixture.Evaluator.Check("<prompt>", examples, "A = tasks.shapes"))
        fixture.Evaluator.Run(ignore, CancellationToken.None) |> ignore
        let o = eval session "let stale = keep ()"
        Assert.Empty o.Returned
        Assert.Contains("`stale` stays in F#: `A - B` says something else in TVA by now", o.Notes)
        Assert.Empty(fixture.Evaluator.Check("<prompt>", examples, "A = tasks.digits"))
        fixture.Evaluator.Run(ignore, CancellationToken.None) |> ignore

    [<Fact>]
    member this.``functions of TVA and definitions of its F# are there``() =
        Assert.Empty(fixture.Evaluator.Check("<prompt>", examples, "def gentle(x: Delta, k: Scalar, d: Scalar = 0.5): Delta = k * trim(x, d)\nfs \"\"\"let twice x = 2.0 * x\"\"\""))
        fixture.Evaluator.Run(ignore, CancellationToken.None) |> ignore
        Assert.Contains("val it: float = 5.0", good "twice 2.5")
        Assert.Equal("gentle(A, 0.25)", eval session "gentle A 0.25" |> _.Value.Value.Text)

    [<Fact>]
    member _.``what F# saves is among what has been done``() =
        let path = IO.Path.Combine(IO.Path.GetTempPath(), $"tva-{Guid.NewGuid()}.safetensors")
        try
            good $"baseModel + 0.5 * A |> save @\"{path}\"" |> ignore
            Assert.True(IO.File.Exists path)
            Assert.Contains("save(base + 0.5 * A, ", fixture.Evaluator.Accepted |> List.map _.Text |> List.last)
        finally
            IO.File.Delete path

    [<Fact>]
    member _.``output may be heard as it comes``() =
        use heard = new IO.StringWriter()
        session.Output <- heard
        try
            Assert.DoesNotContain("now", good "printfn \"now\"")
            Assert.Equal("now\n", heard.ToString())
        finally
            session.Output <- null

    [<Fact>]
    member _.``what TVA computes for F# is stopped in good order``() =
        use stop = new CancellationTokenSource()
        let stopped = stopWhenRunning stop
        let text = $"{stopped.Mark}\nwhile true do (norm (A + 0.1 * B)).Number |> ignore"
        Assert.ThrowsAny<OperationCanceledException>(fun () -> session.Eval(text, stop.Token) |> ignore) |> ignore
        Assert.True(stopped.Since() < TimeSpan.FromSeconds 5.)
        Assert.False session.HasLostNames
        Assert.StartsWith("0.98", (good "printf \"%f\" (norm A).Number"))
