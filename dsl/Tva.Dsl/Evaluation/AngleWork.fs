/// Principal angles between the row spaces of task vectors: from truncated SVDs, one pass a member over few tensors at a time, to two numbers a tensor.
module Tva.Dsl.AngleWork

open System
open System.Collections.Generic
open Tva.Core.Execution
open Tva.Core.Matrices
open Tva.Core.Tensors
open Tva.Core.Theory
open Tva.Dsl.Graph
open Tva.Dsl.Typing

/// Directions that hold less than this of the largest are rounding.
let private nothing = 1e-5

/// The rows that span the leading part of the row space; none of a matrix of zeros.
let private rows (f: LowRankFactors) =
    let told = f.SingularValues |> Array.filter (fun s -> s > nothing * f.SingularValues[0]) |> Array.length
    if f.Norm > 0.0 then f.Right[.. told * f.Columns - 1] else [||]

/// Tensors in runs whose factors together stay within the bytes; at least one each.
let private runs (bytes: int64) (cost: TensorInfo -> int64) (tensors: TensorInfo list) =
    let folder (done': TensorInfo list list, held: int64) (t: TensorInfo) =
        match done' with
        | run :: rest when held + cost t <= bytes -> (t :: run) :: rest, held + cost t
        | _ -> [ t ] :: done', cost t
    tensors |> List.fold folder ([], 0L) |> fst |> List.map List.rev |> List.rev

/// By tensor: the mean over the pairs of the mean of cos² over their angles, and the least angle of all pairs, in degrees; NaN where fewer than
/// two members have anything there.
let solve (program: Program) (work: Work) (bind: Node -> Node) (set: AngleSet) : IReadOnlyDictionary<string, struct (float * float)> =
    let found = Dictionary<string, struct (float * float)>()
    let g = program.Graph
    let reference = set.Set.Reference
    let cost (t: TensorInfo) =
        let struct (_, n) = t.Shape.Sides
        int64 set.Rank * n * 4L * int64 set.Sources.Length
    let wanted = HashSet set.Tensors
    let tensors = program.Tensors reference |> Seq.filter (fun t -> wanted.Contains t.Name) |> List.ofSeq
    for run in runs (work.Settings.Memory / 4L) cost tensors do
        let names = [ for t in run -> t.Name ]
        let factors =
            [ for x in set.Sources do
                  let part = g.Make(Restrict(Names names), [| x.Node |], x.Node.Origin)
                  let node = g.Make(Matrix MatrixKind.LowRank, [| part; g.Const(float set.Rank) |], x.Node.Origin)
                  let group = Batch.factors program reference (bind node)
                  use result = work.RunQuietly(group, "comparing row spaces")
                  let plan = group.Planned.Plan
                  dict
                      [ for struct (t, step, i) in group.Planned.Factors.Head do
                            match result.Factors.TryGetValue(struct (step, i, t)) with
                            | true, f -> plan.Tensors[t].Name, (rows f, f.Columns)
                            | _ -> () ] ]
        for name in names do
            let spaces = [ for f in factors do match f.TryGetValue name with | true, (rows, n) when rows.Length > 0 -> rows, n | _ -> () ]
            let pairs =
                [ for i in 0 .. spaces.Length - 1 do
                      for j in i + 1 .. spaces.Length - 1 do
                          let first, n = spaces[i]
                          let second, _ = spaces[j]
                          PrincipalAngles.Cosines(ReadOnlySpan first, ReadOnlySpan second, n) ]
            found[name] <-
                if pairs.IsEmpty then struct (nan, nan)
                else
                    let overlap = pairs |> List.averageBy (Array.averageBy (fun c -> c * c))
                    let least = pairs |> List.map Array.max |> List.max
                    struct (overlap, Math.Acos least * 180.0 / Math.PI)
    found
