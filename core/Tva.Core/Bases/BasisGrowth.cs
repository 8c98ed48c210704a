namespace Tva.Core.Bases;

/// <summary>A task in terms of a basis made without it.</summary>
/// <param name="Coefficients">w, one per vector of the basis.</param>
/// <param name="Error">‖τ−Sw‖.</param>
/// <param name="RelativeError">The same over ‖τ‖; of an all-zero task 0.</param>
public sealed record BasisFit(double[] Coefficients, double Error, double RelativeError);

/// <summary>A basis made anew of an old one's atoms S (M of them) and a newcomer τ.</summary>
/// <param name="Combination">P, (M+1)×M': the new atoms are [S τ]·P; with a mean it is the last.</param>
/// <param name="Decoder">W', M'×(T+1), the newcomer last; with a mean the last row is ones.</param>
/// <param name="HasMean">Whether the last of the new atoms is a mean.</param>
/// <param name="Norm">Norms of the tasks, the newcomer's last.</param>
/// <param name="Error">
/// sqrt(old error² + ‖S·w − new‖²): exact when the newcomer is orthogonal to what the old basis had lost of the task.
/// </param>
/// <param name="RelativeError">The same over the norms; of an all-zero task 0 if it comes back as zero, else infinite.</param>
public sealed record GrownBasis(
    double[,] Combination, double[,] Decoder, bool HasMean, double[] Norm, double[] Error, double[] RelativeError);

/// <summary>
/// The products of a newcomer τ with a basis's atoms S (d×M) in, its coefficients or a basis of it and the old tasks out, without
/// the old tasks' files (arXiv 2502.01015). A basis with a mean counts the mean among its atoms, with a decoder row of ones.
/// </summary>
public static class BasisGrowth
{
    private const double Slack = 1e-9;

    /// <summary>w = (SᵀS)⁺Sᵀτ.</summary>
    /// <param name="atomGram">SᵀS, M×M.</param>
    /// <param name="products">c = Sᵀτ, M numbers.</param>
    /// <param name="normSquared">‖τ‖².</param>
    /// <exception cref="BasisNonFiniteException">NaN or infinity; index M is the newcomer.</exception>
    public static BasisFit Coefficients(double[,] atomGram, double[] products, double normSquared)
    {
        var atoms = products.Length;
        var factor = GramFactor.Of(Extend(atomGram, products, normSquared));
        var rows = factor.Rows;
        var count = rows.GetLength(0);
        var s = Dense.Build(count, atoms, (k, m) => rows[k, m]);
        var weights = Dense.LeastSquares(s, Dense.Build(count, 1, (k, _) => rows[k, atoms]));
        var rest = Dense.Multiply(rows, Dense.Build(atoms + 1, 1, (m, _) => m < atoms ? weights[m, 0] : -1));
        var error = Dense.Norm(rest, 0);
        double[] coefficients = [.. Enumerable.Range(0, atoms).Select(m => weights[m, 0])];
        return new(coefficients, error, BasisReport.Relative(factor.Norm[atoms], error, 0));
    }

    /// <summary>
    /// A basis of [S·W, τ] by any method: with H the Gram matrix of [S, τ] and Y = [[W, 0], [0, 1]] theirs is YᵀHY, and the new
    /// encoder B' gives the atoms [S, τ]·Y·B'.
    /// </summary>
    /// <param name="atomGram">SᵀS, M×M.</param>
    /// <param name="decoder">W, M×T.</param>
    /// <param name="products">c = Sᵀτ, M numbers.</param>
    /// <param name="normSquared">‖τ‖².</param>
    /// <param name="options">Atoms, or an error that holds for the true tasks, those lost already included.</param>
    /// <param name="norm">‖τ_t‖ of the T old tasks; null takes those of S·W.</param>
    /// <param name="error">What the old basis had lost of them, ‖τ_t−S·w_t‖; null is nothing.</param>
    /// <exception cref="BasisException">As of <see cref="BasisSolver.Solve"/>, of S·W and τ.</exception>
    public static GrownBasis Refit(
        double[,] atomGram,
        double[,] decoder,
        double[] products,
        double normSquared,
        BasisOptions options,
        double[]? norm = null,
        double[]? error = null)
    {
        var (atoms, tasks) = (decoder.GetLength(0), decoder.GetLength(1));
        var y = Dense.Build(
            atoms + 1, tasks + 1, (m, t) => m < atoms && t < tasks ? decoder[m, t] : m == atoms && t == tasks ? 1 : 0);
        var vectors = GramFactor.Of(Extend(atomGram, products, normSquared)).Rows;
        var old = Dense.Multiply(vectors, y);
        var gram = Dense.Multiply(Dense.Transpose(old), old);
        var norms = Enumerable.Range(0, tasks + 1)
            .Select(t => t < tasks && norm is not null ? norm[t] : Dense.Norm(old, t)).ToArray();
        if (options.Error is not { } limit)
        {
            return Grow(BasisSolver.Solve(gram, options));
        }

        // What was lost before counts too, so the solver's own search would stop too early.
        options.Check();
        var (best, reached) = (0, double.PositiveInfinity);
        for (var m = 1; m <= tasks + 1; m++)
        {
            BasisSolution solution;
            try
            {
                solution = BasisSolver.Solve(gram, options with { Atoms = m, Error = null });
            }
            catch (BasisRankException) when (m > 1)
            {
                break;
            }

            var grown = Grow(solution);
            var worst = grown.RelativeError.Max();
            if (worst <= limit + Slack)
            {
                return grown;
            }

            (best, reached) = worst < reached ? (m, worst) : (best, reached);
        }

        throw new BasisUnreachedException(reached, best);

        GrownBasis Grow(BasisSolution solution)
        {
            var kept = solution.Kept;
            var encoder = Dense.Build(
                tasks + 1, kept, (t, m) => m < solution.Atoms ? solution.Encoder[t, m] : 1.0 / (tasks + 1));
            var weights = Dense.Build(kept, tasks + 1, (m, t) => m < solution.Atoms ? solution.Decoder[m, t] : 1);
            var combination = Dense.Multiply(y, encoder);
            var apart = Dense.Multiply(Dense.Multiply(vectors, combination), weights);
            var errors = new double[tasks + 1];
            var nothing = Slack * Math.Sqrt(norms.Sum(n => n * n) / norms.Length);
            for (var t = 0; t <= tasks; t++)
            {
                for (var k = 0; k < apart.GetLength(0); k++)
                {
                    apart[k, t] -= old[k, t];
                }

                var lost = t < tasks && error is not null ? error[t] : 0;
                errors[t] = Math.Sqrt((lost * lost) + Dense.Dot(apart, t, apart, t));
            }

            var relative = errors.Select((e, t) => BasisReport.Relative(norms[t], e, nothing)).ToArray();
            return new(combination, weights, solution.HasMean, norms, errors, relative);
        }
    }

    /// <summary>The Gram matrix of [S, τ].</summary>
    private static double[,] Extend(double[,] atomGram, double[] products, double normSquared)
    {
        var atoms = products.Length;
        return Dense.Build(
            atoms + 1,
            atoms + 1,
            (i, j) => i < atoms && j < atoms ? atomGram[i, j] : i == j ? normSquared : products[Math.Min(i, j)]);
    }
}
