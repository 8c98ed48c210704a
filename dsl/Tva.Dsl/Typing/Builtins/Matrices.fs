/// What is made of whole matrices: `lowrank`, `polar`, `tsv_merge`, and the scope `matrices`.
module Tva.Dsl.Typing.Builtins.Matrices

open Tva.Core.Execution
open Tva.Core.Tensors
open Tva.Dsl
open Tva.Dsl.Graph
open Tva.Dsl.Typing
open Tva.Dsl.Typing.Context

let private floating (ctx: Context) (set: TensorSet) =
    [ for t in ctx.Program.SetTensors set do if t.DType.IsFloating() then t ]

let private hasScope (node: Node) =
    reachable [ node ] |> Seq.exists (fun n -> match n.Op with Restrict _ | Choose _ -> true | _ -> false)

/// Whether one of these tensors, of two dimensions or more, has anything in it.
let private anyOf ctx (t: TensorValue) (matrices: TensorInfo list) =
    let tensors = lazy (ctx.Program.SetTensors t.Set.Value)
    let isThere (m: TensorInfo) = (Passes.simplifyFor (graph ctx) tensors.Value m t.Node).Op <> Const 0.0
    not matrices.IsEmpty && (not (hasScope t.Node) || (simplify ctx t.Node).Op = Const 0.0 || matrices |> List.exists isThere)

let private deep (t: TensorInfo) = t.Shape.Dims.Count >= 2

/// Whether a Delta has anything in a tensor of two dimensions or more.
let hasMatrix ctx (t: TensorValue) =
    match t.Set with
    | Some set -> floating ctx set |> List.filter deep |> anyOf ctx t
    | None -> true

/// Reports where not one of these tensors is a matrix that the values have anything in.
let private someMatrix ctx (call: Call) (t: TensorValue) (matrices: TensorInfo list) =
    let any = anyOf ctx t matrices
    if not any then
        report ctx (Diagnostics.noMatrix call.Function call.Args[0].Value.Span)
    any

/// The value where the tensors are these, another elsewhere.
let private only ctx span (matrices: TensorInfo list) node otherwise =
    (graph ctx).Make(Choose [ Names [ for t in matrices -> t.Name ]; Everything ], [| node; otherwise |], span)

let private make ctx (call: Call) kind args = (graph ctx).Make(Matrix kind, args, call.Span)

/// Where a value may be taken as matrices: those of them, the others staying as they are.
let private eachMatrix ctx (call: Call) (wanted: TensorInfo -> bool) (build: TensorValue -> Node) (t: TensorValue) =
    if not (wantDelta ctx $"`{call.Function}`" call.Args[0].Value.Span t) then Value.Unknown Kind.Delta
    else
        match t.Set with
        | None -> Value.Tensor t
        | Some set ->
            let matrices = floating ctx set |> List.filter deep
            if someMatrix ctx call t matrices then
                Value.Tensor { t with Node = only ctx call.Span (matrices |> List.filter wanted) (build t) t.Node; Weight = number ctx 0.0 }
            else
                Value.Unknown Kind.Delta

let private lowrank ctx (call: Call) =
    let over name i f =
        let a: Argument = call.Args[i].Value
        lift ctx "`lowrank`" call.Span [ call.Args[0].Value.Value; a.Value ] (function
            | Value.Unknown k :: _ -> Value.Unknown k
            | _ :: Value.Unknown _ :: _ -> Value.Unknown Kind.Delta
            | [ Value.Tensor t; Value.Scalar n ] -> f t n a.Span
            | [ Value.Tensor t; Value.Record entries ] ->
                match recordNumber ctx a.Span entries with
                | Some n -> f t n a.Span
                | None -> Value.Unknown Kind.Delta
            | Value.Tensor _ :: v :: _ ->
                report ctx (Diagnostics.wrongKind $"`{name}` of `lowrank`" "a number" (describe ctx v) a.Span None)
                Value.Unknown Kind.Delta
            | v :: _ ->
                report ctx (Diagnostics.wrongKind "`lowrank`" "a Delta" (describe ctx v) call.Args[0].Value.Span None)
                Value.Unknown Kind.Delta
            | [] -> Call.unknown)
    let perTensor name (n: Node) span f =
        if (simplify ctx n).Extent <= Extent.Tensor then f ()
        else
            report ctx (Diagnostics.cannotCompute $"`{name}` of `lowrank` varies within a tensor" span (Some "give one number, or one for each tensor"))
            Value.Unknown Kind.Delta
    match call.Args[1], call.Args[2] with
    | Some _, None ->
        over "rank" 1 (fun t rank span ->
            match known ctx rank with
            | Some r when r < 1.0 || r <> floor r || r > 1e9 ->
                report ctx (Diagnostics.cannotCompute $"`rank` of `lowrank` is {r}" span (Some "a rank is a whole number from 1 on; a share of Σσ² is `energy = 0.9`"))
                Value.Unknown Kind.Delta
            | r ->
                // What has no higher rank stays as it is, to the last bit.
                let narrow (m: TensorInfo) = match r with Some r -> (let struct (a, b) = m.Shape.Sides in float (min a b) > r) | None -> true
                perTensor "rank" rank span (fun () -> eachMatrix ctx call narrow (fun t -> make ctx call MatrixKind.LowRank [| t.Node; rank |]) t))
    | None, Some _ ->
        over "energy" 2 (fun t energy span ->
            match known ctx energy with
            | Some e when not (e > 0.0 && e <= 1.0) ->
                report ctx (Diagnostics.outOfRange "`energy` of `lowrank`" "0" "1" e span)
                Value.Unknown Kind.Delta
            | Some 1.0 -> Value.Tensor t
            | _ -> perTensor "energy" energy span (fun () -> eachMatrix ctx call (fun _ -> true) (fun t -> make ctx call MatrixKind.KeptEnergy [| t.Node; energy |]) t))
    | _ ->
        report ctx (Diagnostics.cannotCompute "`lowrank` takes a rank or a share of energy" call.Span (Some "for instance `lowrank(A, 16)` or `lowrank(A, energy = 0.9)`"))
        Value.Unknown Kind.Delta

let private polar ctx (call: Call) =
    lift ctx "`polar`" call.Span [ call.Args[0].Value.Value ] (function
        | [ Value.Tensor t ] -> eachMatrix ctx call (fun _ -> true) (fun t -> make ctx call MatrixKind.Polar [| t.Node |]) t
        | [ Value.Unknown k ] -> Value.Unknown k
        | v ->
            report ctx (Diagnostics.wrongKind "`polar`" "a Delta" (describe ctx v.Head) call.Args[0].Value.Span None)
            Value.Unknown Kind.Delta)

let private tsvMerge ctx (call: Call) =
    match Call.members ctx call 0 "F", Call.constant ctx call 1 "keep" 1.0 with
    | Some members, Some keep ->
        let tensors = members |> List.choose (function _, Value.Tensor t -> Some t | _ -> None)
        let span = call.Args[0].Value.Span
        if tensors.Length < members.Length then
            if not (members |> List.exists (fun (_, v) -> v.IsUnknown)) then
                report ctx (Diagnostics.wrongKind "`tsv_merge`" "a Family of Deltas" (describe ctx call.Args[0].Value.Value) span None)
            Value.Unknown Kind.Delta
        elif tensors.Length < 2 then
            report ctx (Diagnostics.tooFewMembers 2 tensors.Length span)
            Value.Unknown Kind.Delta
        elif call.Args[1].IsSome && not (keep > 0.0 && keep <= 1.0) then
            report ctx (Diagnostics.outOfRange "`keep` of `tsv_merge`" "0" "1" keep call.Args[1].Value.Span)
            Value.Unknown Kind.Delta
        elif not (tensors |> List.map (wantDelta ctx "`tsv_merge`" span) |> List.forall id) then Value.Unknown Kind.Delta
        else
            let nodes = [| for t in tensors -> t.Node |]
            let sum = nodes |> Array.reduce (fun a b -> apply ctx "add" call.Span [| a; b |])
            let mean = apply ctx "mul" call.Span [| sum; number ctx (1.0 / float nodes.Length) |]
            match tensors.Head.Set with
            | None -> Value.Tensor { tensors.Head with Node = mean }
            | Some set ->
                let matrices = floating ctx set |> List.filter (fun t -> t.Shape.Dims.Count = 2)
                if someMatrix ctx call { tensors.Head with Node = sum } matrices then
                    let merged = make ctx call MatrixKind.SingularMerge (Array.append nodes [| number ctx keep |])
                    Value.Tensor { Node = only ctx call.Span matrices merged mean; Weight = number ctx 0.0; Set = Some set }
                else
                    Value.Unknown Kind.Delta
    | _ -> Value.Unknown Kind.Delta

let private matrices ctx (call: Call) =
    Call.orUnknown (Call.tensor ctx call 0 "x") (fun t ->
        match t.Set with
        | None -> Value.Unknown Kind.Scope
        | Some set -> Value.Scope(Names [ for t in floating ctx set do if t.Shape.Dims.Count = 2 then t.Name ]))

let private zoo = "delta(\"zoo/tasks/digits.safetensors\", model(\"zoo/base.safetensors\"))"

let private row name parameters summary example result run : Builtin =
    { Name = name; Group = "matrices"; Parameters = parameters; Variadic = false; Summary = summary; Example = example; Result = result; Run = run }

let all =
    [ row "lowrank" [ Call.required "x" Kind.Any; Call.optional "rank" Kind.Any ""; Call.optional "energy" Kind.Any "" ]
          "The nearest matrices of a rank, Σ σᵢ·uᵢ·vᵢᵀ over the largest σ, or of the least rank that keeps a share `energy` of Σσ², by randomized SVD with power iterations (arXiv 0909.4061), exact where a side is short. A tensor is taken as [first dimension, all others]; what has one dimension stays."
          $"norm({zoo} - lowrank({zoo}, rank = 4)) / norm({zoo})" Kind.Delta lowrank
      row "polar" [ Call.required "x" Kind.Any ]
          "The polar factor U·Vᵀ of each matrix U·Σ·Vᵀ, the nearest with orthonormal rows or columns; directions of σ = 0 stay 0. What has one dimension stays."
          $"norm(polar({zoo}[\"*qkv*\"]))" Kind.Delta polar
      row "tsv_merge" [ Call.required "F" Kind.Family; Call.optional "keep" Kind.Scalar "1" ]
          "Task singular vectors (arXiv 2412.00081): per matrix the leading keep·min(m, n)/T singular triples of each of the T members, U and V of all made orthonormal, Û·diag(σ)·V̂ᵀ. Other tensors are averaged."
          "norm(tsv_merge(family(\"zoo/tasks/*.safetensors\", model(\"zoo/base.safetensors\"))))" Kind.Delta tsvMerge
      row "matrices" [ Call.required "x" Kind.Tensor ] "The tensors of x that have two dimensions."
          $"norm({zoo}[matrices({zoo})])" Kind.Scope matrices ]
