using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using Tva.Core.Tensors;

namespace Tva.Core.Checkpoints;

/// <summary>
/// Comes in: tensors in the host's memory. Goes out: those tensors as a checkpoint. It reads them where they are, holds nothing of its own
/// and may be used by many runs at once; disposing of it does nothing.
/// </summary>
public sealed class MemoryCheckpoint : Checkpoint
{
    /// <summary>What its path begins with, in texts and in messages.</summary>
    public const string Scheme = "memory:";

    private const int HashChunk = 1 << 20;

    private readonly Dictionary<string, (TensorInfo Info, MemoryTensor Tensor)> byName = new(StringComparer.Ordinal);
    private readonly List<TensorInfo> tensors = [];
    private readonly Lazy<string> fingerprint;

    /// <param name="name">What texts and messages call it, without <see cref="Scheme"/>.</param>
    /// <param name="tensors">Its tensors, each name once.</param>
    /// <param name="metadata">As in a file's header: <c>tva.kind</c> = <c>delta</c> says that it is a task vector and no model.</param>
    /// <exception cref="ArgumentException">A name stands twice.</exception>
    public MemoryCheckpoint(string name, IEnumerable<MemoryTensor> tensors, IReadOnlyDictionary<string, string>? metadata = null)
    {
        ArgumentNullException.ThrowIfNull(name);
        ArgumentNullException.ThrowIfNull(tensors);
        (Name, Metadata) = (name, metadata ?? new Dictionary<string, string>());
        foreach (var tensor in tensors)
        {
            var info = new TensorInfo(tensor.Name, tensor.DType, tensor.Shape, 0, 0);
            if (!byName.TryAdd(tensor.Name, (info, tensor)))
            {
                throw new ArgumentException($"{name}: tensor {Quoted.Name(tensor.Name)} is there twice", nameof(tensors));
            }

            this.tensors.Add(info);
        }

        this.tensors.Sort(Order);
        fingerprint = new(Hash);
    }

    /// <summary>What texts call it.</summary>
    public string Name { get; }

    /// <inheritdoc/>
    public override string Path => Scheme + Name;

    /// <summary>None: nothing of it is on a disk.</summary>
    public override IReadOnlyList<string> Files => [];

    /// <inheritdoc/>
    public override IReadOnlyList<TensorInfo> Tensors => tensors;

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, string> Metadata { get; }

    /// <summary>SHA-256 over names, types, shapes and every byte, as they were when it was first asked for.</summary>
    public override string Fingerprint => fingerprint.Value;

    /// <summary>The same tensors under another name.</summary>
    public MemoryCheckpoint Named(string name) => new(name, byName.Values.Select(t => t.Tensor), Metadata);

    /// <inheritdoc/>
    public override TensorInfo? Find(string name) => byName.TryGetValue(name, out var found) ? found.Info : null;

    /// <summary>A tensor's elements, copied.</summary>
    /// <typeparam name="T">As wide as the stored type: float for F32, ushort or bytes for BF16.</typeparam>
    /// <exception cref="KeyNotFoundException">There is no tensor of that name.</exception>
    /// <exception cref="ArgumentException">The type's width is neither 1 nor that of the stored type.</exception>
    public unsafe T[] ToArray<T>(string tensor)
        where T : unmanaged
    {
        var info = Find(tensor) ?? throw new KeyNotFoundException($"{Path} has no tensor {Quoted.Name(tensor)}");
        if (sizeof(T) != 1 && sizeof(T) != info.DType.Size())
        {
            throw new ArgumentException($"{Quoted.Name(tensor)} is {info.DType.Name()}, and {typeof(T).Name} has {sizeof(T)} bytes");
        }

        var elements = new T[checked((int)(info.Bytes / sizeof(T)))];
        for (long at = 0; at < info.Bytes; at += HashChunk)
        {
            // In pieces, since the bytes of an array of numbers may be more than a span can count.
            int first = (int)(at / sizeof(T)), count = (int)Math.Min(HashChunk / sizeof(T), elements.Length - first);
            Read(info, at, MemoryMarshal.AsBytes(elements.AsSpan(first, count)));
        }

        return elements;
    }

    /// <inheritdoc/>
    public override void Read(TensorInfo tensor, long byteOffset, Span<byte> destination) => byName[tensor.Name].Tensor.CopyTo(byteOffset, destination);

    /// <inheritdoc/>
    public override void Prefetch(TensorInfo tensor, long byteOffset, long bytes)
    {
        // It is there.
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        // The host's memory is the host's.
    }

    private string Hash()
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var chunk = new byte[HashChunk];
        foreach (var tensor in tensors)
        {
            hash.AppendData(Encoding.UTF8.GetBytes($"{tensor.Name}\t{tensor.DType.Name()}\t{tensor.Shape}\n"));
            for (long at = 0; at < tensor.Bytes; at += HashChunk)
            {
                var piece = chunk.AsSpan(0, (int)Math.Min(HashChunk, tensor.Bytes - at));
                Read(tensor, at, piece);
                hash.AppendData(piece);
            }
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
