using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Tva.Core.Checkpoints;
using Tva.Core.Tensors;
using Xunit;

namespace Tva.Core.Tests;

/// <summary>GGUF files put together by hand; what is dequantised against the format's definition of each element, one by one.</summary>
public sealed class GgufReadTests : IDisposable
{
    private readonly TempFolder folder = new();

    public void Dispose() => folder.Dispose();

    public static TheoryData<string, uint, int, int> Quantised => new()
    {
        { "Q8_0", 8, 32, 34 },
        { "Q4_0", 2, 32, 18 },
        { "Q4_K", 12, 256, 144 },
        { "Q6_K", 14, 256, 210 },
    };

    [Theory]
    [MemberData(nameof(Quantised))]
    public void Blocks_read_as_their_definition_says_from_any_element_on(string name, uint type, int elements, int bytes)
    {
        // Any bits are a block; scales are kept finite, for NaN compares with nothing.
        const int rows = 3, perRow = 5;
        var content = Blocks(type, bytes, rows * perRow, seed: 7);
        using var c = Open(new GgufBytes().Tensor("t", type, [rows, perRow * elements], content).Bytes());
        var t = c.Tensors[0];
        Assert.Equal((DType.F32, new Shape(rows, perRow * elements), name, content.Length), (t.DType, t.Shape, c.StoredType(t), (int)c.StoredBytes(t)));
        var expected = Enumerable.Range(0, rows * perRow * elements).Select(i => Element(type, content.AsSpan(i / elements * bytes, bytes), i % elements)).ToArray();
        Assert.Equal(expected, Floats(c, t, 0, expected.Length));
        var random = new Random(1);
        for (int i = 0; i < 300; i++)
        {
            int from = random.Next(expected.Length), count = random.Next(Math.Min(expected.Length - from, i % 2 == 0 ? 40 : 4000)) + 1;
            Assert.Equal(expected[from..(from + count)], Floats(c, t, from, count));
            c.Prefetch(t, 4L * from, 4L * count);
        }

        // Cut elements too.
        var all = MemoryMarshal.AsBytes(expected.AsSpan()).ToArray();
        var part = new byte[131];
        c.Read(t, 1021, part);
        Assert.Equal(all[1021..(1021 + 131)], part);
        c.Read(t, all.Length, []);
    }

    [Fact]
    public void Blocks_larger_than_the_buffer_read_whole()
    {
        const int blocks = 9000; // 306 KB of Q8_0
        var content = Blocks(8, 34, blocks, seed: 3);
        using var c = Open(new GgufBytes().Tensor("t", 8, [blocks * 32L], content).Bytes());
        var expected = Enumerable.Range(0, blocks * 32).Select(i => Element(8, content.AsSpan(i / 32 * 34, 34), i % 32)).ToArray();
        Assert.Equal(expected, Floats(c, c.Tensors[0], 0, expected.Length));
        Assert.Equal(expected[17..^19], Floats(c, c.Tensors[0], 17, expected.Length - 36));
    }

    [Theory]
    [InlineData(0, DType.F32, 2u)]
    [InlineData(1, DType.F16, 3u)]
    [InlineData(30, DType.BF16, 3u)]
    [InlineData(28, DType.F64, 3u)]
    [InlineData(24, DType.I8, 3u)]
    [InlineData(25, DType.I16, 3u)]
    [InlineData(26, DType.I32, 3u)]
    [InlineData(27, DType.I64, 2u)]
    public void Plain_types_are_their_bytes(uint type, DType dtype, uint version)
    {
        var content = RandomNumberGenerator.GetBytes(6 * dtype.Size());
        using var c = Open(new GgufBytes { Version = version }.Tensor("blk.4.x", type, [2, 3], content).Bytes());
        var t = c.Find("blk.4.x")!;
        Assert.Equal((dtype, new Shape(2, 3), 4, dtype.Name()), (t.DType, t.Shape, t.Layer, c.StoredType(t)));
        var read = new byte[content.Length];
        c.Read(t, 0, read);
        Assert.Equal(content, read);
    }

    [Fact]
    public void Dimensions_come_outermost_first_and_elements_in_the_order_of_the_file()
    {
        // As llama.cpp's converter writes a matrix of 2 rows and 3 columns: ne = [3, 2].
        float[] matrix = [1, 2, 3, 4, 5, 6];
        using var c = Open(new GgufBytes().Tensor("m", 0, [2, 3], Bytes(matrix)).Tensor("one", 0, [], Bytes(7f)).Tensor("none", 0, [0, 4], []).Bytes());
        Assert.Equal(new Shape(2, 3), c.Find("m")!.Shape);
        Assert.Equal(matrix, Floats(c, c.Find("m")!, 0, 6));
        Assert.Equal(new Shape(), c.Find("one")!.Shape);
        Assert.Equal([7f], Floats(c, c.Find("one")!, 0, 1));
        Assert.Equal(0, c.Find("none")!.Bytes);
    }

    [Fact]
    public void Metadata_is_texts_with_long_ones_and_arrays_by_their_beginnings()
    {
        var file = new GgufBytes { Alignment = 64 }
            .Key("general.architecture", "llama").Key("general.alignment", 64)
            .Key("u8", 0, 200).Key("i8", 1, 200).Key("u16", 2, 1, 2).Key("i16", 3, 255, 255).Key("i32", 5, 254, 255, 255, 255)
            .Key("f32", 6, BitConverter.GetBytes(1.5f)).Key("yes", 7, 1).Key("u64", 10, GgufBytes.U64(ulong.MaxValue))
            .Key("i64", 11, GgufBytes.U64(ulong.MaxValue)).Key("f64", 12, BitConverter.GetBytes(-0.1))
            .Key("long", new string('x', 1000))
            .Array("tokens", 8, 8, [.. "abcdefgh".Select(t => GgufBytes.Text($"{t}"))])
            .Array("scores", 6, 2, BitConverter.GetBytes(1f), BitConverter.GetBytes(-2f)).Array("empty", 4, 0)
            .Array("nested", 9, 2, [.. GgufBytes.U32(0), .. GgufBytes.U64(1), 5], [.. GgufBytes.U32(0), .. GgufBytes.U64(2), 6, 7])
            .Tensor("t", 0, [1], Bytes(1f)).Tensor("u", 0, [1], Bytes(2f)).Bytes();
        using var c = Open(file);
        var m = c.Described;
        Assert.Equal(("llama", "64", "200", "-56", "513", "-1"), (m["general.architecture"], m["general.alignment"], m["u8"], m["i8"], m["u16"], m["i16"]));
        Assert.Equal(("-2", "1.5", "true", "18446744073709551615", "-1", "-0.1"), (m["i32"], m["f32"], m["yes"], m["u64"], m["i64"], m["f64"]));
        Assert.Equal(new string('x', 400) + "... (1000 bytes)", m["long"]);
        Assert.Equal(("[a, b, c, d, e, f, ... 8 items]", "[1, -2]", "[]", "[[5], [6, 7]]"), (m["tokens"], m["scores"], m["empty"], m["nested"]));
        Assert.Equal(["empty", "long", "nested", "scores", "tokens"], m.Keys.Except(c.Metadata.Keys).Order()); // no file made from this one should have half of them
        Assert.All(c.Metadata, pair => Assert.Equal(pair.Value, m[pair.Key]));
        Assert.Equal(2f, Floats(c, c.Find("u")!, 0, 1)[0]);
        Assert.Equal(0, c.Find("u")!.Offset % 64);
    }

    [Fact]
    public void A_split_model_is_one_whichever_part_is_named()
    {
        folder.Put("m-00001-of-00002.gguf", new GgufBytes().Key("split.count", 2, 2, 0).Tensor("b", 0, [1], Bytes(1f)).Bytes());
        var fault = Assert.Throws<FaultException>(() => Checkpoint.Open(folder["m-00001-of-00002.gguf"]));
        Assert.Contains("1 of the model's 2 files are missing: 'm-00002-of-00002.gguf'", fault.Message);
        folder.Put("m-00002-of-00002.gguf", new GgufBytes().Key("split.count", 2, 2, 0).Tensor("a", 0, [1], Bytes(2f)).Bytes());
        using var one = Checkpoint.Open(folder["m-00001-of-00002.gguf"]);
        using var two = Checkpoint.Open(folder["m-00002-of-00002.gguf"]);
        using var all = Checkpoint.Open(folder.Path);
        foreach (var c in new[] { one, two, all })
        {
            Assert.Equal(["a", "b"], c.Tensors.Select(t => t.Name));
            Assert.Equal(2f, Floats(c, c.Find("a")!, 0, 1)[0]);
            Assert.Equal(one.Fingerprint, c.Fingerprint);
        }

        File.Move(folder["m-00001-of-00002.gguf"], folder["first.gguf"]);
        fault = Assert.Throws<FaultException>(() => Checkpoint.Open(folder["first.gguf"]));
        Assert.Contains("is one of '2' files of a model", fault.Message);
    }

    [Fact]
    public void A_fingerprint_tells_files_apart()
    {
        using var a = Open(new GgufBytes().Tensor("t", 0, [1], Bytes(1f)).Bytes());
        using var b = Open(new GgufBytes().Tensor("t", 0, [1], Bytes(2f)).Bytes());
        using var same = Open(new GgufBytes().Tensor("t", 0, [1], Bytes(1f)).Bytes());
        Assert.NotEqual(a.Fingerprint, b.Fingerprint);
        Assert.Equal(a.Fingerprint, same.Fingerprint);
    }

    /// <summary>Element i of a block by ggml's definition of the type, in float32, each step rounded.</summary>
    private static float Element(uint type, ReadOnlySpan<byte> block, int i)
    {
        switch (type)
        {
            case 8:
                return Half(block) * (sbyte)block[2 + i];
            case 2:
                int nibble = i < 16 ? block[2 + i] % 16 : block[2 + i - 16] / 16;
                return Half(block) * (nibble - 8);
            case 12:
            {
                int group = i / 32; // of 8
                var (s, m) = group < 4
                    ? (block[4 + group] % 64, block[8 + group] % 64)
                    : ((block[8 + group] % 16) + (block[group] / 64 * 16), (block[8 + group] / 16) + (block[4 + group] / 64 * 16));
                byte pair = block[16 + (i / 64 * 32) + (i % 32)];
                int q = group % 2 == 0 ? pair % 16 : pair / 16;
                float scale = Half(block) * s, least = Half(block[2..]) * m;
                float product = scale * q;
                return product - least;
            }

            default:
            {
                var (half, within) = (i / 128, i % 128);
                var (quarter, l) = (within / 32, within % 32);
                byte low = block[(half * 64) + (quarter % 2 * 32) + l];
                int q = (quarter < 2 ? low % 16 : low / 16) + (block[128 + (half * 32) + l] >> (2 * quarter) & 3) * 16 - 32;
                float scale = Half(block[208..]) * (sbyte)block[192 + (i / 16)];
                return scale * q;
            }
        }
    }

    private static float Half(ReadOnlySpan<byte> at) => (float)BitConverter.ToHalf(at);

    private static byte[] Blocks(uint type, int bytes, int count, int seed)
    {
        var random = new Random(seed);
        var content = new byte[bytes * count];
        random.NextBytes(content);
        for (int i = 0; i < count; i++)
        {
            int at = (i * bytes) + (type == 14 ? 208 : 0);
            BitConverter.TryWriteBytes(content.AsSpan(at), (Half)(random.NextDouble() - 0.5));
            if (type == 12)
            {
                BitConverter.TryWriteBytes(content.AsSpan(at + 2), (Half)(random.NextDouble() * 0.01));
            }
        }

        return content;
    }

    private static byte[] Bytes(params float[] values) => MemoryMarshal.AsBytes(values.AsSpan()).ToArray();

    private static float[] Floats(Checkpoint c, TensorInfo t, int from, int count)
    {
        var floats = new float[count];
        c.Read(t, 4L * from, MemoryMarshal.AsBytes(floats.AsSpan()));
        return floats;
    }

    private Checkpoint Open(byte[] file) => Checkpoint.Open(folder.Put($"{Guid.NewGuid():N}.gguf", file));
}
