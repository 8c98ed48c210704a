module Tva.Dsl.Tests.RenderTests

open System
open Xunit
open Tva.Dsl

let private finding severity start finish message help : Diagnostic =
    { Code = "TVA0312"
      Severity = severity
      Span = { Source = 0; Start = start; End = finish }
      Message = message
      Help = help }

let private render (text: string) (start: int) (finish: int) =
    let source: SourceText = { Number = 0; Name = "merge.tva"; Folder = "."; Text = text }
    Render.diagnostic (fun n -> if n = 0 then Some source else None) false (finding Severity.Error start finish "wrong" None)

let private lines (parts: string list) = String.Join('\n', parts)

[<Fact>]
let ``the form of the language's page`` () =
    let text = "a\nb\nc\nd\nmerged = base + tasks.digit\n"
    let start = text.IndexOf "tasks.digit"
    let source: SourceText = { Number = 3; Name = "merge.tva"; Folder = "."; Text = text }
    let d =
        { finding Severity.Error start (start + 11) "`tasks.digit` is not in the family" (Some "did you mean `tasks.digits`?") with
            Span = { Source = 3; Start = start; End = start + 11 } }
    Assert.Equal(
        lines
            [ "merge.tva:5:17: error TVA0312: `tasks.digit` is not in the family"
              "  5 | merged = base + tasks.digit"
              "    |                 ^^^^^^^^^^^"
              "  help: did you mean `tasks.digits`?"
              "" ],
        Render.diagnostics [ source ] false [ d ]
    )

[<Fact>]
let ``a warning says so`` () =
    let source: SourceText = { Number = 0; Name = "a"; Folder = "."; Text = "xy" }
    Assert.Equal(
        lines [ "a:1:2: warning TVA0312: odd"; "  1 | xy"; "    |  ^"; "  help: first"; "        second" ],
        Render.diagnostic (fun _ -> Some source) false (finding Severity.Warning 1 2 "odd" (Some "first\nsecond"))
    )

[<Fact>]
let ``the gutter is as wide as the line's number`` () =
    let text = String.replicate 11 "\n" + "abc"
    Assert.Equal(lines [ "merge.tva:12:2: error TVA0312: wrong"; "  12 | abc"; "     |  ^^" ], render text 12 14)

[<Fact>]
let ``tabs go to every fourth column`` () =
    Assert.Equal(lines [ "merge.tva:1:4: error TVA0312: wrong"; "  1 |     a   b"; "    |         ^" ], render "\ta\tb" 3 4)

[<Fact>]
let ``wide characters and marks keep the carets in place`` () =
    let text = "\"模型😀e\u0301\" + x"
    let start = text.IndexOf 'x'
    Assert.Equal(
        lines [ $"merge.tva:1:{start + 1}: error TVA0312: wrong"; $"  1 | {text}"; "    |             ^" ],
        render text start (start + 1)
    )
    Assert.Equal(lines [ "merge.tva:1:2: error TVA0312: wrong"; $"  1 | {text}"; "    |  ^^^^" ], render text 1 3)

[<Fact>]
let ``a span over lines is shown on its first`` () =
    Assert.Equal(lines [ "merge.tva:1:3: error TVA0312: wrong"; "  1 | a (b"; "    |   ^^" ], render "a (b\r\n c)" 2 9)

[<Fact>]
let ``the end of a text and of a line`` () =
    Assert.Equal(lines [ "merge.tva:1:4: error TVA0312: wrong"; "  1 | a +"; "    |    ^" ], render "a +" 3 3)
    Assert.Equal(lines [ "merge.tva:1:4: error TVA0312: wrong"; "  1 | a +"; "    |    ^" ], render "a +\nb" 3 3)
    Assert.Equal(lines [ "merge.tva:2:1: error TVA0312: wrong"; "  2 |"; "    | ^" ], render "a +\n" 4 4)
    Assert.Equal(lines [ "merge.tva:1:1: error TVA0312: wrong"; "  1 |"; "    | ^" ], render "" 0 0)

[<Fact>]
let ``a long line is cut around the carets`` () =
    let text = String('a', 300) + "ERR" + String('b', 300)
    let shown = (render text 300 303).Split '\n'
    Assert.Equal("merge.tva:1:301: error TVA0312: wrong", shown[0])
    Assert.Equal("  1 | ..." + String('a', 51) + "ERR" + String('b', 100) + "...", shown[1])
    Assert.Equal("    | " + String(' ', 54) + "^^^", shown[2])
    let first = (render text 0 400).Split '\n'
    Assert.Equal("  1 | " + String('a', 154) + "...", first[1])
    Assert.Equal("    | " + String('^', 154), first[2])
    let last = (render text 603 603).Split '\n'
    Assert.Equal("  1 | ..." + String('b', 154), last[1])
    Assert.Equal("    | " + String(' ', 157) + "^", last[2])

[<Fact>]
let ``what a terminal would obey is shown instead`` () =
    Assert.Equal(
        lines [ "merge.tva:1:3: error TVA0312: wrong"; "  1 | a␛[31m\uFFFDb"; "    |   ^" ],
        render "a\u001b[31m\u202Eb" 2 3
    )
    let d = finding Severity.Error 0 0 "`\u001b[2J`" None
    Assert.Equal("error TVA0312: `␛[2J`", Render.diagnostic (fun _ -> None) false d)

[<Fact>]
let ``without a text there is no place`` () =
    let d = { finding Severity.Error 0 0 "nothing to do" (Some "say what") with Span = Span.None }
    Assert.Equal("error TVA0312: nothing to do\n  help: say what\n", Render.diagnostics [] false [ d ])

[<Fact>]
let ``color only adds escapes`` () =
    let source: SourceText = { Number = 0; Name = "a"; Folder = "."; Text = "x y" }
    let d = finding Severity.Error 2 3 "wrong" (Some "right")
    let colored = Render.diagnostic (fun _ -> Some source) true d
    Assert.Contains("\u001b[1;31m^\u001b[0m", colored)
    let plain = Text.RegularExpressions.Regex.Replace(colored, "\u001b\\[[0-9;]*m", "")
    Assert.Equal(Render.diagnostic (fun _ -> Some source) false d, plain)

[<Fact>]
let ``diagnostics come by text and place`` () =
    let source n : SourceText = { Number = n; Name = $"{n}"; Folder = "."; Text = "abc" }
    let at text start = { finding Severity.Error start start "w" None with Span = { Source = text; Start = start; End = start } }
    let shown = Render.diagnostics [ source 0; source 1 ] false [ at 1 0; at 0 2; at 0 1 ]
    let heads = shown.Split '\n' |> Array.filter (fun l -> l.Contains "error")
    Assert.Equal<string array>([| "0:1:2: error TVA0312: w"; "0:1:3: error TVA0312: w"; "1:1:1: error TVA0312: w" |], heads)
