/// TVA's expressions as .NET values: operations on them are checked as the same operations in a script are, by the same checker.
namespace Tva.Scripting

open System
open System.IO
open System.Text
open System.Threading
open Tva.Core
open Tva.Dsl
open Tva.Dsl.Graph
open Tva.Dsl.Syntax
open Tva.Dsl.Typing

/// What the checker says of an operation, with its findings.
type TvaException(message: string, diagnostics: Diagnostic list) =
    inherit Exception(message)
    member _.Diagnostics = diagnostics
    /// The operation as it would be written in TVA, where it is known.
    member val Operation = "" with get, set

/// The names that a text rests on, with what they stood for when it was written.
type internal Rests = Map<string, Value>

/// What an operation is made of, for its text and its tree.
[<RequireQualifiedAccess>]
type internal Operand =
    /// A value of the session, how it is written, and whether that needs brackets beside an operator.
    | Value of Value * text: string * isAtom: bool * rests: Rests
    | Tree of ExprNode * text: string

/// The expressions of one evaluator. Not thread-safe.
// The evaluator's type is kept out of the public constructors, so that a script needs to reference this assembly only.
[<Sealed>]
type Session internal (evaluator: Evaluator, folder: string) =
    /// Longer ones are shown cut.
    let longest = 20_000
    let folder = Path.GetFullPath folder
    let noEvent: Action<Event> = Action<Event>(ignore)

    /// A session of its own; paths are relative to the folder.
    new(folder: string) = new Session(new Evaluator({ EvaluatorOptions.Default with Session = true }), folder)

    /// Over an evaluator that is used otherwise too; its names are in sight of `Eval`. It stays its owner's: do not dispose this.
    static member Over(evaluator: Evaluator, folder: string) = new Session(evaluator, folder)

    member _.Evaluator = evaluator
    member _.Folder = folder
    /// Stops what is computed.
    member val Cancellation = CancellationToken.None with get, set
    /// Hears of passes and of what is saved.
    member val OnEvent = noEvent with get, set

    /// What has been done (files saved), as TVA, with the names that it rests on.
    member val internal Done = ResizeArray<string * Rests>()

    member internal _.Program = fst evaluator.State
    member internal _.Checker = snd evaluator.State

    /// Work of the language's within a person's F#: it heeds the wish to stop itself, and is not ended halfway.
    member private this.Own(work: unit -> 'a) : 'a =
        this.Cancellation.ThrowIfCancellationRequested()
        Running.ends ()
        try
            work ()
        finally
            Running.begins ()

    /// The session's names among the words of a text.
    member private this.NamesIn(text: string) : Rests =
        let known = this.Checker.Names
        let tokens, _ = Lexer.tokenize { Number = -1; Name = ""; Folder = folder; Text = text }
        (Map.empty, tokens)
        ||> Array.fold (fun (all: Rests) t ->
            match known.TryFind t.Text with
            | Some v when t.Kind = TokenKind.Name -> all.Add(t.Text, v)
            | _ -> all)

    /// Whether a text still says in TVA what it said when it was written.
    member internal this.StillSays(rests: Rests) =
        let known = this.Checker.Names
        rests |> Map.forall (fun name v -> match known.TryFind name with Some now -> obj.ReferenceEquals(now, v) | None -> false)

    /// Checks an operation, given as the parts of its text and how its tree is made of the operands' trees, and does what it does.
    member internal this.Perform(parts: Choice<string, Operand> list, build: SourceText -> Expr list -> Expr) : Expression =
        this.Own(fun () -> this.Checked(parts, build))

    member private this.Checked(parts: Choice<string, Operand> list, build: SourceText -> Expr list -> Expr) : Expression =
        let program, checker = this.Program, this.Checker
        let text = StringBuilder()
        let spans = ResizeArray<struct (int * int)>()
        let operands = parts |> List.choose (function Choice2Of2 o -> Some o | _ -> None)
        for part in parts do
            match part with
            | Choice1Of2 s -> text.Append s |> ignore
            | Choice2Of2 o ->
                let written = match o with Operand.Value(_, t, _, _) | Operand.Tree(_, t) -> t
                let written = if text.Length + written.Length > longest then "(...)" else written
                spans.Add(struct (text.Length, text.Length + written.Length))
                text.Append written |> ignore
        let source = program.AddText("<F#>", folder, text.ToString())
        let names = operands |> List.mapi (fun i o -> match o with Operand.Value(v, _, _, _) -> Some($"operand {i}", v) | _ -> None)
        let trees =
            operands
            |> List.mapi (fun i o ->
                let struct (first, last) = spans[i]
                ({ Span = { Source = source.Number; Start = first; End = last }
                   Node = (match o with Operand.Value _ -> ExprNode.Name $"operand {i}" | Operand.Tree(node, _) -> node) }: Expr))
        let undo = checker.Mark()
        let known, done' = program.Diagnostics.Count, program.Effects.Count
        let value =
            try
                let value = Stack.run (fun () -> checker.Evaluate(folder, List.choose id names, build source trees))
                let found = program.Diagnostics |> Seq.skip known |> List.ofSeq
                if value.IsUnknown || found |> List.exists (fun d -> d.Severity = Severity.Error) then
                    raise (TvaException((Render.diagnostics (List.ofSeq program.Texts) false found).TrimEnd(), found, Operation = source.Text))
                value
            with _ ->
                undo ()
                reraise ()
        let rests =
            (Map.empty, parts)
            ||> List.fold (fun (all: Rests) part ->
                match part with
                | Choice1Of2 text -> (all, this.NamesIn text) ||> Map.fold (fun all name v -> all.Add(name, v))
                | Choice2Of2(Operand.Value(_, _, _, rests)) -> (all, rests) ||> Map.fold (fun all name v -> all.Add(name, v))
                | Choice2Of2(Operand.Tree _) -> all)
        // What the operation does, it does now.
        let effects = program.Effects |> Seq.skip done' |> List.ofSeq
        if not effects.IsEmpty then
            program.Effects.RemoveRange(done', effects.Length)
            this.Do effects
            this.Done.Add((source.Text, rests))
        Expression(this, program, value, source.Text, rests)

    member internal this.Do(effects: Effect list) =
        match evaluator.Do(effects, this.OnEvent.Invoke, this.Cancellation) with
        | Outcome.Completed -> ()
        | Outcome.AssertionFailed message -> raise (TvaException(message, []))

    /// What a value shows, computed where it has to be.
    member internal this.Show(value: Value) : Shown = this.Own(fun () -> this.Computed value)

    member private this.Computed(value: Value) : Shown =
        let mutable shown = Shown.Text ""
        let hear (e: Event) =
            match e with
            | Event.Shown(_, items) -> shown <- List.head items
            | other -> this.OnEvent.Invoke other
        match evaluator.Do([ Effect.Show([ None, value ], Span.None) ], hear, this.Cancellation) with
        | Outcome.Completed -> shown
        | Outcome.AssertionFailed message -> raise (TvaException(message, []))

    /// A value of the session as an expression, under its name.
    member internal this.Wrap(name: string, value: Value) = Expression(this, this.Program, value, name, Map.ofList [ name, value ])

    /// A TVA expression, in sight of the session's names: `tva.Eval "base + 0.3 * sum(tasks)"`.
    member this.Eval(text: string) : Expression =
        this.Perform(
            [ Choice1Of2 text ],
            (fun source _ ->
                match Parser.parse source with
                | [ { Node = StatementNode.Expression e } ], [] -> e
                | _, [] -> raise (TvaException($"`{text}` is no expression", []))
                | _, found -> raise (TvaException((Render.diagnostics (List.ofSeq this.Program.Texts) false found).TrimEnd(), found)))
        )

    /// A function of the language (`tva ops` lists them) with its arguments in order and those by name.
    member this.Call(name: string, arguments: objnull list, options: (string * objnull) list) : Expression =
        let operands = [ for a in arguments -> None, this.Operand a ] @ [ for (key, a) in options -> Some key, this.Operand a ]
        let parts =
            [ Choice1Of2(name + "(")
              for i, (key, o) in List.indexed operands do
                  if i > 0 then Choice1Of2 ", "
                  match key with
                  | Some key -> Choice1Of2(key + " = ")
                  | None -> ()
                  Choice2Of2 o
              Choice1Of2 ")" ]
        let build (source: SourceText) (trees: Expr list) =
            let whole = { Source = source.Number; Start = 0; End = source.Text.Length }
            let callee: Ident = { Text = name; Span = { whole with End = name.Length } }
            let arg (key, tree: Expr) : Arg = { Name = key |> Option.map (fun k -> { Text = k; Span = tree.Span }); Value = tree }
            ({ Node = ExprNode.Call(callee, List.zip (List.map fst operands) trees |> List.map arg); Span = whole }: Expr)
        this.Perform(parts, build)

    member this.Call(name: string, [<ParamArray>] arguments: objnull[]) : Expression = this.Call(name, List.ofArray arguments, [])

    /// A .NET value as an operand: expressions, and all that `fs "..."` takes.
    member internal this.Operand(value: objnull) : Operand =
        match value with
        | :? Expression as e -> e.Operand this
        | other ->
            let rec tree (v: FSharpValue) : ExprNode * string =
                let at node : Expr = { Node = node; Span = Span.None }
                match v with
                | FSharpValue.Number v -> ExprNode.Number v, v.ToString("R", Globalization.CultureInfo.InvariantCulture)
                | FSharpValue.Truth b -> ExprNode.Bool b, (if b then "true" else "false")
                | FSharpValue.Text t -> ExprNode.Text t, "\"" + t.Replace("\\", "\\\\").Replace("\"", "\\\"") + "\""
                | FSharpValue.List vs ->
                    let items = vs |> List.map tree
                    ExprNode.List(items |> List.map (fst >> at)), "[" + String.Join(", ", List.map snd items) + "]"
                | FSharpValue.Record entries ->
                    let items = entries |> List.map (fun (name, v) -> name, tree v)
                    let key name = if name = "else" then Else Span.None elif Words.isName name then Key { Text = name; Span = Span.None } else Glob { Text = name; Span = Span.None }
                    let shown name = if Words.isName name then name else $"\"{name}\""
                    ExprNode.Record(items |> List.map (fun (name, (node, _)) -> key name, at node)),
                    "{ " + String.Join(", ", items |> List.map (fun (name, (_, text)) -> $"{shown name}: {text}")) + " }"
            match other with
            | :? System.Collections.IEnumerable as items when (items :? string |> not) && items |> Seq.cast<objnull> |> Seq.exists (fun i -> i :? Expression) ->
                // A list that holds expressions is one of the checker's lists.
                let operands = items |> Seq.cast<objnull> |> Seq.map this.Operand |> List.ofSeq
                let value o =
                    match o with
                    | Operand.Value(v, _, _, _) -> v
                    | Operand.Tree(node, _) -> this.Checker.Evaluate(folder, [], ({ Node = node; Span = Span.None }: Expr))
                let text = String.Join(", ", operands |> List.map (function Operand.Value(_, t, _, _) | Operand.Tree(_, t) -> t))
                let rests =
                    (Map.empty, operands)
                    ||> List.fold (fun (all: Rests) o ->
                        match o with
                        | Operand.Value(_, _, _, rests) -> (all, rests) ||> Map.fold (fun all name v -> all.Add(name, v))
                        | Operand.Tree _ -> all)
                Operand.Value(Value.List(operands |> List.map value), $"[{text}]", true, rests)
            | _ ->
                let node, text =
                    try
                        tree (Conversion.ofObject other)
                    with Conversion.NoCounterpart(message, help) ->
                        raise (TvaException(message.Replace("the F# gives", "an argument is") + (match help with Some h -> "\n  help: " + h | None -> ""), []))
                Operand.Tree(node, text)

    /// A checkpoint as a Model.
    member this.Model(path: string) : Expression = this.Call("model", path)
    /// The difference of a checkpoint from its base.
    member this.Delta(path: string, origin: Expression) : Expression = this.Call("delta", path, origin)
    /// The differences of the checkpoints that a pattern (or folder of a basis) names, from one base.
    member this.Family(pattern: string, origin: Expression) : Expression = this.Call("family", pattern, origin)

    interface IDisposable with
        member _.Dispose() = (evaluator :> IDisposable).Dispose()

/// An expression of TVA: a Model, a Delta, a Family, a Basis, a Scalar, a Table... Nothing is computed before it is asked for.
and [<Sealed; AllowNullLiteral(false)>] Expression internal (session: Session, program: Program, value: Value, text: string, rests: Rests) =

    /// Whether nothing stands outside brackets and quotes but parts of names and these.
    let isMadeOf (others: string) (text: string) =
        let mutable depth, quoted, atom = 0, false, true
        for c in text do
            if c = '"' then quoted <- not quoted
            elif not quoted then
                if c = '(' || c = '[' || c = '{' then depth <- depth + 1
                elif c = ')' || c = ']' || c = '}' then depth <- depth - 1
                elif depth = 0 && not (Char.IsLetterOrDigit c || c = '_' || others.Contains c) then atom <- false
        atom

    /// Whether it binds as tightly as a member; as a product.
    let isAtom = isMadeOf "."
    let isProduct = isMadeOf ".*/ "

    /// Whether a text that is no atom may bind less tightly than `+`: `x |> f(a)`, `x < y`.
    let isLoose (text: string) = text.AsSpan().ContainsAny("|<>=") || [ " and "; " or "; "not "; ".." ] |> List.exists text.Contains

    /// Brackets around what is no atom.
    let asAtom (o: Operand) = match o with Operand.Value(v, t, false, rests) -> Operand.Value(v, $"({t})", true, rests) | o -> o

    let binary op (symbol: string) (a: objnull) (b: objnull) (session: Session) : Expression =
        let bracketed (o: Operand) =
            match o with
            | Operand.Value(v, t, false, rests) when op <> Add && not (op = Subtract && isProduct t) || isLoose t -> Operand.Value(v, $"({t})", true, rests)
            | o -> o
        // `a + b - c` needs no brackets, `a - (b + c)` does.
        let left =
            match op, session.Operand a with
            | Subtract, (Operand.Value(_, t, false, _) as o) when not (isLoose t) -> o
            | _, o -> bracketed o
        let parts = [ Choice2Of2 left; Choice1Of2 $" {symbol} "; Choice2Of2(bracketed (session.Operand b)) ]
        let build (source: SourceText) (trees: Expr list) : Expr =
            { Node = ExprNode.Binary(op, trees[0], trees[1]); Span = { Source = source.Number; Start = 0; End = source.Text.Length } }
        session.Perform(parts, build)

    /// As it would be written in TVA.
    member _.Text = text
    member _.Session = session
    member internal _.Value = value
    /// Its text says in TVA, now, what it is.
    member internal _.StillSays = obj.ReferenceEquals(program, session.Program) && session.StillSays rests

    /// Model, Delta, Family, Basis, Scalar, Table, ...
    member _.Kind = Kind.text (Context.kindOf (Context.afterwards program) value)

    member internal _.Operand(asker: Session) : Operand =
        if not (obj.ReferenceEquals(asker, session)) then
            raise (TvaException($"`{text}` is of another session", []))
        if not (obj.ReferenceEquals(program, session.Program)) then
            raise (TvaException($"`{text}` is of before files changed on disk; make it again", []))
        Operand.Value(value, text, isAtom text, rests)

    member internal this.Binary(op, symbol, a: objnull, b: objnull) = binary op symbol a b session

    member internal this.Unary(op, symbol: string) : Expression =
        let operand = asAtom (this.Operand session)
        let build (source: SourceText) (trees: Expr list) : Expr =
            { Node = ExprNode.Unary(op, trees[0]); Span = { Source = source.Number; Start = 0; End = source.Text.Length } }
        session.Perform([ Choice1Of2 symbol; Choice2Of2 operand ], build)

    /// What `print` shows of it; computed where it has to be.
    member _.Result : Shown = session.Show value

    /// A Scalar or Bool as a number, computed.
    member this.Number : float =
        match this.Result with
        | Shown.Number v -> v
        | Shown.Truth b -> if b then 1.0 else 0.0
        | _ -> raise (TvaException($"`{text}` is a {this.Kind}, not one number", []))

    /// A Table as its rows of numbers under their labels, computed; a List of numbers as rows without labels.
    member this.Rows : (string * float list) list =
        let number s = match s with Shown.Number v -> v | Shown.Truth b -> (if b then 1.0 else 0.0) | _ -> nan
        match this.Result with
        | Shown.Table t -> t.Rows
        | Shown.List items -> items |> List.map (fun i -> "", [ number i ])
        | Shown.Number v -> [ "", [ v ] ]
        | _ -> raise (TvaException($"`{text}` is a {this.Kind}, not a Table", []))

    /// A member of a Family, Record or Table.
    member this.Member(name: string) : Expression =
        let build (source: SourceText) (trees: Expr list) : Expr =
            let whole = { Source = source.Number; Start = 0; End = source.Text.Length }
            { Node = ExprNode.Member(trees[0], { Text = name; Span = whole }); Span = whole }
        let shown = if Words.isName name then name else $"\"{name}\""
        let operand = asAtom (this.Operand session)
        session.Perform([ Choice2Of2 operand; Choice1Of2("." + shown) ], build)

    /// It at the tensors whose names match, zero elsewhere.
    member this.Where(glob: string) : Expression =
        let build (source: SourceText) (trees: Expr list) : Expr =
            { Node = ExprNode.Index(trees[0], trees[1]); Span = { Source = source.Number; Start = 0; End = source.Text.Length } }
        let operand = asAtom (this.Operand session)
        session.Perform([ Choice2Of2 operand; Choice1Of2 "["; Choice2Of2(session.Operand glob); Choice1Of2 "]" ], build)

    /// `tasks["digits"]` is a member; `A["*.attn.*"]` is A at these tensors.
    member this.Item
        with get (name: string) =
            match value with
            | Value.Tensor _ -> this.Where name
            | _ -> this.Member name

    override this.ToString() = $"{this.Kind}: {text}"

    static member (+)(a: Expression, b: Expression) = a.Binary(Add, "+", a, b)
    static member (+)(a: Expression, b: float) = a.Binary(Add, "+", a, b)
    static member (+)(a: float, b: Expression) = b.Binary(Add, "+", a, b)
    static member (-)(a: Expression, b: Expression) = a.Binary(Subtract, "-", a, b)
    static member (-)(a: Expression, b: float) = a.Binary(Subtract, "-", a, b)
    static member (-)(a: float, b: Expression) = b.Binary(Subtract, "-", a, b)
    static member (*)(a: Expression, b: Expression) = a.Binary(Multiply, "*", a, b)
    static member (*)(a: Expression, b: float) = a.Binary(Multiply, "*", a, b)
    static member (*)(a: float, b: Expression) = b.Binary(Multiply, "*", a, b)
    static member (*)(a: int, b: Expression) = b.Binary(Multiply, "*", a, b)
    static member (/)(a: Expression, b: Expression) = a.Binary(Divide, "/", a, b)
    static member (/)(a: Expression, b: float) = a.Binary(Divide, "/", a, b)
    static member (/)(a: Expression, b: int) = a.Binary(Divide, "/", a, b)
    static member (/)(a: float, b: Expression) = b.Binary(Divide, "/", a, b)
    static member Pow(a: Expression, b: float) = a.Binary(Power, "^", a, b)
    static member Pow(a: Expression, b: Expression) = a.Binary(Power, "^", a, b)
    static member (~-)(a: Expression) = a.Unary(Negate, "-")
    // F#'s own abs, sqrt, exp, ... take what has these.
    static member Abs(a: Expression) = a.Session.Call("abs", a)
    static member Sqrt(a: Expression) = a.Session.Call("sqrt", a)
    static member Exp(a: Expression) = a.Session.Call("exp", a)
    static member Log(a: Expression) = a.Session.Call("log", a)
    static member Sin(a: Expression) = a.Session.Call("sin", a)
    static member Cos(a: Expression) = a.Session.Call("cos", a)
    static member Tanh(a: Expression) = a.Session.Call("tanh", a)
    static member Floor(a: Expression) = a.Session.Call("floor", a)
