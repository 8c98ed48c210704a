using System.Buffers.Binary;
using System.Security.Cryptography;
using Microsoft.Win32.SafeHandles;
using Tva.Core.Tensors;

namespace Tva.Core.Checkpoints;

/// <summary>Comes in: a path. Goes out: one safetensors file: its tensors when opened, its bytes later, through one handle.</summary>
internal sealed class SafetensorsFile : IDisposable
{
    private const int Samples = 64;
    private const int SampleBytes = 4096;

    private static ReadOnlySpan<byte> Pickle => [0x80, 0x02];

    private readonly object gate = new();
    private readonly long length;
    private readonly DateTime stamp;
    private readonly int headerEnd;
    private SafeFileHandle? handle;
    private bool disposed;

    /// <summary>Reads and checks the header.</summary>
    /// <param name="path">The file as messages call it.</param>
    /// <param name="index">Its index in the checkpoint.</param>
    public SafetensorsFile(string path, int index)
    {
        Path = path;
        FullPath = System.IO.Path.GetFullPath(path);
        using var file = OpenHandle();
        try
        {
            length = RandomAccess.GetLength(file);
            stamp = File.GetLastWriteTimeUtc(file);
            var prefix = new byte[8];
            int got = Fill(file, prefix, 0);
            ulong headerBytes = BinaryPrimitives.ReadUInt64LittleEndian(prefix);
            if (got < 8 || headerBytes > HeaderText.MaxBytes || (long)headerBytes > length - 8)
            {
                throw NotSafetensors(prefix.AsSpan(0, got), headerBytes);
            }

            headerEnd = 8 + (int)headerBytes;
            var header = new byte[headerBytes];
            Require(Fill(file, header, 8) == header.Length, "the header", 8);
            (Tensors, Metadata) = SafetensorsHeader.Parse(path, header, index, headerEnd, length - headerEnd);
        }
        catch (Exception e) when (FileFaults.Handles(e))
        {
            throw FileFaults.Reading(path, "can't read the header", e);
        }
    }

    public string Path { get; }

    public string FullPath { get; }

    public IReadOnlyList<TensorInfo> Tensors { get; }

    public IReadOnlyDictionary<string, string> Metadata { get; }

    public void Read(TensorInfo tensor, long byteOffset, Span<byte> destination)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(byteOffset);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(byteOffset, tensor.Bytes - destination.Length);
        long at = tensor.Offset + byteOffset;
        var file = Handle();
        int got;
        try
        {
            got = Fill(file, destination, at);
        }
        catch (Exception e) when (FileFaults.Handles(e))
        {
            throw FileFaults.Reading(Path, $"can't read {Quoted.Name(tensor.Name)} at byte {at}", e);
        }

        if (got < destination.Length)
        {
            throw new FaultException($"{Path}: tensor {Quoted.Name(tensor.Name)}: the file has become shorter while reading "
                + $"(it ends at byte {at + got}, had {length}); leave it alone while a run reads it");
        }
    }

    public void Prefetch(TensorInfo tensor, long byteOffset, long bytes)
    {
        try
        {
            Native.WillNeed(Handle(), tensor.Offset + byteOffset, bytes);
        }
        catch (Exception e) when (e is FaultException or ObjectDisposedException)
        {
            // The read that follows will say it.
        }
    }

    /// <summary>Adds header, length and evenly spaced samples of the data (all of it where it is shorter than the samples).</summary>
    public void AppendFingerprint(IncrementalHash hash)
    {
        var file = Handle();
        var buffer = new byte[Math.Max(headerEnd, Samples * SampleBytes)];
        try
        {
            Append(headerEnd, 0);
            var size = new byte[8];
            BinaryPrimitives.WriteInt64LittleEndian(size, length);
            hash.AppendData(size);
            long data = length - headerEnd;
            if (data <= Samples * SampleBytes)
            {
                Append((int)data, headerEnd);
                return;
            }

            for (int i = 0; i < Samples; i++)
            {
                Append(SampleBytes, headerEnd + (long)((Int128)(data - SampleBytes) * i / (Samples - 1)));
            }
        }
        catch (Exception e) when (FileFaults.Handles(e))
        {
            throw FileFaults.Reading(Path, "can't read it for its fingerprint", e);
        }

        void Append(int bytes, long at)
        {
            Require(Fill(file, buffer.AsSpan(0, bytes), at) == bytes, "its fingerprint", at);
            hash.AppendData(buffer, 0, bytes);
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

    private static int Fill(SafeFileHandle file, Span<byte> destination, long at)
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

    private SafeFileHandle OpenHandle()
    {
        if (Native.Identity(FullPath) is { Regular: false })
        {
            // A pipe would hold us forever.
            throw new FaultException($"{Path}: is not a plain file; name a .safetensors file");
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

    // Opened at the first read, not kept from the header's: a script may name many models and use a few.
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
                var file = OpenHandle();
                if (RandomAccess.GetLength(file) != length || File.GetLastWriteTimeUtc(file) != stamp)
                {
                    file.Dispose();
                    throw new FaultException($"{Path}: has changed since its header was read; load it again");
                }

                Volatile.Write(ref handle, file);
            }

            return handle;
        }
    }

    private void Require(bool complete, string what, long at)
    {
        if (!complete)
        {
            throw new FaultException($"{Path}: the file has become shorter while reading {what} at byte {at}; run again");
        }
    }

    private FaultException NotSafetensors(ReadOnlySpan<byte> start, ulong headerBytes)
    {
        if (start.StartsWith("version "u8))
        {
            return new FaultException($"{Path}: is a Git LFS pointer, not the file itself; fetch it with `git lfs pull`");
        }

        if (start.StartsWith("PK\x03\x04"u8) || start.StartsWith(Pickle))
        {
            return new FaultException($"{Path}: is a PyTorch file, not safetensors; save its tensors with safetensors.torch.save_file");
        }

        if (start.Length < 8)
        {
            return new FaultException($"{Path}: has {start.Length} bytes and a safetensors file at least 8; copy or download it again");
        }

        return new FaultException(headerBytes > HeaderText.MaxBytes
            ? $"{Path}: begins with a header length of {headerBytes} bytes, more than the {HeaderText.MaxBytes} allowed; "
                + "this is not a safetensors file or it is damaged"
            : $"{Path}: begins with a header length of {headerBytes} bytes and has only {length - 8} behind it; "
                + "it is cut off (copy or download it again) or not a safetensors file");
    }
}
