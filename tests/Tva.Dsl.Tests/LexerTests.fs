module Tva.Dsl.Tests.LexerTests

open Xunit
open Tva.Dsl
open Tva.Dsl.Syntax
open Tva.Dsl.Tests

let private tokenize text = Lexer.tokenize (Trees.source text)

/// The tokens' texts, line ends as `⏎`, the last token left out.
let private cut text =
    let tokens, found = tokenize text
    Assert.Empty found
    Assert.Equal(TokenKind.End, tokens[tokens.Length - 1].Kind)
    [ for t in Array.take (tokens.Length - 1) tokens -> if t.Kind = TokenKind.Newline then "⏎" else t.Text ]

[<Theory>]
[<InlineData("0..11", "0 .. 11")>]
[<InlineData("0.5..1.5", "0.5 .. 1.5")>]
[<InlineData("1e-3..2E+4", "1e-3 .. 2E+4")>]
[<InlineData("1.x", "1 . x")>]
[<InlineData("1.e5", "1 . e5")>]
[<InlineData("a.b@f", "a . b @ f")>]
[<InlineData("a<=b<c==d!=e>=f>g", "a <= b < c == d != e >= f > g")>]
[<InlineData("a|>f", "a |> f")>]
[<InlineData("(a)[b]{c:d,e=f;}", "( a ) [ b ] { c : d , e = f ; }")>]
[<InlineData("-x^2*y/z+w", "- x ^ 2 * y / z + w")>]
[<InlineData("τ_1 + λ", "τ_1 + λ")>]
[<InlineData("𝜏 हिन्दी e\u0301", "𝜏 हिन्दी e\u0301")>]
[<InlineData("a\r\nb\n\n\tc", "a ⏎ b ⏎ ⏎ c")>]
[<InlineData("\uFEFFa\u00A0b", "a b")>]
let ``characters are cut`` (text: string, expected: string) =
    Assert.Equal<string list>(List.ofArray (expected.Split ' '), cut text)

[<Theory>]
[<InlineData("1", 1.0)>]
[<InlineData("0.5", 0.5)>]
[<InlineData("1e-3", 0.001)>]
[<InlineData("12.5E+2", 1250.0)>]
[<InlineData("1_000_000", 1e6)>]
[<InlineData("5e-324", 5e-324)>]
[<InlineData("0.1", 0.1)>]
let ``numbers have their values`` (text: string, value: float) =
    let tokens, found = tokenize text
    Assert.Empty found
    Assert.Equal(TokenKind.Number, tokens[0].Kind)
    Assert.Equal(value, tokens[0].Value)

[<Theory>]
[<InlineData("\"a b\"", "a b")>]
[<InlineData("\"\"", "")>]
[<InlineData("\"\\n\\t\\\"\\\\\"", "\n\t\"\\")>]
[<InlineData("\"\\u{3C4}\\u{1F600}\\u{0}\"", "τ😀\000")>]
[<InlineData("\"# no comment\"", "# no comment")>]
[<InlineData("\"\"\"a\n\"b\" \\n\"\"\"", "a\n\"b\" \\n")>]
[<InlineData("\"\"\"\"\"\"", "")>]
let ``texts have their contents`` (text: string, content: string) =
    let tokens, found = tokenize text
    Assert.Empty found
    Assert.Equal(2, tokens.Length)
    Assert.Equal(content, tokens[0].Text)
    Assert.Equal(text.Length, tokens[0].Span.End)

[<Fact>]
let ``kinds serve the highlighter`` () =
    let tokens, _ = tokenize "## doc\ndef f(x) = x # why\n### line\nprint(\"a\", true) ## b"
    let kinds = [ for t in tokens -> sprintf "%A" t.Kind ] |> String.concat " "
    Assert.Equal(
        "Doc Newline Keyword Name Symbol Name Symbol Symbol Name Comment Newline Comment Newline "
        + "Keyword Symbol Text Symbol Keyword Symbol Comment End",
        kinds
    )

[<Fact>]
let ``only the listed words are keywords`` () =
    for word in "def assert param include print true false and or not fs".Split ' ' do
        Assert.Equal(TokenKind.Keyword, (fst (tokenize word) |> Array.head).Kind)
    for word in "by else where model layers match sum let Def".Split ' ' do
        Assert.Equal(TokenKind.Name, (fst (tokenize word) |> Array.head).Kind)

[<Theory>]
[<InlineData("a $$ b", "0101 $$")>]
[<InlineData("a % b ? c", "0101 %|0101 ?")>]
[<InlineData("a \000 b", "0101 \000")>]
[<InlineData("\"a\000b\"", "0101 \000")>]
[<InlineData("a \u202E b", "0101 \u202E")>]
[<InlineData("x'", "0101 '")>]
[<InlineData("a && b || !c", "0102 &&|0102 |||0102 !")>]
[<InlineData("a ** b × c − d ≤ e <> f === g", "0102 **|0102 ×|0102 −|0102 ≤|0102 <>|0102 ===")>]
[<InlineData("x = \"abc\ny", "0103 \"abc")>]
[<InlineData("\"abc\\", "0105 \\|0103 \"abc\\")>]
[<InlineData("a\n\"\"\"b\nc\nd", "0104 \"\"\"")>]
[<InlineData("\"a\\qb\\u{D800}c\\u{110000}\\u{}\\ud\"", "0105 \\q|0105 \\u{D800}|0105 \\u{110000}|0105 \\u{}|0105 \\u")>]
[<InlineData("1e", "0106 1e")>]
[<InlineData("1e+ x", "0106 1e+")>]
[<InlineData("1abc", "0106 1abc")>]
[<InlineData("0x10", "0106 0x10")>]
[<InlineData("1.", "0106 1.")>]
[<InlineData(".5", "0106 .5")>]
[<InlineData("1.2.3", "0106 1.2.3")>]
[<InlineData("1e999", "0107 1e999")>]
[<InlineData("“a” 'b' ‘c’", "0108 “a”|0108 'b'|0108 ‘c’")>]
[<InlineData("a // b", "0109 //")>]
[<InlineData("a\rb", "0110 \r")>]
let ``what cannot be read is reported once`` (text: string, expected: string) =
    let _, found = tokenize text
    // `||` is itself a slip, so the list is cut only before a code.
    Assert.Equal(expected, found |> Trees.pointed text |> String.concat "|")

[<Fact>]
let ``half of a character is reported`` () =
    // Not in the literals: the compiler replaces lone surrogates.
    let high, low = string (char 0xD83D), string (char 0xDE00)
    for text in [ $"a {high} b"; $"\"{low}\""; high; $"{high}{high}{high}" ] do
        let _, found = tokenize text
        Assert.Equal<string list>([ "TVA0101" ], [ for d in found -> d.Code ])

[<Theory>]
[<InlineData("a && b", "a and b")>]
[<InlineData("a || !b", "a or not b")>]
[<InlineData("a ** 2 × b ÷ c · d", "a ^ 2 * b / c * d")>]
[<InlineData("a <> b", "a != b")>]
[<InlineData("f(“x”, 'y')", "f(\"x\", \"y\")")>]
let ``slips are read as what is meant`` (text: string, meant: string) =
    let wrong, _ = Trees.parse text
    let right = Trees.statements meant
    Assert.Equal<Statement list>(List.map Trees.stripStatement right, List.map Trees.stripStatement wrong)
