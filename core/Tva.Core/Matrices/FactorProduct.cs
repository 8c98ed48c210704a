using System.Runtime.CompilerServices;
using Tva.Core.Kernels;
using Tva.Core.Kernels.Vectors;

namespace Tva.Core.Matrices;

/// <summary>
/// Two thin matrices in, a run of their product's elements out. Every element is the sum, in order, of chains of fused steps
/// over at most <see cref="Chain"/> of the rank's terms, so its bits don't depend on where a run begins or ends, nor on the width of the vectors.
/// </summary>
public static unsafe class FactorProduct
{
    private const int Chain = 256;

    /// <summary>Elements start to start + count − 1, counted row by row, of left·right.</summary>
    /// <param name="left">m×rank, row-major.</param>
    /// <param name="right">rank×n, row-major.</param>
    /// <param name="rank">Columns of left, rows of right.</param>
    /// <param name="n">Columns of right and of the product.</param>
    /// <param name="start">The first element; it may lie within a row, as may the last.</param>
    /// <param name="destination">One float32 for each element.</param>
    /// <exception cref="ArgumentException">The lengths don't go with the sizes, or the run passes the end.</exception>
    public static void Range(ReadOnlySpan<float> left, ReadOnlySpan<float> right, int rank, int n, long start, Span<float> destination)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(start);
        ArgumentOutOfRangeException.ThrowIfLessThan(rank, 0);
        ArgumentOutOfRangeException.ThrowIfLessThan(n, 1);
        if (right.Length != (long)rank * n || (rank > 0 && (start + destination.Length - 1) / n >= left.Length / rank))
        {
            throw new ArgumentException(
                $"{left.Length} and {right.Length} numbers at rank {rank} have no elements {start} to {start + destination.Length - 1} in rows of {n}");
        }

        fixed (float* l = left, r = right, d = destination)
        {
            Range(l, r, rank, n, start, destination.Length, d);
        }
    }

    /// <summary>As above, unchecked.</summary>
    public static void Range(float* left, float* right, int rank, int n, long start, long count, float* destination)
    {
        switch (CpuKernel.Width)
        {
            case 512: Run<V512>(left, right, rank, n, start, count, destination); break;
            case 256: Run<V256>(left, right, rank, n, start, count, destination); break;
            default: Run<V128>(left, right, rank, n, start, count, destination); break;
        }
    }

    /// <summary>As above, in vectors of a width of one's choice.</summary>
    internal static void Run<V>(float* left, float* right, int rank, int n, long start, long count, float* destination)
        where V : struct, IVec<V>
    {
        while (count > 0)
        {
            var (row, column) = (start / n, (int)(start % n));
            var whole = column == 0 ? (int)Math.Min(count / n, Tile.Rows) : 0;
            var (rows, columns) = whole > 0 ? (whole, n) : (1, (int)Math.Min(count, n - column));
            Rows<V>(left + (row * rank), right + column, rank, n, rows, columns, destination);
            var done = (long)rows * columns;
            (start, count) = (start + done, count - done);
            destination += done;
        }
    }

    /// <summary>Whole vectors in tiles, the last columns one by one by the same steps.</summary>
    private static void Rows<V>(float* left, float* right, int rank, int n, int rows, int columns, float* destination)
        where V : struct, IVec<V>
    {
        var whole = columns / Tile.Columns * Tile.Columns;
        for (var k = 0; k < Math.Max(rank, 1); k += Chain)
        {
            var inner = Math.Min(Chain, rank - k);
            Tile.Multiply<V>(left + k, rank, 1, right + ((long)k * n), n, destination, columns, rows, inner, whole, k > 0);
        }

        for (var i = 0; i < rows; i++)
        {
            for (var j = whole; j < columns; j++)
            {
                destination[((long)i * columns) + j] = Element(left + ((long)i * rank), right + j, rank, n);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float Element(float* left, float* right, int rank, nint n)
    {
        var total = 0f;
        for (var first = 0; first < rank; first += Chain)
        {
            var sum = 0f;
            for (var k = first; k < Math.Min(first + Chain, rank); k++)
            {
                sum = MathF.FusedMultiplyAdd(left[k], right[k * n], sum);
            }

            total = first > 0 ? total + sum : sum;
        }

        return total;
    }
}
