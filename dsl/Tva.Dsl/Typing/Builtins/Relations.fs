/// How the tasks of an edit lie to each other (α of arXiv 2504.10957): given, from outputs, or by the Gram matrix; and the coefficients that follow.
module Tva.Dsl.Typing.Builtins.Relations

open System
open Tva.Core
open Tva.Core.Bases
open Tva.Core.Execution
open Tva.Core.Theory
open Tva.Dsl
open Tva.Dsl.Graph
open Tva.Dsl.Typing
open Tva.Dsl.Typing.Context
open Tva.Dsl.Typing.Theory

/// The basis that all members come back from, and which of its tasks they are.
type Kept = { Basis: int; Tasks: int list }

let keptOf (ctx: Context) (members: (string * TensorValue) list) : Kept option =
    let found = members |> List.choose (fun (_, t) -> ctx.Program.BasisOf t.Node)
    match found with
    | (b, _) :: _ when found.Length = members.Length && found |> List.forall (fst >> (=) b) -> Some { Basis = b; Tasks = found |> List.map snd }
    | _ -> None

/// A Gram matrix, where the members stand in it, and the layers that it is known by.
type Gram = { Number: int; Places: int list; Groups: string list }

/// Of the family that all of them come from, so that its other members need no pass of their own.
let private measured (ctx: Context) (call: Call) (members: (string * TensorValue) list) =
    let p = ctx.Program
    let family =
        p.Homes (snd members.Head).Node
        |> List.map snd
        |> List.tryFind (fun family -> members |> List.forall (fun (_, t) -> family |> List.exists (fun (_, m) -> m.Node.Id = t.Node.Id)))
    let sources = defaultArg family members
    let d =
        { Names = sources |> List.map fst; Options = BasisOptions(); By = Extent.Layer; Origin = BasisOrigin.Measured
          Set = (snd members.Head).Set.Value; Sources = sources |> List.map snd; Gram = Bases.gram ctx call.Span Extent.Layer (sources |> List.map snd) }
    let number = Bases.define ctx d
    { Number = number
      Places = members |> List.map (fun (_, t) -> sources |> List.findIndex (fun (_, m) -> m.Node.Id = t.Node.Id))
      Groups = Solving.groupsOf p d }

/// The Gram matrix of the members, by layer; of members that come back from a basis that of the tasks: what comes back has the basis's few
/// directions in common, which says nothing of the tasks.
let gramOf (ctx: Context) (call: Call) (members: (string * TensorValue) list) =
    match keptOf ctx members with
    | None -> measured ctx call members
    | Some kept ->
        let d = ctx.Program.Bases[kept.Basis]
        match d.Origin with
        | BasisOrigin.Tasks
        | BasisOrigin.Merged _ -> measured ctx call [ for t in kept.Tasks -> d.Names[t], d.Sources[t] ]
        | _ ->
            { Number = kept.Basis; Places = kept.Tasks
              Groups = if d.By = Extent.Layer then Solving.groupsOf ctx.Program d else [] }

let private ordered i j = min i j, max i j

let dotOf (ctx: Context) (g: Gram) i j = ctx.Program.BasisNumber(g.Number, BasisNumber.Dot(ordered g.Places[i] g.Places[j]))

let dotIn (ctx: Context) (g: Gram) group i j =
    let a, b = ordered g.Places[i] g.Places[j]
    ctx.Program.BasisNumber(g.Number, BasisNumber.DotOf(group, a, b))

let private cosine (ctx: Context) (g: Gram) (members: (string * TensorValue) list) i j =
    ctx.Program.Follow([ dotOf ctx g i j; dotOf ctx g i i; dotOf ctx g j j ], fun values ->
        match values with
        | [ ij; ii; jj ] when ii > 0.0 && jj > 0.0 -> max -1.0 (min 1.0 (ij / sqrt ii / sqrt jj))
        | values when values |> List.exists Double.IsNaN ->
            raise (FaultException $"the basis does not tell how its tasks `{fst members[i]}` and `{fst members[j]}` lie to each other, and what comes back from it can't; give `alpha` or `outputs`")
        | [ _; ii; _ ] ->
            let zero = fst members[if ii > 0.0 then j else i]
            raise (FaultException $"`{zero}` is zero, so it says nothing of how its task lies to others; leave it out, or give `alpha`")
        | _ -> nan)

/// A Model to run: the base with a task vector on it.
let private model (ctx: Context) (call: Call) (name: string, t: TensorValue) : TensorValue option =
    let p = ctx.Program
    let origin = Bases.basesOf ctx t @ (t.Set |> Option.map _.Reference |> Option.filter p.Models.Contains |> Option.toList)
    match origin with
    | source :: _ ->
        let whole = (graph ctx).Make(Source source, [||], call.Span)
        Some { Node = apply ctx "add" call.Span [| whole; t.Node |]; Weight = number ctx 1.0; Set = t.Set }
    | [] ->
        report ctx (Diagnostics.noBase name call.Span)
        None

// Options

type Options =
    { Assumptions: Assumptions
      /// α by pair of members.
      Alpha: Map<int * int, Node>
      Pairs: (int * int) list
      Gram: Gram option
      C: float option }

/// The pairs whose relation counts: for adding all; for forgetting the target's with each that stays, then those that stay.
let pairsOf (e: EditValue) =
    match e.Goal with
    | Goal.Ood _ -> []
    | _ -> [ for i in 0 .. e.Members.Length - 1 do for j in i + 1 .. e.Members.Length - 1 -> i, j ]

let private within ctx (call: Call) i name fallback low high =
    match Call.constant ctx call i name fallback with
    | Some v when v > low && v < high -> Some v
    | Some v ->
        report ctx (Diagnostics.outOfRange $"`{name}` of `{call.Function}`" (string low) (string high) v call.Args[i].Value.Span)
        None
    | None -> None

/// α as the user gives it: one number for all pairs, or a list of one for each.
let private givenAlpha ctx (call: Call) (e: EditValue) pairs (a: Argument) : (Source * Map<int * int, Node>) option =
    let isOfWeights (n: Node) = reachable [ n ] |> Seq.exists (fun n -> match n.Op with Op.Source _ -> true | _ -> false)
    let source values =
        if values |> List.exists (function Value.Scalar n -> isOfWeights n | _ -> false) then Source.Computed else Source.Given
    let one value =
        match value with
        | Value.Scalar n ->
            match known ctx n with
            | Some v when not (v >= -1.0 && v <= 1.0) ->
                report ctx (Diagnostics.outOfRange $"`alpha` of `{call.Function}`" "-1" "1" v a.Span)
                None
            | Some v -> Some(number ctx v)
            | None when n.Extent <> Extent.All ->
                report ctx (Diagnostics.cannotCompute $"`alpha` of `{call.Function}` is one number for the whole model" a.Span None)
                None
            | None ->
                Some(
                    ctx.Program.Follow([ n ], fun found ->
                        if found.Head >= -1.0 && found.Head <= 1.0 then found.Head
                        else raise (FaultException $"`alpha` of `{call.Function}`, {quote a.Text}, has turned out as {found.Head:G6}, outside -1..1"))
                )
        | Value.Unknown _ -> None
        | v ->
            report ctx (Diagnostics.wrongKind $"`alpha` of `{call.Function}`" "a number, or a List of one for each pair" (describe ctx v) a.Span None)
            None
    match a.Value with
    | Value.List items when items.Length <> List.length pairs ->
        report ctx (Diagnostics.alphaLength items.Length [ for i, j in pairs -> $"{fst e.Members[i]} and {fst e.Members[j]}" ] a.Span)
        None
    | Value.List items ->
        let all = items |> List.map one
        if all |> List.forall Option.isSome then Some(source items, List.zip pairs (all |> List.map Option.get) |> Map.ofList) else None
    | v -> one v |> Option.map (fun n -> source [ v ], pairs |> List.map (fun p -> p, n) |> Map.ofList)

/// α̂ from a command that prints the outputs of each task's own model.
let private fromOutputs ctx (call: Call) (e: EditValue) pairs (a: Argument) =
    match a.Value with
    | Value.Text command ->
        Output.checkCommand ctx call command a.Span
        let models = e.Members |> List.map (model ctx call)
        if models |> List.exists Option.isNone then None
        else
            let p = ctx.Program
            let tables =
                models |> List.map (fun m ->
                    let table = p.NewTable()
                    p.Do(Effect.Evaluate(table, m.Value, command, ctx.Folder, call.Span))
                    table)
            Some(pairs |> List.map (fun (i, j) -> (i, j), p.Likeness(tables[i], fst e.Members[i], tables[j], fst e.Members[j])) |> Map.ofList)
    | Value.Unknown _ -> None
    | v ->
        report ctx (Diagnostics.wrongKind $"`outputs` of `{call.Function}`" "a command as Text" (describe ctx v) a.Span None)
        None

let optionsOf ctx (call: Call) (e: EditValue) : Options option =
    let pairs = pairsOf e
    let beta = within ctx call 3 "beta" 0.05 0.0 1.0
    let irrelevant = within ctx call 4 "irrelevant" 0.2 -1e-300 1.0
    let c =
        match call.Args[5] with
        | None -> Some None
        | Some _ -> within ctx call 5 "c" 0.5 0.0 1.0 |> Option.map Some
    let alpha =
        match e.Goal, call.Args[1], call.Args[2] with
        | Goal.Ood _, Some a, _
        | Goal.Ood _, _, Some a ->
            report ctx (Diagnostics.cannotCompute $"`{call.Function}` of `ood` rests on its gamma alone" a.Span (Some "alpha and outputs are of `add` and `forget`"))
            None
        | Goal.Ood _, None, None -> Some(Source.Given, Map.empty, None)
        | _, Some a, Some _ ->
            report ctx (Diagnostics.cannotCompute "α is either given or estimated" a.Span (Some "leave out `alpha` or `outputs`"))
            None
        | _, Some a, None -> givenAlpha ctx call e pairs a |> Option.map (fun (source, m) -> source, m, None)
        | _, None, Some a -> fromOutputs ctx call e pairs a |> Option.map (fun m -> Source.Outputs, m, None)
        | _, None, None ->
            let g = gramOf ctx call e.Members
            Some(Source.Cosine, pairs |> List.map (fun (i, j) -> (i, j), cosine ctx g e.Members i j) |> Map.ofList, Some g)
    match beta, irrelevant, c, alpha with
    | Some beta, Some irrelevant, Some c, Some(source, alpha, gram) ->
        Some
            { Assumptions = { Beta = beta; Irrelevant = irrelevant; Source = source }
              Alpha = alpha; Pairs = pairs; Gram = gram; C = c }
    | _ -> None

// What the theorems allow

/// One range of one coefficient, for a pair.
type Condition = { Of: int; Pair: int * int; Allowed: Allowed }

let conditions (e: EditValue) (o: Options) (alpha: int * int -> float) : Condition list =
    match e.Goal with
    | Goal.Add -> [ for i, j in o.Pairs -> { Of = j; Pair = (i, j); Allowed = addition o.Assumptions (alpha (i, j)) } ]
    | _ ->
        [ for i, j in o.Pairs ->
              if i = 0 then { Of = 0; Pair = (i, j); Allowed = negation o.Assumptions (alpha (i, j)) }
              else { Of = j; Pair = (i, j); Allowed = addition o.Assumptions (alpha (i, j)) } ]

/// The coefficients to take, or why there are none. Of several members each goes by its pair with the first that is kept, whose coefficient
/// is 1; where no pair contradicts, further ones only add to what a task gets.
let recommended (e: EditValue) (o: Options) (alpha: int * int -> float) : Result<float list, string> =
    let all = conditions e o alpha
    match all |> List.tryPick (fun c -> match c.Allowed with Never why -> Some(c.Pair, why) | _ -> None) with
    | Some((i, j), why) -> Result.Error $"{fst e.Members[i]} and {fst e.Members[j]}: {why}"
    | None ->
        let first = match e.Goal with Goal.Add -> 0 | _ -> 1
        let added j =
            if j = first then 1.0
            else all |> List.pick (fun c -> if c.Pair = (first, j) then addedBy c.Allowed else None)
        match e.Goal with
        | Goal.Add -> Ok [ for j in 0 .. e.Members.Length - 1 -> added j ]
        | _ ->
            let taken = takenBy [ for c in all do if fst c.Pair = 0 then c.Allowed ]
            Ok(taken.Value :: [ for j in 1 .. e.Members.Length - 1 -> added j ])

let lookedUp (o: Options) (values: float list) =
    let byPair = List.zip o.Pairs values |> Map.ofList
    fun pair -> byPair[pair]

/// The coefficients of the members; what they say where none serve is up to the caller.
let coefficients ctx (e: EditValue) (o: Options) (otherwise: string -> float) : Node list =
    match e.Goal with
    | Goal.Ood gamma ->
        match (OutOfDomain.Solve(Array.ofList gamma, o.Assumptions.Beta, Option.toNullable o.C)).Lambda with
        | null -> (let v = otherwise "no λ meets the conditions of Theorem 3; `advise` shows the proof" in e.Members |> List.map (fun _ -> number ctx v))
        | lambda -> [ for v in lambda -> number ctx v ]
    | _ ->
        let needs = o.Pairs |> List.map (fun pair -> o.Alpha[pair])
        [ for k in 0 .. e.Members.Length - 1 ->
              ctx.Program.Follow(needs, fun values ->
                  match recommended e o (lookedUp o values) with
                  | Ok found -> found[k]
                  | Result.Error why -> otherwise $"no λ serves: {why}{restsOn o.Assumptions.Source}") ]
