using System.Buffers.Binary;
using System.Security.Cryptography;
using Microsoft.Win32.SafeHandles;

namespace Tva.Core.Checkpoints;

/// <summary>
/// Comes in: a path. Goes out: positioned reads of one plain file through one handle, which may rest between its header and its data;
/// a file that changes meanwhile is a fault.
/// </summary>
internal sealed class InputFile : IDisposable
{
    private const int Samples = 64;
    private const int SampleBytes = 4096;

    private readonly object gate = new();
    private readonly string expected;
    private readonly DateTime stamp;
    private SafeFileHandle? handle;
    private bool disposed;

    /// <summary>Opens it.</summary>
    /// <param name="path">The file as messages call it.</param>
    /// <param name="expected">What the user should name where this is no plain file, for instance <c>a .safetensors file</c>.</param>
    public InputFile(string path, string expected)
    {
        Path = path;
        FullPath = System.IO.Path.GetFullPath(path);
        this.expected = expected;
        handle = Open();
        try
        {
            Length = RandomAccess.GetLength(handle);
            stamp = File.GetLastWriteTimeUtc(handle);
        }
        catch (Exception e) when (FileFaults.Handles(e))
        {
            handle.Dispose();
            throw FileFaults.Reading(path, "can't read its length", e);
        }
    }

    public string Path { get; }

    public string FullPath { get; }

    /// <summary>Bytes when it was opened.</summary>
    public long Length { get; }

    /// <summary>Reads until <paramref name="destination"/> is full or the file ends; <paramref name="what"/> is for messages.</summary>
    public int Fill(Span<byte> destination, long at, string what) => Fill(destination, at, what, tensor: false);

    /// <summary>Reads bytes that were there when the file was opened.</summary>
    public void Read(Span<byte> destination, long at, string what) =>
        Require(Fill(destination, at, what, tensor: false), destination.Length, at, what, tensor: false);

    /// <summary>The same for the bytes of the tensor of that name.</summary>
    public void ReadTensor(Span<byte> destination, long at, string name) =>
        Require(Fill(destination, at, name, tensor: true), destination.Length, at, name, tensor: true);

    /// <summary>
    /// Starts reading a range into the page cache. Never fails. Where both its ends are there already it does nothing: the system would look
    /// for every page, which takes a tenth of the time that reading them takes.
    /// </summary>
    public void Prefetch(long at, long bytes)
    {
        try
        {
            var file = Handle();
            if (bytes > 0 && !(Native.IsCached(file, at) && Native.IsCached(file, at + bytes - 1)))
            {
                Native.WillNeed(file, at, bytes);
            }
        }
        catch (Exception e) when (e is FaultException or ObjectDisposedException)
        {
            // The read that follows will say it.
        }
    }

    /// <summary>Adds the length and evenly spaced samples of the data from a place on (all of it where it is shorter than the samples).</summary>
    public void AppendSamples(IncrementalHash hash, long start)
    {
        var buffer = new byte[Samples * SampleBytes];
        var size = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(size, Length);
        hash.AppendData(size);
        long data = Length - start;
        if (data <= Samples * SampleBytes)
        {
            Append(buffer.AsSpan(0, (int)data), start);
            return;
        }

        for (int i = 0; i < Samples; i++)
        {
            Append(buffer.AsSpan(0, SampleBytes), start + (long)((Int128)(data - SampleBytes) * i / (Samples - 1)));
        }

        void Append(Span<byte> part, long at)
        {
            Read(part, at, "it for its fingerprint");
            hash.AppendData(part);
        }
    }

    /// <summary>Closes the handle until the next read: a script may name many models and use a few.</summary>
    public void Rest()
    {
        lock (gate)
        {
            handle?.Dispose();
            Volatile.Write(ref handle, null);
        }
    }

    public void Dispose()
    {
        lock (gate)
        {
            disposed = true;
            handle?.Dispose();
        }
    }

    private SafeFileHandle Open()
    {
        if (Native.Identity(FullPath) is { Regular: false })
        {
            // A pipe would hold us forever.
            throw new FaultException($"{Path}: is not a plain file; name {expected}");
        }

        try
        {
            // Sharing everything: another run may replace the file meanwhile, and this handle keeps the old one.
            return File.OpenHandle(FullPath, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        }
        catch (Exception e) when (FileFaults.Handles(e))
        {
            throw FileFaults.Reading(Path, "can't open it", e);
        }
    }

    private SafeFileHandle Handle()
    {
        if (Volatile.Read(ref handle) is { } open)
        {
            return open;
        }

        lock (gate)
        {
            ObjectDisposedException.ThrowIf(disposed, this);
            if (handle is null)
            {
                var file = Open();
                if (RandomAccess.GetLength(file) != Length || File.GetLastWriteTimeUtc(file) != stamp)
                {
                    file.Dispose();
                    throw new FaultException($"{Path}: has changed since its header was read; load it again");
                }

                Volatile.Write(ref handle, file);
            }

            return handle;
        }
    }

    // A tensor's name is worded only where a read fails: reads are many.
    private int Fill(Span<byte> destination, long at, string what, bool tensor)
    {
        var file = Handle();
        try
        {
            int got = 0;
            while (got < destination.Length)
            {
                int n = RandomAccess.Read(file, destination[got..], at + got);
                if (n == 0)
                {
                    break;
                }

                got += n;
            }

            return got;
        }
        catch (Exception e) when (FileFaults.Handles(e))
        {
            throw FileFaults.Reading(Path, $"can't read {Label(what, tensor)} at byte {at}", e);
        }
    }

    private void Require(int got, int wanted, long at, string what, bool tensor)
    {
        if (got < wanted)
        {
            throw new FaultException($"{Path}: {Label(what, tensor)}: the file has become shorter while reading "
                + $"(it ends at byte {at + got}, had {Length}); leave it alone while a run reads it");
        }
    }

    private static string Label(string what, bool tensor) => tensor ? $"tensor {Quoted.Name(what)}" : what;
}
