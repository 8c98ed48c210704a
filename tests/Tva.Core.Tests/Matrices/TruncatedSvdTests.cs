using Tva.Core.Matrices;
using Xunit;

namespace Tva.Core.Tests;

public class TruncatedSvdTests
{
    private static readonly Func<int, double>[] Spectra = [k => 1.0 / (k + 1), k => Math.Exp(-k / 6.0), k => k < 9 ? 1 : 0.05, k => Math.Pow(k + 1, -0.25)];

    /// <summary>Built from known triples, in both shapes, at sizes that are decomposed exactly.</summary>
    [Theory]
    [InlineData(60, 45)]
    [InlineData(45, 60)]
    [InlineData(130, 17)]
    [InlineData(1, 9)]
    [InlineData(9, 1)]
    public void SmallMatricesAreDecomposedExactly(int m, int n)
    {
        var smaller = Math.Min(m, n);
        foreach (var spectrum in Spectra)
        {
            var singular = Enumerable.Range(0, smaller).Select(spectrum).ToArray();
            var x = Numbers.OfSpectrum(m, n, singular, 5);
            foreach (var rank in new[] { 1, (smaller + 1) / 2, smaller })
            {
                var factors = TruncatedSvd.ByRank(x, m, n, rank, 2, cancel: Numbers.Stop);
                Check(x, singular, factors, rank, 1e-5);
                var lost = Math.Sqrt(singular.Skip(rank).Sum(s => s * s) / singular.Sum(s => s * s));
                Assert.Equal(lost, Numbers.Error(x, factors.Left, factors.Right, m, n, rank), 1e-5);
                Assert.Equal(lost, factors.Error, 1e-3);
            }
        }
    }

    /// <summary>Beyond them the loss is near the least: what torch.svd_lowrank leaves over it at its default is 3 in 100 at the last size.</summary>
    [Theory]
    [InlineData(420, 300, 16)]
    [InlineData(300, 420, 10)]
    [InlineData(310, 300, 80)]
    public void LargeMatricesLoseLittleMore(int m, int n, int rank)
    {
        foreach (var spectrum in Spectra)
        {
            var singular = Enumerable.Range(0, Math.Min(m, n)).Select(spectrum).ToArray();
            var x = Numbers.OfSpectrum(m, n, singular, 7);
            var factors = TruncatedSvd.ByRank(x, m, n, rank, 2, cancel: Numbers.Stop);
            var least = Math.Sqrt(singular.Skip(rank).Sum(s => s * s) / singular.Sum(s => s * s));
            var error = Numbers.Error(x, factors.Left, factors.Right, m, n, rank);
            Assert.InRange(error, least - 1e-5, (least * 1.025) + 1e-5);
            Assert.Equal(error, factors.Error, 1e-3);
            Assert.Equal(1 - (error * error), factors.Energy, 1e-5);
            Orthonormal(factors);
        }
    }

    [Theory]
    [InlineData(300, 280)]
    [InlineData(40, 50)]
    public void ThreadsLeaveTheBits(int m, int n)
    {
        var x = Numbers.Draw((long)m * n, 3);
        var (one, four) = (TruncatedSvd.ByRank(x, m, n, 12, 1, cancel: Numbers.Stop), TruncatedSvd.ByRank(x, m, n, 12, 4, cancel: Numbers.Stop));
        Assert.Equal(one.Left, four.Left);
        Assert.Equal(one.Right, four.Right);
        Assert.Equal(one.SingularValues, four.SingularValues);
        Assert.Equal(one.Error, four.Error);
    }

    [Theory]
    [InlineData(20, 30)]
    [InlineData(300, 310)]
    public void Degenerate(int m, int n)
    {
        var zero = TruncatedSvd.ByRank(new float[m * n], m, n, 4, 2, cancel: Numbers.Stop);
        Assert.Equal(0, zero.Error);
        Assert.Equal(1, zero.Energy);
        Assert.All(zero.Left.Concat(zero.Right), v => Assert.Equal(0, v));

        var all = TruncatedSvd.ByRank(Numbers.Draw((long)m * n, 1), m, n, int.MaxValue, 2, cancel: Numbers.Stop);
        Assert.Equal(Math.Min(m, n), all.Rank);
        Assert.InRange(all.Error, 0, 1e-3);

        // Fewer directions than asked for, at sizes near the ends of float32 too.
        foreach (var size in new[] { 1, 1e-30, 1e30 })
        {
            double[] singular = [size, size / 2, size / 3];
            var x = Numbers.OfSpectrum(m, n, singular, 2);
            var factors = TruncatedSvd.ByRank(x, m, n, 8, 2, cancel: Numbers.Stop);
            Check(x, [.. singular, 0, 0, 0, 0, 0], factors, 8, 1e-5);
            Assert.InRange(Numbers.Error(x, factors.Left, factors.Right, m, n, 8), 0, 1e-5);
        }

        foreach (var bad in new[] { float.NaN, float.PositiveInfinity, float.NegativeInfinity })
        {
            var x = Numbers.Draw((long)m * n, 1);
            x[^2] = bad;
            Assert.Throws<MatrixNotFiniteException>(() => TruncatedSvd.ByRank(x, m, n, 4, 2, cancel: Numbers.Stop));
        }
    }

    /// <summary>The least rank, whether all values are found at once or step by step.</summary>
    [Theory]
    [InlineData(60, 45)]
    [InlineData(320, 290)]
    public void EnergyGivesTheLeastRank(int m, int n)
    {
        var singular = Enumerable.Range(0, Math.Min(m, n)).Select(k => k < 40 ? Math.Pow(0.9, k) : 0).ToArray();
        var x = Numbers.OfSpectrum(m, n, singular, 11);
        foreach (var energy in new[] { 1e-9, 0.19, 0.5, 0.9, 0.99, 0.999 })
        {
            var factors = TruncatedSvd.ByEnergy(x, m, n, energy, 2, cancel: Numbers.Stop);
            var least = Enumerable.Range(1, n).First(r => singular.Take(r).Sum(s => s * s) >= energy * singular.Sum(s => s * s) * (1 - 1e-6));
            Assert.Equal(least, factors.Rank);
            Assert.Equal(m * least, factors.Left.Length);
            Assert.Equal(least * n, factors.Right.Length);
            Check(x, singular, factors, least, 1e-5);
            Assert.Equal(factors.Error, Numbers.Error(x, factors.Left, factors.Right, m, n, least), 1e-3);
        }

        Assert.InRange(TruncatedSvd.ByEnergy(x, m, n, 1, 2, cancel: Numbers.Stop).Rank, 30, 40);
        Assert.Equal(1, TruncatedSvd.ByEnergy(new float[m * n], m, n, 0.9, 2, cancel: Numbers.Stop).Rank);
        foreach (var wrong in new[] { 0, -1, 1.01, double.NaN })
        {
            Assert.Throws<ArgumentOutOfRangeException>(() => TruncatedSvd.ByEnergy(x, m, n, wrong, 2, cancel: Numbers.Stop));
        }
    }

    private static void Check(float[] x, double[] singular, LowRankFactors factors, int rank, double tolerance)
    {
        Assert.Equal(rank, factors.Rank);
        Assert.Equal(x.Length, factors.Rows * factors.Columns);
        for (var k = 0; k < rank; k++)
        {
            Assert.Equal(singular[k], factors.SingularValues[k], tolerance * singular[0]);
        }
    }

    /// <summary>Rows of the right factor, where there is a singular value to speak of.</summary>
    private static void Orthonormal(LowRankFactors factors)
    {
        var n = factors.Columns;
        for (var i = 0; i < factors.Rank; i++)
        {
            for (var j = 0; j <= i; j++)
            {
                var dot = Enumerable.Range(0, n).Sum(k => (double)factors.Right[(i * n) + k] * factors.Right[(j * n) + k]);
                Assert.Equal(i == j ? 1 : 0, dot, 1e-5);
            }
        }
    }
}
