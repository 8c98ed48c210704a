using MathNet.Numerics.LinearAlgebra;
using Tva.Core.Adapters;
using Xunit;

namespace Tva.Core.Tests;

public class FactorsTests
{
    /// <summary>Sizes around the vector widths; rank 1 to 33.</summary>
    public static TheoryData<int, int, int> Sizes => new() { { 1, 1, 1 }, { 3, 7, 2 }, { 4, 16, 16 }, { 9, 31, 5 }, { 8, 32, 4 }, { 13, 33, 33 }, { 21, 100, 8 }, { 5, 65, 3 } };

    [Theory]
    [MemberData(nameof(Sizes))]
    public void ElementsAreThoseOfTheProduct(int rows, int columns, int rank)
    {
        var f = Draw(rows, columns, rank, 1);
        var wide = Wide(f);
        var all = new float[rows * columns];
        f.Expand(0, all);
        for (var i = 0; i < all.Length; i++)
        {
            Assert.Equal(wide[i / columns, i % columns], all[i], 1e-6 * rank);
        }
    }

    [Theory]
    [MemberData(nameof(Sizes))]
    public void BitsDoNotDependOnTheCut(int rows, int columns, int rank)
    {
        var f = Draw(rows, columns, rank, 2);
        var all = new float[rows * columns];
        f.Expand(0, all);
        var random = new Random(3);
        for (var trial = 0; trial < 50; trial++)
        {
            var first = random.Next(all.Length);
            var part = new float[random.Next(all.Length - first + 1)];
            f.Expand(first, part);
            Assert.Equal<float>(all[first..(first + part.Length)], part);
        }

        // Element by element: the chain of fused products in the rank's order, by its definition.
        for (var i = 0; i < all.Length; i++)
        {
            var sum = 0f;
            for (var k = 0; k < rank; k++)
            {
                sum = MathF.FusedMultiplyAdd(f.Right[(k * columns) + (i % columns)], f.Left[(i / columns * rank) + k], sum);
            }

            Assert.Equal(sum * (float)f.Scale, all[i]);
        }
    }

    [Theory]
    [MemberData(nameof(Sizes))]
    public void ProductsAndTheOtherWayRound(int rows, int columns, int rank)
    {
        var (f, g) = (Draw(rows, columns, rank, 4), Draw(rows, columns, (rank % 3) + 1, 5));
        var expected = Wide(f).PointwiseMultiply(Wide(g)).Enumerate().Sum();
        var size = Wide(f).FrobeniusNorm() * Wide(g).FrobeniusNorm();
        Assert.Equal(expected, f.Dot(g), 1e-13 * size);
        Assert.Equal(expected, f.Transposed().Dot(g.Transposed()), 1e-13 * size);
        var turned = new float[rows * columns];
        f.Transposed().Expand(0, turned);
        Assert.Equal(Wide(f)[rows - 1, 0], turned[rows - 1], 1e-6 * rank);
    }

    [Fact]
    public void NaNStaysWhereItIs()
    {
        var f = Draw(6, 40, 3, 6);
        f.Left[3] = float.NaN;
        f.Right[5] = float.PositiveInfinity;
        var all = new float[240];
        f.Expand(0, all);
        Assert.All(Enumerable.Range(0, 240), i => Assert.Equal(i / 40 == 1 || i % 40 == 5, !float.IsFinite(all[i])));
    }

    private static Factors Draw(int rows, int columns, int rank, int seed)
    {
        var random = new Random(seed);
        float[] Values(int n) => [.. Enumerable.Range(0, n).Select(_ => random.NextSingle() - 0.5f)];
        return new Factors(Values(rows * rank), Values(rank * columns), rank, 1.75);
    }

    private static Matrix<double> Wide(Factors f) =>
        f.Scale * Matrix<double>.Build.Dense(f.Rows, f.Rank, (i, k) => f.Left[(i * f.Rank) + k])
        * Matrix<double>.Build.Dense(f.Rank, f.Columns, (k, j) => f.Right[(k * f.Columns) + j]);
}
