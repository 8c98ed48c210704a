using Tva.Core.Tensors;

namespace Tva.Core.Checkpoints;

/// <summary>
/// A checkpoint on disk seen as one list of named tensors: a safetensors, PyTorch or GGUF file, a folder of them, or an index with
/// its shards.
/// Opening reads headers only. Reads are positioned and safe from any thread.
/// </summary>
public abstract class Checkpoint : IDisposable
{
    /// <summary>
    /// Opens a <c>.safetensors</c> file, a PyTorch file (<c>.pt</c>, <c>.pth</c>, <c>.bin</c>), a <c>.gguf</c> file with all that its model was
    /// split into, an <c>.index.json</c> with its shards, or a folder: its safetensors index's shards, else all its safetensors files, else its
    /// PyTorch index's shards, else its <c>pytorch_model.bin</c> or one PyTorch file, else its one GGUF model. Reads and checks every header; no
    /// tensor.
    /// </summary>
    /// <exception cref="FaultException">Nothing there, not readable, or not what the format allows.</exception>
    public static Checkpoint Open(string path) => CheckpointFinder.Open(path);

    /// <summary>
    /// Whether two paths lead to one file, through links or other spellings; they need not exist. For refusing to save over
    /// an input.
    /// </summary>
    public static bool IsSameFile(string a, string b)
    {
        // A name in memory may have any characters, and is no file.
        if (a.Contains('\0', StringComparison.Ordinal) || b.Contains('\0', StringComparison.Ordinal))
        {
            return false;
        }

        var (x, y) = (Native.Identity(a), Native.Identity(b));
        if (x is not null && y is not null)
        {
            return x == y;
        }

        return string.Equals(RealPath.Of(a), RealPath.Of(b),
            OperatingSystem.IsLinux() ? StringComparison.Ordinal : StringComparison.OrdinalIgnoreCase);
    }

    /// <summary>The path as the user gave it, for messages.</summary>
    public abstract string Path { get; }

    /// <summary>Full paths of the files behind it.</summary>
    public abstract IReadOnlyList<string> Files { get; }

    /// <summary>
    /// All tensors: wide elements first, then by name (ordinal), as the format's own writer lays them out. The order of files and
    /// of bytes in them does not show, so nothing computed over tensors in order depends on how a checkpoint is sharded.
    /// </summary>
    public abstract IReadOnlyList<TensorInfo> Tensors { get; }

    /// <summary>The headers' metadata; where shards disagree the first one's.</summary>
    public abstract IReadOnlyDictionary<string, string> Metadata { get; }

    /// <summary>The metadata to show: with what is too long to keep by its beginning.</summary>
    public virtual IReadOnlyDictionary<string, string> Described => Metadata;

    /// <summary>What else a user should know of the file, a sentence each: what was left out of it, how its names differ.</summary>
    public virtual IReadOnlyList<string> Notes => [];

    /// <summary>The tensor of that name, or null.</summary>
    public abstract TensorInfo? Find(string name);

    /// <summary>
    /// SHA-256 over each file's header, length and evenly spaced samples of its content: cheap for any size, equal for equal
    /// files wherever they lie. Computed once.
    /// </summary>
    public abstract string Fingerprint { get; }

    /// <summary>Fills <paramref name="destination"/> with the tensor's bytes from <paramref name="byteOffset"/> (relative to the tensor).</summary>
    /// <exception cref="FaultException">The file can't be read or has become shorter.</exception>
    public abstract void Read(TensorInfo tensor, long byteOffset, Span<byte> destination);

    /// <summary>Bytes that a tensor takes in its file: fewer than what is read of it where it is kept in a narrower form.</summary>
    public virtual long StoredBytes(TensorInfo tensor) => tensor.Bytes;

    /// <summary>How the tensor is kept in its file, for instance <c>Q4_K</c>: its <see cref="TensorInfo.DType"/> where nothing is changed on reading.</summary>
    public virtual string StoredType(TensorInfo tensor) => tensor.DType.Name();

    /// <summary>What the tensor is called in its file, where it is shown under another name; for messages.</summary>
    public virtual string StoredName(TensorInfo tensor) => tensor.Name;

    /// <summary>Where the tensor's bytes lie in memory, as long as the checkpoint lives; null where they are read from a file.</summary>
    public virtual unsafe byte* Resident(TensorInfo tensor) => null;

    /// <summary>Tells the system that these bytes will be read soon. Never fails; does nothing where there is no such call.</summary>
    public abstract void Prefetch(TensorInfo tensor, long byteOffset, long bytes);

    /// <inheritdoc/>
    public abstract void Dispose();

    /// <summary>How <see cref="Tensors"/> are ordered.</summary>
    protected static int Order(TensorInfo a, TensorInfo b) =>
        a.DType.Size() != b.DType.Size() ? b.DType.Size().CompareTo(a.DType.Size()) : string.CompareOrdinal(a.Name, b.Name);
}
