using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Tva.Core.Bases;

/// <summary>A matrix in a longer array: where it begins, and how far apart its rows and its columns are.</summary>
internal readonly record struct Matrix(double[] Values, int Start, int Row, int Column)
{
    public ref double At(int row, int column) =>
        ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(Values), Start + (row * Row) + (column * Column));

    public Matrix Transposed => this with { Row = Column, Column = Row };
}

/// <summary>
/// Two matrices in, their product out. Every element is a sum over the inner index in its order, unfused, whatever the width of
/// the vectors and the tile it falls into: all machines agree to the last bit.
/// </summary>
internal static class RowProduct
{
    /// <summary>
    /// c = a·b, with a rows×inner, b inner×columns; rows of b and c lie contiguous and columns is a multiple of the width.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply(Matrix a, Matrix b, Matrix c, int rows, int inner, int columns)
    {
        var width = Vector<double>.Count;
        for (var i = 0; i < rows; i += 2)
        {
            // The last row of an odd number is done twice.
            var second = Math.Min(i + 1, rows - 1);
            ref var x = ref a.At(i, 0);
            ref var y = ref a.At(second, 0);
            var j = 0;
            for (; j + (4 * width) <= columns; j += 4 * width)
            {
                TwoByFour(ref x, ref y, a.Column, ref b.At(0, j), b.Row, ref c.At(i, j), ref c.At(second, j), inner);
            }

            for (; j < columns; j += width)
            {
                TwoByOne(ref x, ref y, a.Column, ref b.At(0, j), b.Row, ref c.At(i, j), ref c.At(second, j), inner);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void TwoByFour(
        ref double a0, ref double a1, int next, ref double b, int row, ref double c0, ref double c1, int inner)
    {
        var width = (nuint)Vector<double>.Count;
        Vector<double> s0 = default, s1 = default, s2 = default, s3 = default;
        Vector<double> t0 = default, t1 = default, t2 = default, t3 = default;
        for (var k = 0; k < inner; k++)
        {
            var (x, y) = (new Vector<double>(a0), new Vector<double>(a1));
            var v0 = Vector.LoadUnsafe(ref b);
            var v1 = Vector.LoadUnsafe(ref b, width);
            var v2 = Vector.LoadUnsafe(ref b, 2 * width);
            var v3 = Vector.LoadUnsafe(ref b, 3 * width);
            (s0, s1, s2, s3) = (s0 + (x * v0), s1 + (x * v1), s2 + (x * v2), s3 + (x * v3));
            (t0, t1, t2, t3) = (t0 + (y * v0), t1 + (y * v1), t2 + (y * v2), t3 + (y * v3));
            a0 = ref Unsafe.Add(ref a0, next);
            a1 = ref Unsafe.Add(ref a1, next);
            b = ref Unsafe.Add(ref b, row);
        }

        Store(s0, s1, s2, s3, ref c0);
        Store(t0, t1, t2, t3, ref c1);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void TwoByOne(
        ref double a0, ref double a1, int next, ref double b, int row, ref double c0, ref double c1, int inner)
    {
        Vector<double> s = default, t = default;
        for (var k = 0; k < inner; k++)
        {
            var v = Vector.LoadUnsafe(ref b);
            s += new Vector<double>(a0) * v;
            t += new Vector<double>(a1) * v;
            a0 = ref Unsafe.Add(ref a0, next);
            a1 = ref Unsafe.Add(ref a1, next);
            b = ref Unsafe.Add(ref b, row);
        }

        s.StoreUnsafe(ref c0);
        t.StoreUnsafe(ref c1);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(Vector<double> v0, Vector<double> v1, Vector<double> v2, Vector<double> v3, ref double c)
    {
        var width = (nuint)Vector<double>.Count;
        v0.StoreUnsafe(ref c);
        v1.StoreUnsafe(ref c, width);
        v2.StoreUnsafe(ref c, 2 * width);
        v3.StoreUnsafe(ref c, 3 * width);
    }
}
