/// The whole prompt over a terminal of the test's own, driven as a person would.
module Tva.Tests.PromptTests

open System
open System.IO
open System.Text
open Tva.Prompt
open Xunit

let private examples = Repository.path "examples"
let private zoo = "base = model(\"zoo/base.safetensors\")\rA = model(\"zoo/tasks/digits.safetensors\") - base\r"

let private see acts = AtPrompt.run examples acts

/// The lines printed between one prompt and the next.
let private contains (part: string) (seen: AtPrompt.Seen) = Assert.Contains(part, seen.Text)

[<Fact>]
let ``a text is read, done and printed, and it is kept`` () =
    let seen = see [ Typed "1 + 1\r"; Typed "it * 3\r"; Press(Key.Ctrl 'd') ]
    Assert.Equal(0, seen.Status)
    Assert.Equal<string list>([ "tva> 1 + 1"; "2"; "tva> it * 3"; "6"; "tva>" ], seen.Screen.Rows.Tail |> List.filter ((<>) ""))

[<Fact>]
let ``diagnostics point into the line typed, and what was before goes on`` () =
    let seen = see [ Typed "x = 5\r"; Typed "x = 7; y = nope\r"; Typed "x\r" ]
    contains "<prompt>:1:12: error TVA0301: `nope` is not defined here" seen
    contains "  1 | x = 7; y = nope\n    |            ^^^^" seen
    contains "tva> x\n5\n" seen

[<Fact>]
let ``a text goes on while a bracket is open`` () =
    let seen = see [ Typed "max(\r1,\r2)\r" ]
    contains "tva> max(\n...>     1,\n...>     2)\n2\n" seen

[<Fact>]
let ``a pasted script is done at once`` () =
    let seen = see [ PasteText "x = 1\ny = {\n  a = 2\n  a + x\n}\nprint(x, y)\n"; Press Key.Enter ]
    contains "\n1 3\n" seen

[<Fact>]
let ``a model is a card, a family a table of norms`` () =
    let seen = see [ Typed zoo; Typed "m = base + 0.3 * A\r"; Typed "m\r"; Typed "family([\"zoo/tasks/digits.safetensors\", \"zoo/tasks/letters.safetensors\"], base)\r" ]
    contains "Model\n  tensors     54\n  parameters  136,256\n  stored as   F32\n" seen
    contains "  expression  base + 0.3 * A" seen
    contains "Family of 2\n" seen
    contains "\ndigits   0.9816989  ███" seen

[<Fact>]
let ``colours are there where they are wanted and nowhere else`` () =
    let acts = [ Typed zoo; Typed "similarity(family([\"zoo/tasks/digits.safetensors\", \"zoo/tasks/letters.safetensors\"], base))\r"; Typed "nope\r" ]
    let plain = AtPrompt.runWith false None examples 100 40 acts
    Assert.DoesNotContain("m", plain.Screen.Sent.Split('\u001b') |> Seq.skip 1 |> Seq.map (fun s -> string (s |> Seq.find Char.IsLetter)) |> Seq.filter ((=) "m"))
    let colored = AtPrompt.runWith true None examples 100 40 acts
    Assert.Contains("\u001b[38;5;255;48;5;27m", colored.Screen.Sent)
    Assert.Contains("\u001b[34mmodel\u001b[0m", colored.Screen.Sent)
    Assert.Equal(plain.Text, colored.Text)

[<Fact>]
let ``Ctrl-C stops the work and not the prompt`` () =
    use temp = new TempFolder()
    // Zeros that take no room on the disk but long to compute.
    let elements = 1L <<< 28
    let header = Encoding.UTF8.GetBytes("{\"w\":{\"dtype\":\"F32\",\"shape\":[" + string elements + "],\"data_offsets\":[0," + string (4L * elements) + "]}}")
    (use file = File.Create(temp.File "big.safetensors")
     file.Write(BitConverter.GetBytes(uint64 header.Length), 0, 8)
     file.Write(header, 0, header.Length)
     file.SetLength(8L + int64 header.Length + 4L * elements))
    let seen =
        AtPrompt.run temp.Path
            [ Typed "m = model(\"big.safetensors\")\r"
              InterruptAfter(TimeSpan.FromMilliseconds 300.0)
              Typed "k = m + 0.5 * exp(sin(tanh(exp(sin(raw(m)))))); k |> save(\"out.safetensors\")\r"
              Typed "2 + 3\r"
              Typed "k\r" ]
    contains "tva: cancelled: nothing was saved\n" seen
    contains "tva> 2 + 3\n5\n" seen
    contains "`k` is not defined here" seen
    Assert.Equal<string[]>([| temp.File "big.safetensors" |], Directory.GetFileSystemEntries temp.Path)

[<Fact>]
let ``Ctrl-C at a line clears it`` () =
    let seen = see [ Typed "nope"; Press(Key.Ctrl 'c'); Typed "1\r" ]
    contains "tva> nope\ntva> 1\n1\n" seen

[<Fact>]
let ``garbage and unbalanced texts leave the prompt as it was`` () =
    let random = Random 3
    let bytes = Array.init 20_000 (fun _ -> byte (random.Next 256))
    let garbage = Encoding.UTF8.GetString bytes
    let seen =
        see
            [ PasteText garbage
              Press Key.Enter
              Press(Key.Ctrl 'c')
              PasteText(String('(', 200_000))
              Press Key.Enter
              Press Key.Enter
              Typed "1 + 2\r" ]
    Assert.Equal(0, seen.Status)
    contains "tva> 1 + 2\n3\n" seen

[<Fact>]
let ``a fault in a file leaves the prompt`` () =
    use temp = new TempFolder()
    temp.Write("bad.safetensors", "not a checkpoint at all") |> ignore
    let seen = AtPrompt.run temp.Path [ Typed "model(\"bad.safetensors\")\r"; Typed "1\r" ]
    contains "bad.safetensors" seen
    contains "tva> 1\n1\n" seen

[<Fact>]
let ``permission is asked for once`` () =
    Assert.SkipWhen(OperatingSystem.IsWindows(), "the command is a Unix one")
    let measure = "evaluate(base, \"echo '{\\\"a\\\": 0.5}' # {model}\")\r"
    let refused = see [ Typed zoo; Typed measure; Typed "n"; Typed "1\r" ]
    contains "allow that in this session? [y/N] no" refused
    contains "error TVA0601" refused
    let seen = see [ Typed zoo; Typed measure; Typed "y"; Typed("t = " + measure); Typed "t.a + 1\r" ]
    contains "[y/N] yes\na  0.5\n" seen
    Assert.Equal(2, seen.Text.Split("[y/N]").Length)
    contains "\n1.5\n" seen

[<Fact>]
let ``what was typed before the question is no answer`` () =
    let measure = "evaluate(base, \"echo '{\\\"a\\\": 0.5}' # {model}\")\r"
    let seen = see [ Typed zoo; Typed(measure + "y = 3\ry\r") ]
    contains "[y/N] no: more was typed already\n" seen
    contains "error TVA0601" seen
    contains "tva> y = 3\ntva> y\n3\n" seen

[<Fact>]
let ``an enormous paste is refused, and the prompt goes on`` () =
    let mutable below = ""
    let seen =
        see
            [ PasteText(String('(', 50_000_000))
              Look(fun s -> below <- s.Text)
              Typed "1 + 2\r"
              Press(Key.Text(String('x', 50_000_000)))
              Typed "\r"
              Typed "2 + 2\r" ]
    Assert.Contains("the text is too long to be edited here; put it into a file: :load file.tva", below)
    contains "tva> 1 + 2\n3\n" seen
    contains "tva> 2 + 2\n4\n" seen

[<Fact>]
let ``the history comes back in the next run`` () =
    use temp = new TempFolder()
    let history = Some(temp.File "state/history")
    let run acts = AtPrompt.runWith false history examples 100 40 acts
    run [ Typed "x = 40\rx + 2\r" ] |> ignore
    let seen = run [ Press Key.Up; Press Key.Up; Press Key.Enter; Press(Key.Ctrl 'r'); Typed "+ 2"; Press Key.Enter ]
    contains "tva> x = 40\ntva> x + 2\n42\n" seen

[<Fact>]
let ``an unwritable history is told once`` () =
    use temp = new TempFolder()
    temp.Write("file", "") |> ignore
    let seen = AtPrompt.runWith false (Some(temp.File "file/history")) examples 100 40 [ Typed "1\r2\r3\r" ]
    Assert.Equal(2, seen.Text.Split("the history can't be kept").Length)
    contains "tva> 3\n3\n" seen

[<Fact>]
let ``completions are listed below the line`` () =
    let mutable below = ""
    let seen =
        see
            [ Typed "tasks = family(\"zoo/tasks/*.safetensors\", model(\"zoo/base.safetensors\"))\r"
              Typed "tasks.s\t"
              Look(fun s -> below <- s.Text)
              Typed "\t\t\r\r" ]
    Assert.Contains("tva> tasks.s\n  shapes   Delta\n  stripes  Delta", below)
    contains "tva> tasks.stripes\nDelta\n" seen

// Commands

[<Fact>]
let ``types and plans`` () =
    let seen = see [ Typed zoo; Typed ":type 0.5 * A\r"; Typed ":type nope + 1\r"; Typed ":type x = 1\r"; Typed ":plan base + 0.5 * A\r"; Typed ":plan norm(A)\r" ]
    contains "that is no expression" seen
    contains "Delta: 54 tensors, 136,256 parameters\n" seen
    contains "<type>:1:1: error TVA0301" seen
    contains "as it would be saved:" seen
    contains "step 1 of 1" seen
    // A plan does nothing.
    Assert.DoesNotContain("0.98", seen.Text)

[<Fact>]
let ``help tells formula, paper and example`` () =
    let seen = see [ Typed ":help ties\r"; Typed ":help\r"; Typed ":ops\r"; Typed ":hlep\r"; Typed ":help dela\r" ]
    contains "2306.01708" seen
    contains "example: " seen
    for c in Commands.all () do
        contains $"  :{c.Name}" seen
    contains "did you mean :help?" seen
    contains "there is no function dela; did you mean delta or della?" seen

[<Fact>]
let ``time tells bytes, and what is known reads none`` () =
    let seen = see [ Typed zoo; Typed ":time norm(A)\r"; Typed ":time norm(0.5 * A)\r" ]
    contains "1 pass, read 1.04 MiB" seen
    contains "0 passes, read 0 B" seen

[<Fact>]
let ``what is set is told`` () =
    let seen = see [ Typed ":set memory 1GiB\r"; Typed ":set memory lots\r"; Typed ":set\r"; Typed ":device\r"; Typed ":pin 1\r" ]
    contains "memory 1 GiB\n" seen
    contains "lots: not a size" seen
    contains "cpu: " seen
    contains "nothing to pin" seen

[<Fact>]
let ``inspect lists, quit leaves`` () =
    let seen = see [ Typed ":inspect zoo/base.safetensors\r"; Typed ":quit\r"; Typed "1\r" ]
    contains "54 tensors, 136256 elements" seen
    Assert.DoesNotContain("tva> 1", seen.Text)

[<Fact>]
let ``pinned checkpoints are counted`` () =
    let seen = see [ Typed zoo; Typed ":pin base + A\r"; Typed ":device\r"; Typed "norm(A)\r"; Typed ":unpin\r"; Typed ":set memory 10MB\r:pin A\r" ]
    contains "pinned zoo/base.safetensors (" seen
    contains "MiB of it pinned" seen
    contains "\n0.9816989\n" seen
    contains ":set memory" seen

[<Fact>]
let ``the session is saved as a script that runs, from any folder`` () =
    use temp = new TempFolder()
    Directory.CreateDirectory(temp.File "zoo") |> ignore
    for name in [ "base"; "tasks/digits" ] do
        File.Copy(Repository.path $"examples/zoo/{name}.safetensors", temp.File $"zoo/{Path.GetFileName name}.safetensors")
    temp.Write("defs.tva", "def half(x: Delta): Delta = 0.5 * x\nprint(\"loaded\")") |> ignore
    let seen =
        AtPrompt.run temp.Path
            [ Typed ":load defs.tva\r"
              Typed "base = model(\"zoo/base.safetensors\")\r"
              Typed "x = nope\r"
              Typed "A = model(\"zoo/digits.safetensors\") - base\r"
              Typed ":type A\r"
              Typed "norm(half(A))\r"
              Typed ":save sub.tva\r"
              Typed ":save deep/down.tva\r" ]
    contains "tva> :load defs.tva\nloaded\n" seen
    contains "saved sub.tva" seen
    contains "saved deep/down.tva" seen
    Assert.Equal(File.ReadAllText(temp.File "sub.tva").Replace("\"zoo/", "\"../zoo/").Replace("\"defs.tva\"", "\"../defs.tva\""), File.ReadAllText(temp.File "deep/down.tva"))
    Assert.DoesNotContain("nope", File.ReadAllText(temp.File "sub.tva"))
    let ran = Command.runIn temp.Path "" [ "run"; "sub.tva" ]
    Assert.Equal((0, ""), (ran.Status, ran.Error))
    let norm = ran.Out.Replace("loaded\n", "")
    contains $"tva> norm(half(A))\n{norm}" seen
    Directory.CreateDirectory(temp.File "deep") |> ignore
    let seen = AtPrompt.run temp.Path [ Typed ":load sub.tva\r"; Typed ":save deep/down.tva\r" ]
    contains "saved deep/down.tva" seen
    let ran = Command.runIn (temp.File "zoo") "" [ "run"; "../deep/down.tva" ]
    Assert.Equal({ Status = 0; Out = "loaded\n" + norm; Error = "" }, ran)

// F#

[<Fact>]
let ``F# is a prompt of its own, with the session's names`` () =
    let seen =
        see
            [ Typed zoo
              Typed "def gentle(x: Delta, k: Scalar): Delta = k * x\r"
              Typed ":fs\r"
              Typed "let m = baseModel + 0.5 * A - 0.5 * gentle A 1.0\r"
              Typed "norm (baseModel + 0.5 * A - baseModel)\r"
              Typed "m\r"
              Typed "let f x =\rx * 2\r\rf 21\r"
              Typed "let w = [ 1.0; 0.5 ]\r"
              Typed "1 +\rnope;;\r"
              Typed "baseModel * baseModel\r"
              Typed "let g () : int =\rfailwith \"no\"\r\rg ()\r"
              Typed "printfn \"there\"\r"
              Typed ":tva\r"
              Typed "w\r"
              Typed "norm(m - base)\r"
              Typed ":fs 40 + 2\r"
              Typed ":fs\r:fs\r"
              Typed "1 + 1\r" ]
    Assert.Equal(0, seen.Status)
    contains "(base is baseModel)" seen
    contains "val m: Expression = Model: base + 0.5 * A - 0.5 * gentle(A, 1)\n" seen
    contains "baseModel)\n0.4908495\n" seen
    contains "F#> m\nModel\n  tensors     54\n" seen
    contains "F#> let f x =\n..>     x * 2\n..>\nval f: x: int -> int\n" seen
    contains "F#> f 21\nval it: int = 42\n" seen
    contains "<F#>:2:5: error FS0039: The value or constructor 'nope' is not defined" seen
    contains "  2 |     nope;;\n    |     ^^^^\n" seen
    contains "<F#>:1:1: error TVA0405: `*` of tensors takes Deltas" seen
    contains "<F#>:2:5: error TVA0351: the F# threw Exception: no\n  2 |     failwith \"no\"\n" seen
    contains "F#> printfn \"there\"\nthere\n" seen
    contains "tva> w\n[1, 0.5]\n" seen
    contains "tva> norm(m - base)\n0\n" seen
    contains "tva> :fs 40 + 2\nval it: int = 42\n" seen
    contains "tva> 1 + 1\n2\n" seen

[<Fact>]
let ``F# that loops for ever is stopped by Ctrl-C, and Ctrl-D goes back`` () =
    use temp = new TempFolder()
    let seen =
        AtPrompt.runWith false (Some(temp.File "history")) examples 100 40
            [ Typed "k = 3\r"
              Typed ":fs\r"
              Typed "let kept = k + 1.0\r"
              InterruptAfter(TimeSpan.FromSeconds 2.0)
              Typed "while true do ()\r"
              Typed "kept + 1.0\r"
              Press(Key.Ctrl 'd')
              Typed "kept\r"
              Press(Key.Ctrl 'd')
              Typed "nothing\r" ]
    contains "F#> while true do ()\ntva: cancelled: nothing was saved\n" seen
    contains "val it: float = 5.0\n" seen
    contains "tva> kept\n4\n" seen
    Assert.DoesNotContain("nothing\n", seen.Text)
    Assert.Equal<string[]>([| "let kept = k + 1.0"; "while true do ()"; "kept + 1.0" |], File.ReadAllLines(temp.File "history-fsharp"))
    Assert.Equal<string[]>([| "k = 3"; ":fs"; "kept" |], File.ReadAllLines(temp.File "history"))

[<Fact>]
let ``a session with F# in it is saved as a script that does the same`` () =
    use temp = new TempFolder()
    File.Copy(Repository.path "examples/zoo/base.safetensors", temp.File "base.safetensors")
    File.Copy(Repository.path "examples/zoo/tasks/digits.safetensors", temp.File "digits.safetensors")
    let seen =
        AtPrompt.run temp.Path
            [ Typed "base = model(\"base.safetensors\")\r"
              Typed ":fs\r"
              Typed "let a = tva.Model \"digits.safetensors\" - baseModel\r"
              Typed "baseModel + 0.25 * a |> save \"out.safetensors\"\r"
              Typed "norm (0.5 * a)\r"
              Typed ":save s.tva\r" ]
    contains "saved s.tva" seen
    let bytes = File.ReadAllBytes(temp.File "out.safetensors")
    File.Delete(temp.File "out.safetensors")
    let ran = Command.runIn temp.Path "" [ "run"; "s.tva" ]
    Assert.Equal((0, "0.4908495\n"), (ran.Status, ran.Out))
    Assert.Equal<byte[]>(bytes, File.ReadAllBytes(temp.File "out.safetensors"))

[<Theory>]
[<InlineData("1 + 1", false, 0)>]
[<InlineData("let f x =", true, 1)>]
[<InlineData("let f x =\n    x + 1", true, 1)>]
[<InlineData("let f x =\n    x + 1\nf 3", false, 0)>]
[<InlineData("let f x =\n    x + 1;;", false, 1)>]
[<InlineData("match 1 with\n| 1 -> 2", true, 0)>]
[<InlineData("[ 1; 2", true, 1)>]
[<InlineData("f (fun x ->", true, 1)>]
[<InlineData("\"\"\"a", true, 0)>]
[<InlineData("\"(\"", false, 0)>]
[<InlineData("'('", false, 0)>]
[<InlineData("a |>", true, 1)>]
[<InlineData("(* ( (* *)", true, 0)>]
[<InlineData("// (", false, 0)>]
[<InlineData("x)", false, 0)>]
[<InlineData("[<Struct>]", true, 0)>]
[<InlineData("let f (x: 'a) = x", false, 0)>]
[<InlineData("if a then", true, 1)>]
let ``F# asks for another line while it is incomplete`` (text: string) (isOpen: bool) (depth: int) =
    let struct (asks, steps) = FSharpText.isOpen text
    Assert.Equal(isOpen, asks)
    if asks then Assert.Equal(depth, steps)

[<Fact>]
let ``F# is coloured by what its words are`` () =
    let classes (text: string) = [ for c in FSharpText.classify text -> text.Substring(c.Start, c.End - c.Start), $"{c.Class}" ]
    Assert.Equal<(string * string) list>(
        [ "let", "Keyword"; "x", "Name"; "=", "Symbol"; "1e-3f", "Number"; "+", "Symbol"; "\"a \\\" b\"", "Text"; "// c", "Comment" ],
        classes "let x = 1e-3f + \"a \\\" b\" // c")
    Assert.Equal<(string * string) list>([ "1", "Number"; "..", "Symbol"; "'a'", "Text"; "'t", "Type"; "x'", "Name" ], classes "1..'a' 't x'")

[<Fact>]
let ``the README's prompt is what is seen`` () =
    let readme = File.ReadAllText(Repository.path "README.md").Replace("\r\n", "\n")
    let rec blocks (from: int) =
        match readme.IndexOf("```\ntva> ", from) with
        | -1 -> []
        | i -> (let till = readme.IndexOf("```", i + 4) in readme.Substring(i + 4, till - i - 4) :: blocks till)
    let typed =
        [ for block in blocks 0 do
              for line in block.Split '\n' do
                  if line.StartsWith "tva> " || line.StartsWith "F#> " then Typed(line.Substring(line.IndexOf ' ' + 1) + "\r") ]
    Assert.Equal(2, (blocks 0).Length)
    let seen = see typed
    for block in blocks 0 do
        contains block seen

// Without a terminal

[<Fact>]
let ``what is no terminal is read to its end`` () =
    let ran = Command.runIn examples (zoo.Replace('\r', '\n') + "print(norm(A) > 0)\n") []
    Assert.Equal({ Status = 0; Out = "true\n"; Error = "" }, ran)
    let wrong = Command.runIn examples "nope" []
    Assert.Equal(2, wrong.Status)
    Assert.StartsWith("<stdin>:1:1: error", wrong.Error)

[<Fact>]
let ``nothing at all gets the help`` () =
    let ran = Command.runIn examples "" []
    Assert.Equal(2, ran.Status)
    Assert.Contains("usage: tva", ran.Error)

[<Fact>]
let ``in a real terminal`` () =
    Assert.SkipWhen(OperatingSystem.IsWindows(), "tmux is a Unix matter")
    let info =
        Diagnostics.ProcessStartInfo("/bin/sh", [ Repository.path "tests/terminal.sh"; Command.executable ], RedirectStandardOutput = true, RedirectStandardError = true)
    use p = Unchecked.nonNull (Diagnostics.Process.Start info)
    let error = p.StandardError.ReadToEndAsync()
    let out = p.StandardOutput.ReadToEnd()
    p.WaitForExit()
    Assert.SkipWhen((p.ExitCode = 77), "tmux is missing")
    Assert.True((p.ExitCode = 0), out + error.Result)
    TestContext.Current.TestOutputHelper |> Option.ofObj |> Option.iter (fun o -> o.WriteLine out)
