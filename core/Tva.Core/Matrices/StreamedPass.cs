using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Tva.Core.Kernels;
using Tva.Core.Kernels.Vectors;
using Tva.Core.Tensors;

namespace Tva.Core.Matrices;

/// <summary>
/// A large matrix X and a thin one Z in, Y = X·Z and XᵀY out, X read from memory once: what a step of subspace iteration takes.
/// XᵀY is summed over runs of rows that follow from the sizes alone, then over the runs in their order.
/// </summary>
internal sealed unsafe class StreamedPass : IDisposable
{
    /// <summary>The widest Z for which reading X once pays.</summary>
    public const int Widest = 96;

    private const int Chain = 256;
    private const long BufferBytes = 448 << 10;
    private const long PartialBytes = 128 << 20;
    private const int MostRuns = 32;

    private readonly int m;
    private readonly int n;
    private readonly int l;
    private readonly int height;
    private readonly nint stride;
    private readonly int runs;
    private readonly int blocks;
    private readonly Scratch buffers;
    private Block? partials;
    private readonly double[] squares;

    /// <summary>For X of m×n and Z of n×l, l a multiple of <see cref="Tile.Columns"/>.</summary>
    public StreamedPass(int m, int n, int l)
    {
        (this.m, this.n, this.l) = (m, n, l);

        // An odd number of cache lines, so that rows of a power of two don't all fall into the same sets.
        stride = (((n + 15) / 16) | 1) * 16;
        height = (int)Math.Clamp(BufferBytes / (stride * sizeof(float)) / Tile.Rows, 1, 8) * Tile.Rows;
        blocks = (int)(((long)m + height - 1) / height);
        runs = (int)Math.Clamp(PartialBytes / ((long)n * l * sizeof(float)), 1, Math.Min(MostRuns, blocks));
        buffers = new Scratch(height * (long)stride);
        squares = new double[blocks];
    }

    /// <summary>
    /// y (m×l) = X·z, where z isn't null, and back (n×l) = Xᵀy, where that isn't. Returns Σx² which is finite exactly if all of X is.
    /// </summary>
    public double Run(float* x, float* z, float* y, float* back, int threads, CancellationToken cancel)
    {
        switch (CpuKernel.Width)
        {
            case 512: Run<V512>(x, z, y, back, threads, cancel); break;
            case 256: Run<V256>(x, z, y, back, threads, cancel); break;
            default: Run<V128>(x, z, y, back, threads, cancel); break;
        }

        var sum = 0.0;
        foreach (var square in squares)
        {
            sum += square;
        }

        return sum;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        buffers.Dispose();
        partials?.Dispose();
    }

    /// <summary>As above, in vectors of a width of one's choice.</summary>
    internal void Run<V>(float* x, float* z, float* y, float* back, int threads, CancellationToken cancel)
        where V : struct, IVec<V>
    {
        partials ??= back == null ? null : new Block((long)runs * n * l * sizeof(float));
        var sums = partials is null ? null : (float*)partials.Pointer;
        Lots.Run(runs, threads, cancel, run =>
        {
            var buffer = buffers.Take();
            var (first, end) = ((int)((long)blocks * run / runs), (int)((long)blocks * (run + 1) / runs));
            for (var block = first; block < end; block++)
            {
                cancel.ThrowIfCancellationRequested();
                var row = block * height;
                var rows = Math.Min(height, m - row);
                squares[block] = Step<V>(
                    x + ((long)row * n), rows, z, y + ((long)row * l), back == null ? null : sums + ((long)run * n * l), block > first, (float*)buffer.Pointer);
            }

            buffers.Give(buffer);
        });
        if (back != null)
        {
            Add(sums, back, threads, cancel);
        }
    }

    /// <summary>A block of rows: its part of y, then what it adds to the run's sums while it is still in the cache.</summary>
    private double Step<V>(float* x, int rows, float* z, float* y, float* sums, bool add, float* buffer)
        where V : struct, IVec<V>
    {
        // Whole rows first: that is the order in which memory is fastest.
        var square = 0.0;
        for (var i = 0; i < rows; i++)
        {
            square += Copy(x + ((long)i * n), buffer + (i * stride), n);
        }

        for (var k = 0; z != null && k < n; k += Chain)
        {
            Tile.Multiply<V>(buffer + k, stride, 1, z + ((long)k * l), l, y, l, rows, Math.Min(Chain, n - k), l, k > 0);
        }

        if (sums != null)
        {
            Tile.Multiply<V>(buffer, 1, stride, y, l, sums, l, n, rows, l, add);
        }

        return square;
    }

    /// <summary>The runs' sums, one after the other.</summary>
    private void Add(float* sums, float* back, int threads, CancellationToken cancel)
    {
        const int Part = 1 << 14;
        var count = (long)n * l;
        Lots.Run((int)((count + Part - 1) / Part), threads, cancel, part =>
        {
            var start = (long)part * Part;
            var length = (int)Math.Min(Part, count - start);
            new Span<float>(sums + start, length).CopyTo(new Span<float>(back + start, length));
            for (var run = 1; run < runs; run++)
            {
                Add(sums + (run * count) + start, back + start, length);
            }
        });
    }

    /// <summary>length is a multiple of <see cref="Tile.Columns"/>, as n·l and the parts are.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Add(float* from, float* to, int length)
    {
        for (var i = 0; i < length; i += 8)
        {
            (Vector256.Load(to + i) + Vector256.Load(from + i)).Store(to + i);
        }
    }

    /// <summary>to = from, and Σ from² in sixteen sums side by side on every machine.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static double Copy(float* from, float* to, int count)
    {
        Vector256<double> s0 = default, s1 = default, s2 = default, s3 = default;
        var i = 0;
        for (; i + 16 <= count; i += 16)
        {
            var (x, y) = (Vector256.Load(from + i), Vector256.Load(from + i + 8));
            x.Store(to + i);
            y.Store(to + i + 8);
            var (x0, x1) = Vector256.Widen(x);
            var (y0, y1) = Vector256.Widen(y);
            (s0, s1) = (s0 + (x0 * x0), s1 + (x1 * x1));
            (s2, s3) = (s2 + (y0 * y0), s3 + (y1 * y1));
        }

        s0 = (s0 + s1) + (s2 + s3);
        var sum = s0[0] + s0[1] + s0[2] + s0[3];
        for (; i < count; i++)
        {
            to[i] = from[i];
            sum += (double)from[i] * from[i];
        }

        return sum;
    }
}
