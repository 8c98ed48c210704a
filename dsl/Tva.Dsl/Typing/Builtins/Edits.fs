/// `add`, `forget` and `ood`: from task vectors to what is meant to be done with them; nothing is read.
module Tva.Dsl.Typing.Builtins.Edits

open System
open Tva.Dsl
open Tva.Dsl.Graph
open Tva.Dsl.Typing
open Tva.Dsl.Typing.Context

let goalText goal =
    match goal with
    | Goal.Add -> "add"
    | Goal.Forget -> "forget the first of"
    | Goal.Ood _ -> "carry over from"

let private nameOf (ctx: Context) (a: Argument) (t: TensorValue) i =
    match ctx.Program.Homes t.Node with
    | (name, _) :: _ -> name
    | [] when a.Text <> "" && a.Text |> Seq.forall (fun c -> Char.IsLetterOrDigit c || c = '_') -> a.Text
    | [] -> $"task{i + 1}"

/// Task vectors by name, from Deltas, families and lists of them; None where something else stands among them.
let vectors ctx (call: Call) (args: Argument list) : (string * TensorValue) list option =
    let rec one (a: Argument) value : (string option * TensorValue) list option =
        match value with
        | Value.Tensor t -> Some [ None, t ]
        | FamilyLike ms -> Some(ms |> List.map (fun (name, t) -> Some name, t))
        | Value.List items ->
            let parts = items |> List.map (one { a with Text = "" })
            if parts |> List.forall Option.isSome then Some(parts |> List.collect Option.get) else None
        | Value.Unknown _ -> None
        | v ->
            report ctx (Diagnostics.wrongKind $"`{call.Function}`" "task vectors (Deltas, a Family or a List of them)" (describe ctx v) a.Span None)
            None
    let parts = args |> List.map (fun a -> one a a.Value |> Option.map (List.map (fun m -> a, m)))
    if parts |> List.exists Option.isNone then None
    else
        let all = parts |> List.collect Option.get
        let named = all |> List.mapi (fun i (a, (name, t)) -> (match name with Some n -> n | None -> nameOf ctx a t i), t)
        let twice = named |> List.countBy fst |> List.exists (fun (_, n) -> n > 1)
        Some(if twice then named |> List.mapi (fun i (name, t) -> $"{name}#{i + 1}", t) else named)

let private edit ctx (call: Call) (least: int) goal (members: (string * TensorValue) list) =
    if members.Length < least then
        report ctx (Diagnostics.tooFewMembers least members.Length call.Span)
        Value.Unknown Kind.Edit
    // What is not known after a mistake has no tensors.
    elif members |> List.exists (fun (_, t) -> t.Set.IsNone) || not (Bases.checkMembers ctx call members) then Value.Unknown Kind.Edit
    else Value.Edit { Goal = goal; Members = members }

let add ctx (call: Call) =
    match vectors ctx call (call.Args[0].Value :: call.Rest) with
    | Some members when not ctx.Abstract -> edit ctx call 2 Goal.Add members
    | _ -> Value.Unknown Kind.Edit

let forget ctx (call: Call) =
    match vectors ctx call [ call.Args[0].Value ], vectors ctx call [ call.Args[1].Value ] with
    | Some [ target ], Some kept when not ctx.Abstract ->
        let again = kept |> List.tryFind (fun (_, t) -> t.Node.Id = (snd target).Node.Id)
        if again.IsSome then
            report ctx (Diagnostics.keptAndForgotten (fst target) call.Args[1].Value.Span)
            Value.Unknown Kind.Edit
        else
            edit ctx call 2 Goal.Forget (target :: kept)
    | Some targets, Some _ when not ctx.Abstract ->
        report ctx (Diagnostics.wrongKind "`forget`" "one task vector to forget" $"{targets.Length}" call.Args[0].Value.Span (Some "say it for each: what is to stay may be a list"))
        Value.Unknown Kind.Edit
    | _ -> Value.Unknown Kind.Edit

let ood ctx (call: Call) =
    let a = call.Args[1].Value
    let numbers =
        match Context.members ctx a.Value with
        | None when a.Value.IsUnknown -> None
        | None ->
            report ctx (Diagnostics.wrongKind "`gamma` of `ood`" "a List of numbers" (describe ctx a.Value) a.Span None)
            None
        | Some items ->
            let known = items |> List.map (fun (_, v) -> match v with Value.Scalar n -> known ctx n | _ -> None)
            if known |> List.forall Option.isSome then Some(known |> List.map Option.get)
            else
                if not ctx.Abstract then
                    report ctx (Diagnostics.mustBeKnown "`gamma` of `ood`" a.Span)
                None
    match vectors ctx call [ call.Args[0].Value ], numbers with
    | Some members, Some gamma when not ctx.Abstract ->
        if gamma.Length <> members.Length then
            report ctx (Diagnostics.gammaLength gamma.Length (members |> List.map fst) a.Span)
            Value.Unknown Kind.Edit
        elif gamma |> List.forall ((=) 0.0) then
            report ctx (Diagnostics.gammaZero a.Span)
            Value.Unknown Kind.Edit
        elif gamma |> List.sumBy (fun g -> g * g) > 1.0 + 1e-6 then
            report ctx (Diagnostics.gammaTooLong (Math.Round(gamma |> List.sumBy (fun g -> g * g), 4)) a.Span)
            Value.Unknown Kind.Edit
        else
            edit ctx call 1 (Goal.Ood gamma) members
    | _ -> Value.Unknown Kind.Edit
