module Tva.Tests.CommandTests

open System
open System.IO
open System.Threading
open Tva
open Xunit

let private zoo = Repository.path "examples/zoo"

[<Fact>]
let ``eval prints the value`` () =
    let ran = Command.eval "1 + 1"
    Assert.Equal({ Status = 0; Out = "2\n"; Error = "" }, ran)

[<Fact>]
let ``a script can come from the standard input`` () =
    let ran = Command.runIn (Repository.path "examples") "print(norm(raw(model(\"zoo/base.safetensors\"))) > 0)" [ "-" ]
    Assert.Equal({ Status = 0; Out = "true\n"; Error = "" }, ran)

[<Fact>]
let ``paths are relative to the script, not to the working folder`` () =
    use temp = new TempFolder()
    File.Copy(Path.Combine(zoo, "base.safetensors"), temp.File "m.safetensors")
    temp.Write("sub/script.tva", "model(\"../m.safetensors\") |> save(\"copy.safetensors\")") |> ignore
    let ran = Command.runIn temp.Path "" [ "run"; "sub/script.tva" ]
    Assert.Equal(0, ran.Status)
    Assert.True(File.Exists(temp.File "sub/copy.safetensors"))
    Assert.StartsWith("saved sub/copy.safetensors (", ran.Error.Replace('\\', '/'))

[<Fact>]
let ``a script's name alone runs it`` () =
    use temp = new TempFolder()
    temp.Write("a.tva", "print(1)") |> ignore
    Assert.Equal("1\n", (Command.runIn temp.Path "" [ "a.tva" ]).Out)

[<Fact>]
let ``check says ok on stderr`` () =
    let ran = Command.run [ "check"; "examples/quickstart.tva"; "--allow-run" ]
    Assert.Equal({ Status = 0; Out = ""; Error = "examples/quickstart.tva: ok\n" }, ran)

[<Fact>]
let ``check computes nothing and writes nothing`` () =
    use temp = new TempFolder()
    File.Copy(Path.Combine(zoo, "base.safetensors"), temp.File "m.safetensors")
    temp.Write("a.tva", "model(\"m.safetensors\") |> save(\"out.safetensors\")\nassert 1 > 2") |> ignore
    for words in [ [ "check"; "a.tva" ]; [ "plan"; "a.tva" ]; [ "run"; "a.tva"; "--dry-run" ] ] do
        let ran = Command.runIn temp.Path "" words
        Assert.Equal(0, ran.Status)
        Assert.Equal(2, Directory.GetFiles(temp.Path).Length)

[<Fact>]
let ``a dry run prints the plan`` () =
    let script = [ "examples/ties.tva"; "--allow-run" ]
    let plan = Command.run ("plan" :: script)
    let dry = Command.run ("run" :: script @ [ "--dry-run" ])
    Assert.NotEqual<string>("", plan.Out)
    Assert.Equal(plan, dry)

[<Fact>]
let ``a plan is JSON where that is asked for`` () =
    let plan = Command.run [ "plan"; "examples/ties.tva"; "--allow-run"; "--json" ]
    Assert.Equal(0, plan.Status)
    use document = System.Text.Json.JsonDocument.Parse plan.Out
    Assert.Equal(System.Text.Json.JsonValueKind.Array, document.RootElement.GetProperty("results").[0].ValueKind)

[<Theory>]
[<InlineData("run", "nowhere.tva", "nowhere.tva: doesn't exist")>]
[<InlineData("run", "examples/quikstart.tva", "did you mean quickstart.tva?")>]
[<InlineData("run", "examples/quickstart", "did you mean quickstart.tva?")>]
[<InlineData("run", "examples", "is a folder, not a script")>]
[<InlineData("run", "examples/zoo/base.safetensors", "is no UTF-8 text")>]
[<InlineData("inspect", "examples/zoo/bass.safetensors", "base.safetensors")>]
let ``a file that is not there or not right is a fault`` (command: string, path: string, part: string) =
    let ran = Command.run [ command; path ]
    Assert.Equal(1, ran.Status)
    Assert.Equal("", ran.Out)
    Assert.StartsWith("tva: ", ran.Error)
    Assert.Contains(part, ran.Error)

[<Fact>]
let ``a script in UTF-16 is read with its mark and is one fault without`` () =
    use temp = new TempFolder()
    File.WriteAllText(temp.File "marked.tva", "print(1 + 1)\n", Text.Encoding.Unicode)
    File.WriteAllBytes(temp.File "bare.tva", Text.Encoding.Unicode.GetBytes "print(1 + 1)\n")
    Assert.Equal("2\n", (Command.runIn temp.Path "" [ "run"; "marked.tva" ]).Out)
    let ran = Command.runIn temp.Path "" [ "run"; "bare.tva" ]
    Assert.Equal(1, ran.Status)
    Assert.Equal("tva: bare.tva: is no text, it has NUL characters; save the script as UTF-8; tva inspect lists a checkpoint's tensors\n", ran.Error)

[<Fact>]
let ``a target that can't be written is a fault and leaves nothing`` () =
    use temp = new TempFolder()
    temp.Write("file", "in the way") |> ignore
    let source = Path.Combine(zoo, "base.safetensors").Replace('\\', '/')
    let ran = Command.runIn temp.Path "" [ "eval"; $"model(\"{source}\") |> save(\"file/out.safetensors\")" ]
    Assert.Equal(1, ran.Status)
    Assert.StartsWith("tva: ", ran.Error)
    Assert.Contains("file", ran.Error)
    Assert.Equal<string[]>([| temp.File "file" |], Directory.GetFileSystemEntries temp.Path)

[<Fact>]
let ``strict makes a warning an error`` () =
    let text = "print(norm(raw(model(\"examples/zoo/base.safetensors\")[\"nothing.*\"])))"
    let loose = Command.run [ "eval"; text ]
    let strict = Command.run [ "eval"; text; "--strict" ]
    Assert.Contains("warning TVA0506", loose.Error)
    Assert.Equal(2, strict.Status)
    Assert.Contains("error TVA0506", strict.Error)

/// A model of one tensor, by hand.
let private one (path: string) (values: float32 list) =
    let header = $"{{\"w\":{{\"dtype\":\"F32\",\"shape\":[{values.Length}],\"data_offsets\":[0,{4 * values.Length}]}}}}"
    let header = Text.Encoding.UTF8.GetBytes header
    use out = new BinaryWriter(File.Create path)
    out.Write(uint64 header.Length)
    out.Write header
    values |> List.iter out.Write

[<Fact>]
let ``an input that is not finite is told, and strictly a fault`` () =
    use temp = new TempFolder()
    one (temp.File "m.safetensors") [ 1.0f; nanf; infinityf; 2.0f ]
    let words = [ "eval"; "model(\"m.safetensors\") |> save(\"copy.safetensors\")" ]
    let loose = Command.runIn temp.Path "" words
    Assert.Equal(0, loose.Status)
    Assert.Contains("warning: ", loose.Error)
    Assert.Contains("tensor `w` has 1 NaN and 1 infinite elements", loose.Error)
    File.Delete(temp.File "copy.safetensors")
    let strict = Command.runIn temp.Path "" (words @ [ "--strict" ])
    Assert.Equal(1, strict.Status)
    Assert.Contains("m.safetensors", strict.Error)
    Assert.False(File.Exists(temp.File "copy.safetensors"))

[<Fact>]
let ``cancelled work ends with 130 and leaves nothing`` () =
    use temp = new TempFolder()
    use cancel = new CancellationTokenSource()
    cancel.Cancel()
    use out = new StringWriter()
    use error = new StringWriter()
    let host = { Command.host temp.Path "" out error with Cancel = cancel.Token }
    let source = Path.Combine(zoo, "base.safetensors").Replace('\\', '/')
    let status = Tva.Command.main host [| "eval"; $"model(\"{source}\") |> save(\"out.safetensors\")" |]
    Assert.Equal(130, status)
    Assert.Equal("tva: cancelled: nothing was saved\n", error.ToString())
    Assert.Empty(Directory.GetFileSystemEntries temp.Path)

[<Fact>]
let ``an assertion tells both sides`` () =
    let ran = Command.eval "x = 2\nassert x + 1 < 2, \"too large\""
    Assert.Equal(3, ran.Status)
    Assert.Equal("", ran.Out)
    Assert.Contains("too large", ran.Error)
    Assert.Contains("x + 1 = 3", ran.Error)

[<Fact>]
let ``very deep texts are no crash`` () =
    let deep = Command.eval (String('(', 100_000) + "1" + String(')', 100_000))
    Assert.InRange(deep.Status, 0, 2)
    let chain = Command.eval (String.Join(" + ", Seq.replicate 15_000 "1"))
    Assert.InRange(chain.Status, 0, 2)

[<Fact>]
let ``ops lists every function`` () =
    let ran = Command.run [ "ops" ]
    Assert.Equal(0, ran.Status)
    for e in Tva.Dsl.Help.statements @ Tva.Dsl.Help.entries.Value do
        Assert.Contains($"\n  {e.Name} ", ran.Out)
    for line in ran.Out.Split '\n' do
        Assert.InRange(line.Length, 0, 132)

[<Fact>]
let ``ops tells all about one`` () =
    let ran = Command.run [ "ops"; "ties" ]
    Assert.Equal(0, ran.Status)
    Assert.Contains("ties(F: Family, density = 0.2", ran.Out)
    Assert.Contains("2306.01708", ran.Out)
    Assert.Contains("example: ", ran.Out)

[<Fact>]
let ``ops suggests`` () =
    let ran = Command.run [ "ops"; "tees" ]
    Assert.Equal(2, ran.Status)
    Assert.Equal("tva: there is no function tees; did you mean ties?\n", ran.Error)
    // As close as each other.
    Assert.Equal("tva: there is no function dela; did you mean delta or della?\n", (Command.run [ "ops"; "dela" ]).Error)
    Assert.Equal("tva: there is no function frobnicate; tva ops lists them all\n", (Command.run [ "ops"; "frobnicate" ]).Error)
