using Tva.Core.Checkpoints;
using Tva.Core.Tensors;
using Xunit;

namespace Tva.Core.Tests;

/// <summary>Files of PyTorch itself, of every kind that it writes, against what PyTorch reads back from them (tests/golden/torch/make.py).</summary>
public sealed class TorchFilesTests : IDisposable
{
    private readonly TempFolder folder = new();

    public void Dispose() => folder.Dispose();

    public static TheoryData<string> Names =>
        [.. Directory.EnumerateFiles(Golden, "*.pt").Select(f => Path.GetFileNameWithoutExtension(f)).Order(StringComparer.Ordinal)];

    [Theory]
    [MemberData(nameof(Names))]
    public void Tensors_are_what_PyTorch_reads(string name)
    {
        using var pt = Checkpoint.Open(Path.Combine(Golden, name + ".pt"));
        using var st = Checkpoint.Open(Path.Combine(Golden, name + ".expected.safetensors"));
        Assert.NotEmpty(st.Tensors);
        Assert.Equal(st.Tensors.Select(t => (t.Name, t.DType, t.Shape)), pt.Tensors.Select(t => (t.Name, t.DType, t.Shape)));
        Assert.All(st.Tensors, t => Assert.Equal(All(st, t), All(pt, pt.Find(t.Name)!)));
        Assert.NotEqual(st.Fingerprint, pt.Fingerprint);
    }

    [Fact]
    public void What_is_left_out_is_told()
    {
        using var training = Checkpoint.Open(Path.Combine(Golden, "training_legacy.pt"));
        Assert.Equal(["is what stands under 'model'; left out: 'epoch', 'optimizer', 'args', 'rng', 'scheduler', 'key'"], training.Notes);
        using var module = Checkpoint.Open(Path.Combine(Golden, "module.pt"));
        Assert.Equal(["is an object of '__main__.Net', never made: its tensors are those of its state_dict()"], module.Notes);
    }

    [Fact]
    public void A_file_of_the_old_form_without_an_extension_is_known_by_its_content()
    {
        foreach (var name in new[] { "views_legacy", "views_legacy4", "views" })
        {
            string path = folder.Put("blob", File.ReadAllBytes(Path.Combine(Golden, name + ".pt")));
            using var c = Checkpoint.Open(path);
            Assert.Equal(16, c.Tensors.Count);
        }
    }

    [Theory]
    [InlineData("views_legacy")]
    [InlineData("views_legacy4")]
    public void A_file_of_the_old_form_cut_anywhere_is_a_fault(string name)
    {
        var whole = File.ReadAllBytes(Path.Combine(Golden, name + ".pt"));
        for (int length = 0; length < whole.Length; length++)
        {
            var fault = Assert.Throws<FaultException>(() => Checkpoint.Open(folder.Put("x.pt", whole[..length])));
            Assert.StartsWith(folder["x.pt"] + ": ", fault.Message);
        }

        Refuse([.. whole, 0], "has 1 bytes behind its last storage, which ends at");
    }

    [Fact]
    public void Files_of_the_old_form_that_lie_are_refused()
    {
        static PickleBytes Storage(PickleBytes p, string type, long elements, bool view = false)
        {
            p.Op('(').Text("storage").Global("torch", type).Text("0").Text("cpu").Int(elements);
            return (view ? p.Op('(').Text("1").Int(0).Int(1).Op('t') : p.Op('N')).Op("tQ");
        }

        static byte[] Dict(long elements = 2, string type = "FloatStorage", bool view = false) => Storage(
            new PickleBytes().Op('}').Text("a").Global("torch._utils", "_rebuild_tensor_v2").Op('('), type, elements, view)
            .Int(0).Tuple(2).Tuple(1).Raw(0x89).Op("NtRs").Stop();

        var keys = new PickleBytes().Op(']').Text("0").Op('a').Stop();
        byte[] data = [2, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
        using (var good = Checkpoint.Open(folder.Put("x.pt", Legacy(Dict(), keys, data))))
        {
            Assert.Equal(data[8..], All(good, good.Tensors[0]));
        }

        Refuse(Legacy(Dict(view: true), keys, data), "refers outside with a tuple of 6 instead of a storage");
        Refuse(Legacy(Dict(1L << 40), keys, data), "storage '0' has 4398046511104 bytes from");
        Refuse(Legacy(Dict(1L << 62), keys, data), "its storage '0' is not in the archive");
        Refuse(Legacy(Dict(-2), keys, data), "its storage '0' is not in the archive");
        Refuse(Legacy(Dict(), keys, [3, .. data[1..]]), "storage '0' at byte", "has 3 elements, and the value says that they take 8 bytes");
        Refuse(Legacy(Dict(), keys, [0, 0, 0, 0, 0, 0, 0, 0x80, .. data[8..]]), "has -9223372036854775808 elements");
        Refuse(Legacy(Dict(), new PickleBytes().Op(']').Stop(), []), "its value has storages that aren't listed behind it: '0'");
        Refuse(Legacy(Dict(), new PickleBytes().Op(']').Text("0").Op('a').Text("0").Op('a').Stop(), [.. data, .. data]), "lists the text '0' among its storages' keys");
        Refuse(Legacy(Dict(), new PickleBytes().Op(']').Text("7").Op('a').Stop(), data), "lists the text '7'");
        Refuse(Legacy(Dict(), new PickleBytes().Op(']').Int(0).Op('a').Stop(), data), "lists the number 0");
        Refuse(Legacy(Dict(), new PickleBytes().Op('N').Stop(), data), "the pickle of the storages' keys holds None; expected a list");
        Refuse(Legacy(Dict(), keys, data, version: 1000), "is of the number 1000 of the old PyTorch format; expected the number 1001");
        Refuse(Legacy(Dict(), keys, data, little: false), "was written by a big-endian machine");
        Refuse(Legacy(new PickleBytes().Global("posix", "system").Text("true").Raw(0x85).Op('R').Stop(), keys, data),
            "the pickle of the value at byte 47: asks for 'posix.system', which no model needs and which is never called");
        Refuse(Legacy(Dict(), keys, data)[..15], "the pickle of the version", "an opcode takes 1 bytes and 0 are left");
    }

    [Fact]
    public void A_pickle_of_Python_2_with_its_texts_and_its_memory_from_1_is_read()
    {
        // As cPickle of Python 2 writes { 'a': ... } of PyTorch 0.3: texts are bytes, what is remembered is counted from 1.
        var pickle = new PickleBytes().Op('}').Raw((byte)'q', 1).Raw((byte)'U', 1, (byte)'a').Raw((byte)'q', 2).Global("torch._utils", "_rebuild_tensor").Raw((byte)'q', 3)
            .Op("((").Raw((byte)'U', 7).Op("storage").Raw((byte)'q', 4).Global("torch", "FloatStorage").Raw((byte)'q', 5).Raw((byte)'U', 1, (byte)'0').Raw((byte)'q', 6)
            .Raw((byte)'U', 3).Op("cpu").Raw((byte)'q', 7).Int(2).Op("NtQ").Int(0).Tuple(2).Tuple(1).Op("tRs").Stop();
        byte[] keys = new PickleBytes().Op(']').Raw((byte)'q', 1).Raw((byte)'U', 1, (byte)'0').Op('a').Stop();
        using var c = Checkpoint.Open(folder.Put("x.pt", Legacy(pickle, keys, [2, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8])));
        Assert.Equal([1, 2, 3, 4, 5, 6, 7, 8], All(c, Assert.Single(c.Tensors)));
    }

    [Fact]
    public void Objects_that_hold_tensors_and_are_no_modules_are_refused_where_a_tensor_should_be()
    {
        PickleBytes Quantised() => new PickleBytes().Op("}(").Text("a").Tensor("FloatStorage", "0", 2, 0, [2], [1]).Text("b")
            .Global("torch._utils", "_rebuild_qtensor").Op('(').Storage("QInt8Storage", "1", 8).Int(0).Tuple(8).Tuple(1).Op("tRu");
        Refuse(PyTorchArchive.Of(Quantised().Stop(), new byte[8], new byte[8]), "refers outside with a tuple of 5");
        var wrapped = new PickleBytes().Op("}(").Text("a").Tensor("FloatStorage", "0", 2, 0, [2], [1]).Text("b")
            .Global("torch._utils", "_rebuild_sparse_tensor").Op('(').Tensor("FloatStorage", "0", 2, 0, [2], [1]).Op("tRu").Stop();
        Refuse(PyTorchArchive.Of(wrapped, new byte[8]), "'b' is an object of 'torch._utils._rebuild_sparse_tensor', which holds tensors and is no module of PyTorch");
        var storage = new PickleBytes().Op("}(").Text("a").Tensor("FloatStorage", "0", 2, 0, [2], [1]).Text("b")
            .Global("some", "rebuild").Op('(').Storage("FloatStorage", "0", 2).Op("tRu").Stop();
        Refuse(PyTorchArchive.Of(storage, new byte[8]), "'b' is an object of 'some.rebuild', which holds tensors");
    }

    [Fact]
    public void A_module_in_its_own_modules_is_refused()
    {
        var pickle = new PickleBytes().Global("x", "Net").Op(')').Raw(0x81).Raw((byte)'q', 0).Op("}(").Text("_parameters").Op("}").Text("w")
            .Tensor("FloatStorage", "0", 2, 0, [2], [1]).Op('s').Text("_modules").Op('}').Text("me").Raw((byte)'h', 0).Op("sub").Stop();
        Refuse(PyTorchArchive.Of(pickle, new byte[8]), "'me.me.me.");
    }

    private static byte[] Legacy(byte[] value, byte[] keys, byte[] data, long version = 1001, bool little = true)
    {
        var magic = new PickleBytes().Raw(0x8A, 10, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19).Stop();
        var facts = new PickleBytes().Op('}').Text("little_endian").Raw(little ? (byte)0x88 : (byte)0x89).Op('s').Stop();
        return [.. magic, .. new PickleBytes().Int(version).Stop(), .. facts, .. value, .. keys, .. data];
    }

    private static string Golden
    {
        get
        {
            string? root = AppContext.BaseDirectory;
            while (root is not null && !File.Exists(Path.Combine(root, "Dsl.sln")))
            {
                root = Path.GetDirectoryName(root);
            }

            return Path.Combine(root!, "tests", "golden", "torch");
        }
    }

    private static byte[] All(Checkpoint checkpoint, TensorInfo tensor)
    {
        var bytes = new byte[tensor.Bytes];
        checkpoint.Read(tensor, 0, bytes);
        return bytes;
    }

    private void Refuse(byte[] file, params string[] expected)
    {
        string path = folder.Put("x.pt", file);
        var fault = Assert.Throws<FaultException>(() => Checkpoint.Open(path));
        Assert.StartsWith(path + ": ", fault.Message);
        Assert.All(expected, part => Assert.Contains(part, fault.Message));
    }
}
