using System.Security.Cryptography;
using System.Text;
using Tva.Core.Tensors;

namespace Tva.Core.Checkpoints;

/// <summary>A tensor of a checkpoint under another name.</summary>
/// <param name="Name">The new name.</param>
/// <param name="From">Where it is.</param>
/// <param name="Stored">What it is there.</param>
/// <param name="DType">The element type it is shown with; another than the stored one only where nobody reads it.</param>
public sealed record RenamedTensor(string Name, Checkpoint From, TensorInfo Stored, DType DType);

/// <summary>
/// Comes in: tensors of checkpoints with a new name for each. Goes out: those tensors as a checkpoint. The checkpoints stay open for as long
/// as it is read; disposing of it closes none of them.
/// </summary>
public sealed class RenamedCheckpoint : Checkpoint
{
    private readonly List<TensorInfo> tensors = [];
    private readonly Dictionary<string, (TensorInfo Shown, RenamedTensor Tensor)> byName;
    private readonly Lazy<string> fingerprint;

    /// <param name="path">What messages call it.</param>
    /// <param name="metadata">Its metadata.</param>
    /// <param name="renamed">Its tensors, each new name once.</param>
    public RenamedCheckpoint(string path, IReadOnlyDictionary<string, string> metadata, IReadOnlyList<RenamedTensor> renamed)
    {
        (Path, Metadata) = (path, metadata);
        byName = new(renamed.Count, StringComparer.Ordinal);
        foreach (var tensor in renamed)
        {
            var shown = new TensorInfo(tensor.Name, tensor.DType, tensor.Stored.Shape, tensor.Stored.File, tensor.Stored.Offset);
            tensors.Add(shown);
            byName.Add(tensor.Name, (shown, tensor));
        }

        tensors.Sort(Order);
        var sources = renamed.Select(tensor => tensor.From).Distinct().ToArray();
        Files = [.. sources.SelectMany(source => source.Files).Distinct()];
        fingerprint = new(() =>
        {
            var text = new StringBuilder();
            foreach (var source in sources)
            {
                text.Append(source.Fingerprint).Append('\n');
            }

            foreach (var tensor in tensors)
            {
                var (shown, from) = byName[tensor.Name];
                text.Append(shown.Name).Append('\t').Append(from.Stored.Name).Append('\t').Append(Array.IndexOf(sources, from.From)).Append('\n');
            }

            return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text.ToString())));
        });
    }

    /// <inheritdoc/>
    public override string Path { get; }

    /// <inheritdoc/>
    public override IReadOnlyList<string> Files { get; }

    /// <inheritdoc/>
    public override IReadOnlyList<TensorInfo> Tensors => tensors;

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, string> Metadata { get; }

    /// <inheritdoc/>
    public override string Fingerprint => fingerprint.Value;

    /// <inheritdoc/>
    public override TensorInfo? Find(string name) => byName.TryGetValue(name, out var found) ? found.Shown : null;

    /// <inheritdoc/>
    public override string StoredName(TensorInfo tensor)
    {
        var t = byName[tensor.Name].Tensor;
        return t.From.StoredName(t.Stored);
    }

    /// <inheritdoc/>
    public override long StoredBytes(TensorInfo tensor)
    {
        var t = byName[tensor.Name].Tensor;
        return t.From.StoredBytes(t.Stored);
    }

    /// <inheritdoc/>
    public override void Read(TensorInfo tensor, long byteOffset, Span<byte> destination)
    {
        var t = byName[tensor.Name].Tensor;
        t.From.Read(t.Stored, byteOffset, destination);
    }

    /// <inheritdoc/>
    public override void Prefetch(TensorInfo tensor, long byteOffset, long bytes)
    {
        var t = byName[tensor.Name].Tensor;
        t.From.Prefetch(t.Stored, byteOffset, bytes);
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        // Others opened what it shows.
    }
}
