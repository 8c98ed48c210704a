/// What an editor asks of a text that is being written: completions, what a name is, the type of an expression. Nothing of it stays.
namespace Tva.Dsl.Services

open System
open System.IO
open Tva.Dsl
open Tva.Dsl.Syntax
open Tva.Dsl.Typing

/// What is known of a name: the span it stands at and lines about it.
type Description = { Start: int; End: int; Lines: string list }

/// Answers over what an evaluator has taken in so far. Like it, not thread-safe.
type LanguageService(evaluator: Evaluator) =

    let mark = "tva?"

    /// Does something with the program as it is after a text, and takes everything back.
    let after (folder: string) (text: string) (work: Program -> Checker -> int -> 'a) : 'a option =
        let program, checker = evaluator.State
        let undo = checker.Mark()
        let solve = program.Solve
        // Whoever types must not wait for a pass over files.
        program.Solve <- fun _ -> raise (OperationCanceledException())
        // Nor does F# run because somebody types.
        let fsharp = program.FSharp
        program.FSharp <- fun () -> raise (OperationCanceledException())
        try
            try
                Stack.run (fun () ->
                    if text <> "" then
                        checker.Check(program.AddText("", Path.GetFullPath folder, text))
                    Some(work program checker program.Diagnostics.Count))
            with
            | :? OperationCanceledException
            | :? Tva.Core.FaultException
            | :? IOException
            | :? UnauthorizedAccessException -> None
        finally
            program.Solve <- solve
            program.FSharp <- fsharp
            undo ()

    let value folder (before: string) (expression: string) (work: Program -> Value -> 'a) : 'a option =
        after folder before (fun program checker _ ->
            checker.ValueOf(program.AddText("", Path.GetFullPath folder, expression)) |> Option.map (work program))
        |> Option.flatten

    let operand (text: string) (p: Place) (last: int) =
        if last < 0 then None
        else Place.operandStart p last |> Option.map (fun first -> text.Substring(first, p.Tokens[last].Span.End - first))

    /// The names of the parameters of the function that a bracket calls, with their kinds or defaults.
    let parameters (checker: Checker) (b: Bracket) : (string * string) list =
        match b.Callee with
        | None -> []
        | Some callee ->
            match checker.Names.TryFind callee.Text, Builtins.Table.find callee.Text with
            | Some(Value.Function c), _ ->
                c.Definition.Params |> List.map (fun p -> p.Name.Text, p.Type |> Option.map _.Text |> Option.defaultValue "")
            | _, Some b -> b.Parameters |> List.map (fun p -> p.Name, defaultArg p.Default (Kind.text p.Kind))
            | _ -> []

    let candidates start finish items : Completion =
        { Start = start; End = finish; Candidates = items }

    let matching (word: string) (items: Candidate list) =
        items
        |> List.filter (fun c -> c.Text.StartsWith(word, StringComparison.OrdinalIgnoreCase))
        |> List.distinctBy _.Text
        // What is written alike first.
        |> List.sortBy (fun c -> not (c.Text.StartsWith(word, StringComparison.Ordinal)), c.Text)

    let closers (p: Place) = String.Join("", p.Open |> List.map (fun b -> match b.Symbol with "(" -> ")" | "[" -> "]" | _ -> "}"))

    /// What an option may be, as the checker says when it is something else.
    let choices folder (text: string) (p: Place) (valueStart: int) : string list =
        let statement = text.Substring(p.Statement, valueStart - p.Statement)
        let trial = text.Substring(0, p.Statement) + statement + "\"" + mark + "\"" + closers p
        let listed (help: string) =
            [ "choose among "; "the choices are " ]
            |> List.tryPick (fun lead ->
                match help.IndexOf lead with
                | -1 -> None
                | i -> Some(help.Substring(i + lead.Length).Split(", ") |> List.ofArray |> List.filter (fun c -> not (c.StartsWith "..."))))
        after folder trial (fun program _ _ ->
            program.Diagnostics
            |> Seq.filter (fun d -> d.Message.Contains mark)
            |> Seq.tryPick (fun d -> d.Help |> Option.bind listed)
            |> Option.defaultValue [])
        |> Option.defaultValue []

    let checkpoints = [ ".safetensors"; ".pt"; ".pth"; ".bin"; ".gguf"; ".json" ]

    /// The parameter that the place is in: by its name, or by the comma.
    let parameter (checker: Checker) (b: Bracket) =
        match b.Option with
        | Some name -> Some name
        | None -> parameters checker b |> List.tryItem b.Argument |> Option.map fst

    let inLiteral (folder: string) (text: string) offset (p: Place) =
        let from = p.Literal.Value
        let _, checker = evaluator.State
        let before = text.Substring(0, p.Statement)
        let finish =
            match p.Tokens |> Array.tryItem p.Before with
            | Some t when t.Span.End > offset && text[t.Span.End - 1] = '"' -> t.Span.End - 1
            | _ -> offset
        let tensors (names: string list) = names |> List.map (fun n -> { Text = n; Kind = CandidateKind.Tensor; Detail = "" })
        let ofSources (program: Program) =
            program.Models |> Seq.collect (fun i -> program.Tensors i |> Seq.map _.Name) |> Seq.distinct |> List.ofSeq
        let previous = Place.previous p p.Before
        let call = p.Open |> List.tryFind (fun b -> b.Symbol = "(")
        let isPath = function "path" | "glob or list or record" -> true | _ -> false
        match p.Open with
        | _ when previous >= 0 && p.Tokens[previous].Kind = TokenKind.Keyword && p.Tokens[previous].Text = "include" ->
            candidates from offset (Paths.listed folder p.Word [ ".tva" ])
        | b :: _ when b.IsIndex ->
            let target = operand text p (Place.previous p b.Token)
            let names = target |> Option.bind (fun t -> value folder before t Describe.tensorNames) |> Option.defaultValue []
            candidates from finish (matching p.Word (tensors names))
        | { Callee = Some c } :: _ when c.Text = "tensors" ->
            candidates from finish (matching p.Word (tensors (ofSources (fst evaluator.State))))
        | _ when call.IsSome && (parameter checker call.Value |> Option.exists isPath || call.Value.Callee |> Option.exists (fun c -> c.Text = "family")) ->
            let folders = call.Value.Callee |> Option.exists (fun c -> c.Text = "save")
            candidates from offset (Paths.listed folder p.Word (if folders then [] else checkpoints))
        | { Symbol = "(" } :: _ ->
            let found = choices folder text p (from - 1)
            candidates from finish (matching p.Word (found |> List.map (fun c -> { Text = c; Kind = CandidateKind.Value; Detail = "" })))
        | _ -> Completion.None

    /// Of a text that nothing closes yet the close comes along, except behind a folder: the path goes on.
    let closed (text: string) offset (p: Place) (c: Completion) =
        let isClosed = p.Tokens |> Array.tryItem p.Before |> Option.exists (fun t -> t.Span.End > offset && text[t.Span.End - 1] = '"')
        if isClosed then c
        else { c with Candidates = c.Candidates |> List.map (fun x -> if x.Text.EndsWith '/' then x else { x with Text = x.Text + "\"" }) }

    /// Names that the statement itself brings: parameters of its `def` and names in its blocks.
    let localNames (p: Place) =
        let mutable inHeader = false
        let mutable brackets = []
        [ for i in 0 .. p.Before - 1 do
              let t = p.Tokens[i]
              match t.Kind, t.Text with
              | _ when t.Span.Start < p.Statement -> ()
              | TokenKind.Keyword, "def" -> inHeader <- true
              | TokenKind.Symbol, ("(" | "[" | "{") -> brackets <- t.Text :: brackets
              | TokenKind.Symbol, (")" | "]" | "}") -> brackets <- (match brackets with _ :: outer -> outer | [] -> [])
              | TokenKind.Symbol, "=" when brackets.IsEmpty -> inHeader <- false
              | _ -> ()
              // `name =` in a call is the name of an argument, `name:` in a record that of an entry.
              let brings (symbol: string) = inHeader || symbol = "=" && (match brackets with [] | "{" :: _ -> true | _ -> false)
              if t.Span.Start >= p.Statement && t.Kind = TokenKind.Name then
                  let next = p.Tokens |> Array.tryItem (i + 1)
                  match next with
                  | Some { Kind = TokenKind.Symbol; Text = (":" | "=") as symbol } when brings symbol -> { Text = t.Text; Kind = CandidateKind.Name; Detail = "local" }
                  | _ -> () ]

    let functions (checker: Checker) =
        let described = Help.entries.Value |> List.map (fun e -> e.Name, e.Signature) |> dict
        [ for KeyValue(name, v) in checker.Names do
              match v with
              | Value.Function c -> { Text = name; Kind = CandidateKind.Function; Detail = Trees.signature c.Definition }
              | _ -> ()
          for b in Builtins.Table.all do
              { Text = b.Name; Kind = CandidateKind.Function; Detail = (match described.TryGetValue b.Name with | true, s -> s | _ -> b.Signature) } ]

    let inSight (program: Program) (checker: Checker) =
        [ for KeyValue(name, v) in checker.Names do
              match v with
              | Value.Function _ -> ()
              | v -> { Text = name; Kind = CandidateKind.Name; Detail = Describe.value program v } ]

    let atWord (folder: string) (text: string) offset (p: Place) =
        let before = text.Substring(0, p.Statement)
        let previous = Place.previous p p.Before
        let isSymbol = Place.isSymbol p previous
        let finish =
            match p.Tokens |> Array.tryItem p.Before with
            | Some t when t.Kind = TokenKind.Name && t.Span.Start < offset -> t.Span.End
            | _ -> offset
        let made items = candidates p.Start finish (matching p.Word items)
        if isSymbol "." then
            let target = operand text p (Place.previous p previous)
            let quoted (name: string) = if Words.isName name then name else "\"" + name + "\""
            target
            |> Option.bind (fun t -> value folder before t Describe.members)
            |> Option.defaultValue []
            |> List.map (fun (name, detail) -> { Text = quoted name; Kind = CandidateKind.Member; Detail = detail })
            |> made
        elif isSymbol ":" && (match p.Open with b :: _ -> b.Symbol = "(" | [] -> true) then
            made (Kind.all |> List.map (fun k -> { Text = Kind.text k; Kind = CandidateKind.Type; Detail = "" }))
        else
            after folder before (fun program checker _ ->
                let options =
                    match p.Open with
                    | b :: _ when b.Symbol = "(" && (isSymbol "(" || isSymbol ",") ->
                        // What has been given by position isn't given by name as well.
                        let all = parameters checker b
                        all
                        |> List.skip (Math.Clamp(b.Argument - b.Given.Length, 0, all.Length))
                        |> List.filter (fun (name, _) -> Words.isName name && not (List.contains name b.Given))
                        |> List.map (fun (name, detail) -> { Text = name + " = "; Kind = CandidateKind.Option; Detail = detail })
                    | _ -> []
                let values =
                    match p.Open with
                    | { Option = Some _ } :: _ when isSymbol "=" -> choices folder text p p.Start
                    | _ -> []
                let values = values |> List.map (fun c -> { Text = $"\"{c}\""; Kind = CandidateKind.Value; Detail = "" })
                let keywords = Words.keywords |> Set.toList |> List.map (fun w -> { Text = w; Kind = CandidateKind.Keyword; Detail = "" })
                if isSymbol "@" || isSymbol "|>" then functions checker
                elif p.Word = "" && not values.IsEmpty then values
                elif p.Word = "" && not options.IsEmpty then options
                else values @ options @ localNames p @ inSight program checker @ functions checker @ keywords)
            |> Option.map made
            |> Option.defaultValue Completion.None

    /// What may stand at an offset of a text; paths in it are relative to the folder.
    member _.Complete(folder: string, text: string, offset: int) : Completion =
        let p = Place.at text offset
        if p.InComment then Completion.None
        elif p.Literal.IsSome then closed text offset p (inLiteral folder text offset p)
        else atWord folder text offset p

    /// Files and folders that a path may go on with, for what is no text of the language.
    member _.Paths(folder: string, written: string, extensions: string list) = Paths.listed folder written extensions

    /// What stands at an offset: a function with its signature and what it does, or a name with what it is.
    member _.Describe(folder: string, text: string, offset: int) : Description option =
        let p = Place.at text offset
        let about (name: string) =
            after folder (text.Substring(0, p.Statement)) (fun program checker _ ->
                match checker.Names.TryFind name, Help.entries.Value |> List.tryFind (fun e -> e.Name = name) with
                | Some(Value.Function { IsPrelude = false; Definition = d }), _ -> [ Trees.signature d; d.Doc ] |> List.filter ((<>) "")
                | Some(Value.Function _), Some e
                | None, Some e -> [ e.Signature; e.Summary; (if e.Example = "" then "" else "example: " + e.Example) ] |> List.filter ((<>) "")
                | Some v, _ -> [ $"{name}: {Describe.value program v}" ]
                | None, None -> [])
            |> Option.defaultValue []
        // Of a place inside a call that is on no name, the call.
        let isNamed = p.Before < p.Tokens.Length && p.Tokens[p.Before].Kind = TokenKind.Name && p.Tokens[p.Before].Span.Start <= offset
        let token = if isNamed then Some p.Tokens[p.Before] else p.Open |> List.tryPick _.Callee
        match token with
        | Some t ->
            match about t.Text with
            | [] -> None
            | lines -> Some { Start = t.Span.Start; End = t.Span.End; Lines = lines }
        | None -> None

    /// What is wrong with a text, with the texts that the spans are in. What would take a pass over files is not looked at.
    member _.Diagnose(name: string, folder: string, text: string) : Diagnostic list * SourceText list =
        let program, checker = evaluator.State
        let undo = checker.Mark()
        let solve = program.Solve
        let known, before = program.Diagnostics.Count, program.Texts.Count
        program.Solve <- fun _ -> raise (OperationCanceledException())
        try
            try
                Stack.run (fun () -> checker.Check(program.AddText(name, Path.GetFullPath folder, text)))
            with :? OperationCanceledException ->
                ()
            let found = program.Diagnostics |> Seq.skip known |> Seq.sortBy (fun d -> d.Span.Source, d.Span.Start) |> List.ofSeq
            found, program.Texts |> Seq.skip before |> List.ofSeq
        finally
            program.Solve <- solve
            undo ()

    /// What an expression is, or what is wrong with it.
    member _.TypeOf(folder: string, text: string) : Result<string, Diagnostic list> =
        let answer =
            after folder "" (fun program checker known ->
                let v = checker.ValueOf(program.AddText("<type>", Path.GetFullPath folder, text))
                let found = program.Diagnostics |> Seq.skip known |> List.ofSeq
                match v with
                | Some v when found |> List.forall (fun d -> d.Severity <> Severity.Error) -> Ok(Describe.value program v)
                | _ -> Result.Error found)
        match answer with
        | Some a -> a
        | None -> Ok "not known before a pass over its files"

    /// Where literal paths stand in a text: those that load functions, `save` and `include` take.
    static member PathLiterals(text: string) : (int * int * string) list =
        let tokens, _ = Lexer.tokenize (Classify.source text)
        let taken = set [ "model"; "delta"; "family"; "save" ]
        [ for t in tokens do
              if t.Kind = TokenKind.Text && t.Span.End - t.Span.Start >= 2 then
                  let p = Place.at text (t.Span.Start + 1)
                  let previous = Place.previous p p.Before
                  let isIncluded = previous >= 0 && p.Tokens[previous].Kind = TokenKind.Keyword && p.Tokens[previous].Text = "include"
                  let isTaken =
                      match p.Open |> List.tryFind (fun b -> b.Symbol = "(") with
                      | Some { Callee = Some c; Option = option; Argument = n } when taken.Contains c.Text ->
                          (match option with
                           | Some name -> name = "path"
                           | None -> if c.Text = "save" then n = 1 else n = 0 || c.Text = "family")
                      | _ -> false
                  if isIncluded || isTaken then t.Span.Start, t.Span.End, t.Text ]
