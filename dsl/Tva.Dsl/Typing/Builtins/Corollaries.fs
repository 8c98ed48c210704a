/// The sparse and low-rank forms of a task vector that arXiv 2504.10957 covers (Corollaries 1 and 2): `prune_rows`, and reports of gaps and spectra.
module Tva.Dsl.Typing.Builtins.Corollaries

open System
open System.Collections.Generic
open Tva.Core.Execution
open Tva.Core.Tensors
open Tva.Dsl
open Tva.Dsl.Graph
open Tva.Dsl.Typing
open Tva.Dsl.Typing.Context

let private matricesOf (ctx: Context) (set: TensorSet) =
    [ for t in ctx.Program.SetTensors set do if t.DType.IsFloating() && t.Shape.Dims.Count = 2 then t ]

/// A share of the rows as one of the elements, whole rows of every tensor: the least more than k/m of k·n elements is still k rows.
let private density (ctx: Context) span (matrices: TensorInfo list) (keep: Node) =
    let rows = Dictionary(matrices |> Seq.map (fun t -> KeyValuePair(t.Name, float t.Shape.Rows)))
    for t in ctx.Program.Sources |> Seq.collect _.Checkpoint.Tensors do
        rows.TryAdd(t.Name, 1.0) |> ignore
    let m = (graph ctx).Make(Given { ByName = rows; Extent = Extent.Tensor }, [||], span)
    let op name args = apply ctx name span args
    // A share such as 0.3 is a little less than three tenths: what is whole to rounding is whole.
    let k = op "floor" [| op "add" [| op "mul" [| keep; m |]; number ctx 1e-9 |] |]
    op "min" [| number ctx 1.0; op "div" [| op "add" [| k; number ctx 1e-9 |]; m |] |]

/// Each element's row norm, and the same where the row is among those kept: 0 in the others.
let private kept (ctx: Context) span (matrices: TensorInfo list) (x: Node) (keep: Node) =
    let norms = Reductions.norm ctx span Extent.Row x
    // No element is larger than its row's norm, so this is the norm, as a tensor.
    let spread = apply ctx "max" span [| apply ctx "abs" span [| x |]; norms |]
    let selection = (graph ctx).Make(Reduce(ReduceKind.KeepLargest, Extent.Tensor), [| spread; density ctx span matrices keep |], span)
    spread, (graph ctx).Make(Keep, [| spread; selection |], span)

/// Over a Delta, with the share of rows to keep.
let private withShare ctx (call: Call) otherwise (f: TensorValue -> TensorInfo list -> Node -> Value) =
    let a = call.Args[1].Value
    lift ctx $"`{call.Function}`" call.Span [ call.Args[0].Value.Value; a.Value ] (function
        | Value.Unknown _ :: _
        | _ :: Value.Unknown _ :: _ -> Value.Unknown otherwise
        | [ Value.Tensor t; Value.Scalar keep ] when wantDelta ctx $"`{call.Function}`" call.Args[0].Value.Span t ->
            match known ctx keep, t.Set with
            | Some v, _ when not (v > 0.0 && v <= 1.0) ->
                report ctx (Diagnostics.notAShare $"`keep` of `{call.Function}`" v a.Span)
                Value.Unknown otherwise
            | _, None -> Value.Unknown otherwise
            | _, Some set ->
                match matricesOf ctx set with
                | matrices when Matrices.hasMatrix ctx t && not matrices.IsEmpty ->
                    if (simplify ctx keep).Extent <= Extent.Tensor then f t matrices keep
                    else
                        report ctx (Diagnostics.cannotCompute $"`keep` of `{call.Function}` varies within a tensor" a.Span (Some "give one number, or one for each tensor"))
                        Value.Unknown otherwise
                | _ ->
                    report ctx (Diagnostics.noMatrix call.Function call.Args[0].Value.Span)
                    Value.Unknown otherwise
        | [ Value.Tensor _; Value.Scalar _ ] -> Value.Unknown otherwise
        | [ Value.Tensor _; v ] ->
            report ctx (Diagnostics.wrongKind $"`keep` of `{call.Function}`" "a number" (describe ctx v) a.Span None)
            Value.Unknown otherwise
        | v :: _ ->
            report ctx (Diagnostics.wrongKind $"`{call.Function}`" "a Delta" (describe ctx v) call.Args[0].Value.Span None)
            Value.Unknown otherwise
        | [] -> Call.unknown)

let private names (matrices: TensorInfo list) = Names [ for t in matrices -> t.Name ]

let private pruneRows ctx (call: Call) =
    withShare ctx call Kind.Delta (fun t matrices keep ->
        let span = call.Span
        let _, large = kept ctx span matrices t.Node keep
        let pruned = apply ctx "where" span [| apply ctx "gt" span [| large; number ctx 0.0 |]; t.Node; number ctx 0.0 |]
        Value.Tensor { t with Node = (graph ctx).Make(Choose [ names matrices; Everything ], [| pruned; t.Node |], span); Weight = number ctx 0.0 })

let private blankOr v = if Double.IsNaN v || Double.IsInfinity v then Cell.Blank else Cell.Figure v

/// A table of matrices from numbers by tensor.
let private byMatrix (matrices: TensorInfo list) columns (needs: Node list) (cells: TensorInfo -> float list -> Cell list) =
    let wanted = HashSet [ for t in matrices -> t.Name ]
    let tell (lookup: Node -> float[]) (labels: Node -> string list) : Findings =
        let of' (n: Node) =
            match lookup n with
            | [| v |] when (labels n) = [ "" ] -> (fun _ -> v)
            | values -> (let d = dict (List.zip (labels n) (List.ofArray values)) in fun (t: TensorInfo) -> d[t.Name])
        let all = needs |> List.map of'
        { Columns = columns
          Rows = [ for t in matrices do if wanted.Contains t.Name then Cell.Word t.Name :: cells t (all |> List.map (fun f -> f t)) ] }
    Value.Table(Found { Needs = needs; IsDrawn = true; Tell = tell; Numbers = [] })

/// A gap of less than this is hardly one.
let private clear = 2.0

/// A form that loses more than this share of the norm is hardly near.
let private near = 0.1

let private rowGap ctx (call: Call) =
    withShare ctx call Kind.Table (fun t matrices keep ->
        let span = call.Span
        let op name (args: Node list) = apply ctx name span (Array.ofList args)
        let x = (graph ctx).Make(Restrict(names matrices), [| t.Node |], span)
        let spread, large = kept ctx span matrices x keep
        let isKept = op "gt" [ large; number ctx 0.0 ]
        let least = (graph ctx).Make(Reduce(ReduceKind.Min, Extent.Tensor), [| op "where" [ isKept; spread; number ctx infinity ] |], span)
        let most = Reductions.maxAbs ctx span Extent.Tensor (op "where" [ isKept; number ctx 0.0; spread ])
        let energy = Reductions.dot ctx span Extent.Tensor x x
        let held = op "where" [ isKept; x; number ctx 0.0 ]
        let keptEnergy = Reductions.dot ctx span Extent.Tensor held held
        let count = (graph ctx).Make(Reduce(ReduceKind.CountNonzero, Extent.Tensor), [| large |], span)
        byMatrix matrices [ "matrix"; "rows"; "kept"; "least_kept"; "most_dropped"; "ratio"; "energy"; "says"; "why" ]
            [ least; most; energy; keptEnergy; count ] (fun t values ->
                match values with
                | [ least; most; energy; keptEnergy; count ] ->
                    let rows = float t.Shape.Rows
                    let ratio = if most > 0.0 then least / most else nan
                    let says, why =
                        if energy = 0.0 then "nothing here", ""
                        elif most = 0.0 then "nothing is lost", "every row that is dropped is 0"
                        elif ratio >= clear then "a gap", "Corollary 2 speaks of rows of norm Ω(1/√m) and others of O(√(log B / B)/√m), B the batch size: so it looks"
                        else "no gap", "the rows' norms run into each other: Corollary 2 of arXiv 2504.10957 says nothing here"
                    [ Cell.Figure rows; Cell.Figure(count / float t.Shape.RowLength); blankOr least; blankOr most; blankOr ratio
                      blankOr (if energy > 0.0 then keptEnergy / energy else nan); Cell.Word says; (if why = "" then Cell.Blank else Cell.Word why) ]
                | _ -> []))

let private spectrum ctx (call: Call) =
    let ranks =
        match call.Args[1] with
        | None -> Some [ 1.0; 4.0; 16.0 ]
        | Some a ->
            let items =
                match a.Value with
                | Value.Scalar _ -> Some [ a.Value ]
                | Value.Unknown _ -> None
                | v -> Context.members ctx v |> Option.map (List.map snd)
            match items |> Option.map (List.map (fun v -> match v with Value.Scalar n -> known ctx n | _ -> None)) with
            | Some found when not found.IsEmpty && found |> List.forall (fun v -> v.IsSome && v.Value >= 1.0 && v.Value = floor v.Value && v.Value <= 1e6) ->
                Some(found |> List.map Option.get |> List.distinct |> List.sort)
            | _ ->
                if not (ctx.Abstract || a.Value.IsUnknown) then
                    report ctx (Diagnostics.cannotCompute "`ranks` of `spectrum` are whole numbers from 1 on, known before the run" a.Span (Some "for instance `spectrum(A, ranks = [1, 4, 16])`"))
                None
    match Call.delta ctx call 0 "A", ranks with
    | Some t, Some ranks when t.Set.IsSome ->
        match matricesOf ctx t.Set.Value with
        | matrices when Matrices.hasMatrix ctx t && not matrices.IsEmpty ->
            let span = call.Span
            let x = (graph ctx).Make(Restrict(names matrices), [| t.Node |], span)
            let square x = Reductions.dot ctx span Extent.Tensor x x
            let leading (r: float) =
                let low = (graph ctx).Make(Matrix MatrixKind.LowRank, [| x; number ctx r |], span)
                square ((graph ctx).Make(Choose [ names matrices; Everything ], [| low; x |], span))
            let all = (1.0 :: ranks) |> List.distinct
            byMatrix matrices
                ([ "matrix"; "rank_full"; "norm"; "largest"; "stable_rank" ] @ [ for r in ranks -> $"energy_{int r}" ] @ [ for r in ranks -> $"error_{int r}" ] @ [ "says"; "why" ])
                (square x :: (all |> List.map leading))
                (fun t values ->
                    let total = values.Head
                    let of' = List.zip all values.Tail |> dict
                    let share r = if total > 0.0 then min 1.0 (of'[r] / total) else nan
                    let error r = sqrt (max 0.0 (1.0 - share r))
                    let says, why =
                        match ranks |> List.tryFind (fun r -> error r <= near) with
                        | _ when not (total > 0.0) -> "nothing here", ""
                        | Some 1.0 -> "rank 1 is near", "Corollary 1 of arXiv 2504.10957 speaks of rank-1 forms that are near: so it looks"
                        | Some r -> $"rank {int r} is near", "Corollary 1 of arXiv 2504.10957 speaks of rank 1; this is its like, and not proved"
                        | None -> "no rank is near", $"rank {int (List.last ranks)} still loses {Theory.figure (error (List.last ranks))} of the norm, above {near}: Corollary 1 of arXiv 2504.10957 says nothing here"
                    let struct (m, n) = t.Shape.Sides
                    [ Cell.Figure(float (min m n)); Cell.Figure(sqrt total); Cell.Figure(sqrt of'[1.0]); blankOr (total / of'[1.0]) ]
                    @ [ for r in ranks -> blankOr (share r) ]
                    @ [ for r in ranks -> blankOr (error r) ]
                    @ [ Cell.Word says; (if why = "" then Cell.Blank else Cell.Word why) ])
        | _ ->
            report ctx (Diagnostics.noMatrix call.Function call.Args[0].Value.Span)
            Value.Unknown Kind.Table
    | _ -> Value.Unknown Kind.Table

let private zoo = "delta(\"zoo/tasks/digits.safetensors\", model(\"zoo/base.safetensors\"))"

let private builtin name group parameters summary example result run : Builtin =
    { Name = name; Group = group; Parameters = parameters; Variadic = false; Summary = summary; Example = example; Result = result; Run = run }

let all =
    [ builtin "prune_rows" "matrices" [ Call.required "A" Kind.Any; Call.required "keep" Kind.Any ]
          "Keeps the int(keep·m) rows of largest norm of each matrix, m its rows, the upper one first among equals; zero in the others. What is no matrix stays. The theory of task arithmetic holds for it where there is a gap between kept and dropped rows (arXiv 2504.10957, Corollary 2): `row_gap` tells."
          $"norm(prune_rows({zoo}, 0.5))" Kind.Delta pruneRows
      builtin "row_gap" "advice" [ Call.required "A" Kind.Any; Call.required "keep" Kind.Any ]
          "What `prune_rows(A, keep)` leaves, by matrix: the least norm of a kept row, the largest of a dropped one, their ratio, the share of Σx² that is kept (rows that are 0 count as dropped); and whether Corollary 2 of arXiv 2504.10957 applies, which speaks of two kinds of rows far apart. A ratio below 2 is no gap."
          $"row_gap({zoo}, 0.5)" Kind.Table rowGap
      builtin "spectrum" "advice" [ Call.required "A" Kind.Delta; Call.optional "ranks" Kind.Any "[1, 4, 16]" ]
          "What `lowrank(A, r)` leaves, by matrix and rank: energy_r, the share of Σσ² that the r largest singular values hold, and error_r, ‖W − Wᵣ‖/‖W‖; the norm ‖W‖, the largest singular value and the stable rank ‖W‖²/σ₁². Corollary 1 of arXiv 2504.10957 covers vectors whose rank-1 form is near; an error above 0.1 is not near."
          $"spectrum({zoo}, ranks = [1, 4])" Kind.Table spectrum ]
