using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Tva.Core.Bases;

namespace Tva.Core.Adapters;

/// <summary>
/// A matrix kept as scale · L·R: comes in as two thin factors, goes out as any range of its elements or as an inner product, neither of
/// which needs the whole.
/// </summary>
/// <param name="Left">L, rows×rank, row by row.</param>
/// <param name="Right">R, rank×columns, row by row.</param>
/// <param name="Rank">Columns of L.</param>
/// <param name="Scale">What the product is multiplied with.</param>
public sealed record Factors(float[] Left, float[] Right, int Rank, double Scale)
{
    /// <summary>So many rows share what is read of R.</summary>
    private const int Together = 4;

    /// <summary>Rows of the matrix.</summary>
    public int Rows => Left.Length / Rank;

    /// <summary>Columns of the matrix.</summary>
    public int Columns => Right.Length / Rank;

    /// <summary>⟨this, other⟩ from the factors alone.</summary>
    public double Dot(Factors other)
    {
        ArgumentNullException.ThrowIfNull(other);
        return Scale * other.Scale * LowRank.Dot(Left, Right, Rank, other.Left, other.Right, other.Rank);
    }

    /// <summary>The same matrix the other way round: scale · Rᵀ·Lᵀ.</summary>
    public Factors Transposed() => new(Turned(Right, Rank), Turned(Left, Rows), Rank, Scale);

    /// <summary>
    /// Elements of the matrix, row by row, from <paramref name="first"/> on. Each is a chain of fused multiply-adds over the rank in its order,
    /// then one product with the scale: the same bits wherever a range begins and on every machine.
    /// </summary>
    public void Expand(long first, Span<float> destination)
    {
        var columns = Columns;
        var scale = (float)Scale;
        for (var at = 0; at < destination.Length;)
        {
            var (row, column) = Math.DivRem(first + at, columns);
            var rest = destination[at..];
            if (column == 0 && rest.Length / columns >= Together)
            {
                Several((int)row, scale, rest[..(Together * columns)]);
                at += Together * columns;
                continue;
            }

            var count = (int)Math.Min(columns - column, rest.Length);
            One((int)row, (int)column, scale, rest[..count]);
            at += count;
        }
    }

    private static float[] Turned(float[] values, int rows)
    {
        var columns = values.Length / rows;
        var result = new float[values.Length];
        for (var i = 0; i < rows; i++)
        {
            for (var j = 0; j < columns; j++)
            {
                result[(j * rows) + i] = values[(i * columns) + j];
            }
        }

        return result;
    }

    // Most files are too small for the JIT to come back to it.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Several(int row, float scale, Span<float> destination)
    {
        var (columns, rank) = (Columns, Rank);
        ref var left = ref Left[row * rank];
        ref var right = ref MemoryMarshal.GetArrayDataReference(Right);
        ref var to = ref MemoryMarshal.GetReference(destination);
        var c = 0;
        var times = Vector512.Create(scale);
        for (; c <= columns - 32; c += 32)
        {
            Vector512<float> a0 = default, a1 = default, b0 = default, b1 = default, c0 = default, c1 = default, d0 = default, d1 = default;
            for (var k = 0; k < rank; k++)
            {
                ref var from = ref Unsafe.Add(ref right, ((nint)k * columns) + c);
                var (x, y) = (Vector512.LoadUnsafe(ref from), Vector512.LoadUnsafe(ref from, 16));
                var s = Vector512.Create(Unsafe.Add(ref left, k));
                (a0, a1) = (Vector512.FusedMultiplyAdd(x, s, a0), Vector512.FusedMultiplyAdd(y, s, a1));
                s = Vector512.Create(Unsafe.Add(ref left, rank + k));
                (b0, b1) = (Vector512.FusedMultiplyAdd(x, s, b0), Vector512.FusedMultiplyAdd(y, s, b1));
                s = Vector512.Create(Unsafe.Add(ref left, (2 * rank) + k));
                (c0, c1) = (Vector512.FusedMultiplyAdd(x, s, c0), Vector512.FusedMultiplyAdd(y, s, c1));
                s = Vector512.Create(Unsafe.Add(ref left, (3 * rank) + k));
                (d0, d1) = (Vector512.FusedMultiplyAdd(x, s, d0), Vector512.FusedMultiplyAdd(y, s, d1));
            }

            (a0 * times).StoreUnsafe(ref to, (nuint)c);
            (a1 * times).StoreUnsafe(ref to, (nuint)c + 16);
            (b0 * times).StoreUnsafe(ref to, (nuint)(columns + c));
            (b1 * times).StoreUnsafe(ref to, (nuint)(columns + c) + 16);
            (c0 * times).StoreUnsafe(ref to, (nuint)((2 * columns) + c));
            (c1 * times).StoreUnsafe(ref to, (nuint)((2 * columns) + c) + 16);
            (d0 * times).StoreUnsafe(ref to, (nuint)((3 * columns) + c));
            (d1 * times).StoreUnsafe(ref to, (nuint)((3 * columns) + c) + 16);
        }

        for (var r = 0; r < Together && c < columns; r++)
        {
            One(row + r, c, scale, destination.Slice((r * columns) + c, columns - c));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void One(int row, int column, float scale, Span<float> destination)
    {
        var (columns, rank) = (Columns, Rank);
        var left = Left.AsSpan(row * rank, rank);
        ref var right = ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(Right), column);
        ref var to = ref MemoryMarshal.GetReference(destination);
        var c = 0;
        var times = Vector256.Create(scale);
        for (; c <= destination.Length - 16; c += 16)
        {
            Vector256<float> low = default, high = default;
            for (var k = 0; k < rank; k++)
            {
                ref var from = ref Unsafe.Add(ref right, ((nint)k * columns) + c);
                var s = Vector256.Create(left[k]);
                low = Vector256.FusedMultiplyAdd(Vector256.LoadUnsafe(ref from), s, low);
                high = Vector256.FusedMultiplyAdd(Vector256.LoadUnsafe(ref from, 8), s, high);
            }

            (low * times).StoreUnsafe(ref to, (nuint)c);
            (high * times).StoreUnsafe(ref to, (nuint)c + 8);
        }

        for (; c < destination.Length; c++)
        {
            var sum = 0f;
            for (var k = 0; k < rank; k++)
            {
                sum = MathF.FusedMultiplyAdd(Unsafe.Add(ref right, ((nint)k * columns) + c), left[k], sum);
            }

            Unsafe.Add(ref to, c) = sum * scale;
        }
    }
}
