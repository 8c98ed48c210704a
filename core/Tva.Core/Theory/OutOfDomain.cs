namespace Tva.Core.Theory;

/// <summary>
/// How the target lies to known tasks comes in; coefficients that carry over to it go out, or the proof that none do
/// (arXiv 2504.10957, Theorem 3).
/// </summary>
/// <remarks>
/// The target's pattern is μ' = Σ γᵢμᵢ + κμ⊥ with orthonormal μᵢ. Asked for are λ and a c in (0, 1) with (B) Σ λᵢγᵢ ≥ 1 + c and
/// Σ λᵢγᵢ² ≥ 1 + c, and (C) |λᵢ|·β ≤ c; (A), some γᵢ ≠ 0, follows from (B). What is feasible for one c stays so for a greater
/// one, λ growing with 1 + c, so that c → 1 decides; of all pairs the one with the least ‖λ‖ is given.
/// </remarks>
public sealed class OutOfDomain
{
    /// <summary>c below 1 by no more than this counts as 1, which the theorem leaves out.</summary>
    private const double Margin = 1e-9;

    private OutOfDomain(double c, double[]? lambda, double[]? low, double[]? high, double first, double second, double most) =>
        (C, Lambda, Low, High, First, Second, Most) = (c, lambda, low, high, first, second, most);

    /// <summary>The c that the rest is about: as given, else the one of the least ‖λ‖, else 1.</summary>
    public double C { get; }

    /// <summary>The solution of least norm; null where there is none.</summary>
    public double[]? Lambda { get; }

    /// <summary>
    /// By task the least λᵢ in the feasible region, at the c given or over all c in (0, 1), where an end that only c = 1 has is never
    /// quite reached; null where the region is empty.
    /// </summary>
    public double[]? Low { get; }

    /// <summary>By task the greatest λᵢ in that region; null where it is empty.</summary>
    public double[]? High { get; }

    /// <summary>
    /// Where there is no solution, y₁ ≥ 0 with <see cref="Second"/> such that no λ of (C) makes y₁·Σλγ + y₂·Σλγ² reach
    /// (y₁ + y₂)(1 + c); y₁ + y₂ = 1.
    /// </summary>
    public double First { get; }

    /// <summary>y₂.</summary>
    public double Second { get; }

    /// <summary>The most that the weighted sum reaches: (c/β)·Σ|y₁γᵢ + y₂γᵢ²|, below 1 + c.</summary>
    public double Most { get; }

    /// <summary>Finds λ.</summary>
    /// <param name="gamma">γ, one for each task, finite.</param>
    /// <param name="beta">β, above 0.</param>
    /// <param name="c">c in (0, 1); null leaves it open.</param>
    public static OutOfDomain Solve(double[] gamma, double beta, double? c = null)
    {
        if (c is { } given)
        {
            return At(gamma, beta, given, Ranges(gamma, beta, given));
        }

        if (Norm(gamma, beta, 1 - Margin) is double.PositiveInfinity)
        {
            return At(gamma, beta, 1, default);
        }

        var (empty, low, high) = (0.0, 1 - Margin, 1 - Margin);
        for (var step = 0; step < 50; step++)
        {
            var middle = (empty + low) / 2;
            if (double.IsPositiveInfinity(Norm(gamma, beta, middle)))
            {
                empty = middle;
            }
            else
            {
                low = middle;
            }
        }

        // The least norm is convex in c.
        var edge = low;
        for (var step = 0; step < 80; step++)
        {
            var (a, b) = (low + ((high - low) / 3), high - ((high - low) / 3));
            if (Norm(gamma, beta, a) <= Norm(gamma, beta, b))
            {
                high = b;
            }
            else
            {
                low = a;
            }
        }

        // At the very edge of what is feasible rounding has the last word.
        return At(gamma, beta, double.IsPositiveInfinity(Norm(gamma, beta, high)) ? edge : high, Ranges(gamma, beta));
    }

    /// <summary>How far each λ reaches at one c.</summary>
    private static (double[] Low, double[] High) Ranges(double[] gamma, double beta, double c)
    {
        var box = c / beta;
        var rows = new double[2, gamma.Length];
        for (var i = 0; i < gamma.Length; i++)
        {
            (rows[0, i], rows[1, i]) = (gamma[i], gamma[i] * gamma[i]);
        }

        var (low, high) = LinearProgramme.Ranges(rows, [(1 + c) / box, (1 + c) / box]);
        return (Array.ConvertAll(low, v => box * v), Array.ConvertAll(high, v => box * v));
    }

    /// <summary>
    /// How far each λ reaches over all c: the conditions are linear in λ and c together. In units of the box, λ = x/β and c = (1 + z)/2.
    /// </summary>
    private static (double[] Low, double[] High) Ranges(double[] gamma, double beta)
    {
        var n = gamma.Length;
        var rows = new double[2 + (2 * n), n + 1];
        var least = new double[2 + (2 * n)];
        (rows[0, n], rows[1, n]) = (-beta / 2, -beta / 2);
        (least[0], least[1]) = (1.5 * beta, 1.5 * beta);
        for (var i = 0; i < n; i++)
        {
            (rows[0, i], rows[1, i]) = (gamma[i], gamma[i] * gamma[i]);
            (rows[2 + i, i], rows[2 + i, n], least[2 + i]) = (1, 0.5, -0.5);
            (rows[2 + n + i, i], rows[2 + n + i, n], least[2 + n + i]) = (-1, 0.5, -0.5);
        }

        var (low, high) = LinearProgramme.Ranges(rows, least);
        return (Array.ConvertAll(low[..n], v => v / beta), Array.ConvertAll(high[..n], v => v / beta));
    }

    private static double Norm(double[] gamma, double beta, double c) =>
        Inequalities(gamma, beta, c).Solution is { } x ? c / beta * Math.Sqrt(x.Sum(v => v * v)) : double.PositiveInfinity;

    /// <summary>In units of the box, λ = (c/β)·x: two sums, then x ≥ −1 and −x ≥ −1.</summary>
    private static LeastDistance Inequalities(double[] gamma, double beta, double c)
    {
        var n = gamma.Length;
        var g = new double[2 + (2 * n), n];
        var h = new double[2 + (2 * n)];
        (h[0], h[1]) = ((1 + c) * beta / c, (1 + c) * beta / c);
        for (var i = 0; i < n; i++)
        {
            (g[0, i], g[1, i]) = (gamma[i], gamma[i] * gamma[i]);
            (g[2 + i, i], h[2 + i]) = (1, -1);
            (g[2 + n + i, i], h[2 + n + i]) = (-1, -1);
        }

        return LeastDistance.Solve(g, h);
    }

    private static OutOfDomain At(double[] gamma, double beta, double c, (double[]? Low, double[]? High) ends)
    {
        var box = c / beta;
        var found = Inequalities(gamma, beta, c);
        if (found.Solution is not { } x)
        {
            var both = found.Multipliers[0] + found.Multipliers[1];
            var first = both > 0 ? found.Multipliers[0] / both : 1;
            var most = box * gamma.Sum(v => Math.Abs((first * v) + ((1 - first) * v * v)));
            return new(c, null, null, null, first, 1 - first, most);
        }

        // Adding 0 takes the sign off a zero.
        return new(c, Array.ConvertAll(x, v => (box * v) + 0.0), ends.Low, ends.High, 0, 0, double.NaN);
    }
}
