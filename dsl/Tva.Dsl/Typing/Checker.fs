/// From texts to a program: statements in order, each adding names and effects.
namespace Tva.Dsl.Typing

open System
open System.Collections.Generic
open System.IO
open Tva.Core.Checkpoints
open Tva.Dsl
open Tva.Dsl.Graph
open Tva.Dsl.Syntax
open Tva.Dsl.Typing.Context

/// Checks texts into one program; names stay from one text to the next, so a prompt can go on.
type Checker(program: Program, settings: Map<string, string>) =
    let expressions = Expressions program
    let mutable names: Scope = Map.empty
    let including = Stack<string>()
    let parameters = ResizeArray<string>()

    let report d = program.Report d
    let unknown = Value.Unknown Kind.Any

    let directory (full: string) = Path.GetDirectoryName full |> Option.ofObj |> Option.defaultValue "."

    member private this.Define(ctx: Context, d: Definition, isPrelude) =
        if not isPrelude then
            let scope =
                d.Params
                |> List.fold (fun (s: Scope) p ->
                    let kind = ParameterKinds.named program p.Type
                    match p.Default with
                    | Some e ->
                        let value = expressions.Eval({ ctx with Names = s; Abstract = true }, e)
                        ParameterKinds.fits ctx $"`{p.Name.Text}` of `{d.Name.Text}`" e.Span kind value |> ignore
                    | None -> ()
                    s.Add(p.Name.Text, ParameterKinds.placeholder program kind)) names
            let recursive = Trees.calls d.Name.Text d.Body && not (names.ContainsKey d.Name.Text)
            let scope = if recursive then scope.Add(d.Name.Text, Value.Unknown Kind.Function) else scope
            if recursive then
                report (Diagnostics.recursion d.Name.Text d.Name.Span)
            let inner = expressions.Context(ctx.Folder, true, scope)
            let value = expressions.Body(inner, d)
            ParameterKinds.fits inner $"the result of `{d.Name.Text}`" d.Body.Span (ParameterKinds.named program d.Result) value |> ignore
        let recursive = Trees.calls d.Name.Text d.Body && not (names.ContainsKey d.Name.Text)
        // A call of itself has been reported; at calls of it nothing more is to be said.
        let scope = if recursive then names.Add(d.Name.Text, Value.Unknown Kind.Function) else names
        names <- names.Add(d.Name.Text, Value.Function { Definition = d; Scope = scope; IsPrelude = isPrelude })

    member private this.Assert(ctx, condition: Expr, message: Expr option, span) =
        let sides, value =
            match condition.Node with
            | ExprNode.Binary((Less | LessEqual | Greater | GreaterEqual | Equal | NotEqual) as op, a, b) ->
                let left = expressions.Eval(ctx, a)
                let right = expressions.Eval(ctx, b)
                let side (e: Expr) v =
                    match v with
                    | Value.Scalar n -> [ { Text = program.TextOf e.Span; Node = n } ]
                    | _ -> []
                side a left @ side b right, Arithmetic.binary ctx op condition.Span left right
            | _ -> [], expressions.Eval(ctx, condition)
        let message =
            match message |> Option.map (fun m -> m, expressions.Eval(ctx, m)) with
            | Some(_, Value.Text t) -> t
            | Some(m, v) when not v.IsUnknown ->
                report (Diagnostics.wrongKind "the message of `assert`" "a Text" (describe ctx v) m.Span None)
                ""
            | _ -> ""
        match value with
        | Value.Bool n -> program.Do(Effect.Assert(n, sides, program.TextOf condition.Span, message, span))
        | Value.Unknown _ -> ()
        | v ->
            report
                (Diagnostics.wrongKind "`assert`" "a condition" (describe ctx v) condition.Span
                    (Some "compare numbers of the whole model, for instance `norm(A) < 1`"))

    member private this.Param(ctx: Context, name: Ident, fallback: Expr) =
        parameters.Add name.Text
        let value =
            match settings.TryFind name.Text with
            | _ when program.Surroundings.Variables.ContainsKey name.Text ->
                report (Diagnostics.checkpointForParam name.Text name.Span)
                unknown
            | None -> expressions.Eval(ctx, fallback)
            | Some text ->
                match expressions.Eval(ctx, fallback) with
                | Value.Text _ -> Value.Text text
                | standard ->
                    let source = program.AddText($"{Tva.Core.Wording.Current.Set} {name.Text}", ctx.Folder, text)
                    match Parser.parse source with
                    | [ { Node = Expression e } ], [] ->
                        let value = expressions.Eval(ctx, e)
                        let kind = kindOf ctx standard
                        ParameterKinds.fits ctx $"`param {name.Text}`" e.Span (if kind = Kind.Unit then Kind.Any else kind) value |> ignore
                        value
                    | _, d :: _ ->
                        report d
                        unknown
                    | _ ->
                        report (Diagnostics.cannotCompute $"{Tva.Core.Wording.Current.Set} {name.Text} is not an expression" { Source = source.Number; Start = 0; End = text.Length } None)
                        unknown
        let text = settings.TryFind name.Text |> Option.defaultValue (program.TextOf fallback.Span)
        program.Remember(name.Text, $"{name.Text} = {text}")
        names <- names.Add(name.Text, value)

    member private this.Include(ctx: Context, path: Ident) =
        let full = Path.GetFullPath(path.Text, ctx.Folder)
        if not (mayRead ctx path.Span path.Text) then
            ()
        elif including.Contains full then
            report (Diagnostics.includeCycle path.Text path.Span)
        elif File.Exists full && FileInfo(full).Length > 4_000_000L then
            report (Diagnostics.notAScript path.Text (FileInfo(full).Length) path.Span)
        else
            let text =
                try
                    if Directory.Exists full then Result.Error "it is a folder"
                    elif not (File.Exists full) then Result.Error "there is no such file"
                    else Ok(File.ReadAllText full)
                with e when (e :? IOException || e :? UnauthorizedAccessException) ->
                    Result.Error e.Message
            match text with
            | Ok text when text.Contains '\000' -> report (Diagnostics.notAScript path.Text (int64 text.Length) path.Span)
            | Ok text ->
                including.Push full
                this.Check(program.AddText(path.Text, directory full, text))
                including.Pop() |> ignore
            | Result.Error reason -> report (Diagnostics.includeFailed path.Text reason path.Span)

    member private this.Statement(ctx: Context, s: Statement, isPrelude) =
        match s.Node with
        | Let(name, e) ->
            let value =
                match expressions.Eval(ctx, e) with
                | Value.Tensor t when not (checkWhole ctx (quote (program.TextOf e.Span)) e.Span t) -> unknown
                | v -> v
            program.Remember(name.Text, $"{name.Text} = {program.TextOf e.Span}")
            names <- names.Add(name.Text, value)
        | Def d ->
            if not isPrelude then
                program.Remember(d.Name.Text, program.TextOf s.Span)
            this.Define(ctx, d, isPrelude)
        | Assert(condition, message) -> this.Assert(ctx, condition, message, s.Span)
        | Print items ->
            let values = items |> List.map (fun e -> (None: string option), expressions.Eval(ctx, e))
            program.Do(Effect.Show(values, s.Span))
        | Param(name, fallback) -> this.Param(ctx, name, fallback)
        | Include path -> this.Include(ctx, path)
        | Expression e ->
            match expressions.Eval(ctx, e) with
            | Value.Unit
            | Value.Unknown _ -> ()
            | Value.Tensor t when not (checkWhole ctx (quote (program.TextOf e.Span)) e.Span t) -> ()
            | v ->
                names <- names.Add("it", v)
                program.Do(Effect.Show([ Some(program.TextOf e.Span), v ], s.Span))
        | FSharpDefinitions code -> expressions.Define(code, s.Span)
        | ErrorStatement -> ()

    member private this.CheckAs(source: SourceText, isPrelude) =
        let statements, diagnostics = Parser.parse source
        for d in diagnostics do
            report d
        for s in statements do
            this.Statement(expressions.Context(source.Folder, false, names), s, isPrelude)

    /// Checks a text; what it finds and does is in the program.
    member this.Check(source: SourceText) = this.CheckAs(source, false)

    /// Gives a name to a checkpoint of the host's memory: a Model, or a Delta where its metadata say so.
    member _.Bind(name: string, checkpoint: MemoryCheckpoint) =
        let i = program.Add(checkpoint, checkpoint.Path)
        let isDelta =
            match checkpoint.Metadata.TryGetValue "tva.kind" with
            | true, kind -> kind = "delta"
            | _ -> false
        (if isDelta then program.Vectors else program.Models).Add i |> ignore
        let value =
            Value.Tensor
                { Node = program.Graph.Make(Op.Source i, [||], Span.None)
                  Weight = program.Graph.Const(if isDelta then 0.0 else 1.0)
                  Set = Some { Reference = i; DType = None } }
        program.Handed[name] <- value
        names <- names.Add(name, value)

    /// Takes the prelude in. Its diagnostics, if a call has any, are shown at the call.
    member this.CheckPrelude(text: string) =
        let source = program.AddText("<prelude>", ".", text)
        program.Prelude <- source.Number
        this.CheckAs(source, true)

    /// After the last text: settings that no `param` took.
    member _.Finish() =
        for name in settings |> Map.toSeq |> Seq.map fst do
            if not (parameters.Contains name) then
                report (Diagnostics.unknownSet name parameters)

    /// After a text by itself: checkpoints given for it alone that it doesn't call. Where it has errors it may have meant to.
    member _.FinishGiven(given: string seq) =
        if program.Diagnostics |> Seq.forall (fun d -> d.Severity <> Severity.Error) then
            for name in given do
                if not (program.Called.Contains name) then
                    report (Diagnostics.uncalled name parameters)

    /// The value of a tree in sight of the names so far and of these.
    member _.Evaluate(folder: string, more: (string * Value) list, e: Expr) : Value =
        let scope = (names, more) ||> List.fold (fun (scope: Scope) (name, value) -> scope.Add(name, value))
        expressions.Eval(expressions.Context(folder, false, scope), e)

    /// What is in sight, for completion.
    member _.Names = names

    /// The F# that texts have defined.
    member _.FSharpDefinitions = expressions.FSharpDefinitions

    /// What a text is that is one expression; nothing where it is none. It is not done: its effects are the caller's to take back.
    member _.ValueOf(source: SourceText) : Value option =
        match Parser.parse source with
        | [ { Node = Expression e } ], [] -> Some(expressions.Eval(expressions.Context(source.Folder, false, names), e))
        | _, found ->
            List.iter report found
            None

    /// Where the checker stands now; running what is returned forgets the names of later texts.
    member _.Mark() : unit -> unit =
        let before, taken = names, parameters.Count
        let back = program.Mark()
        fun () ->
            names <- before
            parameters.RemoveRange(taken, parameters.Count - taken)
            including.Clear()
            back ()
