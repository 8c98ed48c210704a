/// From a name in a text to where it was given its meaning: in the text itself or in a file that it includes.
module Tva.Dsl.Services.Definitions

open System
open System.IO
open Tva.Dsl
open Tva.Dsl.Syntax

/// A place in the text that was asked about, or in a file (its full path).
type Location = { File: string option; Text: string; Start: int; End: int }

let private children (e: Expr) : Expr list =
    let args (list: Arg list) = list |> List.map _.Value
    match e.Node with
    | List items -> items
    | Block(bindings, result) -> (bindings |> List.map snd) @ [ result ]
    | Record entries -> entries |> List.map snd
    | Call(_, list) -> args list
    | Pipe(_, source, _, list) -> source :: args list
    | Member(x, _)
    | Unary(_, x) -> [ x ]
    | Index(x, y)
    | Binary(_, x, y) -> [ x; y ]
    | Range(first, last, by) -> first :: last :: Option.toList by
    | Number _
    | Text _
    | Bool _
    | Name _
    | FSharp _
    | Error -> []

let private holds (span: Span) offset = span.Start <= offset && offset <= span.End

/// The innermost binding of a block around the place that comes before it.
let rec private inBlocks (name: string) offset (e: Expr) : Span option =
    let inner = children e |> List.filter (fun c -> holds c.Span offset) |> List.tryPick (inBlocks name offset)
    match inner, e.Node with
    | Some _, _ -> inner
    | None, Block(bindings, _) ->
        bindings |> List.filter (fun (n, value) -> n.Text = name && (holds n.Span offset || value.Span.End < offset)) |> List.tryLast |> Option.map (fun (n, _) -> n.Span)
    | None, _ -> None

let private bodyOf (s: Statement) =
    match s.Node with
    | Let(_, e)
    | Param(_, e)
    | Expression e -> [ e ]
    | Def d -> d.Body :: (d.Params |> List.choose _.Default)
    | Assert(e, message) -> e :: Option.toList message
    | Print items -> items
    | Include _
    | FSharpDefinitions _
    | ErrorStatement -> []

let private defined (s: Statement) =
    match s.Node with
    | Let(name, _)
    | Param(name, _) -> Some name
    | Def d -> Some d.Name
    | _ -> None

/// The name that the text defines at an offset, and where its statement ends.
let definedAt (text: string) (offset: int) : (Ident * int) option =
    fst (Parser.parse (Classify.source text)) |> List.tryPick (fun s ->
        match defined s with
        | Some n when holds n.Span offset -> Some(n, s.Span.End)
        | _ -> None)

let private tryRead (full: string) =
    try
        if File.Exists full && FileInfo(full).Length <= 4_000_000L then Some(File.ReadAllText full) else None
    with
    | :? IOException
    | :? UnauthorizedAccessException -> None

/// The last definition of a name among statements that end before `limit`, those of included files in their place.
let rec private lastOf (name: string) (file: string option) (folder: string) (text: string) limit (around: string list) : Location option =
    let statements, _ = Parser.parse (Classify.source text)
    let ofStatement (s: Statement) =
        match s.Node, defined s with
        | Include path, _ ->
            let full = Path.GetFullPath(path.Text, folder)
            if List.contains full around then None
            else
                tryRead full |> Option.bind (fun t ->
                    let inner = Path.GetDirectoryName full |> Option.ofObj |> Option.defaultValue "."
                    lastOf name (Some full) inner t Int32.MaxValue (full :: around))
        | _, Some n when n.Text = name -> Some { File = file; Text = text; Start = n.Span.Start; End = n.Span.End }
        | _ -> None
    let before (s: Statement) = s.Span.End < limit || (defined s |> Option.exists (fun n -> holds n.Span limit))
    statements |> List.filter before |> List.rev |> List.tryPick ofStatement

/// Where the name at an offset was defined; nothing for what the language brings with it. Of an included path, the file.
let find (folder: string) (text: string) (offset: int) : Location option =
    let here start finish = Some { File = None; Text = text; Start = start; End = finish }
    let statements, _ = Parser.parse (Classify.source text)
    let around = statements |> List.tryFind (fun s -> holds s.Span offset)
    let tokens, _ = Lexer.tokenize (Classify.source text)
    match around, tokens |> Array.tryFind (fun t -> t.Kind = TokenKind.Name && holds t.Span offset) with
    | Some { Node = Include path }, _ when holds path.Span offset ->
        let full = Path.GetFullPath(path.Text, folder)
        tryRead full |> Option.map (fun t -> { File = Some full; Text = t; Start = 0; End = 0 })
    | _, None -> None
    | around, Some token ->
        let name = token.Text
        let local = around |> Option.bind (bodyOf >> List.filter (fun e -> holds e.Span offset) >> List.tryPick (inBlocks name offset))
        let parameter =
            match around with
            | Some { Node = Def d } when not (holds d.Name.Span offset) -> d.Params |> List.tryFind (fun p -> p.Name.Text = name) |> Option.map _.Name.Span
            | _ -> None
        match Option.orElse parameter local with
        | Some span -> here span.Start span.End
        | None -> lastOf name None folder text offset []
