using System.Buffers.Binary;

namespace Tva.Fuzz;

/// <summary>Comes in: bytes. Goes out: the same with small damage of the kinds that readers of binary formats fall over.</summary>
public static class Bits
{
    private static readonly ulong[] Telling =
    [
        0, 1, 2, 3, 7, 8, 16, 31, 32, 33, 63, 64, 127, 128, 255, 256, 1024, 4096, 32767, 32768, 65535, 65536, 1 << 20, int.MaxValue, 1UL << 31, uint.MaxValue, 1UL << 32,
        1UL << 40, 1UL << 53, 1UL << 61, 1UL << 62, long.MaxValue, 1UL << 63, ulong.MaxValue - 7, ulong.MaxValue,
    ];

    /// <summary>A number that is often at an edge.</summary>
    public static ulong Number(Random random) => random.Next(4) switch
    {
        0 => (ulong)random.Next(64),
        1 => (ulong)random.NextInt64() >> random.Next(63),
        _ => Telling[random.Next(Telling.Length)] + (random.Next(4) == 0 ? (ulong)random.Next(-2, 3) : 0),
    };

    /// <summary>One to four damages.</summary>
    public static byte[] Damage(Random random, byte[] bytes)
    {
        for (int k = random.Next(1, 5); k > 0; k--)
        {
            bytes = Once(random, bytes);
        }

        return bytes;
    }

    /// <summary>Writes a number of some width at a place.</summary>
    public static void Write(Random random, Span<byte> bytes, int at, int width)
    {
        var number = Number(random);
        Span<byte> digits = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(digits, number);
        digits[..Math.Min(width, bytes.Length - at)].CopyTo(bytes[at..]);
    }

    private static byte[] Once(Random random, byte[] bytes)
    {
        if (bytes.Length == 0)
        {
            return [(byte)random.Next(256)];
        }

        int at = random.Next(bytes.Length), length = random.Next(1, Math.Min(33, bytes.Length - at + 1));
        switch (random.Next(9))
        {
            case 0:
                return [.. bytes.AsSpan(0, at)];
            case 1:
                return [.. bytes.AsSpan(0, at), .. bytes.AsSpan(at + length)];
            case 2:
                return [.. bytes.AsSpan(0, at), .. bytes.AsSpan(at, length), .. bytes.AsSpan(at)];
            case 3:
                int from = random.Next(bytes.Length - length + 1);
                var moved = bytes.ToArray();
                bytes.AsSpan(from, length).CopyTo(moved.AsSpan(at));
                return moved;
            case 4:
                return [.. bytes, .. new byte[random.Next(1, 64)]];
            case 5:
            case 6:
                var numbered = bytes.ToArray();
                Write(random, numbered, at, 1 << random.Next(4));
                return numbered;
            default:
                var changed = bytes.ToArray();
                changed[at] = random.Next(4) switch { 0 => 255, 1 => 0, 2 => (byte)(changed[at] ^ (1 << random.Next(8))), _ => (byte)random.Next(256) };
                return changed;
        }
    }
}
