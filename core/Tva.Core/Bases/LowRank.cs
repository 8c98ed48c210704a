using System.Numerics;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Tva.Core.Bases;

/// <summary>Two low-rank updates B·A in, their inner product out, without multiplying either out.</summary>
public static class LowRank
{
    /// <summary>
    /// ⟨B₁A₁, B₂A₂⟩ = tr((B₁ᵀB₂)(A₂A₁ᵀ)): (m + n)·r₁·r₂ steps for matrices of m×n. Products of floats are exact in float64, and
    /// sums run in an order that does not depend on the machine.
    /// </summary>
    /// <param name="b1">m×r₁, row by row.</param>
    /// <param name="a1">r₁×n.</param>
    /// <param name="rank1">r₁.</param>
    /// <param name="b2">m×r₂.</param>
    /// <param name="a2">r₂×n.</param>
    /// <param name="rank2">r₂.</param>
    /// <exception cref="ArgumentException">The lengths do not go with the ranks and with each other.</exception>
    public static double Dot(
        ReadOnlySpan<float> b1, ReadOnlySpan<float> a1, int rank1, ReadOnlySpan<float> b2, ReadOnlySpan<float> a2, int rank2)
    {
        var (rows, columns) = (b1.Length / rank1, a1.Length / rank1);
        var fit = b1.Length == rows * rank1 && a1.Length == columns * rank1;
        if (!fit || b2.Length != rows * rank2 || a2.Length != columns * rank2)
        {
            throw new ArgumentException(
                $"{b1.Length} and {a1.Length} numbers at rank {rank1} do not fit {b2.Length} and {a2.Length} at rank {rank2}");
        }

        var products = Products(b1, rank1, b2, rank2, rows);
        var sum = 0.0;
        for (var i = 0; i < rank1; i++)
        {
            for (var j = 0; j < rank2; j++)
            {
                sum += products[(i * rank2) + j] * Dot(a1.Slice(i * columns, columns), a2.Slice(j * columns, columns));
            }
        }

        return sum;
    }

    /// <summary>B₁ᵀB₂, r₁×r₂: every row adds the outer product of its two parts.</summary>
    private static double[] Products(ReadOnlySpan<float> b1, int rank1, ReadOnlySpan<float> b2, int rank2, int rows)
    {
        var sums = new double[rank1 * rank2];
        var wide = new double[rank2];
        for (var row = 0; row < rows; row++)
        {
            for (var j = 0; j < rank2; j++)
            {
                wide[j] = b2[(row * rank2) + j];
            }

            for (var i = 0; i < rank1; i++)
            {
                AddScaled(sums.AsSpan(i * rank2, rank2), b1[(row * rank1) + i], wide);
            }
        }

        return sums;
    }

    private static void AddScaled(Span<double> sums, double scale, ReadOnlySpan<double> values)
    {
        var j = 0;
        for (; j <= sums.Length - Vector<double>.Count; j += Vector<double>.Count)
        {
            (new Vector<double>(sums[j..]) + (new Vector<double>(values[j..]) * scale)).CopyTo(sums[j..]);
        }

        for (; j < sums.Length; j++)
        {
            sums[j] += scale * values[j];
        }
    }

    /// <summary>Eight sums side by side on every machine.</summary>
    private static double Dot(ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        var (low, high) = (Vector256<double>.Zero, Vector256<double>.Zero);
        ref var x = ref MemoryMarshal.GetReference(a);
        ref var y = ref MemoryMarshal.GetReference(b);
        var i = 0;
        for (; i <= a.Length - 8; i += 8)
        {
            var (a0, a1) = Vector256.Widen(Vector256.LoadUnsafe(ref x, (nuint)i));
            var (b0, b1) = Vector256.Widen(Vector256.LoadUnsafe(ref y, (nuint)i));
            (low, high) = (low + (a0 * b0), high + (a1 * b1));
        }

        // Not Vector256.Sum: its order is the machine's.
        low += high;
        var sum = low[0] + low[1] + low[2] + low[3];
        for (; i < a.Length; i++)
        {
            sum += (double)a[i] * b[i];
        }

        return sum;
    }
}
