using System.Diagnostics;
using System.Globalization;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Tva.Core.Kernels;
using Tva.Core.Matrices;

namespace Tva.Bench;

/// <summary>Comes in: a number of threads. Goes out: the speed of matrix products beside that of fused steps that touch no memory.</summary>
internal static class Products
{
    /// <summary>One line per size: GFLOP/s and the share of the peak measured just before.</summary>
    public static IEnumerable<string> Run(int threads, int repeats)
    {
        // Square ones; then those of low-rank work, m×n·n×l and its transposed kin.
        (int M, int Inner, int N, string Form)[] sizes =
        [
            (512, 512, 512, "ab"), (768, 768, 768, "ab"), (1024, 1024, 1024, "ab"), (1536, 1536, 1536, "ab"), (2048, 2048, 2048, "ab"),
            (1024, 1024, 1024, "atb"), (1024, 1024, 1024, "abt"), (4096, 4096, 16, "ab"), (4096, 4096, 64, "ab"), (4096, 4096, 64, "atb"),
            (512, 4096, 512, "atb"),
        ];
        foreach (var (m, inner, n, form) in sizes)
        {
            var (a, b, c) = (Numbers((long)m * inner), Numbers((long)inner * n), new float[(long)m * n]);
            var peak = Peak(threads);
            var seconds = Enumerable.Range(0, repeats + 1).Select(_ => Time(() => Multiply(form, a, b, c, m, inner, n, threads))).Skip(1).Min();
            var speed = 2.0 * m * inner * n / seconds / 1e9;
            yield return string.Create(
                CultureInfo.InvariantCulture,
                $"{{\"job\":\"matmul\",\"form\":\"{form}\",\"m\":{m},\"inner\":{inner},\"n\":{n},\"threads\":{threads},\"width\":{CpuKernel.Width},"
                + $"\"peak_GFLOPs\":{peak:F0},\"GFLOPs\":{speed:F0},\"ratio\":{speed / peak:F2}}}");
        }
    }

    /// <summary>The most fused steps a second that all threads do together, in the vectors that the product uses.</summary>
    private static double Peak(int threads)
    {
        const int Steps = 20_000_000;
        var best = double.MaxValue;
        for (var repeat = 0; repeat < 3; repeat++)
        {
            var workers = Enumerable.Range(0, threads).Select(_ => new Thread(() => Chains(Steps))).ToList();
            best = Math.Min(best, Time(() =>
            {
                workers.ForEach(w => w.Start());
                workers.ForEach(w => w.Join());
            }));
        }

        return 2.0 * 12 * (CpuKernel.Width / 32) * Steps * threads / best / 1e9;
    }

    private static float Chains(int steps) => CpuKernel.Width switch
    {
        512 => Chains512(steps),
        256 => Chains256(steps),
        _ => Chains128(steps),
    };

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float Chains512(int steps)
    {
        var (x, y) = (Vector512.Create(0.5f), Vector512.Create(1f));
        Vector512<float> a = y, b = y, c = y, d = y, e = y, f = y, g = y, h = y, i = y, j = y, k = y, l = y;
        for (var n = 0; n < steps; n++)
        {
            (a, b, c) = (Vector512.FusedMultiplyAdd(a, x, y), Vector512.FusedMultiplyAdd(b, x, y), Vector512.FusedMultiplyAdd(c, x, y));
            (d, e, f) = (Vector512.FusedMultiplyAdd(d, x, y), Vector512.FusedMultiplyAdd(e, x, y), Vector512.FusedMultiplyAdd(f, x, y));
            (g, h, i) = (Vector512.FusedMultiplyAdd(g, x, y), Vector512.FusedMultiplyAdd(h, x, y), Vector512.FusedMultiplyAdd(i, x, y));
            (j, k, l) = (Vector512.FusedMultiplyAdd(j, x, y), Vector512.FusedMultiplyAdd(k, x, y), Vector512.FusedMultiplyAdd(l, x, y));
        }

        return (a + b + c + d + e + f + g + h + i + j + k + l)[0];
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float Chains256(int steps)
    {
        var (x, y) = (Vector256.Create(0.5f), Vector256.Create(1f));
        Vector256<float> a = y, b = y, c = y, d = y, e = y, f = y, g = y, h = y, i = y, j = y, k = y, l = y;
        for (var n = 0; n < steps; n++)
        {
            (a, b, c) = (Vector256.FusedMultiplyAdd(a, x, y), Vector256.FusedMultiplyAdd(b, x, y), Vector256.FusedMultiplyAdd(c, x, y));
            (d, e, f) = (Vector256.FusedMultiplyAdd(d, x, y), Vector256.FusedMultiplyAdd(e, x, y), Vector256.FusedMultiplyAdd(f, x, y));
            (g, h, i) = (Vector256.FusedMultiplyAdd(g, x, y), Vector256.FusedMultiplyAdd(h, x, y), Vector256.FusedMultiplyAdd(i, x, y));
            (j, k, l) = (Vector256.FusedMultiplyAdd(j, x, y), Vector256.FusedMultiplyAdd(k, x, y), Vector256.FusedMultiplyAdd(l, x, y));
        }

        return (a + b + c + d + e + f + g + h + i + j + k + l)[0];
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float Chains128(int steps)
    {
        var (x, y) = (Vector128.Create(0.5f), Vector128.Create(1f));
        Vector128<float> a = y, b = y, c = y, d = y, e = y, f = y, g = y, h = y, i = y, j = y, k = y, l = y;
        for (var n = 0; n < steps; n++)
        {
            (a, b, c) = (Vector128.FusedMultiplyAdd(a, x, y), Vector128.FusedMultiplyAdd(b, x, y), Vector128.FusedMultiplyAdd(c, x, y));
            (d, e, f) = (Vector128.FusedMultiplyAdd(d, x, y), Vector128.FusedMultiplyAdd(e, x, y), Vector128.FusedMultiplyAdd(f, x, y));
            (g, h, i) = (Vector128.FusedMultiplyAdd(g, x, y), Vector128.FusedMultiplyAdd(h, x, y), Vector128.FusedMultiplyAdd(i, x, y));
            (j, k, l) = (Vector128.FusedMultiplyAdd(j, x, y), Vector128.FusedMultiplyAdd(k, x, y), Vector128.FusedMultiplyAdd(l, x, y));
        }

        return (a + b + c + d + e + f + g + h + i + j + k + l)[0];
    }

    private static void Multiply(string form, float[] a, float[] b, float[] c, int m, int inner, int n, int threads)
    {
        switch (form)
        {
            case "ab": MatrixProduct.Multiply(a, b, c, m, inner, n, threads); break;
            case "atb": MatrixProduct.MultiplyLeftTransposed(a, b, c, m, inner, n, threads); break;
            default: MatrixProduct.MultiplyRightTransposed(a, b, c, m, inner, n, threads); break;
        }
    }

    private static double Time(Action work)
    {
        var watch = Stopwatch.StartNew();
        work();
        return watch.Elapsed.TotalSeconds;
    }

    private static float[] Numbers(long count)
    {
        var x = new float[count];
        Philox.Fill(Philox.Key(1, "bench"), 0, x);
        return x;
    }
}
