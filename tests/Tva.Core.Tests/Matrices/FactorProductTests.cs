using Tva.Core.Kernels.Vectors;
using Tva.Core.Matrices;
using Xunit;

namespace Tva.Core.Tests;

public class FactorProductTests
{
    [Theory]
    [InlineData(7, 5, 3)]
    [InlineData(40, 37, 4)]
    [InlineData(13, 100, 17)]
    [InlineData(3, 1, 2)]
    [InlineData(25, 64, 0)]
    [InlineData(5, 33, 4096)]
    public void AgreesWithFloat64(int m, int n, int rank)
    {
        var (left, right) = (Numbers.Draw((long)m * rank, 1), Numbers.Draw((long)rank * n, 2));
        var whole = new float[m * n];
        FactorProduct.Range(left, right, rank, n, 0, whole);
        Numbers.Near(Numbers.Multiply(left, false, right, false, m, rank, n), whole, 1e-6 * Math.Sqrt(rank));
    }

    /// <summary>Any cut, any width of vectors: the same bits.</summary>
    [Theory]
    [InlineData(23, 37, 5)]
    [InlineData(30, 16, 64)]
    [InlineData(14, 129, 20)]
    public unsafe void CutsLeaveTheBits(int m, int n, int rank)
    {
        var (left, right) = (Numbers.Draw((long)m * rank, 1), Numbers.Draw((long)rank * n, 2));
        var whole = new float[m * n];
        FactorProduct.Range(left, right, rank, n, 0, whole);
        foreach (var step in new[] { 1, 15, 16, 50, n - 1, n, n + 1, 5 * n })
        {
            var cut = new float[m * n];
            for (var start = 0; start < cut.Length; start += step)
            {
                FactorProduct.Range(left, right, rank, n, start, cut.AsSpan(start, Math.Min(step, cut.Length - start)));
            }

            Assert.Equal(whole, cut);
        }

        var other = new float[m * n];
        fixed (float* l = left, r = right, o = other)
        {
            FactorProduct.Run<V128>(l, r, rank, n, 0, other.Length, o);
        }

        Assert.Equal(whole, other);
    }

    [Fact]
    public void ARunMustLieInTheProduct()
    {
        FactorProduct.Range(new float[6], new float[8], 2, 4, 12, []);
        Assert.Throws<ArgumentException>(() => FactorProduct.Range(new float[6], new float[8], 2, 4, 10, new float[3]));
        Assert.Throws<ArgumentException>(() => FactorProduct.Range(new float[6], new float[7], 2, 4, 0, new float[3]));
        Assert.Throws<ArgumentOutOfRangeException>(() => FactorProduct.Range(new float[6], new float[8], 2, 4, -1, new float[3]));
    }
}
