using System.Runtime.InteropServices;
using Tva.Core.Checkpoints;
using Tva.Core.Tensors;

namespace Tva.Core.Bases;

/// <summary>
/// Comes in: a file whose tensors are [M, ...shape], and which of the M is meant; for int8 also the file of the scales, [M, rows].
/// Goes out: that slice as a checkpoint, its int8 elements as float32: element · scale of its row.
/// </summary>
internal sealed class StackedCheckpoint : Checkpoint
{
    private readonly Checkpoint stack;
    private readonly Checkpoint? scales;
    private readonly long part;
    private readonly List<TensorInfo> tensors = [];
    private readonly Dictionary<string, (TensorInfo Shown, TensorInfo Stored)> byName = new(StringComparer.Ordinal);
    private readonly Dictionary<string, float[]> scaleOf = new(StringComparer.Ordinal);

    /// <summary>Slices share the files, which may be closed by any of them, any number of times.</summary>
    public StackedCheckpoint(string path, Checkpoint stack, Checkpoint? scales, int part)
    {
        Path = path;
        (this.stack, this.scales, this.part) = (stack, scales, part);
        foreach (var stored in stack.Tensors)
        {
            var type = scales is null ? stored.DType : DType.F32;
            var shown = new TensorInfo(stored.Name, type, new Shape([.. stored.Shape.Dims.Skip(1)]), stored.File, stored.Offset + (part * stored.Bytes / stored.Shape.Dims[0]));
            tensors.Add(shown);
            byName.Add(stored.Name, (shown, stored));
        }
    }

    /// <inheritdoc/>
    public override string Path { get; }

    /// <inheritdoc/>
    public override IReadOnlyList<string> Files => stack.Files;

    /// <inheritdoc/>
    public override IReadOnlyList<TensorInfo> Tensors => tensors;

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, string> Metadata => stack.Metadata;

    /// <inheritdoc/>
    public override string Fingerprint => $"{stack.Fingerprint}[{part}]";

    /// <inheritdoc/>
    public override TensorInfo? Find(string name) => byName.TryGetValue(name, out var found) ? found.Shown : null;

    /// <inheritdoc/>
    public override long StoredBytes(TensorInfo tensor)
    {
        var stored = byName[tensor.Name].Stored;
        return (stored.Bytes / stored.Shape.Dims[0]) + (scales is null ? 0 : tensor.Shape.Rows * sizeof(float));
    }

    /// <inheritdoc/>
    public override void Read(TensorInfo tensor, long byteOffset, Span<byte> destination)
    {
        var stored = byName[tensor.Name].Stored;
        var start = part * tensor.Shape.Elements * stored.DType.Size();
        if (scales is null)
        {
            stack.Read(stored, start + byteOffset, destination);
            return;
        }

        // The quarter of the room that the int8 elements need is the destination's own end: they are widened from the front.
        var values = MemoryMarshal.Cast<byte, float>(destination);
        var codes = MemoryMarshal.Cast<byte, sbyte>(destination[^values.Length..]);
        var first = byteOffset / sizeof(float);
        stack.Read(stored, start + first, destination[^values.Length..]);
        var (scale, length) = (Scales(tensor), tensor.Shape.RowLength);
        for (var i = 0; i < values.Length;)
        {
            var (row, within) = Math.DivRem(first + i, length);
            var end = (int)Math.Min(values.Length, i + length - within);
            for (var s = scale[row]; i < end; i++)
            {
                values[i] = codes[i] * s;
            }
        }
    }

    /// <inheritdoc/>
    public override void Prefetch(TensorInfo tensor, long byteOffset, long bytes)
    {
        var stored = byName[tensor.Name].Stored;
        var narrow = tensor.DType.Size() / stored.DType.Size();
        stack.Prefetch(stored, (part * tensor.Shape.Elements * stored.DType.Size()) + (byteOffset / narrow), Math.Max(1, bytes / narrow));
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        stack.Dispose();
        scales?.Dispose();
    }

    private float[] Scales(TensorInfo tensor)
    {
        lock (scaleOf)
        {
            if (!scaleOf.TryGetValue(tensor.Name, out var found))
            {
                found = new float[tensor.Shape.Rows];
                var info = scales!.Find(tensor.Name)!;
                scales.Read(info, part * found.Length * sizeof(float), MemoryMarshal.AsBytes(found.AsSpan()));
                scaleOf.Add(tensor.Name, found);
            }

            return found;
        }
    }
}
