/// From F# to the same F# that asks in every loop and function whether it is to stop. Each question stands on a line of its own, with what
/// follows it in the column where it was, so that places are the same but for their lines.
module internal Tva.Scripting.Stopping

open System
open FSharp.Compiler.CodeAnalysis
open FSharp.Compiler.Syntax
open FSharp.Compiler.Text

/// The name that F# calls Running.check by. A value of .NET's own types: a reference to this assembly would take half a second to read.
[<Literal>]
let Name = "tvaAsk"

[<Literal>]
let private Question = Name + ".Invoke()"

/// `let f x : int = e` has a type around its body.
let rec private untyped (e: SynExpr) =
    match e with
    | SynExpr.Typed(inner, _, _) -> untyped inner
    | e -> e

/// Where what loops and functions do begins, and what a text does outside of them; by line.
let private beginnings (lines: string[]) (input: ParsedInput) : Map<int, int list> =
    let isWritten (word: string) (at: pos) = lines[at.Line - 1].AsSpan(at.Column).StartsWith(word, StringComparison.Ordinal)
    let start (e: SynExpr) =
        match e with
        // `-> e` is a `yield` without the word.
        | SynExpr.YieldOrReturn(_, inner, range, _) when not (isWritten "yield" range.Start || isWritten "return" range.Start) -> (untyped inner).Range.Start
        | e -> (untyped e).Range.Start
    let isQuoted path = path |> List.exists (function SyntaxNode.SynExpr(SynExpr.Quote _) -> true | _ -> false)
    let isTop path = path |> List.forall (function SyntaxNode.SynModule _ | SyntaxNode.SynModuleOrNamespace _ -> true | _ -> false)
    let take (found: pos list) path node =
        if isQuoted path then found
        else
            match node with
            | SyntaxNode.SynExpr(SynExpr.While(doExpr = body))
            | SyntaxNode.SynExpr(SynExpr.WhileBang(doExpr = body))
            | SyntaxNode.SynExpr(SynExpr.For(doBody = body))
            | SyntaxNode.SynExpr(SynExpr.ForEach(bodyExpr = body))
            | SyntaxNode.SynExpr(SynExpr.Lambda(parsedData = Some(_, body))) -> start body :: found
            | SyntaxNode.SynExpr(SynExpr.MatchLambda(matchClauses = clauses)) -> [ for SynMatchClause(resultExpr = e) in clauses -> start e ] @ found
            | SyntaxNode.SynBinding(SynBinding(headPat = SynPat.LongIdent(argPats = SynArgPats.Pats(_ :: _)); expr = body)) -> start body :: found
            // A value that is made by doing something.
            | SyntaxNode.SynBinding(SynBinding(expr = body)) when isTop path ->
                match untyped body with
                | SynExpr.App _ as e -> start e :: found
                | _ -> found
            | SyntaxNode.SynModule(SynModuleDecl.Expr(expr = e)) -> start e :: found
            | _ -> found
    ([], input)
    ||> ParsedInput.fold take
    |> List.distinct
    |> List.groupBy _.Line
    |> List.map (fun (line, found) -> line - 1, found |> List.map _.Column |> List.sort)
    |> Map.ofList

/// Where the expression begins that a text ends with.
let private result (input: ParsedInput) : pos option =
    match input with
    | ParsedInput.ImplFile(ParsedImplFileInput(contents = modules)) ->
        modules
        |> List.tryLast
        |> Option.bind (fun (SynModuleOrNamespace(decls = declarations)) -> List.tryLast declarations)
        |> Option.bind (function SynModuleDecl.Expr(expr = e) -> Some e.Range.Start | _ -> None)
    | _ -> None

type Asking =
    { Text: string
      /// For each of its lines the line, from 1, that it is of what was given.
      Lines: int[] }

let asItIs (text: string) = { Text = text; Lines = [| 1 .. text.Split('\n').Length |] }

/// The text, as it is where it can't be read. `boxed`: what it ends with may be of any type (`failwith "no"` is of all).
let asking (checker: FSharpChecker) (text: string) (file: string) (boxed: bool) : Asking =
    let options = { FSharpParsingOptions.Default with SourceFiles = [| file |]; IsInteractive = true }
    let parsed = checker.ParseFile(file, SourceText.ofString text, options, cache = false) |> Async.RunSynchronously
    if parsed.ParseHadErrors then asItIs text
    else
        let lines = text.Split '\n'
        let found = beginnings lines parsed.ParseTree
        let last = if boxed then result parsed.ParseTree else None
        let made = ResizeArray<struct (string * int)>()
        for l in 0 .. lines.Length - 1 do
            let add (piece: string) = made.Add(struct (piece, l + 1))
            let mutable column = 0
            let indent () = String(' ', column)
            for at in found.TryFind l |> Option.defaultValue [] do
                let before = indent () + lines[l].Substring(column, at - column)
                if not (String.IsNullOrWhiteSpace before) then
                    add before
                column <- at
                add (indent () + Question)
                if last |> Option.exists (fun p -> p.Line = l + 1 && p.Column = at) then
                    add (indent () + "box <|")
            add (indent () + lines[l].Substring column)
        { Text = String.Join("\n", [ for struct (piece, _) in made -> piece ]); Lines = [| for struct (_, line) in made -> line |] }
