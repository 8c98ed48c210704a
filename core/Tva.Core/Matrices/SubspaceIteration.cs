using Tva.Core.Kernels;

namespace Tva.Core.Matrices;

/// <summary>
/// A large matrix X and a rank in, the triples of its largest singular values out, nearly: those of X restricted to a subspace that
/// XᵀΩ, Ω random, begins and powers of XᵀX turn towards them.
/// </summary>
internal static unsafe class SubspaceIteration
{
    // Thin subspaces are kept from every pass: at two of them their span holds the one of torch.svd_lowrank at its default. Wide
    // ones are not, for their span's eigenvectors would cost more than a third pass; some columns to spare make up for it.
    private const int KrylovPasses = 2;
    private const int KrylovWidest = 64;
    private const int PowerPasses = 2;

    /// <summary>Columns of the subspace that is multiplied at once.</summary>
    public static int Width(int rank) => Up(rank <= KrylovWidest ? rank : rank + 8 + (rank / 16));

    /// <summary>The subspace must be thinner than either side.</summary>
    public static LowRankFactors Run(float* x, int m, int n, int rank, Workers workers, long seed, CancellationToken cancel)
    {
        var l = Width(rank);
        var krylov = l <= KrylovWidest;
        var steps = krylov ? KrylovPasses : PowerPasses;
        using var products = new SubspaceProducts(x, m, n, l, workers, cancel);
        var z = products.Start(seed);
        if (!double.IsFinite(products.Square))
        {
            throw new MatrixNotFiniteException();
        }

        if (products.Square == 0)
        {
            return LowRankFactors.Of(new float[(long)m * rank], new float[(long)rank * n], m, n, new double[rank], 0);
        }

        var y = new List<float[]>();
        var v = new List<double[]>();
        for (var step = 0; ; step++)
        {
            var block = Frame.Orthonormal(z, v, l, n, krylov || step == steps, workers, cancel);
            var (product, back) = products.Apply(block, step < steps);
            if (krylov || step == steps)
            {
                v.Add(block);
                y.Add(product);
            }

            if (back is null)
            {
                return Restricted(y, v, l, m, n, rank, products.Square, products.Scale, workers, cancel);
            }

            z = back;
        }
    }

    /// <summary>The triples of Y·Vᵀ, V's columns orthonormal: by the eigenvectors of YᵀY.</summary>
    private static LowRankFactors Restricted(
        List<float[]> y, List<double[]> v, int l, int m, int n, int rank, double square, float scale, Workers workers, CancellationToken cancel)
    {
        var width = l * y.Count;
        var (joined, wide, basis) = (new float[(long)m * width], new double[(long)m * width], new float[(long)n * width]);
        for (var b = 0; b < y.Count; b++)
        {
            for (var i = 0L; i < m; i++)
            {
                for (var j = 0; j < l; j++)
                {
                    var value = y[b][(i * l) + j];
                    joined[(i * width) + (b * l) + j] = value;
                    wide[(i * width) + (b * l) + j] = value;
                }
            }

            for (var i = 0L; i < n; i++)
            {
                for (var j = 0; j < l; j++)
                {
                    basis[(i * width) + (b * l) + j] = (float)v[b][(i * l) + j];
                }
            }
        }

        var gram = Frame.Inner(wide, width, wide, width, m, workers, cancel);
        var (values, vectors) = SymmetricEigen.Decompose(gram, width, rank, workers, cancel);
        var kept = Array.ConvertAll(vectors, value => (float)value);
        var (left, right) = (new float[(long)m * rank], new float[(long)rank * n]);
        MatrixProduct.MultiplyRightTransposed(joined, kept, left, m, width, rank, workers, cancel);
        MatrixProduct.MultiplyRightTransposed(kept, basis, right, rank, width, n, workers, cancel);
        for (var i = 0; scale != 1 && i < left.Length; i++)
        {
            left[i] /= scale;
        }

        var singular = new double[rank];
        for (var k = 0; k < rank; k++)
        {
            singular[k] = Math.Sqrt(Math.Max(values[k], 0)) / scale;
        }

        return LowRankFactors.Of(left, right, m, n, singular, square);
    }

    private static int Up(int columns) => (columns + Tile.Columns - 1) / Tile.Columns * Tile.Columns;
}
