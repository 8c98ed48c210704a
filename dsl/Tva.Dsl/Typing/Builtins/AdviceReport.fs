/// What `advise` tells: from relations, ranges and coefficients in numbers to a table of findings.
module Tva.Dsl.Typing.Builtins.AdviceReport

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
open Tva.Dsl.Typing.Builtins.Relations

let private columns = [ "finding"; "of"; "value"; "says"; "why" ]

let row (finding: string) (of': string) (value: float option) (says: string) (why: string) =
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

let tell (e: EditValue) (o: Options) (lookup: Node -> float[]) (layers: (string * ((int * int) * float) list) list) (bounds: Cell list list) : Findings =
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
              let nothing = if isNothing a v then $"; up to {figure a.Irrelevant} (`irrelevant`) taken as α = 0" else ""
              row "relation" (pairText e pair) (Some v) (relation a v) (sourceText a.Source + nothing) ]
    let byLayer =
        [ for label, cosines in layers do
              for pair, v in cosines do
                  let says = if Double.IsNaN v then "untouched by one of them" else relation a v
                  row "relation by layer" $"{label}: {pairText e pair}" (Some v) says "cosine: a proxy"
          if a.Source = Source.Cosine && layers.IsEmpty then
              row "relation by layer" "" None "not shown" "for up to three pairs that are measured by layer; `conflicts` tells all by layer" ]
    let ranges =
        [ for c in conditions e o alpha do
              let who = fst e.Members[c.Of]
              match c.Allowed with
              | Never why -> row "range" $"λ of {who}" None "none" $"{pairText e c.Pair}: {why}{restsOn a.Source}"
              | Negative(low, why) -> row "range" $"λ of {who}" None $"{figure low} <= λ < 0" $"{pairText e c.Pair}: {why}{restsOn a.Source}"
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
                  row "recommended" $"λ of {name}" (Some v) (worth a.Source) (why + restsOn a.Source) ]
            @ (if e.Members.Length > 2 then
                   [ row "" "" None "pair by pair"
                         "the theorems speak of two tasks, the first with coefficient 1: no pair may contradict, each λ is of the pair with the first, and how more than two act together is not proved" ]
               else [])
    let assumed =
        [ row "assumed" "β" (Some a.Beta) "not known" "the theorems' small constant (`beta`)"
          row "assumed" "network" None "not checked" "proved for a one-layer transformer on binary tasks with one pattern each; elsewhere a guide" ]
    { Columns = columns
      Rows = row "model" "" None model $"arXiv 2504.10957, {what}" :: relations @ byLayer @ ranges @ advice @ bounds @ assumed }

let tellOod (e: EditValue) (o: Options) (gamma: float list) : Findings =
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
        let all, widest = if o.C.IsSome then $"c = {c}", "" else "any c in (0, 1)", "; no c below 1 reaches further"
        { Columns = columns
          Rows =
            head
            @ [ row "condition (B)" "λ" None "none serves" $"Σλγ ≥ 1 + c, Σλγ² ≥ 1 + c and |λ|β ≤ c have no solution for {all}"
                row "certificate" "y₁, y₂" (Some found.First) $"y₁ = {figure found.First}, y₂ = {figure found.Second}"
                    $"y₁·Σλγ + y₂·Σλγ² = Σ λ(y₁γ + y₂γ²) reaches at most (c/β)·Σ|y₁γ + y₂γ²| = {figure found.Most} for |λ| ≤ c/β, and would have to reach 1 + c = {figure (1.0 + found.C)}{widest}" ]
            @ tail }
    | lambda ->
        let low, high = nonNull found.Low, nonNull found.High
        let region =
            if o.C.IsSome then $"how far it reaches in the feasible region at c = {c}, the others moving along"
            else "how far it reaches in the feasible region over all c in (0, 1), without the edge that c = 1 has, the others moving along"
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
                    row "range" $"λ of {name}" None $"{figure low[i]} <= λ <= {figure high[i]}" region ]
            @ [ for i, name in List.indexed names -> row "recommended" $"λ of {name}" (Some lambda[i]) "by the theorem" "the solution of least ‖λ‖" ]
            @ tail }
