using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Tva.Core.Matrices;

/// <summary>
/// A symmetric matrix A (n×n, float64, overwritten) in, a tridiagonal T = QᵀAQ by Householder's reflections out, and Q·y for rows y.
/// Updating for one reflection and multiplying for the next share one reading of A.
/// </summary>
internal sealed unsafe class Tridiagonal
{
    private const int RowsAtOnce = 32;
    private const int WorthThreads = 300;

    private readonly double[] a;
    private readonly double[] factors;
    private readonly int n;

    /// <summary>Reduces a, whose rows keep the reflections.</summary>
    public Tridiagonal(double[] a, int n, int threads, CancellationToken cancel)
    {
        (this.a, this.n) = (a, n);
        (Diagonal, Beside, factors) = (new double[n], new double[n], new double[n]);
        var (v, w, next, product) = (new double[n], new double[n], new double[n], new double[n]);
        fixed (double* matrix = a)
        {
            var memory = (nint)matrix;
            for (var k = 0; k < n; k++)
            {
                // Row k as the reflections before have left it; v and w, those of the last, begin at column k.
                var row = matrix + ((long)k * n);
                if (k > 0)
                {
                    Update(row + k, v.AsSpan(k), w.AsSpan(k), v[k], w[k]);
                }

                Diagonal[k] = row[k];
                var rest = n - k - 1;
                if (rest == 0)
                {
                    break;
                }

                Beside[k] = Reflection(new Span<double>(row + k + 1, rest), out factors[k]);
                new Span<double>(row + k + 1, rest).CopyTo(next.AsSpan(k + 1));
                var (from, first) = (k + 1, k > 0);
                Lots.Run((rest + RowsAtOnce - 1) / RowsAtOnce, rest < WorthThreads ? 1 : threads, cancel, lot =>
                {
                    var end = Math.Min(from + ((lot + 1) * RowsAtOnce), n);
                    for (var i = from + (lot * RowsAtOnce); i < end; i++)
                    {
                        var here = (double*)memory + ((long)i * n) + from;
                        if (first)
                        {
                            Update(here, v.AsSpan(from), w.AsSpan(from), v[i], w[i]);
                        }

                        product[i] = Dot(here, next.AsSpan(from));
                    }
                });

                // w = p − (β/2)(vᵀp)v with p = βAv, so that the reflected A is A − vwᵀ − wvᵀ.
                next.AsSpan(from).CopyTo(v.AsSpan(from));
                var half = 0.0;
                for (var i = from; i < n; i++)
                {
                    half += v[i] * product[i];
                }

                half *= factors[k] * factors[k] / 2;
                for (var i = from; i < n; i++)
                {
                    w[i] = (factors[k] * product[i]) - (half * v[i]);
                }
            }
        }
    }

    /// <summary>T's diagonal.</summary>
    public double[] Diagonal { get; }

    /// <summary>T's elements beside it, n − 1 of them.</summary>
    public double[] Beside { get; }

    /// <summary>Rows y of n become (Q·y)ᵀ.</summary>
    public void Apply(double[] y, int rows, int threads, CancellationToken cancel) =>
        Lots.Run((rows + 15) / 16, threads, cancel, lot =>
        {
            fixed (double* reflections = a, first = y)
            {
                for (var k = n - 2; k >= 0; k--)
                {
                    var v = reflections + ((long)k * n) + k + 1;
                    for (var i = lot * 16; i < Math.Min((lot * 16) + 16, rows) && factors[k] != 0; i++)
                    {
                        var row = first + ((long)i * n) + k + 1;
                        var rest = new ReadOnlySpan<double>(v, n - k - 1);
                        Update(row, rest, [], 0, factors[k] * Dot(row, rest));
                    }
                }
            }
        });

    /// <summary>Makes v of x so that (1 − βvvᵀ)x has its first element alone, which is returned; β is 0 where x is that already.</summary>
    private static double Reflection(Span<double> x, out double beta)
    {
        var square = 0.0;
        for (var i = 1; i < x.Length; i++)
        {
            square += x[i] * x[i];
        }

        beta = 0;
        var first = x[0];
        if (square == 0)
        {
            x.Clear();
            return first;
        }

        var norm = Math.Sqrt((first * first) + square);
        var image = first > 0 ? -norm : norm;
        x[0] = first - image;
        beta = 2 / ((x[0] * x[0]) + square);
        return image;
    }

    /// <summary>row −= wi·v + vi·w, w as long as v or, where vi is 0, empty.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Update(double* row, ReadOnlySpan<double> v, ReadOnlySpan<double> w, double vi, double wi)
    {
        fixed (double* x = v, y = w)
        {
            var (i, count, two) = (0, v.Length, w.Length > 0);
            var (left, right) = (Vector512.Create(-wi), Vector512.Create(-vi));
            for (; i + 8 <= count; i += 8)
            {
                var sum = Vector512.FusedMultiplyAdd(left, Vector512.Load(x + i), Vector512.Load(row + i));
                (two ? Vector512.FusedMultiplyAdd(right, Vector512.Load(y + i), sum) : sum).Store(row + i);
            }

            for (; i < count; i++)
            {
                var sum = Math.FusedMultiplyAdd(-wi, x[i], row[i]);
                row[i] = two ? Math.FusedMultiplyAdd(-vi, y[i], sum) : sum;
            }
        }
    }

    /// <summary>Sixteen sums side by side on every machine.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static double Dot(double* row, ReadOnlySpan<double> v)
    {
        fixed (double* x = v)
        {
            var (s, t) = (Vector512<double>.Zero, Vector512<double>.Zero);
            var (i, count) = (0, v.Length);
            for (; i + 16 <= count; i += 16)
            {
                s = Vector512.FusedMultiplyAdd(Vector512.Load(row + i), Vector512.Load(x + i), s);
                t = Vector512.FusedMultiplyAdd(Vector512.Load(row + i + 8), Vector512.Load(x + i + 8), t);
            }

            s += t;
            var sum = 0.0;
            for (var lane = 0; lane < 8; lane++)
            {
                sum += s[lane];
            }

            for (; i < count; i++)
            {
                sum = Math.FusedMultiplyAdd(row[i], x[i], sum);
            }

            return sum;
        }
    }
}
