using System.Runtime.InteropServices;
using System.Text;
using Tva.Core.Bases;
using Tva.Core.Checkpoints;
using Xunit;

namespace Tva.Core.Tests;

/// <summary>Folders of the published code in tests/golden/tvb: that Σ c·atom is what that code recovers, and what is said of folders that lack something.</summary>
public sealed class PublishedBasisTests : IDisposable
{
    private static readonly string Golden = Path.Combine(Root(), "tests", "golden", "tvb");
    private readonly TempFolder temp = new();

    public void Dispose() => temp.Dispose();

    [Theory]
    [InlineData("ae_softmax", BasisMethod.Ae)]
    [InlineData("ae_linear", BasisMethod.AeLinear)]
    [InlineData("pca", BasisMethod.Pca)]
    [InlineData("random_projection", BasisMethod.Random)]
    [InlineData("random_sample", BasisMethod.Sample)]
    public void MembersAreWhatThePublishedCodeRecovers(string folder, BasisMethod method)
    {
        var path = Path.Combine(Golden, folder);
        Assert.True(BasisFolder.IsBasis(path));
        var basis = BasisFolder.Open(path);
        Assert.Equal((method, "all", 3), (basis.Method, basis.By, basis.Atoms.Count));
        Assert.Null(basis.BaseFingerprint);
        Assert.Null(basis.RelativeErrors);
        Assert.True(double.IsNaN(basis.Loss));
        Assert.Equal(method == BasisMethod.Pca, basis.Mean is not null);
        var group = Assert.Single(basis.Groups);
        Assert.Equal((null, null), (group.Gram, group.Encoder));
        var parts = basis.Atoms.Concat(basis.Mean is { } mean ? [mean] : []).Select(Floats).ToArray();
        Assert.Equal(parts.Length, group.Decoder.GetLength(0));
        var compared = 0;
        for (var t = 0; t < basis.Tasks.Count; t++)
        {
            var file = Path.Combine(path, $"recovered_{basis.Tasks[t]}.expected.safetensors");
            if (File.Exists(file))
            {
                Near(Plans.ReadFloats(file), parts, k => group.Decoder[k, t]);
                compared++;
            }
        }

        Assert.Equal(method == BasisMethod.Sample ? 0 : 6, compared);
        Near(Plans.ReadFloats(Path.Combine(path, "sum_of_basis.expected.safetensors")), parts, k => k < 3 ? 1 : 0);
        basis.Mean?.Dispose();
        foreach (var atom in basis.Atoms)
        {
            atom.Dispose();
        }
    }

    public static TheoryData<string, string> Files => new()
    {
        { "ae_softmax", "basis_vectors.pt" }, { "ae_softmax", "AWB.pt" }, { "ae_linear", "AWB.pt" }, { "pca", "pca_components.pt" }, { "pca", "basis_vectors.pt" },
        { "random_projection", "random_basis.pt" }, { "random_sample", "random_selection.json" }, { "random_sample", "basis_vectors.pt" },
    };

    [Theory]
    [MemberData(nameof(Files))]
    public void AMissingOrDamagedFileIsNamed(string folder, string file)
    {
        var copy = Copy(folder);
        var path = Path.Combine(copy, file);
        var whole = File.ReadAllBytes(path);
        File.Delete(path);
        Assert.StartsWith($"{copy}: lacks {file}, which the published code writes", Fault(copy), StringComparison.Ordinal);
        foreach (var bytes in new[] { [], whole[..(whole.Length / 2)], whole[..^1], Encoding.UTF8.GetBytes("{}"), Encoding.UTF8.GetBytes("[1]"), new byte[1000] })
        {
            File.WriteAllBytes(path, bytes);
            Assert.Contains(path.EndsWith(".json", StringComparison.Ordinal) ? copy : path, Fault(copy));
        }
    }

    [Theory]
    [InlineData("")]
    [InlineData("{")]
    [InlineData("[]")]
    [InlineData("{}")]
    [InlineData("{\"method\": null, \"datasets\": [\"a\", \"b\"]}")]
    [InlineData("{\"method\": 7, \"datasets\": [\"a\", \"b\"]}")]
    [InlineData("{\"method\": \"Magic\", \"datasets\": [\"a\", \"b\"]}")]
    [InlineData("{\"method\": \"PCABasisMethod\"}")]
    [InlineData("{\"method\": \"PCABasisMethod\", \"datasets\": []}")]
    [InlineData("{\"method\": \"PCABasisMethod\", \"datasets\": 3}")]
    [InlineData("{\"method\": \"PCABasisMethod\", \"datasets\": [1, 2]}")]
    [InlineData("{\"method\": \"PCABasisMethod\", \"datasets\": [null]}")]
    [InlineData("{\"method\": \"AutoencoderBasisMethod\", \"datasets\": [\"A\"], \"encoder\": 1}")]
    public void AMethodInfoThatIsNoneIsTold(string text)
    {
        var copy = Copy("pca");
        File.WriteAllText(Path.Combine(copy, "method_info.json"), text);
        Assert.Contains(copy, Fault(copy));
    }

    [Fact]
    public void OtherNumbersOfDatasetsAreTold()
    {
        foreach (var folder in new[] { "ae_softmax", "pca", "random_projection" })
        {
            var copy = Copy(folder);
            var info = Path.Combine(copy, "method_info.json");
            File.WriteAllText(info, File.ReadAllText(info).Replace("\"TaskF\"", "\"TaskF\", \"TaskG\"", StringComparison.Ordinal));
            Assert.Contains("and should be [3, 7]", Fault(copy));
            File.WriteAllText(info, File.ReadAllText(info).Replace("TaskG", "TaskA", StringComparison.Ordinal));
            Assert.Contains("datasets has 'TaskA' twice", Fault(copy));
        }

        var sample = Copy("random_sample");
        var selection = Path.Combine(sample, "random_selection.json");
        File.WriteAllText(selection, "{\"selected_datasets\": [\"TaskB\", \"TaskE\"]}");
        Assert.Contains("has selected 2 datasets, and basis_vectors.pt holds 3 vectors", Fault(sample));
    }

    [Fact]
    public void ScratchesAreFaultsOrOtherNumbers()
    {
        foreach (var (folder, file) in Files.Select(f => f.Data))
        {
            var copy = Copy(folder);
            var path = Path.Combine(copy, file);
            var whole = File.ReadAllBytes(path);
            var random = new Random(file.Length);
            for (var round = 0; round < 100; round++)
            {
                var bytes = (byte[])whole.Clone();
                for (var n = 0; n <= round % 4; n++)
                {
                    // The directory at a zip's end and its first entry, the pickle, are where it hurts.
                    var at = random.Next(3) switch { 0 => random.Next(bytes.Length), 1 => random.Next(Math.Min(2000, bytes.Length)), _ => bytes.Length - 1 - random.Next(Math.Min(1000, bytes.Length)) };
                    bytes[at] = (byte)random.Next(256);
                }

                File.WriteAllBytes(path, bytes);
                try
                {
                    var basis = BasisFolder.Open(copy);
                    Checkpoint[] parts = [.. basis.Atoms, .. basis.Mean is { } m ? [m] : Array.Empty<Checkpoint>()];
                    try
                    {
                        foreach (var part in parts)
                        {
                            foreach (var t in part.Tensors)
                            {
                                part.Read(t, 0, new byte[t.Bytes]);
                            }
                        }
                    }
                    finally
                    {
                        Array.ForEach(parts, part => part.Dispose());
                    }
                }
                catch (FaultException)
                {
                }

                // Nothing is left open, or this could not be written.
                File.WriteAllBytes(path, whole);
            }
        }
    }

    private static string Fault(string folder) => Assert.Throws<FaultException>(() => BasisFolder.Open(folder)).Message;

    private string Copy(string folder)
    {
        Directory.CreateDirectory(temp[folder]);
        foreach (var file in Directory.GetFiles(Path.Combine(Golden, folder)))
        {
            File.Copy(file, Path.Combine(temp[folder], Path.GetFileName(file)), true);
        }

        return temp[folder];
    }

    private static Dictionary<string, float[]> Floats(Checkpoint checkpoint) => checkpoint.Tensors.ToDictionary(t => t.Name, t =>
    {
        var values = new float[t.Shape.Elements];
        checkpoint.Read(t, 0, MemoryMarshal.AsBytes(values.AsSpan()));
        return values;
    });

    /// <summary>Σ c·part within 1e-5 of the tensor's largest magnitude.</summary>
    private static void Near(Dictionary<string, float[]> expected, Dictionary<string, float[]>[] parts, Func<int, double> coefficient)
    {
        Assert.Equal(expected.Keys.Order(), parts[0].Keys.Order());
        foreach (var (name, want) in expected)
        {
            var tolerance = 1e-5 * want.Max(Math.Abs);
            for (var i = 0; i < want.Length; i++)
            {
                var got = parts.Select((p, k) => coefficient(k) * p[name][i]).Sum();
                Assert.InRange(got, want[i] - tolerance, want[i] + tolerance);
            }
        }
    }

    private static string Root()
    {
        var folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "Dsl.sln")))
        {
            folder = Path.GetDirectoryName(folder) ?? throw new InvalidOperationException("the tests run outside the repository");
        }

        return folder;
    }
}
