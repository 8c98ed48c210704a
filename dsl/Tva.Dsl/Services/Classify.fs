/// From a text to what its pieces are, for colours: the lexer's tokens, told apart a little further by their neighbours.
namespace Tva.Dsl.Services

open Tva.Dsl
open Tva.Dsl.Syntax
open Tva.Dsl.Typing

[<RequireQualifiedAccess>]
type TokenClass =
    | Keyword
    | Number
    | Text
    | Comment
    | Name
    /// A name that is called or defined as a function.
    | Function
    /// The name of an argument, a parameter or a record's key.
    | Option
    /// What stands behind a dot.
    | Member
    | Type
    | Symbol
    | Invalid

/// A piece of the text: offsets in UTF-16 units, end excluded.
[<Struct>]
type Classified = { Start: int; End: int; Class: TokenClass }

module Classify =

    let internal source (text: string) : SourceText = { Number = -1; Name = ""; Folder = "."; Text = text }

    let internal isLayout (t: Token) =
        match t.Kind with
        | TokenKind.Comment
        | TokenKind.Doc
        | TokenKind.Newline -> true
        | _ -> false

    let private classOf (tokens: Token[]) (depth: int[]) i =
        let t = tokens[i]
        let near step =
            let mutable k = i + step
            while k >= 0 && k < tokens.Length && isLayout tokens[k] do
                k <- k + step
            if k >= 0 && k < tokens.Length then ValueSome tokens[k] else ValueNone
        let isSymbol (symbol: string) (t: Token voption) =
            match t with
            | ValueSome t -> t.Kind = TokenKind.Symbol && t.Text = symbol
            | ValueNone -> false
        match t.Kind with
        | TokenKind.Keyword -> Some TokenClass.Keyword
        | TokenKind.Number -> Some TokenClass.Number
        | TokenKind.Text
        | TokenKind.RawText -> Some TokenClass.Text
        | TokenKind.Comment
        | TokenKind.Doc -> Some TokenClass.Comment
        | TokenKind.Invalid -> Some TokenClass.Invalid
        | TokenKind.Symbol -> Some TokenClass.Symbol
        | TokenKind.Name ->
            let before, after = near -1, near 1
            if isSymbol "." before then Some TokenClass.Member
            elif isSymbol "(" after || isSymbol "@" before || isSymbol "|>" before then Some TokenClass.Function
            elif isSymbol ":" before && (Kind.parse t.Text).IsSome then Some TokenClass.Type
            elif depth[i] > 0 && (isSymbol "=" after || isSymbol ":" after) then Some TokenClass.Option
            else Some TokenClass.Name
        | TokenKind.Newline
        | TokenKind.End -> None

    /// The pieces in order; white space is in none.
    let classify (text: string) : Classified[] =
        let tokens, _ = Lexer.tokenize (source text)
        let depth = Array.zeroCreate tokens.Length
        let mutable d = 0
        for i in 0 .. tokens.Length - 1 do
            if tokens[i].Kind = TokenKind.Symbol then
                match tokens[i].Text with
                | "(" | "[" | "{" -> d <- d + 1
                | ")" | "]" | "}" -> d <- max 0 (d - 1)
                | _ -> ()
            depth[i] <- d
        [| for i in 0 .. tokens.Length - 1 do
               match classOf tokens depth i with
               | Some c when tokens[i].Span.End > tokens[i].Span.Start -> { Start = tokens[i].Span.Start; End = tokens[i].Span.End; Class = c }
               | _ -> () |]

    let private opensMore = set [ "|>"; "<="; ">="; "=="; "!="; ".."; ","; ":"; "="; "+"; "-"; "*"; "/"; "^"; "@"; "<"; ">"; "." ]
    let private wordsMore = set [ "and"; "or"; "not"; "def"; "param"; "include"; "assert"; "fs" ]

    /// Whether the text asks for another line: a bracket or a raw text is open, or an operator waits for its right side. Also how deep
    /// brackets are open.
    let isOpen (text: string) : struct (bool * int) =
        let tokens, found = Lexer.tokenize (source text)
        let mutable depth = 0
        let mutable wrong = false
        for t in tokens do
            if t.Kind = TokenKind.Symbol then
                match t.Text with
                | "(" | "[" | "{" -> depth <- depth + 1
                | ")" | "]" | "}" ->
                    depth <- depth - 1
                    // No further line closes what was never opened.
                    wrong <- wrong || depth < 0
                | _ -> ()
        let has (d: Diagnostic) = found |> List.exists (fun f -> f.Code = d.Code)
        let raw = has (SyntaxDiagnostics.unterminatedRaw Span.None)
        // Nor does one close a text that its own line does not.
        wrong <- wrong || has (SyntaxDiagnostics.unterminatedText Span.None)
        let last = tokens |> Array.tryFindBack (fun t -> not (isLayout t) && t.Kind <> TokenKind.End)
        let waits =
            match last with
            | Some { Kind = TokenKind.Symbol; Text = s } -> opensMore.Contains s
            | Some { Kind = TokenKind.Keyword; Text = s } -> wordsMore.Contains s
            | _ -> false
        struct (raw || (not wrong && (depth > 0 || waits)), max 0 depth)
