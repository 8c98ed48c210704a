using System.Security.Cryptography;
using System.Text;
using Tva.Core.Checkpoints;
using Tva.Core.Tensors;

namespace Tva.Core.Bases;

/// <summary>
/// Comes in: one long vector of a PyTorch file, the tensors' names in the order in which they lie in it, and a checkpoint that tells their
/// shapes. Goes out: those tensors as a checkpoint.
/// </summary>
internal sealed class FlatCheckpoint : Checkpoint
{
    private readonly PyTorchFile file;
    private readonly PickleTensor vector;
    private readonly Dictionary<string, TensorInfo> byName = new(StringComparer.Ordinal);
    private readonly List<TensorInfo> tensors;

    /// <param name="path">What messages call it.</param>
    /// <param name="source">The file, which is opened once more: this checkpoint has its own.</param>
    /// <param name="key">Where the vector stands in the file's dictionary.</param>
    /// <param name="order">The tensors' names.</param>
    /// <param name="shapes">Tells their shapes.</param>
    /// <exception cref="FaultException">The vector is not as long as the tensors together, or a name is unknown or stands twice.</exception>
    public FlatCheckpoint(string path, string source, string key, IReadOnlyList<string> order, Checkpoint shapes)
    {
        Path = path;
        file = new PyTorchFile(source);
        vector = (PickleTensor)((PickleDictionary)file.Root).Find(key)!;
        try
        {
            Lay(source, order, shapes);
        }
        catch
        {
            file.Dispose();
            throw;
        }

        tensors = [.. shapes.Tensors.Select(t => byName[t.Name])];
    }

    /// <inheritdoc/>
    public override string Path { get; }

    /// <inheritdoc/>
    public override IReadOnlyList<string> Files => [file.FullPath];

    /// <inheritdoc/>
    public override IReadOnlyList<TensorInfo> Tensors => tensors;

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, string> Metadata { get; } = new Dictionary<string, string>();

    /// <inheritdoc/>
    public override string Fingerprint => Convert.ToHexStringLower(SHA256.HashData([.. file.Fingerprint, .. Encoding.UTF8.GetBytes(string.Join('\n', tensors))]));

    /// <inheritdoc/>
    public override TensorInfo? Find(string name) => byName.GetValueOrDefault(name);

    /// <inheritdoc/>
    public override void Read(TensorInfo tensor, long byteOffset, Span<byte> destination) => file.Read(vector, tensor.Offset + byteOffset, destination);

    /// <inheritdoc/>
    public override void Prefetch(TensorInfo tensor, long byteOffset, long bytes) => file.Prefetch(vector, tensor.Offset + byteOffset, bytes);

    /// <inheritdoc/>
    public override void Dispose() => file.Dispose();

    private void Lay(string source, IReadOnlyList<string> order, Checkpoint shapes)
    {
        long at = 0;
        foreach (var name in order)
        {
            var shape = shapes.Find(name)?.Shape ?? throw new FaultException($"{source}: orders a tensor {Quoted.Name(name)}, which {shapes.Path} lacks");
            if (!byName.TryAdd(name, new TensorInfo(name, vector.DType, shape, 0, at)))
            {
                throw new FaultException($"{source}: orders {Quoted.Name(name)} twice");
            }

            at = checked(at + (shape.Elements * vector.DType.Size()));
        }

        if (at != vector.Bytes || byName.Count != shapes.Tensors.Count)
        {
            throw new FaultException($"{source}: its vector has {vector.Shape.Elements} elements for {byName.Count} tensors, and {shapes.Path} has "
                + $"{shapes.Tensors.Sum(t => t.Shape.Elements)} in {shapes.Tensors.Count}");
        }
    }
}
