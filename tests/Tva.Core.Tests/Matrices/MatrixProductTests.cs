using Tva.Core.Kernels.Vectors;
using Tva.Core.Matrices;
using Xunit;

namespace Tva.Core.Tests;

public class MatrixProductTests
{
    /// <summary>Sizes around the vectors, the tiles and the chains.</summary>
    [Theory]
    [InlineData(1, 1, 1)]
    [InlineData(3, 5, 7)]
    [InlineData(6, 16, 15)]
    [InlineData(13, 33, 17)]
    [InlineData(12, 192, 32)]
    [InlineData(11, 193, 31)]
    [InlineData(1, 400, 33)]
    [InlineData(97, 385, 1)]
    [InlineData(200, 63, 530)]
    [InlineData(300, 270, 21)]
    [InlineData(259, 513, 96)]
    public void AgreesWithFloat64(int m, int inner, int n)
    {
        var (a, b) = (Numbers.Draw((long)m * inner, 1), Numbers.Draw((long)inner * n, 2));
        var c = new float[m * n];
        MatrixProduct.Multiply(a, b, c, m, inner, n, 2, Numbers.Stop);
        Numbers.Near(Numbers.Multiply(a, false, b, false, m, inner, n), c, 1e-6 * Math.Sqrt(inner));
        MatrixProduct.MultiplyLeftTransposed(a, b, c, m, inner, n, 2, Numbers.Stop);
        Numbers.Near(Numbers.Multiply(a, true, b, false, m, inner, n), c, 1e-6 * Math.Sqrt(inner));
        MatrixProduct.MultiplyRightTransposed(a, b, c, m, inner, n, 2, Numbers.Stop);
        Numbers.Near(Numbers.Multiply(a, false, b, true, m, inner, n), c, 1e-6 * Math.Sqrt(inner));
    }

    /// <summary>Wide ones, and so narrow ones that the left operand is read where it lies.</summary>
    [Theory]
    [InlineData(331, 401, 607)]
    [InlineData(331, 401, 16)]
    [InlineData(200, 512, 9)]
    public unsafe void ThreadsAndVectorsLeaveTheBits(int m, int inner, int n)
    {
        var (a, b) = (Numbers.Draw((long)m * inner, 1), Numbers.Draw((long)inner * n, 2));
        foreach (var (left, right) in new[] { (false, false), (true, false), (false, true), (true, true) })
        {
            var results = Enumerable.Range(0, 5).Select(_ => new float[m * n]).ToArray();
            fixed (float* x = a, y = b, c0 = results[0], c1 = results[1], c2 = results[2], c3 = results[3], c4 = results[4])
            {
                MatrixProduct.Multiply(x, left, y, right, c0, m, inner, n, 1, Numbers.Stop);
                MatrixProduct.Multiply(x, left, y, right, c1, m, inner, n, 4, Numbers.Stop);
                MatrixProduct.Run<V128>(new(x, left, y, right, c2, m, inner, n), 3, Numbers.Stop);
                MatrixProduct.Run<V256>(new(x, left, y, right, c3, m, inner, n), 1, Numbers.Stop);
                MatrixProduct.Run<V512>(new(x, left, y, right, c4, m, inner, n), 2, Numbers.Stop);
            }

            Assert.All(results, r => Assert.Equal(results[0], r));
        }
    }

    [Fact]
    public void OddSizesAndCancelling()
    {
        var c = new[] { 1f, 2f };
        MatrixProduct.Multiply([], [], c, 2, 0, 1, 1, Numbers.Stop);
        Assert.Equal([0f, 0f], c);
        MatrixProduct.Multiply([], new float[6], [], 0, 2, 3, 2, Numbers.Stop);
        Assert.Throws<ArgumentException>(() => MatrixProduct.Multiply(new float[5], new float[6], new float[4], 2, 3, 2, 1, Numbers.Stop));
        Assert.Throws<ArgumentOutOfRangeException>(() => MatrixProduct.Multiply(new float[6], new float[6], new float[4], 2, 3, 2, 0, Numbers.Stop));
        Assert.ThrowsAny<OperationCanceledException>(
            () => MatrixProduct.Multiply(new float[6], new float[6], new float[4], 2, 3, 2, 1, new CancellationToken(true)));
    }

    /// <summary>Both products of one reading, against float64, at odd sizes, with the sum of squares; threads and vectors leave the bits.</summary>
    [Theory]
    [InlineData(1, 1, 16)]
    [InlineData(37, 530, 16)]
    [InlineData(1000, 37, 32)]
    [InlineData(301, 257, 48)]
    public unsafe void OneReadingGivesBothProducts(int m, int n, int l)
    {
        var (x, z) = (Numbers.Draw((long)m * n, 1), Numbers.Draw((long)n * l, 2));
        var y = Enumerable.Range(0, 3).Select(_ => new float[m * l]).ToArray();
        var back = Enumerable.Range(0, 3).Select(_ => new float[n * l]).ToArray();
        var square = new double[3];
        using var pass = new StreamedPass(m, n, l);
        fixed (float* xs = x, zs = z, y0 = y[0], y1 = y[1], y2 = y[2], b0 = back[0], b1 = back[1], b2 = back[2])
        {
            square[0] = pass.Run(xs, zs, y0, b0, 1, Numbers.Stop);
            square[1] = pass.Run(xs, zs, y1, b1, 4, Numbers.Stop);
            pass.Run<V128>(xs, zs, y2, b2, 2, Numbers.Stop);
        }

        var expected = Numbers.Multiply(x, false, z, false, m, n, l);
        Numbers.Near(expected, y[0], 1e-6 * Math.Sqrt(n));
        Numbers.Near(Numbers.Multiply(x, true, Array.ConvertAll(expected, e => (float)e), false, n, m, l), back[0], 1e-6 * Math.Sqrt(n) * Math.Sqrt(m));
        Assert.Equal(x.Sum(v => (double)v * v), square[0], 1e-9 * square[0]);
        Assert.Equal(square[0], square[1]);
        Assert.All(y, r => Assert.Equal(y[0], r));
        Assert.All(back, r => Assert.Equal(back[0], r));
    }
}
