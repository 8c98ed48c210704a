using MathNet.Numerics.LinearAlgebra;
using Tva.Core.Matrices;
using Xunit;

namespace Tva.Core.Tests;

public class TsvMergeTests
{
    /// <summary>
    /// The paper's steps in float64: the first triples of each matrix's SVD side by side, U and V replaced by the product of their
    /// own singular vectors, multiplied back.
    /// </summary>
    [Theory]
    [InlineData(40, 30, 3, 1)]
    [InlineData(24, 50, 4, 0.5)]
    [InlineData(30, 30, 1, 1)]
    public void AgreesWithThePapersSteps(int m, int n, int count, double keep)
    {
        var xs = Enumerable.Range(0, count).Select(t => Numbers.Draw((long)m * n, 20 + t)).ToArray();
        var triples = TsvMerge.Triples(m, n, count, keep);
        Assert.Equal((int)(keep * Math.Min(m, n) / count), triples);
        var (left, right, rank) = TsvMerge.Run(count, m, n, triples, (t, x) => xs[t].CopyTo(x, 0), 2, cancel: Numbers.Stop);
        Assert.Equal(count * triples, rank);

        var (u, s, v) = (Matrix<double>.Build.Dense(m, rank), Matrix<double>.Build.Dense(rank, rank), Matrix<double>.Build.Dense(rank, n));
        for (var t = 0; t < count; t++)
        {
            var svd = Matrix<double>.Build.Dense(m, n, (i, j) => xs[t][(i * n) + j]).Svd();
            for (var k = 0; k < triples; k++)
            {
                u.SetColumn((t * triples) + k, svd.U.Column(k));
                v.SetRow((t * triples) + k, svd.VT.Row(k));
                s[(t * triples) + k, (t * triples) + k] = svd.S[k];
            }
        }

        var expected = Orthogonal(u) * s * Orthogonal(v);
        var scale = expected.Enumerate().Max(Math.Abs);
        Numbers.Near([.. expected.ToRowMajorArray()], Array.ConvertAll(Numbers.Multiply(left, false, right, false, m, rank, n), e => (float)e), 3e-4 * scale);
    }

    /// <summary>Matrices that share no direction are merged into their sum, and one by one they are all that is asked for.</summary>
    [Fact]
    public void MatricesApartAreSummed()
    {
        var (m, n) = (30, 24);
        var whole = Numbers.OfSpectrum(m, n, [.. Enumerable.Range(1, 6).Select(k => (double)k)], 9);
        var (u, v) = (Numbers.Orthonormal(6, m, 9), Numbers.Orthonormal(6, n, 10));
        var asked = new List<int>();
        var (left, right, rank) = TsvMerge.Run(
            3, m, n, 2,
            (t, x) =>
            {
                asked.Add(t);
                for (var i = 0; i < x.Length; i++)
                {
                    x[i] = (float)Enumerable.Range(2 * t, 2).Sum(k => (k + 1) * u[k][i / n] * v[k][i % n]);
                }
            },
            2,
            cancel: Numbers.Stop);
        Assert.Equal([0, 1, 2], asked);
        Numbers.Near(Numbers.Multiply(left, false, right, false, m, rank, n), whole, 1e-4);
    }

    [Fact]
    public void Degenerate()
    {
        var (left, right, rank) = TsvMerge.Run(2, 5, 4, TsvMerge.Triples(5, 4, 9), (_, x) => Array.Clear(x), 1, cancel: Numbers.Stop);
        Assert.Equal(2, rank);
        Assert.All(left, value => Assert.Equal(0, value));
        Assert.Throws<MatrixNotFiniteException>(() => TsvMerge.Run(2, 5, 4, 1, (t, x) => x[3] = t / 0f, 1, cancel: Numbers.Stop));
        Assert.Throws<ArgumentOutOfRangeException>(() => TsvMerge.Triples(5, 4, 2, 1.5));
        Assert.Throws<ArgumentOutOfRangeException>(() => TsvMerge.Triples(5, 4, 0));
        Assert.Equal(256, TsvMerge.Triples(768, 1000, 3));
    }

    private static Matrix<double> Orthogonal(Matrix<double> a)
    {
        var svd = a.Svd();
        var smaller = Math.Min(a.RowCount, a.ColumnCount);
        return svd.U.SubMatrix(0, a.RowCount, 0, smaller) * svd.VT.SubMatrix(0, smaller, 0, a.ColumnCount);
    }
}
