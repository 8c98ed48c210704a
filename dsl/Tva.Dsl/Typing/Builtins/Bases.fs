/// Task vector bases (arXiv 2502.01015): from a family to the nodes of atoms, coefficients and members; their numbers come from the run.
module Tva.Dsl.Typing.Builtins.Bases

open System
open Tva.Core
open Tva.Core.Bases
open Tva.Core.Execution
open Tva.Core.Tensors
open Tva.Dsl
open Tva.Dsl.Graph
open Tva.Dsl.Typing
open Tva.Dsl.Typing.Context
open Tva.Dsl.Typing.Builtins.BasisArguments

type Members = (string * TensorValue) list

let private zero ctx = number ctx 0.0

/// Σ c·x, with coefficients that may vary by layer or tensor.
let private combination ctx span (terms: (Node * TensorValue) list) : TensorValue =
    let args = [| for k, x in terms do k; x.Node |]
    { Node = (graph ctx).Make(Linear, args, span); Weight = zero ctx; Set = (snd terms.Head).Set }

/// The nodes of a basis, from its sources, how many atoms it has and whether the mean of its tasks goes into every member.
let value (ctx: Context) span (number: int) (count: int) (hasMean: bool) : BasisValue =
    let p = ctx.Program
    let d = p.Bases[number]
    let atom m = combination ctx span (d.Sources |> List.mapi (fun k x -> p.BasisNumber(number, BasisNumber.Weight(k, m)), x))
    // Atoms of a stored basis are tensors of files as they are.
    let atoms =
        match d.Origin with
        | BasisOrigin.Stored _ -> d.Sources |> List.truncate count
        | BasisOrigin.Merged _ -> d.Sources |> List.skip d.Names.Length
        | _ -> List.init count atom
    let mean =
        match d.Origin with
        | _ when not hasMean -> None
        | BasisOrigin.Stored _ -> Some(List.item count d.Sources)
        | _ -> Some(atom count)
    let members =
        d.Names |> List.mapi (fun t name ->
            let share m a = p.BasisNumber(number, BasisNumber.Coefficient(m, t)), a
            let whole = mean |> Option.map (share count) |> Option.toList
            name, combination ctx span (whole @ List.mapi share atoms))
    members |> List.iteri (fun t (_, x) -> p.AddFromBasis(x.Node, number, t))
    { Number = number; Members = members; Atoms = atoms; Mean = mean }

/// The dot products of the sources, each pair once.
let gram ctx span by (sources: TensorValue list) =
    sources |> List.mapi (fun i x -> sources |> List.skip i |> List.map (fun y -> Reductions.dot ctx span by x.Node y.Node))

/// Models that are taken away: what a task vector is measured from.
let basesOf (ctx: Context) (t: TensorValue) =
    match simplify ctx t.Node with
    | { Op = Linear } as sum ->
        [ for k, x in pairs sum do
              match x.Op, k.Op with
              | Source i, Const c when c < 0.0 && ctx.Program.Models.Contains i -> i
              | _ -> () ]
    | _ -> []

/// Whether the members are task vectors over one base, said where not.
let checkMembers (ctx: Context) (call: Call) (members: Members) =
    let span = call.Args[0].Value.Span
    let what = $"`{call.Function}`"
    let deltas = members |> List.forall (fun (_, t) -> wantDelta ctx what span t)
    for _, t in members.Tail do
        joinSets ctx span (snd members.Head) t |> ignore
    let origins = members |> List.map (fun (name, t) -> name, basesOf ctx t) |> List.filter (fun (_, b) -> not b.IsEmpty)
    match origins |> List.tryFind (fun (_, b) -> b <> snd origins.Head) with
    | Some(other, b) when deltas ->
        let path (i: int list) = ctx.Program.Sources[i.Head].Path
        let first, a = origins.Head
        report ctx (Diagnostics.differentBases first (path a) other (path b) span)
        false
    | _ -> deltas

/// The family a call is about, and the member it was asked for by.
let private target (ctx: Context) (call: Call) : (Members * string option) option =
    let a = call.Args[0].Value
    match a.Value with
    | FamilyLike ms -> Some(ms, None)
    | Value.Tensor t ->
        match ctx.Program.Homes t.Node with
        | [ name, family ] -> Some(family, Some name)
        | [] ->
            if not ctx.Abstract then
                report ctx (Diagnostics.noFamily (quote a.Text) call.Function a.Span)
            None
        | several ->
            report ctx (Diagnostics.severalFamilies (quote a.Text) several.Length call.Function a.Span)
            None
    | Value.Unknown _ -> None
    | v ->
        report ctx (Diagnostics.wrongKind $"`{call.Function}`" "a Family or a member of one" (describe ctx v) a.Span None)
        None

/// Adds the definition, unless there is one that says the same, and gives its number.
let define (ctx: Context) (d: BasisDefinition) =
    let same (e: BasisDefinition) =
        e.Names = d.Names && e.Options.Equals d.Options && e.By = d.By && e.Origin = d.Origin
        && e.Sources.Length = d.Sources.Length
        && List.forall2 (fun (a: TensorValue) (b: TensorValue) -> a.Node.Id = b.Node.Id) e.Sources d.Sources
    match ctx.Program.Bases.FindIndex same with
    | -1 ->
        ctx.Program.Bases.Add d
        ctx.Program.Bases.Count - 1
    | i -> i

/// Its numbers now, for what depends on how many atoms it has; a fault is said at the call.
let private solveNow (ctx: Context) span number =
    try
        Some(ctx.Program.Solve number)
    with :? FaultException as e ->
        report ctx (FileDiagnostics.cannotOpen e.Message span)
        None

/// One atom for each cluster: the TIES merge of its members (arXiv 2306.01708), the others having weight 0.
let private merged (ctx: Context) (call: Call) (clusters: int) (count: int) (members: Members) =
    let p = ctx.Program
    let d = p.Bases[clusters]
    let isIn t m =
        let weight = p.BasisNumber(clusters, BasisNumber.Weight(t, m))
        Value.Scalar(apply ctx "ne" call.Span [| weight; number ctx 0.0 |])
    let atom m =
        match ctx.Names.TryFind "ties" with
        | Some(Value.Function ties) ->
            let weights = Value.List(members |> List.mapi (fun t _ -> isIn t m))
            match ctx.Invoke ctx ties [ Value.Family members; Value.Scalar(number ctx 0.2); weights ] call.Span with
            | Value.Tensor t -> t
            | _ -> snd members.Head
        | _ -> snd members.Head
    let sources = d.Sources @ List.init count atom
    define ctx { d with Origin = BasisOrigin.Merged clusters; Sources = sources; Gram = gram ctx call.Span d.By sources }

let private basis ctx (call: Call) =
    match target ctx call with
    | None ->
        let member' = match call.Args[0] with Some { Value = Value.Tensor _ } -> true | _ -> false
        Value.Unknown(if member' then Kind.Delta else Kind.Basis)
    | Some(members, selected) ->
        let unknown = Value.Unknown(if selected.IsSome then Kind.Delta else Kind.Basis)
        let span = call.Args[0].Value.Span
        if members.Length < 2 then
            report ctx (Diagnostics.basisOfOne (fst members.Head) span)
            unknown
        else
            let by = byOf ctx call
            match checkMembers ctx call members, optionsOf ctx call members.Length, by with
            | true, Some options, Some by when not (ctx.Abstract && (not options.Atoms.HasValue || (snd members.Head).Set.IsNone)) ->
                let sources = members |> List.map snd
                let number =
                    define ctx
                        { Names = members |> List.map fst; Options = options; By = by; Origin = BasisOrigin.Tasks
                          Set = (snd members.Head).Set |> Option.get; Sources = sources; Gram = gram ctx call.Span by sources }
                let count =
                    if options.Atoms.HasValue then Some options.Atoms.Value
                    else solveNow ctx call.Span number |> Option.map (fun s -> s.Atoms)
                match count with
                | None -> unknown
                | Some count ->
                    let number = if mergesByTies call options then merged ctx call number count members else number
                    let b = value ctx call.Span number count (options.Method = BasisMethod.Pca)
                    match selected with
                    | None -> Value.Basis b
                    | Some name -> Value.Tensor(b.Members |> List.find (fun (n, _) -> n = name) |> snd)
            | _ -> unknown

let private ofBasis ctx (call: Call) (f: BasisValue -> Value) (otherwise: Kind) =
    match call.Args[0].Value.Value with
    | Value.Basis b -> f b
    | Value.Unknown _ -> Value.Unknown otherwise
    | v ->
        report ctx
            (Diagnostics.wrongKind $"`{call.Function}`" "a Basis" (describe ctx v) call.Args[0].Value.Span
                (Some "`basis(F, M)` makes one of a family; what is computed from a basis, such as `0.5 * b`, is a family again"))
        Value.Unknown otherwise

let private atomsOf ctx call =
    ofBasis ctx call (fun b -> Value.Family(b.Atoms |> List.mapi (fun m a -> $"atom{m + 1}", a))) Kind.Family

let private coefficients ctx call =
    ofBasis ctx call (fun b ->
        let p = ctx.Program
        let d = p.Bases[b.Number]
        let rows =
            [ for g, group in List.indexed (Solving.groupsOf p d) do
                  for m in 0 .. b.Atoms.Length - 1 do
                      (if group = "" then $"atom{m + 1}" else $"{group} atom{m + 1}"),
                      [ for t in 0 .. d.Names.Length - 1 -> p.BasisNumber(b.Number, BasisNumber.CoefficientOf(g, m, t)) ] ]
        Value.Table(Cells(d.Names, rows))) Kind.Table

/// Bytes that the tasks take as they are stored, and that the atoms take as float32.
let bytes (ctx: Context) (b: BasisValue) =
    let d = ctx.Program.Bases[b.Number]
    let floating = ctx.Program.SetTensors d.Set |> Seq.filter _.DType.IsFloating() |> List.ofSeq
    let given = floating |> List.sumBy _.Bytes
    let one = floating |> List.sumBy (fun t -> t.Shape.Elements * 4L)
    let kept =
        match d.Origin with
        | BasisOrigin.Stored _ -> d.Sources |> List.sumBy (fun s -> ctx.Program.StoredBytes s)
        | _ -> one * int64 (b.Atoms.Length + (if b.Mean.IsSome then 1 else 0))
    let isAdapter (t: TensorValue) =
        match t.Node with
        | { Op = Restrict(Names _); Args = [| { Op = Source i } |] } -> ctx.Program.IsLowRank i
        | _ -> false
    let total =
        match d.Origin with
        | BasisOrigin.Tasks -> d.Sources |> List.sumBy (fun s -> if isAdapter s then ctx.Program.StoredBytes s else given)
        | _ -> given * int64 d.Names.Length
    total, kept

let private errors ctx call =
    ofBasis ctx call (fun b ->
        let p = ctx.Program
        let n number = p.BasisNumber(b.Number, number)
        let rows =
            p.Bases[b.Number].Names |> List.mapi (fun t name ->
                name, [ n (BasisNumber.Norm t); n (BasisNumber.RelativeError t); n (BasisNumber.Cosine t) ])
        let given, kept = bytes ctx b
        Value.Table(
            Summed(
                [ "norm"; "relative_error"; "cosine" ],
                rows,
                [ "loss", n BasisNumber.Loss
                  "bound", n BasisNumber.Bound
                  "bytes_kept", number ctx (float kept)
                  "bytes_given", number ctx (float given) ]
            )
        )) Kind.Table

/// The sources of a basis that grows: its atoms, its mean, the newcomer.
let private grow origin (count: BasisValue -> int) ctx (call: Call) =
    ofBasis ctx call (fun b ->
        let a = call.Args[1].Value
        let p = ctx.Program
        let d = p.Bases[b.Number]
        match a.Value with
        | Value.Tensor t when wantDelta ctx $"`{call.Function}`" a.Span t ->
            let name =
                match p.Homes t.Node with
                | (name, _) :: _ -> name
                | [] -> if a.Text <> "" && Seq.forall (fun c -> Char.IsLetterOrDigit c || c = '_') a.Text then a.Text else $"m{d.Names.Length + 1}"
            if List.contains name d.Names then
                report ctx (FileDiagnostics.sameName name a.Span)
                Value.Unknown Kind.Basis
            else
                let kept = b.Atoms @ Option.toList b.Mean
                joinSets ctx a.Span kept.Head t |> ignore
                let sources = kept @ [ t ]
                let number =
                    define ctx
                        { d with
                            Names = d.Names @ [ name ]
                            Origin = origin b.Number
                            Sources = sources
                            Gram = gram ctx call.Span d.By sources }
                Value.Basis(value ctx call.Span number (count b) b.Mean.IsSome)
        | Value.Tensor _
        | Value.Unknown _ -> Value.Unknown Kind.Basis
        | v ->
            report ctx (Diagnostics.wrongKind $"`{call.Function}`" "a Delta" (describe ctx v) a.Span None)
            Value.Unknown Kind.Basis) Kind.Basis

let private refine ctx (call: Call) =
    match positive ctx call 2 "threshold" 0.1 with
    | Some threshold -> grow (fun previous -> BasisOrigin.Growth(previous, threshold)) (fun b -> b.Atoms.Length) ctx call
    | None -> Value.Unknown Kind.Basis

let private extend ctx call = grow BasisOrigin.Extension (fun b -> b.Atoms.Length + 1) ctx call

/// A basis whose atoms are tensors of files, with what its folder says of it.
let ofStored (ctx: Context) span (set: TensorSet) (basis: StoredBasis) (atoms: TensorValue list) =
    let p = ctx.Program
    let names = List.ofSeq basis.Tasks
    let by = extents |> List.find (fun (name, _) -> name = basis.By) |> snd
    let number =
        define ctx
            { Names = names; Options = BasisOptions(Method = basis.Method, Atoms = Nullable basis.Atoms.Count); By = by
              Origin = BasisOrigin.Stored basis.Path; Set = set; Sources = atoms; Gram = [] }
    if not (p.Solved.ContainsKey number) then
        p.Solved[number] <- Solving.ofStored p p.Bases[number] basis
    Value.Basis(value ctx span number basis.Atoms.Count (not (isNull basis.Mean)))

let private zoo = "family(\"zoo/tasks/*.safetensors\", model(\"zoo/base.safetensors\"))"

let private row name parameters summary example result run : Builtin =
    { Name = name; Group = "bases"; Parameters = parameters; Variadic = false; Summary = summary; Example = example; Result = result; Run = run }

let all =
    let b = Call.required "b" Kind.Basis
    let some = $"basis({zoo}, 4)"
    [ row "basis"
          [ Call.required "F" Kind.Any; Call.optional "M" Kind.Scalar ""; Call.optional "method" Kind.Text "\"ae\""; Call.optional "by" Kind.Text "\"all\""
            Call.optional "error" Kind.Scalar ""; Call.optional "seed" Kind.Scalar "0"; Call.optional "decoder" Kind.Text "\"closed\""
            Call.optional "steps" Kind.Scalar "6000"; Call.optional "lr" Kind.Scalar "0.01"; Call.optional "weight_decay" Kind.Scalar "1e-6"
            Call.optional "tau" Kind.Scalar ""; Call.optional "anneal_every" Kind.Scalar ""; Call.optional "anneal_factor" Kind.Scalar "0.5"
            Call.optional "softmax" Kind.Bool "false"; Call.optional "merge" Kind.Text "\"mean\"" ]
          ("The T members of F kept as M atoms S = V·B with coefficients W (arXiv 2502.01015): V̂ = S·W, everything but V·B from the Gram matrix VᵀV. "
           + "M is a number, a share below 1, or `error`: the least M whose worst member's ‖τ − τ̂‖/‖τ‖ stays below. Of a member of a family: that member of the family's basis. "
           + "Methods: \"ae\" (softmax encoder, minimises tr((BW − I)ᵀG(BW − I)); options steps, lr, weight_decay, tau, anneal_every, anneal_factor, softmax for W), "
           + "\"ae-linear\" (no softmax), \"svd\" (top eigenvectors of G: the least loss there is), \"pca\" (about the mean, which is kept too), \"random\" (orthonormal Gaussian "
           + "mixtures), \"sample\" (M of the members), \"cluster\" (spectral, by cosine; without M by the largest eigengap; merge \"mean\", \"sum\" or \"ties\"). "
           + "decoder: \"closed\" is least squares, W = (BᵀGB)⁺BᵀG; \"trained\" (ae), \"selection\" (sample), \"membership\" (cluster). `by`: one basis for \"all\", or one per \"layer\" or \"tensor\".")
          $"{zoo} @basis(4)" Kind.Basis basis
      row "atoms" [ b ] "The M atoms of a basis as a Family, without the mean that \"pca\" keeps." $"norm(sum(atoms({some})))" Kind.Family atomsOf
      row "coefficients" [ b ] "The M×T coefficients W: how much of each atom is in each member." $"coefficients({some})" Kind.Table coefficients
      row "errors" [ b ]
          "By member: norm, ‖τ − τ̂‖/‖τ‖ and cosine of τ and τ̂. Then the loss Σ‖τ − τ̂‖²/Σ‖τ‖², the spectral bound that no M atoms can go below, bytes kept (float32) and given. Of a basis that was refined, or stored in bf16 or int8, errors are estimates: what was lost before counts as perpendicular. NaN is what a folder does not tell."
          $"errors({some})" Kind.Table errors
      row "refine" [ b; Call.required "newcomer" Kind.Delta; Call.optional "threshold" Kind.Scalar "0.1" ]
          "The basis with one member more: by its coefficients alone while its relative error stays below the threshold, else refitted from the Gram matrix of atoms and newcomer; reads only these. The member is called as the newcomer is: by its name in a family, or of the variable."
          $"refine({some}, trim(delta(\"zoo/tasks/digits.safetensors\", model(\"zoo/base.safetensors\")), 0.5))" Kind.Basis refine
      row "extend" [ b; Call.required "newcomer" Kind.Delta ]
          "The basis with one member more and one atom more, for what the newcomer has beyond the others: it is kept exactly, and the others stay as they are."
          $"extend({some}, trim(delta(\"zoo/tasks/digits.safetensors\", model(\"zoo/base.safetensors\")), 0.5))" Kind.Basis extend ]
