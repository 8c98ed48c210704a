/// From expressions to values: one walk resolves names, checks kinds and the affine rule against the headers, and builds the graph.
/// One walk rather than two keeps what is checked and what is computed the same thing.
namespace Tva.Dsl.Typing

open System
open System.Collections.Generic
open System.IO
open Tva.Core.Execution
open Tva.Dsl
open Tva.Dsl.Graph
open Tva.Dsl.Syntax
open Tva.Dsl.Typing.Context

/// Evaluates expressions into one program.
type Expressions(program: Program) =
    /// More values than anybody sweeps, and few enough to hold.
    let mostValues = 100_000
    let mutable depth = 0
    /// While a call is tried with its arguments the other way round, calls inside it are not.
    let mutable swapping = false
    let fsharp = FSharpPieces program

    let report d = program.Report d
    let unknown = Value.Unknown Kind.Any
    let number (v: float) = Value.Scalar(program.Graph.Const v)

    let functionNames (ctx: Context) =
        let defined = ctx.Names |> Map.toSeq |> Seq.choose (fun (name, v) -> match v with Value.Function _ -> Some name | _ -> None)
        Seq.append defined (Builtins.Table.all |> Seq.map _.Name)

    member this.Context(folder, abstractly, scope) : Context =
        { Program = program; Folder = folder; Abstract = abstractly; Names = scope; Invoke = fun ctx c args span -> this.InvokeWith(ctx, c, args, span) }

    /// Calls a `def` with values by position; those that it has defaults for may be left out.
    member private this.InvokeWith(ctx, closure, args, span) =
        let d = closure.Definition
        let missing = d.Params.Length - args.Length
        if missing < 0 then
            report (Diagnostics.tooManyArguments d.Name.Text (Trees.signature d) span)
            unknown
        else
            this.Invoke(ctx, closure, (args |> List.map Some) @ List.replicate missing None, span)

    // Expressions

    /// The value of an expression; what is wrong with it is reported and gives Unknown.
    member this.Eval(ctx: Context, e: Expr) : Value =
        match e.Node with
        | ExprNode.Number v -> number v
        | ExprNode.Text t -> Value.Text t
        | ExprNode.Bool b -> Value.Bool(program.Graph.Const(if b then 1.0 else 0.0))
        | ExprNode.Name name -> this.Name(ctx, name, e.Span)
        | ExprNode.List items -> Value.List(items |> List.map (fun i -> this.Eval(ctx, i)))
        | ExprNode.Block(bindings, result) ->
            let inner =
                bindings
                |> List.fold (fun (c: Context) (name, value) -> { c with Names = c.Names.Add(name.Text, this.Eval(c, value)) }) ctx
            this.Eval(inner, result)
        | ExprNode.Record entries -> Value.Record(entries |> List.map (fun (key, value) -> key, this.Eval(ctx, value)))
        | ExprNode.Call(callee, args) -> this.Call(ctx, callee, args, e.Span)
        | ExprNode.Pipe(_, source, callee, args) -> this.Call(ctx, callee, { Name = None; Value = source } :: args, e.Span)
        | ExprNode.Member(target, name) -> this.Member(ctx, target, name, e.Span)
        | ExprNode.Index(target, where) -> this.Index(ctx, target, where, e.Span)
        | ExprNode.Unary(op, x) -> Arithmetic.unary ctx op e.Span (this.Eval(ctx, x))
        | ExprNode.Binary(op, a, b) ->
            let left = this.Eval(ctx, a)
            Arithmetic.binary ctx op e.Span left (this.Eval(ctx, b))
        | ExprNode.Range(first, last, by) -> this.Range(ctx, first, last, by)
        | ExprNode.FSharp code -> fsharp.Value(ctx, code, e.Span)
        | ExprNode.Error -> unknown

    /// The body of a `def`: an F# function there is an operator on its parameters.
    member this.Body(ctx: Context, d: Definition) : Value =
        match d.Body.Node with
        | ExprNode.FSharp code when not d.Params.IsEmpty -> fsharp.Function(ctx, code, d, d.Body.Span)
        | _ -> this.Eval(ctx, d.Body)

    /// `fs """..."""` as a statement.
    member _.Define(code: Ident, span: Span) = fsharp.Define(code.Text, span)
    member _.FSharpDefinitions = fsharp.Definitions

    member private _.Name(ctx, name, span) =
        match ctx.Names.TryFind name with
        | Some v ->
            match ctx.Program.Handed.TryGetValue name with
            | true, own when obj.ReferenceEquals(own, v) -> ctx.Program.Called.Add name |> ignore
            | _ -> ()
            v
        | None ->
            match Builtins.Table.find name with
            | Some b -> report (Diagnostics.cannotCompute $"`{name}` is a function" span (Some $"call it: `{b.Signature}`; where a function is asked for, name a `def` that calls it"))
            | None -> report (Diagnostics.unknownName name span (ctx.Names |> Map.toSeq |> Seq.map fst))
            unknown

    member private this.Range(ctx, first, last, by) =
        let constant (e: Expr) =
            match this.Eval(ctx, e) with
            | Value.Scalar n ->
                match known ctx n with
                | Some v -> Some v
                | None ->
                    if not ctx.Abstract then
                        report (Diagnostics.mustBeKnown "the end of a range" e.Span)
                    None
            | Value.Unknown _ -> None
            | v ->
                report (Diagnostics.wrongKind "a range" "numbers" (describe ctx v) e.Span None)
                None
        let range (a: float) (b: float) (step: float) (place: Span) =
            let count = floor ((b - a) / step + 1e-9) + 1.0
            if step = 0.0 || Double.IsNaN count || count < 0.0 then
                report (Diagnostics.cannotCompute $"a range from {a} to {b} can't go by {step}" place None)
                Value.Unknown Kind.Range
            elif count > float mostValues then
                report (Diagnostics.rangeTooLong count mostValues place)
                Value.Unknown Kind.Range
            else
                Value.Range { First = a; Last = b; By = step }
        match constant first, constant last, by |> Option.map (fun e -> e, constant e) with
        | Some a, Some b, None -> if a > b then Value.Range { First = a; Last = b; By = 1.0 } else range a b 1.0 (Span.Between(first.Span, last.Span))
        | Some a, Some b, Some(e, Some step) -> range a b step e.Span
        | _ -> Value.Unknown Kind.Range

    member private this.Index(ctx, target, where, span) =
        let value = this.Eval(ctx, target)
        match this.Eval(ctx, where) with
        | Value.Text g ->
            let before = program.Diagnostics.Count
            let result = Arithmetic.restrict ctx span (TensorScope.Glob g) value
            match value with
            | Value.Family members when members |> List.exists (fun (name, _) -> name = g) ->
                // `tasks["digits"]`, as elsewhere members are taken.
                for i in before .. program.Diagnostics.Count - 1 do
                    program.Diagnostics[i] <- { program.Diagnostics[i] with Help = Some $"brackets choose tensors; the member is `{program.TextOf target.Span}.{Printer.memberText g}`" }
            | _ -> ()
            result
        | Value.Scope s -> Arithmetic.restrict ctx span s value
        | Value.Unknown _ -> Value.Unknown(kindOf ctx value)
        | v ->
            let help =
                match value, v with
                | Value.Family members, (Value.Scalar _ | Value.List _) when not members.IsEmpty ->
                    Some $"brackets choose tensors; a member is `{program.TextOf target.Span}.{Printer.memberText (fst members.Head)}`"
                | _ -> None
            report (Diagnostics.wrongKind "`[...]`" "a Scope (a glob text, `match`, `layers`, `tensors`)" (describe ctx v) where.Span help)
            Value.Unknown(kindOf ctx value)

    member private this.Member(ctx, target, name: Ident, span) =
        Access.memberOf ctx (this.Eval(ctx, target)) name.Text (program.TextOf target.Span) span

    // Calls

    member private this.Call(ctx: Context, callee: Ident, args: Arg list, span: Span) =
        match ctx.Names.TryFind callee.Text, Builtins.Table.find callee.Text with
        | Some(Value.Function closure), _ -> this.CallDefinition(ctx, closure, args, span)
        | _, Some builtin -> this.CallBuiltin(ctx, builtin, args, callee, span)
        | Some(Value.Unknown _), None -> unknown
        | Some _, None ->
            report (Diagnostics.notAFunction callee.Text callee.Span)
            unknown
        | None, None ->
            report (Diagnostics.unknownFunction callee.Text callee.Span (functionNames ctx))
            // The arguments' own mistakes are still worth telling.
            for a in args do
                this.Eval(ctx, a.Value) |> ignore
            unknown

    /// Arguments in the order of the parameters, the first `placed` of which may come without a name, with what is left over; None when they don't fit.
    member private this.Bind(ctx, func: string, signature, names: string list, placed, variadic, args: Arg list, span: Span) =
        let slots: Argument option[] = Array.create names.Length None
        let rest = ResizeArray<Argument>()
        let byPosition = ResizeArray<Swapped.Placed>()
        let mutable next = 0
        let mutable ok = true
        for at, a in List.indexed args do
            let value = { Value = this.Eval(ctx, a.Value); Span = a.Value.Span; Text = program.TextOf a.Value.Span }
            match a.Name with
            | None when next < placed ->
                slots[next] <- Some value
                byPosition.Add { At = at; Place = next; Value = value.Value; Span = value.Span }
                next <- next + 1
            | None when variadic ->
                byPosition.Add { At = at; Place = slots.Length + rest.Count; Value = value.Value; Span = value.Span }
                rest.Add value
            | None ->
                report (Diagnostics.tooManyArguments func signature a.Value.Span)
                ok <- false
            | Some name ->
                match List.tryFindIndex ((=) name.Text) names with
                | None ->
                    report (Diagnostics.unknownOption func name.Text names name.Span)
                    ok <- false
                | Some i when slots[i].IsSome ->
                    report (Diagnostics.argumentTwice func name.Text name.Span)
                    ok <- false
                | Some i -> slots[i] <- Some value
        if ok then Some(slots, List.ofSeq rest, List.ofSeq byPosition) else None

    /// Runs a call, and where an argument is of the wrong kind looks whether two of them were meant the other way round.
    member private _.Attempt(ctx: Context, func, span, args: Arg list, (slots: Argument option[], rest: Argument list, placed), run) : Value =
        let before = program.Diagnostics.Count
        let value: Value = run ctx slots rest
        if program.Diagnostics.Count > before && not swapping then
            swapping <- true
            try
                Swapped.offer ctx before func span args placed (fun a b ->
                    let all = Array.append slots (rest |> List.map Some |> Array.ofList)
                    let first = all[a.Place]
                    all[a.Place] <- all[b.Place]
                    all[b.Place] <- first
                    run { ctx with Abstract = true } (Array.take slots.Length all) (all |> Array.skip slots.Length |> List.ofArray |> List.choose id) |> ignore)
            finally
                swapping <- false
        value

    member private this.CallBuiltin(ctx, builtin: Builtin, args, callee: Ident, span) =
        let names = builtin.Parameters |> List.map _.Name
        // A variadic function takes any number by position after those it must have; its options only by name.
        let placed = if builtin.Variadic then builtin.Parameters |> List.takeWhile _.Default.IsNone |> List.length else names.Length
        match this.Bind(ctx, builtin.Name, builtin.Signature, names, placed, builtin.Variadic, args, span) with
        | None -> Value.Unknown builtin.Result
        | Some((slots, _, _) as bound) ->
            match List.tryFind (fun (i, p: Parameter) -> p.Default.IsNone && slots[i].IsNone) (List.indexed builtin.Parameters) with
            | Some(_, p) ->
                report (Diagnostics.missingArgument builtin.Name p.Name builtin.Signature span)
                Value.Unknown builtin.Result
            | None ->
                this.Attempt(ctx, builtin.Name, span, args, bound, fun ctx slots rest ->
                    builtin.Run ctx { Function = builtin.Name; Signature = builtin.Signature; Span = span; Args = slots; Rest = rest })

    member private this.CallDefinition(ctx, closure, args, span) =
        let d = closure.Definition
        match this.Bind(ctx, d.Name.Text, Trees.signature d, d.Params |> List.map _.Name.Text, d.Params.Length, false, args, span) with
        | None -> unknown
        | Some bound ->
            this.Attempt(ctx, d.Name.Text, span, args, bound, fun ctx slots _ ->
                this.Invoke(ctx, closure, slots |> Array.map (Option.map _.Value) |> List.ofArray, span))

    /// Inlines a `def`: its body with the arguments for its parameters, in sight of what it saw when it was written.
    member private this.Invoke(ctx: Context, closure: Closure, args: Value option list, span: Span) : Value =
        let d = closure.Definition
        let kinds = d.Params |> List.map (fun p -> ParameterKinds.named program p.Type)
        let single kind = List.contains kind [ Kind.Model; Kind.Delta; Kind.Tensor; Kind.Scalar ]
        let needsLift =
            List.exists2
                (fun kind arg ->
                    match arg with
                    | Some(Value.Family _ | Value.Basis _ | Value.List _ | Value.Named _ | Value.Range _) -> single kind
                    | _ -> false)
                kinds
                args
        // What may turn out as several values makes the result several too.
        let mayLift =
            List.exists2
                (fun kind arg ->
                    match arg with
                    | Some(Value.Unknown(Kind.Any | Kind.Family | Kind.Basis | Kind.List | Kind.Range)) -> single kind
                    | _ -> false)
                kinds
                args
        if mayLift then unknown
        elif needsLift then
            // A parameter that wants one value gets the members one by one; the others are passed whole.
            let lifted = List.map2 (fun kind arg -> if single kind then arg else None) kinds args
            lift ctx $"`{d.Name.Text}`" span (lifted |> List.choose id) (fun members ->
                let queue = Queue<Value>(members)
                let next = List.map2 (fun slot arg -> match slot with Some _ -> Some(queue.Dequeue()) | None -> arg) lifted args
                this.Invoke(ctx, closure, next, span))
        elif depth > 100 then
            report (Diagnostics.recursion d.Name.Text span)
            unknown
        else
            depth <- depth + 1
            let before = program.Diagnostics.Count
            try
                let mutable scope = closure.Scope
                let mutable ok = true
                for (p, kind, arg) in List.zip3 d.Params kinds args do
                    let value =
                        match arg, p.Default with
                        | Some v, _ -> v
                        | None, Some e -> this.Eval({ ctx with Names = scope }, e)
                        | None, None ->
                            report (Diagnostics.missingArgument d.Name.Text p.Name.Text (Trees.signature d) span)
                            ok <- false
                            unknown
                    let value =
                        match kind, value with
                        | Kind.Scalar, Value.Record entries ->
                            match recordNumber ctx span entries with
                            | Some n -> Value.Scalar n
                            | None -> Value.Unknown Kind.Scalar
                        | Kind.Scope, Value.Text g -> Value.Scope(TensorScope.Glob g)
                        | _ -> value
                    if not (ParameterKinds.fits ctx $"`{p.Name.Text}` of `{d.Name.Text}`" span kind value) then
                        ok <- false
                    scope <- scope.Add(p.Name.Text, value)
                let result = ParameterKinds.named program d.Result
                if not ok then Value.Unknown result
                else
                    let value = this.Body({ ctx with Names = scope }, d)
                    if ParameterKinds.fits ctx $"the result of `{d.Name.Text}`" d.Body.Span result value then value else Value.Unknown result
            finally
                depth <- depth - 1
                if closure.IsPrelude then
                    program.Relocate(before, d.Name.Text, span)
