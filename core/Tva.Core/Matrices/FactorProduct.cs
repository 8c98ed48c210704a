using System.Runtime.CompilerServices;
using Tva.Core.Kernels;
using Tva.Core.Kernels.Vectors;

namespace Tva.Core.Matrices;

/// <summary>
/// Two thin matrices in, a run of their product's elements out. Every element is the sum, in order, of chains of fused steps
/// over at most <see cref="Chain"/> of the rank's terms, times the scale, so its bits don't depend on where a run begins or ends, nor on the width of the vectors.
/// </summary>
public static unsafe class FactorProduct
{
    private const int Chain = 256;

    /// <summary>Rows done at once where there are as many; the engine asks for parts of a few.</summary>
    private const int Together = 4;

    /// <summary>Elements start to start + count − 1, counted row by row, of left·right.</summary>
    /// <param name="left">m×rank, row-major.</param>
    /// <param name="right">rank×n, row-major.</param>
    /// <param name="rank">Columns of left, rows of right.</param>
    /// <param name="n">Columns of right and of the product.</param>
    /// <param name="start">The first element; it may lie within a row, as may the last.</param>
    /// <param name="destination">One float32 for each element.</param>
    /// <param name="scale">What each element is multiplied with.</param>
    /// <exception cref="ArgumentException">The lengths don't go with the sizes, or the run passes the end.</exception>
    public static void Range(ReadOnlySpan<float> left, ReadOnlySpan<float> right, int rank, int n, long start, Span<float> destination, float scale = 1)
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
            Range(l, r, rank, n, start, destination.Length, d, scale);
        }
    }

    /// <summary>As above, unchecked.</summary>
    public static void Range(float* left, float* right, int rank, int n, long start, long count, float* destination, float scale = 1)
    {
        switch (CpuKernel.Width)
        {
            case 512: Run<V512>(left, right, rank, n, start, count, destination, scale); break;
            case 256: Run<V256>(left, right, rank, n, start, count, destination, scale); break;
            default: Run<V128>(left, right, rank, n, start, count, destination, scale); break;
        }
    }

    /// <summary>As above, in vectors of a width of one's choice.</summary>
    internal static void Run<V>(float* left, float* right, int rank, int n, long start, long count, float* destination, float scale = 1)
        where V : struct, IVec<V>
    {
        while (count > 0)
        {
            var (row, column) = (start / n, (int)(start % n));
            var rows = column > 0 ? 1 : (int)Math.Clamp(count / n, 1, rank > Chain ? Tile.Rows : Together);
            var columns = (int)Math.Min(count, n - column);
            float* l = left + (row * rank), r = right + column;
            if (rank > Chain)
            {
                Chains<V>(l, r, rank, n, rows, columns, destination, scale);
            }
            else if (rows == Together)
            {
                Four<V>(l, r, rank, n, destination, scale);
            }
            else
            {
                rows = 1;
                One<V>(l, r, rank, n, columns, destination, scale);
            }

            var done = (long)rows * columns;
            (start, count) = (start + done, count - done);
            destination += done;
        }
    }

    /// <summary>Several chains an element: whole vectors in tiles, the last columns one by one by the same steps.</summary>
    private static void Chains<V>(float* left, float* right, int rank, int n, int rows, int columns, float* destination, float scale)
        where V : struct, IVec<V>
    {
        var whole = columns / Tile.Columns * Tile.Columns;
        for (var k = 0; k < rank; k += Chain)
        {
            Tile.Multiply<V>(left + k, rank, 1, right + ((long)k * n), n, destination, columns, rows, Math.Min(Chain, rank - k), whole, k > 0);
        }

        for (var i = 0; i < rows; i++)
        {
            for (var j = 0; j < whole && scale != 1; j++)
            {
                destination[((long)i * columns) + j] *= scale;
            }

            Rest(left + ((long)i * rank), right, rank, n, whole, columns, destination + ((long)i * columns), scale);
        }
    }

    /// <summary>
    /// So many whole rows, which share what is read of the right factor: its rows lie far apart. The loop over columns is in here because at small
    /// ranks a call for each tile would cost as much as the tile.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Four<V>(float* left, float* right, int rank, nint n, float* destination, float scale)
        where V : struct, IVec<V>
    {
        nint j = 0;
        var times = V.Const(scale);
        for (; j <= n - (2 * V.Lanes); j += 2 * V.Lanes)
        {
            V s0 = default, s1 = default, s2 = default, s3 = default, t0 = default, t1 = default, t2 = default, t3 = default;
            float* a = left, b = right + j;
            for (var k = 0; k < rank; k++)
            {
                var (v, w) = (Load<V>(b), Load<V>(b + V.Lanes));
                var x = V.Const(a[0]);
                (s0, t0) = (V.Fma(x, v, s0), V.Fma(x, w, t0));
                x = V.Const(a[rank]);
                (s1, t1) = (V.Fma(x, v, s1), V.Fma(x, w, t1));
                x = V.Const(a[2 * rank]);
                (s2, t2) = (V.Fma(x, v, s2), V.Fma(x, w, t2));
                x = V.Const(a[3 * rank]);
                (s3, t3) = (V.Fma(x, v, s3), V.Fma(x, w, t3));
                a++;
                b += n;
            }

            Put(times * s0, times * t0, destination + j);
            Put(times * s1, times * t1, destination + n + j);
            Put(times * s2, times * t2, destination + (2 * n) + j);
            Put(times * s3, times * t3, destination + (3 * n) + j);
        }

        for (var i = 0; i < Together; i++)
        {
            One<V>(left + (i * rank), right + j, rank, n, (int)(n - j), destination + (i * n) + j, scale);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void One<V>(float* left, float* right, int rank, nint n, int columns, float* destination, float scale)
        where V : struct, IVec<V>
    {
        var j = 0;
        var times = V.Const(scale);
        for (; j <= columns - (2 * V.Lanes); j += 2 * V.Lanes)
        {
            V s = default, t = default;
            var b = right + j;
            for (var k = 0; k < rank; k++)
            {
                var x = V.Const(left[k]);
                (s, t) = (V.Fma(x, Load<V>(b), s), V.Fma(x, Load<V>(b + V.Lanes), t));
                b += n;
            }

            Put(times * s, times * t, destination + j);
        }

        for (; j <= columns - V.Lanes; j += V.Lanes)
        {
            V s = default;
            var b = right + j;
            for (var k = 0; k < rank; k++)
            {
                s = V.Fma(V.Const(left[k]), Load<V>(b), s);
                b += n;
            }

            V.Store32(times * s, (byte*)(destination + j));
        }

        Rest(left, right, rank, (int)n, j, columns, destination, scale);
    }

    private static void Rest(float* left, float* right, int rank, int n, int from, int columns, float* destination, float scale)
    {
        for (var j = from; j < columns; j++)
        {
            destination[j] = Element(left, right + j, rank, n) * scale;
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

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V Load<V>(float* source)
        where V : struct, IVec<V> => V.Load32((byte*)source);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Put<V>(V s, V t, float* destination)
        where V : struct, IVec<V>
    {
        V.Store32(s, (byte*)destination);
        V.Store32(t, (byte*)(destination + V.Lanes));
    }
}
