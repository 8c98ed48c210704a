using System.Buffers.Binary;
using System.Text;

namespace Tva.Core.Tests;

/// <summary>A GGUF file put together by hand, every field open to lies. Each method appends and returns itself.</summary>
public sealed class GgufBytes
{
    private readonly MemoryStream pairs = new();
    private readonly MemoryStream infos = new();
    private readonly MemoryStream data = new();
    private ulong pairCount;
    private ulong tensorCount;

    public long Alignment { get; init; } = 32;

    public uint Version { get; init; } = 3;

    public ulong? Tensors { get; init; }

    public ulong? Pairs { get; init; }

    public GgufBytes Key(string key, uint type, params byte[] value)
    {
        pairCount++;
        Write(pairs, Text(key), U32(type), value);
        return this;
    }

    public GgufBytes Key(string key, string value) => Key(key, 8, Text(value));

    public GgufBytes Key(string key, uint value) => Key(key, 4, U32(value));

    public GgufBytes Array(string key, uint type, ulong count, params byte[][] items) => Key(key, 9, [.. U32(type), .. U64(count), .. items.SelectMany(i => i)]);

    /// <param name="name">Its name.</param>
    /// <param name="type">ggml's number of the type.</param>
    /// <param name="shape">Dimensions outermost first, as everywhere but in the file.</param>
    /// <param name="content">Its bytes.</param>
    /// <param name="offset">Where they should lie, if that is to be a lie.</param>
    public GgufBytes Tensor(string name, uint type, long[] shape, byte[] content, ulong? offset = null)
    {
        tensorCount++;
        Write(infos, Text(name), U32((uint)shape.Length));
        foreach (long d in shape.Reverse())
        {
            Write(infos, U64((ulong)d));
        }

        Write(infos, U32(type), U64(offset ?? (ulong)data.Length));
        data.Write(content);
        data.Write(new byte[(int)(-data.Length & (Alignment - 1))]);
        return this;
    }

    public byte[] Bytes()
    {
        var file = new MemoryStream();
        Write(file, "GGUF"u8.ToArray(), U32(Version), U64(Tensors ?? tensorCount), U64(Pairs ?? pairCount), pairs.ToArray(), infos.ToArray());
        file.Write(new byte[(int)(-file.Length & (Alignment - 1))]);
        data.WriteTo(file);
        return file.ToArray();
    }

    public static byte[] Text(string text) => [.. U64((ulong)Encoding.UTF8.GetByteCount(text)), .. Encoding.UTF8.GetBytes(text)];

    public static byte[] U32(uint value)
    {
        var bytes = new byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
        return bytes;
    }

    public static byte[] U64(ulong value)
    {
        var bytes = new byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
        return bytes;
    }

    private static void Write(MemoryStream to, params byte[][] parts)
    {
        foreach (var part in parts)
        {
            to.Write(part);
        }
    }
}
