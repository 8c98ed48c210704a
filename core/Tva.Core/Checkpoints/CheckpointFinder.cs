namespace Tva.Core.Checkpoints;

/// <summary>Comes in: what a user calls a checkpoint. Goes out: it opened, or a fault that says what is there instead.</summary>
internal static class CheckpointFinder
{
    public const string Extension = ".safetensors";
    private const string IndexExtension = ".index.json";

    public static Checkpoint Open(string path)
    {
        if (string.IsNullOrWhiteSpace(path) || path.Contains('\0'))
        {
            throw new FaultException($"{Quoted.Name(path)} is not a path; name a {Extension}, PyTorch or GGUF file, or a folder of them");
        }

        if (Broken(path) is { } link)
        {
            throw new FaultException($"{path}: is a link to {link}, which doesn't exist; restore that file or mend the link");
        }

        if (File.Exists(path))
        {
            return Is(path, IndexExtension) ? ShardIndex.Open(path, path)
                : GgufFormat.HasExtension(path) ? GgufCheckpoint.Open(path, path)
                : PyTorchFormat.HasExtension(path) ? PyTorchCheckpoint.Open(path, [path])
                : Is(path, Extension) ? new SafetensorsCheckpoint(path, [new SafetensorsFile(path, 0)])
                : OpenByContent(path);
        }

        return Directory.Exists(path) ? OpenFolder(path) : throw MissingPath.Fault(path);
    }

    // The names of the Hugging Face cache's blobs tell nothing.
    private static Checkpoint OpenByContent(string path)
    {
        var start = new byte[512];
        using (var file = new InputFile(path, $"a {Extension} file"))
        {
            start = start[..file.Fill(start, 0, "its start")];
        }

        return start.AsSpan().StartsWith("GGUF"u8) ? GgufCheckpoint.Open(path, path)
            : PyTorchFormat.Begins(start) ? PyTorchCheckpoint.Open(path, [path])
            : new SafetensorsCheckpoint(path, [new SafetensorsFile(path, 0)]);
    }

    // Where a folder has several formats, they are the same model: safetensors is what other tools take, GGUF has mostly lost precision.
    private static Checkpoint OpenFolder(string path)
    {
        var names = List(path, path);
        var files = names.Where(name => Is(name, Extension)).ToArray();
        if (Index(path, names.Where(name => Is(name, Extension + IndexExtension)).ToArray()) is { } index)
        {
            return ShardIndex.Open(path, index, files.FirstOrDefault(name => name == "model" + Extension));
        }

        if (files.Length > 0)
        {
            return new SafetensorsCheckpoint(path, [.. files.Select((name, i) => new SafetensorsFile(Path.Combine(path, name), i))]);
        }

        files = names.Where(PyTorchFormat.HasExtension).ToArray();
        var customary = files.FirstOrDefault(name => name == "pytorch_model.bin");
        if (Index(path, names.Where(name => PyTorchFormat.Extensions.Any(e => Is(name, e + IndexExtension))).ToArray()) is { } old)
        {
            return ShardIndex.Open(path, old, customary);
        }

        if (customary is not null || files.Length == 1)
        {
            return PyTorchCheckpoint.Open(path, [Path.Combine(path, customary ?? files[0])]);
        }

        if (files.Length > 0)
        {
            throw new FaultException($"{path}: has several PyTorch files and no index: {Quoted.List(files)}; name the one you mean");
        }

        files = names.Where(GgufFormat.HasExtension).ToArray();
        if (files.Length == 0)
        {
            throw new FaultException($"{path}: this folder has no {Extension}, no PyTorch file ({string.Join(", ", PyTorchFormat.Extensions)}) and no "
                + $"{GgufFormat.Extension}; " + (names.Length == 0 ? "it is empty" : $"it has {Quoted.List(names)}"));
        }

        var parts = GgufFormat.Parts(Path.Combine(path, files[0]));
        return files.All(name => parts.Contains(Path.Combine(path, name)))
            ? GgufCheckpoint.Open(path, parts[0])
            : throw new FaultException($"{path}: has several GGUF models: {Quoted.List(files)}; name the one you mean");
    }

    private static string? Index(string path, string[] indexes) => indexes.Length switch
    {
        0 => null,
        1 => Path.Combine(path, indexes[0]),
        _ => throw new FaultException($"{path}: has several indexes: {Quoted.List(indexes)}; name the one you mean"),
    };

    public static bool Is(string path, string extension) => path.EndsWith(extension, StringComparison.OrdinalIgnoreCase);

    /// <summary>Whether a file is there. <see cref="File.Exists"/> alone says yes to a link that leads nowhere.</summary>
    public static bool Exists(string path) => File.Exists(path) && File.Exists(RealPath.Of(path));

    private static string? Broken(string path) =>
        new FileInfo(Path.TrimEndingDirectorySeparator(path)).LinkTarget is { } link
        && RealPath.Of(path) is var real && !File.Exists(real) && !Directory.Exists(real) ? link : null;

    /// <summary>What is in a folder, in order.</summary>
    /// <exception cref="FaultException">It can't be listed; names the path that was asked for.</exception>
    public static string[] List(string path, string folder)
    {
        try
        {
            var names = Directory.EnumerateFileSystemEntries(folder).Select(entry => Path.GetFileName(entry)).ToArray();
            Array.Sort(names, StringComparer.Ordinal);
            return names;
        }
        catch (Exception e) when (FileFaults.Handles(e))
        {
            throw FileFaults.Reading(path, $"can't list the folder {folder}", e);
        }
    }
}
