/// `conflicts`: where task vectors stand in each other's way, from a family to numbers by tensor and a report by tensor, by layer and of the whole.
module Tva.Dsl.Typing.Builtins.Conflicts

open System
open System.Collections.Generic
open Tva.Core.Execution
open Tva.Core.Tensors
open Tva.Dsl
open Tva.Dsl.Graph
open Tva.Dsl.Typing
open Tva.Dsl.Typing.Context

/// What is counted and summed by tensor; of layers and of the whole model it is the sum of their tensors.
type private Sums =
    { /// Element by element pairs of members, both not 0, of one sign, and of different signs.
      Agree: Node
      Differ: Node
      /// Element by element pairs of members that both have it among their largest, and members that have it there.
      Both: Node
      Kept: Node
      /// Σ PN for P the sum of an element's positive values and N that of its negative ones, without their sign; and Σ (P + N)².
      Opposed: Node
      Gross: Node
      /// ⟨xᵢ, xⱼ⟩ for i <= j, by i.
      Dots: Node list list }

let private sums (ctx: Context) (call: Call) (density: float) (xs: TensorValue list) : Sums =
    let span = call.Span
    let op name (args: Node list) = apply ctx name span (Array.ofList args)
    let total = List.reduce (fun a b -> op "add" [ a; b ])
    let zero, one = number ctx 0.0, number ctx 1.0
    let nodes = xs |> List.map _.Node
    let reduce x = Reductions.l1 ctx span Extent.Tensor x
    let positive = total [ for x in nodes -> op "gt" [ x; zero ] ]
    let negative = total [ for x in nodes -> op "lt" [ x; zero ] ]
    let pairs n = op "mul" [ number ctx 0.5; op "mul" [ n; op "sub" [ n; one ] ] ]
    let large =
        total
            [ for x in nodes do
                  let selection = (graph ctx).Make(Reduce(ReduceKind.KeepLargest, Extent.Tensor), [| x; number ctx density |], span)
                  op "ne" [ (graph ctx).Make(Keep, [| x; selection |], span); zero ] ]
    let gains = total [ for x in nodes -> op "max" [ x; zero ] ]
    let losses = total [ for x in nodes -> op "max" [ op "neg" [ x ]; zero ] ]
    let gross = op "add" [ gains; losses ]
    { Agree = reduce (op "add" [ pairs positive; pairs negative ])
      Differ = reduce (op "mul" [ positive; negative ])
      Both = reduce (pairs large)
      Kept = reduce large
      Opposed = reduce (op "mul" [ gains; losses ])
      Gross = Reductions.dot ctx span Extent.Tensor gross gross
      Dots = Bases.gram ctx span Extent.Tensor xs }

let private columns =
    [ "part"; "of"; "sign_agreement"; "cosine"; "least_cosine"; "between"; "overlap"; "cancelled"; "share"; "row_overlap"; "row_angle"; "dominant"; "dominance" ]

/// The report of a set of tensors: sums of their numbers.
let private row part of' (names: string list) (value: Node -> float) (allOpposed: float) (s: Sums) (angles: (float * float) option) =
    let size = names.Length
    let dot i j = value (let a, b = min i j, max i j in s.Dots[a][b - a])
    let norms = [| for i in 0 .. size - 1 -> sqrt (max 0.0 (dot i i)) |]
    let cosines =
        [ for i in 0 .. size - 1 do
              for j in i + 1 .. size - 1 do
                  if norms[i] > 0.0 && norms[j] > 0.0 then (i, j), dot i j / norms[i] / norms[j] ]
    let over a b = if b > 0.0 then Cell.Figure(a / b) else Cell.Blank
    let figure v = if Double.IsNaN v then Cell.Blank else Cell.Figure v
    let agree, differ, kept = value s.Agree, value s.Differ, value s.Kept
    let energy = norms |> Array.sumBy (fun n -> n * n)
    let most = [ 0 .. size - 1 ] |> List.maxBy (fun i -> norms[i])
    let least = if cosines.IsEmpty then None else Some(cosines |> List.minBy snd)
    [ Cell.Word part
      (if of' = "" then Cell.Blank else Cell.Word of')
      over agree (agree + differ)
      (if cosines.IsEmpty then Cell.Blank else Cell.Figure(cosines |> List.averageBy snd))
      (match least with Some(_, v) -> Cell.Figure v | None -> Cell.Blank)
      (match least with Some((i, j), _) -> Cell.Word $"{names[i]}, {names[j]}" | None -> Cell.Blank)
      over (2.0 * value s.Both) (float (size - 1) * kept)
      over (4.0 * value s.Opposed) (value s.Gross)
      over (value s.Opposed) allOpposed
      (match angles with Some(overlap, _) -> figure overlap | None -> Cell.Blank)
      (match angles with Some(_, least) -> figure least | None -> Cell.Blank)
      (if energy > 0.0 then Cell.Word names[most] else Cell.Blank)
      over (norms[most] * norms[most]) energy ]

let private nodesOf (s: Sums) = [ s.Agree; s.Differ; s.Both; s.Kept; s.Opposed; s.Gross ] @ List.concat s.Dots

let private conflicts ctx (call: Call) =
    let nothing = Value.Unknown Kind.Table
    let density =
        match Call.constant ctx call 1 "density" 0.2 with
        | Some v when not (v > 0.0 && v <= 1.0) ->
            report ctx (Diagnostics.notAShare "`density` of `conflicts`" v call.Args[1].Value.Span)
            None
        | v -> v
    let rank =
        match Call.constant ctx call 2 "rank" 8.0 with
        | Some v when not (v >= 0.0 && v = floor v && v <= 1e6) ->
            report ctx (Diagnostics.outOfRange "`rank` of `conflicts`" "0" "1000000 (whole)" v call.Args[2].Value.Span)
            None
        | v -> v |> Option.map int
    match Edits.vectors ctx call [ call.Args[0].Value ], density, rank with
    | Some members, Some _, Some _ when members.Length < 2 && not ctx.Abstract ->
        report ctx (Diagnostics.tooFewMembers 2 members.Length call.Args[0].Value.Span)
        nothing
    | Some members, Some density, Some rank when not ctx.Abstract && (snd members.Head).Set.IsSome && Bases.checkMembers ctx call members ->
        let p = ctx.Program
        let names, xs = List.unzip members
        let set = xs.Head.Set.Value
        let tensors = [ for t in p.SetTensors set do if t.DType.IsFloating() then t ]
        let s = sums ctx call density xs
        let deep = [ for t in tensors do if t.Shape.Dims.Count = 2 then t.Name ]
        let angles =
            if rank = 0 || deep.IsEmpty then None
            else
                Some(p.AddAngles { Sources = xs; Set = set; Rank = rank; Tensors = deep })
        let tell (lookup: Node -> float[]) (labels: Node -> string list) : Findings =
            // By node, by tensor.
            let all = Dictionary<int, IReadOnlyDictionary<string, float>>()
            let byTensor (n: Node) =
                match all.TryGetValue n.Id with
                | true, d -> d
                | _ ->
                    let d =
                        match n.Op with
                        | _ when (lookup n).Length = 1 && tensors.Length <> 1 -> dict [ for t in tensors -> t.Name, (lookup n)[0] ]
                        | _ -> dict (List.zip (labels n) (List.ofArray (lookup n)))
                    all[n.Id] <- Dictionary d
                    all[n.Id]
            let value (part: TensorInfo list) (n: Node) = (let d = byTensor n in part |> List.sumBy (fun t -> d[t.Name]))
            let opposed = value tensors s.Opposed
            let anglesOf (t: TensorInfo) =
                match angles with
                | Some set ->
                    match p.Angles[set].TryGetValue t.Name with
                    | true, struct (overlap, least) -> Some(overlap, least)
                    | _ -> None
                | None -> None
            /// Of several tensors the mean overlap and the least angle.
            let anglesIn (part: TensorInfo list) =
                match part |> List.choose anglesOf |> List.filter (fun (o, _) -> not (Double.IsNaN o)) with
                | [] -> None
                | found -> Some(found |> List.averageBy fst, found |> List.map snd |> List.min)
            let one part of' ts = row part of' names (value ts) opposed s (anglesIn ts)
            let layers = tensors |> List.groupBy _.Layer
            let worst = tensors |> List.filter (fun t -> value [ t ] s.Opposed > 0.0) |> List.sortByDescending (fun t -> value [ t ] s.Opposed) |> List.truncate 3
            { Columns = columns
              Rows =
                [ one "all" "" tensors
                  for t in worst do
                      one "fix first" t.Name [ t ]
                  for layer, ts in layers do
                      one "layer" (Solving.layerName layer) ts
                  for t in tensors do
                      one "tensor" t.Name [ t ] ] }
        let needs = nodesOf s @ (match angles with Some set -> [ p.Angle set ] | None -> [])
        Value.Table(Found { Needs = needs; IsDrawn = true; Tell = tell; Numbers = [] })
    | _ -> nothing

let private zoo = "family(\"zoo/tasks/*.safetensors\", model(\"zoo/base.safetensors\"))"

let all : Builtin list =
    [ { Name = "conflicts"; Group = "advice"
        Parameters = [ Call.required "F" Kind.Family; Call.optional "density" Kind.Scalar "0.2"; Call.optional "rank" Kind.Scalar "8" ]
        Variadic = false
        Summary =
            "Where the members of F stand in each other's way: of the whole model, by layer and by tensor. Over every two members: sign_agreement, the share of elements, not 0 in both, that have one sign in both; "
            + "cosine, its mean, and the least one with the two it is between; overlap, the share of the int(density·n) largest magnitudes of a tensor that one has in common with another (by chance it is `density`). "
            + "cancelled: 4·Σ PN / Σ (P + N)², the share of energy that is lost in adding all, P and N the sums of an element's positive and negative values; share: the part of all Σ PN that lies there. \"fix first\" are the three tensors with most of it. "
            + "Of matrices, row_overlap: the mean cos² of the principal angles between the leading `rank` directions of their row spaces, and row_angle, the least angle in degrees (rank = 0 leaves both out). "
            + "dominant: the member with the largest norm there, dominance its share of Σ‖τ‖²."
        Example = $"conflicts({zoo}, rank = 4)"; Result = Kind.Table; Run = conflicts } ]
