module Tva.Dsl.Tests.FuzzTests

open System
open System.Text
open Xunit
open Tva.Dsl
open Tva.Dsl.Syntax
open Tva.Dsl.Tests.Trees

let private script =
    "# eight fine-tuned models\n\
     base   = model(\"zoo/base.safetensors\")\n\
     tasks  = family(\"zoo/tasks/*.safetensors\", base)\r\n\
     small  = tasks @basis(4, method = \"ae\")\n\
     ## Scales a task vector.\n\
     def scale(x: Delta, k: Scalar = 0.1): Delta = {\n    y = k * x # why\n    y - { z = 1; z } * x\n}\n\
     param λ = 1e-3\n\
     merged = base + 0.3 * sum(small) - 0.5 * small.\"digits\"[\"*.attn.*\" and not layers(0..5 by 2)]\n\
     c = { a: 1, \"*.attn.*\": [1, 2, 3], else: -2 ^ -1 }\n\
     assert cosine(small.digits, tasks.digits) > 0.9, \"badly \\u{3C4}\"\n\
     fs \"\"\"let x = 1\"\"\"\n\
     include \"other.tva\"; print(fs \"x\", true or false)\n\
     merged\n  |> scale(2)\n  |> save(\"out/merged.safetensors\")\n"

let private pieces =
    "( ) [ ] { } , ; : = == != < <= > >= + - * / ^ .. . @ |> by and or not def assert param include print true false fs \
     a b τ f( x. 1 0.5 1e \"t\" \" \"\"\" # ## else \\ $ && ! “ ” ' \n \n \r\n \t \000 😀 \u202E"
        .Split ' '

let private garbage (random: Random) length =
    let out = StringBuilder()
    while out.Length < length do
        match random.Next 10 with
        | 0 -> out.Append(char (random.Next 0x10000))
        | 1 -> out.Append(char (random.Next(32, 127)))
        | 2 -> out.Append ' '
        | 3 -> out.Append '\n'
        | _ -> out.Append(pieces[random.Next pieces.Length])
        |> ignore
    out.ToString()

let private mutate (random: Random) (text: string) =
    let mutable text = text
    for _ in 0 .. random.Next 6 do
        let at = random.Next(text.Length + 1)
        let length = min (random.Next 8) (text.Length - at)
        match random.Next 5 with
        | 0 -> text <- text.Remove(at, length)
        | 1 -> text <- text.Insert(at, pieces[random.Next pieces.Length])
        | 2 -> text <- text.Insert(random.Next(text.Length + 1), text.Substring(at, length))
        | 3 -> text <- text.Substring(0, max 1 at)
        | _ -> text <- text.Remove(at, length).Insert(at, garbage random 3)
    text

let rec private holdsError (e: Expr) =
    let arg (a: Arg) = holdsError a.Value
    match e.Node with
    | ExprNode.Error -> true
    | Number _
    | Text _
    | Bool _
    | Name _
    | FSharp _ -> false
    | List items -> List.exists holdsError items
    | Block(bindings, value) -> holdsError value || List.exists (snd >> holdsError) bindings
    | Record entries -> List.exists (snd >> holdsError) entries
    | Call(_, args) -> List.exists arg args
    | Pipe(_, source, _, args) -> holdsError source || List.exists arg args
    | Member(e, _)
    | Unary(_, e) -> holdsError e
    | Index(a, b)
    | Binary(_, a, b) -> holdsError a || holdsError b
    | Range(a, b, step) -> holdsError a || holdsError b || Option.exists holdsError step

let private statementHoldsError (s: Statement) =
    match s.Node with
    | ErrorStatement -> true
    | Let(_, e)
    | Param(_, e)
    | Expression e -> holdsError e
    | Def d -> holdsError d.Body || d.Params |> List.exists (fun p -> Option.exists holdsError p.Default)
    | Assert(e, m) -> holdsError e || Option.exists holdsError m
    | Print values -> List.exists holdsError values
    | Include _
    | FSharpDefinitions _ -> false

let private verify (text: string) =
    let within (span: Span) = span.Source = 0 && 0 <= span.Start && span.Start <= span.End && span.End <= text.Length
    // The message is made only for a failure: it costs more than the parse.
    let demand holds (what: unit -> string) = if not holds then Assert.Fail $"{what ()} in %A{text}"
    let tokens, _ = Lexer.tokenize (source text)
    let mutable place = 0
    for token in tokens do
        demand (within token.Span && place <= token.Span.Start) (fun () -> $"token %A{token}")
        place <- token.Span.End
    let parsed, found = parse text
    for d in found do
        demand (within d.Span) (fun () -> $"%A{d}")
    for s in parsed do
        demand (within s.Span) (fun () -> $"%A{s}")
    Render.diagnostics [ source text ] false (List.truncate 100 found) |> ignore
    if List.exists statementHoldsError parsed then
        demand (not (errors found).IsEmpty) (fun () -> "an error that is not reported")
    elif (errors found).IsEmpty then
        let printed = Printer.script parsed
        let again, rest = parse printed
        demand (errors rest).IsEmpty (fun () -> $"%A{rest} in %A{printed}")
        demand (List.map stripStatement parsed = List.map stripStatement again) (fun () -> $"another tree from %A{printed}")
    found.Length

[<Fact>]
let ``the script is right`` () = Assert.Empty(snd (parse script))

[<Fact>]
let ``a mutated script never breaks the parser`` () =
    let random = Random 1
    for _ in 1..3000 do
        verify (mutate random script) |> ignore

[<Fact>]
let ``every beginning of a script is read`` () =
    for length in 0 .. script.Length do
        // An open text, bracket or operator; never an avalanche.
        let found = verify (script.Substring(0, length))
        Assert.True(found <= 3, $"{found} findings for the first {length} characters")

[<Fact>]
let ``a missing character is few findings`` () =
    for i in 0 .. script.Length - 1 do
        let found = verify (script.Remove(i, 1))
        Assert.True(found <= 6, $"{found} findings without character {i} ({script[i]})")

[<Fact>]
let ``garbage never breaks the parser`` () =
    let random = Random 2
    for _ in 1..3000 do
        verify (garbage random (random.Next 200)) |> ignore

[<Fact>]
let ``long garbage is read in one go`` () =
    let random = Random 3
    for _ in 1..3 do
        verify (garbage random 100_000) |> ignore
    for piece in [ "$"; ")"; "\n"; "\""; "'"; "; "; "\n("; " a ( b\n"; "\\"; string (char 0xD83D); "{ a\n"; "f(x y\n"; "1e "; "“"; ";(" ] do
        verify (String.replicate (100_000 / piece.Length) piece) |> ignore
