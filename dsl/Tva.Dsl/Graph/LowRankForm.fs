/// Sums of low-rank sources: from a node in normal form to its terms, if it has no others.
namespace Tva.Dsl.Graph

open Tva.Core.Execution

/// coefficient · source, where all the scopes select the tensor.
type LowRankTerm =
    { Coefficient: Node
      Scopes: TensorScope list
      Source: int }

module LowRankForm =

    /// Whether a number needs no data.
    let isFree (k: Node) =
        reachable [ k ] |> Seq.forall (fun n -> match n.Op with Reduce _ | Late _ | Source _ -> false | _ -> true)

    /// The terms of Σ coefficient · source over sources of low rank alone, the coefficients no finer than a tensor.
    let rec terms (g: Graph) (isLowRank: int -> bool) (n: Node) : LowRankTerm list option =
        match n.Op with
        | Const 0.0 -> Some []
        | Source i when isLowRank i -> Some [ { Coefficient = g.Const 1.0; Scopes = []; Source = i } ]
        | Restrict scope -> terms g isLowRank n.Args[0] |> Option.map (List.map (fun t -> { t with Scopes = scope :: t.Scopes }))
        | Linear ->
            let parts =
                pairs n |> List.map (fun (k, x) ->
                    match terms g isLowRank x with
                    | Some [ t ] when k.Extent <= Extent.Tensor && t.Coefficient.Op = Const 1.0 -> Some { t with Coefficient = k }
                    | _ -> None)
            if parts |> List.forall Option.isSome then Some(parts |> List.map Option.get) else None
        | _ -> None

    /// Whether a term is there at a tensor.
    let selects (name: string) (layer: int) (t: LowRankTerm) = t.Scopes |> List.forall (TensorScope.selects name layer)
