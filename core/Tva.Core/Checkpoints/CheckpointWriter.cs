using Microsoft.Win32.SafeHandles;
using Tva.Core.Tensors;

namespace Tva.Core.Checkpoints;

/// <summary>
/// Comes in: a path, the tensors' shapes, then their bytes in any order. Goes out: a safetensors file, complete or not at all:
/// it grows as <c>PATH.partial</c> and takes its name only when every byte is on the disk.
/// </summary>
public sealed class CheckpointWriter : ICheckpointWriter
{
    // Large enough that the disk sees long runs, small enough that it never idles behind the processor.
    private const long WriteBackBytes = 32 << 20;

    private readonly object gate = new();
    private readonly IReadOnlyList<(string Name, DType DType, Shape Shape)> tensors;
    private readonly long[] offsets;
    private readonly string target;
    private readonly string partial;
    private readonly int headerBytes;
    private readonly SafeFileHandle file;
    private long written;
    private long dirty;
    private long dirtyStart = long.MaxValue;
    private long dirtyEnd;
    private bool done;

    /// <summary>
    /// Creates the partial file with its header, at its full length (sparse). Tensors lie in the order given. A missing folder is
    /// created; a link is followed to the file that it names; a partial file of a run that died is replaced.
    /// </summary>
    /// <exception cref="FaultException">The path can't be written, another run writes it, or the disk hasn't enough room.</exception>
    public CheckpointWriter(
        string path, IReadOnlyList<(string Name, DType DType, Shape Shape)> tensors, IReadOnlyDictionary<string, string> metadata)
    {
        Path = path;
        this.tensors = tensors;
        (var prefix, offsets, Bytes) = HeaderText.Render(tensors, metadata);
        headerBytes = prefix.Length;
        if (headerBytes - 8 > HeaderText.MaxBytes)
        {
            throw new FaultException($"{path}: its header would take {Sizes.Text(headerBytes - 8)}, and readers of the format refuse "
                + $"more than {HeaderText.MaxBytes} bytes; shorten the metadata or save the tensors in several files");
        }

        target = PartialFile.Target(path);
        partial = target + ".partial";
        file = PartialFile.Open(path, partial);
        try
        {
            PartialFile.RequireSpace(path, target, Bytes);
            RandomAccess.SetLength(file, Bytes);
            RandomAccess.Write(file, prefix, 0);
        }
        catch (Exception e)
        {
            Dispose();
            if (FileFaults.Handles(e))
            {
                throw FileFaults.Writing(path, "can't start the file", e);
            }

            throw;
        }
    }

    /// <summary>The final path as the user gave it.</summary>
    public string Path { get; }

    /// <summary>Size of the whole file.</summary>
    public long Bytes { get; }

    /// <summary>Writes bytes of a tensor from <paramref name="byteOffset"/> (relative to the tensor). Safe from any thread.</summary>
    /// <exception cref="FaultException">The disk is full, failing or forbidden.</exception>
    public void Write(int tensor, long byteOffset, ReadOnlySpan<byte> source)
    {
        var (name, dtype, shape) = tensors[tensor];
        ArgumentOutOfRangeException.ThrowIfNegative(byteOffset);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(byteOffset, (shape.Elements * dtype.Size()) - source.Length);
        long at = offsets[tensor] + byteOffset;
        try
        {
            RandomAccess.Write(file, source, at);
        }
        catch (Exception e) when (FileFaults.Handles(e))
        {
            throw FileFaults.Writing(Path, $"can't write {name} at byte {at} of {Bytes}", e);
        }

        long start, end;
        lock (gate)
        {
            written += source.Length;
            dirty += source.Length;
            start = dirtyStart = Math.Min(dirtyStart, at);
            end = dirtyEnd = Math.Max(dirtyEnd, at + source.Length);
            if (dirty < WriteBackBytes)
            {
                return;
            }

            (dirty, dirtyStart, dirtyEnd) = (0, long.MaxValue, 0);
        }

        Native.StartWriteBack(file, start, end - start);
    }

    /// <summary>Waits until the disk has every byte, then gives the file its name, over whatever had it.</summary>
    /// <exception cref="FaultException">The disk failed; the name is untouched.</exception>
    public void Commit()
    {
        ObjectDisposedException.ThrowIf(done, this);
        if (written < Bytes - headerBytes)
        {
            throw new InvalidOperationException($"{Path}: committed with {Bytes - headerBytes - written} bytes never written");
        }

        try
        {
            RandomAccess.FlushToDisk(file);

            // Renamed while still locked, so that no other run can take the partial file in between; Windows wants it closed.
            if (OperatingSystem.IsWindows())
            {
                file.Dispose();
            }

            File.Move(partial, target, overwrite: true);
        }
        catch (Exception e) when (FileFaults.Handles(e))
        {
            throw FileFaults.Writing(Path, "can't finish the file", e);
        }

        done = true;
        file.Dispose();
        Native.SyncFolder(System.IO.Path.GetDirectoryName(target)!);
    }

    /// <summary>Closes the file; one that was not committed is deleted.</summary>
    public void Dispose()
    {
        if (done)
        {
            return;
        }

        done = true;
        PartialFile.Discard(file, partial);
    }
}
