using Tva.Core.Tensors;

namespace Tva.Core.Checkpoints;

/// <summary>Comes in: a name, the tensors' shapes, then their bytes in any order. Goes out: a checkpoint in memory, handed over when it is complete.</summary>
public sealed class MemoryWriter : ICheckpointWriter
{
    private readonly byte[][] buffers;
    private readonly IReadOnlyList<(string Name, DType DType, Shape Shape)> tensors;
    private readonly IReadOnlyDictionary<string, string> metadata;
    private readonly string name;
    private readonly Action<MemoryCheckpoint> deliver;

    /// <param name="name">The checkpoint's name; <see cref="MemoryCheckpoint.Scheme"/> before it is left out.</param>
    /// <param name="tensors">Its tensors.</param>
    /// <param name="metadata">Its metadata.</param>
    /// <param name="deliver">Takes the checkpoint once all of it is there.</param>
    /// <exception cref="FaultException">It doesn't fit into memory.</exception>
    public MemoryWriter(
        string name, IReadOnlyList<(string Name, DType DType, Shape Shape)> tensors, IReadOnlyDictionary<string, string> metadata, Action<MemoryCheckpoint> deliver)
    {
        ArgumentNullException.ThrowIfNull(name);
        ArgumentNullException.ThrowIfNull(tensors);
        this.name = name.StartsWith(MemoryCheckpoint.Scheme, StringComparison.Ordinal) ? name[MemoryCheckpoint.Scheme.Length..] : name;
        (Path, this.tensors, this.metadata, this.deliver) = (MemoryCheckpoint.Scheme + this.name, tensors, metadata, deliver);
        Bytes = tensors.Sum(t => t.Shape.Elements * t.DType.Size());
        var widest = tensors.Where(t => t.Shape.Elements * t.DType.Size() > Array.MaxLength).Select(t => t.Name).FirstOrDefault();
        if (widest is not null)
        {
            throw new FaultException($"{Path}: tensor {Quoted.Name(widest)} has more than {Sizes.Text(Array.MaxLength)}, the most that is kept in memory as one; save it to a file");
        }

        var room = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        if (Bytes > room)
        {
            throw new FaultException($"{Path}: takes {Sizes.Text(Bytes)}, and this process may use {Sizes.Text(room)} of memory; save it to a file");
        }

        try
        {
            buffers = [.. tensors.Select(t => new byte[t.Shape.Elements * t.DType.Size()])];
        }
        catch (OutOfMemoryException e)
        {
            throw new FaultException($"{Path}: there is no memory for its {Sizes.Text(Bytes)}; save it to a file", e);
        }
    }

    /// <inheritdoc/>
    public string Path { get; }

    /// <inheritdoc/>
    public long Bytes { get; }

    /// <inheritdoc/>
    public void Write(int tensor, long byteOffset, ReadOnlySpan<byte> source) => source.CopyTo(buffers[tensor].AsSpan(checked((int)byteOffset)));

    /// <inheritdoc/>
    public void Commit() => deliver(new MemoryCheckpoint(
        name, tensors.Select((t, i) => MemoryTensor.Of<byte>(t.Name, t.DType, buffers[i], t.Shape)), metadata));

    /// <inheritdoc/>
    public void Dispose()
    {
        // Memory goes by itself.
    }
}
