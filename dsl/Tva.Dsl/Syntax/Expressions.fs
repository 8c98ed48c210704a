/// Expressions: a Pratt parser over `Operators.table` that reads from a cursor and gives a tree, with `Error` where it failed.
module internal Tva.Dsl.Syntax.Expressions

open Tva.Dsl
open Tva.Dsl.Syntax.Elements

let private missing (c: Cursor) =
    let before = c.Previous
    let token = c.Current
    let struct (span, found) = c.Found
    let afterOperator =
        match before.Kind, before.Text with
        | TokenKind.Symbol, (")" | "]" | "}" | "(" | "[" | "{" | "," | ";") -> false
        | TokenKind.Symbol, _ -> true
        | TokenKind.Keyword, ("and" | "or" | "not") -> true
        | _ -> false
    let ends =
        match token.Kind, token.Text with
        | (TokenKind.Newline | TokenKind.End), _ -> true
        | TokenKind.Symbol, (")" | "]" | "}" | ";" | ",") -> true
        | _ -> false
    if c.InBracket && c.AtNewStatement then
        c.FailUnclosed()
    elif ends && afterOperator then
        c.Fail(SyntaxDiagnostics.missingOperand before.Span before.Text None)
    else
        match token.Kind, token.Text with
        | TokenKind.Keyword, ("and" | "or") -> c.Fail(SyntaxDiagnostics.unexpected span "an expression" found None)
        | TokenKind.Keyword, word ->
            c.Fail(SyntaxDiagnostics.reservedWord span word (Some $"`{word}` begins a statement; as a member write `.\"{word}\"`"))
        | _ -> c.Fail(SyntaxDiagnostics.unexpected span "an expression" found None)
    errorAt c

let rec expression (c: Cursor) : Expr = infix c 0

/// Operators at least as tight as `minimum`, and their operands.
and private infix (c: Cursor) minimum : Expr =
    let start = c.Current
    let mutable left = prefix c
    let mutable chained = false
    let mutable last = ValueNone
    let mutable go = true
    while go && not c.Failed do
        if minimum <= Operators.loosePipe.Power then
            c.Continue "|>"
        match last with
        | ValueSome(before: Infix) when before.Kind = LoosePipe ->
            c.Continue "@"
            if c.Is "@" || c.Is "." || c.Is "[" then
                c.Fail(SyntaxDiagnostics.afterPipe c.Current.Span)
        | _ -> ()
        let token = c.Current
        let row =
            match token.Kind with
            | TokenKind.Symbol when token.Text = "=" && minimum <= (Operators.infix Equal).Power ->
                c.Report(SyntaxDiagnostics.equalsInExpression token.Span)
                ValueSome(Operators.infix Equal)
            | TokenKind.Symbol
            | TokenKind.Keyword -> Operators.tryInfix token.Text
            | _ -> ValueNone
        match row with
        | ValueSome row when row.Power >= minimum ->
            match last with
            | ValueSome(before: Infix) when before.Kind = LoosePipe && row.Kind <> LoosePipe ->
                c.Fail(SyntaxDiagnostics.afterPipe token.Span)
            | ValueSome before when before.Power = row.Power && row.Associativity = Never && not chained ->
                chained <- true
                c.Report(
                    if row.Kind = Interval then
                        SyntaxDiagnostics.chainedRange token.Span
                    else
                        SyntaxDiagnostics.chainedComparison token.Span before.Symbol row.Symbol
                )
            | ValueNone when start.Kind = TokenKind.Keyword && start.Text = "not" && row.Power > (Operators.infix And).Power ->
                match left.Node with
                | Unary(Not, _) -> c.Report(SyntaxDiagnostics.looseNot (Span.Between(start.Span, token.Span)))
                | _ -> ()
            | _ -> ()
            last <- ValueSome row
            if not c.Failed then
                left <- operation c row left
        | _ -> go <- false
    left

and private operation (c: Cursor) (row: Infix) (left: Expr) : Expr =
    let height = c.Height
    let struct (_, minimum) = Operators.operands row
    c.Advance()
    match row.Kind with
    | LoosePipe -> pipe c Loose left
    | Operation op ->
        c.ContinueAfterOperator()
        let deeper = row.Associativity <> Right || c.Enter()
        let right = if deeper then infix c minimum else errorAt c
        if row.Associativity = Right then
            c.Leave()
        grow c (max height c.Height)
        node (Span.Between(left.Span, right.Span)) (Binary(op, left, right))
    | Interval ->
        c.ContinueAfterOperator()
        let last = infix c minimum
        let mutable height = max height c.Height
        let step =
            if c.Current.Kind = TokenKind.Name && c.Current.Text = "by" then
                c.Advance()
                c.ContinueAfterOperator()
                let step = infix c minimum
                height <- max height c.Height
                Some step
            else
                None
        grow c height
        node (since left.Span c) (Range(left, last, step))

and private prefix (c: Cursor) : Expr =
    let token = c.Current
    let unary op =
        c.Advance()
        let operand = if c.Enter() then infix c Operators.Prefix else errorAt c
        c.Leave()
        grow c c.Height
        node (Span.Between(token.Span, operand.Span)) (Unary(op, operand))
    if c.Is "-" then
        unary Negate
    elif c.IsKeyword "not" then
        unary Not
    elif c.Is "+" && startsExpression (c.Peek 1) then
        c.ReportHere(SyntaxDiagnostics.unaryPlus token.Span)
        c.Advance()
        infix c Operators.Prefix
    else
        postfix c (primary c)

and private postfix (c: Cursor) (primary: Expr) : Expr =
    let mutable expr = primary
    let mutable go = true
    while go && not c.Failed do
        c.Continue "@"
        let height = c.Height
        let token = c.Current
        match token.Kind, token.Text with
        | TokenKind.Symbol, "." ->
            c.Advance()
            let name = c.Current
            match name.Kind with
            | TokenKind.Name
            // A keyword cannot be anything else here.
            | TokenKind.Keyword
            | TokenKind.Text ->
                c.Advance()
                expr <- node (since expr.Span c) (Member(expr, { Text = name.Text; Span = name.Span }))
            | TokenKind.Number -> c.FailUnexpected("a member's name", Some $"write `.\"{name.Text.TrimStart '.'}\"`")
            | _ -> c.FailUnexpected("a member's name", None)
            grow c height
        | TokenKind.Symbol, "[" ->
            let where =
                if c.Enter() then
                    c.Open "]"
                    let where = expression c
                    c.Close("", Some "tensors are chosen by one expression; join several with `and`, `or`")
                    where
                else
                    errorAt c
            c.Leave()
            grow c (max height c.Height)
            expr <- node (since expr.Span c) (Index(expr, where))
        | TokenKind.Symbol, "@" ->
            c.Advance()
            expr <- pipe c Tight expr
        | TokenKind.Symbol, "(" ->
            let help =
                match expr.Node with
                | Member(_, name) -> $"write `{name.Text}(x)` or `x @{name.Text}`"
                | _ -> "a function is `def f(x) = ...`, called `f(x)`; a product is written `a * b`"
            c.Fail(SyntaxDiagnostics.notCallable token.Span help)
        | _ -> go <- false
    expr

/// What follows `@` or `|>`: a function's name, perhaps with further arguments.
and private pipe (c: Cursor) kind (source: Expr) : Expr =
    let height = c.Height
    c.ContinueAfterOperator()
    let callee = ident c "a function's name"
    let args = if c.Is "(" then arguments c else (c.Height <- 0; [])
    grow c (max height c.Height)
    node (since source.Span c) (Pipe(kind, source, callee, args))

and arguments (c: Cursor) : Arg list =
    let seen = System.Collections.Generic.HashSet<string>()
    let mutable named = false
    let mutable reported = false
    let argument () : Arg =
        let token = c.Current
        if c.PeekIs(1, "=") && (token.Kind = TokenKind.Name || token.Kind = TokenKind.Keyword) then
            let name = ident c "a name"
            once c "argument" seen name
            named <- true
            c.Advance()
            { Name = Some name; Value = expression c }
        else
            let value = expression c
            if named && not reported && not c.Failed then
                reported <- true
                c.Report(SyntaxDiagnostics.positionalAfterNamed value.Span)
            { Name = None; Value = value }
    nested c [] (fun () -> elements c ")" argument)

and private primary (c: Cursor) : Expr =
    let token = c.Current
    let leaf expr =
        c.Advance()
        c.Height <- 1
        node token.Span expr
    match token.Kind, token.Text with
    | TokenKind.Number, _ -> leaf (Number token.Value)
    | (TokenKind.Text | TokenKind.RawText), text -> leaf (Text text)
    | TokenKind.Keyword, "true" -> leaf (Bool true)
    | TokenKind.Keyword, "false" -> leaf (Bool false)
    | TokenKind.Keyword, "fs" ->
        c.Advance()
        let code = c.Current
        match code.Kind with
        | TokenKind.Text
        | TokenKind.RawText -> { leaf (FSharp code.Text) with Span = Span.Between(token.Span, code.Span) }
        | _ ->
            c.FailUnexpected("F# in a text", Some "write `fs \"...\"` or `fs \"\"\"...\"\"\"`")
            errorAt c
    | TokenKind.Name, _ when not c.Lines && c.AtNewStatement && c.PeekIs(1, "=") ->
        // `x = (a +` and on the next line `y = 3`: the bracket was left open.
        c.FailUnclosed()
        errorAt c
    | TokenKind.Name, name ->
        c.Advance()
        if c.Is "(" then
            let args = arguments c
            grow c c.Height
            node (since token.Span c) (Call({ Text = name; Span = token.Span }, args))
        else
            c.Height <- 1
            node token.Span (Name name)
    | TokenKind.Symbol, "(" ->
        let group () =
            c.Open ")"
            let inner = expression c
            let help = "these brackets hold one expression; a list is `[a, b]`, and `assert e, \"message\"` needs no brackets"
            c.Close("", (if c.Is "," then Some help else None))
            // With its brackets, so that a caret line under `(a + b) * c` begins at the bracket.
            { inner with Span = since token.Span c }
        nested c (errorAt c) group
    | TokenKind.Symbol, "[" ->
        let items = nested c [] (fun () -> elements c "]" (fun () -> expression c))
        grow c c.Height
        node (since token.Span c) (List items)
    | TokenKind.Symbol, "{" ->
        let expr = nested c ExprNode.Error (fun () -> braces c)
        grow c c.Height
        node (since token.Span c) expr
    | _ -> missing c

/// A record if its first entry is `key:`, else a block.
and private braces (c: Cursor) : ExprNode =
    c.Open "}"
    c.SkipLines()
    let key =
        match c.Current.Kind with
        | TokenKind.Name
        | TokenKind.Keyword
        | TokenKind.Text
        | TokenKind.RawText -> c.PeekIs(1, ":")
        | _ -> false
    if key || c.Is "}" || (hyphened c).IsSome then record c else block c

/// `my-task:` where a key should stand: a name with what no name has, as it is written, up to the colon.
and private hyphened (c: Cursor) : string option =
    let joined (a: Token) (b: Token) = a.Span.End = b.Span.Start
    let rec go n (text: string) =
        let token, next = c.Peek n, c.Peek(n + 1)
        let text = text + token.Text
        if not (List.contains token.Kind [ TokenKind.Name; TokenKind.Number; TokenKind.Keyword ] || List.contains token.Text [ "-"; "."; "/" ]) then None
        elif n > 0 && c.PeekIs(n + 1, ":") then Some text
        elif n < 16 && joined token next then go (n + 1) text
        else None
    if c.Current.Kind = TokenKind.Name || c.Current.Kind = TokenKind.Number then go 0 "" else None

/// Entries or lines between braces, each ended by one of the separators; goes on after errors inside.
and private bracedLines (c: Cursor) (separates: unit -> bool) (line: unit -> unit) =
    let mutable height = 0
    let mutable go = true
    c.SkipLines()
    while go && not c.Failed && not (c.Is "}") && c.Current.Kind <> TokenKind.End do
        line ()
        height <- max height c.Height
        if c.Failed then
            go <- c.Recover()
            if go && (c.Is "," || c.Is ";") then
                c.Advance()
        elif not (separates ()) then
            go <- false
        c.SkipLines()
    c.Height <- height

and private record (c: Cursor) : ExprNode =
    let entries = ResizeArray<RecordKey * Expr>()
    let seen = System.Collections.Generic.HashSet<string>()
    let separates () =
        let line = c.Current.Kind = TokenKind.Newline
        c.SkipLines()
        let comma = c.Take ","
        if line || comma || c.Is "}" then
            true
        elif c.Is ";" then
            let struct (span, what) = c.Found
            c.Report(SyntaxDiagnostics.unexpected span "`,`" what (Some "a record's entries are separated by `,` or new lines"))
            c.Take ";"
        else
            let missing = startsExpression c.Current && not c.AtNewStatement
            if missing then
                c.ReportHere(SyntaxDiagnostics.missingComma c.Current.Span)
            missing
    let entry () =
        let token = c.Current
        let name: Ident = { Text = token.Text; Span = token.Span }
        let key =
            match token.Kind with
            | TokenKind.Name when token.Text = "else" -> Some(Else token.Span)
            | TokenKind.Name
            | TokenKind.Keyword -> Some(Key name)
            | TokenKind.Text
            | TokenKind.RawText -> Some(Glob name)
            | _ -> None
        match key, hyphened c with
        | _, Some text -> c.Fail(SyntaxDiagnostics.unquotedKey token.Span text)
        | None, None -> c.FailUnexpected("an entry `name: e`", None)
        | Some key, None ->
            once c "entry" seen name
            c.Advance()
            if c.Is "=" then
                c.Fail(SyntaxDiagnostics.entryInBlock c.Current.Span)
            elif not (c.Take ":") then
                c.FailUnexpected("`:`", Some "a record's entries are written `name: e`")
            c.ContinueAfterOperator()
            let value = if c.Failed then errorAt c else expression c
            entries.Add(key, value)
    bracedLines c separates entry
    c.Close("`,` or `}`", None)
    Record(List.ofSeq entries)

and private block (c: Cursor) : ExprNode =
    let bindings = ResizeArray<Ident * Expr>()
    let mutable value = None
    let mutable commas = true
    let separates () =
        if c.Is "," then
            if commas then
                c.Report(SyntaxDiagnostics.commaInBlock c.Current.Span)
            commas <- false
            c.Advance()
            true
        else
            c.Current.Kind = TokenKind.Newline || c.Take ";"
    let line () =
        let token = c.Current
        match value with
        | Some(lost: Expr) ->
            if not lost.Node.IsError then
                c.Report(SyntaxDiagnostics.unusedInBlock lost.Span)
            value <- None
        | None -> ()
        match token.Kind, token.Text with
        | (TokenKind.Name | TokenKind.Keyword), _ when c.PeekIs(1, "=") ->
            let name = ident c "a name"
            c.Advance()
            c.ContinueAfterOperator()
            bindings.Add(name, expression c)
        | TokenKind.Keyword, ("def" | "assert" | "param" | "include" | "print") ->
            c.Fail(SyntaxDiagnostics.statementInBlock token.Span token.Text)
        | (TokenKind.Name | TokenKind.Text), _ when c.PeekIs(1, ":") -> c.Fail(SyntaxDiagnostics.entryInBlock (c.Peek 1).Span)
        | TokenKind.Symbol, ";" -> c.Height <- 0
        | _ -> value <- Some(expression c)
    let opening = c.Previous.Span
    bracedLines c separates line
    let failed = c.Failed
    c.Close("`;`, a new line or `}`", None)
    let broken = bindings |> Seq.exists (fun (_, e) -> e.Node.IsError)
    if not failed && not c.Failed && value.IsNone && not broken then
        c.Report(SyntaxDiagnostics.blockWithoutValue (since opening c))
    Block(List.ofSeq bindings, defaultArg value (errorAt c))
