using Tva.Core.Matrices;
using Xunit;

namespace Tva.Core.Tests;

public class SymmetricEigenTests
{
    /// <summary>Built from known vectors and values: apart, in clusters, repeated, of both signs, spread over many orders, zero.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(17)]
    [InlineData(64)]
    [InlineData(131)]
    [InlineData(330)]
    public void FindsTheValuesAndVectors(int n)
    {
        Func<int, double>[] spectra =
            [k => k + 1, k => k / 5, k => k % 3 - 1, k => Math.Pow(10, -k % 40), k => Math.Sin(k), k => k == 0 ? 1e-150 : 0, _ => 1e60, _ => 0];
        var q = Numbers.Orthonormal(n, n, 12);
        foreach (var spectrum in spectra.Take(n > 200 ? 2 : spectra.Length))
        {
            var wanted = Enumerable.Range(0, n).Select(spectrum).OrderDescending().ToArray();
            var a = new double[n * n];
            for (var k = 0; k < n; k++)
            {
                for (var i = 0; i < n * n && wanted[k] != 0; i++)
                {
                    a[i] += wanted[k] * q[k][i / n] * q[k][i % n];
                }
            }

            var size = wanted.Max(Math.Abs);
            var (values, vectors) = SymmetricEigen.Decompose([.. a], n, n, 1, Numbers.Stop);
            var (same, alike) = SymmetricEigen.Decompose([.. a], n, n, 4, Numbers.Stop);
            Assert.Equal(values, same);
            Assert.Equal(vectors, alike);
            for (var k = 0; k < n; k++)
            {
                Assert.Equal(wanted[k], values[k], 1e-13 * n * size);
                for (var i = 0; i < n; i++)
                {
                    double image = 0, dot = 0;
                    for (var j = 0; j < n; j++)
                    {
                        image += a[(i * n) + j] * vectors[(k * n) + j];
                        dot += vectors[(i * n) + j] * vectors[(k * n) + j];
                    }

                    Assert.Equal(values[k] * vectors[(k * n) + i], image, 1e-13 * n * size);
                    Assert.Equal(i == k ? 1 : 0, dot, 1e-12);
                }
            }

            Assert.Equal(vectors.Take(n / 2 * n), SymmetricEigen.Decompose([.. a], n, n / 2, 2, Numbers.Stop).Vectors);
        }
    }

    [Fact]
    public void DiagonalAndTridiagonal()
    {
        Assert.Equal([3.0, 2, -1], SymmetricEigen.Decompose([-1, 0, 0, 0, 3, 0, 0, 0, 2], 3, 0, 1, Numbers.Stop).Values);
        var (values, _) = SymmetricEigen.Decompose([2, -1, 0, -1, 2, -1, 0, -1, 2], 3, 3, 1, Numbers.Stop);
        Assert.Equal(2 + Math.Sqrt(2), values[0], 1e-14);
        Assert.Equal(2, values[1], 1e-14);
        Assert.Equal(2 - Math.Sqrt(2), values[2], 1e-14);
    }
}
