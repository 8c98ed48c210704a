using System.Security.Cryptography;
using Tva.Core.Tensors;

namespace Tva.Core.Checkpoints;

/// <summary>
/// Comes in: the path of a PyTorch file (<c>torch.save</c>, a zip archive since 1.6). Goes out: its value when opened, its tensors' bytes later.
/// Nothing in it is executed. Reads are positioned and safe from any thread.
/// </summary>
public sealed class PyTorchFile : IDisposable
{
    private const int MaxPickleBytes = 64 << 20;
    private const long MaxDoubles = 1 << 24;
    private const string PickleEntry = "/data.pkl";

    private readonly InputFile file;
    private readonly StoredZip? zip;
    private readonly long dataStart;
    private readonly Lazy<byte[]> content;
    private int users = 1;
    private bool disposed;

    /// <summary>Opens the archive and reads its pickle; no tensor.</summary>
    /// <param name="path">The file as messages call it.</param>
    /// <exception cref="FaultException">Not readable, not such a file, or one that holds more than plain values and tensors.</exception>
    public PyTorchFile(string path)
    {
        file = new InputFile(path, "a PyTorch or .safetensors file");
        try
        {
            if (PyTorchFormat.IsLegacy(file))
            {
                (Root, dataStart) = LegacyPickles.Read(file, MaxPickleBytes);
            }
            else
            {
                var archive = zip = new StoredZip(file);
                string root = FindRoot(archive);
                if (archive.Find(root + "/byteorder") is { } order && !archive.Read(order, 16).AsSpan().SequenceEqual("little"u8))
                {
                    throw new FaultException($"{path}: was written by a big-endian machine; load it there and save its tensors as safetensors");
                }

                var pickle = archive.Read(archive.Find(root + PickleEntry)!, MaxPickleBytes);
                Root = PickleReader.Read($"{path}: data.pkl", 0, pickle, (key, _) => archive.Find($"{root}/data/{key}"));
            }

            content = new(Hash);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>The path as given, for messages.</summary>
    public string Path => file.Path;

    /// <summary>The full path.</summary>
    public string FullPath => file.FullPath;

    /// <summary>What the file holds.</summary>
    public PickleValue Root { get; }

    /// <summary>
    /// SHA-256 over what lies around the data (pickle, directory), the length and samples of the content, as of
    /// <see cref="Checkpoint.Fingerprint"/>.
    /// </summary>
    internal ReadOnlySpan<byte> Fingerprint => content.Value;

    /// <summary>
    /// A dictionary of this file as a checkpoint: its tensors, those of dictionaries in it under names joined with '.'. Each is disposed by
    /// itself; the file closes with the last of its checkpoints and itself.
    /// </summary>
    /// <param name="value">The dictionary.</param>
    /// <param name="path">What messages call it, for instance <c>basis_vectors.pt[2]</c>.</param>
    /// <exception cref="FaultException">It is no dictionary of tensors.</exception>
    public Checkpoint OpenCheckpoint(PickleValue value, string path) => new PyTorchCheckpoint(path, [(this, value)]);

    /// <summary>
    /// Fills <paramref name="destination"/> with the tensor's elements in row-major order from <paramref name="byteOffset"/> (relative to the
    /// tensor): one positioned read where they lie so, gathered through a buffer where not.
    /// </summary>
    /// <exception cref="FaultException">The file can't be read or has become shorter.</exception>
    public void Read(PickleTensor tensor, long byteOffset, Span<byte> destination) =>
        Read(tensor, tensor.Storage.Name, byteOffset, destination);

    /// <summary>All elements of a small tensor in row-major order, booleans as 0 and 1.</summary>
    /// <exception cref="FaultException">It has more than 16 Mi elements, or the file can't be read.</exception>
    public double[] ReadDoubles(PickleTensor tensor)
    {
        if (tensor.Shape.Elements > MaxDoubles)
        {
            throw new FaultException($"{Path}: {tensor} is too large for what it is used as; at most {MaxDoubles} elements are read");
        }

        var bytes = new byte[tensor.Bytes];
        Read(tensor, 0, bytes);
        return Doubles.Of(tensor.DType, bytes);
    }

    /// <summary>Closes it, or leaves that to the last checkpoint opened from it.</summary>
    public void Dispose()
    {
        if (!Interlocked.Exchange(ref disposed, true))
        {
            Leave();
        }
    }

    /// <summary>Where a tensor's first element lies in the file.</summary>
    internal long Offset(PickleTensor tensor) =>
        (zip?.Start(tensor.Storage) ?? tensor.Storage.Start) + (tensor.Shape.Elements == 0 ? 0 : tensor.StorageOffset * tensor.DType.Size());

    /// <summary>The same as the other; messages call the tensor by name.</summary>
    internal void Read(PickleTensor tensor, string name, long byteOffset, Span<byte> destination)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(byteOffset);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(byteOffset, tensor.Bytes - destination.Length);
        long start = Offset(tensor);
        if (tensor.IsContiguous)
        {
            file.ReadTensor(destination, start + byteOffset, name);
        }
        else if (tensor.IsScattered && tensor.Bytes > StripCache.SmallBytes)
        {
            StripCache.Read(tensor, byteOffset, destination, (at, strip) => StridedReader.Read(file, name, tensor, start, at, strip));
        }
        else
        {
            StridedReader.Read(file, name, tensor, start, byteOffset, destination);
        }
    }

    internal void Prefetch(PickleTensor tensor, long byteOffset, long bytes)
    {
        if (tensor.IsContiguous)
        {
            file.Prefetch(Offset(tensor) + byteOffset, bytes);
        }
        else if (byteOffset == 0)
        {
            // Any part may need bytes from all over it.
            file.Prefetch(Offset(tensor), tensor.Extent);
        }
    }

    /// <summary>Closes the handle until the next read.</summary>
    internal void Rest() => file.Rest();

    /// <summary>One more checkpoint uses it.</summary>
    internal void Enter()
    {
        ObjectDisposedException.ThrowIf(Volatile.Read(ref users) == 0, this);
        Interlocked.Increment(ref users);
    }

    internal void Leave()
    {
        if (Interlocked.Decrement(ref users) == 0)
        {
            file.Dispose();
        }
    }

    private string FindRoot(StoredZip zip)
    {
        var roots = zip.Entries.Where(entry => entry.Name.EndsWith(PickleEntry, StringComparison.Ordinal))
            .Select(entry => entry.Name[..^PickleEntry.Length]).Where(root => !root.Contains('/')).ToArray();
        return roots.Length switch
        {
            1 => roots[0],
            0 => throw new FaultException($"{Path}: is a zip archive without FOLDER{PickleEntry}, so not of torch.save; "
                + $"it has {Quoted.List([.. zip.Entries.Take(11).Select(entry => entry.Name)])}"),
            _ => throw new FaultException($"{Path}: holds several PyTorch files, in {Quoted.List(roots)}; unpack it and pack each by itself"),
        };
    }

    private byte[] Hash()
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        if (zip is null)
        {
            var pickles = new byte[dataStart];
            file.Read(pickles, 0, "it for its fingerprint");
            hash.AppendData(pickles);
            file.AppendSamples(hash, dataStart);
            return hash.GetHashAndReset();
        }

        var head = zip.Read(zip.Find(FindRoot(zip) + PickleEntry)!, MaxPickleBytes);
        hash.AppendData(head);
        var directory = new byte[file.Length - zip.DirectoryStart];
        file.Read(directory, zip.DirectoryStart, "the archive's directory");
        hash.AppendData(directory);
        file.AppendSamples(hash, 0);
        return hash.GetHashAndReset();
    }
}
