namespace Tva.Core.Checkpoints;

/// <summary>
/// Comes in: the folders that a host lets texts read and write. Goes out: where a path leads outside of them, every link and <c>..</c> on
/// the way followed. What may be written may be read.
/// </summary>
public sealed class AllowedFolders
{
    private readonly string[] write;
    private readonly string[] read;

    /// <param name="read">Folders to read from, with all below.</param>
    /// <param name="write">Folders to write to, with all below.</param>
    public AllowedFolders(IEnumerable<string> read, IEnumerable<string> write)
    {
        ArgumentNullException.ThrowIfNull(read);
        ArgumentNullException.ThrowIfNull(write);
        this.write = [.. write.Select(RealPath.Of)];
        this.read = [.. read.Select(RealPath.Of), .. this.write];
    }

    /// <summary>Folders to read from, as they really lie.</summary>
    public IReadOnlyList<string> Read => read;

    /// <summary>Folders to write to, as they really lie.</summary>
    public IReadOnlyList<string> Write => write;

    /// <summary>Whether a folder may be looked into; what its entries lead to is another question.</summary>
    public bool MayEnter(string path) => IsIn(RealPath.Of(path), read);

    /// <summary>What reading a checkpoint, a script or a folder would touch outside, or null: the path itself, an entry of the folder, a description beside the file.</summary>
    public string? OutsideOfRead(string path) => Outside(path, read);

    /// <summary>
    /// The file of an opened checkpoint that lies outside, or null: an index, or a model in parts, may lead to more than the path told.
    /// </summary>
    public string? OutsideOfRead(Checkpoint checkpoint)
    {
        ArgumentNullException.ThrowIfNull(checkpoint);
        return checkpoint.Files.Select(RealPath.Of).FirstOrDefault(file => !IsIn(file, read));
    }

    /// <summary>What writing a file or a folder there would touch outside, or null.</summary>
    public string? OutsideOfWrite(string path) => Outside(path, write);

    private static bool IsIn(string real, string[] folders) =>
        folders.Any(f => string.Equals(real, f, StringComparison.Ordinal) || RealPath.IsIn(real, f));

    private static string? Outside(string path, string[] folders)
    {
        var real = RealPath.Of(path);
        if (!IsIn(real, folders))
        {
            return real;
        }

        // A checkpoint is opened with its shards, configurations and index: a link among them may lead anywhere.
        try
        {
            var beside = Directory.Exists(real) ? Directory.EnumerateFileSystemEntries(real)
                : Path.GetDirectoryName(real) is { } folder && Directory.Exists(folder) ? Directory.EnumerateFiles(folder, "*.json") : [];
            return beside.Select(RealPath.Of).FirstOrDefault(entry => !IsIn(entry, folders));
        }
        catch (Exception e) when (FileFaults.Handles(e))
        {
            return null; // whoever opens it will say why that can't be done
        }
    }
}
