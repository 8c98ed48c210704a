using MathNet.Numerics.LinearAlgebra;
using Tva.Core.Bases;
using Xunit;

namespace Tva.Core.Tests;

public class LowRankTests
{
    /// <summary>Against the products multiplied out in float64.</summary>
    [Fact]
    public void TheProductNeedsNoExpansion()
    {
        for (var seed = 0; seed < 60; seed++)
        {
            var random = new Random(seed);
            var (rows, columns, rank1, rank2) = (1 + random.Next(40), 1 + random.Next(40), 1 + random.Next(18), 1 + random.Next(18));
            var (b1, a1) = (Draw(random, rows, rank1), Draw(random, rank1, columns));
            var (b2, a2) = (Draw(random, rows, rank2), Draw(random, rank2, columns));
            var (x, y) = (Wide(b1, rows) * Wide(a1, rank1), Wide(b2, rows) * Wide(a2, rank2));
            var expected = x.PointwiseMultiply(y).Enumerate().Sum();
            var scale = x.FrobeniusNorm() * y.FrobeniusNorm();
            Assert.Equal(expected, LowRank.Dot(b1, a1, rank1, b2, a2, rank2), 1e-13 * scale);
            Assert.Equal(Math.Pow(x.FrobeniusNorm(), 2), LowRank.Dot(b1, a1, rank1, b1, a1, rank1), 1e-13 * scale * 10);
        }
    }

    [Fact]
    public void LengthsMustGoTogether()
    {
        Assert.Throws<ArgumentException>(() => LowRank.Dot(new float[6], new float[4], 2, new float[3], new float[3], 1));
        Assert.Throws<ArgumentException>(() => LowRank.Dot(new float[5], new float[4], 2, new float[3], new float[2], 1));
        Assert.Equal(0, LowRank.Dot(new float[6], new float[4], 2, new float[3], new float[2], 1));
    }

    private static float[] Draw(Random random, int rows, int columns) =>
        [.. Enumerable.Range(0, rows * columns).Select(_ => random.NextSingle() - 0.5f)];

    private static Matrix<double> Wide(float[] values, int rows) =>
        Matrix<double>.Build.Dense(rows, values.Length / rows, (i, j) => values[(i * (values.Length / rows)) + j]);
}
