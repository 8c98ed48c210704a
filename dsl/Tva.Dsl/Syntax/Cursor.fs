/// A place in the tokens, with what the parser must know to report once and go on: open brackets, line ends, failure.
namespace Tva.Dsl.Syntax

open System.Collections.Generic
open Tva.Dsl

/// After `Fail` the cursor shows the end of the text, so every loop of the parser ends and nothing more is reported, until
/// a bracket, a block's line or a statement recovers: it skips to where it can go on and clears the failure.
type internal Cursor(source: SourceText, all: Token[], found: List<Diagnostic>) =

    // Comments are not there for the parser; places in `all` are kept for the documentation above a `def`.
    let places =
        [| for i in 0 .. all.Length - 1 do
               match all[i].Kind with
               | TokenKind.Comment
               | TokenKind.Doc
               | TokenKind.Invalid -> ()
               | _ -> i |]

    let brackets = Stack<struct (Token * string * bool)>()
    let mutable pos = 0
    let origin = { Source = source.Number; Start = 0; End = 0 }
    let mutable previous = { Kind = TokenKind.Newline; Span = origin; Text = ""; Value = 0.0 }
    let mutable failed = false
    let mutable lines = true
    let mutable depth = 0

    let at i = all[places[i]]
    let isSymbol (token: Token) (symbol: string) = token.Kind = TokenKind.Symbol && token.Text = symbol
    let isCloser (token: Token) = token.Kind = TokenKind.Symbol && (token.Text = ")" || token.Text = "]" || token.Text = "}")
    let isOpener (token: Token) = token.Kind = TokenKind.Symbol && (token.Text = "(" || token.Text = "[" || token.Text = "{")

    let skipLines i =
        let mutable i = i
        while (at i).Kind = TokenKind.Newline do
            i <- i + 1
        i

    let here () = if lines then pos else skipLines pos

    /// Whether the line end at i is followed by what can only be a new statement: a statement's keyword, or text at the
    /// left edge that neither closes nor continues anything.
    let startsStatement i =
        let next = at (skipLines i)
        let edge = next.Span.Start = 0 || source.Text[next.Span.Start - 1] = '\n'
        match next.Kind, next.Text with
        | TokenKind.Keyword, ("def" | "assert" | "param" | "include" | "print") -> true
        | TokenKind.Symbol, ("|>" | "@" | ")" | "]" | "}") -> false
        | _ -> edge

    /// Whether characters without a meaning stand between the token before and this one: the error was theirs.
    let afterInvalid i =
        let mutable j = places[i] - 1
        while j >= 0 && (all[j].Kind = TokenKind.Comment || all[j].Kind = TokenKind.Newline || all[j].Kind = TokenKind.Doc) do
            j <- j - 1
        j >= 0 && all[j].Kind = TokenKind.Invalid

    member val Height = 0 with get, set
    member _.Failed = failed
    member _.Previous = previous
    /// Whether line ends mean something here: not inside `(` and `[`.
    member _.Lines = lines

    member _.Current =
        if failed then { at (places.Length - 1) with Span = { previous.Span with Start = previous.Span.End } } else at (here ())

    member this.Is symbol = isSymbol this.Current symbol
    member this.IsKeyword word = (let t = this.Current in t.Kind = TokenKind.Keyword && t.Text = word)

    /// The n-th token after the current one, line ends counted where they mean something.
    member _.Peek n =
        let mutable i = here ()
        for _ in 1..n do
            if (at i).Kind <> TokenKind.End then
                i <- if lines then i + 1 else skipLines (i + 1)
        at i

    /// Whether the n-th token after the current one is the symbol.
    member this.PeekIs(n, symbol) = isSymbol (this.Peek n) symbol

    member _.Advance() =
        if not failed then
            let i = here ()
            previous <- at i
            if previous.Kind <> TokenKind.End then
                pos <- i + 1

    member this.Take symbol = (let taken = this.Is symbol in (if taken then this.Advance()); taken)

    member _.SkipLines() = if not failed then pos <- skipLines pos

    /// Steps over the line end if the next line goes on with one of the symbols.
    member _.Continue(symbol: string) =
        if not failed && lines && (at pos).Kind = TokenKind.Newline then
            let next = skipLines pos
            if isSymbol (at next) symbol then
                pos <- next

    /// After a binary operator or `=` the line goes on, unless the next one is clearly a statement of its own.
    member _.ContinueAfterOperator() =
        if not failed && lines then
            let next = skipLines pos
            let statement =
                match (at next).Kind with
                | TokenKind.Keyword -> startsStatement pos && next > pos
                | TokenKind.Name -> next > pos && isSymbol (at (next + 1)) "="
                | _ -> false
            if not statement && (at next).Kind <> TokenKind.End then
                pos <- next

    /// Reports and goes on as if it were right.
    member _.Report(finding: Diagnostic) =
        if not failed then
            found.Add finding

    /// The same for what the token here shows, unless characters without a meaning before it are to blame.
    member _.ReportHere(finding: Diagnostic) =
        if not failed && not (afterInvalid (here ())) then
            found.Add finding

    member _.Fail(finding: Diagnostic) =
        if not failed then
            if not (afterInvalid (here ())) then
                found.Add finding
            failed <- true

    /// What stands here, for a message, and where: at a line's end just behind its last token.
    member this.Found =
        let token = this.Current
        match token.Kind with
        | TokenKind.Newline -> struct ({ previous.Span with Start = previous.Span.End }, "the end of the line")
        | TokenKind.End -> struct ({ previous.Span with Start = previous.Span.End }, "the end of the text")
        | TokenKind.Text
        | TokenKind.RawText -> struct (token.Span, "a text")
        | TokenKind.Number -> struct (token.Span, "a number")
        | _ -> struct (token.Span, $"`{token.Text}`")

    member this.FailUnexpected(wanted: string, help: string option) =
        let struct (span, what) = this.Found
        this.Fail(SyntaxDiagnostics.unexpected span wanted what help)

    /// Whether what stands here begins a statement on a new line: a bracket was left open.
    member _.AtNewStatement =
        not failed
        && (let next = skipLines pos
            (at next).Kind = TokenKind.End
            || (next > 0 && (at (next - 1)).Kind = TokenKind.Newline && startsStatement (next - 1)))

    member _.InBracket = brackets.Count > 0

    member this.FailUnclosed() =
        let struct (opener, closer, _) = brackets.Peek()
        this.Fail(SyntaxDiagnostics.unclosed opener.Span opener.Text closer)

    /// One level deeper; false, and reported, where the text nests deeper than recursion can follow.
    member this.Enter() =
        depth <- depth + 1
        if depth > 200 then
            this.Fail(SyntaxDiagnostics.tooDeep this.Current.Span)
        not failed

    member _.Leave() = depth <- depth - 1

    member this.Open(closer: string) =
        let opener = this.Current
        this.Advance()
        brackets.Push(struct (opener, closer, lines))
        lines <- (closer = "}")

    /// Inside the innermost bracket: skips to `,` or a line's end at its level, or to its closer. False, and still failed, if a
    /// new statement or an outer bracket's closer comes first.
    member _.Recover() =
        let struct (_, closer, _) = brackets.Peek()
        let mutable i = pos
        let mutable level = 0
        let mutable stop = false
        while not stop do
            let token = at i
            if token.Kind = TokenKind.End || (token.Kind = TokenKind.Newline && startsStatement i) then
                stop <- true
            elif
                level = 0
                && (isSymbol token ","
                    || isSymbol token closer
                    || (lines && (token.Kind = TokenKind.Newline || isSymbol token ";")))
            then
                failed <- false
                stop <- true
            elif level = 0 && isCloser token && brackets |> Seq.exists (fun struct (_, outer, _) -> outer = token.Text) then
                stop <- true
            else
                if isOpener token then level <- level + 1
                elif isCloser token && level > 0 then level <- level - 1
                i <- i + 1
        pos <- i
        not failed

    /// Expects the innermost bracket's closer and leaves the bracket, whatever was found.
    member this.Close(wanted: string, help: string option) =
        let struct (_, closer, outside) = brackets.Peek()
        if lines then
            this.Continue closer
        if not failed && not (this.Take closer) then
            if this.AtNewStatement then
                this.FailUnclosed()
            else
                this.FailUnexpected((if wanted = "" then $"`{closer}`" else wanted), help)
        while failed && this.Recover() do
            if not (this.Take closer) then
                this.Advance()
                failed <- true
        brackets.Pop() |> ignore
        lines <- outside

    /// Between statements: skips to the end of the line or `;`, over brackets that open in what is skipped.
    member _.RecoverStatement() =
        let mutable level = 0
        let mutable i = pos
        let mutable stop = false
        while not stop do
            let token = at i
            match token.Kind with
            | TokenKind.End -> stop <- true
            | TokenKind.Newline when level = 0 || startsStatement i -> stop <- true
            | TokenKind.Symbol when token.Text = ";" && level = 0 -> stop <- true
            | _ ->
                if isOpener token then level <- level + 1
                elif isCloser token && level > 0 then level <- level - 1
                i <- i + 1
        pos <- i
        failed <- false

    /// Whether a `=` stands in this statement outside brackets.
    member _.HasEquals() =
        let mutable level = 0
        let mutable i = pos
        let mutable result = ValueNone
        while result.IsNone do
            let token = at i
            if token.Kind = TokenKind.End || (level = 0 && (token.Kind = TokenKind.Newline || isSymbol token ";")) then
                result <- ValueSome false
            elif token.Kind = TokenKind.Newline && startsStatement i then
                result <- ValueSome false
            elif level = 0 && isSymbol token "=" then
                result <- ValueSome true
            else
                if isOpener token then level <- level + 1
                elif isCloser token then level <- max 0 (level - 1)
                i <- i + 1
        result.Value

    /// The `##` lines right above the current token, without the marks.
    member _.DocAbove() =
        let mutable i = places[here ()] - 1
        let mutable doc = []
        while i >= 1 && all[i].Kind = TokenKind.Newline && all[i - 1].Kind = TokenKind.Doc do
            let line = all[i - 1].Text.Substring 2
            doc <- (if line.StartsWith ' ' then line.Substring 1 else line).TrimEnd() :: doc
            i <- i - 2
        String.concat "\n" doc
