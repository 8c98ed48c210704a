using System.Security.Cryptography;
using System.Text;
using Tva.Core.Tensors;

namespace Tva.Core.Checkpoints;

/// <summary>Comes in: a dictionary of tensors in one PyTorch file, or one in each of several. Goes out: a checkpoint over all of them.</summary>
internal sealed class PyTorchCheckpoint : Checkpoint
{
    private readonly PyTorchFile[] files;
    private readonly List<TensorInfo> tensors = [];
    private readonly Dictionary<string, Held> byName = [];
    private readonly Lazy<string> fingerprint;
    private string[] notes = [];
    private bool disposed;

    /// <summary>Shares the files with whoever else uses them; leaves them at once where the dictionaries don't fit.</summary>
    public PyTorchCheckpoint(string path, IReadOnlyList<(PyTorchFile File, PickleValue Value)> parts)
    {
        Path = path;
        files = [.. parts.Select(part => part.File)];
        Files = [.. files.Select(file => file.FullPath)];
        fingerprint = new(Hash);
        for (int i = 0; i < files.Length; i++)
        {
            foreach (var (name, tensor) in StateDict.Tensors(parts.Count == 1 ? path : files[i].Path, parts[i].Value))
            {
                var info = new TensorInfo(name, tensor.DType, tensor.Shape, i, files[i].Offset(tensor));
                if (!byName.TryAdd(name, new Held(info, tensor)))
                {
                    int other = byName[name].Info.File;
                    throw new FaultException(other == i
                        ? $"{files[i].Path}: has two tensors called {Quoted.Name(name)}: the keys of its dictionaries and lists are joined with '.'; rename one"
                        : $"{path}: tensor {Quoted.Name(name)} is both in {files[other].Path} and in {files[i].Path}; "
                            + "are these two models? name the one file you mean, or take them as task vectors: family(\"FOLDER/*\", base)");
                }

                tensors.Add(info);
            }
        }

        tensors.Sort(Order);
        foreach (var file in files)
        {
            file.Enter();
        }
    }

    /// <inheritdoc/>
    public override string Path { get; }

    /// <inheritdoc/>
    public override IReadOnlyList<string> Files { get; }

    /// <inheritdoc/>
    public override IReadOnlyList<TensorInfo> Tensors => tensors;

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, string> Metadata { get; } = new Dictionary<string, string>();

    /// <inheritdoc/>
    public override IReadOnlyList<string> Notes => notes;

    /// <inheritdoc/>
    public override string Fingerprint => fingerprint.Value;

    /// <summary>Opens the state dicts of whole files, which it takes over, and lets them rest.</summary>
    public static PyTorchCheckpoint Open(string path, IReadOnlyList<string> names)
    {
        var files = new List<PyTorchFile>();
        try
        {
            foreach (var name in names)
            {
                files.Add(new PyTorchFile(name));
            }

            var found = files.Select(file => (File: file, Part: StateDict.Find(file.Path, file.Root))).ToArray();
            var checkpoint = new PyTorchCheckpoint(path, [.. found.Select(f => (f.File, f.Part.Value))])
            {
                notes = [.. found.SelectMany(f => f.Part.Notes.Select(note => found.Length == 1 ? note : $"{System.IO.Path.GetFileName(f.File.Path)} {note}"))],
            };
            files.ForEach(file => file.Rest());
            return checkpoint;
        }
        finally
        {
            files.ForEach(file => file.Dispose());
        }
    }

    /// <inheritdoc/>
    public override TensorInfo? Find(string name) => byName.GetValueOrDefault(name)?.Info;

    /// <inheritdoc/>
    public override void Read(TensorInfo tensor, long byteOffset, Span<byte> destination) =>
        files[tensor.File].Read(byName[tensor.Name].Tensor, tensor.Name, byteOffset, destination);

    /// <inheritdoc/>
    public override void Prefetch(TensorInfo tensor, long byteOffset, long bytes) =>
        files[tensor.File].Prefetch(byName[tensor.Name].Tensor, byteOffset, bytes);

    /// <inheritdoc/>
    public override void Dispose()
    {
        if (!Interlocked.Exchange(ref disposed, true))
        {
            foreach (var file in files)
            {
                file.Leave();
            }
        }
    }

    // Which dictionary of a file it is counts too: the items of a list share all else.
    private string Hash()
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var file in files)
        {
            hash.AppendData(file.Fingerprint);
        }

        foreach (var tensor in tensors)
        {
            hash.AppendData(Encoding.UTF8.GetBytes($"{tensor.Name}\n{tensor.DType}{tensor.Shape}{tensor.File}@{tensor.Offset}\n"));
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    private sealed record Held(TensorInfo Info, PickleTensor Tensor);
}
