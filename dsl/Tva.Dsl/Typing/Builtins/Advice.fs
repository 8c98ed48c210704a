/// When task arithmetic works (arXiv 2504.10957): `add`, `forget` and `ood` say what is meant, `advise` tells what the theory allows, `advised` does it.
module Tva.Dsl.Typing.Builtins.Advice

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

let goalText goal =
    match goal with
    | Goal.Add -> "add"
    | Goal.Forget -> "forget the first of"
    | Goal.Ood _ -> "carry over from"

// What is meant

let private nameOf (ctx: Context) (a: Argument) (t: TensorValue) i =
    match ctx.Program.Homes t.Node with
    | (name, _) :: _ -> name
    | [] when a.Text <> "" && a.Text |> Seq.forall (fun c -> Char.IsLetterOrDigit c || c = '_') -> a.Text
    | [] -> $"task{i + 1}"

/// Task vectors by name, from Deltas, families and lists of them; None where something else stands among them.
let private vectors ctx (call: Call) (args: Argument list) : (string * TensorValue) list option =
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
    elif not (Bases.checkMembers ctx call members) then Value.Unknown Kind.Edit
    else Value.Edit { Goal = goal; Members = members }

let private add ctx (call: Call) =
    match vectors ctx call (call.Args[0].Value :: call.Rest) with
    | Some members when not ctx.Abstract -> edit ctx call 2 Goal.Add members
    | _ -> Value.Unknown Kind.Edit

let private forget ctx (call: Call) =
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

let private ood ctx (call: Call) =
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
        else
            edit ctx call 1 (Goal.Ood gamma) members
    | _ -> Value.Unknown Kind.Edit

// How the tasks lie to each other

/// The Gram matrix of the members, by layer: of the family that all of them come from, so that its other members need no pass of their own.
type private Gram = { Number: int; Places: int list; Groups: string list }

let private gramOf (ctx: Context) (call: Call) (members: (string * TensorValue) list) =
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

let private ordered i j = min i j, max i j

let private dotOf (ctx: Context) (g: Gram) i j = ctx.Program.BasisNumber(g.Number, BasisNumber.Dot(ordered g.Places[i] g.Places[j]))

let private dotIn (ctx: Context) (g: Gram) group i j =
    let a, b = ordered g.Places[i] g.Places[j]
    ctx.Program.BasisNumber(g.Number, BasisNumber.DotOf(group, a, b))

let private cosine (ctx: Context) (g: Gram) (members: (string * TensorValue) list) i j =
    ctx.Program.Follow([ dotOf ctx g i j; dotOf ctx g i i; dotOf ctx g j j ], fun values ->
        match values with
        | [ ij; ii; jj ] when ii > 0.0 && jj > 0.0 -> max -1.0 (min 1.0 (ij / sqrt ii / sqrt jj))
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

type private Options =
    { Assumptions: Assumptions
      /// α by pair of members.
      Alpha: Map<int * int, Node>
      Pairs: (int * int) list
      Gram: Gram option
      C: float option }

/// The pairs whose relation counts: for adding all; for forgetting the target's with each that stays, then those that stay.
let private pairsOf (e: EditValue) =
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
let private givenAlpha ctx (call: Call) (e: EditValue) pairs (a: Argument) : Map<int * int, Node> option =
    let one value =
        match value with
        | Value.Scalar n ->
            match known ctx n with
            | Some v when not (v >= -1.0 && v <= 1.0) ->
                report ctx (Diagnostics.outOfRange $"`alpha` of `{call.Function}`" "-1" "1" v a.Span)
                None
            | _ -> Some n
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
        if all |> List.forall Option.isSome then Some(List.zip pairs (all |> List.map Option.get) |> Map.ofList) else None
    | v -> one v |> Option.map (fun n -> pairs |> List.map (fun p -> p, n) |> Map.ofList)

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

let private optionsOf ctx (call: Call) (e: EditValue) : Options option =
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
        | _, Some a, None -> givenAlpha ctx call e pairs a |> Option.map (fun m -> Source.Given, m, None)
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
type private Condition = { Of: int; Pair: int * int; Allowed: Allowed }

let private conditions (e: EditValue) (o: Options) (alpha: int * int -> float) : Condition list =
    match e.Goal with
    | Goal.Add -> [ for i, j in o.Pairs -> { Of = j; Pair = (i, j); Allowed = addition o.Assumptions (alpha (i, j)) } ]
    | _ ->
        [ for i, j in o.Pairs ->
              if i = 0 then { Of = 0; Pair = (i, j); Allowed = negation o.Assumptions (alpha (i, j)) }
              else { Of = j; Pair = (i, j); Allowed = addition o.Assumptions (alpha (i, j)) } ]

/// The coefficients to take, or why there are none. Of several members each goes by its pair with the first that is kept, whose coefficient
/// is 1; where no pair contradicts, further ones only add to what a task gets.
let private recommended (e: EditValue) (o: Options) (alpha: int * int -> float) : Result<float list, string> =
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

let private lookedUp (o: Options) (values: float list) =
    let byPair = List.zip o.Pairs values |> Map.ofList
    fun pair -> byPair[pair]

/// The coefficients of the members; what they say where none serve is up to the caller.
let private coefficients ctx (e: EditValue) (o: Options) (otherwise: string -> float) : Node list =
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

// The report

let private columns = [ "finding"; "of"; "value"; "says"; "why" ]

let private row (finding: string) (of': string) (value: float option) (says: string) (why: string) =
    let word (w: string) = if w = "" then Cell.Blank else Cell.Word w
    [ word finding; word of'; (match value with Some v -> Cell.Figure v | None -> Cell.Blank); word says; word why ]

let private pairText (e: EditValue) (i, j) = $"{fst e.Members[i]}, {fst e.Members[j]}"

let private rangeText low high =
    match Double.IsFinite low, Double.IsFinite high with
    | true, true -> $"{figure low} <= λ <= {figure high}"
    | true, false -> $"λ >= {figure low}"
    | false, true -> $"λ <= {figure high}"
    | false, false -> "every λ"

let private sumText (e: EditValue) (terms: (string * int) list) =
    "base" + String.Join("", terms |> List.map (fun (k, i) -> $" + {k}{fst e.Members[i]}"))

let private tell (e: EditValue) (o: Options) (lookup: Node -> float[]) (layers: (string * ((int * int) * float) list) list) (bounds: Cell list list) : Findings =
    let a = o.Assumptions
    let alpha pair = (lookup o.Alpha[pair])[0]
    let what = match e.Goal with Goal.Add -> "Theorem 1, task addition" | _ -> "Theorem 2, task negation"
    let model =
        match e.Goal with
        | Goal.Add -> sumText e [ for i in 0 .. e.Members.Length - 1 -> (if i = 0 then "" else "λ·"), i ]
        | _ -> sumText e ([ for i in 1 .. e.Members.Length - 1 -> (if i = 1 then "" else "λ'·"), i ] @ [ "λ·", 0 ])
    let relations =
        [ for pair in o.Pairs do
              let v = alpha pair
              row "relation" (pairText e pair) (Some v) (relation a v) (sourceText a.Source)
              if a.Source <> Source.Given && abs v <= a.Irrelevant then
                  row "" (pairText e pair) None "taken as α = 0" $"|{figure v}| is not above {figure a.Irrelevant} (`irrelevant`)" ]
    let byLayer =
        [ for label, cosines in layers do
              for pair, v in cosines do
                  let says = if Double.IsNaN v then "untouched by one of them" else relation a v
                  row "relation by layer" $"{label}: {pairText e pair}" (Some v) says (sourceText Source.Cosine) ]
    let ranges =
        [ for c in conditions e o alpha do
              let who = fst e.Members[c.Of]
              match c.Allowed with
              | Never why -> row "range" $"λ of {who}" None "none" $"{pairText e c.Pair}: {why}{restsOn a.Source}"
              | Between(low, high, why) -> row "range" $"λ of {who}" None (rangeText low high) $"{pairText e c.Pair}: {why}{restsOn a.Source}" ]
    let advice =
        match recommended e o alpha with
        | Result.Error why -> [ row "recommended" "λ" None "none serves" (why + restsOn a.Source) ]
        | Ok found ->
            [ for (name, _), v in List.zip e.Members found do
                  let why =
                      match e.Goal with
                      | Goal.Forget when name = fst e.Members.Head -> "-1 takes the whole task vector away, as the paper's experiments do, where the range allows it"
                      | _ when v = 1.0 -> "the theorem's task 1 has coefficient 1"
                      | _ -> "the least in the range: the bound on the first task's error grows with |λ|β"
                  row "recommended" $"λ of {name}" (Some v) (figure v) (why + restsOn a.Source) ]
            @ (if e.Members.Length > 2 then
                   [ row "" "" None "pair by pair" "the theorems speak of two tasks; for more, each pair's condition is asked for, and how they act together is not proved" ]
               else [])
    let assumed =
        [ row "assumed" "β" (Some a.Beta) "not known" "the theorems' small constant (`beta`)"
          row "assumed" "network" None "not checked" "proved for a one-layer transformer on binary tasks with one pattern each; elsewhere a guide" ]
    { Columns = columns
      Rows = row "model" "" None model $"arXiv 2504.10957, {what}" :: relations @ byLayer @ ranges @ advice @ bounds @ assumed }

let private tellOod (e: EditValue) (o: Options) (gamma: float list) : Findings =
    let a = o.Assumptions
    let found = OutOfDomain.Solve(Array.ofList gamma, a.Beta, Option.toNullable o.C)
    let squares = gamma |> List.sumBy (fun g -> g * g)
    let names = e.Members |> List.map fst
    let head =
        [ row "model" "" None ("base" + String.Join("", names |> List.map (fun n -> $" + λ·{n}"))) "arXiv 2504.10957, Theorem 3, out of domain"
          for name, g in List.zip names gamma do
              row "γ" name (Some g) (if g > 0.0 then "aligned with the target" elif g < 0.0 then "contradicts the target" else "irrelevant to the target") "as given"
          row "condition" "Σγ²" (Some squares) (if squares <= 1.0 + 1e-9 then "holds" else "fails")
              "Σγ² ≤ 1: patterns have length 1, and κ² = 1 - Σγ² is what is new in the target"
          row "condition (A)" "γ" None "holds" "some γ is not 0" ]
    let tail =
        [ row "assumed" "β" (Some a.Beta) "not known" "the theorem's small constant (`beta`)"
          row "assumed" "patterns" None "not checked" "the tasks' patterns are taken as orthonormal"
          row "assumed" "network" None "not checked" "proved for a one-layer transformer on binary tasks with one pattern each; elsewhere a guide" ]
    let c = figure found.C
    match found.Lambda with
    | null ->
        let all = if o.C.IsSome then $"c = {c}" else "any c in (0, 1)"
        { Columns = columns
          Rows =
            head
            @ [ row "condition (B)" "λ" None "none serves" $"Σλγ ≥ 1 + c, Σλγ² ≥ 1 + c and |λ|β ≤ c have no solution for {all}"
                row "certificate" "y₁, y₂" (Some found.First) $"y₁ = {figure found.First}, y₂ = {figure found.Second}"
                    $"y₁·Σλγ + y₂·Σλγ² = Σ λ(y₁γ + y₂γ²) reaches at most (c/β)·Σ|y₁γ + y₂γ²| = {figure found.Most} for |λ| ≤ c/β, and would have to reach 1 + c = {figure (1.0 + found.C)}" ]
            @ tail }
    | lambda ->
        let low, high = nonNull found.Low, nonNull found.High
        let sum f = List.zip (List.ofArray lambda) gamma |> List.sumBy (fun (l, g) -> l * f g)
        let first, second, most = sum id, sum (fun g -> g * g), lambda |> Array.map abs |> Array.max
        { Columns = columns
          Rows =
            head
            @ [ row "condition (B)" "Σλγ" (Some first) "holds" $"≥ 1 + c = {figure (1.0 + found.C)}"
                row "condition (B)" "Σλγ²" (Some second) "holds" $"≥ 1 + c = {figure (1.0 + found.C)}"
                row "condition (C)" "max |λ|β" (Some(most * a.Beta)) "holds" $"≤ c = {c}"
                row "c" "" (Some found.C) "" (if o.C.IsSome then "as given" else "the one whose λ have the least norm") ]
            @ [ for i, name in List.indexed names ->
                    row "range" $"λ of {name}" None $"{figure low[i]} <= λ <= {figure high[i]}" "how far it reaches in the feasible region, the others moving along" ]
            @ [ for i, name in List.indexed names -> row "recommended" $"λ of {name}" (Some lambda[i]) (figure lambda[i]) "the solution of least ‖λ‖" ]
            @ tail }

// Bounds by smoothness

/// Σ over members as a vector of coefficients: ‖Σ xᵢτᵢ‖² = xᵀGx.
let private squared (dot: int -> int -> float) (x: float[]) =
    let mutable sum = 0.0
    for i in 0 .. x.Length - 1 do
        for j in 0 .. x.Length - 1 do
            sum <- sum + x[i] * x[j] * dot i j
    max sum 0.0

/// What L-smoothness and a stationary fine-tuned model give: L_i(θ) − L_i(θᵢ) ≤ (Lᵢ/2)·‖θ − θᵢ‖², the distance from the Gram matrix (arXiv 2502.01015's setting).
let private boundRows (ctx: Context) (e: EditValue) (smooth: float list) (lambda: float list option) (dot: int -> int -> float) (basis: (BasisValue * (int -> float)) option) : Cell list list =
    let size = e.Members.Length
    let distance (target: int) (x: float list) =
        let x = Array.ofList x
        x[target] <- x[target] - 1.0
        squared dot x
    let why = "(L/2)·‖θ - θ_task‖² by L-smoothness with θ_task stationary, the distance from the Gram matrix; L as given"
    match lambda with
    | None -> [ row "bound" "" None "none" "there is no λ to tell it for" ]
    | Some lambda ->
        let kept = match e.Goal with Goal.Forget -> [ 1 .. size - 1 ] | _ -> [ 0 .. size - 1 ]
        [ for t in kept do
              row "bound" $"loss of {fst e.Members[t]}" (Some(smooth[t] / 2.0 * distance t lambda)) "rises by at most this" why
          match e.Goal, basis with
          | Goal.Add, _ ->
              for t in kept do
                  let worst = [ for k in 0 .. size - 1 -> dot k k + dot t t - 2.0 * dot k t ] |> List.max
                  row "bound" $"loss of {fst e.Members[t]}, any convex combination" (Some(smooth[t] / 2.0 * max worst 0.0)) "rises by at most this"
                      "(L/2)·max ‖τ_k - τ_task‖², by convexity of the norm"
          | _ -> ()
          match e.Goal, basis with
          | Goal.Add, Some(b, _) ->
              let groups = ctx.Program.Solved[b.Number].Groups
              let column (w: float[,]) m = [ for k in 0 .. Array2D.length1 w - 1 -> w[k, m] ]
              let isTasks = match ctx.Program.Bases[b.Number].Origin with BasisOrigin.Tasks -> true | _ -> false
              let convex =
                  isTasks
                  && groups |> List.forall (fun g ->
                      [ 0 .. Array2D.length2 g.Weights - 1 ]
                      |> List.forall (fun m -> let w = column g.Weights m in List.forall (fun v -> v >= 0.0) w && abs (List.sum w - 1.0) <= 1e-9))
              if convex then
                  row "bound" "from the basis" None "unchanged" "its atoms are convex combinations of the tasks (weights ≥ 0, sums 1), so a convex combination of atoms is one of tasks (arXiv 2502.01015)"
              else
                  row "bound" "from the basis" None "not covered" "its atoms are not known as convex combinations of the tasks, which arXiv 2502.01015 asks for"
          | Goal.Forget, Some(_, lost) ->
              let l = abs lambda.Head
              for t in kept do
                  let d = sqrt (distance t lambda) + l * lost 0
                  row "bound" $"loss of {fst e.Members[t]}, from the basis" (Some(smooth[t] / 2.0 * d * d)) "rises by at most this"
                      $"the same with |λ|·‖τ - τ̂‖ = {figure (l * lost 0)} added to the distance: it grows with the error of {fst e.Members.Head} in the basis (arXiv 2502.01015)"
          | _ -> () ]

/// L by member: one number for all, or a list.
let private smoothnessOf ctx (call: Call) (e: EditValue) : float list option option =
    match call.Args[6] with
    | None -> Some None
    | Some a ->
        let items =
            match a.Value with
            | Value.Scalar _ -> List.replicate e.Members.Length a.Value
            | v -> Context.members ctx v |> Option.map (List.map snd) |> Option.defaultValue []
        let found = items |> List.map (fun v -> match v with Value.Scalar n -> known ctx n | _ -> None)
        if found.Length <> e.Members.Length || found |> List.exists Option.isNone then
            report ctx (Diagnostics.wrongKind $"`smoothness` of `{call.Function}`" $"a number, or a List of {e.Members.Length} known ones" (describe ctx a.Value) a.Span None)
            None
        elif found |> List.exists (fun v -> v.Value < 0.0) then
            report ctx (Diagnostics.cannotCompute "a smoothness constant is not negative" a.Span None)
            None
        else
            Some(Some(found |> List.map Option.get))

let private editOf ctx (call: Call) =
    match call.Args[0].Value.Value with
    | Value.Edit e -> Some e
    | Value.Unknown _ -> None
    | v ->
        report ctx
            (Diagnostics.wrongKind $"`{call.Function}`" "an edit" (describe ctx v) call.Args[0].Value.Span
                (Some $"say what is meant: `{call.Function}(add(F.a, F.b))`, `{call.Function}(forget(F.b, keep = [F.a]))` or `{call.Function}(ood(F, gamma = [0.6, -0.3]))`"))
        None

/// What is known already may show a fault here rather than in the run.
let private catching ctx (call: Call) otherwise f =
    try
        f ()
    with :? FaultException as e ->
        report ctx (Diagnostics.cannotCompute e.Message call.Span None)
        otherwise

let private advise ctx (call: Call) =
    let nothing = Value.Unknown Kind.Table
    match editOf ctx call with
    | None -> nothing
    | Some e ->
        let basis =
            match call.Args[7] with
            | None -> Some None
            | Some { Value = Value.Basis b } -> Some(Some b)
            | Some { Value = Value.Unknown _ } -> None
            | Some a ->
                report ctx (Diagnostics.wrongKind "`basis` of `advise`" "a Basis" (describe ctx a.Value) a.Span None)
                None
        match optionsOf ctx call e, smoothnessOf ctx call e, basis with
        | Some o, Some smooth, Some basis ->
            catching ctx call nothing (fun () ->
                let p = ctx.Program
                let numbers = coefficients ctx e o (fun _ -> nan)
                let named = List.zip (e.Members |> List.map fst) numbers
                let feasible = p.Follow([ numbers.Head ], fun v -> if Double.IsNaN v.Head then 0.0 else 1.0)
                match e.Goal with
                | Goal.Ood gamma ->
                    Value.Table(Found { Needs = []; Tell = (fun _ _ -> tellOod e o gamma); Numbers = ("feasible", feasible) :: named })
                | _ ->
                    let layers = match o.Gram with Some g when o.Pairs.Length <= 3 -> Some g | _ -> None
                    let gram = match smooth, o.Gram with Some _, None -> Some(gramOf ctx call e.Members) | _, g -> g
                    let indices = [ 0 .. e.Members.Length - 1 ]
                    let place (name: string) =
                        basis |> Option.bind (fun b -> p.Bases[b.Number].Names |> List.tryFindIndex ((=) name))
                    let ofBasis =
                        match basis with
                        | Some b ->
                            match place (fst e.Members.Head) with
                            | Some t -> [ p.BasisNumber(b.Number, BasisNumber.Norm t); p.BasisNumber(b.Number, BasisNumber.RelativeError t) ]
                            | None ->
                                report ctx (Diagnostics.unknownMember (fst e.Members.Head) call.Args[7].Value.Text p.Bases[b.Number].Names call.Args[7].Value.Span)
                                []
                        | None -> []
                    let dots = match gram with Some g -> [ for i in indices do for j in indices -> (i, j), dotOf ctx g i j ] | None -> []
                    let inLayers =
                        match layers with
                        | Some g -> [ for k in 0 .. g.Groups.Length - 1 -> g.Groups[k], [ for i, j in o.Pairs -> (i, j), (dotIn ctx g k i j, dotIn ctx g k i i, dotIn ctx g k j j) ] ]
                        | None -> []
                    let needs =
                        (o.Pairs |> List.map (fun pair -> o.Alpha[pair])) @ (dots |> List.map snd) @ ofBasis
                        @ (inLayers |> List.collect (snd >> List.collect (fun (_, (a, b, c)) -> [ a; b; c ])))
                    let tellAll (lookup: Node -> float[]) _ =
                        let one n = (lookup n)[0]
                        let byLayer =
                            [ for label, pairs in inLayers ->
                                  label,
                                  [ for pair, (ij, ii, jj) in pairs ->
                                        pair, (if one ii > 0.0 && one jj > 0.0 then one ij / sqrt (one ii) / sqrt (one jj) else nan) ] ]
                        let bounds =
                            match smooth with
                            | None -> []
                            | Some smooth ->
                                let byPair = dots |> List.map (fun (pair, n) -> pair, one n) |> Map.ofList
                                let lambda =
                                    match recommended e o (fun pair -> one o.Alpha[pair]) with
                                    | Ok found -> Some found
                                    | Result.Error _ -> None
                                let lost = match ofBasis with [ norm; error ] -> Some(fun (_: int) -> one norm * one error) | _ -> None
                                let basis = match basis, lost with Some b, Some lost -> Some(b, lost) | _ -> None
                                boundRows ctx e smooth lambda (fun i j -> byPair[i, j]) basis
                        tell e o lookup byLayer bounds
                    let alpha =
                        match o.Pairs with
                        | [ pair ] -> [ "alpha", o.Alpha[pair] ]
                        | _ -> []
                    let lambda = match e.Goal, numbers with Goal.Add, [ _; n ] -> [ "lambda", n ] | Goal.Forget, n :: _ -> [ "lambda", n ] | _ -> []
                    Value.Table(Found { Needs = needs; Tell = tellAll; Numbers = alpha @ lambda @ [ "feasible", feasible ] @ named }))
        | _ -> nothing

let private advised ctx (call: Call) =
    let nothing = Value.Unknown Kind.Delta
    match editOf ctx call with
    | None -> nothing
    | Some e ->
        match optionsOf ctx call e with
        | None -> nothing
        | Some o ->
            catching ctx call nothing (fun () ->
                let numbers = coefficients ctx e o (fun why -> raise (FaultException why))
                let span = call.Span
                let set =
                    e.Members.Tail |> List.fold (fun (acc: TensorValue) (_, t) -> { acc with Set = joinSets ctx span acc t }) (snd e.Members.Head) |> _.Set
                let args = [| for k, (_, t) in List.zip numbers e.Members do k; t.Node |]
                Value.Tensor { Node = (graph ctx).Make(Linear, args, span); Weight = number ctx 0.0; Set = set })

let private zoo = "family(\"zoo/tasks/*.safetensors\", model(\"zoo/base.safetensors\"))"

let private builtin name parameters variadic summary example result run : Builtin =
    { Name = name; Group = "advice"; Parameters = parameters; Variadic = variadic; Summary = summary; Example = example; Result = result; Run = run }

let private options =
    [ Call.optional "alpha" Kind.Any ""; Call.optional "outputs" Kind.Text ""; Call.optional "beta" Kind.Scalar "0.05"
      Call.optional "irrelevant" Kind.Scalar "0.2"; Call.optional "c" Kind.Scalar "" ]

let all =
    [ builtin "add" [ Call.required "a" Kind.Any ] true
          "Adding task vectors, or the members of a family, as an edit for `advise` and `advised`; the first is the theorem's task 1."
          $"advise(add({zoo}.digits, {zoo}.letters), alpha = 0.3)" Kind.Edit add
      builtin "forget" [ Call.required "a" Kind.Any; Call.required "keep" Kind.Any ] false
          "Forgetting a task while others stay, as an edit for `advise` and `advised`: base + the kept ones + λ·a with λ ≤ 0."
          $"advise(forget({zoo}.digits, keep = [{zoo}.letters]), alpha = 0)" Kind.Edit forget
      builtin "ood" [ Call.required "F" Kind.Any; Call.required "gamma" Kind.List ] false
          "Carrying over to a task that none of F is: its pattern is μ' = Σ γᵢμᵢ + κμ⊥ with orthonormal μᵢ. An edit for `advise` and `advised`."
          $"advise(ood([{zoo}.digits, {zoo}.letters], gamma = [0.8, -0.5]))" Kind.Edit ood
      builtin "advise"
          ([ Call.required "edit" Kind.Edit ] @ options @ [ Call.optional "smoothness" Kind.Any ""; Call.optional "basis" Kind.Basis "" ])
          false
          ("What theory allows for an edit (arXiv 2504.10957): how each pair of tasks lies to each other, the range of λ with its condition in numbers, the λ to take, or why none serves. "
           + "Adding: both tasks are good iff α ≥ 0 and λ ≥ 1 − α + β. Forgetting: α = 0 and λ ≤ 0, or α < 0 and −Θ(α⁻²) ≤ λ < 0; for α > 0 only when α is small. "
           + "Out of domain: Σλγ ≥ 1 + c, Σλγ² ≥ 1 + c and |λ|β ≤ c for a c in (0, 1) (the λ of least norm, how far each reaches, or the proof that there are none). "
           + "α is `alpha` (one number, or a list of one for each pair), or is estimated from `outputs`, a command as of `evaluate` that prints the outputs of a model, "
           + "{\"data set\": [[numbers of a sample], ...]}, for each task's own model: the mean cosine. Without either the cosine of the task vectors stands for it, which is a proxy and is called so; by layer too. "
           + "Estimates up to `irrelevant` count as 0. With `smoothness` L (one number, or one for each task) the bounds on the losses, (L/2)·‖θ − θ_task‖² from the Gram matrix, and with `basis` how keeping the tasks as its atoms changes them (arXiv 2502.01015). "
           + "Its numbers have names: `lambda`, `alpha`, `feasible`, and each task's coefficient under its own.")
          $"advise(add({zoo}.digits, {zoo}.letters))" Kind.Table advise
      builtin "advised" ([ Call.required "edit" Kind.Edit ] @ options) false
          "The edit with the coefficients that `advise` recommends, as a Delta; a mistake or a fault that says why where none serve."
          $"norm(advised(add({zoo}.digits, {zoo}.letters), alpha = 0.3))" Kind.Delta advised ]
