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
            var row = rows[i] = new double[n];
            for (var j = 0; j < n; j++)
            {
                row[j] = drawn[(i * n) + j];
            }

            // Twice, for rounding's sake; then the norm.
            for (var other = 0; other < 2 * i; other++)
            {
                var dot = Dot(row, rows[other % i]);
                for (var j = 0; j < n; j++)
                {
                    row[j] -= dot * rows[other % i][j];
                }
            }

            var norm = Math.Sqrt(Dot(row, row));
            for (var j = 0; j < n; j++)
            {
                row[j] /= norm;
            }
        }

        return rows;
    }

    private static double Dot(double[] a, double[] b)
    {
        var sum = 0.0;
        for (var i = 0; i < a.Length; i++)
        {
            sum += a[i] * b[i];
        }

        return sum;
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
