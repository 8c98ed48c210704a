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
        // Independent of this reader: the golden sum of the basis, made by PyTorch, is base plus the sum of its vectors.
        using var file = new PyTorchFile(Path.Combine(Golden, method, "basis_vectors.pt"));
        var list = Assert.IsType<PickleList>(Assert.IsType<PickleDictionary>(file.Root).Find("basis_vectors"));
        var atoms = list.Items.Select((item, i) => file.OpenCheckpoint(item, $"basis_vectors.pt[{i}]")).ToArray();
        file.Dispose();
        Assert.Equal(3, atoms.Length);
        Assert.Equal(3, atoms.Select(a => a.Fingerprint).Distinct().Count());
        using var zero = Checkpoint.Open(Path.Combine(Golden, "zeroshot.safetensors"));
        using var sum = Checkpoint.Open(Path.Combine(Golden, method, "sum_of_basis.expected.safetensors"));
        foreach (var t in sum.Tensors)
        {
            var expected = Floats(sum, t);
            var parts = atoms.Select(a => Floats(a, a.Find(t.Name)!)).ToArray();
            var origin = Floats(zero, zero.Find(t.Name)!);
            for (int i = 0; i < expected.Length; i++)
            {
                double total = parts.Sum(p => (double)p[i]);
                Assert.True(Math.Abs(total - expected[i]) < 1e-4 || Math.Abs(origin[i] + total - expected[i]) < 1e-4, $"{t.Name}[{i}]");
            }
        }

        atoms[0].Dispose();
        atoms[0].Dispose();
        atoms[1].Dispose();
        _ = All(atoms[2], atoms[2].Tensors[0]);
        atoms[2].Dispose();
        Assert.Throws<ObjectDisposedException>(() => All(atoms[2], atoms[2].Tensors[0]));
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
