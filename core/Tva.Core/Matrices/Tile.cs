using System.Runtime.CompilerServices;
using Tva.Core.Kernels.Vectors;

namespace Tva.Core.Matrices;

/// <summary>
/// Strips of two operands in, a tile of their product out. Every element is one chain of fused steps over the inner index, so its
/// bits depend neither on the width of the vectors nor on the tile it falls into. The left operand is read by broadcast, with any
/// strides; the right one in whole vectors.
/// </summary>
internal static unsafe class Tile
{
    /// <summary>Rows of the two tall tiles: a multiple of both keeps their remainders empty.</summary>
    public const int Rows = 12;

    /// <summary>Columns that the right operand and the result must come in: a multiple of every vector's lanes.</summary>
    public const int Columns = 16;

    /// <summary>
    /// c (rows×columns) = a·b, or c += a·b where add; columns is a multiple of <see cref="Columns"/>, as is the memory behind b
    /// and c.
    /// </summary>
    /// <param name="a">Element (i, k) lies at i·aRow + k·aStep.</param>
    /// <param name="aRow">See a.</param>
    /// <param name="aStep">See a.</param>
    /// <param name="b">Element (k, j) lies at k·bStep + j.</param>
    /// <param name="bStep">See b.</param>
    /// <param name="c">Element (i, j) lies at i·cRow + j.</param>
    /// <param name="cRow">See c.</param>
    /// <param name="rows">Of a and c.</param>
    /// <param name="inner">Columns of a, rows of b.</param>
    /// <param name="columns">Of b and c.</param>
    /// <param name="add">Whether the product is added to what c holds.</param>
    public static void Multiply<V>(
        float* a, nint aRow, nint aStep, float* b, nint bStep, float* c, nint cRow, int rows, int inner, int columns, bool add)
        where V : struct, IVec<V>
    {
        var j = 0;
        for (; j + (2 * V.Lanes) <= columns; j += 2 * V.Lanes)
        {
            var i = 0;
            for (; i + 6 <= rows; i += 6)
            {
                SixByTwo<V>(a + (i * aRow), aRow, aStep, b + j, bStep, c + (i * cRow) + j, cRow, inner, add);
            }

            for (; i < rows; i++)
            {
                One<V>(a + (i * aRow), aStep, b + j, bStep, c + (i * cRow) + j, inner, add);
                One<V>(a + (i * aRow), aStep, b + j + V.Lanes, bStep, c + (i * cRow) + j + V.Lanes, inner, add);
            }
        }

        for (; j < columns; j += V.Lanes)
        {
            var i = 0;
            for (; i + 12 <= rows; i += 12)
            {
                TwelveByOne<V>(a + (i * aRow), aRow, aStep, b + j, bStep, c + (i * cRow) + j, cRow, inner, add);
            }

            for (; i < rows; i++)
            {
                One<V>(a + (i * aRow), aStep, b + j, bStep, c + (i * cRow) + j, inner, add);
            }
        }
    }

    /// <summary>
    /// The same for one strip of <see cref="Columns"/> columns where a lies as it lies in a large matrix: six rows at a time, for a cache keeps but
    /// eight lines that are a power of two apart.
    /// </summary>
    public static void Narrow<V>(
        float* a, nint aRow, float* b, float* c, nint cRow, int rows, int inner, bool add)
        where V : struct, IVec<V>
    {
        for (var j = 0; j < Columns; j += V.Lanes)
        {
            var i = 0;
            for (; i + 6 <= rows; i += 6)
            {
                SixByOne<V>(a + (i * aRow), aRow, b + j, c + (i * cRow) + j, cRow, inner, add);
            }

            for (; i < rows; i++)
            {
                One<V>(a + (i * aRow), 1, b + j, Columns, c + (i * cRow) + j, inner, add);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void SixByOne<V>(float* a, nint aRow, float* b, float* c, nint cRow, int inner, bool add)
        where V : struct, IVec<V>
    {
        V s0 = default, s1 = default, s2 = default, s3 = default, s4 = default, s5 = default;
        var a3 = a + (3 * aRow);
        for (var k = 0; k < inner; k++)
        {
            var v = Load<V>(b);
            s0 = V.Fma(V.Const(a[0]), v, s0);
            s1 = V.Fma(V.Const(a[aRow]), v, s1);
            s2 = V.Fma(V.Const(a[2 * aRow]), v, s2);
            s3 = V.Fma(V.Const(a3[0]), v, s3);
            s4 = V.Fma(V.Const(a3[aRow]), v, s4);
            s5 = V.Fma(V.Const(a3[2 * aRow]), v, s5);
            a++;
            a3++;
            b += Columns;
        }

        Put(s0, c, add);
        Put(s1, c + cRow, add);
        Put(s2, c + (2 * cRow), add);
        Put(s3, c + (3 * cRow), add);
        Put(s4, c + (4 * cRow), add);
        Put(s5, c + (5 * cRow), add);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void SixByTwo<V>(
        float* a, nint aRow, nint aStep, float* b, nint bStep, float* c, nint cRow, int inner, bool add)
        where V : struct, IVec<V>
    {
        V s0 = default, s1 = default, s2 = default, s3 = default, s4 = default, s5 = default;
        V t0 = default, t1 = default, t2 = default, t3 = default, t4 = default, t5 = default;
        var a3 = a + (3 * aRow);
        for (var k = 0; k < inner; k++)
        {
            var (v, w) = (Load<V>(b), Load<V>(b + V.Lanes));
            var x = V.Const(a[0]);
            (s0, t0) = (V.Fma(x, v, s0), V.Fma(x, w, t0));
            x = V.Const(a[aRow]);
            (s1, t1) = (V.Fma(x, v, s1), V.Fma(x, w, t1));
            x = V.Const(a[2 * aRow]);
            (s2, t2) = (V.Fma(x, v, s2), V.Fma(x, w, t2));
            x = V.Const(a3[0]);
            (s3, t3) = (V.Fma(x, v, s3), V.Fma(x, w, t3));
            x = V.Const(a3[aRow]);
            (s4, t4) = (V.Fma(x, v, s4), V.Fma(x, w, t4));
            x = V.Const(a3[2 * aRow]);
            (s5, t5) = (V.Fma(x, v, s5), V.Fma(x, w, t5));
            a += aStep;
            a3 += aStep;
            b += bStep;
        }

        Put(s0, t0, c, add);
        Put(s1, t1, c + cRow, add);
        Put(s2, t2, c + (2 * cRow), add);
        Put(s3, t3, c + (3 * cRow), add);
        Put(s4, t4, c + (4 * cRow), add);
        Put(s5, t5, c + (5 * cRow), add);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void TwelveByOne<V>(
        float* a, nint aRow, nint aStep, float* b, nint bStep, float* c, nint cRow, int inner, bool add)
        where V : struct, IVec<V>
    {
        V s0 = default, s1 = default, s2 = default, s3 = default, s4 = default, s5 = default;
        V s6 = default, s7 = default, s8 = default, s9 = default, s10 = default, s11 = default;
        var a3 = a + (3 * aRow);
        var a6 = a + (6 * aRow);
        var a9 = a + (9 * aRow);
        for (var k = 0; k < inner; k++)
        {
            var v = Load<V>(b);
            s0 = V.Fma(V.Const(a[0]), v, s0);
            s1 = V.Fma(V.Const(a[aRow]), v, s1);
            s2 = V.Fma(V.Const(a[2 * aRow]), v, s2);
            s3 = V.Fma(V.Const(a3[0]), v, s3);
            s4 = V.Fma(V.Const(a3[aRow]), v, s4);
            s5 = V.Fma(V.Const(a3[2 * aRow]), v, s5);
            s6 = V.Fma(V.Const(a6[0]), v, s6);
            s7 = V.Fma(V.Const(a6[aRow]), v, s7);
            s8 = V.Fma(V.Const(a6[2 * aRow]), v, s8);
            s9 = V.Fma(V.Const(a9[0]), v, s9);
            s10 = V.Fma(V.Const(a9[aRow]), v, s10);
            s11 = V.Fma(V.Const(a9[2 * aRow]), v, s11);
            a += aStep;
            a3 += aStep;
            a6 += aStep;
            a9 += aStep;
            b += bStep;
        }

        Put(s0, c, add);
        Put(s1, c + cRow, add);
        Put(s2, c + (2 * cRow), add);
        Put(s3, c + (3 * cRow), add);
        Put(s4, c + (4 * cRow), add);
        Put(s5, c + (5 * cRow), add);
        Put(s6, c + (6 * cRow), add);
        Put(s7, c + (7 * cRow), add);
        Put(s8, c + (8 * cRow), add);
        Put(s9, c + (9 * cRow), add);
        Put(s10, c + (10 * cRow), add);
        Put(s11, c + (11 * cRow), add);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void One<V>(float* a, nint aStep, float* b, nint bStep, float* c, int inner, bool add)
        where V : struct, IVec<V>
    {
        V sum = default;
        for (var k = 0; k < inner; k++)
        {
            sum = V.Fma(V.Const(*a), Load<V>(b), sum);
            a += aStep;
            b += bStep;
        }

        Put(sum, c, add);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V Load<V>(float* source)
        where V : struct, IVec<V> => V.Load32((byte*)source);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Put<V>(V sum, V next, float* c, bool add)
        where V : struct, IVec<V>
    {
        Put(sum, c, add);
        Put(next, c + V.Lanes, add);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Put<V>(V sum, float* c, bool add)
        where V : struct, IVec<V> => V.Store32(add ? Load<V>(c) + sum : sum, (byte*)c);
}
