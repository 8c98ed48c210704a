module Tva.Tests.FormatTests

open System
open Tva
open Tva.Dsl
open Xunit

[<Theory>]
[<InlineData(2.0, "2")>]
[<InlineData(-0.0, "0")>]
[<InlineData(0.1, "0.1")>]
[<InlineData(1e6, "1000000")>]
[<InlineData(123456789.0, "123456789")>]
[<InlineData(3.14159265358979, "3.141593")>]
[<InlineData(1.5e-9, "1.5e-09")>]
[<InlineData(1.5e20, "1.5e+20")>]
[<InlineData(Double.NaN, "nan")>]
[<InlineData(Double.PositiveInfinity, "inf")>]
[<InlineData(Double.NegativeInfinity, "-inf")>]
let ``numbers`` (v: float, text: string) = Assert.Equal(text, Format.number v)

[<Theory>]
[<InlineData(0.02, "0.02 s")>]
[<InlineData(12.4, "12 s")>]
[<InlineData(59.9, "1 min 00 s")>]
[<InlineData(200.0, "3 min 20 s")>]
[<InlineData(7500.0, "2 h 05 min")>]
let ``times`` (s: float, text: string) = Assert.Equal(text, Format.time (TimeSpan.FromSeconds s))

[<Fact>]
let ``values of one line stand side by side`` () =
    let items = [ Shown.Text "norm"; Shown.Number 2.0; Shown.Truth true; Shown.List [ Shown.Number 1.0; Shown.Number 0.5 ] ]
    Assert.Equal("norm 2 true [1, 0.5]\n", Format.items items)

[<Fact>]
let ``nothing is an empty line`` () = Assert.Equal("\n", Format.items [])

[<Fact>]
let ``a table's numbers are aligned to the right`` () =
    let table = Shown.Table(ResultTable.Of([ "norm"; "n" ], [ "digits", [ 1.5; 100.0 ]; "a", [ -22.25; nan ] ]))
    Assert.Equal("before\n          norm    n\ndigits     1.5  100\na       -22.25  nan\nafter\n", Format.items [ Shown.Text "before"; table; Shown.Text "after" ])

[<Fact>]
let ``a column of values alone has no head`` () =
    let table = Shown.Table(ResultTable.Of([ "value" ], [ "digits", [ 0.5 ]; "mean", [ 0.25 ] ]))
    Assert.Equal("digits   0.5\nmean    0.25\n", Format.items [ table ])

[<Fact>]
let ``rows without names have no column for them`` () =
    let table = Shown.Table(ResultTable.Of([ "value"; "score" ], [ "", [ 0.25; -1.0 ]; "", [ 1.0; 2.0 ] ]))
    Assert.Equal("value  score\n 0.25     -1\n    1      2\n", Format.items [ table ])

[<Fact>]
let ``a card is its title and its facts`` () =
    let card = Shown.Card("Model", [ "tensors", "54"; "stored as", "F32" ])
    Assert.Equal("Model\n  tensors    54\n  stored as  F32\n", Format.items [ card ])

[<Fact>]
let ``names from files can't drive the terminal`` () =
    let table = Shown.Table(ResultTable.Of([ "value" ], [ "a\u001b[2Jb\u202e", [ 1.0 ] ]))
    Assert.Equal("a\uFFFD[2Jb\uFFFD  1\n", Format.items [ table ])

[<Theory>]
[<InlineData(100)>]
[<InlineData(50)>]
let ``at a prompt the sentences of findings stay within its width`` (width: int) =
    let why = "a sentence of many words that goes on and on, far beyond what any line of a screen has room for, so that it takes several of them"
    let rows = [ [ Cell.Word "range"; Cell.Figure 0.75; Cell.Word why ]; [ Cell.Word "recommended"; Cell.Blank; Cell.Blank ] ]
    let shown = Prompt.Show.lines false width true [ Shown.Findings { Columns = [ "finding"; "value"; "why" ]; Rows = rows } ]
    let lines = shown.TrimEnd('\n').Split '\n'
    Assert.All(lines, fun line -> Assert.True(line.Length < width, line))
    Assert.StartsWith("range         0.75", lines[1])
    Assert.StartsWith("recommended", Array.last lines)
    Assert.Equal<string[]>((if width = 100 then [| "finding"; "value"; "why" |] else [| "finding"; "value" |]), lines[0].Split(' ', StringSplitOptions.RemoveEmptyEntries))
    let words = String.Join(" ", lines[1 .. lines.Length - 2]).Split(' ', StringSplitOptions.RemoveEmptyEntries)
    Assert.Equal<string[]>(why.Split ' ', words[2..])
