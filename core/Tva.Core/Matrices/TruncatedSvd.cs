namespace Tva.Core.Matrices;

/// <summary>
/// A matrix in, its best approximation of a rank or an energy out, as <see cref="LowRankFactors"/>. Small matrices, and ranks near
/// the full one, are decomposed by the float64 Gram matrix of the smaller side; others by subspace iteration from a random
/// start (Halko, Martinsson, Tropp, arXiv 0909.4061, algorithm 4.4), for thin subspaces with all of its Krylov space kept (Musco,
/// Musco, arXiv 1504.05477). The same bits for the same matrix and seed, whatever the threads.
/// </summary>
public static unsafe class TruncatedSvd
{
    /// <summary>A smaller side up to this is decomposed exactly.</summary>
    public const int Exact = 256;

    /// <summary>The r singular triples with the largest singular values, r = min(rank, m, n).</summary>
    /// <param name="x">m×n, row-major.</param>
    /// <param name="m">Rows.</param>
    /// <param name="n">Columns.</param>
    /// <param name="rank">At least 1.</param>
    /// <param name="threads">At most so many work at once; the bits don't depend on it.</param>
    /// <param name="seed">Of the random start.</param>
    /// <param name="cancel">Stops within a pass.</param>
    /// <exception cref="MatrixNotFiniteException">NaN or infinity in x.</exception>
    /// <exception cref="ArgumentException">The length doesn't go with the sizes.</exception>
    public static LowRankFactors ByRank(
        ReadOnlySpan<float> x, int m, int n, int rank, int threads, long seed = 0, CancellationToken cancel = default)
    {
        if (x.Length != (long)m * n)
        {
            throw new ArgumentException($"{x.Length} numbers are no matrix of {m}×{n}");
        }

        fixed (float* p = x)
        {
            return ByRank(p, m, n, rank, threads, seed, cancel);
        }
    }

    /// <summary>As above, for matrices of any size.</summary>
    public static LowRankFactors ByRank(float* x, int m, int n, int rank, int threads, long seed = 0, CancellationToken cancel = default)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(m, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(n, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(rank, 1);
        var smaller = Math.Min(m, n);
        rank = Math.Min(rank, smaller);
        return smaller <= Exact || SubspaceIteration.Width(rank) > smaller * 0.7
            ? GramDecomposition.Run(x, m, n, threads, cancel).Keep(rank)
            : SubspaceIteration.Run(x, m, n, rank, threads, seed, cancel);
    }
}
