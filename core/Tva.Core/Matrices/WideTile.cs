using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Tva.Core.Matrices;

/// <summary>
/// Two float64 matrices in, their product out, as <see cref="Tile"/> does it in float32: every element is one chain of fused steps
/// over the inner index.
/// </summary>
internal static unsafe class WideTile
{
    /// <summary>
    /// c (rows×columns) = a·b, or c += a·b where add; columns is a multiple of <see cref="Tile.Columns"/>. Strides as for
    /// <see cref="Tile.Multiply"/>.
    /// </summary>
    public static void Multiply(
        double* a, nint aRow, nint aStep, double* b, nint bStep, double* c, nint cRow, int rows, int inner, int columns, bool add)
    {
        for (var j = 0; j < columns; j += Tile.Columns)
        {
            var i = 0;
            for (; i + 4 <= rows; i += 4)
            {
                Four(a + (i * aRow), aRow, aStep, b + j, bStep, c + (i * cRow) + j, cRow, inner, add);
            }

            for (; i < rows; i++)
            {
                One(a + (i * aRow), aStep, b + j, bStep, c + (i * cRow) + j, inner, add);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Four(double* a, nint aRow, nint aStep, double* b, nint bStep, double* c, nint cRow, int inner, bool add)
    {
        Vector512<double> s0 = default, s1 = default, s2 = default, s3 = default;
        Vector512<double> t0 = default, t1 = default, t2 = default, t3 = default;
        var last = a + (3 * aRow);
        for (var k = 0; k < inner; k++)
        {
            var (v, w) = (Vector512.Load(b), Vector512.Load(b + 8));
            var x = Vector512.Create(a[0]);
            (s0, t0) = (Vector512.FusedMultiplyAdd(x, v, s0), Vector512.FusedMultiplyAdd(x, w, t0));
            x = Vector512.Create(a[aRow]);
            (s1, t1) = (Vector512.FusedMultiplyAdd(x, v, s1), Vector512.FusedMultiplyAdd(x, w, t1));
            x = Vector512.Create(a[2 * aRow]);
            (s2, t2) = (Vector512.FusedMultiplyAdd(x, v, s2), Vector512.FusedMultiplyAdd(x, w, t2));
            x = Vector512.Create(last[0]);
            (s3, t3) = (Vector512.FusedMultiplyAdd(x, v, s3), Vector512.FusedMultiplyAdd(x, w, t3));
            a += aStep;
            last += aStep;
            b += bStep;
        }

        Put(s0, t0, c, add);
        Put(s1, t1, c + cRow, add);
        Put(s2, t2, c + (2 * cRow), add);
        Put(s3, t3, c + (3 * cRow), add);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void One(double* a, nint aStep, double* b, nint bStep, double* c, int inner, bool add)
    {
        Vector512<double> s = default, t = default;
        for (var k = 0; k < inner; k++)
        {
            var x = Vector512.Create(*a);
            s = Vector512.FusedMultiplyAdd(x, Vector512.Load(b), s);
            t = Vector512.FusedMultiplyAdd(x, Vector512.Load(b + 8), t);
            a += aStep;
            b += bStep;
        }

        Put(s, t, c, add);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Put(Vector512<double> s, Vector512<double> t, double* c, bool add)
    {
        (add ? Vector512.Load(c) + s : s).Store(c);
        (add ? Vector512.Load(c + 8) + t : t).Store(c + 8);
    }
}
