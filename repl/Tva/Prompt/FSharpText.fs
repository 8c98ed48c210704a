/// From F# as it is typed to its pieces, for colours, and to whether it asks for another line. By hand, so that keys never wait for the F#
/// compiler to be loaded.
module Tva.Prompt.FSharpText

open System
open Tva.Dsl.Services

let private keywords =
    set
        [ "abstract"; "and"; "as"; "assert"; "base"; "begin"; "class"; "default"; "delegate"; "do"; "done"; "downcast"; "downto"; "elif"; "else"; "end"
          "exception"; "extern"; "false"; "finally"; "fixed"; "for"; "fun"; "function"; "global"; "if"; "in"; "inherit"; "inline"; "interface"; "internal"
          "lazy"; "let"; "match"; "member"; "module"; "mutable"; "namespace"; "new"; "not"; "null"; "of"; "open"; "or"; "override"; "private"; "public"
          "rec"; "return"; "static"; "struct"; "then"; "to"; "true"; "try"; "type"; "upcast"; "use"; "val"; "void"; "when"; "while"; "with"; "yield" ]

/// What ends a line that goes on.
let private wordsMore =
    set
        [ "and"; "as"; "begin"; "do"; "elif"; "else"; "finally"; "for"; "fun"; "function"; "if"; "in"; "let"; "match"; "mutable"; "new"; "of"; "open"; "rec"
          "return"; "then"; "to"; "try"; "type"; "use"; "when"; "while"; "with"; "yield"; "module"; "lazy"; "not" ]

[<Struct>]
type private Piece = { From: int; Till: int; Kind: TokenClass; IsOpen: bool }

let private isOperator (c: char) = "!%&*+-./<=>?@^|~:,".Contains c

/// Where a text that opens at `at` ends, and whether it does.
let private endOf (text: string) (at: int) : struct (int * bool) =
    let raw = text.AsSpan(at).StartsWith "\"\"\""
    let verbatim = at > 0 && (text[at - 1] = '@' || (text[at - 1] = '$' && at > 1 && text[at - 2] = '@'))
    if raw then
        match text.IndexOf("\"\"\"", at + 3, StringComparison.Ordinal) with
        | -1 -> struct (text.Length, true)
        | i -> struct (i + 3, false)
    else
        let mutable i = at + 1
        while i < text.Length && text[i] <> '"' do
            i <- i + (if text[i] = '\\' && not verbatim then 2 else 1)
        if i >= text.Length then struct (text.Length, true) else struct (i + 1, false)

/// Comments nest.
let private endOfComment (text: string) (at: int) : struct (int * bool) =
    let mutable depth, i = 1, at + 2
    while i < text.Length && depth > 0 do
        if text.AsSpan(i).StartsWith "(*" then
            depth <- depth + 1
            i <- i + 2
        elif text.AsSpan(i).StartsWith "*)" then
            depth <- depth - 1
            i <- i + 2
        else i <- i + 1
    struct (min i text.Length, depth > 0)

let private isWordPart (c: char) = Char.IsLetterOrDigit c || c = '_' || c = '\''

/// A character's end, `'a'` or `'\n'`; none where the quote begins a type's name.
let private endOfCharacter (text: string) at =
    if at + 2 < text.Length && text[at + 1] <> '\\' && text[at + 2] = '\'' then Some(at + 3)
    elif at + 3 < text.Length && text[at + 1] = '\\' then
        match text.IndexOf('\'', at + 3) with
        | i when i > 0 && i - at < 12 -> Some(i + 1)
        | _ -> None
    else None

let private pieces (text: string) : Piece list =
    let found = ResizeArray<Piece>()
    let mutable i = 0
    let take till kind isOpen =
        found.Add { From = i; Till = till; Kind = kind; IsOpen = isOpen }
        i <- till
    let run (fits: char -> bool) =
        let mutable k = i + 1
        while k < text.Length && fits text[k] do
            k <- k + 1
        k
    while i < text.Length do
        let c = text[i]
        if Char.IsWhiteSpace c then i <- i + 1
        elif c = '"' then
            let struct (till, isOpen) = endOf text i
            take till TokenClass.Text isOpen
        elif (c = '$' || c = '@') && i + 1 < text.Length && (text[i + 1] = '"' || text[i + 1] = '@' || text[i + 1] = '$') then i <- i + 1
        elif text.AsSpan(i).StartsWith "(*" && not (text.AsSpan(i).StartsWith "(*)") then
            let struct (till, isOpen) = endOfComment text i
            take till TokenClass.Comment isOpen
        elif text.AsSpan(i).StartsWith "//" then
            take (match text.IndexOf('\n', i) with -1 -> text.Length | n -> n) TokenClass.Comment false
        elif c = '\'' then
            match endOfCharacter text i with
            | Some till -> take till TokenClass.Text false
            | None -> take (run isWordPart) TokenClass.Type false
        elif Char.IsDigit c then
            let number (k: char) = Char.IsLetterOrDigit k || k = '_' || k = '.'
            // `1..4` is no number with two points, and `1e-3` is one.
            let mutable k = i + 1
            while k < text.Length
                  && ((number text[k] && not (text[k] = '.' && k + 1 < text.Length && text[k + 1] = '.'))
                      || ((text[k] = '-' || text[k] = '+') && Char.ToLowerInvariant text[k - 1] = 'e' && not (text.AsSpan(i).StartsWith "0x"))) do
                k <- k + 1
            take k TokenClass.Number false
        elif Char.IsLetter c || c = '_' then
            let till = run isWordPart
            take till (if keywords.Contains(text.Substring(i, till - i)) then TokenClass.Keyword else TokenClass.Name) false
        elif isOperator c then take (run isOperator) TokenClass.Symbol false
        else take (i + 1) TokenClass.Symbol false
    List.ofSeq found

/// The pieces in order; white space is in none.
let classify (text: string) : Classified[] = [| for p in pieces text -> { Start = p.From; End = p.Till; Class = p.Kind } |]

/// Whether the text asks for another line: a bracket, text or comment is open, its last word or operator waits for something, or its last
/// line belongs to a block, which an empty line ends, as `;;` does. Also how deep the next line is indented, in steps of four.
let isOpen (text: string) : struct (bool * int) =
    let found = pieces text
    let mutable depth, wrong = 0, false
    for p in found do
        if p.Kind = TokenClass.Symbol then
            match text[p.From] with
            | '(' | '[' | '{' -> depth <- depth + 1
            | ')' | ']' | '}' ->
                depth <- depth - 1
                wrong <- wrong || depth < 0
            | _ -> ()
    let lastLine = text.Substring(text.LastIndexOf '\n' + 1)
    let indent = lastLine.Length - lastLine.TrimStart().Length
    let last = found |> List.tryFindBack (fun p -> p.Kind <> TokenClass.Comment)
    // `[<Struct>]` stands before what it is said of.
    let isAttribute = match last with Some p -> text[p.From] = ']' && p.From > 0 && text[p.From - 1] = '>' | None -> false
    let waits =
        match last with
        | Some p when p.Kind = TokenClass.Keyword -> wordsMore.Contains(text.Substring(p.From, p.Till - p.From))
        | Some p when p.Kind = TokenClass.Symbol && isOperator text[p.From] -> true
        | _ -> false
    let ended = text.TrimEnd().EndsWith ";;"
    let unfinished = found |> List.exists _.IsOpen || (not wrong && depth > 0) || waits || isAttribute
    let inBlock = text.Contains '\n' && not (String.IsNullOrWhiteSpace lastLine) && (indent > 0 || lastLine.StartsWith '|')
    struct (not ended && (unfinished || inBlock), indent / 4 + (if waits || depth > 0 && not inBlock then 1 else 0))
