/// From values that have members, or records as coefficients, to a function's value member by member.
[<AutoOpen>]
module Tva.Dsl.Typing.Lifting

open Tva.Dsl
open Tva.Dsl.Graph
open Tva.Dsl.Syntax
open Tva.Dsl.Typing.Context

/// A record as a number that varies by tensor: its keys are globs over tensor names.
let recordNumber (ctx: Context) span (entries: (RecordKey * Value) list) =
    let pick (key, value) =
        match key, value with
        | Glob g, Value.Scalar n -> Some(TensorScope.Glob g.Text, n)
        | Key k, Value.Scalar n -> Some(TensorScope.Glob k.Text, n)
        | Else _, Value.Scalar n -> Some(Everything, n)
        | _ -> None
    let picked = entries |> List.map pick
    if picked |> List.exists Option.isNone then
        report ctx (Diagnostics.cannotCompute "a record used as a coefficient holds numbers only" span None)
        None
    else
        let picked = picked |> List.map Option.get
        if not (picked |> List.exists (fun (s, _) -> s = Everything)) then
            report ctx
                (Diagnostics.cannotCompute "a record used as a coefficient must say what holds for the other tensors" span
                    (Some "add `else: 1` (or another number) as its last entry"))
            None
        else
            let first, last = picked |> List.partition (fun (s, _) -> s <> Everything)
            let ordered = first @ last
            Some((graph ctx).Make(Choose(List.map fst ordered), ordered |> List.map snd |> Array.ofList, span))

/// Records become numbers where a number is wanted, those in a list too.
let rec settle (ctx: Context) span value =
    match value with
    | Value.Record entries ->
        match recordNumber ctx span entries with
        | Some n -> Value.Scalar n
        | None -> Value.Unknown Kind.Any
    | Value.List items when items |> List.exists _.IsRecord -> Value.List(items |> List.map (settle ctx span))
    | v -> v

/// A record beside a family: one value for each member if its keys are members' names, `else` for those it doesn't name.
let private byMember (ctx: Context) span (names: string list) (entries: (RecordKey * Value) list) =
    let keys = entries |> List.choose (function (Key k | Glob k), _ -> Some k | Else _, _ -> None)
    if not (keys |> List.exists (fun k -> List.contains k.Text names)) then settle ctx span (Value.Record entries)
    else
        let strangers = keys |> List.filter (fun k -> not (List.contains k.Text names))
        let value name = entries |> List.tryPick (function (Key k | Glob k), v when k.Text = name -> Some v | _ -> None)
        let others = entries |> List.tryPick (function Else _, v -> Some v | _ -> None)
        let given = names |> List.map (fun name -> name, value name |> Option.orElse others |> Option.map (settle ctx span))
        match strangers, given |> List.filter (snd >> Option.isNone) |> List.map fst with
        | [], [] -> Value.Named(given |> List.map (fun (name, v) -> name, v.Value))
        | [], missing ->
            report ctx (Diagnostics.memberMissing missing span)
            Value.Unknown Kind.Any
        | _ ->
            for k in strangers do
                report ctx (Diagnostics.notAMember k.Text names k.Span)
            Value.Unknown Kind.Any

let private memberNames value =
    match value with
    | FamilyLike ms -> Some(List.map fst ms)
    | Value.Named ms -> Some(List.map fst ms)
    | _ -> None

/// Families by name, records too if their keys are members' names, lists and ranges by position, everything else to each.
let private overMembers (ctx: Context) what span (args: Value list) (f: Value list -> Value) =
    let first = args |> List.tryPick memberNames
    let args =
        args
        |> List.map (fun arg ->
            match arg, first with
            | Value.Record entries, Some names -> byMember ctx span names entries
            | _ -> settle ctx span arg)
    let hasMembers = args |> List.map (members ctx)
    if hasMembers |> List.forall Option.isNone then f args
    else
        let families = args |> List.choose memberNames
        let counts = hasMembers |> List.choose (Option.map List.length) |> List.distinct
        match families, counts with
        | first :: rest, _ when rest |> List.exists (fun names -> List.sort names <> List.sort first) ->
            let other = rest |> List.find (fun names -> List.sort names <> List.sort first)
            report ctx (Diagnostics.memberNames first other span)
            Value.Unknown Kind.Any
        | _, a :: b :: _ ->
            report ctx (Diagnostics.lengths what a b span)
            Value.Unknown Kind.Any
        | _ ->
            let names = List.tryHead families
            let results =
                [ for i in 0 .. counts.Head - 1 ->
                      let pick value ms =
                          match value, ms, names with
                          | FamilyLike own, _, Some names -> Value.Tensor(own |> List.find (fun (n, _) -> n = names[i]) |> snd)
                          | Value.Named own, _, Some names -> own |> List.find (fun (n, _) -> n = names[i]) |> snd
                          | _, Some ms, _ -> snd (List.item i ms)
                          | v, _, _ -> v
                      f (List.map2 pick args hasMembers) ]
            if results |> List.exists (function Value.Unknown _ -> true | _ -> false) then
                Value.Unknown Kind.Any
            else
                let tensors = results |> List.choose (function Value.Tensor t -> Some t | _ -> None)
                match names with
                | Some names when tensors.Length = results.Length -> Value.Family(List.zip names tensors)
                | Some names -> Value.Named(List.zip names results)
                | None -> Value.List results

let private keyText key = match key with Key k | Glob k -> Some k.Text | Else _ -> None

/// A function of one record, or of several with the same keys, and otherwise numbers: the record of its values, since only what it meets
/// later tells whether its keys are members' names or globs.
let private overKeys (args: Value list) (f: Value list -> Value) =
    match args |> List.choose (function Value.Record entries -> Some entries | _ -> None) with
    | first :: rest when
        rest |> List.forall (fun other -> List.map (fst >> keyText) other = List.map (fst >> keyText) first)
        && args |> List.forall (function Value.Record _ | Value.Scalar _ | Value.Bool _ | Value.Text _ -> true | _ -> false)
        && first |> List.forall (snd >> _.IsScalar) ->
        let at i arg = match arg with Value.Record entries -> snd (List.item i entries) | v -> v
        let results = first |> List.mapi (fun i (key, _) -> key, f (List.map (at i) args))
        if results |> List.exists (snd >> _.IsUnknown) then Some(Value.Unknown Kind.Any)
        elif results |> List.forall (snd >> _.IsScalar) then Some(Value.Record results)
        else None
    | _ -> None

/// Applies a function member by member of whatever has members: families, lists, ranges, records beside a family.
let lift (ctx: Context) what span (args: Value list) (f: Value list -> Value) =
    match overKeys args f with
    | Some v -> v
    | None -> overMembers ctx what span args f
