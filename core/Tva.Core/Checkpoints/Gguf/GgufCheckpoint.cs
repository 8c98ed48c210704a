using System.Globalization;
using System.Security.Cryptography;
using Tva.Core.Tensors;

namespace Tva.Core.Checkpoints;

/// <summary>
/// Comes in: one GGUF file, or all that a model was split into. Goes out: a checkpoint over them. Tensors keep the names that llama.cpp gave
/// them: to rename them as transformers does would not undo how its converter permutes the rows of some.
/// </summary>
internal sealed class GgufCheckpoint : Checkpoint
{
    private const string SplitCount = "split.count";

    private readonly GgufFile[] files;
    private readonly List<TensorInfo> tensors = [];
    private readonly Dictionary<string, GgufTensor> byName = [];
    private readonly Dictionary<string, string> described = [];
    private readonly Dictionary<string, string> metadata = [];
    private readonly Lazy<string> fingerprint;

    private GgufCheckpoint(string path, GgufFile[] files)
    {
        Path = path;
        this.files = files;
        Files = [.. files.Select(file => file.FullPath)];
        fingerprint = new(Hash);
        foreach (var file in files)
        {
            RequireWhole(file);
            foreach (var tensor in file.Tensors)
            {
                if (!byName.TryAdd(tensor.Info.Name, tensor))
                {
                    throw new FaultException($"{path}: tensor {Quoted.Name(tensor.Info.Name)} is both in {files[byName[tensor.Info.Name].Info.File].Path} "
                        + $"and in {file.Path}; these are not parts of one model; download them again");
                }

                tensors.Add(tensor.Info);
            }

            foreach (var (key, value) in file.Described)
            {
                described.TryAdd(key, value);
            }

            foreach (var (key, value) in file.Metadata)
            {
                metadata.TryAdd(key, value);
            }
        }

        tensors.Sort(Order);
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
    public override IReadOnlyDictionary<string, string> Described => described;

    /// <inheritdoc/>
    public override IReadOnlyList<string> Notes { get; } =
        ["GGUF names tensors in a way of its own (blk.0.attn_q.weight) and llama.cpp's converter reorders rows of some: combine it with models from GGUF only"];

    /// <inheritdoc/>
    public override string Fingerprint => fingerprint.Value;

    /// <summary>Opens a file with all that belong to it.</summary>
    public static GgufCheckpoint Open(string path, string file)
    {
        var names = GgufFormat.Parts(file);
        return new GgufCheckpoint(path, [.. names.Select((name, i) => new GgufFile(name, i))]);
    }

    /// <inheritdoc/>
    public override TensorInfo? Find(string name) => byName.GetValueOrDefault(name)?.Info;

    /// <inheritdoc/>
    public override long StoredBytes(TensorInfo tensor) => byName[tensor.Name].StoredBytes;

    /// <inheritdoc/>
    public override string StoredType(TensorInfo tensor) => byName[tensor.Name].Type.Name;

    /// <inheritdoc/>
    public override void Read(TensorInfo tensor, long byteOffset, Span<byte> destination) =>
        files[tensor.File].Read(byName[tensor.Name], byteOffset, destination);

    /// <inheritdoc/>
    public override void Prefetch(TensorInfo tensor, long byteOffset, long bytes) =>
        files[tensor.File].Prefetch(byName[tensor.Name], byteOffset, bytes);

    /// <inheritdoc/>
    public override void Dispose()
    {
        foreach (var file in files)
        {
            file.Dispose();
        }
    }

    private void RequireWhole(GgufFile file)
    {
        if (file.Metadata.TryGetValue(SplitCount, out var count) && count is not ("0" or "1")
            && count != files.Length.ToString(CultureInfo.InvariantCulture))
        {
            throw new FaultException($"{file.Path}: is one of {Quoted.Name(count)} files of a model ({SplitCount}), and {files.Length} "
                + "were found by their names; give all of them the names NAME-00001-of-00003.gguf in one folder, or join them with llama.cpp's llama-gguf-split --merge");
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
