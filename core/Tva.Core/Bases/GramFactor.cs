namespace Tva.Core.Bases;

/// <summary>
/// A Gram matrix G = VᵀV (T×T) in, a small F (n×T, n ≤ T) with FᵀF = G out: F stands for V in everything that depends on products
/// alone, without the digits that squaring would cost. It is a Cholesky factor with pivots of G scaled to unit diagonal, so that
/// a small task is as exact as a large one.
/// </summary>
internal sealed class GramFactor
{
    /// <summary>
    /// A task nearer than this (relative to its norm, times √T) to the span of others counts as dependent on them: the square is
    /// the 10⁻¹² of the usual rank tests on G.
    /// </summary>
    public const double Tolerance = 1e-6;

    /// <summary>F keeps parts smaller than that too, down to G's rounding, so that errors are those of the true tasks.</summary>
    private const double Rounding = 1e-15;

    private readonly int[] pivots;
    private readonly Lazy<(double[] Values, double[,] Vectors)> spectrum;
    private readonly Lazy<double[]> cosineEigenvalues;

    private GramFactor(double[,] rows, double[] norm, int[] pivots, int rank)
    {
        (Rows, Norm, Rank) = (rows, norm, rank);
        this.pivots = pivots;
        spectrum = new(() => Spectrum(Rows));
        cosineEigenvalues = new(
            () => Spectrum(Dense.Build(rows.GetLength(0), norm.Length, (k, t) => Ratio(rows[k, t], norm[t]))).Values);
    }

    /// <summary>F, n×T.</summary>
    public double[,] Rows { get; }

    /// <summary>‖τ_t‖.</summary>
    public double[] Norm { get; }

    /// <summary>How many tasks are linearly independent; see <see cref="Tolerance"/>.</summary>
    public int Rank { get; }

    /// <summary>T.</summary>
    public int Tasks => Norm.Length;

    /// <summary>Σ‖τ‖².</summary>
    public double Energy => Norm.Sum(n => n * n);

    /// <summary>The eigenvalues of G from the largest.</summary>
    public double[] Eigenvalues => spectrum.Value.Values;

    /// <summary>Their eigenvectors as columns, each with its largest entry positive.</summary>
    public double[,] Eigenvectors => spectrum.Value.Vectors;

    /// <exception cref="ArgumentException">G is not square.</exception>
    /// <exception cref="BasisNonFiniteException">NaN or infinity in G.</exception>
    public static GramFactor Of(double[,] gram)
    {
        var tasks = gram.GetLength(0);
        if (gram.GetLength(1) != tasks)
        {
            throw new ArgumentException($"a Gram matrix is square, not {tasks}×{gram.GetLength(1)}");
        }

        CheckFinite(gram);
        var norm = new double[tasks];
        for (var t = 0; t < tasks; t++)
        {
            norm[t] = Math.Sqrt(Math.Max(gram[t, t], 0));
        }

        var cosine = Dense.Build(
            tasks, tasks, (i, j) => Ratio(Ratio((0.5 * gram[i, j]) + (0.5 * gram[j, i]), norm[i]), norm[j]));
        for (var t = 0; t < tasks; t++)
        {
            cosine[t, t] = norm[t] > 0 ? 1 : 0;
        }

        var rows = new List<double[]>();
        var pivots = new List<int>();
        var rank = 0;
        while (rows.Count < tasks)
        {
            var pivot = 0;
            for (var t = 1; t < tasks; t++)
            {
                pivot = cosine[t, t] > cosine[pivot, pivot] ? t : pivot;
            }

            var rest = cosine[pivot, pivot];
            if (!(rest > tasks * Rounding))
            {
                break;
            }

            rank += rest > tasks * Tolerance * Tolerance ? 1 : 0;
            pivots.Add(pivot);
            rows.Add(TakeOut(cosine, pivot));
        }

        var factor = Dense.Build(rows.Count, tasks, (k, t) => rows[k][t] * norm[t]);
        return new(factor, norm, [.. pivots], rank);
    }

    /// <summary>W* = (BᵀGB)⁺BᵀG (M×T): no decoder of B (T×M) loses less.</summary>
    public double[,] ClosedForm(double[,] encoder) => Dense.LeastSquares(Dense.Multiply(Rows, encoder), Rows);

    /// <summary>Σ_{m&gt;kept} λ_m / Σ λ: no linear method that keeps so many vectors loses less.</summary>
    public double Bound(int kept) => Energy == 0 ? 0 : Eigenvalues.Skip(kept).Sum() / Energy;

    /// <summary>
    /// No linear method that keeps so many vectors has a smaller worst relative error: some task's square is at least the mean
    /// one, weighted by the tasks' squared norms or alike.
    /// </summary>
    public double WorstBound(int kept) =>
        Math.Sqrt(Math.Max(Bound(kept), cosineEigenvalues.Value.Skip(kept).Sum() / Tasks));

    /// <summary>
    /// The eigenvalues (from the largest) and eigenvectors of FᵀF for any F, by the singular values of F; vectors only for as
    /// many as F has rows, each with its largest entry positive.
    /// </summary>
    public static (double[] Values, double[,] Vectors) Spectrum(double[,] factor)
    {
        var (values, _, right) = Dense.Svd(factor);
        for (var m = 0; m < values.Length; m++)
        {
            var largest = 0;
            for (var t = 1; t < right.GetLength(0); t++)
            {
                // Entries that are equal but for rounding shall not let the sign depend on it.
                largest = Math.Abs(right[t, m]) > Math.Abs(right[largest, m]) * (1 + 1e-9) ? t : largest;
            }

            var sign = right[largest, m] < 0 ? -1 : 1;
            for (var t = 0; t < right.GetLength(0); t++)
            {
                right[t, m] *= sign;
            }
        }

        return (Array.ConvertAll(values, s => s * s), right);
    }

    /// <summary>Why there are not more directions.</summary>
    /// <param name="rank">The rank to report: this one, or the one around the mean.</param>
    public BasisRankException TooFew(int rank)
    {
        var zero = Enumerable.Range(0, Tasks).Where(t => Norm[t] == 0).ToArray();
        var equal = new List<(int First, int Second)>();
        for (var second = 1; second < Tasks; second++)
        {
            var first = Enumerable.Range(0, second).FirstOrDefault(first => Equal(first, second), -1);
            if (first >= 0)
            {
                equal.Add((first, second));
            }
        }

        var explained = zero.Concat(equal.SelectMany(p => new[] { p.First, p.Second })).Concat(pivots.Take(Rank));
        return new(rank, zero, [.. equal], [.. Enumerable.Range(0, Tasks).Except(explained)]);
    }

    /// <summary>A step of Cholesky: the pivot's row of the factor, taken out of what is left.</summary>
    private static double[] TakeOut(double[,] rest, int pivot)
    {
        var tasks = rest.GetLength(0);
        var root = Math.Sqrt(rest[pivot, pivot]);
        var row = new double[tasks];
        for (var t = 0; t < tasks; t++)
        {
            row[t] = rest[t, pivot] / root;
        }

        for (var i = 0; i < tasks; i++)
        {
            for (var j = 0; j < tasks; j++)
            {
                rest[i, j] -= row[i] * row[j];
            }
        }

        for (var t = 0; t < tasks; t++)
        {
            (rest[t, pivot], rest[pivot, t]) = (0, 0);
        }

        return row;
    }

    /// <summary>x/norm; of an all-zero task 0.</summary>
    private static double Ratio(double x, double norm) => norm > 0 ? x / norm : 0;

    private bool Equal(int first, int second)
    {
        var apart = 0.0;
        for (var k = 0; k < Rows.GetLength(0); k++)
        {
            var x = Rows[k, first] - Rows[k, second];
            apart += x * x;
        }

        return Norm[first] > 0 && Math.Sqrt(apart) <= Tolerance * Norm[first];
    }

    private static void CheckFinite(double[,] gram)
    {
        var tasks = Enumerable.Range(0, gram.GetLength(0)).ToArray();
        var own = tasks.Where(t => !double.IsFinite(gram[t, t])).ToArray();
        var any = tasks.Where(t => tasks.Any(u => !double.IsFinite(gram[t, u]))).ToArray();
        if (any.Length > 0)
        {
            throw new BasisNonFiniteException(own.Length > 0 ? own : any);
        }
    }
}
