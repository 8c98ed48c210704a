namespace Tva.Core.Matrices;

/// <summary>
/// Thin float64 matrices (row-major, the number of columns a multiple of <see cref="Tile.Columns"/>) in; their inner products,
/// combinations and orthonormal bases out. Sums over rows are cut at places that follow from the sizes alone.
/// </summary>
internal static class Frame
{
    private const int Part = 256;
    private const int MostRuns = 16;

    // A column within so much of the others' span is rounding noise of float32, squared.
    private const double Lost = 1e-14;

    // What is left, squared, of a column that the earlier blocks hold but for rounding of float64.
    private const double Held = 1e-20;

    /// <summary>aᵀb (l×k) of a n×l and b n×k.</summary>
    public static unsafe double[] Inner(double[] a, int l, double[] b, int k, int n, int threads, CancellationToken cancel)
    {
        var parts = (n + Part - 1) / Part;
        var runs = Math.Clamp(parts, 1, MostRuns);
        var sums = new double[runs][];
        Lots.Run(runs, threads, cancel, run =>
        {
            var sum = sums[run] = new double[(long)l * k];
            fixed (double* x = a, y = b, c = sum)
            {
                var first = (int)((long)parts * run / runs);
                for (var part = first; part < (int)((long)parts * (run + 1) / runs); part++)
                {
                    cancel.ThrowIfCancellationRequested();
                    var row = (long)part * Part;
                    WideTile.Multiply(x + (row * l), 1, l, y + (row * k), k, c, k, l, (int)Math.Min(Part, n - row), k, part > first);
                }
            }
        });
        for (var run = 1; run < runs; run++)
        {
            for (var i = 0L; i < sums[0].LongLength; i++)
            {
                sums[0][i] += sums[run][i];
            }
        }

        return sums[0];
    }

    /// <summary>a·w (n×k) of a n×l and w l×k.</summary>
    public static unsafe double[] Combine(double[] a, int l, double[] w, int k, int n, int threads, CancellationToken cancel)
    {
        var product = new double[(long)n * k];
        Lots.Run((n + Part - 1) / Part, threads, cancel, part =>
        {
            fixed (double* x = a, y = w, c = product)
            {
                var row = (long)part * Part;
                WideTile.Multiply(x + (row * l), l, 1, y, k, c + (row * k), k, (int)Math.Min(Part, n - row), l, k, false);
            }
        });
        return product;
    }

    /// <summary>
    /// An orthonormal basis of what z (n×l) has beside the earlier orthonormal blocks, each n×l too. Columns that hold nothing new
    /// beyond rounding come out as zeros. Where that is not to be exact, columns that were nearly dependent are still only nearly
    /// orthonormal.
    /// </summary>
    public static double[] Orthonormal(double[] z, IReadOnlyList<double[]> earlier, int l, int n, bool exact, int threads, CancellationToken cancel)
    {
        var least = new double[l];
        for (var i = 0; i < z.Length; i++)
        {
            least[i % l] += z[i] * z[i] * Held;
        }

        // Twice: the first round leaves what rounding makes of nearly dependent columns, the second has independent ones.
        for (var round = 0; round < (exact ? 2 : 1); round++)
        {
            foreach (var block in earlier)
            {
                var taken = Combine(block, l, Inner(block, l, z, l, n, threads, cancel), l, n, threads, cancel);
                for (var i = 0; i < z.Length; i++)
                {
                    z[i] -= taken[i];
                }
            }

            z = Combine(z, l, Whitening(Inner(z, l, z, l, n, threads, cancel), least, l), l, n, threads, cancel);
            Array.Clear(least);
        }

        return z;
    }

    /// <summary>
    /// W (l×l, upper triangular) with WᵀGW = 1, by Cholesky of the G scaled to a unit diagonal; 0 for dependent columns
    /// and for those whose square isn't above the least.
    /// </summary>
    private static double[] Whitening(double[] g, double[] least, int l)
    {
        var scale = new double[l];
        for (var j = 0; j < l; j++)
        {
            scale[j] = g[(j * l) + j] > least[j] ? 1 / Math.Sqrt(g[(j * l) + j]) : 0;
        }

        // R with RᵀR = G, row by row; W = R⁻¹ column by column.
        var r = new double[l * l];
        var w = new double[l * l];
        for (var j = 0; j < l; j++)
        {
            var rest = scale[j] > 0 ? 1.0 : 0;
            for (var i = 0; i < j; i++)
            {
                var sum = g[(i * l) + j] * scale[i] * scale[j];
                for (var k = 0; k < i; k++)
                {
                    sum -= r[(k * l) + i] * r[(k * l) + j];
                }

                r[(i * l) + j] = r[(i * l) + i] > 0 ? sum / r[(i * l) + i] : 0;
                rest -= r[(i * l) + j] * r[(i * l) + j];
            }

            if (!(rest > Lost))
            {
                continue;
            }

            var root = Math.Sqrt(rest);
            r[(j * l) + j] = root;
            w[(j * l) + j] = 1 / root;
            for (var i = j - 1; i >= 0; i--)
            {
                var sum = 0.0;
                for (var k = i; k < j; k++)
                {
                    sum += w[(i * l) + k] * r[(k * l) + j];
                }

                w[(i * l) + j] = -sum / root;
            }
        }

        for (var i = 0; i < l; i++)
        {
            for (var j = 0; j < l; j++)
            {
                w[(i * l) + j] *= scale[i];
            }
        }

        return w;
    }
}
