/// What the grammar's parts share: names, elements between brackets, errors in place of a tree, the height of trees.
module internal Tva.Dsl.Syntax.Elements

open Tva.Dsl

let node span expr : Expr = { Node = expr; Span = span }
let since (start: Span) (c: Cursor) = Span.Between(start, c.Previous.Span)
let errorAt (c: Cursor) = node { c.Previous.Span with Start = c.Previous.Span.End } ExprNode.Error

/// Marks a tree as one level higher than its parts, and refuses what no later pass could recurse over.
let grow (c: Cursor) (parts: int) =
    c.Height <- parts + 1
    if c.Height > Stack.MaxHeight then
        c.Fail(SyntaxDiagnostics.tooDeep c.Previous.Span)

let startsExpression (token: Token) =
    match token.Kind with
    | TokenKind.Name
    | TokenKind.Number
    | TokenKind.Text
    | TokenKind.RawText -> true
    | TokenKind.Keyword -> List.contains token.Text [ "true"; "false"; "not"; "fs" ]
    | TokenKind.Symbol -> List.contains token.Text [ "("; "["; "{"; "-" ]
    | _ -> false

/// A name, where one must stand.
let ident (c: Cursor) (wanted: string) : Ident =
    let token = c.Current
    match token.Kind with
    | TokenKind.Name ->
        c.Advance()
        { Text = token.Text; Span = token.Span }
    | TokenKind.Keyword ->
        c.Report(SyntaxDiagnostics.reservedWord token.Span token.Text None)
        c.Advance()
        { Text = token.Text; Span = token.Span }
    | _ ->
        c.FailUnexpected(wanted, None)
        { Text = ""; Span = c.Current.Span }

/// Names that may stand once: reports the second.
let once (c: Cursor) what (seen: System.Collections.Generic.HashSet<string>) (name: Ident) =
    if name.Text <> "" && not (seen.Add name.Text) then
        c.Report(SyntaxDiagnostics.repeated name.Span what name.Text)

/// What stands between an open bracket and its closer, separated by commas; goes on after errors inside.
let elements (c: Cursor) (closer: string) (element: unit -> 'a) : 'a list =
    let items = ResizeArray<'a>()
    let mutable height = 0
    let mutable commas = true
    let mutable go = true
    c.Open closer
    while go && not c.Failed && not (c.Is closer) && c.Current.Kind <> TokenKind.End do
        items.Add(element ())
        height <- max height c.Height
        if not c.Failed && not (c.Take ",") && not (c.Is closer) then
            if startsExpression c.Current && not c.AtNewStatement then
                if commas then
                    c.ReportHere(SyntaxDiagnostics.missingComma c.Current.Span)
                commas <- false
            else
                go <- c.AtNewStatement |> not
                if go then
                    c.FailUnexpected($"`,` or `{closer}`", None)
        if c.Failed then
            go <- c.Recover()
            if go then
                c.Take "," |> ignore
    c.Close("", None)
    c.Height <- height
    List.ofSeq items

/// Runs one level deeper; where that is too deep, gives `otherwise`.
let nested (c: Cursor) (otherwise: 'a) (work: unit -> 'a) : 'a =
    let result = if c.Enter() then work () else otherwise
    c.Leave()
    result
