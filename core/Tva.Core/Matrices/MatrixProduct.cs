using System.Runtime.CompilerServices;
using Tva.Core.Kernels;
using Tva.Core.Kernels.Vectors;

namespace Tva.Core.Matrices;

/// <summary>
/// Two row-major float32 matrices in, their product out. Every element is the sum, in order, of chains of fused steps over
/// <see cref="Inner"/> neighbours of the inner index: the bits depend on the operands alone, not on threads or vector width.
/// </summary>
public static unsafe class MatrixProduct
{
    /// <summary>Length of one chain: a strip of the right operand that long stays in the first-level cache.</summary>
    internal const int Inner = 192;

    // A tile of the result and its operands' strips fit the second-level cache.
    private const int TileRows = 192;
    private const int TileColumns = 512;
    private const int Panel = 32;
    private const int Pad = 16;
    private const int MostNarrow = 1 << 14;

    /// <summary>c = a·b.</summary>
    /// <param name="a">m×inner.</param>
    /// <param name="b">inner×n.</param>
    /// <param name="c">m×n; is overwritten.</param>
    /// <param name="m">Rows of a and c.</param>
    /// <param name="inner">Columns of a, rows of b.</param>
    /// <param name="n">Columns of b and c.</param>
    /// <param name="workers">Who works; the bits don't depend on it.</param>
    /// <param name="cancel">Stops between tiles.</param>
    /// <exception cref="ArgumentException">A length doesn't go with the sizes.</exception>
    public static void Multiply(
        ReadOnlySpan<float> a, ReadOnlySpan<float> b, Span<float> c, int m, int inner, int n, Workers workers, CancellationToken cancel = default)
    {
        Check(a, b, c, m, inner, n);
        fixed (float* x = a, y = b, z = c)
        {
            Multiply(x, false, y, false, z, m, inner, n, workers, cancel);
        }
    }

    /// <summary>c = aᵀ·b with a inner×m; else as <see cref="Multiply(ReadOnlySpan{float}, ReadOnlySpan{float}, Span{float}, int, int, int, Workers, CancellationToken)"/>.</summary>
    public static void MultiplyLeftTransposed(
        ReadOnlySpan<float> a, ReadOnlySpan<float> b, Span<float> c, int m, int inner, int n, Workers workers, CancellationToken cancel = default)
    {
        Check(a, b, c, m, inner, n);
        fixed (float* x = a, y = b, z = c)
        {
            Multiply(x, true, y, false, z, m, inner, n, workers, cancel);
        }
    }

    /// <summary>c = a·bᵀ with b n×inner; else as <see cref="Multiply(ReadOnlySpan{float}, ReadOnlySpan{float}, Span{float}, int, int, int, Workers, CancellationToken)"/>.</summary>
    public static void MultiplyRightTransposed(
        ReadOnlySpan<float> a, ReadOnlySpan<float> b, Span<float> c, int m, int inner, int n, Workers workers, CancellationToken cancel = default)
    {
        Check(a, b, c, m, inner, n);
        fixed (float* x = a, y = b, z = c)
        {
            Multiply(x, false, y, true, z, m, inner, n, workers, cancel);
        }
    }

    /// <summary>c (m×n) = op(a)·op(b), for matrices of any size; op(a) is m×inner, op(b) inner×n.</summary>
    /// <param name="a">Row-major; the memory holds op(a) or its transpose.</param>
    /// <param name="aTransposed">Whether a is inner×m.</param>
    /// <param name="b">As a.</param>
    /// <param name="bTransposed">Whether b is n×inner.</param>
    /// <param name="c">m×n; is overwritten.</param>
    /// <param name="m">Rows of c.</param>
    /// <param name="inner">The inner index.</param>
    /// <param name="n">Columns of c.</param>
    /// <param name="workers">Who works; the bits don't depend on it.</param>
    /// <param name="cancel">Stops between tiles.</param>
    public static void Multiply(
        float* a, bool aTransposed, float* b, bool bTransposed, float* c, int m, int inner, int n, Workers workers, CancellationToken cancel = default)
    {
        Multiply(new Product(a, aTransposed, b, bTransposed, c, m, inner, n), workers, cancel);
    }

    /// <summary>One product in the widest vectors there are.</summary>
    internal static void Multiply(Product product, Workers workers, CancellationToken cancel)
    {
        if (workers.Products?.TryMultiply(product) == true)
        {
            return;
        }

        switch (CpuKernel.Width)
        {
            case 512: Run<V512>(product, workers, cancel); break;
            case 256: Run<V256>(product, workers, cancel); break;
            default: Run<V128>(product, workers, cancel); break;
        }
    }

    /// <summary>As above, in vectors of a width of one's choice.</summary>
    internal static void Run<V>(Product p, int threads, CancellationToken cancel)
        where V : struct, IVec<V>
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(threads, 1);
        if (p.Inner == 0)
        {
            System.Runtime.InteropServices.NativeMemory.Clear(p.C, (nuint)p.Rows * (nuint)p.Columns * sizeof(float));
            return;
        }

        // Smaller tiles where there would be too few to go round; the bits don't know of tiles.
        var (rows, columns) = (TileRows, TileColumns);
        while (threads > 1 && Count(p.Rows, rows) * Count(p.Columns, columns) < 4L * threads && (rows > 48 || columns > 128))
        {
            (rows, columns) = columns > rows ? (rows, columns / 2) : (rows / 2, columns);
        }

        var across = Count(p.Columns, columns);
        using var scratch = new Scratch(
            (IsNarrow(p) ? (long)p.Inner * Tile.Columns : ((long)rows * (Inner + Pad)) + (Inner * (rows + Pad)) + ((long)Inner * columns))
            + ((long)rows * columns));
        Lots.Run(checked((int)(Count(p.Rows, rows) * across)), threads, cancel, tile =>
        {
            var (row, column) = ((int)(tile / across) * rows, (int)(tile % across) * columns);
            if (p.Symmetric && column + columns <= row)
            {
                return;
            }

            var block = scratch.Take();
            Fill<V>(p, row, Math.Min(rows, p.Rows - row), column, Math.Min(columns, p.Columns - column), (float*)block.Pointer);
            scratch.Give(block);
        });
        if (p.Symmetric)
        {
            Mirror(p.C, p.Rows, threads, cancel);
        }
    }

    /// <summary>The lower triangle from the upper one, square by square for the cache's sake.</summary>
    private static void Mirror(float* c, int n, int threads, CancellationToken cancel)
    {
        const int Square = 64;
        Lots.Run((int)Count(n, Square), threads, cancel, strip =>
        {
            var (top, bottom) = (strip * Square, Math.Min((strip + 1) * Square, n));
            for (var left = 0; left < bottom; left += Square)
            {
                for (var i = top; i < bottom; i++)
                {
                    for (var j = left; j < Math.Min(left + Square, i); j++)
                    {
                        c[((long)i * n) + j] = c[((long)j * n) + i];
                    }
                }
            }
        });
    }

    /// <summary>
    /// Whether the left operand is read where it lies: its rows meet so few columns that putting them together would cost twice the product.
    /// The whole right operand then fits the second-level cache.
    /// </summary>
    private static bool IsNarrow(Product p) => !p.ATransposed && p.Columns <= Tile.Columns && p.Inner <= MostNarrow;

    private static void Fill<V>(Product p, int row, int rows, int column, int columns, float* memory)
        where V : struct, IVec<V>
    {
        var wide = (columns + Tile.Columns - 1) / Tile.Columns * Tile.Columns;
        var aRow = p.ATransposed ? 1 : Inner + Pad;
        var aStep = p.ATransposed ? rows + Pad : 1;
        var b = memory + (p.ATransposed ? (long)Inner * aStep : (long)rows * aRow);
        var narrow = IsNarrow(p);
        b = narrow ? memory : b;
        var own = b + ((long)(narrow ? p.Inner : Inner) * wide);

        // Where the result isn't whole vectors wide it grows in a place of its own.
        var c = wide == columns ? p.C + ((long)row * p.Columns) + column : own;
        nint cRow = wide == columns ? p.Columns : wide;
        if (narrow)
        {
            PackRight(p, 0, p.Columns, wide, 0, p.Inner, b);
            for (var i = 0; i < rows; i += 6)
            {
                for (var k = 0; k < p.Inner; k += Inner)
                {
                    Tile.Narrow<V>(
                        p.A + ((long)(row + i) * p.Inner) + k, p.Inner, b + ((long)k * wide), c + (i * cRow), cRow,
                        Math.Min(6, rows - i), Math.Min(Inner, p.Inner - k), k > 0);
                }
            }
        }

        for (var k = 0; k < p.Inner && !narrow; k += Inner)
        {
            var inner = Math.Min(Inner, p.Inner - k);
            PackLeft(p, row, rows, k, inner, memory);
            PackRight(p, column, columns, wide, k, inner, b);
            for (var j = 0; j < wide; j += Panel)
            {
                var width = Math.Min(Panel, wide - j);
                Tile.Multiply<V>(memory, aRow, aStep, b + ((long)j * inner), width, c + j, cRow, rows, inner, width, k > 0);
            }
        }

        if (wide != columns)
        {
            for (var i = 0; i < rows; i++)
            {
                Copy(own + ((long)i * wide), p.C + ((long)(row + i) * p.Columns) + column, columns);
            }
        }
    }

    /// <summary>Rows of a, close together: as they lie in a large matrix they would push each other out of the cache.</summary>
    private static void PackLeft(Product p, int row, int rows, int k, int inner, float* to)
    {
        if (p.ATransposed)
        {
            for (var i = 0; i < inner; i++)
            {
                Copy(p.A + ((long)(k + i) * p.Rows) + row, to + ((long)i * (rows + Pad)), rows);
            }
        }
        else
        {
            for (var i = 0; i < rows; i++)
            {
                Copy(p.A + ((long)(row + i) * p.Inner) + k, to + ((long)i * (Inner + Pad)), inner);
            }
        }
    }

    /// <summary>b in panels: the rows of a panel one after the other, with zeros up to whole vectors.</summary>
    private static void PackRight(Product p, int column, int columns, int wide, int k, int inner, float* to)
    {
        for (var j = 0; j < wide; j += Panel)
        {
            var (width, have) = (Math.Min(Panel, wide - j), Math.Min(Panel, columns - j));
            if (p.BTransposed)
            {
                PackTransposed(p.B + ((long)(column + j) * p.Inner) + k, p.Inner, have, width, inner, to);
            }
            else
            {
                var from = p.B + ((long)k * p.Columns) + column + j;
                for (var i = 0; i < inner; i++)
                {
                    Copy(from + ((long)i * p.Columns), to + (i * width), have);
                    new Span<float>(to + (i * width) + have, width - have).Clear();
                }
            }

            to += width * inner;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void PackTransposed(float* from, nint row, int have, int width, int inner, float* to)
    {
        for (var j = 0; j < width; j++)
        {
            var source = from + (j * row);
            var target = to + j;
            for (var i = 0; i < inner; i++)
            {
                *target = j < have ? source[i] : 0;
                target += width;
            }
        }
    }

    private static void Copy(float* from, float* to, int count) =>
        new ReadOnlySpan<float>(from, count).CopyTo(new Span<float>(to, count));

    private static long Count(int size, int tile) => (size + (long)tile - 1) / tile;

    private static void Check(ReadOnlySpan<float> a, ReadOnlySpan<float> b, Span<float> c, int m, int inner, int n)
    {
        if (a.Length != (long)m * inner || b.Length != (long)inner * n || c.Length != (long)m * n)
        {
            throw new ArgumentException($"{a.Length}, {b.Length} and {c.Length} numbers are no product of {m}×{inner} and {inner}×{n}");
        }
    }

    /// <summary>The operands of one product, for lambdas, which hold no pointers' spans.</summary>
    /// <param name="a">op(a) is rows×inner.</param>
    /// <param name="aTransposed">Whether the memory holds its transpose.</param>
    /// <param name="b">op(b) is inner×columns.</param>
    /// <param name="bTransposed">Whether the memory holds its transpose.</param>
    /// <param name="c">rows×columns.</param>
    /// <param name="rows">Of c.</param>
    /// <param name="inner">The inner index.</param>
    /// <param name="columns">Of c.</param>
    /// <param name="symmetric">Whether the product is known to be: half of it is then the mirror of the other, to the same bits.</param>
    internal readonly struct Product(
        float* a, bool aTransposed, float* b, bool bTransposed, float* c, int rows, int inner, int columns, bool symmetric = false)
    {
        public readonly float* A = a;
        public readonly float* B = b;
        public readonly float* C = c;
        public readonly bool ATransposed = aTransposed;
        public readonly bool BTransposed = bTransposed;
        public readonly int Rows = rows;
        public readonly int Inner = inner;
        public readonly int Columns = columns;
        public readonly bool Symmetric = symmetric;
    }
}
