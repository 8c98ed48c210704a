namespace Tva.Core.Matrices;

/// <summary>
/// A matrix X = UΣVᵀ in, what has its directions but no sizes out: UVᵀ, the nearest matrix with orthonormal rows or columns: where
/// a side is short exactly, by the Gram matrix in float64; else by
/// Newton and Schulz's iteration with polynomials chosen for the interval that the singular values still fill (Amsel, Persson,
/// Musco, Gower, arXiv 2505.16932). Directions whose singular value is below some 1e-6 of the largest count as absent: they come
/// out as 0, as with the pseudo-inverse in X(XᵀX)^(-1/2).
/// </summary>
public static unsafe class PolarFactor
{
    /// <summary>UVᵀ (m×n); columns orthonormal to some 1e-6 where n ≤ m, else rows, but for absent directions.</summary>
    /// <param name="x">m×n, row-major.</param>
    /// <param name="m">Rows.</param>
    /// <param name="n">Columns.</param>
    /// <param name="workers">Who works; the bits don't depend on it.</param>
    /// <param name="cancel">Stops within a product.</param>
    /// <exception cref="MatrixNotFiniteException">NaN or infinity in x.</exception>
    /// <exception cref="ArgumentException">The length doesn't go with the sizes.</exception>
    public static float[] Of(ReadOnlySpan<float> x, int m, int n, Workers workers, CancellationToken cancel = default)
    {
        if (x.Length != (long)m * n)
        {
            throw new ArgumentException($"{x.Length} numbers are no matrix of {m}×{n}");
        }

        if (Math.Min(m, n) <= TruncatedSvd.Exact)
        {
            fixed (float* p = x)
            {
                return GramDecomposition.Run(p, m, n, workers, cancel).Polar();
            }
        }

        var (factor, other) = (new float[x.Length], new float[x.Length]);
        fixed (float* from = x, q = factor, next = other)
        {
            var square = Norms.Square(from, x.Length, workers, cancel);
            if (!double.IsFinite(square))
            {
                throw new MatrixNotFiniteException();
            }

            if (square > 0)
            {
                Norms.Scale(from, 1 / Math.Sqrt(square), q, x.Length, workers, cancel);
                return new PolarIteration(m, n, workers, cancel).Run(q, next) == q ? factor : other;
            }

            return factor;
        }
    }
}
