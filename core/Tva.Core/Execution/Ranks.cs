using System.Numerics;
using System.Runtime.CompilerServices;

namespace Tva.Core.Execution;

/// <summary>
/// Comes in: a row of values. Goes out, in their place: their ranks, scaled to 0..1. Sorted by counting digits of the values' bits, as
/// few as tell the row's values apart: differences of bf16 numbers often have no more than sixteen bits that vary.
/// </summary>
internal static unsafe class Ranks
{
    private const int MostDigitBits = 11;
    private const int MostDigits = 4;

    /// <summary>Bytes of memory that ranking a row of that length takes.</summary>
    public static long ScratchBytes(long n) => 2 * n * sizeof(ulong);

    /// <summary>Ranks (position − 1)/(n − 1) in ascending order, the lower index first among equals, NaN last; 1/2 for a row of one.</summary>
    /// <param name="row">The values, which become ranks.</param>
    /// <param name="n">How many.</param>
    /// <param name="scratch">Memory of <see cref="ScratchBytes"/>.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void OfRow(float* row, int n, byte* scratch)
    {
        if (n == 1)
        {
            *row = 0.5f;
            return;
        }

        // A value's bits as an integer that sorts like it: those of −x are minus those of x, so that −0 is 0 and zeros at the end stay.
        var keys = (int*)row;
        var (least, varying) = (int.MaxValue, 0);
        var first = Key(keys[0]);
        for (var i = 0; i < n; i++)
        {
            var key = Key(keys[i]);
            keys[i] = key;
            least = Math.Min(least, key);
            varying |= key - first;
        }

        // Multiples of 2^skip apart from each other, all of them.
        var skip = varying == 0 ? 0 : BitOperations.TrailingZeroCount(varying);
        uint span = 0;
        for (var i = 0; i < n; i++)
        {
            var offset = (uint)(keys[i] - least) >> skip;
            ((uint*)keys)[i] = offset;
            span = Math.Max(span, offset);
        }

        Sort((uint*)keys, n, 32 - BitOperations.LeadingZeroCount(span), (ulong*)scratch, (ulong*)scratch + n);
    }

    /// <summary>Replaces keys by ranks: stable passes over digits, the least significant first; the last writes ranks instead of moving.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Sort(uint* keys, int n, int bits, ulong* from, ulong* to)
    {
        // Short rows take narrower digits: clearing and adding up the counts would cost more than a further pass.
        var widest = n >= 1024 ? MostDigitBits : 8;
        var digits = Math.Max(1, (bits + widest - 1) / widest);
        var width = Math.Max(1, (bits + digits - 1) / digits);
        var bins = 1 << width;
        var mask = (uint)bins - 1;
        var counts = stackalloc int[MostDigits << MostDigitBits];
        new Span<int>(counts, digits * bins).Clear();
        for (var i = 0; i < n; i++)
        {
            var key = keys[i];
            for (var d = 0; d < digits; d++)
            {
                counts[(d * bins) + (int)((key >> (d * width)) & mask)]++;
            }
        }

        for (var d = 0; d < digits; d++)
        {
            var sum = 0;
            for (var b = d * bins; b < (d + 1) * bins; b++)
            {
                (counts[b], sum) = (sum, sum + counts[b]);
            }
        }

        var last = (double)(n - 1);
        if (digits == 1)
        {
            for (var i = 0; i < n; i++)
            {
                ((float*)keys)[i] = (float)(counts[keys[i]]++ / last);
            }

            return;
        }

        for (var i = 0; i < n; i++)
        {
            from[counts[keys[i] & mask]++] = ((ulong)keys[i] << 32) | (uint)i;
        }

        for (var d = 1; d < digits - 1; d++)
        {
            var here = counts + (d * bins);
            for (var i = 0; i < n; i++)
            {
                var pair = from[i];
                to[here[(uint)(pair >> (32 + (d * width))) & mask]++] = pair;
            }

            var free = from;
            from = to;
            to = free;
        }

        counts += (digits - 1) * bins;
        for (var i = 0; i < n; i++)
        {
            var pair = from[i];
            ((float*)keys)[(uint)pair] = (float)(counts[pair >> (32 + ((digits - 1) * width))]++ / last);
        }
    }

    private static int Key(int bits) => bits < 0 ? -(bits & int.MaxValue) : bits;
}
