using System.Buffers.Binary;
using Tva.Core.Tests;

namespace Tva.Fuzz;

/// <summary>GGUF files: counts, types, lengths, dimensions and offsets that lie, then bytes anywhere.</summary>
public sealed class GgufTarget(string folder) : Target(folder)
{
    private static readonly (uint Type, int Elements, int Bytes)[] Types =
        [(0, 1, 4), (1, 1, 2), (30, 1, 2), (28, 1, 8), (24, 1, 1), (25, 1, 2), (26, 1, 4), (27, 1, 8), (8, 32, 34), (2, 32, 18), (12, 256, 144), (14, 256, 210)];

    public override byte[] Make(Random random)
    {
        uint version = random.Next(40) == 0 ? (uint)Bits.Number(random) : (uint)random.Next(2, 4);
        var file = new GgufBytes
        {
            Version = version,
            Alignment = random.Next(5) == 0 ? 64 : 32,
            Tensors = random.Next(15) == 0 ? Bits.Number(random) : null,
            Pairs = random.Next(15) == 0 ? Bits.Number(random) : null,
        };
        if (file.Alignment != 32)
        {
            file.Key("general.alignment", random.Next(4) == 0 ? (uint)Bits.Number(random) : 64);
        }

        for (int i = random.Next(6); i > 0; i--)
        {
            Pair(random, file, $"{(random.Next(30) == 0 ? "k" : $"key.{i}")}");
        }

        for (int i = random.Next(4); i > 0; i--)
        {
            var (type, elements, bytes) = Types[random.Next(Types.Length)];
            long rows = random.Next(3), blocks = random.Next(1, 4);
            var content = new byte[rows * blocks * bytes];
            random.NextBytes(content);
            long[] shape = random.Next(4) == 0 ? [rows * blocks * elements] : [rows, blocks * elements];
            if (random.Next(15) == 0)
            {
                shape[random.Next(shape.Length)] = (long)Bits.Number(random);
            }

            if (random.Next(30) == 0)
            {
                shape = [.. Enumerable.Repeat(1L, random.Next(12)), .. shape];
            }

            file.Tensor($"blk.{i}.w", random.Next(20) == 0 ? (uint)Bits.Number(random) : type, shape, content, random.Next(15) == 0 ? Bits.Number(random) : random.Next(30) == 0 ? 32 : null);
        }

        var made = file.Bytes();
        return random.Next(3) == 0 ? Bits.Damage(random, made) : made;
    }

    public override bool Run(byte[] input) => Use(Put("x.gguf", input));

    private static void Pair(Random random, GgufBytes file, string key)
    {
        switch (random.Next(8))
        {
            case 0:
                file.Key(key, new string('t', random.Next(600)));
                break;
            case 1:
                file.Array(key, 8, random.Next(6) == 0 ? Bits.Number(random) : 3, GgufBytes.Text("a"), GgufBytes.Text("bc"), GgufBytes.Text(""));
                break;
            case 2:
                file.Array(key, (uint)random.Next(14), random.Next(4) == 0 ? Bits.Number(random) : (ulong)random.Next(9), new byte[random.Next(80)]);
                break;
            case 3:
                // Arrays in arrays.
                var nested = new List<byte>();
                for (int depth = random.Next(7); depth > 0; depth--)
                {
                    nested.AddRange([.. GgufBytes.U32(9), .. GgufBytes.U64(random.Next(6) == 0 ? Bits.Number(random) : 1)]);
                }

                file.Array(key, 9, 1, [.. nested, .. GgufBytes.U32(0), .. GgufBytes.U64(1), 7]);
                break;
            case 4:
                var length = new byte[8];
                BinaryPrimitives.WriteUInt64LittleEndian(length, Bits.Number(random));
                file.Key(key, 8, length);
                break;
            case 5:
                file.Key(random.Next(3) == 0 ? "split.count" : key, 2, (byte)random.Next(4), 0);
                break;
            default:
                file.Key(key, (uint)random.Next(14), new byte[random.Next(12)]);
                break;
        }
    }
}
