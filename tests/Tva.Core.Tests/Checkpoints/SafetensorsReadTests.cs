using System.Security.Cryptography;
using System.Text;
using Tva.Core.Checkpoints;
using Tva.Core.Tensors;
using Xunit;

namespace Tva.Core.Tests;

public sealed class SafetensorsReadTests : IDisposable
{
    private readonly TempFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Theory]
    [InlineData("F64", DType.F64, 8)]
    [InlineData("F32", DType.F32, 4)]
    [InlineData("F16", DType.F16, 2)]
    [InlineData("BF16", DType.BF16, 2)]
    [InlineData("F8_E4M3", DType.F8E4M3, 1)]
    [InlineData("F8_E5M2", DType.F8E5M2, 1)]
    [InlineData("I64", DType.I64, 8)]
    [InlineData("I32", DType.I32, 4)]
    [InlineData("I16", DType.I16, 2)]
    [InlineData("I8", DType.I8, 1)]
    [InlineData("U64", DType.U64, 8)]
    [InlineData("U32", DType.U32, 4)]
    [InlineData("U16", DType.U16, 2)]
    [InlineData("U8", DType.U8, 1)]
    [InlineData("BOOL", DType.Bool, 1)]
    public void Every_dtype_opens_with_its_size(string name, DType dtype, int size)
    {
        var data = Enumerable.Range(1, 6 * size).Select(i => (byte)i).ToArray();
        string header = $$$"""{"a":{"dtype":"{{{name}}}","shape":[2,3],"data_offsets":[0,{{{6 * size}}}]}}""";
        using var checkpoint = Checkpoint.Open(folder.Put("x.safetensors", header, data));
        var tensor = Assert.Single(checkpoint.Tensors);
        Assert.Equal(("a", dtype, 8L + header.Length, 6L * size), (tensor.Name, tensor.DType, tensor.Offset, tensor.Bytes));
        Assert.Equal([2, 3], tensor.Shape.Dims);
        var read = new byte[6 * size];
        checkpoint.Read(tensor, 0, read);
        Assert.Equal(data, read);
        checkpoint.Prefetch(tensor, 0, tensor.Bytes);
        checkpoint.Read(tensor, size, read.AsSpan(0, 2 * size));
        Assert.Equal(data[size..(3 * size)], read[..(2 * size)]);
    }

    [Fact]
    public void Tensors_come_in_the_order_of_their_bytes_whatever_the_headers_order()
    {
        using var checkpoint = Checkpoint.Open(folder.Put("x.safetensors", """
            {"late":{"dtype":"U8","shape":[2],"data_offsets":[3,5]},"early":{"data_offsets":[0,3],"shape":[3],"dtype":"I8"}}
            """, 1, 2, 3, 4, 5));
        Assert.Equal(["early", "late"], checkpoint.Tensors.Select(t => t.Name));
        var read = new byte[2];
        checkpoint.Read(checkpoint.Find("late")!, 0, read);
        Assert.Equal([4, 5], read);
        Assert.Null(checkpoint.Find("Late"));
    }

    [Theory]
    [InlineData("""{}""", 0)]
    [InlineData("""{"__metadata__":null}   """, 0)]
    [InlineData("""{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}""", 4)]
    [InlineData("""{"a":{"dtype":"F32","shape":[0,7],"data_offsets":[0,0]},"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}""", 1)]
    [InlineData("""{"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}""", 1)]
    [InlineData("""{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"note":{"deep":[1,{"x":null}]}}}""", 1)]
    [InlineData("""{"":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}""", 1)]
    public void What_the_reference_accepts_opens(string header, int data)
    {
        using var checkpoint = Checkpoint.Open(folder.Put("x.safetensors", header, new byte[data]));
        Assert.Equal(data, checkpoint.Tensors.Sum(t => t.Bytes));
    }

    [Fact]
    public void Names_and_metadata_are_unescaped()
    {
        using var checkpoint = Checkpoint.Open(folder.Put("x.safetensors",
            """{"__metadata__":{"format":"pt","t\u03c4":"a\"b\n"},"\u03bb.\"w\"":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}""", 9));
        Assert.NotNull(checkpoint.Find("λ.\"w\""));
        Assert.Equal("a\"b\n", checkpoint.Metadata["tτ"]);
        Assert.Equal("pt", checkpoint.Metadata["format"]);
    }

    [Theory]
    [InlineData("model.layers.12.mlp.weight", 12)]
    [InlineData("h.007.w", 7)]
    [InlineData("layer1.w", -1)]
    [InlineData("a..1", 1)]
    [InlineData("1234567890.w", -1)]
    [InlineData("", -1)]
    public void The_layer_is_the_first_whole_number_of_the_name(string name, int layer) =>
        Assert.Equal(layer, new TensorInfo(name, DType.U8, new Shape(1), 0, 0).Layer);

    [Fact]
    public void A_file_cut_while_in_use_is_a_fault_that_names_the_byte()
    {
        string path = folder.PutTensors("x.safetensors", "a", "b");
        using var checkpoint = Checkpoint.Open(path);
        var read = new byte[4];
        checkpoint.Read(checkpoint.Find("a")!, 0, read);
        using (var file = new FileStream(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
        {
            file.SetLength(file.Length - 2);
        }

        var fault = Assert.Throws<FaultException>(() => checkpoint.Read(checkpoint.Find("b")!, 0, read));
        Assert.StartsWith(path, fault.Message);
        Assert.Contains("'b'", fault.Message);
        Assert.Contains("has become shorter while reading", fault.Message);
        Assert.Contains($"ends at byte {new FileInfo(path).Length}", fault.Message);
    }

    [Fact]
    public void A_file_replaced_before_the_first_read_is_a_fault()
    {
        string path = folder.PutTensors("x.safetensors", "a");
        using var checkpoint = Checkpoint.Open(path);
        folder.PutTensors("x.safetensors", "a", "b");
        var fault = Assert.Throws<FaultException>(() => checkpoint.Read(checkpoint.Find("a")!, 0, new byte[4]));
        Assert.Contains("has changed since its header was read", fault.Message);
        File.Delete(path);
        fault = Assert.Throws<FaultException>(() => checkpoint.Read(checkpoint.Find("a")!, 0, new byte[4]));
        Assert.Contains("doesn't exist", fault.Message);
        checkpoint.Prefetch(checkpoint.Find("a")!, 0, 4);
    }

    [Fact]
    public void The_fingerprint_of_a_small_file_is_the_hash_of_header_length_and_data()
    {
        var bytes = TempFolder.Safetensors("""{"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}}""", 7, 8, 9);
        var expected = SHA256.HashData([.. bytes[..^3], .. BitConverter.GetBytes((long)bytes.Length), 7, 8, 9]);
        using var here = Checkpoint.Open(folder.Put("x.safetensors", bytes));
        using var there = Checkpoint.Open(folder.Put("elsewhere/y.safetensors", bytes));
        Assert.Equal(Convert.ToHexStringLower(expected), here.Fingerprint);
        Assert.Equal(here.Fingerprint, there.Fingerprint);
    }

    [Fact]
    public void The_fingerprint_of_a_large_file_samples_sixty_four_places_from_first_to_last()
    {
        const int data = 1_000_003;
        string header = $$$"""{"a":{"dtype":"U8","shape":[{{{data}}}],"data_offsets":[0,{{{data}}}]}}""";
        var content = new byte[data];
        new Random(5).NextBytes(content);
        var bytes = TempFolder.Safetensors(header, content);
        using var expected = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        expected.AppendData(bytes, 0, bytes.Length - data);
        expected.AppendData(BitConverter.GetBytes((long)bytes.Length));
        for (int i = 0; i < 64; i++)
        {
            expected.AppendData(content, (int)((data - 4096L) * i / 63), 4096);
        }

        using var checkpoint = Checkpoint.Open(folder.Put("x.safetensors", bytes));
        Assert.Equal(Convert.ToHexStringLower(expected.GetHashAndReset()), checkpoint.Fingerprint);
        bytes[^1] ^= 1;
        using var other = Checkpoint.Open(folder.Put("y.safetensors", bytes));
        Assert.NotEqual(checkpoint.Fingerprint, other.Fingerprint);
    }

    [Fact]
    public void Reading_outside_a_tensor_is_our_own_mistake_not_a_fault()
    {
        using var checkpoint = Checkpoint.Open(folder.PutTensors("x.safetensors", "a", "b"));
        Assert.Throws<ArgumentOutOfRangeException>(() => checkpoint.Read(checkpoint.Find("a")!, 1, new byte[4]));
        Assert.Throws<ArgumentOutOfRangeException>(() => checkpoint.Read(checkpoint.Find("b")!, -1, new byte[1]));
    }

    [Theory]
    [InlineData("merge-f32", DType.F32)]
    [InlineData("merge-bf16", DType.BF16)]
    public void Files_written_by_other_tools_open(string set, DType dtype)
    {
        string golden = Golden(set);
        foreach (var path in Directory.EnumerateFiles(golden, "*.safetensors"))
        {
            using var checkpoint = Checkpoint.Open(path);
            Assert.Equal(
                [
                    "layers.0.attn.weight [48, 32]", "layers.0.mlp.weight [64, 48]", "layers.1.attn.weight [48, 32]",
                    "layers.1.conv.weight [8, 3, 5, 5]", "layers.1.mlp.bias [37]", "model.embed_tokens.weight [50, 16]",
                ],
                checkpoint.Tensors.Select(t => $"{t.Name} {t.Shape}").Order(StringComparer.Ordinal));
            Assert.All(checkpoint.Tensors, t => Assert.Equal(dtype, t.DType));

            // The bytes behind an independently found header.
            var file = File.ReadAllBytes(path);
            var tensor = checkpoint.Find("layers.1.mlp.bias")!;
            string text = Encoding.UTF8.GetString(file, 8, (int)BitConverter.ToInt64(file));
            int begin = (int)System.Text.Json.Nodes.JsonNode.Parse(text)!["layers.1.mlp.bias"]!["data_offsets"]![0]!;
            var read = new byte[tensor.Bytes];
            checkpoint.Read(tensor, 0, read);
            Assert.Equal(file.AsSpan(8 + text.Length + begin, 37 * dtype.Size()).ToArray(), read);
        }
    }

    private static string Golden(string set)
    {
        string? root = AppContext.BaseDirectory;
        while (root is not null && !File.Exists(Path.Combine(root, "Dsl.sln")))
        {
            root = Path.GetDirectoryName(root);
        }

        return Path.Combine(root!, "tests", "golden", set);
    }
}
