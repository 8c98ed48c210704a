/// From a tree to its canonical text: one statement a line, brackets only where the grammar needs them. `parse (print e) = e`.
module Tva.Dsl.Syntax.Printer

open System
open System.Collections.Generic
open System.Globalization
open System.Text
open Tva.Dsl

/// A text literal on one line.
let quote (text: string) =
    let out = StringBuilder("\"")
    for c in text do
        match c with
        | '"' -> out.Append "\\\""
        | '\\' -> out.Append "\\\\"
        | '\n' -> out.Append "\\n"
        | '\t' -> out.Append "\\t"
        // U+2028 and U+2029 end a line in some editors.
        | c when Char.IsControl c || c = '\u2028' || c = '\u2029' -> out.Append($"\\u{{{int c:X}}}")
        | c -> out.Append c
        |> ignore
    out.Append('"').ToString()

let private number (value: float) = value.ToString("R", CultureInfo.InvariantCulture).ToLowerInvariant()

let private power (expr: Expr) =
    match expr.Node with
    | Binary(op, _, _) -> (Operators.infix op).Power
    | Range _ -> Operators.interval.Power
    | Pipe(Loose, _, _, _) -> Operators.loosePipe.Power
    | Unary _ -> Operators.Prefix
    // The optimizer's trees may hold negative numbers; a text has only `-` before one.
    | Number value when value < 0.0 -> Operators.Prefix
    | _ -> Operators.Postfix

/// The leftmost part, which can be as deep as a chain of operators is long, with the least power it may have unbracketed.
let private leftmost (expr: Expr) =
    let operand (row: Infix) (left: Expr) =
        match left.Node with
        // Not needed, but the parser warns of `not a == b`.
        | Unary(Not, _) when row.Power > (Operators.infix And).Power -> ValueSome struct (left, Operators.Postfix)
        | _ ->
            let struct (least, _) = Operators.operands row
            ValueSome struct (left, least)
    match expr.Node with
    | Binary(op, left, _) -> operand (Operators.infix op) left
    | Range(first, _, _) -> operand Operators.interval first
    | Pipe(Loose, source, _, _) -> operand Operators.loosePipe source
    | Pipe(Tight, source, _, _)
    | Member(source, _)
    | Index(source, _) -> ValueSome struct (source, Operators.Postfix)
    | _ -> ValueNone

let private append (out: StringBuilder) (text: string) = out.Append text |> ignore

let private separated (out: StringBuilder) (separator: string) (write: 'a -> unit) (items: 'a list) =
    items
    |> List.iteri (fun i item ->
        if i > 0 then
            append out separator
        write item)

/// As it stands behind a point, or before a colon.
let memberText name = if Words.isName name then name else quote name

let rec private write (out: StringBuilder) (least: int) (expr: Expr) : unit =
    // Down the left side in a loop, so that the length of a chain is not the depth of the recursion.
    let chain = Stack<struct (Expr * bool)>()
    let mutable expr = expr
    let mutable least = least
    let mutable go = true
    while go do
        let bracketed = power expr < least
        if bracketed then
            append out "("
        chain.Push(struct (expr, bracketed))
        match leftmost expr with
        | ValueSome struct (left, needed) ->
            expr <- left
            least <- needed
        | ValueNone -> go <- false
    while chain.Count > 0 do
        let struct (expr, bracketed) = chain.Pop()
        rest out expr
        if bracketed then
            append out ")"

/// All of an expression but its leftmost part.
and private rest (out: StringBuilder) (expr: Expr) : unit =
    match expr.Node with
    | Number value -> append out (number value)
    | Text text -> append out (quote text)
    | Bool value -> append out (if value then "true" else "false")
    | Name name -> append out name
    | List items ->
        append out "["
        separated out ", " (write out 0) items
        append out "]"
    | Block(bindings, value) ->
        append out "{ "
        for name, bound in bindings do
            append out $"{name.Text} = "
            write out 0 bound
            append out "; "
        write out 0 value
        append out " }"
    | Record [] -> append out "{}"
    | Record entries ->
        append out "{ "
        entries
        |> separated out ", " (fun (key, value) ->
            match key with
            | Key name -> append out name.Text
            | Glob text -> append out (quote text.Text)
            | Else _ -> append out "else"
            append out ": "
            write out 0 value)
        append out " }"
    | Call(callee, args) ->
        append out callee.Text
        arguments out args
    | Pipe(kind, _, callee, args) ->
        append out (match kind with Tight -> " @" | Loose -> " |> ")
        append out callee.Text
        if not args.IsEmpty then
            arguments out args
    | Member(_, name) -> append out $".{memberText name.Text}"
    | Index(_, where) ->
        append out "["
        write out 0 where
        append out "]"
    | Unary(op, operand) ->
        append out (Operators.unary op)
        write out Operators.Prefix operand
    | Binary(op, _, right) ->
        let row = Operators.infix op
        let struct (_, least) = Operators.operands row
        append out $" {row.Symbol} "
        write out least right
    | Range(_, last, step) ->
        let struct (_, least) = Operators.operands Operators.interval
        append out ".."
        write out least last
        match step with
        | Some step ->
            append out " by "
            write out least step
        | None -> ()
    | FSharp code -> append out $"fs {quote code}"
    | ExprNode.Error -> append out "?"

and private arguments (out: StringBuilder) (args: Arg list) : unit =
    append out "("
    args
    |> separated out ", " (fun arg ->
        match arg.Name with
        | Some name -> append out $"{name.Text} = "
        | None -> ()
        write out 0 arg.Value)
    append out ")"

/// An expression on one line.
let expression (expr: Expr) : string =
    let out = StringBuilder()
    write out 0 expr
    out.ToString()

let private parameter (p: Param) =
    let kind = match p.Type with Some kind -> $": {kind.Text}" | None -> ""
    let value = match p.Default with Some value -> $" = {expression value}" | None -> ""
    p.Name.Text + kind + value

/// `f(x: Delta, k: Scalar = 0.1): Delta`: a definition's head, as help shows it.
let signature (d: Definition) : string =
    let parameters = d.Params |> List.map parameter |> String.concat ", "
    let result = match d.Result with Some result -> $": {result.Text}" | None -> ""
    $"{d.Name.Text}({parameters}){result}"

/// A statement without a line end behind it; a definition has its documentation above.
let statement (statement: Statement) : string =
    match statement.Node with
    | Let(name, value) -> $"{name.Text} = {expression value}"
    | Def d ->
        let doc =
            if d.Doc = "" then ""
            else String.concat "" [ for line in d.Doc.Split '\n' -> (if line = "" then "##" else $"## {line}") + "\n" ]
        $"{doc}def {signature d} = {expression d.Body}"
    | Assert(condition, Some message) -> $"assert {expression condition}, {expression message}"
    | Assert(condition, None) -> $"assert {expression condition}"
    | Print values ->
        let values = values |> List.map expression |> String.concat ", "
        $"print({values})"
    | Param(name, value) -> $"param {name.Text} = {expression value}"
    | Include path -> $"include {quote path.Text}"
    | Expression value -> expression value
    | FSharpDefinitions code -> $"fs \"\"\"{code.Text}\"\"\""
    | ErrorStatement -> "?"

/// A whole text, each statement on a line of its own.
let script (statements: Statement list) : string =
    String.Join("", statements |> List.map (fun s -> statement s + "\n"))
