namespace Tva.Core.Matrices;

/// <summary>A matrix X in; all its singular values out, and from them the triples of any rank: by the Gram matrix of the smaller side.</summary>
internal sealed unsafe class GramDecomposition
{
    private readonly float* x;
    private readonly int m;
    private readonly int n;
    private readonly double[] vectors;
    private readonly double square;
    private readonly Workers workers;
    private readonly CancellationToken cancel;

    private GramDecomposition(float* x, int m, int n, double[] values, double[] vectors, double square, Workers workers, CancellationToken cancel)
    {
        this.x = x;
        (this.m, this.n, this.vectors, this.square, this.workers, this.cancel) = (m, n, vectors, square, workers, cancel);
        Values = values;
    }

    /// <summary>All min(m, n) singular values, from the largest.</summary>
    public double[] Values { get; }

    /// <summary>‖X‖.</summary>
    public double Norm => Math.Sqrt(square);

    /// <summary>x must stay where it is until the last use.</summary>
    public static GramDecomposition Run(float* x, int m, int n, Workers workers, CancellationToken cancel)
    {
        var square = Norms.Square(x, (long)m * n, workers, cancel);
        if (!double.IsFinite(square))
        {
            throw new MatrixNotFiniteException();
        }

        var side = Math.Min(m, n);
        var wide = (side + Tile.Columns - 1) / Tile.Columns * Tile.Columns;
        var gram = Gram(x, m, n, wide, workers, cancel);
        var packed = new double[(long)side * side];
        for (var i = 0; i < side; i++)
        {
            for (var j = 0; j < side; j++)
            {
                packed[((long)i * side) + j] = gram[((long)Math.Min(i, j) * wide) + Math.Max(i, j)];
            }
        }

        var (values, vectors) = SymmetricEigen.Decompose(packed, side, side, workers, cancel);
        return new(x, m, n, Array.ConvertAll(values, v => Math.Sqrt(Math.Max(v, 0))), vectors, square, workers, cancel);
    }

    /// <summary>The first triples.</summary>
    public LowRankFactors Keep(int rank)
    {
        var side = Math.Min(m, n);
        var w = new float[(long)rank * side];
        for (var i = 0L; i < w.LongLength; i++)
        {
            w[i] = (float)vectors[i];
        }

        var (left, right) = (new float[(long)m * rank], new float[(long)rank * n]);
        fixed (float* vs = w, ls = left, rs = right)
        {
            if (n <= m)
            {
                // X·V = U·Σ.
                MatrixProduct.Multiply(x, false, vs, true, ls, m, n, rank, workers, cancel);
                w.CopyTo(right, 0);
            }
            else
            {
                // UᵀX = Σ·Vᵀ, whose rows' norms go to the left.
                MatrixProduct.Multiply(vs, false, x, false, rs, rank, m, n, workers, cancel);
                for (var k = 0; k < rank; k++)
                {
                    var norm = Math.Sqrt(Norms.Square(rs + ((long)k * n), n, 1, cancel));
                    for (var j = 0; j < n; j++)
                    {
                        rs[((long)k * n) + j] = norm > 0 ? (float)(rs[((long)k * n) + j] / norm) : 0;
                    }

                    for (var i = 0; i < m; i++)
                    {
                        ls[((long)i * rank) + k] = (float)(vs[((long)k * m) + i] * norm);
                    }
                }
            }
        }

        return LowRankFactors.Of(left, right, m, n, Values[..rank], square);
    }

    /// <summary>UVᵀ = X·(V·Σ⁻¹·Vᵀ), or the same from the left, in float64 throughout; directions below a millionth of the largest are absent.</summary>
    public float[] Polar()
    {
        var side = Math.Min(m, n);
        var root = new double[(long)side * side];
        for (var k = 0; k < side && Values[k] > 1e-6 * Values[0]; k++)
        {
            var v = vectors.AsSpan(k * side, side);
            for (var i = 0; i < side; i++)
            {
                for (var j = 0; j < side; j++)
                {
                    root[(i * side) + j] += v[i] * v[j] / Values[k];
                }
            }
        }

        var result = new float[(long)m * n];
        Lots.Run(m, workers, cancel, i =>
        {
            var row = new double[n];
            for (var k = 0; k < side; k++)
            {
                // Row i of X·R, or of R·X.
                var factor = n <= m ? x[((long)i * n) + k] : root[(i * side) + k];
                for (var j = 0; j < n; j++)
                {
                    row[j] += factor * (n <= m ? root[(k * side) + j] : x[((long)k * n) + j]);
                }
            }

            for (var j = 0; j < n; j++)
            {
                result[((long)i * n) + j] = (float)row[j];
            }
        });
        return result;
    }

    /// <summary>XᵀX or XXᵀ of the smaller side, in rows of the given width; a strip of the larger side at a time in float64.</summary>
    private static double[] Gram(float* x, int m, int n, int wide, Workers workers, CancellationToken cancel)
    {
        const int Strip = 4096;
        var (side, length) = (Math.Min(m, n), Math.Max(m, n));
        var sum = new double[(long)wide * wide];
        var strip = new double[(long)Math.Min(Strip, length) * wide];
        for (var first = 0; first < length; first += Strip)
        {
            var rows = Math.Min(Strip, length - first);
            Lots.Run(rows, workers, cancel, i =>
            {
                for (var j = 0; j < side; j++)
                {
                    strip[((long)i * wide) + j] = n <= m ? x[((long)(first + i) * n) + j] : x[((long)j * n) + first + i];
                }
            });
            var part = Frame.Inner(strip, wide, strip, wide, rows, workers, cancel);
            for (var i = 0; i < part.Length; i++)
            {
                sum[i] += part[i];
            }
        }

        return sum;
    }
}
