using System.Text;
using System.Text.Json;
using Tva.Core.Checkpoints;
using Tva.Core.Tensors;
using Xunit;

namespace Tva.Core.Tests;

/// <summary>Outputs that are folders: how tensors fall into shards, what lies beside them, and that a folder is whole or not there.</summary>
public sealed class FolderWriterTests : IDisposable
{
    private static readonly (string Name, DType DType, Shape Shape)[] Tensors =
    [
        ("a", DType.F32, new Shape(10)), ("b", DType.BF16, new Shape(30, 2)), ("empty", DType.F32, new Shape(0, 3)), ("c", DType.U8, new Shape(250)), ("d", DType.I64, new Shape(2)),
    ];

    private static readonly Dictionary<string, string> Metadata = new() { ["format"] = "pt", ["tva.expression"] = "a + b", ["tva.inputs"] = """{"m":"00"}""" };
    private readonly TempFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Theory]
    [InlineData(1, 4)]
    [InlineData(100, 4)]
    [InlineData(160, 3)]
    [InlineData(410, 2)]
    [InlineData(426, 1)]
    public void ShardsHoldWhatFitsAndTheIndexSaysWhere(long most, int count)
    {
        Write(folder["out"], new FolderOutput(most));
        var names = Directory.GetFiles(folder["out"]).Select(f => Path.GetFileName(f)!).Order(StringComparer.Ordinal).ToArray();
        if (count == 1)
        {
            Assert.Equal(["model.safetensors"], names);
        }
        else
        {
            Assert.Equal([.. Enumerable.Range(1, count).Select(i => $"model-{i:00000}-of-{count:00000}.safetensors"), "model.safetensors.index.json"], names);
            using var index = JsonDocument.Parse(File.ReadAllBytes(folder["out/model.safetensors.index.json"]));
            Assert.Equal(40 + 120 + 250 + 16, index.RootElement.GetProperty("metadata").GetProperty("total_size").GetInt64());
            foreach (var entry in index.RootElement.GetProperty("weight_map").EnumerateObject())
            {
                using var shard = Checkpoint.Open(folder["out/" + entry.Value.GetString()]);
                Assert.NotNull(shard.Find(entry.Name));
                Assert.Equal("a + b", shard.Metadata["tva.expression"]);
            }
        }

        RequireContent(folder["out"], 0);
    }

    [Fact]
    public void ShardedAndSingleHoldTheSameTensorsBitForBit()
    {
        Write(folder["shards"], new FolderOutput(100));
        using (var writer = new CheckpointWriter(folder["single.safetensors"], Tensors, Metadata, new WriteOptions { Plans = Plans() }))
        {
            Fill(writer, 0);
            writer.Commit();
        }

        Assert.Equal(Content(folder["single.safetensors"]), Content(folder["shards"]));
    }

    [Fact]
    public void AFolderReplacesTheOneBeforeAsAWhole()
    {
        Write(folder["out"], new FolderOutput(1) { Files = [new SideFile("config.json", "{}"u8.ToArray())], Card = true });
        Assert.Equal(4 + 3, Directory.GetFiles(folder["out"]).Length);
        using (var writer = Writer(folder["out"], new FolderOutput(200)))
        {
            Fill(writer, 7);

            // The old one until the very end.
            RequireContent(folder["out"], 0);
            Assert.Equal(4 + 3, Directory.GetFiles(folder["out"]).Length);
            writer.Commit();
        }

        RequireContent(folder["out"], 7);
        Assert.Equal(["out"], Entries());
        Assert.False(File.Exists(folder["out/config.json"]));
    }

    [Fact]
    public void WhatIsNotCommittedLeavesTheOldOne()
    {
        Write(folder["out"], new FolderOutput(100));
        using (var writer = Writer(folder["out"], new FolderOutput(100)))
        {
            Fill(writer, 3);
            Assert.Equal(["out", "out.journal.partial", "out.partial"], Entries());
        }

        RequireContent(folder["out"], 0);
        Assert.Equal(["out"], Entries());
    }

    [Fact]
    public void FilesOfOthersAreNotTakenAway()
    {
        Write(folder["out"], new FolderOutput(100));
        File.WriteAllText(folder["out/notes.txt"], "mine");
        Assert.Equal(["notes.txt"], FolderOutput.Foreign(folder["out"]));
        var fault = Assert.Throws<FaultException>(() => Writer(folder["out"], new FolderOutput(100)));
        Assert.Contains("notes.txt", fault.Message, StringComparison.Ordinal);
        Assert.Equal(["out"], Entries());
        Assert.Equal("mine", File.ReadAllText(folder["out/notes.txt"]));

        // One that comes while the run goes on.
        File.Delete(folder["out/notes.txt"]);
        using var writer = Writer(folder["out"], new FolderOutput(100));
        Fill(writer, 5);
        File.WriteAllText(folder["out/late.txt"], "mine, too");
        Assert.Throws<FaultException>(writer.Commit);
        Assert.Equal("mine, too", File.ReadAllText(folder["out/late.txt"]));
        RequireContent(folder["out"], 0);
    }

    [Fact]
    public void TwoRunsDoNotWriteOneFolder()
    {
        using var writer = Writer(folder["out"], new FolderOutput(100));
        var fault = Assert.Throws<FaultException>(() => Writer(folder["out"], new FolderOutput(100)));
        Assert.Contains("another run is writing it", fault.Message, StringComparison.Ordinal);
        Fill(writer, 1);
        writer.Commit();
        RequireContent(folder["out"], 1);
    }

    [Fact]
    public void MoreShardsThanOpenFiles()
    {
        (string, DType, Shape)[] many = [.. Enumerable.Range(0, 300).Select(i => ($"t{i}", DType.U8, new Shape(16)))];
        using (var writer = new FolderWriter(folder["out"], many, Metadata, new FolderOutput(16), new WriteOptions { Plans = new ulong[300] }))
        {
            Parallel.For(0, 600, k =>
            {
                var half = new byte[8];
                Array.Fill(half, (byte)(k / 2));
                writer.Write(k / 2, k % 2 * 8, half);
            });
            writer.Commit();
        }

        using var read = Checkpoint.Open(folder["out"]);
        Assert.Equal(300, read.Files.Count);
        var bytes = new byte[16];
        for (var i = 0; i < 300; i++)
        {
            read.Read(read.Find($"t{i}")!, 0, bytes);
            Assert.True(bytes.All(b => b == (byte)i));
        }
    }

    [Fact]
    public void TheCardHasExpressionInputsAndStatistics()
    {
        var path = folder["my model"];
        var values = Enumerable.Range(0, 40_000).Select(i => BitConverter.SingleToUInt32Bits(i % 7 - 3.5f)).ToArray();
        (string, DType, Shape)[] tensors = [("w", DType.BF16, new Shape(200, 200)), ("n|`", DType.F32, new Shape(2)), ("ids", DType.I64, new Shape(1))];
        using (var writer = new FolderWriter(
            path, tensors, Metadata, new FolderOutput(long.MaxValue) { Card = true }, new WriteOptions { Plans = new ulong[3] }))
        {
            var half = values.SelectMany(v => BitConverter.GetBytes((ushort)(v >> 16))).ToArray();
            writer.Write(0, 32768, half.AsSpan(32768));
            writer.Write(0, 0, half.AsSpan(0, 32768));
            writer.Write(1, 0, [.. BitConverter.GetBytes(3f), .. BitConverter.GetBytes(-4f)]);
            writer.Write(2, 0, new byte[8]);
            writer.Commit();
        }

        double square = values.Sum(v => Math.Pow(BitConverter.UInt32BitsToSingle(v), 2));
        var card = File.ReadAllText(folder["my model/README.md"]);
        Assert.StartsWith("---\ntags:\n", card, StringComparison.Ordinal);
        Assert.Contains("# my model\n", card, StringComparison.Ordinal);
        Assert.Contains("\n```\na + b\n```\n", card, StringComparison.Ordinal);
        Assert.Contains("| `m` | `00` |", card, StringComparison.Ordinal);
        Assert.Contains(FormattableString.Invariant($"| `w` | BF16 | [200, 200] | {Math.Sqrt(square):g6} | {Math.Sqrt(square / 40_000):g6} | 3.5 |"), card, StringComparison.Ordinal);
        Assert.Contains("| `` n\\|` `` | F32 | [2] | 5 | 3.53553 | 4 |", card, StringComparison.Ordinal);
        Assert.Contains("| `ids` | I64 | [1] | | | |", card, StringComparison.Ordinal);
    }

    [Fact]
    public void ConfigurationAndTokenizerComeAlong()
    {
        folder.Put("base/config.json", Encoding.UTF8.GetBytes("""{"num_hidden_layers": 2, "layer_types": ["a", "b"], "no_rope_layers": [1, 0, 1], "torch_dtype": "float32", "name": "τ"}"""));
        folder.Put("base/tokenizer.json", "{ }"u8.ToArray());
        folder.Put("base/other.txt", "x"u8.ToArray());
        var same = SideFiles.Of(folder["base"], isModel: true, ConfigChanges.None);
        Assert.Equal(["config.json", "tokenizer.json"], same.Select(f => f.Name));
        Assert.Equal(File.ReadAllBytes(folder["base/config.json"]), same[0].Content);
        using var changed = JsonDocument.Parse(SideFiles.Of(folder["base"], isModel: true, new(DType.BF16, [0, 1, 0, 1, 1]))[0].Content);
        Assert.Equal(5, changed.RootElement.GetProperty("num_hidden_layers").GetInt32());
        Assert.Equal(["a", "b", "a", "b", "b"], changed.RootElement.GetProperty("layer_types").EnumerateArray().Select(e => e.GetString()));
        // It has not one entry for each of the base's layers.
        Assert.Equal(3, changed.RootElement.GetProperty("no_rope_layers").GetArrayLength());
        Assert.Equal("bfloat16", changed.RootElement.GetProperty("torch_dtype").GetString());
        Assert.Equal("τ", changed.RootElement.GetProperty("name").GetString());
        Assert.Equal(["tokenizer.json"], SideFiles.Of(folder["base"], isModel: false, ConfigChanges.None).Select(f => f.Name));

        // A link that leads out of the folder would publish a file of this machine.
        folder.Put("secret", "s"u8.ToArray());
        File.CreateSymbolicLink(folder["base/vocab.json"], folder["secret"]);
        Assert.Contains("vocab.json", Assert.Throws<FaultException>(() => SideFiles.Of(folder["base"], true, ConfigChanges.None)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void AReplacedFolderAndItsFilesHaveTheRightsOfThoseBefore()
    {
        if (OperatingSystem.IsWindows())
        {
            Assert.Skip("rights are otherwise there");
            return;
        }

        const UnixFileMode file = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.GroupWrite;
        const UnixFileMode whole = file | UnixFileMode.UserExecute | UnixFileMode.GroupExecute | UnixFileMode.SetGroup;
        Write(folder["out"], new FolderOutput(100));
        File.SetUnixFileMode(folder["out"], whole);
        foreach (var name in Directory.GetFiles(folder["out"]))
        {
            File.SetUnixFileMode(name, file);
        }

        var before = Directory.GetFiles(folder["out"]).Order().ToArray();
        Write(folder["out"], new FolderOutput(100));
        Assert.Equal(whole, File.GetUnixFileMode(folder["out"]));
        Assert.Equal(before, Directory.GetFiles(folder["out"]).Order());
        foreach (var name in before)
        {
            Assert.Equal(file, File.GetUnixFileMode(name));
        }
    }

    private static ulong[] Plans() => [.. Tensors.Select((_, i) => (ulong)i)];

    private static FolderWriter Writer(string path, FolderOutput output) =>
        new(path, Tensors, Metadata, output, new WriteOptions { Plans = Plans() });

    private static void Write(string path, FolderOutput output)
    {
        using var writer = Writer(path, output);
        Fill(writer, 0);
        writer.Commit();
    }

    private static byte[] Bytes(int tensor, int seed)
    {
        var bytes = new byte[Tensors[tensor].Shape.Elements * Tensors[tensor].DType.Size()];
        new Random((31 * seed) + tensor).NextBytes(bytes);
        return bytes;
    }

    private static void Fill(ICheckpointWriter writer, int seed)
    {
        for (var i = Tensors.Length - 1; i >= 0; i--)
        {
            var bytes = Bytes(i, seed);
            var middle = bytes.Length / 3;
            writer.Write(i, middle, bytes.AsSpan(middle));
            writer.Write(i, 0, bytes.AsSpan(0, middle));
        }
    }

    private static SortedDictionary<string, string> Content(string path)
    {
        using var checkpoint = Checkpoint.Open(path);
        var content = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (var t in checkpoint.Tensors)
        {
            var bytes = new byte[t.Bytes];
            checkpoint.Read(t, 0, bytes);
            content[t.Name] = $"{t.DType} {t.Shape} {Convert.ToHexString(bytes)}";
        }

        return content;
    }

    private static void RequireContent(string path, int seed)
    {
        var content = Content(path);
        Assert.Equal(Tensors.Length, content.Count);
        for (var i = 0; i < Tensors.Length; i++)
        {
            Assert.Equal($"{Tensors[i].DType} {Tensors[i].Shape} {Convert.ToHexString(Bytes(i, seed))}", content[Tensors[i].Name]);
        }

        using var checkpoint = Checkpoint.Open(path);
        var verified = Verification.Content(checkpoint, 2, TestContext.Current.CancellationToken);
        Assert.Equal((Tensors.Length, Tensors.Length, 0), (verified.Tensors, verified.Recorded, verified.Damages.Count));
    }

    private string[] Entries() => [.. Directory.GetFileSystemEntries(folder.Path).Select(e => Path.GetFileName(e)!).Order(StringComparer.Ordinal)];
}
