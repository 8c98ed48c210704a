using System.Collections.Concurrent;
using Tva.Core.Tensors;

namespace Tva.Core.Checkpoints;

/// <summary>
/// Comes in: the bytes of tensors computed anew. Goes out: where those of an output differ. Of a large output a sample of the tensors is
/// asked for, the same one every time.
/// </summary>
public sealed class ComparingWriter : ICheckpointWriter
{
    private readonly Checkpoint there;
    private readonly TensorInfo[] tensors;
    private readonly bool[] wanted;
    private readonly ConcurrentDictionary<string, long> differences = new(StringComparer.Ordinal);
    private long compared;

    /// <param name="name">What the output is called.</param>
    /// <param name="tensors">The tensors that come.</param>
    /// <param name="there">What they are compared with.</param>
    /// <param name="sample">Bytes that are enough to look at; at least one tensor of each of eight parts of the list.</param>
    /// <exception cref="FaultException">The tensors are others.</exception>
    public ComparingWriter(string name, IReadOnlyList<(string Name, DType DType, Shape Shape)> tensors, Checkpoint there, long sample)
    {
        ArgumentNullException.ThrowIfNull(tensors);
        ArgumentNullException.ThrowIfNull(there);
        (Path, this.there) = (name, there);
        var wrong = tensors.Where(t => there.Find(t.Name) is not { } info || info.DType != t.DType || !info.Shape.Equals(t.Shape)).Select(t => t.Name).ToArray();
        var extra = there.Tensors.Select(t => t.Name).Except(tensors.Select(t => t.Name), StringComparer.Ordinal).ToArray();
        if (wrong.Length + extra.Length > 0)
        {
            throw new FaultException($"{there.Path}: its expression gives other tensors than it has: {Quoted.List([.. wrong, .. extra])}");
        }

        this.tensors = [.. tensors.Select(t => there.Find(t.Name)!)];
        Bytes = this.tensors.Sum(t => t.Bytes);
        wanted = new bool[tensors.Count];
        long taken = 0;

        // Spread over the list: every stride-th, then those between, until there is enough.
        var stride = Math.Max(1, tensors.Count / 8);
        for (var first = 0; first < stride && (first == 0 || taken < sample); first++)
        {
            for (var i = first; i < wanted.Length; i += stride)
            {
                wanted[i] = true;
                taken += this.tensors[i].Bytes;
            }
        }
    }

    /// <inheritdoc/>
    public string Path { get; }

    /// <inheritdoc/>
    public long Bytes { get; }

    /// <summary>Tensors that are compared.</summary>
    public int Sampled => wanted.Count(w => w);

    /// <summary>Bytes compared so far.</summary>
    public long Compared => Interlocked.Read(ref compared);

    /// <summary>Tensors that differ, each with the first byte where it does, by the blocks' order.</summary>
    public IReadOnlyList<(string Tensor, long Byte)> Differences => [.. differences.OrderBy(d => d.Key, StringComparer.Ordinal).Select(d => (d.Key, d.Value))];

    /// <inheritdoc/>
    public bool Has(int tensor) => !wanted[tensor];

    /// <inheritdoc/>
    public void Write(int tensor, long byteOffset, ReadOnlySpan<byte> source)
    {
        if (!wanted[tensor])
        {
            return;
        }

        var info = tensors[tensor];
        var other = new byte[source.Length];
        there.Read(info, byteOffset, other);
        Interlocked.Add(ref compared, source.Length);
        var same = source.CommonPrefixLength(other);
        if (same < source.Length)
        {
            differences.AddOrUpdate(info.Name, byteOffset + same, (_, first) => Math.Min(first, byteOffset + same));
        }
    }

    /// <inheritdoc/>
    public void Commit()
    {
    }

    /// <inheritdoc/>
    public void Dispose()
    {
    }
}
