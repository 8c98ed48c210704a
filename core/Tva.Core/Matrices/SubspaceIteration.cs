using Tva.Core.Kernels;
using Tva.Core.Tensors;

namespace Tva.Core.Matrices;

/// <summary>
/// A large matrix X and a rank in, the triples of its largest singular values out, nearly: those of X restricted to a subspace that
/// powers of XᵀX have turned towards them.
/// </summary>
internal static unsafe class SubspaceIteration
{
    // At 2 passes a kept Krylov space loses less than torch.svd_lowrank at its default of 2, on spectra from flat to steep;
    // without one it takes 3 and some columns to spare.
    private const int KrylovPasses = 2;
    private const int PowerPasses = 3;
    private const int KrylovWidest = 64;

    /// <summary>Columns of the subspace that is multiplied at once.</summary>
    public static int Width(int rank) => Up(rank <= KrylovWidest ? rank : rank + 8 + (rank / 16));

    /// <summary>The subspace must be thinner than either side.</summary>
    public static LowRankFactors Run(float* x, int m, int n, int rank, int threads, long seed, CancellationToken cancel)
    {
        var l = Width(rank);
        var krylov = l <= KrylovWidest;
        using var pass = new Pass(m, n, l);
        var scale = 1f;
        var y = new List<float[]>();
        var v = new List<double[]>();
        var square = 0.0;
        var z = Start(n, l, seed);
        for (var step = 0; ; step++)
        {
            var last = step == (krylov ? KrylovPasses : PowerPasses);
            var block = Frame.Orthonormal(z, krylov ? v : [], l, n, threads, cancel);
            var (product, back) = pass.Run(x, scale, block, last, ref square, threads, cancel);
            if (step == 0)
            {
                // XᵀX must neither overflow nor vanish.
                if (!double.IsFinite(square))
                {
                    throw new MatrixNotFiniteException();
                }

                if (square == 0)
                {
                    return Zero(m, n, rank);
                }

                if (square is < 1e-20 or > 1e20)
                {
                    scale = (float)Math.ScaleB(1, Math.Clamp(-Math.ILogB(Math.Sqrt(square)), -126, 126));
                    (product, back) = pass.Run(x, scale, block, last, ref square, threads, cancel);
                }
            }

            if (!krylov)
            {
                v.Clear();
                y.Clear();
            }

            v.Add(block);
            y.Add(product);
            if (last)
            {
                return Restricted(y, v, l, m, n, rank, square, scale, threads, cancel);
            }

            z = back!;
        }
    }

    /// <summary>The triples of Y·Vᵀ, V's columns orthonormal: by the eigenvectors of YᵀY.</summary>
    private static LowRankFactors Restricted(
        List<float[]> y, List<double[]> v, int l, int m, int n, int rank, double square, float scale, int threads, CancellationToken cancel)
    {
        var width = l * y.Count;
        var joined = Join(y, l, m, value => value);
        var basis = Join(v, l, n, value => (float)value);
        var wide = Array.ConvertAll(joined, value => (double)value);
        var gram = Frame.Inner(wide, width, wide, width, m, threads, cancel);
        var (values, vectors) = SymmetricEigen.Decompose(gram, width, threads, cancel);
        var kept = new float[width * rank];
        var right = new float[(long)rank * n];
        for (var i = 0; i < width; i++)
        {
            for (var k = 0; k < rank; k++)
            {
                kept[(i * rank) + k] = (float)vectors[((long)k * width) + i];
            }
        }

        var left = new float[(long)m * rank];
        MatrixProduct.Multiply(joined, kept, left, m, width, rank, threads, cancel);
        fixed (float* w = kept, b = basis, r = right)
        {
            // (V·W)ᵀ = Wᵀ·Vᵀ: both lie the other way round.
            MatrixProduct.Multiply(w, true, b, true, r, rank, width, n, threads, cancel);
        }

        if (scale != 1)
        {
            for (var i = 0; i < left.Length; i++)
            {
                left[i] /= scale;
            }
        }

        var singular = new double[rank];
        for (var k = 0; k < rank; k++)
        {
            singular[k] = Math.Sqrt(Math.Max(values[k], 0)) / scale;
        }

        return LowRankFactors.Of(left, right, m, n, singular, square);
    }

    /// <summary>Blocks of l columns side by side.</summary>
    private static float[] Join<T>(List<T[]> blocks, int l, int rows, Func<T, float> convert)
    {
        var width = l * blocks.Count;
        var joined = new float[(long)rows * width];
        for (var b = 0; b < blocks.Count; b++)
        {
            for (var i = 0; i < rows; i++)
            {
                for (var j = 0; j < l; j++)
                {
                    joined[((long)i * width) + (b * l) + j] = convert(blocks[b][((long)i * l) + j]);
                }
            }
        }

        return joined;
    }

    /// <summary>Sums of four uniform numbers, near enough to normal ones, from a counter: no order of drawing.</summary>
    private static double[] Start(int n, int l, long seed)
    {
        const int Part = 1024;
        var key = Philox.Key(seed, "subspace");
        var start = new double[(long)n * l];
        Span<float> drawn = stackalloc float[4 * Part];
        for (var first = 0; first < start.Length; first += Part)
        {
            Philox.Fill(key, 4L * first, drawn);
            for (var i = 0; i < Math.Min(Part, start.Length - first); i++)
            {
                start[first + i] = drawn[i] + drawn[Part + i] + drawn[(2 * Part) + i] + drawn[(3 * Part) + i] - 2;
            }
        }

        return start;
    }

    private static LowRankFactors Zero(int m, int n, int rank) =>
        LowRankFactors.Of(new float[(long)m * rank], new float[(long)rank * n], m, n, new double[rank], 0);

    private static int Up(int columns) => (columns + Tile.Columns - 1) / Tile.Columns * Tile.Columns;

    /// <summary>X·Z and XᵀX·Z: in one reading of X while Z is thin, else by two products.</summary>
    private sealed class Pass : IDisposable
    {
        private readonly int m;
        private readonly int n;
        private readonly int l;
        private readonly StreamedPass? streamed;

        public Pass(int m, int n, int l)
        {
            (this.m, this.n, this.l) = (m, n, l);
            streamed = l <= StreamedPass.Widest ? new StreamedPass(m, n, l) : null;
        }

        public (float[] Product, double[]? Back) Run(
            float* x, float scale, double[] block, bool last, ref double square, int threads, CancellationToken cancel)
        {
            var z = Array.ConvertAll(block, value => (float)value);
            var (product, back) = (new float[(long)m * l], new float[last ? 0 : (long)n * l]);
            fixed (float* zs = z, ys = product, backs = back)
            {
                if (streamed is not null)
                {
                    square = streamed.Run(x, scale, zs, ys, last ? null : backs, threads, cancel);
                }
                else
                {
                    square = square > 0 ? square : Norms.Square(x, (long)m * n, threads, cancel);
                    Scaled(zs, z.Length, scale);
                    MatrixProduct.Multiply(x, false, zs, false, ys, m, n, l, threads, cancel);
                    if (!last)
                    {
                        MatrixProduct.Multiply(x, true, ys, false, backs, n, m, l, threads, cancel);
                    }
                }
            }

            return (product, last ? null : Array.ConvertAll(back, value => (double)value));
        }

        public void Dispose() => streamed?.Dispose();

        private static void Scaled(float* z, long count, float scale)
        {
            for (var i = 0L; scale != 1 && i < count; i++)
            {
                z[i] *= scale;
            }
        }
    }
}
