/// What arXiv 2504.10957 allows, as plain rules: from how tasks lie to each other (α) to ranges of λ and the λ to take, in numbers and words.
module Tva.Dsl.Typing.Theory

open System
open System.Globalization

/// Where an α comes from.
[<RequireQualifiedAccess>]
type Source =
    /// The user knows it.
    | Given
    /// The user has it computed from the weights.
    | Computed
    /// Estimated from what two models put out.
    | Outputs
    /// The cosine of the task vectors, which stands for it.
    | Cosine

/// What the theorems leave to the user.
type Assumptions =
    { /// The small constant of the theorems.
      Beta: float
      /// Estimates up to this count as 0, and a known α > 0 up to this as small.
      Irrelevant: float
      Source: Source }

/// Four significant digits: more would be none of ours.
let figure (v: float) =
    if Double.IsPositiveInfinity v then "∞"
    elif Double.IsNegativeInfinity v then "-∞"
    else
        let text = v.ToString("0.####", CultureInfo.InvariantCulture)
        if text = "-0" then "0" else text

/// How the source is called, with what it is worth.
let sourceText source =
    match source with
    | Source.Given -> "α as given"
    | Source.Computed -> "α as given, computed from the weights: a proxy for α, not knowledge of it"
    | Source.Outputs -> "α̂ from outputs: an estimate of α"
    | Source.Cosine -> "cosine of the task vectors: a proxy for α, not knowledge of it"

/// What a recommendation is worth.
let worth source =
    match source with
    | Source.Given -> "by the theorem"
    | Source.Outputs -> "on an estimate"
    | Source.Computed
    | Source.Cosine -> "on a proxy"

/// What a conclusion from it rests on.
let restsOn source =
    match source with
    | Source.Given -> ""
    | Source.Outputs -> "; rests on an estimate of α"
    | Source.Computed
    | Source.Cosine -> "; rests on a proxy for α"

/// Whether an α of ours is so near 0 that it says no more than that; one that the user gives is taken as it is.
let isNothing (a: Assumptions) (alpha: float) =
    match a.Source with
    | Source.Given
    | Source.Computed -> false
    | Source.Outputs
    | Source.Cosine -> abs alpha <= a.Irrelevant

/// The α to go on with.
let effective (a: Assumptions) (alpha: float) = if isNothing a alpha then 0.0 else alpha

let relation (a: Assumptions) (alpha: float) =
    match effective a alpha with
    | v when v > 0.0 -> "aligned"
    | v when v < 0.0 -> "contradictory"
    | _ -> "irrelevant"

/// The λ that serve, both ends included where they are finite, or negative ones down to the low end, with the condition; or why none does.
type Allowed =
    | Between of low: float * high: float * condition: string
    | Negative of low: float * condition: string
    | Never of string

/// The ends of a range; NaN where there is none.
let lowEnd allowed =
    match allowed with
    | Between(low, _, _)
    | Negative(low, _) -> low
    | Never _ -> nan

let highEnd allowed =
    match allowed with
    | Between(_, high, _) -> high
    | Negative _ -> 0.0
    | Never _ -> nan

/// Theorem 1: of θ₀ + τ₁ + λτ₂ both tasks are good iff α ≥ 0 and λ ≥ 1 − α + β.
let addition (a: Assumptions) (alpha: float) =
    let v = effective a alpha
    if v < 0.0 then Never $"α = {figure v} < 0: what helps one task harms the other, so no λ serves both (Theorem 1)"
    else Between(1.0 - v + a.Beta, infinity, $"λ ≥ 1 - α + β = 1 - {figure v} + {figure a.Beta} (Theorem 1)")

/// Theorem 2: θ₀ + τ₁ + λτ₂ keeps task 1 and loses task 2 where α = 0 and λ ≤ 0, or α < 0 and −Θ(α⁻²) ≤ λ < 0; for α > 0 only when α is small.
let negation (a: Assumptions) (alpha: float) =
    let v = effective a alpha
    if v < 0.0 then
        Negative(-1.0 / (v * v), $"λ < 0, not below -Θ(α⁻²), here -({figure v})⁻² with 1 for the constant that the theorem leaves open (Theorem 2)")
    elif v = 0.0 then Between(-infinity, 0.0, "α = 0 and λ ≤ 0 (Theorem 2)")
    elif v <= a.Irrelevant then
        Between(-infinity, 0.0, $"λ ≤ 0, only since α = {figure v} is small, taken as up to {figure a.Irrelevant} (Theorem 2)")
    else
        Never $"α = {figure v} > {figure a.Irrelevant}: the tasks are aligned, and losing one loses the other (Theorem 2 allows α > 0 only when it is small)"

/// The least λ that serves: task 1's error bound grows with |λ|β.
let addedBy allowed =
    match allowed with
    | Between(low, _, _)
    | Negative(low, _) -> Some low
    | Never _ -> None

/// −1, the whole task vector taken away, as in the paper's experiments, or as much of that as all ranges allow.
let takenBy (all: Allowed list) =
    if all |> List.exists _.IsNever then None
    else Some(all |> List.fold (fun l r -> match r with Between(low, _, _) | Negative(low, _) -> max l low | Never _ -> l) -1.0)
