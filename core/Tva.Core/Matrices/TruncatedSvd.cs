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

    private const int FirstRank = 64;

    // Below this share float32 can't tell.
    private const double Told = 1e-7;

    /// <summary>The r singular triples with the largest singular values, r = min(rank, m, n).</summary>
    /// <param name="x">m×n, row-major.</param>
    /// <param name="m">Rows.</param>
    /// <param name="n">Columns.</param>
    /// <param name="rank">At least 1.</param>
    /// <param name="workers">Who works; the bits don't depend on it.</param>
    /// <param name="seed">Of the random start.</param>
    /// <param name="cancel">Stops within a pass.</param>
    /// <exception cref="MatrixNotFiniteException">NaN or infinity in x.</exception>
    /// <exception cref="ArgumentException">The length doesn't go with the sizes.</exception>
    public static LowRankFactors ByRank(
        ReadOnlySpan<float> x, int m, int n, int rank, Workers workers, long seed = 0, CancellationToken cancel = default)
    {
        if (x.Length != (long)m * n)
        {
            throw new ArgumentException($"{x.Length} numbers are no matrix of {m}×{n}");
        }

        fixed (float* p = x)
        {
            return ByRank(p, m, n, rank, workers, seed, cancel);
        }
    }

    /// <summary>As above, for matrices of any size.</summary>
    public static LowRankFactors ByRank(float* x, int m, int n, int rank, Workers workers, long seed = 0, CancellationToken cancel = default)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(m, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(n, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(rank, 1);
        rank = Math.Min(rank, Math.Min(m, n));
        return Whole(m, n, rank)
            ? GramDecomposition.Run(x, m, n, workers, cancel).Keep(rank)
            : SubspaceIteration.Run(x, m, n, rank, workers, seed, cancel);
    }

    /// <summary>The fewest singular triples, at least one, that hold so much of ‖X‖² = Σσ².</summary>
    /// <param name="x">m×n, row-major.</param>
    /// <param name="m">Rows.</param>
    /// <param name="n">Columns.</param>
    /// <param name="energy">The share of Σσ², above 0 and at most 1; float32 tells shares apart to some 1e-7.</param>
    /// <param name="workers">Who works; the bits don't depend on it.</param>
    /// <param name="seed">Of the random start.</param>
    /// <param name="cancel">Stops within a pass.</param>
    /// <exception cref="MatrixNotFiniteException">NaN or infinity in x.</exception>
    /// <exception cref="ArgumentException">The length doesn't go with the sizes, or the energy is no such share.</exception>
    public static LowRankFactors ByEnergy(
        ReadOnlySpan<float> x, int m, int n, double energy, Workers workers, long seed = 0, CancellationToken cancel = default)
    {
        if (x.Length != (long)m * n)
        {
            throw new ArgumentException($"{x.Length} numbers are no matrix of {m}×{n}");
        }

        fixed (float* p = x)
        {
            return ByEnergy(p, m, n, energy, workers, seed, cancel);
        }
    }

    /// <summary>As above, for matrices of any size.</summary>
    public static LowRankFactors ByEnergy(
        float* x, int m, int n, double energy, Workers workers, long seed = 0, CancellationToken cancel = default)
    {
        if (energy is not (> 0 and <= 1))
        {
            throw new ArgumentOutOfRangeException(nameof(energy), energy, "a share lies above 0 and is at most 1");
        }

        // Few triples are far cheaper than all; twice as many as were too few cost as much again at most.
        for (var rank = FirstRank; !Whole(m, n, rank); rank *= 2)
        {
            var factors = ByRank(x, m, n, rank, workers, seed, cancel);
            if (Fewest(factors.SingularValues, energy, factors.Norm) is { } fewest)
            {
                return factors.Take(fewest);
            }
        }

        var all = GramDecomposition.Run(x, m, n, workers, cancel);
        return all.Keep(Fewest(all.Values, energy, all.Norm) ?? all.Values.Length);
    }

    /// <summary>How many of the values from the largest hold the share; null where all are too few.</summary>
    private static int? Fewest(double[] values, double energy, double norm)
    {
        var (kept, wanted) = (0.0, energy * norm * norm * (1 - Told));
        for (var k = 0; k < values.Length; k++)
        {
            kept += values[k] * values[k];
            if (kept >= wanted)
            {
                return k + 1;
            }
        }

        return null;
    }

    /// <summary>Whether to decompose all of it.</summary>
    private static bool Whole(int m, int n, int rank)
    {
        var smaller = Math.Min(m, n);
        return smaller <= Exact || SubspaceIteration.Width(rank) > smaller * 0.7;
    }
}
