using System.Runtime.InteropServices;
using Tva.Core.Execution;
using Xunit;

namespace Tva.Core.Tests;

/// <summary>Keys gathered by vectors against the bracket's definition, one key at a time.</summary>
public unsafe class KeyScanTests
{
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void GathersAndCountsAsDefined(bool magnitudes)
    {
        var random = new Random(1);
        foreach (var n in new[] { 0, 1, 7, 8, 15, 16, 17, 31, 64, 1000, 1003 })
        {
            for (var round = 0; round < 20; round++)
            {
                // Few distinct values, so that the guess and the bounds are met, NaN, infinities and zeros among them.
                var values = Enumerable.Range(0, n).Select(_ => random.Next(4) == 0
                    ? Rig.Special[random.Next(Rig.Special.Length)]
                    : (random.Next(17) - 8) / 8f).ToArray();
                var keys = values.Select(v => Key(BitConverter.SingleToInt32Bits(v), magnitudes)).ToArray();
                Check(values, keys, Some(), Some(), magnitudes, random.Next(3));

                int Some() => n > 0 && random.Next(8) > 0
                    ? keys[random.Next(n)]
                    : random.Next(2) == 0 ? int.MaxValue : magnitudes ? 0 : int.MinValue;
            }
        }
    }

    [Fact]
    public void CountsKeysByTheirBin()
    {
        var random = new Random(1);
        foreach (var n in new[] { 0, 1, 5, 1000, 5003 })
        {
            var keys = Enumerable.Range(0, n).Select(_ => random.Next(2) == 0 ? random.Next(100, 5000) : 700).ToArray();
            var (bins, expected) = (new long[RadixSelect.Bins], new long[RadixSelect.Bins]);
            (bins[3], expected[3]) = (9, 9);
            foreach (var key in keys.Where(k => k is >= 500 and <= 4000))
            {
                // 3501 keys take 12 bits, so bins are four keys wide.
                expected[(key - 500) / 4]++;
            }

            fixed (int* k = keys)
            {
                RadixSelect.Count(new KeyRun(k, n), 500, 4000, bins);
            }

            Assert.Equal(expected, bins);
        }
    }

    private static void Check(float[] values, int[] keys, int a, int b, bool magnitudes, int where)
    {
        var (low, high) = (Math.Min(a, b), Math.Max(a, b));
        var guess = where switch { 0 => low, 1 => high, _ => keys.Where(k => k >= low && k <= high).FirstOrDefault(low) };
        var bracket = new Bracket(low, high, guess);
        var n = values.Length;

        // Room for n keys and not one more.
        var room = (int*)NativeMemory.Alloc((nuint)(n + 1) * sizeof(int));
        room[n] = 12345;
        int count, above, equal;
        fixed (float* v = values)
        {
            count = magnitudes
                ? KeyScan.Gather<MagnitudeKeys>(v, n, bracket, room, out above, out equal)
                : KeyScan.Gather<OrderedKeys>(v, n, bracket, room, out above, out equal);
        }

        var got = new Span<int>(room, count).ToArray();
        var behind = room[n];
        NativeMemory.Free(room);
        Assert.Equal(keys.Where(k => k >= low && k <= high && k != guess), got);
        Assert.Equal(keys.Count(k => k > high), above);
        Assert.Equal(keys.Count(k => k == guess), equal);
        Assert.Equal(12345, behind);
    }

    private static int Key(int bits, bool magnitude) =>
        magnitude ? bits & int.MaxValue : bits >= 0 ? bits : int.MinValue + (int.MaxValue - (bits & int.MaxValue));
}
