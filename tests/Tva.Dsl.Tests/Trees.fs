/// What the syntax tests share: texts, trees without places, and a form that shows a tree's shape.
module Tva.Dsl.Tests.Trees

open Xunit
open Tva.Dsl
open Tva.Dsl.Syntax

let source text : SourceText = { Number = 0; Name = "test.tva"; Folder = "."; Text = text }

let parse text = Parser.parse (source text)

let errors (found: Diagnostic list) = found |> List.filter (fun d -> d.Severity = Severity.Error)

/// `TVA0203 at `(``: each finding's code with the text it points at.
let pointed (text: string) (found: Diagnostic list) =
    [ for d in found -> d.Code.Substring 3 + " " + text.Substring(d.Span.Start, d.Span.End - d.Span.Start) ]

/// The statements of a text that is right.
let statements text =
    let parsed, found = parse text
    Assert.Empty found
    parsed

/// The expression of a text that is one.
let expr text =
    match statements text with
    | [ { Node = Expression e } ] -> e
    | other -> failwith $"not one expression: %A{other}"

let private at: Span = Span.None

let private ident (name: Ident) : Ident = { name with Span = at }

/// The same tree standing nowhere.
let rec strip (e: Expr) : Expr =
    let node =
        match e.Node with
        | Number _
        | Text _
        | Bool _
        | Name _
        | FSharp _
        | ExprNode.Error -> e.Node
        | List items -> List(List.map strip items)
        | Block(bindings, value) -> Block([ for name, e in bindings -> ident name, strip e ], strip value)
        | Record entries ->
            let key k =
                match k with
                | Key name -> Key(ident name)
                | Glob text -> Glob(ident text)
                | Else _ -> Else at
            Record [ for k, e in entries -> key k, strip e ]
        | Call(callee, args) -> Call(ident callee, List.map arg args)
        | Pipe(kind, source, callee, args) -> Pipe(kind, strip source, ident callee, List.map arg args)
        | Member(e, name) -> Member(strip e, ident name)
        | Index(e, where) -> Index(strip e, strip where)
        | Unary(op, e) -> Unary(op, strip e)
        | Binary(op, a, b) -> Binary(op, strip a, strip b)
        | Range(a, b, step) -> Range(strip a, strip b, Option.map strip step)
    { Node = node; Span = at }

and private arg (a: Arg) : Arg = { Name = Option.map ident a.Name; Value = strip a.Value }

let stripStatement (s: Statement) : Statement =
    let node =
        match s.Node with
        | Let(name, e) -> Let(ident name, strip e)
        | Def d ->
            let parameter (p: Param) : Param =
                { Name = ident p.Name; Type = Option.map ident p.Type; Default = Option.map strip p.Default }
            Def
                { Name = ident d.Name
                  Params = List.map parameter d.Params
                  Result = Option.map ident d.Result
                  Body = strip d.Body
                  Doc = d.Doc }
        | Assert(e, message) -> Assert(strip e, Option.map strip message)
        | Print values -> Print(List.map strip values)
        | Param(name, e) -> Param(ident name, strip e)
        | Include path -> Include(ident path)
        | Expression e -> Expression(strip e)
        | FSharpDefinitions code -> FSharpDefinitions(ident code)
        | ErrorStatement -> ErrorStatement
    { Node = node; Span = at }

/// Every operator in square brackets: `[1 + [2 * 3]]`. Written out by hand here, so that the tests do not lean on the printer.
let rec shape (e: Expr) : string =
    let args (items: Arg list) =
        [ for a in items -> (match a.Name with Some n -> n.Text + "=" | None -> "") + shape a.Value ] |> String.concat ", "
    match e.Node with
    | Number n -> string n
    | Text t -> "'" + t + "'"
    | Bool b -> if b then "true" else "false"
    | Name n -> n
    | List items -> "list(" + (items |> List.map shape |> String.concat ", ") + ")"
    | Block(bindings, value) -> "block(" + String.concat "" [ for n, e in bindings -> $"{n.Text} = {shape e}; " ] + shape value + ")"
    | Record entries ->
        let key k =
            match k with
            | Key n -> n.Text
            | Glob t -> "'" + t.Text + "'"
            | Else _ -> "ELSE"
        "record(" + ([ for k, e in entries -> key k + ": " + shape e ] |> String.concat ", ") + ")"
    | Call(f, items) -> $"{f.Text}({args items})"
    | Pipe(Tight, x, f, items) -> $"[{shape x} @{f.Text}({args items})]"
    | Pipe(Loose, x, f, items) -> $"[{shape x} |> {f.Text}({args items})]"
    | Member(x, name) -> $"[{shape x} . {name.Text}]"
    | Index(x, where) -> $"[{shape x} at {shape where}]"
    | Unary(Negate, x) -> $"[- {shape x}]"
    | Unary(Not, x) -> $"[not {shape x}]"
    | Range(a, b, None) -> $"[{shape a} .. {shape b}]"
    | Range(a, b, Some c) -> $"[{shape a} .. {shape b} by {shape c}]"
    | FSharp code -> $"fs'{code}'"
    | ExprNode.Error -> "ERROR"
    | Binary(op, a, b) ->
        let symbol =
            match op with
            | Add -> "+"
            | Subtract -> "-"
            | Multiply -> "*"
            | Divide -> "/"
            | Power -> "^"
            | Less -> "<"
            | LessEqual -> "<="
            | Greater -> ">"
            | GreaterEqual -> ">="
            | Equal -> "=="
            | NotEqual -> "!="
            | And -> "and"
            | Or -> "or"
        $"[{shape a} {symbol} {shape b}]"
