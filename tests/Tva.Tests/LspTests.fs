/// An editor's side of the Language Server Protocol, spoken to `tva lsp` over its streams; and the grammar that colours scripts.
module Tva.Tests.LspTests

open System
open System.Collections.Generic
open System.Diagnostics
open System.IO
open System.Text
open System.Text.Json
open System.Text.RegularExpressions
open Tva.Dsl
open Tva.Dsl.Syntax
open Tva.Dsl.Typing
open Xunit

/// Frames by hand, as the protocol's text says: the other side uses a library.
type private Editor(folder: string) =
    let server = Command.start folder [ "lsp"; "--stdio" ]
    let mutable number = 0
    let told = Queue<JsonElement>()

    let write (bytes: byte[]) =
        let out = server.StandardInput.BaseStream
        out.Write bytes
        out.Flush()

    let frame (body: byte[]) = write (Array.append (Encoding.ASCII.GetBytes $"Content-Length: {body.Length}\r\n\r\n") body)

    let send (message: string) = frame (Encoding.UTF8.GetBytes message)

    let receive () =
        let input = server.StandardOutput.BaseStream
        let header = StringBuilder()
        while not (header.ToString().EndsWith "\r\n\r\n") do
            match input.ReadByte() with
            | -1 -> failwith $"the server hung up: {server.StandardError.ReadToEnd()}"
            | b -> header.Append(char b) |> ignore
        let length = Int32.Parse(Regex.Match(header.ToString(), "Content-Length: (\\d+)").Groups[1].Value)
        let bytes = Array.zeroCreate<byte> length
        input.ReadExactly(bytes, 0, length)
        JsonDocument.Parse(ReadOnlyMemory bytes).RootElement

    let json (value: obj) = JsonSerializer.Serialize value

    member _.Notify(name: string, parameters: obj) =
        send $"""{{"jsonrpc":"2.0","method":"{name}","params":{json parameters}}}"""

    member _.Ask(name: string, parameters: obj) : JsonElement =
        number <- number + 1
        send $"""{{"jsonrpc":"2.0","id":{number},"method":"{name}","params":{json parameters}}}"""
        let mutable answer = ValueNone
        while answer.IsNone do
            let m = receive ()
            match m.TryGetProperty "id" with
            | true, id when id.GetInt32() = number ->
                match m.TryGetProperty "error" with
                | true, e -> failwith (e.ToString())
                | _ -> answer <- ValueSome(m.GetProperty "result")
            | _ -> told.Enqueue m
        answer.Value

    /// Bytes as they are, and a message of these bytes.
    member _.Write(bytes: byte[]) = write bytes
    member _.Frame(body: byte[]) = frame body

    /// Code and id of the error that comes next.
    member _.Error() : int * string =
        let m = receive ()
        let e = m.GetProperty "error"
        Assert.DoesNotContain(" at Tva.", e.ToString())
        e.GetProperty("code").GetInt32(), m.GetProperty("id").GetRawText()

    /// Status and what was said, once the other side has ended.
    member _.Ended() =
        let ran = Command.finish server
        ran.Status, ran.Error

    /// The diagnostics that come next.
    member _.Diagnostics() : JsonElement list =
        let m = if told.Count > 0 then told.Dequeue() else receive ()
        Assert.Equal("textDocument/publishDiagnostics", m.GetProperty("method").GetString())
        List.ofSeq (m.GetProperty("params").GetProperty("diagnostics").EnumerateArray())

    member e.Leave() =
        e.Ask("shutdown", {| |}) |> ignore
        e.Notify("exit", {| |})
        server.StandardInput.Close()
        (Command.finish server).Status

    member _.HangUp() =
        server.StandardInput.Close()
        (Command.finish server).Status

    interface IDisposable with
        member _.Dispose() =
            if not server.HasExited then
                server.Kill()
            server.Dispose()

let private zoo = Repository.path "examples/zoo"
let private uri = Uri(Path.Combine(zoo, "unsaved.tva")).AbsoluteUri
let private document = {| uri = uri |}

let private place (text: string) (what: string) (after: int) =
    let offset = text.IndexOf what + after
    let before = text.Substring(0, offset)
    {| line = before.Split('\n').Length - 1; character = offset - (before.LastIndexOf '\n' + 1) |}

let private start (editor: Editor) (text: string) =
    let capabilities = editor.Ask("initialize", {| processId = null; capabilities = {| |} |}).GetProperty "capabilities"
    for name in [ "hoverProvider"; "definitionProvider" ] do
        Assert.True(capabilities.GetProperty(name).GetBoolean())
    editor.Notify("initialized", {| |})
    editor.Notify("textDocument/didOpen", {| textDocument = {| uri = uri; languageId = "tva"; version = 1; text = text |} |})

let private change (editor: Editor) (text: string) =
    editor.Notify("textDocument/didChange", {| textDocument = {| uri = uri; version = 2 |}; contentChanges = [| {| text = text |} |] |})

[<Fact>]
let ``diagnostics, hover, completion and definition`` () =
    use editor = new Editor(zoo)
    let text = "base = model(\"base.safetensors\")\n# λ𝔸 before\ntasks = family(\"tasks/*.safetensors\", base)\ngone = base + tsks.digits\n"
    start editor text
    let found = Assert.Single(editor.Diagnostics())
    Assert.Equal(1, found.GetProperty("severity").GetInt32())
    Assert.Contains("`tsks` is not defined here", found.GetProperty("message").GetString())
    Assert.Contains("tasks", found.GetProperty("message").GetString())
    let range = found.GetProperty "range"
    Assert.Equal((3, 14, 18), (range.GetProperty("start").GetProperty("line").GetInt32(), range.GetProperty("start").GetProperty("character").GetInt32(), range.GetProperty("end").GetProperty("character").GetInt32()))

    let right = text.Replace("tsks", "tasks") + "def twice(x: Delta): Delta = 2 * x\nmore = base + twice(tasks.digits)\nlast = { half = 0.5 * tasks.digits; base + half }\ntasks.\n"
    change editor (right.Replace("tasks.\n", ""))
    Assert.Empty(editor.Diagnostics())
    change editor right
    Assert.NotEmpty(editor.Diagnostics())

    let at what after = {| textDocument = document; position = place right what after |}
    let items = (editor.Ask("textDocument/completion", {| textDocument = document; position = place right "tasks.\n" 6 |})).GetProperty "items"
    let labels = [ for i in items.EnumerateArray() -> string (i.GetProperty("label").GetString()) ]
    Assert.Equal<string list>([ "arrows"; "count"; "digits"; "frequency"; "letters"; "position"; "shapes"; "stripes" ], labels)
    let edit = items[2].GetProperty("textEdit")
    Assert.Equal("digits", edit.GetProperty("newText").GetString())
    Assert.Equal(6, edit.GetProperty("range").GetProperty("start").GetProperty("character").GetInt32())

    let hover what after = (editor.Ask("textDocument/hover", at what after)).GetProperty("contents").GetProperty("value").GetString()
    Assert.Contains("family(", hover "family(" 2)
    Assert.Contains("base: Model: ", hover "base + tasks" 1)
    Assert.Contains("base: Model: ", hover "base = " 1)
    Assert.Contains("twice(x: Delta): Delta", hover "twice(tasks" 1)
    Assert.Equal(JsonValueKind.Null, (editor.Ask("textDocument/hover", at "λ" 1)).ValueKind)

    let definition what after =
        match editor.Ask("textDocument/definition", at what after) with
        | d when d.ValueKind = JsonValueKind.Null -> None
        | d ->
            let s = d.GetProperty("range").GetProperty "start"
            Some(string (d.GetProperty("uri").GetString()), s.GetProperty("line").GetInt32(), s.GetProperty("character").GetInt32())
    Assert.Equal(Some(uri, 0, 0), definition "base + tasks" 1)
    Assert.Equal(Some(uri, 2, 0), definition "tasks.digits" 1)
    Assert.Equal(Some(uri, 4, 4), definition "twice(tasks" 1)
    Assert.Equal(Some(uri, 4, 10), definition "2 * x" 4)
    Assert.Equal(Some(uri, 6, 9), definition "base + half" 8)
    Assert.Equal(None, definition "family(" 1)
    Assert.Equal(0, editor.Leave())

[<Fact>]
let ``included files, files that change, and texts that are closed`` () =
    use temp = new TempFolder()
    temp.Write("shared.tva", "# what others use\ndef twice(x: Delta): Delta = 2 * x\n") |> ignore
    let text = $"include \"shared.tva\"\nb = model(\"late.safetensors\")\ny = twice(raw(b))\n"
    let uri = Uri(temp.File "main.tva").AbsoluteUri
    use editor = new Editor(temp.Path)
    editor.Ask("initialize", {| processId = null; capabilities = {| |} |}) |> ignore
    editor.Notify("textDocument/didOpen", {| textDocument = {| uri = uri; languageId = "tva"; version = 1; text = text |} |})
    Assert.Contains("late.safetensors", (Assert.Single(editor.Diagnostics())).GetProperty("message").GetString())
    File.Copy(Path.Combine(zoo, "base.safetensors"), temp.File "late.safetensors")
    editor.Notify("textDocument/didSave", {| textDocument = {| uri = uri |} |})
    Assert.Empty(editor.Diagnostics())
    for what, after, line in [ "twice(raw", 1, 1; "shared.tva", 2, 0 ] do
        let d = editor.Ask("textDocument/definition", {| textDocument = {| uri = uri |}; position = place text what after |})
        Assert.Equal(Uri(temp.File "shared.tva").AbsoluteUri, d.GetProperty("uri").GetString())
        Assert.Equal(line, d.GetProperty("range").GetProperty("start").GetProperty("line").GetInt32())
    temp.Write("shared.tva", "def twice(x: Delta): Delta = 2 * z\n") |> ignore
    editor.Notify("textDocument/didSave", {| textDocument = {| uri = uri |} |})
    Assert.Contains("shared.tva:1:34", (editor.Diagnostics().Head).GetProperty("message").GetString())
    editor.Notify("textDocument/didClose", {| textDocument = {| uri = uri |} |})
    Assert.Empty(editor.Diagnostics())
    Assert.Equal(JsonValueKind.Null, (editor.Ask("textDocument/hover", {| textDocument = {| uri = uri |}; position = {| line = 0; character = 0 |} |})).ValueKind)
    Assert.Equal(1, editor.HangUp())

[<Fact>]
let ``the server takes strange texts and places`` () =
    use editor = new Editor(zoo)
    start editor "base = model(\"base.safetensors\")\nb = basis(family(\"tasks/*.safetensors\", base), error = 0.5)\n"
    // How many atoms there are would take a pass over files: nothing is said about it while it is written.
    Assert.Empty(editor.Diagnostics())
    for text in [ ""; "((((("; "\"open"; "\u0000\u0001\uFFFD"; String('(', 30_000); "x = \r\ny = 1" ] do
        change editor text
        editor.Diagnostics() |> ignore
        for name in [ "completion"; "hover"; "definition" ] do
            editor.Ask($"textDocument/{name}", {| textDocument = document; position = {| line = 900; character = 900 |} |}) |> ignore
    Assert.Equal(0, editor.Leave())

// The grammar that colours scripts in editors.

let private grammar = lazy (JsonDocument.Parse(File.ReadAllText(Repository.path "examples/editor/tva.tmLanguage.json")).RootElement)

let private matches (rule: string) =
    [ for p in (grammar.Value.GetProperty("repository").GetProperty(rule).GetProperty "patterns").EnumerateArray() do
          match p.TryGetProperty "match" with
          | true, m -> Regex(string (m.GetString()), RegexOptions.Multiline)
          | _ -> () ]

[<Fact>]
let ``the editor grammar has the lexer's keywords and the checker's kinds, and no others`` () =
    let words (rule: string) =
        [ for r in matches rule do
              for group in Regex.Matches(r.ToString(), "\\(([A-Za-z|]+)\\)") do
                  yield! group.Groups[1].Value.Split '|' ]
    Assert.Equal<string>(Words.keywords |> Set.toList, words "keywords" |> List.sort)
    Assert.Equal<string>(Kind.all |> List.map Kind.text |> List.sort, words "types" |> List.sort)

[<Fact>]
let ``the editor grammar colours what the lexer reads`` () =
    let texts = Directory.GetFiles(Repository.path "examples", "*.tva", SearchOption.AllDirectories) |> Array.map File.ReadAllText
    Assert.NotEmpty texts
    for text in texts do
        let tokens, _ = Lexer.tokenize { Number = 0; Name = ""; Folder = "."; Text = text }
        for t in tokens do
            let from (rule: string) = matches rule |> List.exists (fun r -> (let m = r.Match(text, t.Span.Start) in m.Success && m.Index = t.Span.Start && m.Length = t.Span.End - t.Span.Start))
            match t.Kind with
            | TokenKind.Keyword -> Assert.True(from "keywords", t.Text)
            | TokenKind.Number -> Assert.True(from "numbers", t.Text)
            | TokenKind.Comment
            | TokenKind.Doc -> Assert.True(from "comments", t.Text)
            | TokenKind.Name -> Assert.False(from "keywords", t.Text)
            | _ -> ()

let private bytes (text: string) = Encoding.UTF8.GetBytes text

[<Fact>]
let ``what is no message is answered with JSON-RPC's errors, and the next one is heard`` () =
    use editor = new Editor(zoo)
    let expect (code: int) (id: string) (body: byte[]) =
        editor.Frame body
        Assert.Equal((code, id), editor.Error())
    // JSON-RPC 2.0, section 5.1, and -32002 of the Language Server Protocol.
    expect -32700 "null" (bytes "{abc}")
    expect -32700 "null" [| 0x7Buy; 0x22uy; 0xFFuy; 0x22uy; 0x3Auy; 0x31uy; 0x7Duy |]
    expect -32600 "null" (bytes "[]")
    expect -32600 "null" (bytes "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\"}]")
    expect -32600 "7" (bytes "{\"jsonrpc\":\"2.0\",\"id\":7}")
    expect -32002 "8" (bytes "{\"jsonrpc\":\"2.0\",\"id\":8,\"method\":\"textDocument/hover\",\"params\":{}}")
    // Another header line, and names of any case.
    editor.Write(bytes "Content-Type: application/vscode-jsonrpc; charset=utf-8\r\ncontent-length: 3\r\n\r\n[1]")
    Assert.Equal((-32600, "null"), editor.Error())
    start editor "x = 1\n"
    Assert.Empty(editor.Diagnostics())
    let hover (position: string) = bytes $"""{{"jsonrpc":"2.0","id":"h","method":"textDocument/hover","params":{{"textDocument":{{"uri":"{uri}"}},"position":{position}}}}}"""
    for position in [ "{\"line\":1.5,\"character\":0}"; "{\"line\":2147483648,\"character\":0}"; "{\"line\":-1,\"character\":0}"; "{\"character\":0}"; "3" ] do
        expect -32602 "\"h\"" (hover position)
    expect -32602 "9" (bytes "{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"textDocument/hover\",\"params\":{\"a\":1}}")
    expect -32601 "10" (bytes "{\"jsonrpc\":\"2.0\",\"id\":10,\"method\":\"textDocument/nothing\",\"params\":{}}")
    Assert.Equal(JsonValueKind.Object, (editor.Ask("textDocument/hover", {| textDocument = document; position = {| line = 0; character = 0 |} |})).ValueKind)
    editor.Ask("shutdown", {| |}) |> ignore
    expect -32600 "\"h\"" (hover "{\"line\":0,\"character\":0}")
    editor.Notify("exit", {| |})
    Assert.Equal((0, ""), editor.Ended())

[<Theory>]
[<InlineData("Content-Length: x\r\n\r\n{}", "`Content-Length: x` is no length of a message")>]
[<InlineData("Content-Length: -5\r\n\r\n{}", "`Content-Length: -5` is no length of a message")>]
[<InlineData("nonsense\r\n\r\n", "`nonsense` is no line of a header")>]
[<InlineData("Content-Type: x\r\n\r\n{}", "a header has no Content-Length")>]
let ``a frame beyond repair ends it with a word`` (sent: string) (said: string) =
    use editor = new Editor(zoo)
    editor.Write(bytes sent)
    let status, error = editor.Ended()
    Assert.Equal(1, status)
    Assert.StartsWith($"tva: lsp: {said}; ", error)

[<Fact>]
let ``changes of parts are made in their order`` () =
    use editor = new Editor(zoo)
    let mutable text = "a = 1\r\nb = \"😀x\"\r\nc = nope\r\n"
    start editor text
    Assert.NotEmpty(editor.Diagnostics())
    let part (first: int * int) (last: int * int) (by: string) =
        let place (line, character) = {| line = line; character = character |}
        {| range = {| start = place first; ``end`` = place last |}; text = by |}
    editor.Notify(
        "textDocument/didChange",
        {| textDocument = {| uri = uri; version = 2 |}
           // The name in the last line; then x behind the emoji, which is two units; then what lies beyond a line's and the text's end.
           contentChanges = [| part (2, 4) (2, 8) "a + 1"; part (1, 7) (1, 8) "yz"; part (0, 99) (0, 99) "1"; part (99, 0) (99, 0) "d = c + a\n" |] |}
    )
    Assert.Empty(editor.Diagnostics())
    // a = 11, b = "😀yz", c = a + 1, d = c + a
    let value line character = (editor.Ask("textDocument/hover", {| textDocument = document; position = {| line = line; character = character |} |})).GetProperty("contents").GetProperty("value").GetString()
    Assert.Contains("11", value 0 0)
    Assert.Contains("12", value 2 0)
    Assert.Contains("23", value 3 0)
    let b = editor.Ask("textDocument/definition", {| textDocument = document; position = {| line = 3; character = 4 |} |})
    Assert.Equal(2, b.GetProperty("range").GetProperty("start").GetProperty("line").GetInt32())
    editor.Leave() |> ignore

[<Theory>]
[<InlineData("ab\ncd", 1, 1, 4)>]
[<InlineData("ab\r\ncd", 1, 1, 5)>]
[<InlineData("ab\rcd", 1, 1, 4)>]
[<InlineData("ab\r\rcd", 2, 0, 4)>]
[<InlineData("ab\r\n", 0, 9, 2)>]
[<InlineData("ab\r\n", 1, 0, 4)>]
[<InlineData("ab", 0, 2, 2)>]
let ``lines end with LF, CR LF or CR`` (text: string) (line: int) (character: int) (offset: int) =
    Assert.Equal(offset, Tva.Lsp.Position.toOffset text line character)
    let back = Tva.Lsp.Position.ofOffset text offset
    Assert.Equal((line, min character back.character), (back.line, back.character))
    Assert.Equal(text.Length, Tva.Lsp.Position.toOffset text 9 0)
