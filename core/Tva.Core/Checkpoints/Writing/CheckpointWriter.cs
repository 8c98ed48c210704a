using Microsoft.Win32.SafeHandles;
using Tva.Core.Tensors;

namespace Tva.Core.Checkpoints;

/// <summary>
/// Comes in: a path, the tensors' shapes, then their bytes in any order. Goes out: a safetensors file, complete or not at all:
/// it grows as <c>PATH.partial</c> and takes its name only when every byte is on the disk.
/// </summary>
public sealed class CheckpointWriter : ICheckpointWriter
{
    private readonly TensorFile content;
    private readonly Unfinished unfinished;
    private readonly WriteOptions options;
    private readonly string target;
    private readonly string partial;
    private readonly SafeFileHandle? file;
    private readonly bool unchanged;
    private bool done;

    /// <summary>
    /// Creates the partial file with its header, at its full length (sparse). Tensors lie in the order given. A missing folder is
    /// created; a link is followed to the file that it names; a partial file of a run that died is replaced.
    /// </summary>
    /// <exception cref="FaultException">The path can't be written, another run writes it, or the disk hasn't enough room.</exception>
    public CheckpointWriter(
        string path, IReadOnlyList<(string Name, DType DType, Shape Shape)> tensors, IReadOnlyDictionary<string, string> metadata)
        : this(path, tensors, metadata, new WriteOptions())
    {
    }

    /// <summary>The same, which may go on with what is there.</summary>
    internal CheckpointWriter(
        string path, IReadOnlyList<(string Name, DType DType, Shape Shape)> tensors, IReadOnlyDictionary<string, string> metadata, WriteOptions options)
    {
        (Path, this.options) = (path, options);
        content = new TensorFile(path, tensors, metadata, options.Plans, measured: false, () => file!);
        target = PartialFile.Target(path);
        partial = target + ".partial";
        unfinished = new Unfinished(path, target, [content], options);
        using var earlier = (options.Resume || options.Incremental) && options.Plans is not null ? EarlierFile.Open(target, options.ChangedSince) : null;
        if (earlier?.Is(content) == true)
        {
            unchanged = true;
            for (var i = 0; i < tensors.Count; i++)
            {
                content.Keep(i, default);
            }

            unfinished.Forget();
            unfinished.Dispose();
            return;
        }

        file = PartialFile.Open(path, partial, target, keep: true);
        try
        {
            if (!unfinished.MayResume || !unfinished.Resume())
            {
                unfinished.Forget();
                RandomAccess.SetLength(file, 0);
                PartialFile.RequireSpace(path, target, content.Bytes);
                content.Begin();
            }

            if (options.Incremental && earlier is not null)
            {
                unfinished.Reuse([earlier], (_, i) => options.Plans![i]);
            }

            unfinished.Watch();
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
    public long Bytes => content.Bytes;

    /// <inheritdoc/>
    public OutputReport Report => new(Path, content.Tensors.Count, unfinished.Resumed, unfinished.Reused, unchanged, unfinished.Restarted);

    /// <inheritdoc/>
    public bool Has(int tensor) => content.IsKept(tensor);

    /// <summary>Writes bytes of a tensor from <paramref name="byteOffset"/> (relative to the tensor). Safe from any thread.</summary>
    /// <exception cref="FaultException">The disk is full, failing or forbidden.</exception>
    public void Write(int tensor, long byteOffset, ReadOnlySpan<byte> source) => content.Write(tensor, byteOffset, source);

    /// <summary>Waits until the disk has every byte, then gives the file its name, over whatever had it.</summary>
    /// <exception cref="FaultException">The disk failed; the name is untouched.</exception>
    public void Commit()
    {
        ObjectDisposedException.ThrowIf(done, this);
        if (unchanged)
        {
            done = true;
            return;
        }

        unfinished.Stop();
        content.Seal();
        options.RequireInputs();
        try
        {
            // Renamed while still locked, so that no other run can take the partial file in between; Windows wants it closed.
            if (OperatingSystem.IsWindows())
            {
                file!.Dispose();
            }

            File.Move(partial, target, overwrite: true);
        }
        catch (Exception e) when (FileFaults.Handles(e))
        {
            throw FileFaults.Writing(Path, "can't finish the file", e);
        }

        done = true;
        file!.Dispose();
        Native.SyncFolder(System.IO.Path.GetDirectoryName(target)!);
        unfinished.Dispose();
    }

    /// <summary>Closes the file; one that was not committed is deleted, or left for a later run where the options say so.</summary>
    public void Dispose()
    {
        if (done)
        {
            return;
        }

        done = true;
        if (file is null)
        {
            return;
        }

        if (options.Resume && options.Plans is not null)
        {
            unfinished.Leave();
            file.Dispose();
            return;
        }

        unfinished.Dispose();
        PartialFile.Discard(file, partial);
    }
}
