/// What a built-in function declares of itself, and how its arguments are asked for.
namespace Tva.Dsl.Typing

open Tva.Dsl
open Tva.Dsl.Graph
open Tva.Dsl.Typing.Context

/// A parameter of a built-in function; without a default it must be given.
type Parameter =
    { Name: string
      Kind: Kind
      /// As the user would write it; None: required.
      Default: string option }

type Argument = { Value: Value; Span: Span; Text: string }

/// A call with its arguments in the order of the parameters; further ones of a variadic function in `Rest`.
type Call =
    { Function: string
      Signature: string
      Span: Span
      Args: Argument option[]
      Rest: Argument list }

/// A built-in function: one row of the table that the checker, the help, completion and tests read.
type Builtin =
    { Name: string
      Group: string
      Parameters: Parameter list
      /// Takes any number of further positional arguments like the first.
      Variadic: bool
      Summary: string
      Example: string
      /// What it gives, for a `def` checked on its own; Any: like its first argument.
      Result: Kind
      Run: Context -> Call -> Value }

    member b.Signature =
        let one (p: Parameter) =
            match p.Default with
            | Some "" -> p.Name + "?"
            | Some d -> $"{p.Name} = {d}"
            | None -> p.Name
        let all =
            let required, options = b.Parameters |> List.partition (fun p -> b.Variadic && p.Default.IsNone)
            (required |> List.map one) @ (if b.Variadic then [ "..." ] else []) @ (options |> List.map one)
        b.Name + "(" + System.String.Join(", ", all) + ")"

module Call =

    let required name kind = { Name = name; Kind = kind; Default = None }
    let optional name kind (text: string) = { Name = name; Kind = kind; Default = Some text }

    let private wrong ctx (call: Call) (name: string) kind (a: Argument) =
        let help =
            match kind, a.Value with
            | (Kind.Tensor | Kind.Model | Kind.Delta), Value.Family _ -> Some "a family is several: `sum(f)` adds its members up, `f.name` is one of them"
            | Kind.Text, Value.Scalar _ when name = "shard" -> Some "a size has its unit, in quotes: `shard = \"5GB\"`"
            | _ -> familyHelp kind a.Value
        report ctx (Diagnostics.wrongKind $"`{name}` of `{call.Function}`" (Kind.article kind) (describe ctx a.Value) a.Span help)

    let arg (call: Call) i = call.Args[i]

    let given (call: Call) i = call.Args[i].IsSome

    let text ctx (call: Call) i name fallback =
        match call.Args[i] with
        | None -> Some fallback
        | Some { Value = Value.Text t } -> Some t
        | Some { Value = Value.Unknown _ } -> None
        | Some a ->
            wrong ctx call name Kind.Text a
            None

    /// A text among a few.
    let choice ctx (call: Call) i name (choices: string list) fallback =
        match text ctx call i name fallback with
        | Some t when List.contains t choices -> Some t
        | Some t ->
            report ctx (Diagnostics.badOption call.Function name t choices call.Args[i].Value.Span)
            None
        | None -> None

    /// A number, which may vary.
    let number ctx (call: Call) i name (fallback: float) =
        match call.Args[i] with
        | None -> Some(Context.number ctx fallback)
        | Some { Value = Value.Scalar n } -> Some n
        | Some { Value = Value.Record entries; Span = span } -> recordNumber ctx span entries
        | Some { Value = Value.Unknown _ } -> None
        | Some a ->
            wrong ctx call name Kind.Scalar a
            None

    let tensor ctx (call: Call) i name =
        match call.Args[i] with
        | Some { Value = Value.Tensor t } -> Some t
        | Some { Value = Value.Unknown _ }
        | None -> None
        | Some a ->
            wrong ctx call name Kind.Tensor a
            None

    let model ctx call i name =
        match tensor ctx call i name with
        | Some t when wantModel ctx $"`{name}` of `{call.Function}`" call.Args[i].Value.Span t -> Some t
        | _ -> None

    let delta ctx call i name =
        match tensor ctx call i name with
        | Some t when wantDelta ctx $"`{call.Function}`" call.Args[i].Value.Span t -> Some t
        | _ -> None

    let scope ctx (call: Call) i name =
        match call.Args[i] with
        | Some { Value = Value.Scope s } -> Some s
        | Some { Value = Value.Text g } -> Some(TensorScope.Glob g)
        | Some { Value = Value.Unknown _ }
        | None -> None
        | Some a ->
            wrong ctx call name Kind.Scope a
            None

    /// Members of a family or a list, at least one.
    let members ctx (call: Call) i name =
        match call.Args[i] with
        | Some { Value = Value.Unknown _ }
        | None -> None
        | Some a ->
            match Context.members ctx a.Value with
            | Some [] ->
                report ctx (Diagnostics.emptyList $"`{call.Function}`" a.Span)
                None
            | Some ms -> Some ms
            | None ->
                report ctx
                    (Diagnostics.wrongKind $"`{call.Function}`" "a Family or a List" (describe ctx a.Value) a.Span
                        (Some $"it goes over members; its form is `{call.Signature}`"))
                None

    /// A number known before the run.
    let constant ctx (call: Call) i name fallback =
        match number ctx call i name fallback with
        | None -> None
        | Some n ->
            match known ctx n with
            | Some v -> Some v
            | None ->
                if not ctx.Abstract then
                    let span = match call.Args[i] with Some a -> a.Span | None -> call.Span
                    report ctx (Diagnostics.mustBeKnown $"`{name}` of `{call.Function}`" span)
                None

    let unknown = Value.Unknown Kind.Any

    let orUnknown option f =
        match option with
        | Some v -> f v
        | None -> unknown
