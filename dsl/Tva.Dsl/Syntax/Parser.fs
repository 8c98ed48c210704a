/// From a text to its statements and what is wrong with it: never throws, and recovers at line ends and inside brackets.
namespace Tva.Dsl.Syntax

open Tva.Dsl

module Parser =

    /// Words other languages would begin a statement with, and what says it here.
    let private foreign =
        dict
            [ "let", "write `name = e`"
              "var", "write `name = e`"
              "val", "write `name = e`"
              "const", "write `name = e`"
              "if", "choose with `where(condition, a, b)`"
              "for", "functions go over a family's members by themselves; values are tried with `sweep(f, 0..1 by 0.1, score)`"
              "while", "functions go over a family's members by themselves"
              "import", "write `include \"file.tva\"`"
              "from", "write `include \"file.tva\"`"
              "open", "write `include \"file.tva\"`"
              "return", "the last expression of a block is its value"
              "fun", "write `def f(x) = ...`"
              "function", "write `def f(x) = ...`"
              "fn", "write `def f(x) = ...`"
              "func", "write `def f(x) = ...`"
              "lambda", "write `def f(x) = ...`" ]

    let private tryForeign word =
        match foreign.TryGetValue word with
        | true, help -> ValueSome help
        | _ -> ValueNone

    let private valueAfterEquals (c: Cursor) =
        if not c.Failed && not (c.Take "=") then
            c.FailUnexpected("`=`", Some "write `name = e`")
        c.ContinueAfterOperator()
        Expressions.expression c

    let private binding (c: Cursor) =
        let name = Elements.ident c "a name"
        name, valueAfterEquals c

    let private typeName (c: Cursor) =
        if c.Take ":" then Some(Elements.ident c "a type, such as `Delta`") else None

    let private definition (c: Cursor) : StatementNode =
        let doc = c.DocAbove()
        let keyword = c.Current.Span
        c.Advance()
        let name = Elements.ident c "the function's name"
        let seen = System.Collections.Generic.HashSet<string>()
        let mutable defaults = false
        let parameter () : Param =
            let name = Elements.ident c "a parameter's name"
            Elements.once c "parameter" seen name
            let kind = typeName c
            let value =
                if c.Take "=" then
                    defaults <- true
                    Some(Expressions.expression c)
                else
                    if defaults then
                        c.Report(SyntaxDiagnostics.defaultOrder name.Span name.Text)
                    None
            { Name = name; Type = kind; Default = value }
        let mutable parameters = []
        if c.Is "(" then
            parameters <- Elements.elements c ")" parameter
        else
            c.Fail(SyntaxDiagnostics.defWithoutParameters (Span.Between(keyword, name.Span)))
        let result = typeName c
        if not (c.Take "=") then
            // `def f(x) { ... }` and `def f(x) x + 1`: the body is there.
            let struct (span, _) = c.Found
            let finding = SyntaxDiagnostics.defWithoutEquals span
            if c.Current.Kind = TokenKind.Newline || c.Current.Kind = TokenKind.End || c.Is ";" then
                c.Fail finding
            else
                c.Report finding
        c.ContinueAfterOperator()
        if c.Current.Kind = TokenKind.Newline then
            // The next line is a statement: a body of several lines, as languages without braces have it.
            c.Fail(SyntaxDiagnostics.missingOperand (c.Current.Span) "=" (Some "a body of several lines stands in braces: `def f(x) = { y = 2 * x; y + 1 }`"))
        let body = Expressions.expression c
        Def { Name = name; Params = parameters; Result = result; Body = body; Doc = doc }

    let private text (c: Cursor) (wanted: string) help : Ident =
        let token = c.Current
        match token.Kind with
        | TokenKind.Text
        | TokenKind.RawText ->
            c.Advance()
            { Text = token.Text; Span = token.Span }
        | _ ->
            c.FailUnexpected(wanted, help)
            { Text = ""; Span = c.Current.Span }

    let private assertion (c: Cursor) : StatementNode =
        c.Advance()
        let condition = Expressions.expression c
        let message =
            if c.Take "," then
                c.ContinueAfterOperator()
                Some(Expressions.expression c)
            else
                None
        Assert(condition, message)

    let private print (c: Cursor) : StatementNode =
        c.Advance()
        if c.Is "(" then
            Print(Elements.elements c ")" (fun () -> Expressions.expression c))
        else
            c.FailUnexpected("`(` after `print`", Some "write `print(x)`, or `x` alone on its line")
            ErrorStatement

    let private expressionStatement (c: Cursor) : StatementNode =
        let token = c.Current
        match token.Kind, token.Text with
        | TokenKind.Symbol, (")" | "]" | "}") ->
            c.Fail(SyntaxDiagnostics.strayCloser token.Span token.Text)
            ErrorStatement
        | _ when c.HasEquals() ->
            let left = token.Span
            let help =
                if token.Kind = TokenKind.Name && c.PeekIs(1, "(") then
                    "a function is defined by `def f(x) = ...`; to compare, write `==`"
                else
                    "to compare, write `==`"
            c.Fail(SyntaxDiagnostics.assignToExpression left help)
            ErrorStatement
        | _ -> Expression(Expressions.expression c)

    let private node (c: Cursor) : StatementNode =
        let token = c.Current
        let next = c.Peek 1
        let endsAt n =
            match (c.Peek n).Kind with
            | TokenKind.Newline
            | TokenKind.End -> true
            | _ -> c.PeekIs(n, ";")
        match token.Kind, token.Text with
        | TokenKind.Keyword, word when c.PeekIs(1, "=") ->
            c.Fail(SyntaxDiagnostics.reservedWord token.Span word None)
            ErrorStatement
        | TokenKind.Keyword, "def" -> definition c
        | TokenKind.Keyword, "assert" -> assertion c
        | TokenKind.Keyword, "print" -> print c
        | TokenKind.Keyword, "param" ->
            c.Advance()
            Param(binding c)
        | TokenKind.Keyword, "include" ->
            c.Advance()
            Include(text c "a file's name in a text" (Some "write `include \"file.tva\"`"))
        | TokenKind.Keyword, "fs" when next.Kind = TokenKind.RawText && endsAt 2 ->
            c.Advance()
            FSharpDefinitions(text c "F# in a text" None)
        | TokenKind.Name, _ when c.PeekIs(1, "=") -> Let(binding c)
        | TokenKind.Name, word when c.PeekIs(1, ":") ->
            // The rest is right, and the name is there.
            c.Report(SyntaxDiagnostics.colonForEquals next.Span word)
            let name = Elements.ident c "a name"
            c.Advance()
            if (c.Current.Kind = TokenKind.Name || c.Current.Kind = TokenKind.Keyword) && c.PeekIs(1, "=") then
                // `x: Delta = ...`
                c.Advance()
            c.Take "=" |> ignore
            c.ContinueAfterOperator()
            Let(name, Expressions.expression c)
        | TokenKind.Name, word when next.Kind = TokenKind.Name || next.Kind = TokenKind.Text || next.Kind = TokenKind.Number ->
            match tryForeign word with
            | ValueSome help ->
                // `let x = 5`: the rest is right.
                let assignment = c.PeekIs(2, "=") && help = foreign["let"]
                let finding = SyntaxDiagnostics.foreignWord token.Span word (Some help)
                if assignment then
                    c.Report finding
                    c.Advance()
                    Let(binding c)
                else
                    c.Fail finding
                    ErrorStatement
            | ValueNone -> expressionStatement c
        | _ -> expressionStatement c

    let private statement (c: Cursor) : Statement =
        let start = c.Current.Span
        let node = node c
        // `x = if a then b else c`
        let foreign = match node with Let(_, { Node = ExprNode.Name word }) -> tryForeign word | _ -> ValueNone
        if not c.Failed then
            match c.Current.Kind with
            | TokenKind.Newline
            | TokenKind.End -> ()
            | _ when c.Is ";" -> ()
            | TokenKind.Symbol when c.Is ")" || c.Is "]" || c.Is "}" ->
                c.Fail(SyntaxDiagnostics.strayCloser c.Current.Span c.Current.Text)
            | _ ->
                let unexpected help = c.FailUnexpected("the end of the statement", help)
                match node, foreign with
                | Let(_, { Node = ExprNode.Name word; Span = span }), ValueSome help -> c.Fail(SyntaxDiagnostics.foreignWord span word (Some help))
                | Let(_, { Node = Number _ }), _ when c.Is "," && (c.Peek 1).Kind = TokenKind.Number ->
                    unexpected (Some "a number's decimals stand behind a point, as in `0.5`; a list is `[a, b]`")
                | Assert _, _ -> unexpected None
                | Expression _, _ when c.Is "," -> unexpected (Some "a list is `[a, b]`; several values are printed by `print(a, b)`")
                | _ -> unexpected (Some "statements are separated by new lines or `;`")
        let node =
            match node with
            | Let(name, e) when c.Failed && foreign.IsSome -> Let(name, { e with Node = ExprNode.Error })
            | n -> n
        { Node = node; Span = Span.Between(start, c.Previous.Span) }

    let private statements (source: SourceText) (tokens: Token[]) (found: ResizeArray<Diagnostic>) : Statement list =
        let c = Cursor(source, tokens, found)
        let result = ResizeArray<Statement>()
        while c.Current.Kind <> TokenKind.End do
            if c.Current.Kind = TokenKind.Newline || c.Is ";" then
                c.Advance()
            else
                result.Add(statement c)
                if c.Failed then
                    c.RecoverStatement()
        List.ofSeq result

    /// The statements of a text, and all that is wrong with its characters and its grammar, by place.
    let parse (source: SourceText) : Statement list * Diagnostic list =
        let tokens, characters = Lexer.tokenize source
        let found = ResizeArray<Diagnostic>(characters)
        let result = statements source tokens found
        result, found |> Seq.sortBy (fun d -> d.Span.Start) |> List.ofSeq

    /// Whether a text typed so far is only the beginning of a statement: a bracket or a `"""` is open, or an operator waits
    /// for its right side. The prompt then asks for another line.
    let isIncomplete (source: SourceText) : bool =
        let tokens, found = Lexer.tokenize source
        let mutable depth = 0
        let mutable last = tokens[tokens.Length - 1]
        for token in tokens do
            match token.Kind, token.Text with
            | TokenKind.Symbol, ("(" | "[" | "{") -> depth <- depth + 1
            | TokenKind.Symbol, (")" | "]" | "}") -> depth <- depth - 1
            | _ -> ()
            match token.Kind with
            | TokenKind.Comment
            | TokenKind.Doc
            | TokenKind.Newline
            | TokenKind.End -> ()
            | _ -> last <- token
        let openText = found |> List.exists (fun d -> d.Code = (SyntaxDiagnostics.unterminatedRaw Span.None).Code)
        let waits =
            match last.Kind with
            | TokenKind.Symbol -> last.Text = "=" || last.Text = "@" || (Operators.tryInfix last.Text).IsSome
            | TokenKind.Keyword -> last.Text = "and" || last.Text = "or" || last.Text = "not"
            | _ -> false
        depth > 0 || openText || waits
