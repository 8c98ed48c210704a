using System.Buffers;
using System.Security.Cryptography;
using Tva.Core.Tensors;

namespace Tva.Core.Checkpoints;

/// <summary>Comes in: a path. Goes out: one GGUF file: its tensors when opened, their elements later, those in blocks of few bits as float32.</summary>
internal sealed class GgufFile : IDisposable
{
    // Stays in a second-level cache between the read and the expansion.
    private const int BufferBytes = 128 << 10;
    private const int MostBlockElements = 256;

    private readonly InputFile file;
    private readonly GgufContent content;

    /// <summary>Reads and checks the header.</summary>
    /// <param name="path">The file as messages call it.</param>
    /// <param name="index">Its index in the checkpoint.</param>
    public GgufFile(string path, int index)
    {
        file = new InputFile(path, "a .gguf file");
        try
        {
            content = GgufHeader.Read(file, index);
        }
        finally
        {
            file.Rest();
        }
    }

    public string Path => file.Path;

    public string FullPath => file.FullPath;

    public IReadOnlyList<GgufTensor> Tensors => content.Tensors;

    public IReadOnlyDictionary<string, string> Described => content.Described;

    public IReadOnlyDictionary<string, string> Metadata => content.Metadata;

    /// <summary>Fills <paramref name="destination"/> with the tensor's bytes from <paramref name="byteOffset"/>, as its <see cref="TensorInfo.DType"/> has them.</summary>
    public void Read(GgufTensor tensor, long byteOffset, Span<byte> destination)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(byteOffset);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(byteOffset, tensor.Info.Bytes - destination.Length);
        if (tensor.Type.Expand is null)
        {
            file.ReadTensor(destination, tensor.Info.Offset + byteOffset, tensor.Info.Name);
            return;
        }

        int size = tensor.Info.DType.Size();
        int head = (int)(byteOffset % size);
        if (head != 0 || destination.Length % size != 0)
        {
            // Nobody cuts elements, but whoever does gets the right bytes.
            var whole = new byte[(head + (long)destination.Length + size - 1) / size * size];
            Expand(tensor, (byteOffset - head) / size, whole);
            whole.AsSpan(head, destination.Length).CopyTo(destination);
            return;
        }

        Expand(tensor, byteOffset / size, destination);
    }

    public void Prefetch(GgufTensor tensor, long byteOffset, long bytes)
    {
        var (at, count) = (byteOffset, bytes);
        if (tensor.Type.Expand is not null)
        {
            long blockBytes = (long)tensor.Type.BlockElements * tensor.Info.DType.Size();
            at = byteOffset / blockBytes * tensor.Type.BlockBytes;
            count = (((byteOffset + bytes + blockBytes - 1) / blockBytes) * tensor.Type.BlockBytes) - at;
        }

        file.Prefetch(tensor.Info.Offset + at, count);
    }

    /// <summary>Adds header, length and samples of the data.</summary>
    public void AppendFingerprint(IncrementalHash hash)
    {
        var buffer = new byte[BufferBytes];
        long headerEnd = Math.Min(content.DataStart, file.Length);
        for (long at = 0; at < headerEnd; at += BufferBytes)
        {
            var part = buffer.AsSpan(0, (int)Math.Min(BufferBytes, headerEnd - at));
            file.Read(part, at, "it for its fingerprint");
            hash.AppendData(part);
        }

        file.AppendSamples(hash, headerEnd);
    }

    public void Dispose() => file.Dispose();

    private unsafe void Expand(GgufTensor tensor, long element, Span<byte> destination)
    {
        var type = tensor.Type;
        float* one = stackalloc float[MostBlockElements];
        var buffer = ArrayPool<byte>.Shared.Rent(BufferBytes);
        try
        {
            fixed (byte* source = buffer, to = destination)
            {
                float* next = (float*)to;
                long left = destination.Length / sizeof(float);
                while (left > 0)
                {
                    var (block, skip) = Math.DivRem(element, type.BlockElements);
                    int blocks = (int)Math.Min(BufferBytes / type.BlockBytes, (skip + left + type.BlockElements - 1) / type.BlockElements);
                    file.ReadTensor(new Span<byte>(source, blocks * type.BlockBytes), tensor.Info.Offset + (block * type.BlockBytes), tensor.Info.Name);
                    byte* at = source;
                    long end = Math.Min(left, ((long)blocks * type.BlockElements) - skip);
                    (element, left) = (element + end, left - end);
                    if (skip > 0)
                    {
                        Part(skip, Math.Min(end, type.BlockElements - skip));
                    }

                    int whole = (int)(end / type.BlockElements);
                    type.Expand!(at, next, whole);
                    at += whole * type.BlockBytes;
                    next += whole * type.BlockElements;
                    end -= whole * type.BlockElements;
                    if (end > 0)
                    {
                        Part(0, end);
                    }

                    // Some elements of a block.
                    void Part(long from, long count)
                    {
                        type.Expand!(at, one, 1);
                        new Span<float>(one + from, (int)count).CopyTo(new Span<float>(next, (int)count));
                        at += type.BlockBytes;
                        next += count;
                        end -= count;
                    }
                }
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }
}
