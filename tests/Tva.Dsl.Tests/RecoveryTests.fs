module Tva.Dsl.Tests.RecoveryTests

open System
open Xunit
open Tva.Dsl
open Tva.Dsl.Syntax
open Tva.Dsl.Tests.Trees

/// Each text with all that is reported (code and the text pointed at), and how much of the rest is still read.
[<Theory>]
[<InlineData("x = (a + b\ny = 3", "0203 (", "x = a + b|y = 3")>]
[<InlineData("x = (a +\ny = 3", "0203 (", "x = a + ?|y = 3")>]
[<InlineData("x = f(a,\n  b = [1, 2,\ny = 3", "0203 [", "x = f(a, b = [1, 2, ?])|y = 3")>]
[<InlineData("x = f(", "0203 (", "x = f()")>]
[<InlineData("x = {\n  a = 1\nprint(b)", "0218 print", "x = { a = 1; ? }")>]
[<InlineData("x = [a, b)\ny", "0201 )", "x = [a, b]|y")>]
[<InlineData("x = ([a)\ny", "0201 )", "x = [a]|y")>]
[<InlineData("x = 3)\ny", "0204 )", "x = 3|y")>]
[<InlineData(")\ny", "0204 )", "?|y")>]
[<InlineData("x = a +\ny = b *\nprint(c)", "0202 +|0202 *", "x = a + ?|y = b * ?|print(c)")>]
[<InlineData("x = a + * b\ny", "0201 *", "x = a + ?|y")>]
[<InlineData("x = \ny = 1", "0202 =", "x = ?|y = 1")>]
[<InlineData("f(a, b +)", "0202 +", "f(a, b + ?)")>]
[<InlineData("f(a,, b) + g(c,, d)", "0201 ,|0201 ,", "f(a, ?, b) + g(c, ?, d)")>]
[<InlineData("(a b) + (c d)", "0201 b|0201 d", "a + c")>]
[<InlineData("f(a b c) + [1 2]", "0205 b|0205 2", "f(a, b, c) + [1, 2]")>]
[<InlineData("[a\n b]", "0205 b", "[a, b]")>]
[<InlineData("x = a b\ny", "0201 b", "x = a|y")>]
[<InlineData("a, b", "0201 ,", "a")>]
[<InlineData("def f(x) x + 1", "0212 x", "def f(x) = x + 1")>]
[<InlineData("def f(x) { x }", "0212 {", "def f(x) = { x }")>]
[<InlineData("def f(x)\ny", "0212 ", "def f(x) = ?|y")>]
[<InlineData("def f = 3\ny", "0213 def f", "def f() = ?|y")>]
[<InlineData("def f(x, 3, y) = x", "0201 3", "def f(x, , y) = x")>]
[<InlineData("def f(x y) = x", "0205 y", "def f(x, y) = x")>]
[<InlineData("def f(x: , y) = x", "0201 ,", "def f(x: , y) = x")>]
[<InlineData("def f(x, x) = x", "0211 x", "def f(x, x) = x")>]
[<InlineData("def f(k = 1, x) = x", "0222 x", "def f(k = 1, x) = x")>]
[<InlineData("def print(x) = x", "0206 print", "def print(x) = x")>]
[<InlineData("print = 3\nfs = 2", "0206 print|0206 fs", "?|?")>]
[<InlineData("x = assert + 1\ny", "0206 assert", "x = ?|y")>]
[<InlineData("f(1, and = 2)", "0206 and", "f(1, and = 2)")>]
[<InlineData("assert a = b", "0207 =", "assert a == b")>]
[<InlineData("y = where(a = b, c + d = 1, 2)", "0210 c + d = 1|0207 =", "y = where(a = b, c + d == 1, 2)")>]
[<InlineData("a < b < c < d", "0208 <", "((a < b) < c) < d")>]
[<InlineData("1..2..3", "0209 ..", "(1..2)..3")>]
[<InlineData("f(a = 1, 2, 3)", "0210 2", "f(a = 1, 2, 3)")>]
[<InlineData("f(a = 1, a = 2)", "0211 a", "f(a = 1, a = 2)")>]
[<InlineData("{ a: 1, a: 2 }", "0211 a", "{ a: 1, a: 2 }")>]
[<InlineData("a(b)(c)\ny", "0215 (", "a(b)|y")>]
[<InlineData("2(b)", "0215 (", "2")>]
[<InlineData("f(x) = 3\nx.a = 3", "0216 f|0216 x", "?|?")>]
[<InlineData("x = { a = 1 }", "0217 { a = 1 }", "x = { a = 1; ? }")>]
[<InlineData("{ a; b = 1; c }", "0219 a", "{ b = 1; c }")>]
[<InlineData("{ a = 1, b = 2, b }", "0221 ,", "{ a = 1; b = 2; b }")>]
[<InlineData("{ a = 1; b: 2; a }", "0220 :", "{ a = 1; a }")>]
[<InlineData("{ a: 1, b = 2, c: 3 }", "0220 =", "{ a: 1, b: ?, c: 3 }")>]
[<InlineData("{ a: 1; b: 2 c: 3 }", "0201 ;|0205 c", "{ a: 1, b: 2, c: 3 }")>]
[<InlineData("{ a = 1 +; b = ); a }", "0202 +|0202 =", "{ a = 1 + ?; b = ?; a }")>]
[<InlineData("x = +3", "0223 +", "x = 3")>]
[<InlineData("a |> f * 3\ny", "0224 *", "a |> f|y")>]
[<InlineData("a |> f.b\ny", "0224 .", "a |> f|y")>]
[<InlineData("a |> f\n  @g\ny", "0224 @", "a |> f|y")>]
[<InlineData("x @ 3", "0201 3", "x @")>]
[<InlineData("x |> print", "0206 print", "x |> print")>]
[<InlineData("let x = 3\nfor i in x\nif a == b", "0225 let|0225 for|0225 if", "x = 3|?|?")>]
[<InlineData("assert(a, \"m\")\ny", "0201 ,", "assert a|y")>]
[<InlineData("print a\ny", "0201 a", "?|y")>]
[<InlineData("include a\ny", "0201 a", "include \"\"|y")>]
[<InlineData("param k\ny", "0201 ", "param k = ?|y")>]
[<InlineData("fs x\ny", "0201 x", "?|y")>]
[<InlineData("a.5", "0201 5", "a")>]
[<InlineData("a.", "0201 ", "a")>]
[<InlineData("a[]\ny", "0201 ]", "a[?]|y")>]
[<InlineData("a[b, c]", "0201 ,", "a[b]")>]
let ``mistakes are reported and the rest is read`` (text: string, reported: string, read: string) =
    let parsed, found = parse text
    Assert.Equal(reported, found |> pointed text |> String.concat "|")
    Assert.Equal(read, parsed |> List.map Printer.statement |> String.concat "|")

/// What characters without a meaning or an open text cause is not reported again.
[<Theory>]
[<InlineData("x = a $ b\ny", "0101 $")>]
[<InlineData("f(a ? b)", "0101 ?")>]
[<InlineData("x = f(\"abc)\ny = 3", "0103 \"abc)")>]
[<InlineData("x = `a`", "0101 `|0101 `")>]
let ``one mistake is one finding`` (text: string, reported: string) =
    let _, found = parse text
    Assert.Equal(reported, found |> pointed text |> String.concat "|")

[<Fact>]
let ``findings come by place`` () =
    let _, found = parse "x = a +\ny = $\nz = (b\nw = 1abc"
    Assert.Equal<string list>([ "TVA0202"; "TVA0101"; "TVA0203"; "TVA0106" ], [ for d in found -> d.Code ])

[<Theory>]
[<InlineData("(")>]
[<InlineData("[")>]
[<InlineData("{")>]
[<InlineData("-")>]
[<InlineData("not ")>]
[<InlineData("2^")>]
[<InlineData("f(")>]
[<InlineData("a[")>]
[<InlineData("{a:")>]
[<InlineData("{a=")>]
[<InlineData("x @f(")>]
let ``nesting without end is one finding`` (piece: string) =
    let text = String.replicate 100_000 piece
    let _, found = parse text
    Assert.Equal<string list>([ "TVA0214" ], [ for d in found -> d.Code ])

[<Fact>]
let ``nesting is limited at 200 and the rest of the text is still read`` () =
    let nested n = String('(', n) + "a" + String(')', n)
    statements (nested 200) |> ignore
    let parsed, found = parse (nested 1000 + "\ny = ")
    Assert.Equal<string list>([ "TVA0214"; "TVA0202" ], [ for d in found -> d.Code ])
    Assert.Equal(2, parsed.Length)

[<Theory>]
[<InlineData("a", " + a")>]
[<InlineData("0.5*a", " - 0.5*a ^ 2")>]
[<InlineData("a", " and b")>]
[<InlineData("a", ".b")>]
[<InlineData("a", "[b]")>]
[<InlineData("a", " @f(1)")>]
[<InlineData("a", "\n  |> f(1)")>]
let ``a chain of 10 000 is read and printed on a default stack`` (first: string, next: string) =
    let text = first + String.replicate 10_000 next
    let printed = Printer.expression (expr text)
    Assert.Equal(text.Replace("\n ", "").Replace("*", " * "), printed)

[<Theory>]
[<InlineData("a", " + a")>]
[<InlineData("a", "[b]")>]
[<InlineData("a", " |> f")>]
let ``a chain too long for later passes is a finding`` (first: string, next: string) =
    let _, found = parse (first + String.replicate 100_000 next)
    Assert.Equal<string list>([ "TVA0214" ], [ for d in found -> d.Code ])

[<Fact>]
let ``the tallest tree fits Stack.run`` () =
    let rec height (e: Expr) =
        match e.Node with
        | Binary(_, a, b) -> 1 + max (height a) (height b)
        | _ -> 1
    let e = expr ("a" + String.replicate (Stack.MaxHeight - 1) " + a")
    Assert.Equal(Stack.MaxHeight, Stack.run (fun () -> height (strip e)))
    let broken = Action(fun () -> Stack.run (fun () -> raise (InvalidOperationException())))
    Assert.Throws<InvalidOperationException> broken |> ignore
