namespace Tva.Core.Bases;

/// <summary>
/// What a basis loses, from G alone: with R the reconstruction (BW, see <see cref="BasisSolution.Reconstruction"/>) and E = R −
/// I, the squared error of task t is e_tᵀGe_t (arXiv 2502.01015). Arrays are by task; τ̂ is τ as it comes back.
/// </summary>
/// <param name="Norm">‖τ‖.</param>
/// <param name="Recovered">‖τ̂‖.</param>
/// <param name="Error">‖τ−τ̂‖.</param>
/// <param name="RelativeError">‖τ−τ̂‖/‖τ‖; of an all-zero task 0 if it comes back as zero, else infinite.</param>
/// <param name="Cosine">Of τ and τ̂; when both are zero 1, when one is 0.</param>
/// <param name="Loss">Σ‖τ−τ̂‖²/Σ‖τ‖².</param>
/// <param name="Bound">
/// Σ λ_m(G) over m beyond the vectors kept (atoms, and the mean where there is one) / Σλ: no linear method is below.
/// </param>
/// <param name="PublishedLoss">tr(EᵀGE)/T², as published code prints it.</param>
public sealed record BasisReport(
    double[] Norm,
    double[] Recovered,
    double[] Error,
    double[] RelativeError,
    double[] Cosine,
    double Loss,
    double Bound,
    double PublishedLoss)
{
    /// <summary>Errors below this times the mean norm are rounding when the task itself is zero.</summary>
    private const double Nothing = 1e-9;

    /// <summary>The largest relative error.</summary>
    public double Worst => RelativeError.Any(double.IsNaN) ? double.NaN : RelativeError.Max();

    /// <summary>The report of a solution on the Gram matrix (T×T) it was made of, or on another of the same tasks.</summary>
    /// <exception cref="BasisNonFiniteException">NaN or infinity in G.</exception>
    public static BasisReport Of(double[,] gram, BasisSolution solution) => Of(GramFactor.Of(gram), solution);

    internal static BasisReport Of(GramFactor factor, BasisSolution solution)
    {
        var recovered = Dense.Multiply(factor.Rows, solution.Reconstruction());
        var tasks = Enumerable.Range(0, factor.Tasks).ToArray();
        var error = Array.ConvertAll(tasks, t => Distance(factor.Rows, recovered, t));
        var dot = Array.ConvertAll(tasks, t => Dense.Dot(factor.Rows, t, recovered, t));
        return Of(
            factor.Norm,
            Array.ConvertAll(tasks, t => Dense.Norm(recovered, t)),
            error,
            dot,
            factor.Bound(solution.Kept));
    }

    /// <summary>
    /// Bases of several groups of tensors (one per layer, say) as one: squared norms, squared errors and products add up, so that
    /// loss and bound are means weighted by Σ‖τ‖² of the group.
    /// </summary>
    /// <param name="groups">At least one, all of the same tasks.</param>
    public static BasisReport Combine(IReadOnlyList<BasisReport> groups)
    {
        var tasks = Enumerable.Range(0, groups[0].Norm.Length).ToArray();
        var energy = groups.Sum(g => g.Energy);
        return Of(
            Array.ConvertAll(tasks, t => Root(g => g.Norm[t])),
            Array.ConvertAll(tasks, t => Root(g => g.Recovered[t])),
            Array.ConvertAll(tasks, t => Root(g => g.Error[t])),
            Array.ConvertAll(tasks, t => groups.Sum(g => g.Norm[t] * g.Recovered[t] * g.Cosine[t])),
            energy <= 0 ? 0 : groups.Sum(g => g.Bound * g.Energy) / energy);

        double Root(Func<BasisReport, double> value) => Math.Sqrt(groups.Sum(g => value(g) * value(g)));
    }

    private double Energy => Norm.Sum(n => n * n);

    /// <summary>The report of tasks whose numbers are known one by one; NaN stands for what is not, and makes NaN of what follows from it.</summary>
    /// <param name="norm">‖τ‖.</param>
    /// <param name="recovered">‖τ̂‖.</param>
    /// <param name="error">‖τ−τ̂‖.</param>
    /// <param name="dot">⟨τ, τ̂⟩.</param>
    /// <param name="bound">See <see cref="Bound"/>.</param>
    public static BasisReport Of(double[] norm, double[] recovered, double[] error, double[] dot, double bound)
    {
        var tasks = Enumerable.Range(0, norm.Length).ToArray();
        var energy = norm.Sum(n => n * n);
        var lost = error.Sum(e => e * e);
        var nothing = Nothing * Math.Sqrt(norm.Where(n => !double.IsNaN(n)).Sum(n => n * n) / norm.Length);
        return new(
            norm,
            recovered,
            error,
            Array.ConvertAll(tasks, t => Relative(norm[t], error[t], nothing)),
            Array.ConvertAll(tasks, t => Cos(norm[t], recovered[t], dot[t], nothing)),
            energy <= 0 ? 0 : lost / energy,
            bound,
            lost / norm.Length / norm.Length);
    }

    /// <summary>‖τ−τ̂‖/‖τ‖ of a task, which may be all zero.</summary>
    internal static double Relative(double norm, double error, double nothing) =>
        double.IsNaN(norm) || double.IsNaN(error) ? double.NaN : norm > 0 ? error / norm : error <= nothing ? 0 : double.PositiveInfinity;

    private static double Cos(double norm, double recovered, double dot, double nothing) =>
        double.IsNaN(norm) ? double.NaN : norm > 0 && recovered > 0 ? Math.Clamp(dot / norm / recovered, -1, 1) : norm == 0 && recovered <= nothing ? 1 : 0;

    private static double Distance(double[,] a, double[,] b, int column)
    {
        var sum = 0.0;
        for (var i = 0; i < a.GetLength(0); i++)
        {
            var x = a[i, column] - b[i, column];
            sum += x * x;
        }

        return Math.Sqrt(sum);
    }
}
