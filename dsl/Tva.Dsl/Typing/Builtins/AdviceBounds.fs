/// Bounds on losses under smoothness, and what a basis does to them: from coefficients and the Gram matrix to rows of advice.
module Tva.Dsl.Typing.Builtins.AdviceBounds

open System
open Tva.Dsl
open Tva.Dsl.Graph
open Tva.Dsl.Typing
open Tva.Dsl.Typing.Theory
open Tva.Dsl.Typing.Builtins.Relations
open Tva.Dsl.Typing.Builtins.AdviceReport

/// What a basis makes of an edit's members; τ̂ is τ as it comes back.
type FromBasis =
    { /// ‖τ − τ̂‖ and ‖τ − τ̂‖/‖τ‖; NaN where the basis's folder does not tell.
      Lost: float list
      Relative: float list
      /// ‖Σ λτ̂ − τ_target‖ for coefficients and a target among the members; None where the atoms are not known in terms of the tasks.
      Distance: (float list -> int -> float) option
      IsConvex: bool }

/// xᵀGx, which is ‖Σ xᵢτᵢ‖².
let private squared size (dot: int -> int -> float) (x: float[]) =
    let mutable sum = 0.0
    for i in 0 .. size - 1 do
        for j in 0 .. size - 1 do
            sum <- sum + x[i] * x[j] * dot i j
    max sum 0.0

/// From a basis that is solved, with norm and relative error of each member.
let fromBasis (p: Program) (k: Kept) (told: (float * float) list) : FromBasis =
    let solved = p.Solved[k.Basis]
    let places = Array.ofList k.Tasks
    let distance (lambda: float list) (target: int) =
        solved.Groups
        |> List.sumBy (fun g ->
            // Σ λτ̂ = V·B·W·λ, in terms of the tasks.
            let size, atoms = Array2D.length1 g.Weights, Array2D.length2 g.Weights
            let mixed = [| for m in 0 .. atoms - 1 -> List.mapi (fun i l -> l * g.Coefficients[m, places[i]]) lambda |> List.sum |]
            let x = [| for t in 0 .. size - 1 -> Array.mapi (fun m v -> g.Weights[t, m] * v) mixed |> Array.sum |]
            x[places[target]] <- x[places[target]] - 1.0
            squared size (fun i j -> g.Gram[i, j]) x)
        |> sqrt
    { Lost = [ for norm, relative in told -> norm * relative ]
      Relative = told |> List.map snd
      Distance = if p.Bases[k.Basis].Origin.IsTasks then Some distance else None
      IsConvex = solved.IsConvex }

let errorRows (e: EditValue) (basis: FromBasis option) : Cell list list =
    match basis with
    | None -> []
    | Some b ->
        [ for (name, _), relative, lost in List.zip3 e.Members b.Relative b.Lost do
              if Double.IsNaN relative then row "error in the basis" name None "not told" "the basis's folder does not say how far this task comes back from where it was"
              else row "error in the basis" name (Some relative) "of its norm is lost" $"‖τ - τ̂‖/‖τ‖, with ‖τ - τ̂‖ = {figure lost}; how the tasks lie to each other is told of τ, not of τ̂" ]

/// What addition's bound over convex combinations becomes when it is of atoms instead.
let private convexRow (b: FromBasis) =
    if b.IsConvex then
        row "bound" "from the basis" None "unchanged" "its atoms are convex combinations of the tasks (weights ≥ 0, sums 1), so a convex combination of atoms is one of tasks (arXiv 2502.01015)"
    else
        row "bound" "from the basis" None "not covered" "its atoms are not known as convex combinations of the tasks, which arXiv 2502.01015 asks for"

/// What can be said of a basis without smoothness constants.
let untold (e: EditValue) (basis: FromBasis option) : Cell list list =
    match basis with
    | None -> []
    | Some b ->
        [ if e.Goal = Goal.Add then
              convexRow b
          row "bound" "" None "not told" "bounds in numbers need the losses' `smoothness`: one L, or one for each task" ]

/// What L-smoothness and a stationary fine-tuned model give: L_t(θ) − L_t(θ_t) ≤ (L_t/2)·‖θ − θ_t‖², the distance from the Gram matrix
/// (arXiv 2502.01015's setting).
let rows (e: EditValue) (smooth: float list) (lambda: float list option) (dot: int -> int -> float) (basis: FromBasis option) : Cell list list =
    let size = e.Members.Length
    let name t = fst e.Members[t]
    let distance (target: int) (x: float list) =
        let x = Array.ofList x
        x[target] <- x[target] - 1.0
        sqrt (squared size dot x)
    let rise of' t d why =
        if Double.IsNaN d then row "bound" of' None "not told" "the basis's folder does not say enough of its tasks"
        else row "bound" of' (Some(smooth[t] / 2.0 * d * d)) "rises by at most this" why
    let kept = match e.Goal with Goal.Forget -> [ 1 .. size - 1 ] | _ -> [ 0 .. size - 1 ]
    let convex =
        if e.Goal <> Goal.Add then []
        else
            [ for t in kept do
                  let worst = [ for k in 0 .. size - 1 -> dot k k + dot t t - 2.0 * dot k t ] |> List.max
                  rise $"loss of {name t}, any convex combination" t (sqrt (max worst 0.0)) "(L/2)·max ‖τ_k - τ_task‖², by convexity of the norm"
              match basis with
              | Some b -> convexRow b
              | None -> () ]
    match lambda with
    | None -> row "bound" "" None "none" "there is no λ to tell it for" :: convex
    | Some lambda ->
        [ for t in kept do
              rise $"loss of {name t}" t (distance t lambda) "(L/2)·‖θ - θ_task‖² by L-smoothness with θ_task stationary, the distance from the Gram matrix; L as given" ]
        @ (match basis with
           | None -> []
           | Some b ->
               let added = List.map2 (fun l lost -> abs l * lost) lambda b.Lost |> List.sum
               [ for t in kept do
                     let of' = $"loss of {name t}, from the basis"
                     let most = distance t lambda + added
                     let sum = $"‖θ - θ_task‖ + Σ|λ|·‖τ - τ̂‖ = {figure (distance t lambda)} + {figure added}: it grows with the tasks' errors in the basis (arXiv 2502.01015)"
                     match b.Distance with
                     | Some distance ->
                         let d = distance lambda t
                         rise of' t d $"the same of what comes back: ‖θ̂ - θ_task‖ = {figure d} by the basis's Gram matrix, at most {sum}"
                     | None -> rise of' t most $"the same of what comes back, its distance at most {sum}" ])
        @ convex
