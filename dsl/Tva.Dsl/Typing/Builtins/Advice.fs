/// When task arithmetic works (arXiv 2504.10957): `advise` tells what the theory allows for an edit, `advised` does it.
module Tva.Dsl.Typing.Builtins.Advice

open System
open Tva.Core
open Tva.Dsl
open Tva.Dsl.Graph
open Tva.Dsl.Typing
open Tva.Dsl.Typing.Context
open Tva.Dsl.Typing.Builtins.Edits
open Tva.Dsl.Typing.Builtins.Relations
open Tva.Dsl.Typing.Builtins.AdviceReport

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

/// The basis that the members are kept in: the one that is named, else the one that they come back from.
let private basisOf ctx (call: Call) (e: EditValue) : Kept option option =
    match call.Args[7] with
    | None -> Some(keptOf ctx e.Members)
    | Some { Value = Value.Unknown _ } -> None
    | Some { Value = Value.Basis b; Text = text; Span = span } ->
        let names = ctx.Program.Bases[b.Number].Names
        let places = e.Members |> List.map (fun (name, _) -> name, names |> List.tryFindIndex ((=) name))
        match places |> List.tryFind (snd >> Option.isNone) with
        | Some(missing, _) ->
            report ctx (Diagnostics.unknownMember missing text names span)
            None
        | None -> Some(Some { Basis = b.Number; Tasks = places |> List.map (snd >> Option.get) })
    | Some a ->
        report ctx (Diagnostics.wrongKind "`basis` of `advise`" "a Basis" (describe ctx a.Value) a.Span None)
        None

let private advise ctx (call: Call) =
    let nothing = Value.Unknown Kind.Table
    match editOf ctx call with
    | None -> nothing
    | Some e ->
        match catching ctx call None (fun () -> optionsOf ctx call e), smoothnessOf ctx call e, basisOf ctx call e with
        | Some o, Some smooth, Some basis ->
            catching ctx call nothing (fun () ->
                let p = ctx.Program
                let numbers = coefficients ctx e o (fun _ -> nan)
                let named = List.zip (e.Members |> List.map fst) numbers
                let feasible = p.Follow([ numbers.Head ], fun v -> if Double.IsNaN v.Head then 0.0 else 1.0)
                match e.Goal with
                | Goal.Ood gamma ->
                    Value.Table(Found { Needs = []; IsDrawn = false; Tell = (fun _ _ -> tellOod e o gamma); Numbers = ("feasible", feasible) :: named })
                | _ ->
                    let layers = match o.Gram with Some g when o.Pairs.Length <= 3 -> Some g | _ -> None
                    let gram = match smooth, o.Gram with Some _, None -> Some(gramOf ctx call e.Members) | _, g -> g
                    let indices = [ 0 .. e.Members.Length - 1 ]
                    let ofBasis =
                        match basis with
                        | Some k -> [ for t in k.Tasks -> p.BasisNumber(k.Basis, BasisNumber.Norm t), p.BasisNumber(k.Basis, BasisNumber.RelativeError t) ]
                        | None -> []
                    let dots = match gram with Some g -> [ for i in indices do for j in indices -> (i, j), dotOf ctx g i j ] | None -> []
                    let inLayers =
                        match layers with
                        | Some g -> [ for k in 0 .. g.Groups.Length - 1 -> g.Groups[k], [ for i, j in o.Pairs -> (i, j), (dotIn ctx g k i j, dotIn ctx g k i i, dotIn ctx g k j j) ] ]
                        | None -> []
                    let needs =
                        (o.Pairs |> List.map (fun pair -> o.Alpha[pair])) @ (dots |> List.map snd) @ (ofBasis |> List.collect (fun (n, e) -> [ n; e ]))
                        @ (inLayers |> List.collect (snd >> List.collect (fun (_, (a, b, c)) -> [ a; b; c ])))
                    let tellAll (lookup: Node -> float[]) _ =
                        let one n = (lookup n)[0]
                        let byLayer =
                            [ for label, pairs in inLayers ->
                                  label,
                                  [ for pair, (ij, ii, jj) in pairs ->
                                        pair, (if one ii > 0.0 && one jj > 0.0 then one ij / sqrt (one ii) / sqrt (one jj) else nan) ] ]
                        let errors = basis |> Option.map (fun k -> AdviceBounds.fromBasis p k [ for n, r in ofBasis -> one n, one r ])
                        let bounds =
                            match smooth with
                            | None -> AdviceBounds.untold e errors
                            | Some smooth ->
                                let byPair = dots |> List.map (fun (pair, n) -> pair, one n) |> Map.ofList
                                let lambda =
                                    match recommended e o (fun pair -> one o.Alpha[pair]) with
                                    | Ok found -> Some found
                                    | Result.Error _ -> None
                                AdviceBounds.rows e smooth lambda (fun i j -> byPair[i, j]) errors
                        tell e o lookup byLayer (AdviceBounds.errorRows e errors @ bounds)
                    let alpha =
                        match o.Pairs with
                        | [ pair ] -> [ "alpha", o.Alpha[pair] ]
                        | _ -> []
                    let lambda = match e.Goal, numbers with Goal.Add, [ _; n ] -> [ "lambda", n ] | Goal.Forget, n :: _ -> [ "lambda", n ] | _ -> []
                    let ends =
                        match o.Pairs with
                        | [ pair ] ->
                            let range pick = p.Follow([ o.Alpha[pair] ], fun v -> (conditions e o (fun _ -> v.Head)).Head.Allowed |> pick)
                            [ "low", range Theory.lowEnd; "high", range Theory.highEnd ]
                        | _ -> []
                    Value.Table(Found { Needs = needs; IsDrawn = false; Tell = tellAll; Numbers = alpha @ lambda @ ends @ [ "feasible", feasible ] @ named }))
        | _ -> nothing

let private advised ctx (call: Call) =
    let nothing = Value.Unknown Kind.Delta
    match editOf ctx call with
    | None -> nothing
    | Some e ->
        match catching ctx call None (fun () -> optionsOf ctx call e) with
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
           + "Out of domain: Σλγ ≥ 1 + c, Σλγ² ≥ 1 + c and |λ|β ≤ c for a c in (0, 1), or for the `c` given (the λ of least norm, how far each reaches, or the proof that there are none). "
           + "α is `alpha` (one number, or a list of one for each pair), or is estimated from `outputs`, a command as of `evaluate` that prints the outputs of a model, "
           + "{\"data set\": [[numbers of a sample], ...]}, for each task's own model: the mean cosine. Without either the cosine of the task vectors stands for it, which is a proxy and is called so; by layer too. "
           + "Estimates up to `irrelevant` count as 0. With `smoothness` L (one number, or one for each task) the bounds on the losses, (L/2)·‖θ − θ_task‖² from the Gram matrix, and with `basis` how keeping the tasks as its atoms changes them (arXiv 2502.01015); members of a basis are told of by its tasks, and need no `basis`. "
           + "Its numbers have names: of a pair `alpha`, `lambda` and its range `low`, `high`; `feasible`; and each task's coefficient under its own.")
          $"advise(add({zoo}.digits, {zoo}.letters))" Kind.Table advise
      builtin "advised" ([ Call.required "edit" Kind.Edit ] @ options) false
          "The edit with the coefficients that `advise` recommends, as a Delta; a mistake or a fault that says why where none serve."
          $"norm(advised(add({zoo}.digits, {zoo}.letters), alpha = 0.3))" Kind.Delta advised ]
