using Xunit;
using Tva.Core.Kernels;

namespace Tva.Core.Tests;

/// <summary>Matrices for tests, and what they are multiplied or decomposed into by plain float64 loops.</summary>
internal static class Numbers
{
    /// <summary>Ends a product when the run of tests is stopped.</summary>
    public static CancellationToken Stop => TestContext.Current.CancellationToken;

    /// <summary>Uniform in [−1, 1).</summary>
    public static float[] Draw(long count, int seed)
    {
        var x = new float[count];
        Philox.Fill(Philox.Key(seed, "matrices"), 0, x);
        return Array.ConvertAll(x, value => (2 * value) - 1);
    }

    /// <summary>op(a)·op(b), m×n.</summary>
    public static double[] Multiply(float[] a, bool aTransposed, float[] b, bool bTransposed, int m, int inner, int n)
    {
        var c = new double[m * n];
        for (var i = 0; i < m; i++)
        {
            for (var j = 0; j < n; j++)
            {
                for (var k = 0; k < inner; k++)
                {
                    c[(i * n) + j] += (double)a[aTransposed ? (k * m) + i : (i * inner) + k] * b[bTransposed ? (j * inner) + k : (k * n) + j];
                }
            }
        }

        return c;
    }

    /// <summary>k orthonormal rows of n, by Gram and Schmidt.</summary>
    public static double[][] Orthonormal(int k, int n, int seed)
    {
        var drawn = Draw((long)k * n, seed);
        var rows = new double[k][];
        for (var i = 0; i < k; i++)
        {
            rows[i] = [.. Enumerable.Range(0, n).Select(j => (double)drawn[(i * n) + j])];
            for (var round = 0; round < 2; round++)
            {
                for (var other = 0; other < i; other++)
                {
                    var dot = rows[i].Zip(rows[other], (x, y) => x * y).Sum();
                    for (var j = 0; j < n; j++)
                    {
                        rows[i][j] -= dot * rows[other][j];
                    }
                }
            }

            var norm = Math.Sqrt(rows[i].Sum(x => x * x));
            rows[i] = [.. rows[i].Select(x => x / norm)];
        }

        return rows;
    }

    /// <summary>Σ_k σ_k u_k v_kᵀ with u and v drawn, rounded to float32.</summary>
    public static float[] OfSpectrum(int m, int n, double[] singular, int seed)
    {
        var (u, v) = (Orthonormal(singular.Length, m, seed), Orthonormal(singular.Length, n, seed + 1));
        var x = new double[m * n];
        for (var k = 0; k < singular.Length; k++)
        {
            for (var i = 0; i < m; i++)
            {
                var scaled = singular[k] * u[k][i];
                for (var j = 0; j < n; j++)
                {
                    x[(i * n) + j] += scaled * v[k][j];
                }
            }
        }

        return Array.ConvertAll(x, value => (float)value);
    }

    /// <summary>‖X − L·R‖/‖X‖.</summary>
    public static double Error(float[] x, float[] left, float[] right, int m, int n, int rank)
    {
        var product = Multiply(left, false, right, false, m, rank, n);
        return Math.Sqrt(x.Zip(product, (a, b) => (a - b) * (a - b)).Sum() / x.Sum(a => (double)a * a));
    }

    public static void Near(double[] expected, float[] actual, double tolerance)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (var i = 0; i < expected.Length; i++)
        {
            Assert.True(Math.Abs(expected[i] - actual[i]) <= tolerance, $"{i}: {expected[i]} {actual[i]}");
        }
    }
}
