using System.Buffers.Binary;
using Tva.Core.Checkpoints;
using Tva.Core.Tensors;
using Xunit;

namespace Tva.Core.Tests.Checkpoints;

// Not the tests' own checkpoint of that name, which counts what is read of it.
using MemoryCheckpoint = Tva.Core.Checkpoints.MemoryCheckpoint;

public sealed class MemoryCheckpointTests
{
    [Fact]
    public void BytesAreThoseOfTheElementsFromAnyOffset()
    {
        float[] numbers = [1f, -2.5f, 3e10f, float.NaN, 0f];
        var expected = new byte[20];
        for (int i = 0; i < numbers.Length; i++)
        {
            BinaryPrimitives.WriteSingleLittleEndian(expected.AsSpan(4 * i), numbers[i]);
        }

        var checkpoint = new MemoryCheckpoint("m", [MemoryTensor.Of<float>("w", numbers, 5)]);
        var info = checkpoint.Find("w")!;
        for (int at = 0; at <= 20; at++)
        {
            for (int length = 0; length <= 20 - at; length++)
            {
                var bytes = new byte[length];
                checkpoint.Read(info, at, bytes);
                Assert.Equal(expected[at..(at + length)], bytes);
            }
        }

        Assert.Equal(numbers, checkpoint.ToArray<float>("w"));
        Assert.Equal(expected, checkpoint.ToArray<byte>("w"));
        Assert.Throws<ArgumentException>(() => checkpoint.ToArray<double>("w"));
        Assert.Throws<KeyNotFoundException>(() => checkpoint.ToArray<float>("v"));
    }

    [Fact]
    public void TypesFollowFromTheElementsOrAreNamed()
    {
        Assert.Equal(DType.F64, MemoryTensor.Of<double>("a", new double[2], 2).DType);
        Assert.Equal(DType.F16, MemoryTensor.Of<Half>("a", new Half[2], 2).DType);
        Assert.Equal(DType.Bool, MemoryTensor.Of<bool>("a", new bool[2], 2).DType);
        Assert.Equal(DType.BF16, MemoryTensor.Of<ushort>("a", DType.BF16, new ushort[2], new Shape(2)).DType);
        Assert.Throws<ArgumentException>(() => MemoryTensor.Of<char>("a", new char[2], 2));
        Assert.Contains("takes 24 bytes, and 20 are given", Assert.Throws<ArgumentException>(() => MemoryTensor.Of<float>("a", new float[5], 2, 3)).Message);
        var twice = MemoryTensor.Of<float>("a", new float[1], 1);
        Assert.Throws<ArgumentException>(() => new MemoryCheckpoint("m", [twice, twice]));
    }

    [Fact]
    public void TheFingerprintTellsContentsApart()
    {
        static MemoryCheckpoint Of(string name, float v) => new("m", [MemoryTensor.Of<float>(name, new[] { v }, 1)]);
        Assert.Equal(Of("a", 1).Fingerprint, Of("a", 1).Fingerprint);
        Assert.NotEqual(Of("a", 1).Fingerprint, Of("a", 2).Fingerprint);
        Assert.NotEqual(Of("a", 1).Fingerprint, Of("b", 1).Fingerprint);
    }

    [Fact]
    public void TheWriterDeliversWhenAllIsThere()
    {
        MemoryCheckpoint? got = null;
        using var writer = new MemoryWriter("memory:m", [("a", DType.F32, new Shape(2)), ("b", DType.U8, new Shape(3))], new Dictionary<string, string> { ["k"] = "v" }, c => got = c);
        writer.Write(1, 1, [8, 9]);
        writer.Write(0, 0, [0, 0, 128, 63, 0, 0, 0, 64]);
        writer.Write(1, 0, [7]);
        Assert.Null(got);
        Assert.Equal(11, writer.Bytes);
        writer.Commit();
        Assert.Equal("memory:m", got!.Path);
        Assert.Equal([1f, 2f], got.ToArray<float>("a"));
        Assert.Equal([7, 8, 9], got.ToArray<byte>("b"));
        Assert.Equal("v", got.Metadata["k"]);
        var fault = Assert.Throws<FaultException>(() => new MemoryWriter("m", [("big", DType.F32, new Shape(1L << 30))], new Dictionary<string, string>(), _ => { }));
        Assert.Contains("memory:m: tensor", fault.Message);
    }

    [Fact]
    public void FoldersAreLeftThroughNoLink()
    {
        var root = Directory.CreateTempSubdirectory("tva-folders-").FullName;
        try
        {
            string In(string name) => Path.Combine(root, name);
            Directory.CreateDirectory(In("in/sub"));
            Directory.CreateDirectory(In("inside-not"));
            Directory.CreateDirectory(In("out"));
            File.WriteAllText(In("in/a.txt"), "");
            Directory.CreateSymbolicLink(In("in/sub/up"), root);
            Directory.CreateSymbolicLink(In("alias"), In("in"));
            var folders = new AllowedFolders([In("alias")], [In("out")]);
            Assert.Null(folders.OutsideOfRead(In("in/a.txt")));
            Assert.Null(folders.OutsideOfRead(In("alias/not-there")));
            Assert.Null(folders.OutsideOfRead(In("out/x")));
            Assert.Null(folders.OutsideOfWrite(In("out/new/x")));
            Assert.True(folders.MayEnter(In("in/sub")));
            Assert.NotNull(folders.OutsideOfWrite(In("in/a.txt")));
            Assert.NotNull(folders.OutsideOfRead(In("inside-not/a")));
            Assert.NotNull(folders.OutsideOfRead(In("in/../inside-not/a")));
            Assert.NotNull(folders.OutsideOfRead(In("in/sub/up/inside-not")));
            Assert.Equal(root, folders.OutsideOfRead(In("in/sub")));
            Assert.False(folders.MayEnter(In("in/sub/up")));
        }
        finally
        {
            Directory.Delete(root, true);
        }
    }

    [Fact]
    public void ShapesThatNoMemoryHasAreRefused()
    {
        Assert.Throws<ArgumentException>(() => MemoryTensor.Of<float>("s", new float[4], -2, -2));
        Assert.Throws<ArgumentException>(() => MemoryTensor.Of<float>("s", DType.F32, new float[4], new Shape(-2, -2)));
        Assert.Throws<ArgumentException>(() => MemoryTensor.Of<float>("s", new float[4], 5));
        Assert.Throws<ArgumentException>(() => MemoryTensor.Of<float>("s", new float[4], 1L << 40, 1L << 40));
        Assert.Throws<ArgumentException>(() => MemoryTensor.Of<float>("s", Array.Empty<float>(), 1L << 62)); // as bytes it is 0 modulo 2^64
        Assert.Throws<ArgumentNullException>(() => MemoryTensor.Of<float>("s", new float[4], null!));
        Assert.Equal(0, MemoryTensor.Of<float>("s", Array.Empty<float>(), 0, 3).Shape.Elements);
    }
}
