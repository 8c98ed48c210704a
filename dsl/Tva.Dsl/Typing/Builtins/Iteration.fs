/// `repeat`: a `def` called again and again on what it gave before, its numbers carried by a loop; and `pairs`.
module Tva.Dsl.Typing.Builtins.Iteration

open System
open System.Collections.Generic
open Tva.Core.Execution
open Tva.Dsl
open Tva.Dsl.Graph
open Tva.Dsl.Typing
open Tva.Dsl.Typing.Context

/// More rounds than any iteration here needs, and few enough to wait for.
let private mostRounds = 100_000

/// Widening and finding vectors take a round or two each; what is not closed after so many never is.
let private mostAttempts = 16

/// Deeper nesting has no bits left to tell loops apart.
let private deepest = 30

/// A part of the state: one number, or one task vector.
[<RequireQualifiedAccess>]
type private Part =
    | Number of Node * isBool: bool
    | Vector of TensorValue

let private isNumber part = match part with Part.Number _ -> true | Part.Vector _ -> false

/// The parts of a state and how it is put together from others of their kinds; what is no part is told.
let rec private take (value: Value) : Result<Part list * (Part list -> Value), Value> =
    let several (values: Value list) (build: Value list -> Value) =
        let taken = values |> List.map take
        match taken |> List.tryPick (function Result.Error v -> Some v | Ok _ -> None) with
        | Some odd -> Result.Error odd
        | None ->
            let taken = taken |> List.map (function Ok t -> t | Result.Error _ -> [], fun _ -> value)
            let counts = taken |> List.map (fst >> List.length)
            Ok(
                taken |> List.collect fst,
                fun parts ->
                    let mutable rest = parts
                    build
                        [ for count, (_, make) in List.zip counts taken ->
                              let own, others = List.splitAt count rest
                              rest <- others
                              make own ]
            )
    let named names values build = several values (fun vs -> build (List.zip names vs))
    match value with
    | Value.Scalar n -> Ok([ Part.Number(n, false) ], List.head >> function Part.Number(n, _) -> Value.Scalar n | Part.Vector t -> Value.Tensor t)
    | Value.Bool n ->
        Ok([ Part.Number(n, true) ], List.head >> function Part.Number(n, _) -> (if n.Extent = Extent.All then Value.Bool n else Value.Scalar n) | Part.Vector t -> Value.Tensor t)
    | Value.Tensor t -> Ok([ Part.Vector t ], List.head >> function Part.Vector t -> Value.Tensor t | Part.Number(n, _) -> Value.Scalar n)
    | FamilyLike ms ->
        named (List.map fst ms) (ms |> List.map (snd >> Value.Tensor)) (fun parts -> Value.Family(parts |> List.map (fun (name, v) -> name, (match v with Value.Tensor t -> t | _ -> snd ms.Head))))
    | Value.List vs -> several vs Value.List
    | Value.Named vs -> named (List.map fst vs) (List.map snd vs) Value.Named
    | Value.Record entries -> named (List.map fst entries) (List.map snd entries) Value.Record
    | v -> Result.Error v

/// The names in a value, and the kinds of what they name: a state keeps its form.
let rec private form (value: Value) : string =
    let many (names: string list) values = "[" + String.Join(", ", List.map2 (fun name v -> name + form v) names values) + "]"
    match value with
    | Value.Scalar _
    | Value.Bool _ -> "a number"
    | Value.Tensor _ -> "a Delta"
    | FamilyLike ms -> many (ms |> List.map (fun (name, _) -> name + ": ")) (ms |> List.map (snd >> Value.Tensor))
    | Value.List vs -> many (vs |> List.map (fun _ -> "")) vs
    | Value.Named vs -> many (vs |> List.map (fun (name, _) -> name + ": ")) (List.map snd vs)
    | Value.Record entries ->
        let name key = match key with Syntax.Key k | Syntax.Glob k -> k.Text + ": " | Syntax.Else _ -> "else: "
        many (entries |> List.map (fst >> name)) (List.map snd entries)
    | v -> Kind.article (match v with Value.Unknown k -> k | Value.Text _ -> Kind.Text | Value.Scope _ -> Kind.Scope | Value.Table _ -> Kind.Table | Value.Function _ -> Kind.Function | _ -> Kind.Any)

let private partsOf value = match take value with Ok(parts, _) -> parts | Result.Error _ -> []

let private insideAnother part =
    match part with
    | Part.Number(n, _) -> n.Inside <> 0
    | Part.Vector t -> t.Node.Inside <> 0

/// Over what a part's numbers hold, so far; and the vectors that a vector is a sum of, so far.
type private Reach = { Over: Extent; Support: Node list }

/// What one call of the `def` on carried numbers shows: how far they must reach, and, where they reach that far already, the loop.
type private Round =
    | Wider of Reach list
    | Closed of starts: Node list * nexts: Node list * places: (Node * int) list list
    | Wrong

/// The numbers that carry the parts: those of numbers first, then for each vector one for each that it is a sum of.
let private places (parts: Part list) (reach: Reach list) =
    let mutable next = parts |> List.filter isNumber |> List.length
    let mutable numbers = 0
    [ for part, r in List.zip parts reach ->
          match part with
          | Part.Number _ ->
              numbers <- numbers + 1
              [ None, numbers - 1 ]
          | Part.Vector _ ->
              [ for x in r.Support ->
                    next <- next + 1
                    Some x, next - 1 ] ]

let private weightless ctx what (span: Span) (parts: Part list) =
    parts |> List.forall (function Part.Vector t -> wantDelta ctx what span t | Part.Number _ -> true)

let private round (ctx: Context) (call: Call) (f: Closure) depth (start: Value) (parts: Part list) build (extra: Value list) (reach: Reach list) : Round =
    let g = graph ctx
    let carried index over = g.Make(Carried(depth, index, over), [||], call.Span)
    let before = places parts reach
    let symbols =
        [ for i, (part, r, place) in List.indexed (List.zip3 parts reach before) ->
              match part with
              | Part.Number(_, isBool) -> Part.Number(carried (snd place.Head) r.Over, isBool)
              | Part.Vector t -> Part.Vector { t with Node = carried i Extent.Element; Weight = number ctx 0.0 } ]
    match ctx.Invoke ctx f (build symbols :: extra) call.Span with
    | Value.Unknown _ -> Wrong
    | result when form result <> form start ->
        report ctx (Diagnostics.stateChanges f.Definition.Name.Text (form start) (form result) call.Args[0].Value.Span)
        Wrong
    | result ->
        let nexts = match take result with Ok(ps, _) -> ps | Result.Error _ -> []
        if not (weightless ctx $"what `{f.Definition.Name.Text}` gives `repeat`" call.Args[0].Value.Span nexts) then Wrong
        else
            let sums = Dictionary<int, (Node * Node) list>()
            let spans = Spans(g, fun i -> sums[i])
            let supports = reach |> List.map (fun r -> r.Support) |> Array.ofList
            let state () =
                let place = places parts [ for r, s in List.zip reach (List.ofArray supports) -> { r with Support = s } ]
                for i, (r, own) in List.indexed (List.zip reach place) do
                    sums[i] <- [ for x, index in own do match x with Some x -> x, carried index r.Over | None -> () ]
                place
            state () |> ignore
            let vectors = [ for p in parts @ nexts do match p with Part.Vector t -> t.Node | Part.Number _ -> () ]
            spans.See(List.concat supports @ (vectors |> List.collect spans.Vectors))
            // What a vector starts from, what it gets besides carried ones, and what those are sums of.
            let support (n: Node) = spans.Support n
            let include' i (xs: Node list) =
                let more = xs |> List.distinctBy _.Id |> List.filter (fun x -> not (supports[i] |> List.exists (fun y -> y.Id = x.Id)))
                supports[i] <- supports[i] @ more
                not more.IsEmpty
            let mutable grows = true
            while grows do
                grows <- false
                for i, (p, q) in List.indexed (List.zip parts nexts) do
                    match p, q with
                    | Part.Vector p, Part.Vector q ->
                        let _, fromStart = support p.Node
                        let own, fresh = support q.Node
                        if include' i (fromStart @ fresh @ (own |> List.collect (fun k -> supports[k]))) then
                            grows <- true
                    | _ -> ()
            let place = state ()
            let coefficient (sum: (Node * Node) list) (x: Node) = sum |> List.tryFind (fun (_, y) -> y.Id = x.Id) |> Option.map fst |> Option.defaultValue (number ctx 0.0)
            let found = [ for r, s in List.zip reach (List.ofArray supports) -> { r with Support = s } ]
            if List.exists2 (fun (a: Reach) b -> a.Support.Length <> b.Support.Length) reach found then Wider found
            else
                let numbers p own =
                    match p with
                    | Part.Number(n, _) -> [ spans.Number n ]
                    | Part.Vector t -> (let sum = spans.Sum t.Node in [ for x, _ in own -> coefficient sum (Option.get x) ])
                let starts = List.map2 numbers parts place
                let after = List.map2 numbers nexts place
                let over = List.map3 (fun (r: Reach) a b -> Seq.fold (fun e (n: Node) -> max e n.Extent) r.Over (Seq.append a b)) found starts after
                if List.exists2 (fun (r: Reach) e -> e > r.Over) found over then
                    Wider(List.map2 (fun r e -> { r with Over = e }) found over)
                else
                    let ordered (values: Node list list) =
                        List.zip (List.concat place) (List.concat values) |> List.sortBy (fun ((_, index), _) -> index) |> List.map snd
                    let shown = place |> List.map (List.map (fun (x, index) -> (x |> Option.defaultValue (number ctx 1.0)), index))
                    Closed(ordered starts, ordered after, shown)

let private outcome (ctx: Context) (call: Call) depth rounds (parts: Part list) build (reach: Reach list) (starts: Node list) (nexts: Node list) (place: (Node * int) list list) =
    let g = graph ctx
    let args = [| for n in starts @ nexts -> simplify ctx n |]
    let result index over = g.Make(Loop { Depth = depth; Rounds = rounds; Output = index; Over = over }, args, call.Span)
    let made =
        [ for part, r, own in List.zip3 parts reach place ->
              match part with
              | Part.Number(_, isBool) -> Part.Number(result (snd own.Head) r.Over, isBool)
              | Part.Vector t ->
                  let terms = [ for x, index in own -> apply ctx "mul" call.Span [| result index r.Over; x |] ]
                  let node =
                      match terms with
                      | [] -> apply ctx "mul" call.Span [| number ctx 0.0; t.Node |]
                      | _ -> terms |> List.reduce (fun a b -> apply ctx "add" call.Span [| a; b |])
                  Part.Vector { t with Node = node; Weight = number ctx 0.0 } ]
    build made

/// The number of rounds, known now.
let private roundsOf ctx (call: Call) =
    match Call.constant ctx call 1 "rounds" 0.0 with
    | None -> None
    | Some v when not (v >= 0.0 && v <= float mostRounds) ->
        report ctx (Diagnostics.outOfRange "`rounds` of `repeat`" "0" (string mostRounds) v call.Args[1].Value.Span)
        None
    | Some v when v <> Math.Floor v ->
        report ctx (Diagnostics.cannotCompute $"`rounds` of `repeat` is {v}, no whole number" call.Args[1].Value.Span None)
        None
    | Some v -> Some(int v)

let private iterate (ctx: Context) (call: Call) (f: Closure) rounds (start: Value) (extra: Value list) : Value =
    match take start with
    | Result.Error odd ->
        if not odd.IsUnknown then
            report ctx
                (Diagnostics.wrongKind "what `repeat` carries" "numbers and Deltas, or a List, Record or Family of them" (describe ctx odd) call.Args[2].Value.Span None)
        Call.unknown
    | Ok(parts, _) when not (weightless ctx "what `repeat` carries" call.Args[2].Value.Span parts) -> Call.unknown
    | Ok(parts, _) when rounds = 0 || parts.IsEmpty -> start
    // Only the arguments can depend on a loop around this one: a `def` sees nothing of what calls it.
    | Ok(parts, _) when parts @ List.collect partsOf extra |> List.exists insideAnother ->
        report ctx (Diagnostics.needsPass (quote (ctx.Program.TextOf call.Span)) "depends on what another `repeat` around it carries" call.Span)
        Call.unknown
    | Ok(parts, build) ->
        let depth = ctx.Program.Loops
        ctx.Program.Loops <- depth + 1
        try
            try
                if depth >= deepest then
                    report ctx (Diagnostics.cannotCompute $"`repeat` is nested more than {deepest} deep" call.Span None)
                    Call.unknown
                else
                    let rec close attempt reach =
                        match round ctx call f depth start parts build extra reach with
                        | Wrong -> Call.unknown
                        | Closed(starts, nexts, place) -> outcome ctx call depth rounds parts build reach starts nexts place
                        | Wider more when attempt < mostAttempts -> close (attempt + 1) more
                        | Wider _ ->
                            report ctx (Diagnostics.needsPass $"what `{f.Definition.Name.Text}` gives" "is a sum of more vectors each round" call.Args[0].Value.Span)
                            Call.unknown
                    close 1 [ for p in parts -> { Over = (match p with Part.Number(n, _) -> (simplify ctx n).Extent | Part.Vector _ -> Extent.All); Support = [] } ]
            with LeavesSpan(node, why) ->
                // What stands in the prelude is shown at the call.
                let shown = node.Origin.Source >= 0 && (node.Origin.Source <> ctx.Program.Prelude || call.Span.Source = ctx.Program.Prelude)
                let what = if node.Origin.Source < 0 then $"something in `{f.Definition.Name.Text}`" else quote (ctx.Program.TextOf node.Origin)
                report ctx (Diagnostics.needsPass what why (if shown then node.Origin else call.Span))
                Call.unknown
        finally
            ctx.Program.Loops <- depth

let private repeat ctx (call: Call) =
    let extra = call.Rest |> List.map _.Value
    match call.Args[0].Value.Value, roundsOf ctx call, call.Args[2].Value.Value with
    // While a `def` is checked on its own, one call tells what is wrong with the function.
    | Value.Function f, _, start when ctx.Abstract ->
        ctx.Invoke ctx f (start :: extra) call.Span |> ignore
        Value.Unknown(kindOf ctx start)
    | Value.Function f, Some rounds, start -> iterate ctx call f rounds start extra
    | Value.Function _, None, _
    | Value.Unknown _, _, _ -> Call.unknown
    | v, _, _ ->
        report ctx (Diagnostics.wrongKind "`repeat`" "the name of a def" (describe ctx v) call.Args[0].Value.Span None)
        Call.unknown

/// The members i < j of every pair, apart: as Families or Lists whose members stand opposite each other.
let private pairs ctx (call: Call) =
    Call.orUnknown (Call.members ctx call 0 "F") (fun ms ->
        let all = Array.ofList ms
        let couples = [ for i in 0 .. all.Length - 1 do for j in i + 1 .. all.Length - 1 -> all[i], all[j] ]
        let side pick =
            let values = couples |> List.map (pick >> snd)
            let names = couples |> List.map (fun ((a, _), (b, _)) -> Option.map2 (fun a b -> $"{a} {b}") a b)
            let tensors = values |> List.choose (function Value.Tensor t -> Some t | _ -> None)
            if names |> List.forall Option.isSome && not names.IsEmpty then
                let names = names |> List.map Option.get
                if tensors.Length = values.Length then Value.Family(List.zip names tensors) else Value.Named(List.zip names values)
            else
                Value.List values
        if couples.IsEmpty then
            report ctx (Diagnostics.cannotCompute "`pairs` takes two or more members" call.Args[0].Value.Span None)
            Call.unknown
        else
            let key name : Syntax.RecordKey = Syntax.Key { Text = name; Span = call.Span }
            Value.Record [ key "left", side fst; key "right", side snd ])

let all : Builtin list =
    [ { Name = "repeat"; Group = "iteration"
        Parameters = [ Call.required "f" Kind.Function; Call.required "rounds" Kind.Scalar; Call.required "start" Kind.Any ]
        Variadic = true
        Summary =
          "The `def` f called `rounds` times: f(start, ...), then on what it gave, with the same further arguments. The state is a number or a Delta, or a "
          + "List, Record or Family of them, and keeps its form. A Delta may be scaled, added up and measured by `dot`, `norm` and `cosine`: it stays a sum of "
          + "the vectors it starts from and is given, so all rounds together cost the one pass that measures those."
        Example = "def halve(x) = x / 2; repeat(halve, 3, 8)"; Result = Kind.Any; Run = repeat }
      { Name = "pairs"; Group = "over members"; Parameters = [ Call.required "F" Kind.Any ]; Variadic = false
        Summary = "Every two members i < j: a Record of `left` and `right`, whose members stand opposite each other."
        Example = "sum(pairs([1, 2, 3]).left * pairs([1, 2, 3]).right)"; Result = Kind.Record; Run = pairs } ]
