using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Tva.Core.Execution;

/// <summary>
/// Comes in: a run of float32 values (two for Dot). Goes out: its reduction in float64. Sums always use 16 lanes, as <see cref="Dots"/>
/// do: element i in lane i mod 16, folded in one order, so the bits don't depend on how wide the machine's vectors are.
/// </summary>
internal static unsafe class Reducers
{
    private const int Lanes = Dots.Lanes;
    private const int MagnitudeMask = int.MaxValue;

    /// <summary>The reduction of <paramref name="n"/> values, at most a cell.</summary>
    public static double Reduce(ReduceKind kind, float* a, float* b, nint n) => kind switch
    {
        ReduceKind.Sum => Sum<Plain>(a, n),
        ReduceKind.SumAbs => Sum<Magnitude>(a, n),
        ReduceKind.Dot => Dots.Of(a, b, n),
        ReduceKind.MaxAbs => MaxAbs(a, n),
        ReduceKind.Min => -MaxOf(a, n, -1),
        ReduceKind.Max => MaxOf(a, n, 1),
        ReduceKind.CountNonzero => CountNonzero(a, n),
        _ => throw new ArgumentOutOfRangeException(nameof(kind)),
    };

    /// <summary>Two parts' results as one.</summary>
    public static double Combine(ReduceKind kind, double x, double y) => kind switch
    {
        ReduceKind.MaxAbs or ReduceKind.Max => Math.Max(x, y),
        ReduceKind.Min => Math.Min(x, y),
        _ => x + y,
    };

    /// <summary>The result of nothing at all: 0, but there is no smallest or largest of no number.</summary>
    public static double Empty(ReduceKind kind) => kind is ReduceKind.Min or ReduceKind.Max or ReduceKind.Quantile ? double.NaN : 0;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static double Sum<TTerm>(float* a, nint n)
        where TTerm : struct, ITerm
    {
        // Four accumulators hide the addition's latency; converting then is what it costs, a quarter of a cycle per element.
        Vector256<double> s0 = default, s1 = default, s2 = default, s3 = default;
        nint i = 0;
        for (; i <= n - Lanes; i += Lanes)
        {
            var (x0, x1) = Vector256.Widen(Vector256.Load(a + i));
            var (x2, x3) = Vector256.Widen(Vector256.Load(a + i + 8));
            s0 += TTerm.Of(x0);
            s1 += TTerm.Of(x1);
            s2 += TTerm.Of(x2);
            s3 += TTerm.Of(x3);
        }

        var lanes = stackalloc double[Lanes];
        s0.Store(lanes);
        s1.Store(lanes + 4);
        s2.Store(lanes + 8);
        s3.Store(lanes + 12);
        for (var lane = 0; i < n; i++, lane++)
        {
            lanes[lane] += typeof(TTerm) == typeof(Magnitude) ? Math.Abs((double)a[i]) : a[i];
        }

        return Dots.Fold(lanes);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static double MaxAbs(float* a, nint n)
    {
        // As integers magnitudes order like the numbers, and NaN above all of them.
        var max = Vector256<int>.Zero;
        var mask = Vector256.Create(MagnitudeMask);
        nint i = 0;
        for (; i <= n - 8; i += 8)
        {
            max = Vector256.Max(max, Vector256.Load((int*)(a + i)) & mask);
        }

        var result = 0;
        for (var lane = 0; lane < 8; lane++)
        {
            result = Math.Max(result, max[lane]);
        }

        for (; i < n; i++)
        {
            result = Math.Max(result, *(int*)(a + i) & MagnitudeMask);
        }

        return BitConverter.Int32BitsToSingle(result);
    }

    /// <summary>The maximum of sign · x, NaN where any is NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static double MaxOf(float* a, nint n, float sign)
    {
        var max = Vector256.Create(float.NegativeInfinity);
        var signs = Vector256.Create(sign);
        nint i = 0;
        for (; i <= n - 8; i += 8)
        {
            max = Vector256.Max(max, Vector256.Load(a + i) * signs);
        }

        var result = float.NegativeInfinity;
        for (var lane = 0; lane < 8; lane++)
        {
            result = Math.Max(result, max[lane]);
        }

        for (; i < n; i++)
        {
            result = Math.Max(result, a[i] * sign);
        }

        return result;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static double CountNonzero(float* a, nint n)
    {
        var zeros = Vector256<int>.Zero;
        nint i = 0;
        for (; i <= n - 8; i += 8)
        {
            zeros -= Vector256.Equals(Vector256.Load(a + i), Vector256<float>.Zero).AsInt32();
        }

        long count = i - Vector256.Sum(zeros);
        for (; i < n; i++)
        {
            count += a[i] == 0 ? 0 : 1;
        }

        return count;
    }

    private interface ITerm
    {
        static abstract Vector256<double> Of(Vector256<double> x);
    }

    private readonly struct Plain : ITerm
    {
        public static Vector256<double> Of(Vector256<double> x) => x;
    }

    private readonly struct Magnitude : ITerm
    {
        public static Vector256<double> Of(Vector256<double> x) => Vector256.Abs(x);
    }
}
