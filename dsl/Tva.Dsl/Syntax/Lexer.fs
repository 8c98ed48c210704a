/// From a text to its tokens; what cannot be read is reported and stepped over, so there is always a whole array.
namespace Tva.Dsl.Syntax

open System
open System.Globalization
open System.Text
open Tva.Dsl

module private Slips =

    /// What people write out of habit from other languages or their keyboard, with what is meant; longer ones first.
    let symbols =
        [ "===", "=="
          "!==", "!="
          "&&", "and"
          "||", "or"
          "**", "^"
          "<>", "!="
          "&", "and"
          "!", "not"
          "×", "*"
          "·", "*"
          "∗", "*"
          "÷", "/"
          "−", "-"
          "–", "-"
          "≤", "<="
          "≥", ">="
          "≠", "!="
          "∧", "and"
          "∨", "or"
          "¬", "not"
          "…", ".." ]

    let help (rune: Rune) =
        match string rune with
        | "|" -> Some "a pipe is `|>`, a choice is `or`"
        | "%" -> Some "a remainder is `a - b * floor(a / b)`"
        | "\\" -> Some "a line goes on after an operator or while a bracket is open"
        | "'" -> Some "a text stands in `\"...\"`; names have no primes"
        | "²" -> Some "write `^ 2`"
        | "³" -> Some "write `^ 3`"
        | _ -> None

    let openQuotes = "“”„«‘’'"
    let closeQuotes = "“”»‘’'\""

/// One pass over one text.
type private Scanner(source: SourceText) =
    let text = source.Text
    let tokens = ResizeArray<Token>()
    let found = ResizeArray<Diagnostic>()
    let mutable pos = 0

    let symbols =
        "|> <= >= == != .. ( ) [ ] { } , ; : = . + - * / ^ @ < >".Split ' ' |> List.ofArray

    member _.Tokens = tokens
    member _.Found = found

    member _.Peek offset = if pos + offset < text.Length then text[pos + offset] else '\000'
    member _.Starts(word: string) = String.CompareOrdinal(text, pos, word, 0, word.Length) = 0
    member _.Done = pos >= text.Length
    member _.From start = { Source = source.Number; Start = start; End = pos }

    member this.Add(kind, start, meant, value) =
        tokens.Add { Kind = kind; Span = this.From start; Text = meant; Value = value }

    /// The character at the place, if it is a whole one.
    member _.RuneAt at =
        let mutable rune = Rune()
        if at < text.Length && Rune.TryGetRuneAt(text, at, &rune) then ValueSome rune else ValueNone

    member this.IsPartAt at =
        match this.RuneAt at with
        | ValueSome rune -> Words.isPart rune
        | ValueNone -> false

    member this.SkipParts() =
        while this.IsPartAt pos do
            pos <- pos + (if Char.IsHighSurrogate text[pos] then 2 else 1)

    member this.SkipDigits() =
        // `1_000`, as in F# and Python.
        while Char.IsAsciiDigit(this.Peek 0) || (this.Peek 0 = '_' && Char.IsAsciiDigit(this.Peek 1)) do
            pos <- pos + 1

    member this.Word() =
        let start = pos
        this.SkipParts()
        let word = text.Substring(start, pos - start)
        this.Add((if Words.isKeyword word then TokenKind.Keyword else TokenKind.Name), start, word, 0.0)

    member this.Number() =
        let start = pos
        let mutable help = ""
        if this.Peek 0 = '.' then
            help <- "a digit stands before the point, as in `0.5`"
        this.SkipDigits()
        if this.Peek 0 = '.' && Char.IsAsciiDigit(this.Peek 1) then
            pos <- pos + 1
            this.SkipDigits()
        if this.Peek 0 = 'e' || this.Peek 0 = 'E' then
            let signed = if this.Peek 1 = '+' || this.Peek 1 = '-' then 2 else 1
            if Char.IsAsciiDigit(this.Peek signed) then
                pos <- pos + signed
                this.SkipDigits()
            elif signed = 2 || not (this.IsPartAt(pos + 1)) then
                pos <- pos + signed
                help <- "digits follow the `e`, as in `1e-3`"
        if help = "" && this.IsPartAt pos then
            help <- "a name cannot begin with a digit; a product is written `2 * x`"
        elif help = "" && this.Peek 0 = '.' && Char.IsAsciiDigit(this.Peek 1) then
            help <- "a number has one point"
        elif help = "" && this.Peek 0 = '.' then
            // `1..2` is a range, `1.x` and `1."x"` a member, which is for the checker to refuse.
            let next = this.Peek 1
            if next <> '.' && next <> '"' && not (this.IsPartAt(pos + 1)) then
                pos <- pos + 1
                help <- "digits follow the point, as in `1.0`"
        let whole = pos
        if help <> "" then
            this.SkipParts()
            while this.Peek 0 = '.' && Char.IsAsciiDigit(this.Peek 1) do
                pos <- pos + 1
                this.SkipParts()
        let style = NumberStyles.AllowDecimalPoint ||| NumberStyles.AllowExponent
        let digits = text.Substring(start, whole - start).Replace("_", "")
        let mutable value = 0.0
        Double.TryParse(digits, style, CultureInfo.InvariantCulture, &value) |> ignore
        let written = text.Substring(start, pos - start)
        if help <> "" then
            found.Add(SyntaxDiagnostics.badNumber (this.From start) written help)
        elif Double.IsInfinity value then
            found.Add(SyntaxDiagnostics.numberTooLarge (this.From start))
            value <- 0.0
        this.Add(TokenKind.Number, start, written, value)

    /// Steps over one character of a text or comment and reports what no text may hold.
    member this.Content(content: StringBuilder) =
        match this.RuneAt pos with
        | ValueSome rune when rune.Value <> 0 ->
            content.Append(rune.ToString()) |> ignore
            pos <- pos + rune.Utf16SequenceLength
        | other ->
            let start = pos
            pos <- pos + 1
            let shown = if other.IsSome then "the character NUL" else "half of a character"
            found.Add(SyntaxDiagnostics.invalidCharacter (this.From start) shown None)

    member this.Escape(content: StringBuilder) =
        let start = pos
        pos <- pos + 1
        let simple =
            match this.Peek 0 with
            | 'n' -> "\n"
            | 't' -> "\t"
            | '"' -> "\""
            | '\\' -> "\\"
            | _ -> ""
        if simple <> "" then
            pos <- pos + 1
            content.Append simple |> ignore
        else
            let close = if this.Starts "u{" then text.IndexOf('}', pos, min 10 (text.Length - pos)) else -1
            let mutable value = 0
            if
                close > pos + 2
                && Int32.TryParse(text.AsSpan(pos + 2, close - pos - 2), NumberStyles.AllowHexSpecifier, null, &value)
                && Rune.IsValid value
            then
                content.Append(Rune(value).ToString()) |> ignore
                pos <- close + 1
            else
                match this.RuneAt pos with
                | ValueSome rune when not this.Done && rune.Value <> int '\n' && rune.Value <> int '\r' ->
                    pos <- if close > 0 then close + 1 else pos + rune.Utf16SequenceLength
                | _ -> ()
                found.Add(SyntaxDiagnostics.badEscape (this.From start) (text.Substring(start, pos - start)))

    /// What follows an unclosed text is its fault: the parser does not report it.
    member this.Unclosed(report: Span -> Diagnostic, start) =
        found.Add(report (this.From start))
        this.Add(TokenKind.Invalid, pos, "", 0.0)

    member this.Text() =
        let start = pos
        let content = StringBuilder()
        pos <- pos + 1
        while not this.Done && this.Peek 0 <> '"' && this.Peek 0 <> '\n' && this.Peek 0 <> '\r' do
            if this.Peek 0 = '\\' then this.Escape content else this.Content content
        let closed = this.Peek 0 = '"'
        if closed then
            pos <- pos + 1
        this.Add(TokenKind.Text, start, content.ToString(), 0.0)
        if not closed then
            this.Unclosed(SyntaxDiagnostics.unterminatedText, start)

    member this.Raw() =
        let start = pos
        let content = StringBuilder()
        pos <- pos + 3
        while not this.Done && not (this.Starts "\"\"\"") do
            this.Content content
        let closed = not this.Done
        if closed then
            pos <- pos + 3
        this.Add(TokenKind.RawText, start, content.ToString(), 0.0)
        if not closed then
            found.Add(SyntaxDiagnostics.unterminatedRaw { this.From start with End = start + 3 })
            this.Add(TokenKind.Invalid, pos, "", 0.0)

    /// `“text”` and `'text'`; false if nothing closes it on its line.
    member this.WrongQuotes() =
        let start = pos
        let close = text.AsSpan(pos + 1).IndexOfAny((Slips.closeQuotes + "\n\r").AsSpan())
        let close = if close >= 0 && (text[pos + 1 + close] = '\n' || text[pos + 1 + close] = '\r') then -1 else close
        let afterName = text[pos] = '\'' && pos > 0 && Char.IsLetterOrDigit text[pos - 1]
        if close < 0 || afterName then
            false
        else
            let content = StringBuilder()
            let stop = pos + 1 + close
            pos <- pos + 1
            while pos < stop do
                this.Content content
            pos <- stop + 1
            found.Add(SyntaxDiagnostics.wrongQuotes (this.From start))
            this.Add(TokenKind.Text, start, content.ToString(), 0.0)
            true

    member this.Comment() =
        let start = pos
        let alone = tokens.Count = 0 || tokens[tokens.Count - 1].Kind = TokenKind.Newline
        let kind = if alone && this.Starts "##" && this.Peek 2 <> '#' then TokenKind.Doc else TokenKind.Comment
        while not this.Done && this.Peek 0 <> '\n' && this.Peek 0 <> '\r' do
            pos <- pos + 1
        this.Add(kind, start, text.Substring(start, pos - start), 0.0)

    /// A run of characters without a meaning is one finding.
    member this.Invalid() =
        let start = pos
        let first = this.RuneAt pos
        let shown =
            match first with
            | ValueSome rune when Rune.IsControl rune || Rune.GetUnicodeCategory rune = UnicodeCategory.Format ->
                $"the character U+%04X{rune.Value}"
            | ValueSome rune -> $"`{rune}`"
            | ValueNone -> "half of a character"
        let meaningless () =
            match this.RuneAt pos with
            | ValueNone -> true
            | ValueSome rune ->
                rune = first.Value || rune.Value < 9 || not (rune.IsAscii || Rune.IsWhiteSpace rune || Words.isStart rune)
        let mutable go = true
        while go do
            pos <- pos + (if (this.RuneAt pos).IsSome && Char.IsHighSurrogate text[pos] then 2 else 1)
            let known () = this.IsSlip() || Slips.openQuotes.Contains(text[pos])
            go <- not this.Done && first.IsSome && meaningless () && not (known ())
        while not this.Done && (this.RuneAt pos).IsNone do
            pos <- pos + 1
        found.Add(SyntaxDiagnostics.invalidCharacter (this.From start) shown (if first.IsSome then Slips.help first.Value else None))
        this.Add(TokenKind.Invalid, start, "", 0.0)

    member this.IsSlip() = Slips.symbols |> List.exists (fun (written, _) -> this.Starts written)

    member this.Symbol() =
        let start = pos
        // `!=` and `==` are symbols of their own, `!==` and `===` are slips.
        let slip = Slips.symbols |> List.tryFind (fun (written, _) -> this.Starts written)
        let symbol = symbols |> List.tryFind this.Starts
        match slip, symbol with
        | Some(written, meant), symbol when symbol.IsNone || written.Length > symbol.Value.Length ->
            pos <- pos + written.Length
            found.Add(SyntaxDiagnostics.slip (this.From start) written meant)
            this.Add((if Words.isKeyword meant then TokenKind.Keyword else TokenKind.Symbol), start, meant, 0.0)
        | _, Some symbol ->
            pos <- pos + symbol.Length
            this.Add(TokenKind.Symbol, start, symbol, 0.0)
        | _ -> this.Invalid()

    /// `.5` is a slip for a number, but `f.5` one for a member.
    member this.IsPointNumber() =
        this.Peek 0 = '.'
        && Char.IsAsciiDigit(this.Peek 1)
        && (pos = 0 || not (Char.IsLetterOrDigit text[pos - 1] || "_)]}\"".Contains(text[pos - 1])))

    member this.Step() =
        let start = pos
        match this.Peek 0 with
        | '\n' ->
            pos <- pos + 1
            this.Add(TokenKind.Newline, start, "\n", 0.0)
        | '\r' ->
            pos <- pos + 1
            if this.Peek 0 <> '\n' then
                found.Add(SyntaxDiagnostics.loneReturn (this.From start))
                this.Add(TokenKind.Newline, start, "\r", 0.0)
        | '#' -> this.Comment()
        | '"' when this.Starts "\"\"\"" -> this.Raw()
        | '"' -> this.Text()
        | '/' when this.Peek 1 = '/' ->
            pos <- pos + 2
            found.Add(SyntaxDiagnostics.wrongComment (this.From start))
            pos <- start
            this.Comment()
        | c when Char.IsAsciiDigit c || this.IsPointNumber() -> this.Number()
        | '\uFEFF' when start = 0 -> pos <- 1
        | c when Slips.openQuotes.Contains(c: char) && this.WrongQuotes() -> ()
        | _ ->
            match this.RuneAt pos with
            | ValueSome rune when Rune.IsWhiteSpace rune -> pos <- pos + 1
            | ValueSome rune when Words.isStart rune -> this.Word()
            | ValueSome _ -> this.Symbol()
            | ValueNone -> this.Invalid()

    member this.Run() =
        while not this.Done do
            this.Step()
        this.Add(TokenKind.End, pos, "", 0.0)

module Lexer =

    /// All tokens in order, comments and line ends among them, an `End` last; and what is wrong with the characters.
    let tokenize (source: SourceText) : Token[] * Diagnostic list =
        let scanner = Scanner source
        scanner.Run()
        scanner.Tokens.ToArray(), List.ofSeq scanner.Found
