using System.Diagnostics;
using System.Text;
using Tva.Core.Adapters;
using Tva.Core.Bases;
using Tva.Core.Checkpoints;
using Tva.Core.Tensors;
using Tva.Core.Vocabulary;
using Xunit;

namespace Tva.Core.Tests;

/// <summary>JSON files beside checkpoints that no honest tool writes: each is a fault that names the file and the place. What campaigns found stands here by name.</summary>
public sealed class SideFileTests : IDisposable
{
    private readonly TempFolder folder = new();

    public void Dispose() => folder.Dispose();

    /// <summary>Readers of a side file: its name, and what reads it.</summary>
    private Dictionary<string, Action> Readers => new()
    {
        ["config.json"] = () =>
        {
            using var c = Checkpoint.Open(folder.Put("m.safetensors",
                """{"model.embed_tokens.weight":{"dtype":"U8","shape":[1,1],"data_offsets":[0,1]},"w.embed_tokens.weight":{"dtype":"F8_E4M3","shape":[1,1],"data_offsets":[1,2]}}""", 0, 0));
            _ = TiedWeights.Missing(c, "lm_head.weight", new Shape(1, 1));
        },
        ["adapter_config.json"] = () => AdapterConfig.Read(folder["adapter_config.json"]),
        ["tokenizer.json"] = () => Tokenizer.Read(folder.Path),
        ["basis.json"] = () => BasisFolder.Open(folder.Path),
        ["model.safetensors.index.json"] = () => Checkpoint.Open(folder["model.safetensors.index.json"]),
    };

    [Theory]
    [InlineData("config.json")]
    [InlineData("adapter_config.json")]
    [InlineData("tokenizer.json")]
    [InlineData("basis.json")]
    [InlineData("model.safetensors.index.json")]
    public void Damage_of_every_kind_is_a_fault(string name)
    {
        string path = folder[name];
        void Refuse(byte[] content, params string[] expected)
        {
            folder.Put(name, content);
            var fault = Assert.Throws<FaultException>(Readers[name]);
            Assert.StartsWith(path + ": ", fault.Message);
            Assert.All(expected, part => Assert.Contains(part, fault.Message));
        }

        Refuse([], "JSON");
        Refuse("["u8.ToArray(), "JSON");
        Refuse(Encoding.UTF8.GetBytes(new string('[', 100_000)), "");
        Refuse(Encoding.UTF8.GetBytes("{\"a\":" + new string('[', 100_000)), "JSON");
        Refuse([(byte)'{', (byte)'"', 0xFF, (byte)'"', (byte)':', (byte)'1', (byte)'}'], "");

        // Half a surrogate pair, as a name, in a value asked for, and deep inside.
        string[] halves =
        [
            """{"\ud800":1}""", """{"model":{"vocab":{"\ud800":1}}}""", """{"format":"\udc00","peft_type":"\udc00","init_lora_weights":"\ud800","weight_map":{"x":"\ud800"}}""",
            """{"modules_to_save":["\ud800"],"tie_word_embeddings":["\ud800"],"model":["\ud800"],"tasks":["\ud800"],"weight_map":{"\ud800":"x"}}""",
        ];
        foreach (string half in halves)
        {
            Refuse(Encoding.UTF8.GetBytes(half), name.EndsWith("index.json", StringComparison.Ordinal) ? "" : "half a surrogate pair");
        }

        File.Delete(path);
        if (OperatingSystem.IsLinux())
        {
            // A pipe, which would be waited for without end.
            using var mkfifo = Process.Start("mkfifo", path);
            mkfifo.WaitForExit();
            var fault = Assert.Throws<FaultException>(Readers[name]);
            Assert.Contains("is not a plain file", fault.Message);
        }
    }

    [Fact]
    public void A_basis_does_not_lead_out_of_its_folder()
    {
        folder.PutTensors("elsewhere/secret.safetensors", "w");
        Directory.CreateDirectory(folder["basis"]);
        File.CreateSymbolicLink(folder["basis/atoms.safetensors"], folder["elsewhere/secret.safetensors"]);
        foreach (var (name, expected) in new[] { ("atoms.safetensors", "is a link that leads out of the basis's folder"), ("../elsewhere/secret.safetensors", "is no name of a file in this folder") })
        {
            folder.Put("basis/basis.json", Encoding.UTF8.GetBytes($$$$"""{"format":"{{{{BasisFolder.Format}}}}","atoms":1,"tasks":["a"],"dtype":"F32","files":{"atoms":{"name":"{{{{name}}}}","fingerprint":"x"}}}"""));
            Assert.Contains(expected, Assert.Throws<FaultException>(() => BasisFolder.Open(folder["basis"])).Message);
        }
    }

    [Theory]
    [InlineData("model.safetensors")]
    [InlineData("pytorch_model.bin")]
    public void Shards_of_any_format_stay_in_the_folder(string name)
    {
        bool safe = name.EndsWith("safetensors", StringComparison.Ordinal);
        var content = safe ? TempFolder.Safetensors("""{"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}""", 7)
            : PyTorchArchive.Of(new PickleBytes().Op('}').Text("x").Tensor("ByteStorage", "0", 1, 0, [1], [1]).Op('s').Stop(), [7]);
        string extension = safe ? ".safetensors" : ".bin";
        folder.Put($"secret{extension}", content);
        Directory.CreateDirectory(folder["m"]);
        File.CreateSymbolicLink(folder[$"m/link{extension}"], folder[$"secret{extension}"]);
        Directory.CreateSymbolicLink(folder["m/up"], folder.Path);
        foreach (string shard in new[] { $"../secret{extension}", $"link{extension}", $"up/secret{extension}", folder[$"secret{extension}"], $"x/../../secret{extension}", $"..\\\\secret{extension}" })
        {
            folder.Put($"m/{name}.index.json", Encoding.UTF8.GetBytes($$$"""{"weight_map":{"x":"{{{shard}}}"}}"""));
            Assert.Contains("names shards outside its folder", Assert.Throws<FaultException>(() => Checkpoint.Open(folder["m"])).Message);
        }

        folder.Put($"m/own{extension}", content);
        folder.Put($"m/{name}.index.json", Encoding.UTF8.GetBytes($$$"""{"weight_map":{"x":"own{{{extension}}}"}}"""));
        using var checkpoint = Checkpoint.Open(folder["m"]);
        Assert.Single(checkpoint.Tensors);
    }

    [Fact]
    public void A_host_s_folders_hold_for_every_format()
    {
        var contents = new Dictionary<string, byte[]>
        {
            ["x.safetensors"] = TempFolder.Safetensors("""{"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}""", 7),
            ["x.pt"] = PyTorchArchive.Of(new PickleBytes().Op('}').Text("x").Tensor("ByteStorage", "0", 1, 0, [1], [1]).Op('s').Stop(), [7]),
            ["x.gguf"] = new GgufBytes().Tensor("x", 24, [1], [7]).Bytes(),
            ["x-00001-of-00002.gguf"] = new GgufBytes().Tensor("x", 24, [1], [7]).Bytes(),
            ["x.safetensors.index.json"] = """{"weight_map":{"x":"x.safetensors"}}"""u8.ToArray(),
        };
        Directory.CreateDirectory(folder["mine"]);
        foreach (var (name, content) in contents)
        {
            folder.Put($"theirs/{name}", content);
            File.CreateSymbolicLink(folder[$"mine/link-{name}"], folder[$"theirs/{name}"]);
        }

        folder.Put("mine/sub/x-00001-of-00002.gguf", contents["x-00001-of-00002.gguf"]);
        File.CreateSymbolicLink(folder["mine/sub/x-00002-of-00002.gguf"], folder["theirs/x-00001-of-00002.gguf"]);
        var allowed = new AllowedFolders([folder["mine"]], []);
        foreach (string name in contents.Keys)
        {
            Assert.NotNull(allowed.OutsideOfRead(folder[$"theirs/{name}"]));
            Assert.NotNull(allowed.OutsideOfRead(folder[$"mine/../theirs/{name}"]));
            Assert.NotNull(allowed.OutsideOfRead(folder[$"mine/link-{name}"]));
        }

        // A model in parts is opened with all of them, whichever is named; an index of the Hugging Face cache leads to blobs.
        Assert.NotNull(allowed.OutsideOfRead(folder["mine/sub"]));
        folder.Put("theirs/x-00001-of-00002.gguf", new GgufBytes().Tensor("y", 24, [1], [7]).Bytes());
        using var parts = Checkpoint.Open(folder["mine/sub/x-00001-of-00002.gguf"]);
        Assert.Equal(folder["theirs/x-00001-of-00002.gguf"], allowed.OutsideOfRead(parts));
        folder.Put("cache/blobs/0a", contents["x.safetensors"]);
        folder.Put("cache/snapshots/f/x.safetensors.index.json", """{"weight_map":{"x":"sub/x.safetensors"}}"""u8.ToArray());
        Directory.CreateDirectory(folder["cache/snapshots/f/sub"]);
        File.CreateSymbolicLink(folder["cache/snapshots/f/sub/x.safetensors"], "../../../blobs/0a");
        using var cached = Checkpoint.Open(folder["cache/snapshots/f"]);
        Assert.Equal(folder["cache/blobs/0a"], new AllowedFolders([folder["cache/snapshots"]], []).OutsideOfRead(cached));
        Assert.Null(new AllowedFolders([folder["cache"]], []).OutsideOfRead(cached));
    }

    /// <summary>Files of a few bytes that claim to hold as much as a length can say: refused before memory is taken for it.</summary>
    [Fact]
    public void Bombs_of_every_format_are_refused_before_memory_is_taken()
    {
        const long huge = long.MaxValue / 4;
        byte[] Legacy(byte[] value) => [.. new PickleBytes().Raw(0x8A, 10, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19).Stop(), .. new PickleBytes().Int(1001).Stop(),
            .. new PickleBytes().Op('}').Stop(), .. value, .. new PickleBytes().Op(']').Text("0").Op('a').Stop(), .. BitConverter.GetBytes(huge)];
        var pickle = new PickleBytes().Op('}').Text("x").Tensor("ByteStorage", "0", huge, 0, [huge], [1]).Op('s').Stop();
        var bombs = new (string Name, byte[] Content, string Expected)[]
        {
            ("header.safetensors", [.. BitConverter.GetBytes(99_999_999L), (byte)'{'], "begins with a header length of 99999999 bytes"),
            ("header2.safetensors", BitConverter.GetBytes(-1L), "begins with a header length of 18446744073709551615 bytes"),
            ("shape.safetensors", TempFolder.Safetensors($$$"""{"x":{"dtype":"U8","shape":[{{{huge}}}],"data_offsets":[0,{{{huge}}}]}}"""), "of which the file has 0"),
            ("storage.pt", PyTorchArchive.Of(pickle, new byte[8]), "its entry has 8 bytes"),
            ("shape.pt", PyTorchArchive.Of(new PickleBytes().Op('}').Text("x").Tensor("ByteStorage", "0", 8, 0, [huge], [0]).Op('s').Stop(), new byte[8]), "most of them repeated (stride 0)"),
            ("legacy.pt", Legacy(pickle), "its storage '0' is not in the archive"),
            ("legacy2.pt", Legacy(new PickleBytes().Op('}').Text("x").Tensor("ByteStorage", "0", huge / 8, 0, [huge / 8], [1]).Op('s').Stop()), "and the file ends at"),
            ("deflated.pt", new PyTorchArchive().Add("x/data.pkl", new byte[20], method: 8).Bytes(), "is compressed (method 8)"),
            ("text.pt", PyTorchArchive.Of(new PickleBytes().Raw((byte)'X', 255, 255, 255, 255).Stop()), "begins a text of 4294967295 bytes"),
            ("tensors.gguf", new GgufBytes { Tensors = 200_000 }.Bytes(), "should list 200000 tensors"),
            ("array.gguf", new GgufBytes().Array("a", 0, (ulong)huge).Bytes(), "items of at least 1 bytes"),
            ("shape.gguf", new GgufBytes().Tensor("x", 24, [huge / 8], new byte[8]).Bytes(), "of which the file has 32"),
        };
        foreach (var (name, content, expected) in bombs)
        {
            string path = folder.Put(name, content);
            long before = GC.GetAllocatedBytesForCurrentThread();
            var fault = Assert.Throws<FaultException>(() => Checkpoint.Open(path));
            Assert.StartsWith(path + ": ", fault.Message);
            Assert.Contains(expected, fault.Message);
            Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < 2 << 20, name);
        }
    }

    /// <summary>Headers that are as long as they say, and hold as many things as fit: refused before all of them are kept, in little time.</summary>
    [Fact]
    public void Headers_of_a_million_things_are_refused()
    {
        const int many = 300_000;
        var tensors = new StringBuilder("{");
        var map = new StringBuilder("""{"weight_map":{""");
        for (int i = 0; i < many; i++)
        {
            tensors.Append(i > 0 ? "," : "").Append($$$"""
                "{{{i}}}":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}
                """);
            map.Append(i > 0 ? "," : "").Append($"\"{i}\":\"{i % 20_000}.safetensors\"");
        }

        byte[] nested = [.. GgufBytes.U32(0), .. GgufBytes.U64(0)];
        var files = new (string Name, byte[] Content, string Expected)[]
        {
            ("tensors.safetensors", TempFolder.Safetensors(tensors.Append('}').ToString()), "is one of more than 262144 tensors"),
            ("dims.safetensors", TempFolder.Safetensors($$$"""{"x":{"dtype":"U8","shape":[{{{string.Join(",", Enumerable.Repeat("1", 2 * many))}}}],"data_offsets":[0,1]}}""", 0), "its shape has more than 1024 numbers"),
            ("map.safetensors.index.json", Encoding.UTF8.GetBytes(map.Append("}}").ToString()), "lists more than 262144 tensors"),
            ("shards.safetensors.index.json", Encoding.UTF8.GetBytes(map.ToString()[..map.ToString().IndexOf(",\"25000\"", StringComparison.Ordinal)] + "}}"), "names 20000 shards, and an index has at most 10000"),
            ("arrays.gguf", [.. new GgufBytes().Array("a", 9, many, [.. Enumerable.Repeat(nested, many).SelectMany(x => x)]).Array("a", 0, 0).Bytes()], "has the key 'a' a second time"),
        };
        foreach (var (name, content, expected) in files)
        {
            string path = folder.Put(name, content);
            var watch = Stopwatch.StartNew();
            long before = GC.GetAllocatedBytesForCurrentThread();
            var fault = Assert.Throws<FaultException>(() => Checkpoint.Open(path));
            long taken = GC.GetAllocatedBytesForCurrentThread() - before;
            Assert.Contains(expected, fault.Message);
            Assert.True(taken < (8 << 20) + (10L * content.Length), $"{name}: {taken} bytes for {content.Length}");
            Assert.True(watch.Elapsed < TimeSpan.FromSeconds(20), $"{name}: {watch.Elapsed}");
        }
    }
}
