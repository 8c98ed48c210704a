using Tva.Core.Tensors;

namespace Tva.Core.Checkpoints;

/// <summary>
/// Comes in: a checkpoint. Goes out: the same with its tensors' bytes held in memory, where kernels find them without a copy.
/// Takes the other over: it is closed with it.
/// </summary>
public sealed unsafe class PinnedCheckpoint : Checkpoint
{
    // One read of a worker: enough that calls don't count, little enough that all cores have some.
    private const int Piece = 8 << 20;

    private readonly Checkpoint inner;
    private readonly Dictionary<string, long> offsets = [];
    private readonly Block block;

    private PinnedCheckpoint(Checkpoint inner)
    {
        this.inner = inner;
        long at = 0;
        foreach (var tensor in inner.Tensors)
        {
            offsets.Add(tensor.Name, at);
            at += (tensor.Bytes + Block.Alignment - 1) / Block.Alignment * Block.Alignment;
        }

        block = new Block(Math.Max(1, at));
    }

    /// <summary>Reads all tensors into memory.</summary>
    /// <param name="inner">What to hold.</param>
    /// <param name="threads">Threads to read with.</param>
    /// <param name="progress">Is told of the bytes read so far and in all.</param>
    /// <param name="cancellation">Stops it; nothing is held then, and <paramref name="inner"/> stays open.</param>
    /// <exception cref="FaultException">A file can't be read.</exception>
    public static PinnedCheckpoint Load(
        Checkpoint inner, int threads, IProgress<(long Done, long Total)>? progress = null, CancellationToken cancellation = default)
    {
        var pinned = new PinnedCheckpoint(inner);
        var total = inner.Tensors.Sum(t => t.Bytes);
        long done = 0;
        try
        {
            var pieces = inner.Tensors.SelectMany(t => Pieces(t.Bytes).Select(at => (Tensor: t, At: at)));
            Parallel.ForEach(pieces, new ParallelOptions { MaxDegreeOfParallelism = threads, CancellationToken = cancellation }, piece =>
            {
                var count = (int)Math.Min(Piece, piece.Tensor.Bytes - piece.At);
                inner.Read(piece.Tensor, piece.At, new Span<byte>(pinned.Resident(piece.Tensor) + piece.At, count));
                progress?.Report((Interlocked.Add(ref done, count), total));
            });
            return pinned;
        }
        catch (AggregateException e) when (e.InnerExceptions.OfType<FaultException>().FirstOrDefault() is { } fault)
        {
            pinned.block.Dispose();
            throw new FaultException(fault.Message, fault);
        }
        catch
        {
            pinned.block.Dispose();
            throw;
        }
    }

    /// <summary>Bytes of memory that holding a checkpoint takes.</summary>
    public static long BytesFor(Checkpoint checkpoint) =>
        checkpoint.Tensors.Sum(t => (t.Bytes + Block.Alignment - 1) / Block.Alignment * Block.Alignment);

    /// <summary>Called when the memory is given back: copies elsewhere are then nobody's.</summary>
    public event Action? Released;

    /// <summary>Bytes of memory held.</summary>
    public long Held => block.Length;

    /// <summary>What was pinned.</summary>
    public Checkpoint Inner => inner;

    /// <inheritdoc/>
    public override string Path => inner.Path;

    /// <inheritdoc/>
    public override IReadOnlyList<string> Files => inner.Files;

    /// <inheritdoc/>
    public override IReadOnlyList<TensorInfo> Tensors => inner.Tensors;

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, string> Metadata => inner.Metadata;

    /// <inheritdoc/>
    public override string Fingerprint => inner.Fingerprint;

    /// <inheritdoc/>
    public override TensorInfo? Find(string name) => inner.Find(name);

    /// <inheritdoc/>
    public override long StoredBytes(TensorInfo tensor) => inner.StoredBytes(tensor);

    /// <inheritdoc/>
    public override byte* Resident(TensorInfo tensor) => block.Pointer + offsets[tensor.Name];

    /// <inheritdoc/>
    public override void Read(TensorInfo tensor, long byteOffset, Span<byte> destination) =>
        new ReadOnlySpan<byte>(Resident(tensor) + byteOffset, destination.Length).CopyTo(destination);

    /// <inheritdoc/>
    public override void Prefetch(TensorInfo tensor, long byteOffset, long bytes)
    {
    }

    /// <summary>Gives the memory back and hands the checkpoint on, still open.</summary>
    public Checkpoint Release()
    {
        block.Dispose();
        Released?.Invoke();
        return inner;
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        block.Dispose();
        Released?.Invoke();
        inner.Dispose();
    }

    private static IEnumerable<long> Pieces(long bytes)
    {
        for (long at = 0; at < bytes; at += Piece)
        {
            yield return at;
        }
    }
}
