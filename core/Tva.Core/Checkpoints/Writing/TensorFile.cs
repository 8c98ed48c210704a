using Microsoft.Win32.SafeHandles;
using Tva.Core.Tensors;

namespace Tva.Core.Checkpoints;

/// <summary>
/// Comes in: the tensors of one safetensors file, then their bytes in any order. Goes out: the file's content, header first; which tensors
/// are complete, and, where they are recorded, hashes and statistics put into the header once all are.
/// </summary>
internal sealed class TensorFile
{
    // Large enough that the disk sees long runs, small enough that it never idles behind the processor.
    private const long WriteBackBytes = 32 << 20;

    private readonly object gate = new();
    private readonly string shown;
    private readonly Func<SafeFileHandle> handle;
    private readonly IReadOnlyList<(string Name, DType DType, Shape Shape)> tensors;
    private readonly byte[] prefix;
    private readonly long[] offsets;
    private readonly long[] remaining;
    private readonly TensorDigest[]? digests;
    private readonly TensorSummary[] summaries;
    private readonly bool[] told;
    private readonly bool[] kept;
    private List<int> finished = [];
    private long dirty;
    private long dirtyStart = long.MaxValue;
    private long dirtyEnd;
    private IOException? lost;

    /// <summary>Lays the file out; nothing is opened.</summary>
    /// <param name="shown">How messages call it.</param>
    /// <param name="tensors">In order.</param>
    /// <param name="metadata">Of the header.</param>
    /// <param name="plans">Per tensor how it is computed, or null where nothing is recorded.</param>
    /// <param name="measured">Whether statistics are.</param>
    /// <param name="handle">Opens the file, or gives it where it is open; one that was closed meanwhile is asked for again.</param>
    public TensorFile(
        string shown, IReadOnlyList<(string Name, DType DType, Shape Shape)> tensors, IReadOnlyDictionary<string, string> metadata,
        IReadOnlyList<ulong>? plans, bool measured, Func<SafeFileHandle> handle)
    {
        (this.shown, this.tensors, this.handle) = (shown, tensors, handle);
        (prefix, offsets, Bytes) = HeaderText.Render(tensors, plans is null ? metadata : TensorRecords.Reserve(metadata, plans, measured));
        if (prefix.Length - 8 > HeaderText.MaxBytes)
        {
            throw new FaultException($"{shown}: its header would take {Sizes.Text(prefix.Length - 8)}, and readers of the format refuse "
                + $"more than {HeaderText.MaxBytes} bytes; shorten the metadata or save the tensors in several files");
        }

        remaining = [.. tensors.Select(t => t.Shape.Elements * t.DType.Size())];
        digests = plans is null ? null : [.. tensors.Select((t, i) => new TensorDigest(t.DType, remaining[i], measured))];
        summaries = new TensorSummary[tensors.Count];
        (told, kept) = (new bool[tensors.Count], new bool[tensors.Count]);
    }

    /// <summary>Size of the whole file.</summary>
    public long Bytes { get; }

    public IReadOnlyList<(string Name, DType DType, Shape Shape)> Tensors => tensors;

    /// <summary>The header with nothing recorded yet: equal for equal plans.</summary>
    public ReadOnlySpan<byte> Blank => prefix;

    /// <summary>What is told of the tensors; whole once <see cref="Seal"/> is done.</summary>
    public IReadOnlyList<TensorSummary> Summaries => summaries;

    public bool IsKept(int tensor) => kept[tensor];

    public int Kept => kept.Count(k => k);

    /// <summary>Begins the file, empty but for its header, at its full length (sparse).</summary>
    public void Begin()
    {
        try
        {
            var file = handle();
            RandomAccess.SetLength(file, Bytes);
            RandomAccess.Write(file, prefix, 0);
        }
        catch (Exception e) when (FileFaults.Handles(e))
        {
            throw FileFaults.Writing(shown, "can't start the file", e);
        }
    }

    /// <summary>Whether what is there was begun for these very tensors, computed alike from the same inputs.</summary>
    public bool IsBegun()
    {
        try
        {
            var file = handle();
            if (RandomAccess.GetLength(file) != Bytes)
            {
                return false;
            }

            var there = new byte[prefix.Length];
            return RandomAccess.Read(file, there, 0) == there.Length && TensorRecords.AreAlike(there, prefix);
        }
        catch (Exception e) when (e is FaultException || FileFaults.Handles(e))
        {
            return false;
        }
    }

    /// <summary>A tensor that is there already: what is written to it from now on is left aside.</summary>
    public void Keep(int tensor, TensorSummary summary)
    {
        kept[tensor] = true;
        remaining[tensor] = 0;
        summaries[tensor] = summary;
    }

    /// <summary>Takes a tensor's bytes from another file.</summary>
    public void Copy(int tensor, TensorSummary summary, SafeFileHandle from, long at)
    {
        long bytes = remaining[tensor], done = 0;
        try
        {
            done = Native.CopyRange(from, at, handle(), offsets[tensor], bytes);
            var part = new byte[(int)Math.Min(bytes - done, 1 << 20)];
            while (done < bytes)
            {
                var got = RandomAccess.Read(from, part.AsSpan(0, (int)Math.Min(part.Length, bytes - done)), at + done);
                if (got == 0)
                {
                    throw new FaultException($"{shown}: the file that was there has become shorter while reading; run again without {Wording.Current.Incremental}");
                }

                RandomAccess.Write(handle(), part.AsSpan(0, got), offsets[tensor] + done);
                done += got;
            }
        }
        catch (Exception e) when (FileFaults.Handles(e))
        {
            throw FileFaults.Writing(shown, $"can't copy {tensors[tensor].Name} at byte {offsets[tensor] + done} of {Bytes}", e);
        }

        Keep(tensor, summary);
        lock (gate)
        {
            finished.Add(tensor);
        }
    }

    /// <summary>Writes bytes of a tensor from <paramref name="byteOffset"/>. Safe from any thread.</summary>
    public void Write(int tensor, long byteOffset, ReadOnlySpan<byte> source)
    {
        var (name, dtype, shape) = tensors[tensor];
        ArgumentOutOfRangeException.ThrowIfNegative(byteOffset);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(byteOffset, (shape.Elements * dtype.Size()) - source.Length);
        if (kept[tensor])
        {
            return;
        }

        long at = offsets[tensor] + byteOffset;
        var file = Put(source, at, name);
        digests?[tensor].Add(source, byteOffset);
        long start, end;
        lock (gate)
        {
            remaining[tensor] -= source.Length;
            if (remaining[tensor] == 0)
            {
                finished.Add(tensor);
            }

            dirty += source.Length;
            start = dirtyStart = Math.Min(dirtyStart, at);
            end = dirtyEnd = Math.Max(dirtyEnd, at + source.Length);
            if (dirty < WriteBackBytes)
            {
                return;
            }

            (dirty, dirtyStart, dirtyEnd) = (0, long.MaxValue, 0);
        }

        try
        {
            Native.StartWriteBack(file, start, end - start);
        }
        catch (ObjectDisposedException)
        {
            // Closed meanwhile to make room for another: the hint is lost, nothing else.
        }
    }

    /// <summary>The tensors that have become complete since the last time, with what is told of them.</summary>
    public List<(string Name, TensorSummary Summary)> TakeFinished()
    {
        List<int> taken;
        lock (gate)
        {
            (taken, finished) = (finished, []);
        }

        return [.. taken.Select(i => (tensors[i].Name, Summary(i)))];
    }

    /// <summary>Waits until the disk has what was written so far.</summary>
    /// <exception cref="IOException">It hasn't; nor will <see cref="Seal"/> then say that it has.</exception>
    public void Sync()
    {
        try
        {
            Native.Flush(handle());
        }
        catch (IOException e)
        {
            lost = e;
            throw;
        }
    }

    /// <summary>Every byte has come: puts the records into the header and waits for the disk.</summary>
    public void Seal()
    {
        var missing = remaining.Sum();
        if (missing > 0)
        {
            throw new InvalidOperationException($"{shown}: committed with {missing} bytes never written");
        }

        TakeFinished();
        try
        {
            if (lost is { } before)
            {
                throw before;
            }

            var file = handle();
            if (digests is not null)
            {
                for (var i = 0; i < tensors.Count; i++)
                {
                    Summary(i);
                }

                RandomAccess.Write(file, TensorRecords.Filled(prefix, summaries), 0);
            }

            Native.Flush(file);
        }
        catch (Exception e) when (FileFaults.Handles(e))
        {
            throw FileFaults.Writing(shown, "can't finish the file", e);
        }
    }

    private SafeFileHandle Put(ReadOnlySpan<byte> source, long at, string name)
    {
        for (var attempt = 0; ; attempt++)
        {
            try
            {
                var file = handle();
                RandomAccess.Write(file, source, at);
                return file;
            }
            catch (ObjectDisposedException) when (attempt < 1000)
            {
                // Closed between our asking and our writing to make room for another.
            }
            catch (Exception e) when (FileFaults.Handles(e))
            {
                throw FileFaults.Writing(shown, $"can't write {name} at byte {at} of {Bytes}", e);
            }
        }
    }

    private TensorSummary Summary(int tensor)
    {
        if (digests is null || kept[tensor])
        {
            return summaries[tensor];
        }

        lock (digests[tensor])
        {
            if (!told[tensor])
            {
                summaries[tensor] = digests[tensor].Finish() ?? Reread(tensor);
                told[tensor] = true;
            }

            return summaries[tensor];
        }
    }

    private TensorSummary Reread(int tensor)
    {
        var (_, dtype, shape) = tensors[tensor];
        long bytes = shape.Elements * dtype.Size();
        var again = digests![tensor].Anew();
        var part = new byte[(int)Math.Min(bytes, 1 << 20)];
        for (long at = 0; at < bytes;)
        {
            var block = part.AsSpan(0, (int)Math.Min(part.Length, bytes - at));
            for (var got = 0; got < block.Length;)
            {
                var n = RandomAccess.Read(handle(), block[got..], offsets[tensor] + at + got);
                got += n > 0 ? n : throw new IOException("the file has become shorter");
            }

            again.Add(block, at);
            at += block.Length;
        }

        return again.Finish()!.Value;
    }
}
