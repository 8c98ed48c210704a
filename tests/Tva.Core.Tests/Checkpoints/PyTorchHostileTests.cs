using System.Text;
using Tva.Core.Checkpoints;
using Xunit;

namespace Tva.Core.Tests;

/// <summary>Every refusal of a PyTorch file; then files cut at each byte and some thousands damaged at random.</summary>
public sealed class PyTorchHostileTests : IDisposable
{
    private static readonly byte[] Good = Dict("a", p => p.Tensor("FloatStorage", "0", 2, 0, [2], [1]));
    private readonly TempFolder folder = new();

    public static TheoryData<string> Names => [.. Pickles().Select(row => row.Name)];

    public void Dispose() => folder.Dispose();

    [Theory]
    [MemberData(nameof(Names))]
    public void Pickles_are_refused(string name)
    {
        var (_, pickle, expected) = Pickles().Single(row => row.Name == name);
        Refuse(PyTorchArchive.Of(pickle, new byte[8]), expected);
    }

    // The storage '0' has 8 bytes.
    private static IEnumerable<(string Name, byte[] Pickle, string Expected)> Pickles()
    {
        PickleBytes P(int protocol = 2) => new(protocol);
        yield return ("os.system", P().Global("os", "system").Text("true").Raw(0x85).Op('R').Stop(),
            "data.pkl at byte 2: asks for 'os.system', which no model needs and which is never called here");
        yield return ("os.system from the stack", P(4).ShortText("os").ShortText("system").Raw(0x93).Stop(), "data.pkl at byte 14: asks for 'os.system'");
        yield return ("builtins.eval in a key", P().Op("}(").Text("a").Global("builtins", "eval").Op('u').Stop(), "asks for 'builtins.eval'");
        yield return ("control codes", P().Global("os\u001b[2J", "x").Stop(), @"holds the name 'os\u001b[2J.x'; expected a dictionary of tensors");
        yield return ("a storage class of another module", P().Global("evil", "FloatStorage").Stop(), "holds the name 'evil.FloatStorage'; expected");
        yield return ("a storage of another module", P().Storage("FloatStorage", "0", 2, "evil").Stop(), "refers outside with a tuple of 5 instead of a storage");
        yield return ("dotted name", P(4).ShortText("torch").ShortText("_utils._rebuild_tensor_v2.__globals__").Raw(0x93).Stop(), "holds the name 'torch._utils._rebuild_tensor_v2.__globals__'");
        yield return ("a call of something", P().Global("torch._utils", "_rebuild").Text("x").Raw(0x85).Op('R').Stop(), "holds an object of 'torch._utils._rebuild'; expected");
        yield return ("the like of attrgetter", P().Global("operator", "attrgetter").Stop(), "asks for 'operator.attrgetter'");
        yield return ("exec of Python 2", P().Global("__builtin__", "execfile").Stop(), "asks for '__builtin__.execfile'");
        yield return ("a part of a module", P().Global("os.path", "x").Stop(), "asks for 'os.path.x'");
        yield return ("torch.hub", P().Global("torch.hub", "load").Stop(), "asks for 'torch.hub.load'");
        yield return ("INST", P().Op("(ios\nsystem\n").Stop(), "has opcode 0x69");
        yield return ("OBJ", P().Op("(o").Stop(), "has opcode 0x6f");
        yield return ("NEWOBJ", P().Global("torch", "Size").Op(')').Raw(0x81).Stop(), "holds an object of 'torch.Size'; expected");
        yield return ("NEWOBJ of a text", P().Text("x").Op(')').Raw(0x81).Stop(), "makes an object of the text 'x' with a tuple of 0");
        yield return ("bytes longer than the file", P().Raw((byte)'B', 255, 255, 255, 127).Stop(), "begins 2147483647 bytes and has 1");
        yield return ("integer longer than the file", P().Raw(0x8B, 255, 255, 255, 255).Stop(), "begins 4294967295 bytes and has 1");
        yield return ("nothing to copy", P().Op('2').Stop(), "takes more values than there are");
        yield return ("nothing to drop", P().Op("(0").Stop(), "takes more values than there are");
        yield return ("EXT1", P().Raw(0x82, 1).Stop(), "has opcode 0x82");
        yield return ("PERSID", P().Op("P0\n").Stop(), "has opcode 0x50");
        yield return ("buffer", P(5).Raw(0x97).Stop(), "has opcode 0x97");
        yield return ("protocol 1", P(1).Op('N').Stop(), "expected a pickle of protocol 2 to 5");
        yield return ("protocol 6", P(6).Op('N').Stop(), "expected a pickle of protocol 2 to 5");
        yield return ("no protocol", "}."u8.ToArray(), "expected a pickle of protocol 2 to 5");
        yield return ("empty", [], "expected a pickle of protocol 2 to 5");
        yield return ("no value", P().Stop(), "ends with 0 values");
        yield return ("two values", P().Op("NN").Stop(), "ends with 2 values");
        yield return ("open group", P().Op("N(").Stop(), "1 open groups");
        yield return ("bytes behind", [.. P().Op('}').Stop(), 0], "1 bytes behind");
        yield return ("no end", P().Op('}').Stop()[..^1], "needs 1 more bytes and has 0");
        yield return ("text longer than the file", P().Raw((byte)'X', 255, 255, 255, 255).Stop(), "begins a text of 4294967295 bytes and has 1");
        yield return ("text of 2^64-1", P().Raw(0x8D).U64(ulong.MaxValue).Stop(), "begins a text of 18446744073709551615 bytes");
        yield return ("frame of 2^64-1", P(4).Raw(0x95).U64(ulong.MaxValue).Stop(), "begins a frame of 18446744073709551615 bytes");
        yield return ("invalid UTF-8", P().Text([0xFF]).Stop(), "not valid UTF-8");
        yield return ("endless name", P().Op("cos").Stop(), "has a name without an end");
        yield return ("module is a number", P(4).Int(1).ShortText("x").Raw(0x93).Stop(), "expected a module's name, found the number 1");
        yield return ("integer of 9 bytes", P().Raw(0x8A, 9, 0, 0, 0, 0, 0, 0, 0, 0, 1).Stop(), "holds 9 bytes; expected");
        yield return ("pop from nothing", P().Op('R').Stop(), "takes more values than there are");
        yield return ("below a mark", P().Op("N(").Raw(0x85).Stop(), "takes more values than there are");
        yield return ("no mark", P().Op("Nt").Stop(), "ends a group that was not begun");
        yield return ("append to a dictionary", P().Op("}Na").Stop(), "appends to a dictionary of 0");
        yield return ("append to a tuple", P().Op(")(Ne").Stop(), "appends to a tuple of 0");
        yield return ("append to nothing", P().Op("(Ne").Stop(), "takes more values than there are");
        yield return ("set in a list", P().Op("]NNs").Stop(), "sets 2 keys and values of a list of 0");
        yield return ("odd items", P().Op("}(Nu").Stop(), "sets 1 keys and values");
        yield return ("key is a list", P().Op("}]Ns").Stop(), "has a list of 0 as a key");
        yield return ("recall before memory", P().Raw((byte)'h', 0).Stop(), "recalls value 0, which none of the 0 remembered is");
        yield return ("recall 2^32-1", P().Raw((byte)'j', 255, 255, 255, 255).Stop(), "recalls value 4294967295, which none of the 0");
        yield return ("memory beside", P().Op('}').Raw((byte)'q', 1).Raw((byte)'h', 0).Stop(), "recalls value 0, which none of the 1 remembered is");
        yield return ("memory of nothing", P(4).Raw(0x94).Stop(), "takes more values than there are");
        yield return ("call of a text", P().Text("os.system").Op(")R").Stop(), "calls the text 'os.system' with a tuple of 0");
        yield return ("call without a tuple", P().Global("collections", "OrderedDict").Op("]R").Stop(), "calls the name collections.OrderedDict with a list of 0");
        yield return ("call of a storage class", P().Global("torch", "FloatStorage").Op(")R").Stop(), "calls torch.FloatStorage with ()");
        yield return ("OrderedDict of something", P().Global("collections", "OrderedDict").Op("]").Raw(0x85).Op('R').Stop(), "calls collections.OrderedDict with (a list of 0)");
        yield return ("a tensor within a tensor", P().Global("torch._tensor", "_rebuild_from_type_v2").Op('(').Global("torch._tensor", "_rebuild_from_type_v2")
            .Global("torch", "Tensor").Op(")N").Op("tR").Stop(), "calls torch._tensor._rebuild_from_type_v2 with (");
        yield return ("attributes of a tensor", P().Tensor("FloatStorage", "0", 2, 0, [2], [1]).Op("}b").Stop(), "gives a tensor F32 [2] the attributes a dictionary of 0");
        yield return ("attributes that are a tuple", P().Op("})b").Stop(), "gives a dictionary of 0 the attributes a tuple of 0");
        yield return ("other reference", P().Text("x").Op('Q').Stop(), "refers outside with the text 'x'");
        yield return ("no such storage", P().Storage("FloatStorage", "7", 2).Stop(), "its storage '7' is not in the archive");
        yield return ("storage elsewhere", P().Storage("FloatStorage", "../version", 2).Stop(), "its storage '../version' is not in the archive");
        yield return ("storage too long", P().Storage("FloatStorage", "0", 3).Stop(), "should be 3 elements of 4 bytes, and its entry has 8 bytes");
        yield return ("storage too short", P().Storage("FloatStorage", "0", 1).Stop(), "should be 1 elements of 4 bytes");
        yield return ("storage below zero", P().Storage("FloatStorage", "0", -2).Stop(), "should be -2 elements");
        yield return ("storage overflows", P().Storage("FloatStorage", "0", (1L << 62) + 2).Stop(), "should be 4611686018427387906 elements");
        yield return ("tensor behind its storage", Tensor(2, [1], [1]), "reaches from element 2 to 2");
        yield return ("tensor past its storage", Tensor(1, [2], [1]), "reaches from element 1 to 2 with shape [2] and strides [1]");
        yield return ("tensor before its storage", Tensor(-1, [1], [1]), "reaches from element -1");
        yield return ("strides past its storage", Tensor(0, [2, 2], [1, 1L << 40]), "reaches from element 0 to 1099511627777");
        yield return ("strides overflow", Tensor(0, [3, 3], [long.MaxValue, long.MaxValue]), "reaches from element 0 to 36893488147419103228");
        yield return ("offset overflows", Tensor(long.MaxValue, [2], [1]), "reaches from element 9223372036854775807 to 9223372036854775808");
        yield return ("negative stride", Tensor(1, [2], [-1]), "has dimension the number 2 with stride the number -1");
        yield return ("negative dimension", Tensor(0, [-1], [1]), "has dimension the number -1");
        yield return ("elements overflow", Tensor(0, [1L << 32, 1L << 32], [0, 0]), "more elements than any file");
        yield return ("elements overflow before a zero", Tensor(0, [1L << 32, 1L << 32, 0], [0, 0, 0]), "more elements than any file");
        yield return ("bytes overflow", Tensor(0, [1L << 61], [0]), "more elements than any file");
        yield return ("strides without dimensions", Tensor(0, [2], [1, 1]), "has 1 dimensions and 2 strides");
        yield return ("65 dimensions", Tensor(0, [.. Enumerable.Repeat(1L, 65)], [.. Enumerable.Repeat(1L, 65)]), "has 65 dimensions");
        yield return ("empty far outside", Tensor(4, [0], [1]), "reaches from element 4");
        yield return ("a million petabytes", Dict("a", p => p.Tensor("FloatStorage", "0", 2, 0, [1L << 50], [0])), "its tensors have more than 1 PiB");
        yield return ("conjugated", P().Global("torch._utils", "_rebuild_tensor_v2").Op('(').Storage("FloatStorage", "0", 2).Int(0).Tuple(2).Tuple(1).Raw(0x89)
            .Op('N').Op('}').Text("neg").Raw(0x88).Op("stR").Stop(), "which is not how plain tensors are saved");
        yield return ("untyped storage in a typed tensor", P().Global("torch._utils", "_rebuild_tensor_v2").Op('(').Storage("UntypedStorage", "0", 8, "torch.storage")
            .Int(0).Tuple(2).Tuple(1).Raw(0x89).Op("NtR").Stop(), "calls torch._utils._rebuild_tensor_v2 with (a storage, the number 0,");
        yield return ("list in itself", P().Op("]").Raw((byte)'q', 0).Raw((byte)'h', 0).Op('a').Stop(), "a list of 1 holds itself");
        yield return ("dictionary in its list", P().Op("}").Raw((byte)'q', 0).Text("a").Op(']').Raw((byte)'h', 0).Op("as").Stop(), "a dictionary of 1 holds itself");
        yield return ("201 deep", P().Op(new string(']', 201)).Op(new string('a', 200)).Stop(), "nests values more than 200 deep");
        yield return ("list", P().Op("](NNe").Stop(), "holds a list of 2; expected a dictionary of tensors (a state dict)");
        yield return ("tensor", Tensor(0, [2], [1]), "holds a tensor F32 [2]; expected a dictionary of tensors");
        yield return ("text", P().Text("x").Stop(), "holds the text 'x'; expected a dictionary");
        yield return ("no tensors", P().Op("}(").Text("lr").Real(0.5).Int(3).Op("]u").Stop(), "holds a dictionary of 2 with 'lr' (the number 0.5), '3' (a list of 0); expected");
        yield return ("one name twice", P().Op("}(").Text("a.b").Tensor("FloatStorage", "0", 2, 0, [2], [1]).Text("a").Op("}(").Text("b")
            .Tensor("FloatStorage", "0", 2, 0, [2], [1]).Op("uu").Stop(), "has two tensors called 'a.b'");
        yield return ("two state dicts", P().Op("}(").Text("model").Op("}(").Text("b").Tensor("FloatStorage", "0", 2, 0, [2], [1]).Op('u').Text("module")
            .Op("}(").Text("b").Tensor("FloatStorage", "0", 2, 0, [2], [1]).Op("uu").Stop(), "holds several state dicts, under 'model', 'module'");
    }

    [Fact]
    public void Entries_are_refused_that_are_compressed_encrypted_or_elsewhere()
    {
        PyTorchArchive Archive() => new PyTorchArchive().Add("x/data.pkl", Good);
        Refuse(Archive().Add("x/data/0", new byte[8], method: 8).Bytes(), "entry 'x/data/0' is compressed (method 8), as PyTorch never writes it");
        Refuse(Archive().Add("x/data/0", new byte[8], flags: 1).Bytes(), "entry 'x/data/0' is encrypted");
        Refuse(Archive().Add("x/data/0", new byte[8]).Add("x/data/0", new byte[8]).Bytes(), "has two entries 'x/data/0'");
        Refuse(Archive().Add("x/data/0", new byte[8], header: 0).Bytes(), "and would reach past byte 0");
        Refuse(Archive().Add("x/data/0", new byte[8], header: 1).Bytes(), "'x/data.pkl' has", "would reach past byte 1, where 'x/data/0' begins");
        Refuse(Archive().Add("x/data/0", new byte[8], header: 0xFFFFFFF0).Bytes(), "entry 'x/data/0' has 8 bytes at 4294967280");
        Refuse(Archive().Add("x/data/0", new byte[8], size: 0x7FFFFFF0).Bytes(), "entry 'x/data/0' has 2147483632 bytes at");
        Refuse(Archive().Add("x/data/0", new byte[8], wide: true, size: uint.MaxValue).Bytes(), "entry 'x/data/0' has 4294967295 bytes at");
        Refuse(Archive().Add("x/data/0", new byte[8], size: uint.MaxValue).Bytes(), "entry 'x/data/0' lacks its zip64 field");
        Refuse(Archive().Add("x/data/1", new byte[8]).Bytes(), "its storage '0' is not in the archive");
        Refuse(Archive().Add("x/byteorder", "big"u8.ToArray()).Bytes(), "was written by a big-endian machine");
        using (var scripted = Checkpoint.Open(folder.Put("x.pt", Archive().Add("x/data/0", new byte[8]).Add("x/code/y.py", new byte[5], method: 8).Bytes())))
        {
            Assert.Equal("a", Assert.Single(scripted.Tensors).Name); // what isn't asked for may be compressed
        }

        Refuse(new PyTorchArchive().Add("x/data.pkl", Good, method: 8).Bytes(), "entry 'x/data.pkl' is compressed (method 8)");
        Refuse(Archive().Add("y/data.pkl", Good).Bytes(), "holds several PyTorch files, in 'x', 'y'");
        Refuse(new PyTorchArchive().Add("a.txt", [1]).Bytes(), "is a zip archive without FOLDER/data.pkl", "it has 'a.txt'");
        Refuse(new PyTorchArchive().Add("deep/x/data.pkl", Good).Bytes(), "without FOLDER/data.pkl");
    }

    [Fact]
    public void A_local_header_that_differs_from_the_directory_is_refused()
    {
        var bytes = PyTorchArchive.Of(Good, new byte[8]);
        int header = Encoding.Latin1.GetString(bytes).IndexOf("x/data/0", StringComparison.Ordinal) - 30;
        Refuse(With(header, 0), "expected the header of entry 'x/data/0' at byte");
        Refuse(With(header + 30, (byte)'y'), "expected the header of entry 'x/data/0'");
        Refuse(With(header + 8, 8), "entry 'x/data/0' is compressed (method 8)");
        Refuse(With(header + 29, 200), "past byte", "where the next begins");

        byte[] With(int at, byte value)
        {
            var changed = bytes.ToArray();
            changed[at] = value;
            return changed;
        }
    }

    [Fact]
    public void End_records_that_lie_are_refused()
    {
        byte[] Of(Action<byte[]> end) => new PyTorchArchive().Add("x/data.pkl", Good).Add("x/data/0", new byte[8]).Bytes(end: end);
        Refuse(Of(e => PyTorchArchive.U16(e, 84, 3)), "is one of several parts");
        Refuse(Of(e => (e[84], e[86]) = (3, 3)), "its two end records disagree: 3 entries", "and 2 in");
        Refuse(Of(e => PyTorchArchive.U32(e, 48, 5)), "its two end records disagree");
        Refuse(Of(e => e[64 + 7] = 255), "its zip64 end record should be at byte 18374686479671", "and its locator is at");
        Refuse(Of(e => e[64] = 1), "expected its zip64 end record at byte");
        Refuse(Of(e => e[72] = 2), "is one of several parts");
        Refuse(Of(e => e.AsSpan(24, 16).Fill(255)), "its two end records disagree");
        Refuse(Of(e => { e.AsSpan(84, 12).Fill(255); e.AsSpan(24, 16).Fill(255); }), "its directory should be 18446744073709551615 entries");
        Refuse(Of(e => { e.AsSpan(84, 12).Fill(255); e.AsSpan(40, 8).Fill(255); }), "its directory should be 2 entries in 18446744073709551615 bytes");
        Refuse(Of(e => { e.AsSpan(84, 12).Fill(255); e.AsSpan(48, 8).Fill(255); }), "bytes at 18446744073709551615, and the file has");
        Refuse(Of(e => { e.AsSpan(84, 12).Fill(255); e[40]--; }), "expected entry 2 of 2 of the archive's directory");
        Refuse(Of(e => { e.AsSpan(84, 12).Fill(255); e[48]--; }), "expected entry 1 of 2 of the archive's directory");
        Refuse(Of(e => { (e[24], e[32]) = (1, 1); (e[84], e[86]) = (1, 1); }), "behind its 1 entries");
    }

    [Fact]
    public void What_is_no_zip_says_what_it_is()
    {
        Refuse([], "has 0 bytes, too few for a PyTorch file");
        Refuse("version https://git-lfs.github.com/spec/v1\n"u8.ToArray(), "is a Git LFS pointer");
        Refuse(Good, "is a pickle, and not one of torch.save (found 80027d58", "save its tensors with torch.save");
        var tar = new byte[1024];
        "ustar"u8.CopyTo(tar.AsSpan(257));
        Refuse(tar, "is a tar archive, as PyTorch before 0.1.10 wrote checkpoints");
        Refuse(new byte[100], "doesn't begin with a zip entry (found 00000000, expected 504b0304)");
        Refuse([.. "PK\x03\x04"u8, .. new byte[100]], "is a zip archive without its end; it is cut off");
    }

    [Fact]
    public void A_pickle_over_the_limit_is_refused_unread()
    {
        string path = folder.Put("x.pt", PyTorchArchive.Of(new byte[(64 << 20) + 1]));
        var fault = Assert.Throws<FaultException>(() => Checkpoint.Open(path));
        Assert.Contains("entry 'x/data.pkl' has 67108865 bytes and may have 67108864", fault.Message);
    }

    /// <summary>Each byte of a bomb asks for as much as a byte can.</summary>
    [Fact]
    public void Bombs_stay_small()
    {
        const int n = 1 << 18;
        PickleBytes Repeat(PickleBytes pickle, string opcodes) => pickle.Op(string.Concat(Enumerable.Repeat(opcodes, n / opcodes.Length)));
        Bomb(Repeat(new PickleBytes(4).Op('N'), "\u0094").Stop(), "holds None");
        Bomb(Repeat(new PickleBytes(), "}").Stop(), "ends with 262144 values");
        Bomb(Repeat(new PickleBytes(), "]").Stop(), "ends with 262144 values");
        Bomb(Repeat(new PickleBytes(), "(").Stop(), "open groups");
        Bomb(Repeat(new PickleBytes().Op('N'), "\u0085").Stop(), "nests values more than 200 deep");
        Bomb(Repeat(Repeat(new PickleBytes(), "]"), "a").Stop(), "takes more values than there are");
        Bomb(Repeat(new PickleBytes().Op('}'), "}NNs").Stop(), "ends with 65537 values");
        Bomb(Repeat(new PickleBytes().Global("x", "y"), ")\u0081").Stop(), "holds an object of 'x.y'");
        Bomb(Repeat(new PickleBytes().Global("x", "y").Op(")R"), "Nb").Stop(), "holds an object of 'x.y'");
        Bomb(Repeat(new PickleBytes().Global("x", "y").Op(")R"), "(Ne").Stop(), "holds an object of 'x.y'");
        Bomb(Repeat(new PickleBytes().Op('N'), "2").Stop(), "ends with 262145 values");
        Bomb(Repeat(new PickleBytes().Op(']'), "2a").Stop(), "holds itself");

        // Dictionaries of two that are the same one, forty deep: a thousand billion tensors, or none.
        foreach (bool tensors in new[] { true, false })
        {
            var laughs = new PickleBytes();
            Laugh(laughs, 40);
            Bomb(laughs.Stop(), tensors ? "holds more than 262144 tensors" : "holds a dictionary of 2 with 'a' (a dictionary of 2)");

            void Laugh(PickleBytes pickle, byte depth)
            {
                if (depth == 0)
                {
                    pickle.Op('}').Text("t");
                    _ = (tensors ? pickle.Tensor("FloatStorage", "0", 2, 0, [2], [1]) : pickle.Op('N')).Op('s');
                    return;
                }

                pickle.Op("}(").Text("a");
                Laugh(pickle, (byte)(depth - 1));
                pickle.Raw((byte)'q', (byte)(depth - 1)).Text("b").Raw((byte)'h', (byte)(depth - 1)).Op('u');
            }
        }

        // Tensors of 64 dimensions from one remembered tuple of arguments.
        var wide = new PickleBytes().Op("](").Global("torch._utils", "_rebuild_tensor_v2").Raw((byte)'q', 0).Op('(').Storage("FloatStorage", "0", 2).Int(0)
            .Tuple([.. Enumerable.Repeat(1L, 64)]).Tuple([.. Enumerable.Repeat(1L, 64)]).Raw(0x89).Op("Nt").Raw((byte)'q', 1).Op('R');
        for (int i = 0; i < n / 5; i++)
        {
            wide.Raw((byte)'h', 0, (byte)'h', 1, (byte)'R');
        }

        Bomb(wide.Op('e').Stop(), "holds more than");
    }

    [Fact]
    public void Every_cut_is_a_fault()
    {
        var bytes = PyTorchArchive.Of(Good, new byte[8]);
        for (int length = 0; length < bytes.Length; length++)
        {
            Refuse(bytes[..length]);
        }

        for (int length = 0; length < Good.Length; length++)
        {
            Refuse(PyTorchArchive.Of(Good[..length], new byte[8]));
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Random_damage_is_a_fault_or_a_readable_file(int seed)
    {
        var random = new Random(seed);
        var pickle = new PickleBytes(4).Raw(0x95).U64(9).Op('}').Raw(0x94).Op('(').ShortText("w").Raw(0x94).Tensor("FloatStorage", "0", 6, 0, [2, 3], [1, 2])
            .ShortText("n").Op("}(").Int(3).Tensor("HalfStorage", "1", 4, 1, [3], [1]).Op('u').Text("lr").Real(0.5).Text("l").Op("](NK\u0001eu").Stop();
        var bytes = PyTorchArchive.Of(pickle, new byte[24], new byte[8]);
        var places = Enumerable.Range(0, bytes.Length).Where(i => bytes[i] != 0).ToArray();
        for (int i = 0; i < 1200; i++)
        {
            var damaged = bytes.ToArray();
            for (int k = random.Next(1, 4); k > 0; k--)
            {
                damaged[random.Next(3) == 0 ? random.Next(bytes.Length) : places[random.Next(places.Length)]] = random.Next(4) switch
                {
                    0 => 255,
                    1 => 0,
                    _ => (byte)random.Next(256),
                };
            }

            string path = folder.Put("x.pt", damaged);
            long before = GC.GetAllocatedBytesForCurrentThread();
            try
            {
                using var checkpoint = Checkpoint.Open(path);
                foreach (var tensor in checkpoint.Tensors)
                {
                    checkpoint.Read(tensor, 0, new byte[Math.Min(tensor.Bytes, 1 << 16)]);
                }

                _ = checkpoint.Fingerprint;
            }
            catch (FaultException)
            {
            }

            Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < 4 << 20, $"seed {seed}, file {i}");
        }
    }

    private static byte[] Dict(string name, Func<PickleBytes, PickleBytes> value) => value(new PickleBytes().Op('}').Text(name)).Op('s').Stop();

    private static byte[] Tensor(long offset, long[] shape, long[] strides) =>
        new PickleBytes().Tensor("FloatStorage", "0", 2, offset, shape, strides).Stop();

    private void Bomb(PickleBytes pickle, string expected) => Bomb(pickle.Stop(), expected);

    private void Bomb(byte[] pickle, string expected)
    {
        var bytes = PyTorchArchive.Of(pickle, new byte[8]);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Refuse(bytes, expected);
        long taken = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.True(taken < (8 << 20) + (300L * pickle.Length), $"{expected}: {taken} bytes for {pickle.Length}");
    }

    private void Refuse(byte[] file, params string[] expected)
    {
        string path = folder.Put("x.pt", file);
        var fault = Assert.Throws<FaultException>(() => Checkpoint.Open(path));
        Assert.StartsWith(path + ": ", fault.Message);
        Assert.All(expected, part => Assert.Contains(part, fault.Message));
    }
}
