/// The arguments of `basis`: from a call to the options of a basis, and from options to the texts that a file keeps.
module Tva.Dsl.Typing.Builtins.BasisArguments

open System
open Tva.Core.Bases
open Tva.Core.Execution
open Tva.Dsl
open Tva.Dsl.Typing
open Tva.Dsl.Typing.Context

/// The options that a method looks at, as a script would name them.
let optionTexts (o: BasisOptions) : (string * string) list =
    let text (v: float) = v.ToString("R", Globalization.CultureInfo.InvariantCulture)
    let given (name: string) (v: Nullable<_>) = if v.HasValue then [ name, string (box v.Value) ] else []
    let trained = o.Method = BasisMethod.Ae || o.Method = BasisMethod.AeLinear
    [ yield! given "M" o.Atoms
      if o.Error.HasValue then
          "error", text o.Error.Value
      match o.Decoder with
      | null -> ()
      | decoder -> "decoder", decoder
      if o.Method <> BasisMethod.Svd && o.Method <> BasisMethod.Pca then
          "seed", string o.Seed
      if trained then
          "steps", string o.Steps
          "lr", text o.LearningRate
          "weight_decay", text o.WeightDecay
          if o.Temperature.HasValue then
              "tau", text o.Temperature.Value
          if o.AnnealEvery.HasValue then
              "anneal_every", string o.AnnealEvery.Value
              "anneal_factor", text o.AnnealFactor
          if o.SoftmaxDecoder then
              "softmax", "true"
      if o.Method = BasisMethod.Cluster then
          "merge", o.Merge ]

/// Over what one set of numbers holds, by name.
let extents = [ "all", Extent.All; "layer", Extent.Layer; "tensor", Extent.Tensor ]

let private names = BasisMethods.Names |> List.ofSeq

/// A whole number that is known now.
let private integer ctx call i name (least: int) (fallback: int) =
    match Call.constant ctx call i name (float fallback) with
    | Some v when v = floor v && v >= float least && v <= 1e9 -> Some(int v)
    | Some v ->
        let what = $"`{name}` of `{call.Function}` is {v}, and must be a whole number from {least} up"
        report ctx (Diagnostics.cannotCompute what call.Args[i].Value.Span None)
        None
    | None -> None

/// A number of a range, known now.
let private within ctx call i name (low: float) (high: float) (fallback: float) =
    match Call.constant ctx call i name fallback with
    | Some v when v >= low && v <= high -> Some v
    | Some v ->
        report ctx (Diagnostics.outOfRange $"`{name}` of `{call.Function}`" (string low) (string high) v call.Args[i].Value.Span)
        None
    | None -> None

/// A number above 0 that is known now.
let positive ctx call i name (fallback: float) =
    match Call.constant ctx call i name fallback with
    | Some v when v > 0.0 -> Some v
    | Some v ->
        report ctx (Diagnostics.cannotCompute $"`{name}` of `{call.Function}` is {v}, and must be above 0" call.Args[i].Value.Span None)
        None
    | None -> None

// Positions of the arguments of `basis`.
let private atM, atMethod, atBy, atError, atSeed, atDecoder, atSteps, atRate, atDecay, atTau, atEvery, atFactor, atSoftmax, atMerge =
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14

/// How many atoms are asked for: a number, or a share of the tasks.
let private atoms ctx (call: Call) (tasks: int) =
    match call.Args[atM] with
    | None -> Some None
    | Some a ->
        match Call.constant ctx call atM "M" 0.0 with
        | Some v when v > 0.0 && v < 1.0 -> Some(Some(max 1 (int (Math.Round(v * float tasks)))))
        | Some v when v = floor v && v >= 1.0 && v <= float tasks -> Some(Some(int v))
        | Some v ->
            report ctx (Diagnostics.atomsOutOfRange v tasks a.Span)
            None
        | None -> None

/// The options that a call of `basis` gives; what is wrong with them is reported.
let optionsOf ctx (call: Call) (tasks: int) : BasisOptions option =
    let method = Call.choice ctx call atMethod "method" names "ae" |> Option.map (fun name -> match BasisMethods.TryParse name with | true, m -> m | _ -> BasisMethod.Ae)
    let count = atoms ctx call tasks
    let error = if Call.given call atError then positive ctx call atError "error" 0.0 |> Option.map Some else Some None
    let seed = integer ctx call atSeed "seed" 0 0
    let decoder =
        if Call.given call atDecoder then Call.choice ctx call atDecoder "decoder" [ "closed"; "trained"; "selection"; "membership" ] "closed"
        else Some ""
    let steps = integer ctx call atSteps "steps" 1 6000
    let rate = positive ctx call atRate "lr" 0.01
    let decay = within ctx call atDecay "weight_decay" 0.0 1e6 1e-6
    let tau = if Call.given call atTau then positive ctx call atTau "tau" 1.0 |> Option.map Some else Some None
    let every = if Call.given call atEvery then integer ctx call atEvery "anneal_every" 1 1 |> Option.map Some else Some None
    let factor = within ctx call atFactor "anneal_factor" 1e-6 1.0 0.5
    let softmax =
        match call.Args[atSoftmax] with
        | Some { Value = Value.Bool n } -> known ctx n |> Option.map (fun v -> v <> 0.0)
        | Some a ->
            report ctx (Diagnostics.wrongKind "`softmax` of `basis`" "true or false" (describe ctx a.Value) a.Span None)
            None
        | None -> Some false
    let merge = Call.choice ctx call atMerge "merge" [ "mean"; "sum"; "ties" ] "mean"
    match method, count, error, seed, decoder, steps, rate, decay, tau, every, factor, softmax, merge with
    | Some method, Some count, Some error, Some seed, Some decoder, Some steps, Some rate, Some decay, Some tau, Some every, Some factor, Some softmax, Some merge ->
        let trained = method = BasisMethod.Ae || method = BasisMethod.AeLinear
        let foreign =
            [ for at, name in [ atSteps, "steps"; atRate, "lr"; atDecay, "weight_decay"; atTau, "tau"; atEvery, "anneal_every"; atFactor, "anneal_factor"; atSoftmax, "softmax" ] do
                  if not trained && Call.given call at then name, call.Args[at].Value.Span
              if method <> BasisMethod.Cluster && Call.given call atMerge then "merge", call.Args[atMerge].Value.Span ]
        for name, span in foreign do
            report ctx (Diagnostics.optionOfMethod name (BasisMethods.Name method) span)
        if not foreign.IsEmpty then None
        elif decoder <> "" && not (method.Decoders() |> Seq.contains decoder) then
            report ctx (Diagnostics.decoderOfMethod decoder (BasisMethods.Name method) call.Args[atDecoder].Value.Span)
            None
        elif count.IsSome && error.IsSome then
            report ctx (Diagnostics.cannotCompute "`basis` gets both M and `error`" call.Span (Some "give M atoms, or the error that the worst task may have, not both"))
            None
        elif count.IsNone && error.IsNone && method <> BasisMethod.Cluster then
            report ctx (Diagnostics.missingArgument "basis" "M" call.Signature call.Span)
            None
        else
            Some(
                BasisOptions(
                    Method = method,
                    Atoms = Option.toNullable count,
                    Error = Option.toNullable error,
                    Seed = int64 seed,
                    Decoder = (if decoder = "" then null else decoder),
                    Steps = steps,
                    LearningRate = rate,
                    WeightDecay = decay,
                    Temperature = Option.toNullable tau,
                    AnnealEvery = Option.toNullable every,
                    AnnealFactor = factor,
                    SoftmaxDecoder = softmax,
                    // TIES is no weighted sum: its atoms are made of the clusters by the prelude's `ties`.
                    Merge = (if merge = "ties" then "mean" else merge)
                )
            )
    | _ -> None

/// Whether clusters are to be merged by TIES, which is no weighted sum.
let mergesByTies (call: Call) (options: BasisOptions) =
    match call.Args[atMerge] with
    | Some { Value = Value.Text "ties" } -> options.Method = BasisMethod.Cluster
    | _ -> false

/// The groups that a call asks for.
let byOf ctx (call: Call) =
    Call.choice ctx call atBy "by" (extents |> List.map fst) "all"
    |> Option.map (fun by -> extents |> List.find (fun (name, _) -> name = by) |> snd)
