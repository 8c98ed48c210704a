/// From a text and an offset to what stands around it: the word, the text literal, the calls and brackets that are open.
namespace Tva.Dsl.Services

open Tva.Dsl
open Tva.Dsl.Syntax

/// A bracket that is open at the place.
type internal Bracket =
    { Symbol: string
      /// Index of its token.
      Token: int
      /// The function, where it is a call's.
      Callee: Token option
      /// Commas so far, and one more where something is piped in.
      Argument: int
      /// `name` where the place is behind `name =`.
      Option: string option
      /// Options given so far by name.
      Given: string list
      /// It stands behind an expression: a restriction.
      IsIndex: bool }

type internal Place =
    { Tokens: Token[]
      /// Tokens before this index are before the place; the one the place is in is not.
      Before: int
      /// What is being written: from `Start` to the place.
      Start: int
      Word: string
      /// The text literal that the place is in: where its content begins.
      Literal: int option
      InComment: bool
      /// Innermost first.
      Open: Bracket list
      /// Where the statement begins.
      Statement: int }

module internal Place =

    let private endsExpression (t: Token) =
        match t.Kind, t.Text with
        | (TokenKind.Name | TokenKind.Text | TokenKind.Number), _ -> true
        | TokenKind.Symbol, (")" | "]" | "}") -> true
        | _ -> false

    let at (text: string) (offset: int) : Place =
        let offset = max 0 (min offset text.Length)
        let tokens, _ = Lexer.tokenize (Classify.source text)
        let isClosed (t: Token) =
            let s = text.Substring(t.Span.Start, t.Span.End - t.Span.Start)
            if t.Kind = TokenKind.RawText then s.Length >= 6 && s.EndsWith "\"\"\""
            else s.Length >= 2 && s.EndsWith "\""
        let holds (t: Token) =
            match t.Kind with
            | TokenKind.Name
            | TokenKind.Keyword
            | TokenKind.Number -> t.Span.Start < offset && offset <= t.Span.End
            | TokenKind.Text
            | TokenKind.RawText -> t.Span.Start < offset && (offset < t.Span.End || (offset = t.Span.End && not (isClosed t)))
            | TokenKind.Comment
            | TokenKind.Doc -> t.Span.Start < offset && offset <= t.Span.End
            | _ -> false
        let inside = tokens |> Array.tryFindIndex holds
        let before =
            match inside with
            | Some i -> i
            | None -> tokens |> Array.tryFindIndex (fun t -> t.Span.Start >= offset) |> Option.defaultValue tokens.Length
        let mutable stack: Bracket list = []
        let mutable statement = 0
        let mutable previous: Token voption = ValueNone
        let mutable beforePrevious: Token voption = ValueNone
        let isSymbol (s: string) (t: Token voption) = match t with ValueSome t -> t.Kind = TokenKind.Symbol && t.Text = s | ValueNone -> false
        for i in 0 .. before - 1 do
            let t = tokens[i]
            match t.Kind, t.Text with
            | TokenKind.Symbol, ("(" | "[" | "{") ->
                let callee = match t.Text, previous with "(", ValueSome p when p.Kind = TokenKind.Name -> Some p | _ -> None
                let piped = isSymbol "@" beforePrevious || isSymbol "|>" beforePrevious
                stack <-
                    { Symbol = t.Text
                      Token = i
                      Callee = callee
                      Argument = (if piped then 1 else 0)
                      Option = None
                      Given = []
                      IsIndex = t.Text = "[" && (match previous with ValueSome p -> endsExpression p | ValueNone -> false) }
                    :: stack
            | TokenKind.Symbol, (")" | "]" | "}") -> stack <- (match stack with _ :: rest -> rest | [] -> [])
            | TokenKind.Symbol, "," ->
                stack <- (match stack with b :: rest -> { b with Argument = b.Argument + 1; Option = None } :: rest | [] -> [])
            | TokenKind.Symbol, "=" ->
                match stack, previous with
                | b :: rest, ValueSome p when b.Symbol = "(" && p.Kind = TokenKind.Name ->
                    stack <- { b with Option = Some p.Text; Given = p.Text :: b.Given } :: rest
                | _ -> ()
            | TokenKind.Newline, _ when stack.IsEmpty -> statement <- t.Span.End
            | TokenKind.Symbol, ";" when stack.IsEmpty -> statement <- t.Span.End
            | _ -> ()
            if not (Classify.isLayout t) then
                beforePrevious <- previous
                previous <- ValueSome t
        let start, literal, isComment =
            match inside with
            | Some i ->
                let t = tokens[i]
                match t.Kind with
                | TokenKind.Text -> t.Span.Start + 1, Some(t.Span.Start + 1), false
                | TokenKind.RawText -> min offset (t.Span.Start + 3), Some(t.Span.Start + 3), false
                | TokenKind.Comment
                | TokenKind.Doc -> offset, None, true
                | _ -> t.Span.Start, None, false
            | None -> offset, None, false
        { Tokens = tokens
          Before = before
          Start = start
          Word = text.Substring(start, offset - start)
          Literal = literal
          InComment = isComment
          Open = stack
          Statement = statement }

    /// The index of the token before one, comments and line ends left out.
    let previous (p: Place) (i: int) =
        let mutable k = i - 1
        while k >= 0 && Classify.isLayout p.Tokens[k] do
            k <- k - 1
        k

    let isSymbol (p: Place) i (symbol: string) = i >= 0 && p.Tokens[i].Kind = TokenKind.Symbol && p.Tokens[i].Text = symbol

    /// Where the operand begins that ends with a token: names, members, calls and brackets that hang together.
    let operandStart (p: Place) (last: int) : int option =
        let rec matching i depth =
            if i < 0 then -1
            else
                match p.Tokens[i].Kind, p.Tokens[i].Text with
                | TokenKind.Symbol, (")" | "]" | "}") -> matching (i - 1) (depth + 1)
                | TokenKind.Symbol, ("(" | "[" | "{") -> if depth = 1 then i else matching (i - 1) (depth - 1)
                | _ -> matching (i - 1) depth
        let rec back i : int option =
            if i < 0 then None
            else
                let t = p.Tokens[i]
                match t.Kind, t.Text with
                | TokenKind.Symbol, (")" | "]" | "}") ->
                    let first = matching i 0
                    if first < 0 then None
                    else
                        let before = previous p first
                        let hangs = before >= 0 && t.Text <> "}" && endsExpression p.Tokens[before]
                        if hangs then back before else Some first
                | (TokenKind.Name | TokenKind.Text), _ ->
                    let before = previous p i
                    if isSymbol p before "." then back (previous p before) else Some i
                | _ -> None
        back last |> Option.map (fun i -> p.Tokens[i].Span.Start)
