using System.Runtime.InteropServices;
using Tva.Core.Checkpoints;
using Tva.Core.Tensors;
using Xunit;

namespace Tva.Core.Tests;

/// <summary>Files of torch.save itself, then what they hardly ever have, put together by hand.</summary>
public sealed class PyTorchReadTests : IDisposable
{
    private readonly TempFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void A_state_dict_reads_as_the_safetensors_file_of_the_same_tensors()
    {
        using var pt = Checkpoint.Open(Path.Combine(Golden, "zeroshot.pt"));
        using var st = Checkpoint.Open(Path.Combine(Golden, "zeroshot.safetensors"));
        Assert.Equal(st.Tensors.Select(t => (t.Name, t.DType, t.Shape)), pt.Tensors.Select(t => (t.Name, t.DType, t.Shape)));
        Assert.All(st.Tensors, t => Assert.Equal(All(st, t), All(pt, pt.Find(t.Name)!)));
        Assert.Null(pt.Find("conv1"));
        Assert.Empty(pt.Metadata);
        Assert.Equal([Path.Combine(Golden, "zeroshot.pt")], pt.Files);
        foreach (var t in pt.Tensors)
        {
            pt.Prefetch(t, 0, t.Bytes);
            var part = new byte[16];
            pt.Read(t, 20, part);
            Assert.Equal(All(pt, t)[20..36], part);
        }
    }

    [Theory]
    [InlineData("pca")]
    [InlineData("ae_linear")]
    [InlineData("ae_softmax")]
    [InlineData("random_projection")]
    [InlineData("random_sample")]
    public void A_list_of_dictionaries_is_one_checkpoint_each(string method)
    {
        // Independent of this reader: the golden sum is what PyTorch made of the same vectors, adding in float32 one by one.
        using var file = new PyTorchFile(Path.Combine(Golden, method, "basis_vectors.pt"));
        var list = Assert.IsType<PickleList>(Assert.IsType<PickleDictionary>(file.Root).Find("basis_vectors"));
        var atoms = list.Items.Select((item, i) => file.OpenCheckpoint(item, $"basis_vectors.pt[{i}]")).ToArray();
        file.Dispose();
        Assert.Equal(3, atoms.Length);
        Assert.Equal(3, atoms.Select(a => a.Fingerprint).Distinct().Count());
        using var sum = Checkpoint.Open(Path.Combine(Golden, method, "sum_of_basis.expected.safetensors"));
        Assert.Equal(sum.Tensors.Select(t => (t.Name, t.Shape)), atoms[0].Tensors.Select(t => (t.Name, t.Shape)));
        foreach (var t in sum.Tensors)
        {
            var parts = atoms.Select(a => Floats(a, a.Find(t.Name)!)).ToArray();
            Assert.Equal(Floats(sum, t), parts[0].Select((x, i) => x + parts[1][i] + parts[2][i]));
        }

        atoms[0].Dispose();
        atoms[0].Dispose();
        atoms[1].Dispose();
        _ = All(atoms[2], atoms[2].Tensors[0]);
        atoms[2].Dispose();
        Assert.Throws<ObjectDisposedException>(() => All(atoms[2], atoms[2].Tensors[0]));
    }

    [Fact]
    public void Transposed_coefficients_and_plain_values_are_as_PyTorch_shows_them()
    {
        using var file = new PyTorchFile(Path.Combine(Golden, "pca", "pca_components.pt"));
        var root = Assert.IsType<PickleDictionary>(file.Root);
        var coefficients = Assert.IsType<PickleTensor>(root.Find("coefficients"));
        Assert.Equal((new Shape(3, 6), false), (coefficients.Shape, coefficients.IsContiguous));
        Assert.Equal([1, 3], coefficients.Strides);
        var read = file.ReadDoubles(coefficients);
        Assert.Equal([-0.3944721817970276, 0.5810068845748901, -0.518360435962677], read[..3]);
        Assert.Equal(-0.7559561133384705, read[10]);
        Assert.Equal(0.6733335852622986, read[17]);
        Assert.Equal(3, Assert.IsType<PickleInteger>(root.Find("M_actual")).Value);
        Assert.Equal(["conv1.weight", "class_embedding"],
            Assert.IsType<PickleList>(root.Find("keys_order")).Items.Take(2).Select(item => ((PickleText)item).Value));
        Assert.Null(root.Find("no such key"));

        using var learned = new PyTorchFile(Path.Combine(Golden, "ae_linear", "AWB.pt"));
        var metadata = Assert.IsType<PickleDictionary>(((PickleDictionary)learned.Root).Find("metadata"));
        Assert.Equal(0.01, Assert.IsType<PickleReal>(metadata.Find("lr")).Value);
        Assert.Equal("linear", Assert.IsType<PickleText>(metadata.Find("encoder")).Value);
        Assert.False(Assert.IsType<PickleBoolean>(metadata.Find("softmax_w")).Value);
        Assert.IsType<PickleNothing>(metadata.Find("grad_clip"));
        Assert.Equal(["model", "finetuning_mode"], metadata.Entries.Take(2).Select(e => ((PickleText)e.Key).Value));
    }

    [Theory]
    [InlineData("DoubleStorage", DType.F64)]
    [InlineData("FloatStorage", DType.F32)]
    [InlineData("HalfStorage", DType.F16)]
    [InlineData("BFloat16Storage", DType.BF16)]
    [InlineData("LongStorage", DType.I64)]
    [InlineData("IntStorage", DType.I32)]
    [InlineData("ShortStorage", DType.I16)]
    [InlineData("CharStorage", DType.I8)]
    [InlineData("ByteStorage", DType.U8)]
    [InlineData("BoolStorage", DType.Bool)]
    public void Every_storage_opens_with_its_dtype(string storage, DType dtype)
    {
        var data = Enumerable.Range(1, 6 * dtype.Size()).Select(i => (byte)i).ToArray();
        using var checkpoint = Checkpoint.Open(Put(Dict("a", p => p.Tensor(storage, "0", 6, 0, [2, 3], [3, 1])), data));
        var tensor = Assert.Single(checkpoint.Tensors);
        Assert.Equal(("a", dtype, new Shape(2, 3)), (tensor.Name, tensor.DType, tensor.Shape));
        Assert.Equal(data, All(checkpoint, tensor));
        Assert.Equal(data, File.ReadAllBytes(folder["x.pt"])[(int)tensor.Offset..][..data.Length]);
    }

    [Theory]
    [InlineData("float8_e4m3fn", DType.F8E4M3)]
    [InlineData("float8_e5m2", DType.F8E5M2)]
    [InlineData("uint16", DType.U16)]
    [InlineData("uint32", DType.U32)]
    [InlineData("uint64", DType.U64)]
    [InlineData("bfloat16", DType.BF16)]
    public void Untyped_storages_take_the_tensors_dtype(string name, DType dtype)
    {
        var data = Enumerable.Range(1, 4 * dtype.Size()).Select(i => (byte)i).ToArray();
        using var checkpoint = Checkpoint.Open(Put(
            Dict("a", p => p.Global("torch._utils", "_rebuild_tensor_v3").Op('(').Storage("UntypedStorage", "0", data.Length, "torch.storage")
                .Int(1).Tuple(3).Tuple(1).Raw(0x89).Global("collections", "OrderedDict").Op(")R").Global("torch", name).Op("tR")), data));
        var tensor = Assert.Single(checkpoint.Tensors);
        Assert.Equal((dtype, new Shape(3)), (tensor.DType, tensor.Shape));
        Assert.Equal(data[dtype.Size()..], All(checkpoint, tensor));
    }

    [Theory]
    [InlineData(0, new long[] { 4, 6 }, new long[] { 6, 1 })]
    [InlineData(0, new long[] { 4, 6 }, new long[] { 1, 4 })]
    [InlineData(5, new long[] { 3, 2 }, new long[] { 1, 7 })]
    [InlineData(2, new long[] { 3, 4 }, new long[] { 6, 1 })]
    [InlineData(1, new long[] { 3, 4 }, new long[] { 7, 2 })]
    [InlineData(3, new long[] { 5, 4 }, new long[] { 0, 1 })]
    [InlineData(3, new long[] { 4, 5 }, new long[] { 1, 0 })]
    [InlineData(7, new long[] { 2, 3, 2 }, new long[] { 0, 0, 0 })]
    [InlineData(0, new long[] { 2, 3, 4 }, new long[] { 1, 8, 2 })]
    [InlineData(0, new long[] { 2, 3, 4 }, new long[] { 4, 8, 1 })]
    [InlineData(0, new long[] { 3, 1, 5, 1 }, new long[] { 5, 99, 1, 0 })]
    [InlineData(4, new long[] { 5, 3 }, new long[] { 1, 1 })]
    [InlineData(23, new long[] { }, new long[] { })]
    [InlineData(9, new long[] { 1, 1 }, new long[] { 50, 60 })]
    [InlineData(24, new long[] { 0, 3 }, new long[] { 3, 1 })]
    [InlineData(0, new long[] { 3, 0 }, new long[] { 1, 77 })]
    public void Strides_are_followed_from_any_byte_to_any_other(int offset, long[] shape, long[] strides)
    {
        foreach (var (storage, size) in new[] { ("ByteStorage", 1), ("HalfStorage", 2), ("FloatStorage", 4), ("DoubleStorage", 8) })
        {
            var data = new byte[24 * size];
            new Random(size).NextBytes(data);
            using var checkpoint = Checkpoint.Open(Put(Dict("a", p => p.Tensor(storage, "0", 24, offset, shape, strides)), data));
            var expected = Elements(offset, shape, strides).SelectMany(e => data.Skip((int)e * size).Take(size)).ToArray();
            var tensor = checkpoint.Tensors[0];
            Assert.Equal(expected.Length, tensor.Bytes);
            checkpoint.Prefetch(tensor, 0, tensor.Bytes);
            for (int from = 0; from <= expected.Length; from++)
            {
                for (int to = from; to <= expected.Length; to += 1 + (to / 7))
                {
                    var read = new byte[to - from];
                    checkpoint.Read(tensor, from, read);
                    Assert.True(expected.AsSpan(from..to).SequenceEqual(read), $"{storage} {from}..{to}");
                }
            }
        }
    }

    // Large enough that each way of reading is taken: at once, in groups, by single rows, by pieces of rows, by strips; from all threads.
    [Theory]
    [InlineData(0, new long[] { 700, 900 }, new long[] { 1, 700 })]
    [InlineData(0, new long[] { 1100, 1200 }, new long[] { 1, 1100 })]
    [InlineData(0, new long[] { 2, 650_000 }, new long[] { 1, 2 })]
    [InlineData(0, new long[] { 1_200_000, 1 }, new long[] { 1, 5 })]
    [InlineData(0, new long[] { 1, 1_300_000 }, new long[] { 5, 1 })]
    [InlineData(6, new long[] { 1_200_000 }, new long[] { 1 })]
    [InlineData(0, new long[] { 900, 3, 200 }, new long[] { 1, 900, 2700 })]
    [InlineData(11, new long[] { 20, 50 }, new long[] { 31_000, 3 })]
    [InlineData(0, new long[] { 2, 300_000 }, new long[] { 50_000, 2 })]
    [InlineData(7, new long[] { 40, 9 }, new long[] { 3, 70_000 })]
    [InlineData(0, new long[] { 3, 100_000 }, new long[] { 200_000, 1 })]
    [InlineData(5, new long[] { 30, 30, 30 }, new long[] { 900, 1, 30 })]
    [InlineData(5, new long[] { 4, 60_000, 3 }, new long[] { 1, 5, 0 })]
    public void Large_strided_tensors_read_by_blocks(int offset, long[] shape, long[] strides)
    {
        var data = new byte[4 * 1_400_000];
        for (int i = 0; i < 1_400_000; i++)
        {
            BitConverter.TryWriteBytes(data.AsSpan(4 * i), i);
        }

        using var checkpoint = Checkpoint.Open(Put(Dict("a", p => p.Tensor("IntStorage", "0", 1_400_000, offset, shape, strides)), data));
        var expected = Elements(offset, shape, strides).Select(e => (int)e).ToArray();
        var tensor = checkpoint.Tensors[0];
        Assert.True(MemoryMarshal.Cast<byte, int>(All(checkpoint, tensor)).SequenceEqual(expected));
        foreach (int block in new[] { 40_000, 333_332 })
        {
            Parallel.For(0, (int)((tensor.Bytes + block - 1) / block), i =>
            {
                int at = i * block;
                var read = new byte[Math.Min(block, tensor.Bytes - at)];
                checkpoint.Read(tensor, at, read);
                Assert.True(MemoryMarshal.Cast<byte, int>(read).SequenceEqual(expected.AsSpan(at / 4, read.Length / 4)), $"{at}");
            });
        }
    }

    [Fact]
    public void Tensors_may_share_a_storage_and_dictionaries()
    {
        var pickle = new PickleBytes().Op("}(").Text("a").Tensor("ByteStorage", "0", 4, 0, [2], [1]).Text("b")
            .Tensor("ByteStorage", "0", 4, 1, [3], [1]).Text("layer").Op('}').Raw((byte)'q', 0).Op('(').Text("w")
            .Tensor("ByteStorage", "0", 4, 3, [], []).Op('u').Text("tied").Raw((byte)'h', 0).Op('u').Stop();
        using var checkpoint = Checkpoint.Open(Put(pickle, [1, 2, 3, 4]));
        Assert.Equal(["a:12", "b:234", "layer.w:4", "tied.w:4"],
            checkpoint.Tensors.Select(t => $"{t.Name}:{string.Concat(All(checkpoint, t))}"));
    }

    [Fact]
    public void Frames_short_texts_and_memoize_of_protocol_4_are_read()
    {
        foreach (int protocol in new[] { 4, 5 })
        {
            var pickle = new PickleBytes(protocol).Raw(0x95).U64(20).Op('}').Raw(0x94).Op('(').ShortText("w").Raw(0x94)
                .ShortText("torch._utils").Raw(0x94).ShortText("_rebuild_tensor_v2").Raw(0x94, 0x93, 0x94).Op("((").LongText("storage").ShortText("torch")
                .ShortText("FloatStorage").Raw(0x93).ShortText("0").ShortText("cpu").Int(1).Op("tQ").Int(0).Op(")").Op(")").Raw(0x89)
                .Raw(0x95).U64(10).ShortText("collections").ShortText("OrderedDict").Raw(0x93).Op(")RtRu").Stop();
            using var checkpoint = Checkpoint.Open(Put(pickle, [1, 2, 3, 4]));
            Assert.Equal([1, 2, 3, 4], All(checkpoint, checkpoint.Find("w")!));
        }
    }

    [Fact]
    public void State_dicts_of_modules_open()
    {
        // OrderedDict with _metadata, a parameter, a buffer, a shape, a dtype, numbers that LONG1 holds.
        var pickle = new PickleBytes().Global("collections", "OrderedDict").Op(")R").Raw((byte)'q', 0).Op('(')
            .Text("p").Global("torch._utils", "_rebuild_parameter").Op('(').Tensor("FloatStorage", "0", 2, 0, [2], [1]).Raw(0x88)
            .Global("collections", "OrderedDict").Op(")RtR")
            .Text("b").Tensor("FloatStorage", "0", 2, 1, [1], [1])
            .Text("size").Global("torch", "Size").Tuple(2, 3).Raw(0x85).Op('R')
            .Text("type").Global("torch", "float32").Text("half").Real(0.5).Text("none").Op('N').Text("yes").Raw(0x88)
            .Text("big").Int(long.MinValue).Text("minus").Int(-1).Text("zero").Raw(0x8A, 0).Text("long").Raw(0x8A, 2, 0, 255)
            .Op("u}").Text("_metadata").Global("collections", "OrderedDict").Op(")Rsb").Stop();
        string path = Put(pickle, [0, 0, 128, 63, 0, 0, 0, 64]);
        using var checkpoint = Checkpoint.Open(path);
        Assert.Equal(["b", "p"], checkpoint.Tensors.Select(t => t.Name));
        using var file = new PyTorchFile(path);
        var root = (PickleDictionary)file.Root;
        Assert.Equal(["p", "b", "size", "type", "half", "none", "yes", "big", "minus", "zero", "long"],
            root.Entries.Select(e => ((PickleText)e.Key).Value));
        Assert.Equal([long.MinValue, -1, 0, -256], new[] { "big", "minus", "zero", "long" }.Select(k => ((PickleInteger)root.Find(k)!).Value));
        Assert.Equal([2L, 3L], ((PickleList)root.Find("size")!).Items.Select(i => ((PickleInteger)i).Value));
        Assert.Equal([1, 2], file.ReadDoubles((PickleTensor)root.Find("p")!));
    }

    [Fact]
    public void A_key_set_again_keeps_its_place_and_takes_the_last_value()
    {
        var pickle = new PickleBytes().Op('}').Text("a").Int(1).Op('s').Int(7).Int(2).Op('s').Text("a").Int(3).Op('s').Int(7).Int(4).Op('s').Stop();
        using var file = new PyTorchFile(Put(pickle));
        Assert.Equal(["the text 'a': the number 3", "the number 7: the number 4"],
            ((PickleDictionary)file.Root).Entries.Select(e => $"{e.Key}: {e.Value}"));
    }

    [Theory]
    [InlineData("state_dict")]
    [InlineData("model_state_dict")]
    [InlineData("model")]
    [InlineData("module")]
    public void A_training_checkpoint_opens_as_its_state_dict(string key)
    {
        var pickle = new PickleBytes().Op("}(").Text("epoch").Int(3).Text(key).Op("}(").Text("net").Op("}(").Int(0).Op("}(").Text("w")
            .Tensor("ByteStorage", "0", 2, 0, [2], [1]).Op("uu").Text("wide").Tensor("ShortStorage", "0", 1, 0, [1], [1]).Text("lr").Real(0.1)
            .Op('u').Text("optimizer").Op("}(").Text("m").Tensor("ByteStorage", "0", 2, 0, [2], [1]).Op("uu").Stop();
        using var checkpoint = Checkpoint.Open(Put(pickle, [8, 9]));
        Assert.Equal(["wide", "net.0.w"], checkpoint.Tensors.Select(t => t.Name));
        Assert.Equal([8, 9], All(checkpoint, checkpoint.Find("net.0.w")!));
    }

    [Fact]
    public void Archives_with_and_without_zip64_records_and_folders_of_any_name_open()
    {
        var pickle = Dict("a", p => p.Tensor("ByteStorage", "0", 2, 0, [2], [1]));
        PyTorchArchive Archive(string root, bool wide) => new PyTorchArchive()
            .Add($"{root}/data.pkl", pickle, wide: wide).Add($"{root}/data/0", [5, 6], wide: wide).Add($"{root}/data/", [], flags: 0);
        foreach (var bytes in new[] { Archive("modèle τ", false).Bytes(wide: false), Archive("archive", true).Bytes(), Archive("x", true).Bytes(end: AllOnes) })
        {
            using var checkpoint = Checkpoint.Open(folder.Put("x.pt", bytes));
            Assert.Equal([5, 6], All(checkpoint, checkpoint.Tensors[0]));
        }

        static void AllOnes(byte[] end) => end.AsSpan(84, 12).Fill(255);
    }

    [Fact]
    public void The_fingerprint_is_of_the_content_not_the_place()
    {
        var pickle = Dict("a", p => p.Tensor("ByteStorage", "0", 2, 0, [2], [1]));
        using var a = Checkpoint.Open(folder.Put("a.pt", PyTorchArchive.Of(pickle, [1, 2])));
        using var b = Checkpoint.Open(folder.Put("elsewhere/b.pth", PyTorchArchive.Of(pickle, [1, 2])));
        using var c = Checkpoint.Open(folder.Put("c.pt", PyTorchArchive.Of(pickle, [1, 3])));
        Assert.Equal(a.Fingerprint, b.Fingerprint);
        Assert.NotEqual(a.Fingerprint, c.Fingerprint);
        Assert.Matches("^[0-9a-f]{64}$", a.Fingerprint);
    }

    [Fact]
    public void A_file_that_changes_is_a_fault()
    {
        var pickle = Dict("a", p => p.Tensor("ByteStorage", "0", 400, 0, [20, 20], [1, 20]));
        string path = Put(pickle, new byte[400]);
        using var early = Checkpoint.Open(path);
        using var late = Checkpoint.Open(path);
        early.Read(early.Tensors[0], 0, new byte[4]);
        using (var file = new FileStream(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
        {
            file.SetLength(early.Tensors[0].Offset + 100);
        }

        var fault = Assert.Throws<FaultException>(() => All(early, early.Tensors[0]));
        Assert.StartsWith(path + ": tensor 'a': the file has become shorter", fault.Message);
        fault = Assert.Throws<FaultException>(() => All(late, late.Tensors[0]));
        Assert.Contains("has changed since its header was read", fault.Message);
    }

    [Fact]
    public void Many_threads_may_read_at_once()
    {
        var data = new byte[4 * 90_000];
        new Random(3).NextBytes(data);
        var pickle = new PickleBytes().Op("}(").Text("plain").Tensor("FloatStorage", "0", 90_000, 0, [300, 300], [300, 1]).Text("turned")
            .Tensor("FloatStorage", "0", 90_000, 0, [300, 300], [1, 300]).Op('u').Stop();
        using var checkpoint = Checkpoint.Open(Put(pickle, data));
        var expected = checkpoint.Tensors.Select(t => All(checkpoint, t)).ToArray();
        Assert.Equal(data, expected[0]);
        Parallel.For(0, 200, i => Assert.Equal(expected[i % 2], All(checkpoint, checkpoint.Tensors[i % 2])));
    }

    [Fact]
    public void Reading_outside_a_tensor_is_our_own_mistake_not_a_fault()
    {
        using var checkpoint = Checkpoint.Open(Put(Dict("a", p => p.Tensor("FloatStorage", "0", 2, 0, [2], [1])), new byte[8]));
        Assert.Throws<ArgumentOutOfRangeException>(() => checkpoint.Read(checkpoint.Find("a")!, 5, new byte[4]));
        Assert.Throws<ArgumentOutOfRangeException>(() => checkpoint.Read(checkpoint.Find("a")!, -1, new byte[1]));
    }

    /// <summary>Storage elements of a tensor in row-major order, from the definition.</summary>
    private static IEnumerable<long> Elements(long offset, long[] shape, long[] strides) =>
        shape.Length == 0 ? [offset]
            : Enumerable.Range(0, (int)shape[0]).SelectMany(i => Elements(offset + (i * strides[0]), shape[1..], strides[1..]));

    private static byte[] Dict(string name, Func<PickleBytes, PickleBytes> value) => value(new PickleBytes().Op('}').Text(name)).Op('s').Stop();

    private string Put(byte[] pickle, params byte[][] storages) => folder.Put("x.pt", PyTorchArchive.Of(pickle, storages));

    private static string Golden
    {
        get
        {
            string? root = AppContext.BaseDirectory;
            while (root is not null && !File.Exists(Path.Combine(root, "Dsl.sln")))
            {
                root = Path.GetDirectoryName(root);
            }

            return Path.Combine(root!, "tests", "golden", "tvb");
        }
    }

    private static byte[] All(Checkpoint checkpoint, TensorInfo tensor)
    {
        var bytes = new byte[tensor.Bytes];
        checkpoint.Read(tensor, 0, bytes);
        return bytes;
    }

    private static float[] Floats(Checkpoint checkpoint, TensorInfo tensor) => MemoryMarshal.Cast<byte, float>(All(checkpoint, tensor)).ToArray();
}
