using System.Diagnostics;
using Tva.Core.Checkpoints;
using Xunit;

namespace Tva.Core.Tests;

public sealed class CheckpointFinderTests : IDisposable
{
    private readonly TempFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void A_folder_without_an_index_is_all_its_safetensors_files()
    {
        folder.PutTensors("b.safetensors", "y");
        folder.PutTensors("a.safetensors", "x");
        folder.Put("c.safetensors.partial", [1, 2, 3]);
        folder.Put("config.json", "{}"u8.ToArray());
        using var checkpoint = Checkpoint.Open(folder.Path);
        Assert.Equal([("x", 0), ("y", 1)], checkpoint.Tensors.Select(t => (t.Name, t.File)));
        Assert.Equal([folder["a.safetensors"], folder["b.safetensors"]], checkpoint.Files);
    }

    [Fact]
    public void Two_models_in_one_folder_are_refused()
    {
        folder.PutTensors("a.safetensors", "x");
        folder.PutTensors("b.safetensors", "x");
        Refuse(folder.Path, "'x' is both in", "a.safetensors", "b.safetensors", "name the one file you mean");
    }

    [Fact]
    public void Two_indexes_in_one_folder_are_refused()
    {
        folder.Put("a.safetensors.index.json", "{}"u8.ToArray());
        folder.Put("b.safetensors.index.json", "{}"u8.ToArray());
        Refuse(folder.Path, "several indexes: 'a.safetensors.index.json', 'b.safetensors.index.json'");
    }

    [Fact]
    public void A_folder_without_a_checkpoint_says_what_it_has()
    {
        Refuse(folder.Path, "has no .safetensors, no PyTorch file (.pt, .pth, .bin) and no .gguf; it is empty");
        folder.Put("config.json", [1]);
        Refuse(folder.Path, "it has 'config.json'");
    }

    [Theory]
    [InlineData("a.pt")]
    [InlineData("a.PTH")]
    [InlineData("pytorch_model.bin")]
    public void A_folder_of_one_PyTorch_file_is_that_file(string name)
    {
        PutPyTorch(name, "x");
        folder.Put("config.json", "{}"u8.ToArray());
        using var checkpoint = Checkpoint.Open(folder.Path);
        Assert.Equal((folder.Path, "x"), (checkpoint.Path, Assert.Single(checkpoint.Tensors).Name));
        Assert.Equal([folder[name]], checkpoint.Files);
    }

    [Fact]
    public void Several_PyTorch_files_are_refused_unless_safetensors_or_an_index_are_there()
    {
        PutPyTorch("a-1.bin", "x");
        PutPyTorch("a-2.bin", "y");
        Refuse(folder.Path, "has several PyTorch files and no index: 'a-1.bin', 'a-2.bin'; name the one you mean");
        folder.Put("a.bin.index.json", """{"weight_map":{"x":"a-1.bin","y":"a-2.bin"}}"""u8.ToArray());
        foreach (string path in new[] { folder.Path, folder["a.bin.index.json"] })
        {
            using var sharded = Checkpoint.Open(path);
            Assert.Equal([("x", 0), ("y", 1)], sharded.Tensors.Select(t => (t.Name, t.File)));
            Assert.Equal([folder["a-1.bin"], folder["a-2.bin"]], sharded.Files);
            foreach (var tensor in sharded.Tensors)
            {
                var read = new byte[1];
                sharded.Read(tensor, 0, read);
                Assert.Equal([(byte)tensor.Name[0]], read);
            }
        }

        folder.PutTensors("a.safetensors", "z");
        using var safe = Checkpoint.Open(folder.Path);
        Assert.Equal("z", Assert.Single(safe.Tensors).Name);
    }

    [Fact]
    public void A_folder_of_all_formats_is_read_from_the_first_in_a_fixed_order()
    {
        // From the last to the first: each that is added wins over those before it.
        void Opens(string tensor)
        {
            using var checkpoint = Checkpoint.Open(folder.Path);
            Assert.Equal(tensor, Assert.Single(checkpoint.Tensors).Name);
        }

        folder.Put("model-q8.gguf", new GgufBytes().Tensor("gguf", 0, [1], new byte[4]).Bytes());
        Opens("gguf");
        PutPyTorch("training_args.bin", "args");
        Opens("args");
        PutPyTorch("optimizer.pt", "state");
        Refuse(folder.Path, "has several PyTorch files and no index: 'optimizer.pt', 'training_args.bin'; name the one you mean");
        PutPyTorch("pytorch_model.bin", "torch");
        Opens("torch");
        folder.Put("pytorch_model.bin.index.json", """{"weight_map":{"torch":"pytorch_model.bin"}}"""u8.ToArray());
        Opens("torch");
        folder.PutTensors("model.safetensors", "safe");
        Opens("safe");
        folder.PutTensors("other.safetensors", "shard");
        folder.Put("model.safetensors.index.json", """{"weight_map":{"shard":"other.safetensors"}}"""u8.ToArray());
        Refuse(folder.Path, "has both 'model.safetensors' and an index of other files, 'model.safetensors.index.json'; name the one you mean, or remove the other");
        File.Delete(folder["model.safetensors"]);
        Opens("shard");
        File.Delete(folder["other.safetensors"]);
        Refuse(folder["model.safetensors.index.json"], "its 1 shards are missing: 'other.safetensors'");
        File.Delete(folder["model.safetensors.index.json"]);
        PutPyTorch("a.bin", "a");
        folder.Put("pytorch_model.bin.index.json", """{"weight_map":{"a":"a.bin"}}"""u8.ToArray());
        Refuse(folder.Path, "has both 'pytorch_model.bin' and an index of other files, 'pytorch_model.bin.index.json'");
    }

    [Fact]
    public void Several_GGUF_models_in_a_folder_are_refused()
    {
        folder.Put("m-q4.gguf", new GgufBytes().Tensor("a", 0, [1], new byte[4]).Bytes());
        folder.Put("m-q8.gguf", new GgufBytes().Tensor("a", 0, [1], new byte[4]).Bytes());
        Refuse(folder.Path, "has several GGUF models: 'm-q4.gguf', 'm-q8.gguf'; name the one you mean");
        Refuse(folder["m-q4"], "did you mean 'm-q4.gguf'");
        using var blob = Checkpoint.Open(folder.Put("blob", File.ReadAllBytes(folder["m-q4.gguf"])));
        Assert.Equal("a", Assert.Single(blob.Tensors).Name);
    }

    [Fact]
    public void Two_PyTorch_shards_with_one_tensor_are_refused()
    {
        PutPyTorch("a-1.bin", "x");
        PutPyTorch("a-2.bin", "x");
        folder.Put("a.bin.index.json", """{"weight_map":{"x":"a-1.bin","y":"a-2.bin"}}"""u8.ToArray());
        Refuse(folder.Path, "tensor 'x' is both in", "a-1.bin", "a-2.bin");
    }

    [Fact]
    public void A_PyTorch_file_opens_under_any_name_but_that_of_the_other_format()
    {
        foreach (string name in new[] { "a.ckpt", "weights", "a.pt", "a.pth", "a.bin" })
        {
            using var checkpoint = Checkpoint.Open(PutPyTorch(name, "x"));
            Assert.Equal("x", Assert.Single(checkpoint.Tensors).Name);
        }

        Refuse(PutPyTorch("a.safetensors", "x"), "is a PyTorch file or another archive, not safetensors; call it .pt");
        Refuse(folder.Put("b", new PyTorchArchive().Add("word/document.xml", [1]).Bytes()), "is a PyTorch file or another archive, not safetensors");
        Refuse(folder.Put("c", [.. "PK\x03\x04"u8]), "is a PyTorch file or another archive, not safetensors");
        Refuse(folder["a.ptx"], "did you mean", "'a.pt'");
    }

    [Fact]
    public void A_missing_file_suggests_its_near_misses()
    {
        folder.PutTensors("digits.safetensors", "x");
        folder.PutTensors("arrows.safetensors", "x");
        Refuse(folder["digit.safetensors"], "doesn't exist; did you mean 'digits.safetensors'?");
        Refuse(folder["Digits"], "did you mean 'digits.safetensors'?");
        Refuse(folder["something-else.st"], "has 'arrows.safetensors', 'digits.safetensors'");
    }

    [Fact]
    public void A_missing_folder_is_named() => Refuse(folder["no/such/x.safetensors"], "nor does the folder", folder["no/such"]);

    [Fact]
    public void A_broken_link_names_its_target()
    {
        File.CreateSymbolicLink(folder["x.safetensors"], "gone.safetensors");
        Refuse(folder["x.safetensors"], "is a link to gone.safetensors, which doesn't exist");
    }

    [Theory]
    [InlineData("")]
    [InlineData("  ")]
    [InlineData("a\0b")]
    public void What_is_no_path_is_a_fault(string path) =>
        Assert.Contains("is not a path", Assert.Throws<FaultException>(() => Checkpoint.Open(path)).Message);

    [Fact]
    public void A_device_or_pipe_is_refused_instead_of_read_forever()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "device files are known on Linux only");
        Refuse("/dev/zero", "is not a plain file");
        using var mkfifo = Process.Start("mkfifo", folder["pipe"]);
        mkfifo.WaitForExit();
        Refuse(folder["pipe"], "is not a plain file");
    }

    [Fact]
    public void An_unreadable_file_is_a_fault()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows() || Environment.IsPrivilegedProcess, "root may read everything");
        string path = folder.PutTensors("x.safetensors", "x");
        if (!OperatingSystem.IsWindows())
        {
            File.SetUnixFileMode(path, UnixFileMode.UserWrite);
        }

        Refuse(path, "permission denied; allow this user to read it");
    }

    [Fact]
    public void Same_file_sees_through_links_and_spellings()
    {
        string a = folder.PutTensors("a.safetensors", "x");
        string b = folder.PutTensors("b.safetensors", "x");
        File.CreateSymbolicLink(folder["link"], a);
        Directory.CreateSymbolicLink(folder["here"], folder.Path);
        Assert.True(Checkpoint.IsSameFile(a, folder["link"]));
        Assert.True(Checkpoint.IsSameFile(a, folder["here/../" + Path.GetFileName(folder.Path) + "/a.safetensors"]));
        Assert.True(Checkpoint.IsSameFile(a, folder["here/a.safetensors"]));
        Assert.False(Checkpoint.IsSameFile(a, b));
        Assert.False(Checkpoint.IsSameFile(a, folder["new.safetensors"]));
        Assert.True(Checkpoint.IsSameFile(folder["here/new.safetensors"], folder["new.safetensors"]));
        using var ln = Process.Start("ln", [a, folder["hard"]]);
        ln.WaitForExit();
        Assert.True(!OperatingSystem.IsLinux() || Checkpoint.IsSameFile(a, folder["hard"]));
    }

    /// <summary>A PyTorch file of one U8 tensor [1] that holds its name's first letter.</summary>
    private string PutPyTorch(string name, string tensor) => folder.Put(name, PyTorchArchive.Of(
        new PickleBytes().Op('}').Text(tensor).Tensor("ByteStorage", "0", 1, 0, [1], [1]).Op('s').Stop(), [(byte)tensor[0]]));

    private static void Refuse(string path, params string[] expected)
    {
        var fault = Assert.Throws<FaultException>(() => Checkpoint.Open(path));
        Assert.StartsWith(path + ": ", fault.Message);
        Assert.All(expected, part => Assert.Contains(part, fault.Message));
    }
}
