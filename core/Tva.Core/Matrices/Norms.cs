using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Tva.Core.Matrices;

/// <summary>Float32 numbers in, sums of their squares and products in float64 out, over parts of fixed length in order.</summary>
internal static unsafe class Norms
{
    private const int Part = 1 << 18;

    /// <summary>Σx²: finite exactly if all of x is.</summary>
    public static double Square(float* x, long count, int threads, CancellationToken cancel) => Dot(x, x, count, threads, cancel);

    /// <summary>Σxy.</summary>
    public static double Dot(float* x, float* y, long count, int threads, CancellationToken cancel)
    {
        var sums = new double[(count + Part - 1) / Part];
        Lots.Run(sums.Length, threads, cancel, part =>
            sums[part] = Dot(x + ((long)part * Part), y + ((long)part * Part), (int)Math.Min(Part, count - ((long)part * Part))));
        return sums.Sum();
    }

    /// <summary>y = factor·x.</summary>
    public static void Scale(float* x, double factor, float* y, long count, int threads, CancellationToken cancel) =>
        Lots.Run((int)((count + Part - 1) / Part), threads, cancel, part =>
        {
            var first = (long)part * Part;
            for (var i = first; i < Math.Min(first + Part, count); i++)
            {
                y[i] = (float)(x[i] * factor);
            }
        });

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static double Dot(float* x, float* y, int count)
    {
        Vector256<double> s0 = default, s1 = default;
        var i = 0;
        for (; i + 8 <= count; i += 8)
        {
            var (x0, x1) = Vector256.Widen(Vector256.Load(x + i));
            var (y0, y1) = Vector256.Widen(Vector256.Load(y + i));
            (s0, s1) = (s0 + (x0 * y0), s1 + (x1 * y1));
        }

        s0 += s1;
        var sum = s0[0] + s0[1] + s0[2] + s0[3];
        for (; i < count; i++)
        {
            sum += (double)x[i] * y[i];
        }

        return sum;
    }
}
