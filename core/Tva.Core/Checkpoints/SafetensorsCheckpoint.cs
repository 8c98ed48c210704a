using System.Security.Cryptography;
using Tva.Core.Tensors;

namespace Tva.Core.Checkpoints;

/// <summary>Comes in: one safetensors file or several that make up one model. Goes out: a checkpoint over all of them.</summary>
internal sealed class SafetensorsCheckpoint : Checkpoint
{
    private readonly SafetensorsFile[] files;
    private readonly List<TensorInfo> tensors = [];
    private readonly Dictionary<string, TensorInfo> byName;
    private readonly Dictionary<string, string> metadata = [];
    private readonly Lazy<string> fingerprint;

    /// <summary>Takes the files over: they are closed with it, or at once where they don't fit together.</summary>
    public SafetensorsCheckpoint(string path, IReadOnlyList<SafetensorsFile> files)
    {
        Path = path;
        this.files = [.. files];
        Files = [.. files.Select(file => file.FullPath)];
        byName = new(files[0].Tensors.Count * files.Count);
        foreach (var file in files)
        {
            tensors.AddRange(file.Tensors);
            foreach (var tensor in file.Tensors)
            {
                if (!byName.TryAdd(tensor.Name, tensor))
                {
                    throw new FaultException($"{path}: tensor {Quoted.Name(tensor.Name)} is both in {files[byName[tensor.Name].File].Path} "
                        + $"and in {file.Path}; are these two models? name the one file you mean, or take them as task vectors: family(\"FOLDER/*\", base)");
                }
            }

            foreach (var (key, value) in file.Metadata)
            {
                metadata.TryAdd(key, value);
            }
        }

        tensors.Sort(Order);
        fingerprint = new(Hash);
    }

    /// <inheritdoc/>
    public override string Path { get; }

    /// <inheritdoc/>
    public override IReadOnlyList<string> Files { get; }

    /// <inheritdoc/>
    public override IReadOnlyList<TensorInfo> Tensors => tensors;

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, string> Metadata => metadata;

    /// <inheritdoc/>
    public override string Fingerprint => fingerprint.Value;

    /// <inheritdoc/>
    public override TensorInfo? Find(string name) => byName.GetValueOrDefault(name);

    /// <inheritdoc/>
    public override void Read(TensorInfo tensor, long byteOffset, Span<byte> destination) =>
        files[tensor.File].Read(tensor, byteOffset, destination);

    /// <inheritdoc/>
    public override void Prefetch(TensorInfo tensor, long byteOffset, long bytes) =>
        files[tensor.File].Prefetch(tensor, byteOffset, bytes);

    /// <inheritdoc/>
    public override void Dispose()
    {
        foreach (var file in files)
        {
            file.Dispose();
        }
    }

    private string Hash()
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var file in files)
        {
            file.AppendFingerprint(hash);
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
