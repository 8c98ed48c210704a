using System.Security.Cryptography;
using System.Runtime.InteropServices;
using System.Text;
using Tva.Core.Checkpoints;
using Tva.Core.Kernels;
using Tva.Core.Tensors;

namespace Tva.Core.Vocabulary;

/// <summary>
/// Comes in: a checkpoint, a base and which row of one is which of the other. Goes out: the checkpoint with the base's rows: of its own where it
/// has the token, else the base's. Closes neither.
/// </summary>
internal sealed unsafe class RowsCheckpoint : Checkpoint
{
    private readonly Checkpoint origin;
    private readonly Checkpoint other;
    private readonly VocabularyMap map;
    private readonly bool isZeroElsewhere;
    private readonly List<TensorInfo> tensors = [];
    private readonly Dictionary<string, Mapped> mapped = new(StringComparer.Ordinal);
    private readonly Lazy<string> fingerprint;

    public RowsCheckpoint(Checkpoint origin, Checkpoint other, VocabularyMap map, bool isZeroElsewhere)
    {
        (this.origin, this.other, this.map, this.isZeroElsewhere) = (origin, other, map, isZeroElsewhere);
        var names = map.Tensors.ToHashSet(StringComparer.Ordinal);
        foreach (var tensor in other.Tensors)
        {
            if (!names.Contains(tensor.Name))
            {
                tensors.Add(tensor);
                continue;
            }

            var own = origin.Find(tensor.Name)!;
            // Rows of two types meet in one that holds both exactly.
            var type = own.DType == tensor.DType || isZeroElsewhere ? tensor.DType
                : own.DType == DType.F64 || tensor.DType == DType.F64 ? DType.F64 : DType.F32;
            var shown = new TensorInfo(tensor.Name, type, own.Shape, tensor.File, tensor.Offset);
            tensors.Add(shown);
            mapped.Add(tensor.Name, new Mapped(shown, tensor, own));
        }

        tensors.Sort(Order);
        fingerprint = new(() => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(
            $"rows {other.Fingerprint} {origin.Fingerprint} {isZeroElsewhere} {string.Join(' ', map.Rows)}"))));
    }

    /// <inheritdoc/>
    public override string Path => other.Path;

    /// <inheritdoc/>
    public override IReadOnlyList<string> Files => other.Files;

    /// <inheritdoc/>
    public override IReadOnlyList<TensorInfo> Tensors => tensors;

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, string> Metadata => other.Metadata;

    /// <inheritdoc/>
    public override string Fingerprint => fingerprint.Value;

    /// <inheritdoc/>
    public override TensorInfo? Find(string name) => mapped.TryGetValue(name, out var m) ? m.Shown : other.Find(name);

    /// <inheritdoc/>
    public override string StoredName(TensorInfo tensor) => other.StoredName(Stored(tensor));

    /// <inheritdoc/>
    public override long StoredBytes(TensorInfo tensor)
    {
        if (!mapped.TryGetValue(tensor.Name, out var m))
        {
            return other.StoredBytes(tensor);
        }

        long rows = m.Shown.Shape.Dims[0], own = map.Rows.Take((int)rows).Count(row => row >= 0);
        return m.Width * ((own * m.Stored.DType.Size()) + (isZeroElsewhere ? 0 : (rows - own) * m.Base.DType.Size()));
    }

    /// <inheritdoc/>
    public override void Read(TensorInfo tensor, long byteOffset, Span<byte> destination)
    {
        if (!mapped.TryGetValue(tensor.Name, out var m))
        {
            other.Read(tensor, byteOffset, destination);
            return;
        }

        var size = m.Shown.DType.Size();
        var (at, end) = (byteOffset / size, (byteOffset + destination.Length) / size);
        while (at < end)
        {
            var (row, within) = Math.DivRem(at, m.Width);
            var from = map.Rows[(int)row];
            // Rows that follow each other in the file as well are read at once.
            var last = row;
            while ((last + 1) * m.Width < end && map.Rows[(int)last + 1] == (from < 0 ? -1 : from + (int)(last + 1 - row)))
            {
                last++;
            }

            var count = Math.Min(end, (last + 1) * m.Width) - at;
            var part = destination.Slice((int)((at * size) - byteOffset), (int)(count * size));
            if (from >= 0)
            {
                Fill(other, m.Stored, (from * m.Width) + within, m.Shown.DType, part);
            }
            else if (isZeroElsewhere)
            {
                part.Clear();
            }
            else
            {
                Fill(origin, m.Base, at, m.Shown.DType, part);
            }

            at += count;
        }
    }

    /// <inheritdoc/>
    public override void Prefetch(TensorInfo tensor, long byteOffset, long bytes)
    {
        // Where rows are scattered a hint would be one for each.
        if (!mapped.ContainsKey(tensor.Name))
        {
            other.Prefetch(tensor, byteOffset, bytes);
        }
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        // Others opened what it shows.
    }

    private static void Fill(Checkpoint source, TensorInfo tensor, long element, DType shown, Span<byte> destination)
    {
        var size = tensor.DType.Size();
        if (tensor.DType == shown)
        {
            source.Read(tensor, element * size, destination);
            return;
        }

        // The narrow elements lie at the destination's own end and are widened from the front.
        var count = destination.Length / shown.Size();
        var narrow = destination[^(count * size)..];
        source.Read(tensor, element * size, narrow);
        fixed (byte* from = narrow)
        {
            for (var i = 0; i < count; i++)
            {
                var value = ScalarConversion.Load(tensor.DType, from, i);
                if (shown == DType.F64)
                {
                    MemoryMarshal.Cast<byte, double>(destination)[i] = value;
                }
                else
                {
                    MemoryMarshal.Cast<byte, float>(destination)[i] = value;
                }
            }
        }
    }

    private TensorInfo Stored(TensorInfo tensor) => mapped.TryGetValue(tensor.Name, out var m) ? m.Stored : tensor;

    /// <param name="Shown">As it is listed: the base's shape.</param>
    /// <param name="Stored">The checkpoint's own.</param>
    /// <param name="Base">The base's.</param>
    private sealed record Mapped(TensorInfo Shown, TensorInfo Stored, TensorInfo Base)
    {
        /// <summary>Elements of a row.</summary>
        public long Width { get; } = Math.Max(1, Shown.Shape.Sides.Columns);
    }
}
