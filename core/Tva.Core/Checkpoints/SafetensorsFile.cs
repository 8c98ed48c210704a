using System.Buffers.Binary;
using System.Security.Cryptography;
using Tva.Core.Tensors;

namespace Tva.Core.Checkpoints;

/// <summary>Comes in: a path. Goes out: one safetensors file: its tensors when opened, its bytes later.</summary>
internal sealed class SafetensorsFile : IDisposable
{
    private static ReadOnlySpan<byte> Pickle => [0x80, 0x02];

    private readonly InputFile file;
    private readonly int headerEnd;

    /// <summary>Reads and checks the header.</summary>
    /// <param name="path">The file as messages call it.</param>
    /// <param name="index">Its index in the checkpoint.</param>
    public SafetensorsFile(string path, int index)
    {
        file = new InputFile(path, "a .safetensors file");
        try
        {
            var prefix = new byte[8];
            int got = file.Fill(prefix, 0, "the header");
            ulong headerBytes = BinaryPrimitives.ReadUInt64LittleEndian(prefix);
            if (got < 8 || headerBytes > HeaderText.MaxBytes || (long)headerBytes > file.Length - 8)
            {
                throw NotSafetensors(prefix.AsSpan(0, got), headerBytes);
            }

            headerEnd = 8 + (int)headerBytes;
            var header = new byte[headerBytes];
            file.Read(header, 8, "the header");
            (Tensors, Metadata) = SafetensorsHeader.Parse(path, header, index, headerEnd, file.Length - headerEnd);
        }
        finally
        {
            file.Rest();
        }
    }

    public string Path => file.Path;

    public string FullPath => file.FullPath;

    /// <summary>Bytes before the data.</summary>
    public int HeaderBytes => headerEnd;

    public IReadOnlyList<TensorInfo> Tensors { get; }

    public IReadOnlyDictionary<string, string> Metadata { get; }

    public void Read(TensorInfo tensor, long byteOffset, Span<byte> destination)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(byteOffset);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(byteOffset, tensor.Bytes - destination.Length);
        file.ReadTensor(destination, tensor.Offset + byteOffset, tensor.Name);
    }

    public void Prefetch(TensorInfo tensor, long byteOffset, long bytes) => file.Prefetch(tensor.Offset + byteOffset, bytes);

    /// <summary>Adds header, length and samples of the data.</summary>
    public void AppendFingerprint(IncrementalHash hash)
    {
        var header = new byte[headerEnd];
        file.Read(header, 0, "it for its fingerprint");
        hash.AppendData(header);
        file.AppendSamples(hash, headerEnd);
    }

    public void Dispose() => file.Dispose();

    private FaultException NotSafetensors(ReadOnlySpan<byte> start, ulong headerBytes)
    {
        if (start.StartsWith("version "u8))
        {
            return new FaultException($"{Path}: is a Git LFS pointer, not the file itself; fetch it with `git lfs pull`");
        }

        if (start.StartsWith("PK\x03\x04"u8) || start.StartsWith(Pickle))
        {
            return new FaultException($"{Path}: is a PyTorch file or another archive, not safetensors; call it .pt, or save its tensors "
                + "with safetensors.torch.save_file");
        }

        if (start.Length < 8)
        {
            return new FaultException($"{Path}: has {start.Length} bytes and a safetensors file at least 8; copy or download it again");
        }

        return new FaultException(headerBytes > HeaderText.MaxBytes
            ? $"{Path}: begins with a header length of {headerBytes} bytes, more than the {HeaderText.MaxBytes} allowed; "
                + "this is not a safetensors file or it is damaged"
            : $"{Path}: begins with a header length of {headerBytes} bytes and has only {file.Length - 8} behind it; "
                + "it is cut off (copy or download it again) or not a safetensors file");
    }
}
