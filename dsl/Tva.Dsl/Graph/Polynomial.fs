/// Numbers as polynomials over those that only a run can tell: what makes `k + (1 - k)` the number 1.
namespace Tva.Dsl.Graph

open System

/// The factors of a product, as node ids in ascending order, repeated for powers; empty for 1.
type Monomial = int list

/// A number and the sum of the magnitudes it was added up from, by which its rounding error is judged.
[<Struct>]
type Coefficient = { Value: float; Magnitude: float }

/// Σ coefficient · monomial; no coefficient is 0.
type Polynomial = Map<Monomial, Coefficient>

module Polynomial =

    /// 2^-50: a few roundings of a float64, relative.
    let private rounding = 1.0 / float (1L <<< 50)

    let zero: Polynomial = Map.empty

    let ofNumber (v: float) : Polynomial = if v = 0.0 then zero else Map.ofList [ [], { Value = v; Magnitude = abs v } ]

    let one = ofNumber 1.0

    let ofAtom (id: int) : Polynomial = Map.ofList [ [ id ], { Value = 1.0; Magnitude = 1.0 } ]

    let negate (p: Polynomial) : Polynomial = p |> Map.map (fun _ c -> { c with Value = -c.Value })

    // Ten times 0.1 is to cancel a 1: a sum within its own rounding error of an integer is that integer.
    let private sum a b =
        let value = a.Value + b.Value
        let magnitude = a.Magnitude + b.Magnitude
        let near = Math.Round value
        let snapped = if abs (value - near) <= magnitude * rounding then near else value
        { Value = snapped; Magnitude = magnitude }

    /// One more term.
    let plus (m: Monomial) (c: Coefficient) (p: Polynomial) : Polynomial =
        match p.TryFind m with
        | None -> if c.Value = 0.0 then p else p.Add(m, c)
        | Some before ->
            let c = sum before c
            if c.Value = 0.0 then p.Remove m else p.Add(m, c)

    let add (p: Polynomial) (q: Polynomial) : Polynomial =
        let big, small = if p.Count >= q.Count then p, q else q, p
        (big, small) ||> Map.fold (fun acc m c -> plus m c acc)

    let rec private merge (a: Monomial) (b: Monomial) =
        match a, b with
        | [], m
        | m, [] -> m
        | x :: xs, y :: ys -> if x <= y then x :: merge xs b else y :: merge a ys

    let multiply (p: Polynomial) (q: Polynomial) : Polynomial =
        (zero, p) ||> Map.fold (fun acc m c ->
            (acc, q) ||> Map.fold (fun acc n d ->
                plus (merge m n) { Value = c.Value * d.Value; Magnitude = abs (c.Value * d.Value) } acc))

    /// The number, where it is one.
    let (|Known|_|) (p: Polynomial) =
        if p.IsEmpty then Some 0.0
        elif p.Count = 1 then p.TryFind [] |> Option.map _.Value
        else None

    /// k where p = k·q.
    let ratio (p: Polynomial) (q: Polynomial) =
        if p.Count <> q.Count || p.IsEmpty then
            None
        else
            let pairs = Seq.zip (Map.toSeq p) (Map.toSeq q)
            let (_, c), (_, d) = Seq.head pairs
            let k = c.Value / d.Value
            let close (a: float) b = abs (a - b) <= rounding * abs b
            if pairs |> Seq.forall (fun ((m, c), (n, d)) -> m = n && close c.Value (k * d.Value)) then Some k else None
