namespace Tva.Core.Matrices;

/// <summary>
/// T matrices of one shape in, one at a time, their merge by task singular vectors (TSV-M: Gargiulo and others, arXiv 2412.00081)
/// out as two factors: the first singular triples of each side by side, left and right vectors made orthonormal by their polar
/// factors so that tasks don't interfere, and multiplied back. Directions that several matrices share exactly are absent from the
/// polar factor.
/// </summary>
public static unsafe class TsvMerge
{
    /// <summary>How many triples of each matrix are kept: keep·min(m, n)/T, rounded down, at least 1.</summary>
    /// <param name="m">Rows.</param>
    /// <param name="n">Columns.</param>
    /// <param name="count">T.</param>
    /// <param name="keep">The share of min(m, n) that all matrices' triples together take; the paper's is 1.</param>
    public static int Triples(int m, int n, int count, double keep = 1)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);
        if (keep is not (> 0 and <= 1))
        {
            throw new ArgumentOutOfRangeException(nameof(keep), keep, "a share lies above 0 and is at most 1");
        }

        // A share such as 1/3 must not lose a triple to rounding.
        return Math.Max(1, (int)((keep * Math.Min(m, n) / count) + 1e-9));
    }

    /// <summary>
    /// The merge Σ over tasks in the orthonormal frames; its error is not defined, and its singular values are those of the tasks.
    /// </summary>
    /// <param name="count">T.</param>
    /// <param name="m">Rows of each.</param>
    /// <param name="n">Columns of each.</param>
    /// <param name="triples">Kept of each, as by <see cref="Triples"/>.</param>
    /// <param name="load">Writes matrix t (m×n, row-major) to the memory it is given; called once for each t, in order.</param>
    /// <param name="workers">Who works; the bits don't depend on it.</param>
    /// <param name="seed">Of the random starts.</param>
    /// <param name="cancel">Stops within a matrix.</param>
    /// <returns>Left (m×R) and Right (R×n), row-major, and R = T·min(triples, m, n).</returns>
    /// <exception cref="MatrixNotFiniteException">NaN or infinity in a matrix.</exception>
    public static (float[] Left, float[] Right, int Rank) Run(
        int count, int m, int n, int triples, Action<int, float[]> load, Workers workers, long seed = 0, CancellationToken cancel = default)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);
        var each = Math.Min(triples, Math.Min(m, n));
        var rank = checked(count * each);
        var (u, v, singular) = (new float[(long)m * rank], new float[(long)rank * n], new double[rank]);
        var x = new float[(long)m * n];
        for (var t = 0; t < count; t++)
        {
            load(t, x);
            var factors = TruncatedSvd.ByRank(x, m, n, each, workers, seed, cancel);
            factors.SingularValues.CopyTo(singular, t * each);
            factors.Right.CopyTo(v, (long)t * each * n);
            for (var k = 0; k < each; k++)
            {
                var inverse = factors.SingularValues[k] > 0 ? 1 / factors.SingularValues[k] : 0;
                for (var i = 0L; i < m; i++)
                {
                    u[(i * rank) + (t * each) + k] = (float)(factors.Left[(i * each) + k] * inverse);
                }
            }
        }

        var left = PolarFactor.Of(u, m, rank, workers, cancel);
        var right = PolarFactor.Of(v, rank, n, workers, cancel);
        for (var i = 0L; i < m; i++)
        {
            for (var k = 0; k < rank; k++)
            {
                left[(i * rank) + k] = (float)(left[(i * rank) + k] * singular[k]);
            }
        }

        return (left, right, rank);
    }
}
