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
        Assert.Contains("Model: base + 0.3 * A", good "baseModel + lambda * A")
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
        let o = eval session "(failwith \"no\" : int)"
        Assert.Equal("no", o.Thrown.Value.Message)
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
