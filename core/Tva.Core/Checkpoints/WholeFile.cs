namespace Tva.Core.Checkpoints;

/// <summary>
/// Comes in: the bytes of a small file. Goes out: that file, whole or not there: written beside its name, flushed, then renamed, as checkpoints are.
/// </summary>
public static class WholeFile
{
    /// <summary>Writes a file, over one that is there; folders on the way are made.</summary>
    /// <exception cref="FaultException">The path is a folder or no plain file, another run writes it, or the disk won't take it.</exception>
    public static void Write(string path, ReadOnlySpan<byte> content)
    {
        ArgumentNullException.ThrowIfNull(path);
        var target = PartialFile.Target(path);
        var partial = target + ".partial";
        var file = PartialFile.Open(path, partial, target);
        var done = false;
        try
        {
            RandomAccess.Write(file, content, 0);
            Native.Flush(file);

            // Renamed while still locked, so that no other run can take the partial file in between; Windows wants it closed.
            if (OperatingSystem.IsWindows())
            {
                file.Dispose();
            }

            File.Move(partial, target, overwrite: true);
            done = true;
        }
        catch (Exception e) when (FileFaults.Handles(e))
        {
            throw FileFaults.Writing(path, "can't be written", e);
        }
        finally
        {
            if (done)
            {
                file.Dispose();
            }
            else
            {
                PartialFile.Discard(file, partial);
            }
        }

        Native.SyncFolder(Path.GetDirectoryName(target)!);
    }
}
