using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Tva.Core.Execution;

/// <summary>
/// Comes in: runs of float32 streams. Goes out: Σ x·y in float64. The product of element i goes to lane i mod 16 in the order of i, and
/// the lanes are folded in one order. A lane's sum may be left and taken up again anywhere, so a dot has the same bits alone, in a tile
/// with others, in runs of any length and in vectors of any width (the product of two float32 is exact, so fused or not is the same).
/// </summary>
internal static unsafe class Dots
{
    /// <summary>Doubles that a dot under way consists of.</summary>
    public const int Lanes = 16;

    /// <summary>Streams on each side of a tile.</summary>
    public const int Side = 4;

    /// <summary>A dot on its own.</summary>
    public static double Of(float* a, float* b, nint n)
    {
        var lanes = stackalloc double[Lanes];
        new Span<double>(lanes, Lanes).Clear();
        Add(a, b, n, lanes);
        return Fold(lanes);
    }

    /// <summary>Adds a run of one pair to its lanes; unless it is the last it has whole multiples of 16 elements.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Add(float* a, float* b, nint n, double* lanes)
    {
        // Four accumulators hide the addition's latency.
        Vector256<double> s0 = Vector256.Load(lanes), s1 = Vector256.Load(lanes + 4), s2 = Vector256.Load(lanes + 8), s3 = Vector256.Load(lanes + 12);
        nint i = 0;
        for (; i <= n - Lanes; i += Lanes)
        {
            var (x0, x1) = Vector256.Widen(Vector256.Load(a + i));
            var (x2, x3) = Vector256.Widen(Vector256.Load(a + i + 8));
            var (y0, y1) = Vector256.Widen(Vector256.Load(b + i));
            var (y2, y3) = Vector256.Widen(Vector256.Load(b + i + 8));
            s0 = Vector256.MultiplyAddEstimate(x0, y0, s0);
            s1 = Vector256.MultiplyAddEstimate(x1, y1, s1);
            s2 = Vector256.MultiplyAddEstimate(x2, y2, s2);
            s3 = Vector256.MultiplyAddEstimate(x3, y3, s3);
        }

        s0.Store(lanes);
        s1.Store(lanes + 4);
        s2.Store(lanes + 8);
        s3.Store(lanes + 12);
        for (var lane = 0; i < n; i++, lane++)
        {
            lanes[lane] += (double)a[i] * b[i];
        }
    }

    /// <summary>The lanes' sum; they are used up.</summary>
    public static double Fold(double* lanes)
    {
        for (var half = Lanes / 2; half > 0; half /= 2)
        {
            for (var lane = 0; lane < half; lane++)
            {
                lanes[lane] += lanes[lane + half];
            }
        }

        return lanes[0];
    }

    /// <summary>Adds a run of every pair of four streams and four streams to the pairs' lanes.</summary>
    /// <param name="rows">Four streams.</param>
    /// <param name="columns">Four streams.</param>
    /// <param name="lanes">Sixteen places, a row after the other; those of pairs that nobody wants may be one and the same.</param>
    /// <param name="n">Elements, a multiple of 16. Zeros that fill it up change nothing: a sum from +0 on is never −0.</param>
    /// <param name="width">512, 256 or 128 bits.</param>
    public static void Tile(float** rows, float** columns, double** lanes, nint n, int width)
    {
        if (width == 512)
        {
            Whole<Eight>(rows, columns, lanes, n);
        }
        else if (width == 256)
        {
            Half<Four>(rows, columns, lanes, n);
            Half<Four>(rows, columns + 2, lanes + 2, n);
        }
        else
        {
            Half<Two>(rows, columns, lanes, n);
            Half<Two>(rows, columns + 2, lanes + 2, n);
        }
    }

    /// <summary>Adds a run of every pair among four streams, each with itself too, to the pairs' lanes; else as <see cref="Tile"/>.</summary>
    /// <param name="streams">Four streams.</param>
    /// <param name="lanes">Ten places: 0·0, 0·1, 0·2, 0·3, 1·1, 1·2, 1·3, 2·2, 2·3, 3·3.</param>
    /// <param name="n">Elements, a multiple of 16.</param>
    /// <param name="width">512, 256 or 128 bits.</param>
    public static void Triangle(float** streams, double** lanes, nint n, int width)
    {
        if (width == 512)
        {
            Triangle<Eight>(streams, lanes, n);
        }
        else if (width == 256)
        {
            Triangle<Four>(streams, lanes, n);
        }
        else
        {
            Triangle<Two>(streams, lanes, n);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Triangle<V>(float** streams, double** lanes, nint n)
        where V : struct, IDoubles<V>
    {
        float* a0 = streams[0], a1 = streams[1], a2 = streams[2], a3 = streams[3];
        for (var h = 0; h < Lanes; h += V.Count)
        {
            V s00 = V.Load(lanes[0] + h), s01 = V.Load(lanes[1] + h), s02 = V.Load(lanes[2] + h), s03 = V.Load(lanes[3] + h);
            V s11 = V.Load(lanes[4] + h), s12 = V.Load(lanes[5] + h), s13 = V.Load(lanes[6] + h);
            V s22 = V.Load(lanes[7] + h), s23 = V.Load(lanes[8] + h), s33 = V.Load(lanes[9] + h);
            for (nint i = h; i < n; i += Lanes)
            {
                V x0 = V.Widen(a0 + i), x1 = V.Widen(a1 + i), x2 = V.Widen(a2 + i), x3 = V.Widen(a3 + i);
                (s00, s01, s02, s03) = (V.Fma(x0, x0, s00), V.Fma(x0, x1, s01), V.Fma(x0, x2, s02), V.Fma(x0, x3, s03));
                (s11, s12, s13) = (V.Fma(x1, x1, s11), V.Fma(x1, x2, s12), V.Fma(x1, x3, s13));
                (s22, s23, s33) = (V.Fma(x2, x2, s22), V.Fma(x2, x3, s23), V.Fma(x3, x3, s33));
            }

            V.Store(s00, lanes[0] + h);
            V.Store(s01, lanes[1] + h);
            V.Store(s02, lanes[2] + h);
            V.Store(s03, lanes[3] + h);
            V.Store(s11, lanes[4] + h);
            V.Store(s12, lanes[5] + h);
            V.Store(s13, lanes[6] + h);
            V.Store(s22, lanes[7] + h);
            V.Store(s23, lanes[8] + h);
            V.Store(s33, lanes[9] + h);
        }
    }

    /// <summary>All sixteen at once: twenty-one registers. Lanes that one vector doesn't hold come in another turn.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Whole<V>(float** rows, float** columns, double** lanes, nint n)
        where V : struct, IDoubles<V>
    {
        float* a0 = rows[0], a1 = rows[1], a2 = rows[2], a3 = rows[3];
        float* b0 = columns[0], b1 = columns[1], b2 = columns[2], b3 = columns[3];
        for (var h = 0; h < Lanes; h += V.Count)
        {
            V s00 = V.Load(lanes[0] + h), s01 = V.Load(lanes[1] + h), s02 = V.Load(lanes[2] + h), s03 = V.Load(lanes[3] + h);
            V s10 = V.Load(lanes[4] + h), s11 = V.Load(lanes[5] + h), s12 = V.Load(lanes[6] + h), s13 = V.Load(lanes[7] + h);
            V s20 = V.Load(lanes[8] + h), s21 = V.Load(lanes[9] + h), s22 = V.Load(lanes[10] + h), s23 = V.Load(lanes[11] + h);
            V s30 = V.Load(lanes[12] + h), s31 = V.Load(lanes[13] + h), s32 = V.Load(lanes[14] + h), s33 = V.Load(lanes[15] + h);
            for (nint i = h; i < n; i += Lanes)
            {
                V x0 = V.Widen(a0 + i), x1 = V.Widen(a1 + i), x2 = V.Widen(a2 + i), x3 = V.Widen(a3 + i);
                var y = V.Widen(b0 + i);
                (s00, s10, s20, s30) = (V.Fma(x0, y, s00), V.Fma(x1, y, s10), V.Fma(x2, y, s20), V.Fma(x3, y, s30));
                y = V.Widen(b1 + i);
                (s01, s11, s21, s31) = (V.Fma(x0, y, s01), V.Fma(x1, y, s11), V.Fma(x2, y, s21), V.Fma(x3, y, s31));
                y = V.Widen(b2 + i);
                (s02, s12, s22, s32) = (V.Fma(x0, y, s02), V.Fma(x1, y, s12), V.Fma(x2, y, s22), V.Fma(x3, y, s32));
                y = V.Widen(b3 + i);
                (s03, s13, s23, s33) = (V.Fma(x0, y, s03), V.Fma(x1, y, s13), V.Fma(x2, y, s23), V.Fma(x3, y, s33));
            }

            V.Store(s00, lanes[0] + h);
            V.Store(s01, lanes[1] + h);
            V.Store(s02, lanes[2] + h);
            V.Store(s03, lanes[3] + h);
            V.Store(s10, lanes[4] + h);
            V.Store(s11, lanes[5] + h);
            V.Store(s12, lanes[6] + h);
            V.Store(s13, lanes[7] + h);
            V.Store(s20, lanes[8] + h);
            V.Store(s21, lanes[9] + h);
            V.Store(s22, lanes[10] + h);
            V.Store(s23, lanes[11] + h);
            V.Store(s30, lanes[12] + h);
            V.Store(s31, lanes[13] + h);
            V.Store(s32, lanes[14] + h);
            V.Store(s33, lanes[15] + h);
        }
    }

    /// <summary>The first two columns, where there are sixteen registers: with all four they would go through memory, 1.4 x the time.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Half<V>(float** rows, float** columns, double** lanes, nint n)
        where V : struct, IDoubles<V>
    {
        float* a0 = rows[0], a1 = rows[1], a2 = rows[2], a3 = rows[3];
        float* b0 = columns[0], b1 = columns[1];
        for (var h = 0; h < Lanes; h += V.Count)
        {
            V s00 = V.Load(lanes[0] + h), s01 = V.Load(lanes[1] + h), s10 = V.Load(lanes[4] + h), s11 = V.Load(lanes[5] + h);
            V s20 = V.Load(lanes[8] + h), s21 = V.Load(lanes[9] + h), s30 = V.Load(lanes[12] + h), s31 = V.Load(lanes[13] + h);
            for (nint i = h; i < n; i += Lanes)
            {
                V x0 = V.Widen(a0 + i), x1 = V.Widen(a1 + i), x2 = V.Widen(a2 + i), x3 = V.Widen(a3 + i);
                var y = V.Widen(b0 + i);
                (s00, s10, s20, s30) = (V.Fma(x0, y, s00), V.Fma(x1, y, s10), V.Fma(x2, y, s20), V.Fma(x3, y, s30));
                y = V.Widen(b1 + i);
                (s01, s11, s21, s31) = (V.Fma(x0, y, s01), V.Fma(x1, y, s11), V.Fma(x2, y, s21), V.Fma(x3, y, s31));
            }

            V.Store(s00, lanes[0] + h);
            V.Store(s01, lanes[1] + h);
            V.Store(s10, lanes[4] + h);
            V.Store(s11, lanes[5] + h);
            V.Store(s20, lanes[8] + h);
            V.Store(s21, lanes[9] + h);
            V.Store(s30, lanes[12] + h);
            V.Store(s31, lanes[13] + h);
        }
    }

    /// <summary>A vector of doubles, as one width has it.</summary>
    private interface IDoubles<V>
        where V : struct, IDoubles<V>
    {
        static abstract int Count { get; }

        static abstract V Widen(float* source);

        static abstract V Load(double* source);

        static abstract void Store(V value, double* destination);

        static abstract V Fma(V a, V b, V c);
    }

    private readonly struct Eight(Vector512<double> value) : IDoubles<Eight>
    {
        private readonly Vector512<double> value = value;

        public static int Count => 8;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Eight Widen(float* source) => new(Avx512F.ConvertToVector512Double(Vector256.Load(source)));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Eight Load(double* source) => new(Vector512.Load(source));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Store(Eight value, double* destination) => value.value.Store(destination);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Eight Fma(Eight a, Eight b, Eight c) => new(Vector512.MultiplyAddEstimate(a.value, b.value, c.value));
    }

    private readonly struct Four(Vector256<double> value) : IDoubles<Four>
    {
        private readonly Vector256<double> value = value;

        public static int Count => 4;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Four Widen(float* source) =>
            new(Avx.IsSupported ? Avx.ConvertToVector256Double(Vector128.Load(source)) : Vector256.WidenLower(Vector128.Load(source).ToVector256Unsafe()));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Four Load(double* source) => new(Vector256.Load(source));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Store(Four value, double* destination) => value.value.Store(destination);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Four Fma(Four a, Four b, Four c) => new(Vector256.MultiplyAddEstimate(a.value, b.value, c.value));
    }

    private readonly struct Two(Vector128<double> value) : IDoubles<Two>
    {
        private readonly Vector128<double> value = value;

        public static int Count => 2;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Two Widen(float* source) => new(Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(double*)source).AsSingle()));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Two Load(double* source) => new(Vector128.Load(source));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Store(Two value, double* destination) => value.value.Store(destination);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Two Fma(Two a, Two b, Two c) => new(Vector128.MultiplyAddEstimate(a.value, b.value, c.value));
    }
}
