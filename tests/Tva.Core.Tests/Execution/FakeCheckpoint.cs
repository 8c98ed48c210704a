using System.Runtime.InteropServices;
using Tva.Core.Checkpoints;
using Tva.Core.Tensors;
using Xunit;

namespace Tva.Core.Tests;

/// <summary>Tensors in arrays, seen as a checkpoint; may be told to fail or to call out at a read.</summary>
internal sealed class FakeCheckpoint(string path) : Checkpoint
{
    private readonly List<TensorInfo> tensors = [];
    private readonly Dictionary<string, byte[]> bytes = [];

    public Action<TensorInfo>? OnRead { get; set; }

    public override string Path => path;

    public override IReadOnlyList<string> Files => [path];

    public override IReadOnlyList<TensorInfo> Tensors => tensors;

    public override IReadOnlyDictionary<string, string> Metadata { get; } = new Dictionary<string, string>();

    public override string Fingerprint => path;

    public FakeCheckpoint Add(string name, DType type, Shape shape, byte[] content)
    {
        tensors.Add(new TensorInfo(name, type, shape, 0, 0));
        bytes.Add(name, content);
        return this;
    }

    public FakeCheckpoint Add(string name, Shape shape, float[] values) =>
        Add(name, DType.F32, shape, MemoryMarshal.AsBytes(values.AsSpan()).ToArray());

    /// <summary>Truncates to bf16: for values made from 16 bits this is exact.</summary>
    public FakeCheckpoint AddHalf(string name, Shape shape, float[] values) =>
        Add(name, DType.BF16, shape, MemoryMarshal.AsBytes(values.Select(v => (ushort)(BitConverter.SingleToUInt32Bits(v) >> 16)).ToArray().AsSpan()).ToArray());

    public byte[] Bytes(string name) => bytes[name];

    public override TensorInfo? Find(string name) => tensors.FirstOrDefault(t => t.Name == name);

    public override void Read(TensorInfo tensor, long byteOffset, Span<byte> destination)
    {
        OnRead?.Invoke(tensor);
        bytes[tensor.Name].AsSpan((int)byteOffset, destination.Length).CopyTo(destination);
    }

    public override void Prefetch(TensorInfo tensor, long byteOffset, long count)
    {
        // A hint past the end, or of something not there, would go unnoticed by a real one.
        Assert.True(byteOffset >= 0 && count > 0 && byteOffset + count <= bytes[tensor.Name].Length);
    }

    public override void Dispose()
    {
    }
}
