namespace Tva.Core.Theory;

/// <summary>
/// Linear inequalities come in; their solution of least norm goes out, or the certificate that they have none.
/// </summary>
/// <remarks>
/// Least distance programming by nonnegative least squares (Lawson and Hanson, Solving Least Squares Problems, chapter 23): of
/// min ‖Eu − f‖ over u ≥ 0 with E = [Gᵀ; hᵀ] and f = (0, …, 0, 1) the residual r gives x = −r₁..ₙ/rₙ₊₁; where r = 0, u itself
/// has uᵀG = 0 and uᵀh = 1 (Farkas).
/// </remarks>
public sealed class LeastDistance
{
    /// <summary>
    /// 1/(1 + ‖x‖²) below this counts as no solution at all: callers scale their unknowns to about 1.
    /// </summary>
    private const double Nothing = 1e-11;

    /// <summary>How far, of the sizes of its terms, an inequality may be missed.</summary>
    private const double Slack = 1e-9;

    private LeastDistance(double[]? solution, double[] multipliers) => (Solution, Multipliers) = (solution, multipliers);

    /// <summary>x of least norm with Gx ≥ h; null where there is none.</summary>
    public double[]? Solution { get; }

    /// <summary>
    /// One for each inequality, none negative. Where there is no solution: y with yᵀG = 0 and yᵀh = 1, which no x can do justice.
    /// </summary>
    public double[] Multipliers { get; }

    /// <summary>Minimises ‖x‖ under Gx ≥ h.</summary>
    /// <param name="g">m×n.</param>
    /// <param name="h">m.</param>
    public static LeastDistance Solve(double[,] g, double[] h)
    {
        var (m, n) = (g.GetLength(0), g.GetLength(1));
        var columns = new double[m][];
        for (var i = 0; i < m; i++)
        {
            columns[i] = new double[n + 1];
            for (var j = 0; j < n; j++)
            {
                columns[i][j] = g[i, j];
            }

            columns[i][n] = h[i];
        }

        var target = new double[n + 1];
        target[n] = 1;
        var u = NonnegativeLeastSquares.Solve(columns, target);
        var residual = NonnegativeLeastSquares.Residual(columns, u, target);
        // residual is f − Eu here.
        if (residual[n] < Nothing)
        {
            return new(null, u);
        }

        var x = new double[n];
        for (var j = 0; j < n; j++)
        {
            x[j] = -residual[j] / residual[n];
        }

        // Where next to nothing is feasible the least residual is lost in rounding: what does not solve is no solution.
        for (var i = 0; i < m; i++)
        {
            var (reached, size) = (0.0, Math.Abs(h[i]));
            for (var j = 0; j < n; j++)
            {
                reached += g[i, j] * x[j];
                size += Math.Abs(g[i, j] * x[j]);
            }

            if (reached < h[i] - (Slack * size))
            {
                return new(null, u);
            }
        }

        return new(x, u);
    }
}
