/// The line editor, key by key.
module Tva.Tests.EditorTests

open System
open System.IO
open Tva.Dsl.Services
open Tva.Prompt
open Xunit

let private services: EditorServices =
    { Complete =
        fun text at ->
            let start = text.LastIndexOf(' ', max 0 (at - 1)) + 1
            let word = text.Substring(start, max 0 (at - start))
            let all = [ "tanh"; "tasks"; "tasty"; "\"a.safetensors\"" ]
            { Start = start
              End = at
              Candidates = [ for t in all do if t.StartsWith word then { Text = t; Kind = CandidateKind.Name; Detail = "" } ] }
      Describe = fun _ _ -> [ "described" ]
      IsOpen = Classify.isOpen
      Classify = Classify.classify }

/// The terminal's characters, decoded; `keys` stand between.
let private feed (text: string) =
    let decoder = KeyDecoder()
    [ for c in text do yield! decoder.Feed c
      yield! decoder.Flush() ]

/// Texts that follow each other as one.
let private together (inputs: Input list) =
    (inputs, [])
    ||> List.foldBack (fun input rest ->
        match input, rest with
        | Input.Key(Key.Text a), Input.Key(Key.Text b) :: rest -> Input.Key(Key.Text(a + b)) :: rest
        | input, rest -> input :: rest)

[<Fact>]
let ``however the characters come, they are the same keys`` () =
    let random = Random 7
    let pieces = [| "abc"; "λ"; "😀"; "\r"; "\n"; "\t"; "\u001b[A"; "\u001b[1;5D"; "\u001bb"; "\u007f"; "\u0003"; "\u001b[200~a\r~b\u001b[A\u001b[201~"; "~"; "\ud83d"; "\ude00"; "\u001b" |]
    for _ in 1..200 do
        let text = String.Concat [ for _ in 1..30 -> pieces[random.Next pieces.Length] ]
        let decoder = KeyDecoder()
        let given = ResizeArray<Input>()
        let mutable at = 0
        while at < text.Length do
            let n = min (text.Length - at) (random.Next(1, 20))
            decoder.Feed(text.Substring(at, n), given.Add)
            at <- at + n
        given.AddRange(decoder.Flush())
        Assert.Equal<Input list>(together (feed text), together (List.ofSeq given))

[<Fact>]
let ``what waits is taken in order, texts as one, and may be forgotten`` () =
    let queue = InputQueue()
    for input in [ Input.Key(Key.Text "a"); Input.Key(Key.Text "b"); Input.Key Key.Enter; Input.Paste "p"; Input.Key(Key.Text "c") ] do
        queue.Add input
    Assert.True queue.Pending
    Assert.Equal<Input list>([ Input.Key(Key.Text "ab"); Input.Key Key.Enter; Input.Paste "p"; Input.Key(Key.Text "c") ], [ for _ in 1..4 -> queue.Take() ])
    Assert.False queue.Pending
    queue.Add(Input.Key(Key.Text "d"))
    queue.Clear()
    Assert.False queue.Pending
    let late = System.Threading.Tasks.Task.Run(fun () -> queue.Take())
    queue.Add(Input.Key Key.Tab)
    Assert.Equal(Input.Key Key.Tab, late.Result)

let private after (history: string list) (text: string) =
    ((Editor.start (Array.ofList history), []), feed text)
    ||> List.fold (fun (e, actions) input ->
        let e, action = Editor.step services e input
        e, (match action with Action.Continue -> actions | a -> a :: actions))

/// The text with `|` at the cursor, after these characters.
let private edited text =
    let e, _ = after [] text
    e.Buffer.Text.Insert(e.Buffer.Cursor, "|")

let private left = "\u001b[D"
let private up = "\u001b[A"
let private down = "\u001b[B"

[<Theory>]
[<InlineData("abc", "abc|")>]
[<InlineData("abc\u001b[D\u001b[DX", "aX|bc")>]
[<InlineData("abc\u0001X", "X|abc")>]
[<InlineData("abc\u0001\u0005X", "abcX|")>]
[<InlineData("abc\u001b[HX\u001b[FY", "XabcY|")>]
[<InlineData("abc\u007f", "ab|")>]
[<InlineData("abc\u001b[D\u001b[3~", "ab|")>]
[<InlineData("one two\u001bbX", "one X|two")>]
[<InlineData("one two\u001b[1;5D\u001b[1;5DX\u001b[1;5CY", "XoneY| two")>]
[<InlineData("one two\u0017", "one |")>]
[<InlineData("one two\u0017\u0019\u0019", "one twotwo|")>]
[<InlineData("one two\u0001\u000b", "|")>]
[<InlineData("one two\u0015X\u0019", "Xone two|")>]
[<InlineData("one two\u0001\u001bd", "| two")>]
[<InlineData("ab\u001bbc\u001b>", "cab|")>]
[<InlineData("abc\u007f\u007f\u001f", "ab|")>]
[<InlineData("abc\u001a\u001a\u001a\u001a", "|")>]
[<InlineData("λ😀é\u007f", "λ😀|")>]
[<InlineData("a😀\u001b[DX", "aX|😀")>]
[<InlineData("👩‍👩‍👧b\u001b[D\u007f", "|b")>]
[<InlineData("(a\r", "(a\n    |")>]
[<InlineData("a\u001b\rb", "a\nb|")>]
[<InlineData("abc\u001b\rde\u001b[AX", "abX|c\nde")>]
[<InlineData("a\u001b\rbcd\u001b[A\u001b[BX", "a\nbX|cd")>]
let ``keys edit`` (keys: string, expected: string) = Assert.Equal(expected, edited keys)

[<Fact>]
let ``Enter submits what is whole`` () =
    Assert.Equal<Action list>([ Action.Submit "1 + 1" ], snd (after [] "1 + 1\r"))
    Assert.Equal<Action list>([ Action.Submit "norm(\n    x)" ], snd (after [] "norm(\rx)\r"))
    Assert.Equal<Action list>([ Action.Submit "{\n    1\n    }" ], snd (after [] "{\r1\r}\r"))
    // An empty line ends what never will.
    Assert.Equal<Action list>([ Action.Submit "(\n    " ], snd (after [] "(\r\r"))
    // A text that can't become right is not waited for.
    Assert.Equal<Action list>([ Action.Submit ")" ], snd (after [] ")\r"))

[<Fact>]
let ``Ctrl-C gives up, Ctrl-D leaves at an empty line only`` () =
    Assert.Equal<Action list>([ Action.Abandon ], snd (after [] "abc\u0003"))
    Assert.Equal<Action list>([ Action.Leave ], snd (after [] "\u0004"))
    let e, actions = after [] "abc\u0001\u0004"
    Assert.Empty actions
    Assert.Equal("bc", e.Buffer.Text)

[<Fact>]
let ``the history is walked through, by what stands before the cursor`` () =
    let history = [ "base = 1"; "x = 2"; "base + x" ]
    let text keys = (fst (after history keys)).Buffer.Text
    Assert.Equal("base + x", text up)
    Assert.Equal("x = 2", text (up + up))
    Assert.Equal("base = 1", text (up + up + up + up))
    Assert.Equal("base = 1", text ("ba" + up + up))
    Assert.Equal("ba", text ("ba" + up + up + down + down))
    Assert.Equal("new", text ("new" + up + down))

[<Fact>]
let ``the history is searched`` () =
    let history = [ "norm(A)"; "x = 2"; "norm(B)" ]
    let e, _ = after history "\u0012nor"
    Assert.Equal("norm(B)", e.Buffer.Text)
    Assert.Equal("norm(A)", (fst (after history "\u0012nor\u0012")).Buffer.Text)
    Assert.Equal("norm(A)!", (fst (after history "\u0012nor\u0012\u0005!")).Buffer.Text)
    Assert.Equal<Action list>([ Action.Submit "x = 2" ], snd (after history "\u0012= 2\r"))
    Assert.Equal("before", (fst (after history "before\u0012nor\u0007")).Buffer.Text)
    // Nothing fits: what was there last stays.
    Assert.Equal("norm(B)", (fst (after history "\u0012norx")).Buffer.Text)

[<Fact>]
let ``Tab completes as far as it is certain, then walks`` () =
    Assert.Equal("x tanh|", edited "x tan\t")
    Assert.Equal("x tas|", edited "x tas\t")
    Assert.Equal("x tasks|", edited "x tas\t\t")
    Assert.Equal("x tasty|", edited "x tas\t\t\t")
    Assert.Equal("x tasks|", edited "x tas\t\t\t\u001b[Z")
    Assert.Equal("x tasty!|", edited "x tas\t\t\t!")
    // Enter takes the choice and submits nothing.
    let e, actions = after [] "x tas\t\t\r"
    Assert.Empty actions
    Assert.Equal("x tasks", e.Buffer.Text)
    // Escape goes back to what was typed.
    Assert.Equal("x tas|", edited "x tas\t\t\u001b")

[<Fact>]
let ``a quote that completion has put is not put twice`` () =
    Assert.Equal("x \"a.safetensors\"|", edited "x \"a\t")
    Assert.Equal("x \"a.safetensors\"|", edited "x \"a\t\"")
    Assert.Equal("x \"a.safetensors\")|", edited "x \"a\t\")")
    Assert.Equal("x \"a.safetensors\" \"|", edited "x \"a\t \"")

[<Fact>]
let ``a text that its line does not close asks for no further line`` () =
    Assert.Equal<Action list>([ Action.Submit "model(\"a\"\")" ], snd (after [] "model(\"a\"\")\r"))
    Assert.Empty(snd (after [] "model(\"\"\"a\r"))

[<Fact>]
let ``a pasted script comes in one piece`` () =
    let inputs = feed "\u001b[200~x = 1\r\ny = (\r2)\u001b[201~"
    Assert.Equal<Input list>([ Input.Paste "x = 1\ny = (\n2)" ], inputs)
    let e, actions = after [] "\u001b[200~x = 1\ny = 2\n\u001b[201~\r"
    Assert.Equal<Action list>([ Action.Submit "x = 1\ny = 2" ], actions)
    Assert.Equal(1, e.Undo.Length)

[<Fact>]
let ``an escape alone is a key, the begin of a sequence is none`` () =
    Assert.Equal<Input list>([ Input.Key Key.Escape ], feed "\u001b")
    Assert.Equal<Input list>([], feed "\u001b[")
    Assert.Equal<Input list>([ Input.Key Key.Left ], feed "\u001bOD")
    Assert.Equal<Input list>([ Input.Key(Key.Text "x") ], feed "\u001b[99;99;99zx")

[<Fact>]
let ``garbage never throws and is bounded`` () =
    let random = Random 7
    for _ in 1..200 do
        let text = String(Array.init 300 (fun _ -> char (random.Next(0, (if random.Next 2 = 0 then 128 else 0xFFFF)))))
        let e, _ = after [ "a"; "b" ] text
        Assert.InRange(e.Buffer.Cursor, 0, e.Buffer.Text.Length)
        Picture.draw true Classify.classify 40 10 "> " ". " e |> ignore
    let e = Editor.start [||]
    let e, _ = Editor.step services e (Input.Paste(String('(', Editor.MaxText + 1)))
    Assert.Equal("", e.Buffer.Text)
    Assert.NotEmpty e.Hint

[<Fact>]
let ``an enormous text is drawn without delay`` () =
    let e, _ = Editor.step services (Editor.start [||]) (Input.Paste(String.Join("\n", Seq.replicate 200_000 "x = 1 + (2")))
    let watch = Diagnostics.Stopwatch.StartNew()
    let p = Picture.draw true Classify.classify 80 24 "> " ". " e
    Assert.InRange(p.Rows.Length, 1, 24)
    Assert.InRange(p.Row, 0, p.Rows.Length - 1)
    TestContext.Current.TestOutputHelper |> Option.ofObj |> Option.iter (fun o -> o.WriteLine $"{watch.Elapsed.TotalMilliseconds:F1} ms")

let private picture width keys =
    let e, _ = after [] keys
    Picture.draw false Classify.classify width 24 "> " ". " e

[<Fact>]
let ``rows are wrapped, the cursor is where the text is`` () =
    let p = picture 6 "abcdef"
    Assert.Equal<string list>([ "> abcd"; "ef" ], p.Rows)
    Assert.Equal((1, 2), (p.Row, p.Column))
    // Exactly full: the cursor goes to the next row.
    let p = picture 6 "abcd"
    Assert.Equal((1, 0), (p.Row, p.Column))
    let p = picture 20 "a\u001b\rb"
    Assert.Equal<string list>([ "> a"; ". b" ], p.Rows)
    // Wide characters take two columns and are not cut.
    let p = picture 5 "漢字"
    Assert.Equal<string list>([ "> 漢"; "字" ], p.Rows)
    Assert.Equal((1, 2), (p.Row, p.Column))
    // Control characters are shown, not sent.
    let e, _ = Editor.step services (Editor.start [||]) (Input.Paste "a\u001b[2Jb\u0007")
    Assert.DoesNotContain(Picture.draw false Classify.classify 40 10 "> " ". " e |> _.Rows, fun (r: string) -> r.Contains '\u001b' || r.Contains '\u0007')

// The history's file

[<Fact>]
let ``the history is kept for the user's eyes only`` () =
    use temp = new TempFolder()
    let path = Some(temp.File "state/tva/history")
    Assert.Empty(History.load path)
    for entry in [ "x = 1"; "def f(x) =\n    x \\ 2"; "λ" ] do
        Assert.Equal(None, History.add path entry)
    Assert.Equal<string list>([ "x = 1"; "def f(x) =\n    x \\ 2"; "λ" ], History.load path)
    if not (OperatingSystem.IsWindows()) then
        Assert.Equal(UnixFileMode.UserRead ||| UnixFileMode.UserWrite, File.GetUnixFileMode path.Value)
        File.SetUnixFileMode(path.Value, UnixFileMode.UserRead ||| UnixFileMode.UserWrite ||| UnixFileMode.OtherRead)
        History.add path "y" |> ignore
        Assert.Equal(UnixFileMode.UserRead ||| UnixFileMode.UserWrite, File.GetUnixFileMode path.Value)

[<Fact>]
let ``a history that can't be kept is told, not thrown`` () =
    use temp = new TempFolder()
    temp.Write("file", "") |> ignore
    let path = Some(temp.File "file/tva/history")
    Assert.Empty(History.load path)
    Assert.True((History.add path "x").IsSome)
    Assert.Equal(None, History.add None "x")

[<Fact>]
let ``a history grown long is made short`` () =
    use temp = new TempFolder()
    let path = temp.Write("history", String.Join("\n", [ for i in 1..12_000 -> string i ]))
    let entries = History.load (Some path)
    Assert.Equal(5_000, entries.Length)
    Assert.Equal("12000", List.last entries)
    Assert.Equal(5_000, File.ReadAllLines(path).Length)
