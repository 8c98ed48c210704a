module Tva.Dsl.Tests.ParserTests

open Xunit
open Tva.Dsl
open Tva.Dsl.Syntax
open Tva.Dsl.Tests.Trees

/// Each row of the language's table against its neighbours.
[<Theory>]
[<InlineData("f(x).a[w]", "[[f(x) . a] at w]")>]
[<InlineData("x.\"odd name\".print", "[[x . odd name] . print]")>]
[<InlineData("f (x)", "f(x)")>]
[<InlineData("B @basis(8)", "[B @basis(8)]")>]
[<InlineData("0.5*B @basis(8)", "[0.5 * [B @basis(8)]]")>]
[<InlineData("a.b @f(c).d", "[[[a . b] @f(c)] . d]")>]
[<InlineData("x @f @g(1)", "[[x @f()] @g(1)]")>]
[<InlineData("-B @f", "[- [B @f()]]")>]
[<InlineData("not a @f", "[not [a @f()]]")>]
[<InlineData("x ^ y @f", "[x ^ [y @f()]]")>]
[<InlineData("-x^2", "[- [x ^ 2]]")>]
[<InlineData("2^-1", "[2 ^ [- 1]]")>]
[<InlineData("2^-x^2*y", "[[2 ^ [- [x ^ 2]]] * y]")>]
[<InlineData("a^b^c", "[a ^ [b ^ c]]")>]
[<InlineData("(-x)^2", "[[- x] ^ 2]")>]
[<InlineData("not not -x", "[not [not [- x]]]")>]
[<InlineData("-a*b", "[[- a] * b]")>]
[<InlineData("a*-b", "[a * [- b]]")>]
[<InlineData("a/b*c", "[[a / b] * c]")>]
[<InlineData("a-b+c", "[[a - b] + c]")>]
[<InlineData("a+b*c-d/e", "[[a + [b * c]] - [d / e]]")>]
[<InlineData("0..n-1", "[0 .. [n - 1]]")>]
[<InlineData("0..1 by 0.05", "[0 .. 1 by 0.05]")>]
[<InlineData("-1..1 by 2*h", "[[- 1] .. 1 by [2 * h]]")>]
[<InlineData("by..by by by", "[by .. by by by]")>]
[<InlineData("0..3 == r", "[[0 .. 3] == r]")>]
[<InlineData("a + b < c * d", "[[a + b] < [c * d]]")>]
[<InlineData("a < b and c >= d", "[[a < b] and [c >= d]]")>]
[<InlineData("a == b or c != d and e <= f", "[[a == b] or [[c != d] and [e <= f]]]")>]
[<InlineData("a or b or c", "[[a or b] or c]")>]
[<InlineData("not a and b", "[[not a] and b]")>]
[<InlineData("(a < b) < c", "[[a < b] < c]")>]
[<InlineData("a or b |> f(c)", "[[a or b] |> f(c)]")>]
[<InlineData("a + b |> f |> g(1, k = 2)", "[[[a + b] |> f()] |> g(1, k=2)]")>]
[<InlineData("(a |> f) * 3", "[[a |> f()] * 3]")>]
[<InlineData("f(a |> g)", "f([a |> g()])")>]
[<InlineData("A[\"*.attn.*\" and layers(0..5)]", "[A at ['*.attn.*' and layers([0 .. 5])]]")>]
let ``precedence is the table's`` (text: string, expected: string) = Assert.Equal(expected, shape (expr text))

[<Fact>]
let ``not before a comparison follows the table and warns`` () =
    let text = "not a == b"
    match parse text with
    | [ { Node = Expression e } ], found ->
        Assert.Equal("[[not a] == b]", shape e)
        Assert.Equal<string list>([ "0226 not a ==" ], pointed text found)
        Assert.Equal(Severity.Warning, found[0].Severity)
    | other -> failwith $"%A{other}"
    for quiet in [ "(not a) == b"; "not (a == b)"; "not a and b"; "not a @f"; "not a ^ 2" ] do
        statements quiet |> ignore

[<Theory>]
[<InlineData("{ e }", "block(e)")>]
[<InlineData("{ a = 1; a + 2 }", "block(a = 1; [a + 2])")>]
[<InlineData("{ a = 1\n\n b = a # why\n ;a\n }", "block(a = 1; b = a; a)")>]
[<InlineData("{\na =\n 1 +\n 2\na\n|> f }", "block(a = [1 + 2]; [a |> f()])")>]
[<InlineData("{}", "record()")>]
[<InlineData("{ a: 1, \"*.attn.*\": 2, else: 3 }", "record(a: 1, '*.attn.*': 2, ELSE: 3)")>]
[<InlineData("{\n a: 1\n b:\n 2,\n else: 3,\n}", "record(a: 1, b: 2, ELSE: 3)")>]
[<InlineData("{ print: 1 }", "record(print: 1)")>]
[<InlineData("{ else = 1; else }", "block(else = 1; else)")>]
[<InlineData("{ { a: 1 } }", "block(record(a: 1))")>]
[<InlineData("[1, 2,\n 3,\n]", "list(1, 2, 3)")>]
[<InlineData("[]", "list()")>]
[<InlineData("f(\n x\n , by = \"row\"\n)", "f(x, by='row')")>]
[<InlineData("f()", "f()")>]
[<InlineData("({ a = 1\n a\n})", "block(a = 1; a)")>]
[<InlineData("[{ a: f(1,\n 2) }]", "list(record(a: f(1, 2)))")>]
[<InlineData("fs \"x\" + fs \"\"\"y\"\"\"", "[fs'x' + fs'y']")>]
[<InlineData("true and false", "[true and false]")>]
let ``brackets hold`` (text: string, expected: string) = Assert.Equal(expected, shape (expr text))

[<Theory>]
[<InlineData("a +\n b")>]
[<InlineData("a + # why\n\n b")>]
[<InlineData("(a\n + b)")>]
[<InlineData("((a)\n\n+\n\nb\n)")>]
let ``a line goes on`` (text: string) = Assert.Equal("[a + b]", shape (expr text))

[<Theory>]
[<InlineData("a\n  |> f\n  |> g(2)", "[[a |> f()] |> g(2)]")>]
[<InlineData("a\n# why\n\n|>\n f", "[a |> f()]")>]
[<InlineData("a\n@f\n@g", "[[a @f()] @g()]")>]
[<InlineData("a + b\n  @f", "[a + [b @f()]]")>]
let ``a line that begins with a pipe goes on`` (text: string, expected: string) = Assert.Equal(expected, shape (expr text))

let private kind (s: Statement) =
    match s.Node with
    | Let(name, e) -> $"let {name.Text} {shape e}"
    | Def d ->
        let parameters =
            [ for p in d.Params ->
                  p.Name.Text
                  + (match p.Type with Some t -> ":" + t.Text | None -> "")
                  + (match p.Default with Some e -> "=" + shape e | None -> "") ]
            |> String.concat " "
        let result = match d.Result with Some t -> ":" + t.Text | None -> ""
        $"def {d.Name.Text}({parameters}){result} {shape d.Body}"
    | Assert(e, None) -> $"assert {shape e}"
    | Assert(e, Some m) -> $"assert {shape e} {shape m}"
    | Print values -> "print " + (values |> List.map shape |> String.concat " ")
    | Param(name, e) -> $"param {name.Text} {shape e}"
    | Include path -> $"include {path.Text}"
    | Expression e -> shape e
    | FSharpDefinitions code -> $"F# {code.Text}"
    | ErrorStatement -> "ERROR"

[<Theory>]
[<InlineData("a = 1; b = a\n;;\n c", "let a 1|let b a|c")>]
[<InlineData("x =\n  a +\n  b\ny = x", "let x [a + b]|let y x")>]
[<InlineData("a\n-b", "a|[- b]")>]
[<InlineData("a\n(b)", "a|b")>]
[<InlineData("a\n[b]", "a|list(b)")>]
[<InlineData("def f(x: Delta, k: Scalar = 0.1): Delta = k * x", "def f(x:Delta k:Scalar=0.1):Delta [k * x]")>]
[<InlineData("def f() = 1", "def f() 1")>]
[<InlineData("def f(\n x,\n y,\n) = {\n z = x\n z |> g\n}", "def f(x y) block(z = x; [z |> g()])")>]
[<InlineData("assert a > 1", "assert [a > 1]")>]
[<InlineData("assert (a) > 1, \"m\"", "assert [a > 1] 'm'")>]
[<InlineData("print(a, b + 1)\nprint()", "print a [b + 1]|print ")>]
[<InlineData("param k = 0.3", "param k 0.3")>]
[<InlineData("include \"a.tva\"", "include a.tva")>]
[<InlineData("fs \"\"\"let x = 1\"\"\"\nfs \"x\"\nfs \"\"\"x\"\"\" + 1", "F# let x = 1|fs'x'|[fs'x' + 1]")>]
[<InlineData("# only a comment\n\n", "")>]
let ``statements are read`` (text: string, expected: string) =
    Assert.Equal(expected, statements text |> List.map kind |> String.concat "|")

[<Fact>]
let ``documentation is the lines right above`` () =
    let doc text =
        match statements text |> List.last with
        | { Node = Def d } -> d.Doc
        | other -> failwith $"%A{other}"
    Assert.Equal("One.\n\n  Two.", doc "## no\n\n## One.\r\n##\r\n##   Two.\r\ndef f(x) = x")
    Assert.Equal("", doc "## no\n\ndef f(x) = x")
    Assert.Equal("", doc "## no\n# why\ndef f(x) = x")
    Assert.Equal("", doc "a = 1 ## no\ndef f(x) = x")

[<Fact>]
let ``every node knows its place`` () =
    let text = "x = a\ny = f((a + b) * c.d, k = -2)"
    match statements text with
    | [ _; { Node = Let(name, { Node = Call(callee, [ first; second ]) as call; Span = span }) } as statement ] ->
        let at (span: Span) = text.Substring(span.Start, span.End - span.Start)
        Assert.Equal("y", at name.Span)
        Assert.Equal("y = f((a + b) * c.d, k = -2)", at statement.Span)
        Assert.Equal("f((a + b) * c.d, k = -2)", at span)
        Assert.Equal("f", at callee.Span)
        Assert.Equal("(a + b) * c.d", at first.Value.Span)
        Assert.Equal("k", at second.Name.Value.Span)
        Assert.Equal("-2", at second.Value.Span)
        match first.Value.Node with
        | Binary(Multiply, left, right) ->
            Assert.Equal("(a + b)", at left.Span)
            Assert.Equal("c.d", at right.Span)
        | _ -> failwith $"%A{call}"
    | other -> failwith $"%A{other}"

[<Theory>]
[<InlineData("x = (a", true)>]
[<InlineData("f(a, # why\n", true)>]
[<InlineData("def f(x) = {\n a = 1\n", true)>]
[<InlineData("a +", true)>]
[<InlineData("x =\n", true)>]
[<InlineData("a |>", true)>]
[<InlineData("a and", true)>]
[<InlineData("fs \"\"\"let x", true)>]
[<InlineData("x = (a)", false)>]
[<InlineData("a", false)>]
[<InlineData("\"abc", false)>]
[<InlineData("a)", false)>]
[<InlineData("# a +", false)>]
[<InlineData("", false)>]
let ``the prompt knows when a text is only begun`` (text: string, expected: bool) =
    Assert.Equal(expected, Parser.isIncomplete (source text))
