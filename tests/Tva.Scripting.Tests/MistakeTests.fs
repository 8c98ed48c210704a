/// What is wrong with F# is shown at its place inside the text.
module Tva.Scripting.Tests.MistakeTests

open System
open System.Diagnostics
open System.Threading
open Tva.Dsl
open Tva.Dsl.Typing
open Xunit
open Tva.Dsl.Tests.Scripts
open Tva.Scripting.Tests.Support

/// Texts with a mistake each: its code, what it says and the characters it is about.
let private check (expected: (string * string * string * string) list) =
    let text = String.Join("\n", expected |> List.map (fun (_, _, _, text) -> text))
    let found = mistakes text
    Assert.Equal<string list>(expected |> List.map (fun (code, _, where, _) -> $"{code} {where}"), found |> List.map (fun (d, where) -> $"{d.Code} {where}"))
    for (_, part, _, _), (d, _) in List.zip expected found do
        Assert.Contains(part, d.Message)

[<Fact>]
let ``errors of the compiler stand where they are`` () =
    check
        [ "TVA0350", "FS0001", "2.0", "x = fs \"1 + 2.0\""
          "TVA0350", "FS0039", "nothing", "y = fs \"\"\"\n  let a = 1\n  a + nothing\n  \"\"\""
          "TVA0350", "FS0039", "nothing", "fs \"\"\"let a = 1\n      let b = a + nothing\"\"\""
          "TVA0350", "FS0039", "nothing", "z = fs \"\\\"\\t\\u{1F600}\\\" + nothing\""
          "TVA0350", "FS0039", "nothing", "def f(x: Delta): Delta = fs \"\"\"fun x ->\n    let y = x + 1.0f\n    y * nothing\"\"\"" ]

[<Fact>]
let ``what F# throws stands at its line`` () =
    check
        [ "TVA0351", "DivideByZeroException", "a / b", "fs \"\"\"\nlet div a b =\n    a / b\n\"\"\"\nx = fs \"div 1 0\""
          "TVA0351", "InvalidOperationException: no way", "raise (InvalidOperationException \\\"no way\\\") : int", "y = fs \"raise (InvalidOperationException \\\"no way\\\") : int\"" ]

[<Fact>]
let ``what has no counterpart says so`` () =
    check
        [ "TVA0351", "FSharpOption", "Some 3", "a = fs \"Some 3\""
          "TVA0351", "gives nothing", "()", "b = fs \"()\""
          "TVA0351", "gives a function", "fun x -> x + 1", "c = fs \"fun x -> x + 1\""
          "TVA0351", "gives a function", "fun x -> x", "d = fs \"fun x -> x\""
          "TVA0351", "more than 100000 values", "Seq.initInfinite float", "e = fs \"Seq.initInfinite float\"" ]

[<Theory>]
[<InlineData("fun x ->\n    let mutable s = 0.0f\n    for i in 1..3 do s <- s + x\n    s", "mutable", "s")>]
[<InlineData("fun x -> (for i in 1..3 do ignore i); x", "a loop", "for i in 1..3 do ignore i")>]
[<InlineData("fun x -> x + List.sum [ x ]", "`List.sum`", "List.sum [ x ]")>]
[<InlineData("fun x -> 2.0f * MathF.Round(x, 2)", "`MathF.Round` has no elementwise counterpart with these arguments", "MathF.Round(x, 2)")>]
[<InlineData("fun x -> x + float32 (Random().NextDouble())", "no elementwise counterpart", "Random().NextDouble()")>]
[<InlineData("fun x -> if x > 0.0f then failwith \"no\" else x", "`failwith`", "failwith \"no\"")>]
[<InlineData("fun x -> MathF.Log(x, 2.0f)", "with these arguments", "MathF.Log(x, 2.0f)")>]
[<InlineData("fun x -> (x, x)", "a tuple", "fun x -> (x, x)")>]
[<InlineData("fun x -> try x with _ -> 0.0f", "exceptions", "try x with _ -> 0.0f")>]
[<InlineData("fun x -> let rec f y = if y > 1.0f then f (y / 2.0f) else y in f x", "calls itself", "let rec f y = if y > 1.0f then f (y / 2.0f) else y in f x")>]
[<InlineData("fun x k -> x", "takes more than 1", "fun x k -> x")>]
let ``what elements can't compute is refused at its place`` (code: string) (part: string) (where: string) =
    let d, place = mistake $"def f(x: Delta): Delta = fs \"\"\"{code}\"\"\""
    Assert.Equal("TVA0351", d.Code)
    Assert.Contains(part, d.Message)
    Assert.Equal(where, place)

[<Fact>]
let ``in a helper it is refused in the helper`` () =
    let d, place = mistake "fs \"\"\"\nlet bad (x: float32) = x + float32 (DateTime.Now.Year)\n\"\"\"\ndef f(x: Delta): Delta = fs \"fun x -> bad x\""
    Assert.Equal("TVA0351", d.Code)
    Assert.Contains("DateTime.Now", place)

[<Fact>]
let ``without permission, and without a compiler, it says so`` () =
    use e = new Evaluator({ options with Permissions = { Run = false; FSharp = false } })
    let d = e.Check("test.tva", examples, "x = fs \"1\"") |> List.exactlyOne
    Assert.Equal("TVA0601", d.Code)
    Assert.Contains("WithFSharp", d.Help.Value)
    use e = new Evaluator({ options with FSharp = None })
    let d = e.Check("test.tva", examples, "x = fs \"1\"") |> List.exactlyOne
    Assert.Equal("TVA0352", d.Code)

[<Theory>]
[<InlineData("x = fs \"\"\"\n  MARK\n  while true do ()\n  1\"\"\"")>]
[<InlineData("fs \"\"\"let a = 1\n      MARK\n      while true do ()\"\"\"")>]
[<InlineData("x = fs \"\"\"Seq.initInfinite (fun i -> (if i = 0 then MARK); Threading.Thread.Sleep 100; float i)\"\"\"")>]
let ``F# that loops for ever is stopped`` (text: string) =
    use e = new Evaluator(options)
    use stop = new CancellationTokenSource()
    let stopped = stopWhenRunning stop
    e.Watch(ignore, stop.Token)
    Assert.ThrowsAny<OperationCanceledException>(fun () -> e.Check("test.tva", examples, text.Replace("MARK", stopped.Mark)) |> ignore) |> ignore
    Assert.True(stopped.Since() < TimeSpan.FromSeconds 5., $"{stopped.Since()}")
    e.Watch(ignore, CancellationToken.None)
    Assert.Empty(e.Check("after.tva", examples, "y = fs \"1 + 1\""))

[<Fact>]
let ``what is stopped while it is compiled does not run`` () =
    use e = new Evaluator(options)
    use temp = new TempFolder()
    let file = temp.File "ran"
    use stop = new CancellationTokenSource(50)
    e.Watch(ignore, stop.Token)
    // A new compiler takes longer than that to start.
    Assert.ThrowsAny<OperationCanceledException>(fun () -> e.Check("test.tva", examples, $"x = fs \"IO.File.WriteAllText(@\\\"{file}\\\", \\\"\\\"); 1\"") |> ignore) |> ignore
    Assert.False(IO.File.Exists file)

[<Fact>]
let ``F# of all types throws what it throws`` () =
    let d, place = mistake "x = fs \"failwith \\\"oh no\\\"\""
    Assert.Equal("the F# threw Exception: oh no", d.Message)
    Assert.Contains("failwith", place)
