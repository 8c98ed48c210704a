using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Tva.Core.Execution;

/// <summary>A run of keys in native memory.</summary>
internal readonly unsafe struct KeyRun(int* keys, long count)
{
    public readonly int* Keys = keys;
    public readonly long Count = count;
}

/// <summary>The key at a rank, how many keys are larger, and how many equal it.</summary>
internal readonly record struct Pick(int Key, long Above, long Equal);

/// <summary>
/// Comes in: keys and a rank, counted from the largest. Goes out: the key there, exactly. Digit by digit, most significant first:
/// linear time whatever the values, and nothing is moved.
/// </summary>
internal static unsafe class RadixSelect
{
    public const int Bins = 1024;
    private const int BinBits = 10;

    /// <summary>How far keys of [low, high] are shifted to fall into <see cref="Bins"/> bins.</summary>
    public static int Shift(int low, int high) => Math.Max(0, 32 - BinBits - BitOperations.LeadingZeroCount((uint)(high - low)));

    /// <summary>Counts the keys inside [low, high] by their bin.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Count(KeyRun run, int low, int high, Span<long> bins)
    {
        var shift = Shift(low, high);
        var span = (uint)(high - low);
        long i = 0;
        var (lows, spans) = (Vector256.Create(low), Vector256.Create(span));
        for (; i <= run.Count - 8; i += 8)
        {
            // After the first digit nearly all keys lie elsewhere.
            var offsets = (Vector256.Load(run.Keys + i) - lows).AsUInt32();
            var inside = Vector256.LessThanOrEqual(offsets, spans).ExtractMostSignificantBits();
            if (inside == 0xff)
            {
                for (var k = 0; k < 8; k++)
                {
                    bins[(int)((uint)(run.Keys[i + k] - low) >> shift)]++;
                }

                continue;
            }

            for (; inside != 0; inside &= inside - 1)
            {
                bins[(int)((uint)(run.Keys[i + BitOperations.TrailingZeroCount(inside)] - low) >> shift)]++;
            }
        }

        for (; i < run.Count; i++)
        {
            var offset = (uint)(run.Keys[i] - low);
            if (offset <= span)
            {
                bins[(int)(offset >> shift)]++;
            }
        }
    }

    /// <summary>
    /// The key of <paramref name="rank"/> (from 1) among the keys inside [low, high]; <paramref name="extra"/> are keys with their
    /// counts beside the runs.
    /// </summary>
    public static Pick Select(ReadOnlySpan<KeyRun> runs, int low, int high, long rank, ReadOnlySpan<(int Key, long Count)> extra)
    {
        Span<long> bins = stackalloc long[Bins];
        long above = 0;
        while (true)
        {
            bins.Clear();
            foreach (var run in runs)
            {
                Count(run, low, high, bins);
            }

            var shift = Shift(low, high);
            foreach (var (key, count) in extra)
            {
                if (key >= low && key <= high)
                {
                    bins[(int)((uint)(key - low) >> shift)] += count;
                }
            }

            var bin = FindBin(bins, rank - above, out var larger);
            above += larger;
            if (shift == 0)
            {
                return new Pick(low + bin, above, bins[bin]);
            }

            (low, high) = BinRange(low, high, bin);
        }
    }

    /// <summary>The bin that holds a rank, counted from the last bin's end, and how many lie in later bins.</summary>
    public static int FindBin(ReadOnlySpan<long> bins, long rank, out long above)
    {
        above = 0;
        for (var bin = bins.Length - 1; bin >= 0; bin--)
        {
            if (above + bins[bin] >= rank)
            {
                return bin;
            }

            above += bins[bin];
        }

        throw new InvalidOperationException("a selection counted fewer keys than its extent has elements");
    }

    /// <summary>The keys that fall into a bin.</summary>
    public static (int Low, int High) BinRange(int low, int high, int bin)
    {
        var shift = Shift(low, high);
        var first = (uint)bin << shift;
        var last = Math.Min((uint)(high - low), first + ((1u << shift) - 1));
        return (low + (int)first, low + (int)last);
    }
}
