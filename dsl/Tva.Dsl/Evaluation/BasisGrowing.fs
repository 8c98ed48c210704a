/// A basis that takes a newcomer in: from the Gram matrix of its atoms and the newcomer, and its numbers before, to its numbers after.
module Tva.Dsl.BasisGrowing

open System
open MathNet.Numerics.LinearAlgebra
open Tva.Core.Bases
open Tva.Dsl.Typing

let private dense (m: float[,]) = Matrix<float>.Build.DenseOfArray m

/// The report of a grown basis: `y` are the tasks as they were kept and the newcomer, `x` the tasks as they are now, both in terms of the
/// sources, whose Gram matrix is `h`. What had been lost of a task before is taken as orthogonal to what is kept (arXiv 2502.01015).
let private report (h: Matrix<float>) (y: Matrix<float>) (x: Matrix<float>) (norm: float[]) (lost: float[]) (atoms: int) : BasisReport =
    let square (m: Matrix<float>) t = max 0.0 ((m.Column t) * (h * m.Column t))
    let tasks = [| 0 .. norm.Length - 1 |]
    let error = tasks |> Array.map (fun t -> sqrt (lost[t] * lost[t] + square (x - y) t))
    let recovered = tasks |> Array.map (fun t -> sqrt (square x t))
    let dot = tasks |> Array.map (fun t -> (y.Column t) * (h * x.Column t))
    let energy = norm |> Array.sumBy (fun n -> n * n)
    let spectrum = (y.TransposeThisAndMultiply(h * y)).Evd(Symmetricity.Symmetric).EigenValues.Real().ToArray() |> Array.sortDescending
    let tail = spectrum |> Array.skip (min atoms spectrum.Length) |> Array.sumBy (max 0.0)
    let bound = if not (energy <= 0.0) then ((lost |> Array.sumBy (fun e -> e * e)) + tail) / energy else 0.0
    BasisReport.Of(norm, recovered, error, dot, bound)

/// One group of a basis whose atoms are no weighted sums: `gram` is of the tasks, then the atoms, one for each cluster.
let merge (isMember: bool) (clusters: BasisGroup) (gram: float[,]) : BasisGroup =
    let tasks = Array2D.length2 clusters.Coefficients
    let atoms = Array2D.length1 gram - tasks
    let atomGram = Array2D.init atoms atoms (fun i j -> gram[tasks + i, tasks + j])
    let fit t = BasisGrowth.Coefficients(atomGram, Array.init atoms (fun m -> gram[tasks + m, t]), gram[t, t]).Coefficients
    let closed = [| for t in 0 .. tasks - 1 -> if isMember then [||] else fit t |]
    let coefficients =
        Array2D.init atoms tasks (fun m t -> if not isMember then closed[t][m] elif clusters.Weights[t, m] <> 0.0 then 1.0 else 0.0)
    let y = Matrix<float>.Build.Dense(tasks + atoms, tasks, fun i t -> if i = t then 1.0 else 0.0)
    let x = Matrix<float>.Build.Dense(tasks + atoms, tasks, fun i t -> if i < tasks then 0.0 else coefficients[i - tasks, t])
    let norm = [| for t in 0 .. tasks - 1 -> sqrt (max 0.0 gram[t, t]) |]
    { Label = clusters.Label
      Gram = clusters.Gram
      Weights = Array2D.init (tasks + atoms) atoms (fun k m -> if k = tasks + m then 1.0 else 0.0)
      Coefficients = coefficients
      Report = report (dense gram) y x norm (Array.zeroCreate tasks) atoms }

/// One group: `gram` is of the sources, which are the atoms kept, the mean where there is one, and the newcomer.
let grow (origin: BasisOrigin) (options: BasisOptions) (hasMean: bool) (before: BasisGroup) (gram: float[,]) : BasisGroup =
    let kept = Array2D.length1 before.Coefficients
    let tasks = Array2D.length2 before.Coefficients
    let atoms = if hasMean then kept - 1 else kept
    let h = dense gram
    let w = dense before.Coefficients
    let y = Matrix<float>.Build.Dense(kept + 1, tasks + 1, fun i t -> if i < kept && t < tasks then w[i, t] elif i = kept && t = tasks then 1.0 else 0.0)
    let newcomer = gram[kept, kept]
    let norm =
        [| for t in 0 .. tasks -> if t = tasks then sqrt newcomer else before.Report.Norm[t] |]
    // What a folder does not tell of a member stays unknown (NaN): its task is not there to be measured.
    let lost = [| for t in 0 .. tasks -> if t = tasks then 0.0 else before.Report.Error[t] |]
    let orKept (values: float[]) (kept: int -> float) =
        [| for t in 0 .. tasks - 1 -> if Double.IsNaN values[t] then kept t else values[t] |]
    let size t = sqrt (max 0.0 ((y.Column t) * (h * y.Column t)))
    let atomGram = Array2D.init kept kept (fun i j -> gram[i, j])
    let products = Array.init kept (fun i -> gram[i, kept])
    let fit = BasisGrowth.Coefficients(atomGram, products, newcomer)
    let weights, coefficients, count =
        match origin with
        | BasisOrigin.Growth(_, threshold) when not (fit.RelativeError < threshold) ->
            let refit count =
                BasisGrowth.Refit(atomGram, before.Coefficients, products, newcomer, options.WithAtoms count, orKept norm size, orKept lost (fun _ -> 0.0))
            // Of a layer or tensor that the tasks leave alone less can be kept than of others.
            let grown =
                try
                    refit atoms
                with :? BasisRankException as e when before.Label <> "" && e.Rank >= 1 && e.Rank < atoms ->
                    refit e.Rank
            let found = Array2D.length1 grown.Decoder - (if hasMean then 1 else 0)
            let place m = if m >= atoms then found elif m < found then m else -1
            Array2D.init (kept + 1) kept (fun i m -> if place m < 0 then 0.0 else grown.Combination[i, place m]),
            Array2D.init kept (tasks + 1) (fun m t -> if place m < 0 then 0.0 else grown.Decoder[place m, t]),
            atoms
        | BasisOrigin.Extension _ ->
            // The new atom, what the newcomer has beyond the others, stands after the atoms and before the mean.
            let place i = if i < atoms then i else i + 1
            let p = Array2D.zeroCreate (kept + 1) (kept + 1)
            let c = Array2D.zeroCreate (kept + 1) (tasks + 1)
            for i in 0 .. kept - 1 do
                p[i, place i] <- 1.0
                p[i, atoms] <- -fit.Coefficients[i]
                for t in 0 .. tasks - 1 do
                    c[place i, t] <- before.Coefficients[i, t]
                c[place i, tasks] <- fit.Coefficients[i]
            p[kept, atoms] <- 1.0
            c[atoms, tasks] <- 1.0
            p, c, atoms + 1
        | _ ->
            Array2D.init (kept + 1) kept (fun k m -> if k = m then 1.0 else 0.0),
            Array2D.init kept (tasks + 1) (fun m t -> if t < tasks then before.Coefficients[m, t] else fit.Coefficients[m]),
            atoms
    let x = dense weights * dense coefficients
    // Products with the newcomer are those of what was kept of the others.
    let products' = (w.Transpose() * Vector<float>.Build.Dense products).ToArray()
    { Label = before.Label
      Gram =
        Array2D.init (tasks + 1) (tasks + 1) (fun s t ->
            if s < tasks && t < tasks then before.Gram[s, t]
            elif s = tasks && t = tasks then newcomer
            else products'[min s t])
      Weights = weights
      Coefficients = coefficients
      Report = report h y x norm lost (count + (if hasMean then 1 else 0)) }
