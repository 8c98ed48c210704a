using System.Buffers.Binary;
using System.Text;

namespace Tva.Core.Tests;

/// <summary>A pickle put together opcode by opcode, as CPython's pickletools names them. Each method appends and returns itself.</summary>
public sealed class PickleBytes
{
    private readonly MemoryStream bytes = new();

    public PickleBytes(int protocol = 2) => Raw(0x80, (byte)protocol);

    public PickleBytes Raw(params ReadOnlySpan<byte> more)
    {
        bytes.Write(more);
        return this;
    }

    public PickleBytes Op(char opcode) => Raw((byte)opcode);

    public PickleBytes Op(string opcodes) => Raw(Encoding.Latin1.GetBytes(opcodes));

    public PickleBytes Text(string text) => Text(Encoding.UTF8.GetBytes(text));

    public PickleBytes Text(byte[] utf8) => Raw((byte)'X').U32((uint)utf8.Length).Raw(utf8);

    public PickleBytes ShortText(string text) => Raw(0x8C, (byte)text.Length).Raw(Encoding.UTF8.GetBytes(text));

    public PickleBytes LongText(string text) => Raw(0x8D).U64((ulong)text.Length).Raw(Encoding.UTF8.GetBytes(text));

    public PickleBytes Global(string module, string name) => Op($"c{module}\n{name}\n");

    /// <summary>A number as CPython writes it: the shortest of BININT1, BININT2, BININT and LONG1.</summary>
    public PickleBytes Int(long value)
    {
        switch (value)
        {
            case >= 0 and < 256:
                return Raw((byte)'K', (byte)value);
            case >= 0 and < 65536:
                return Raw((byte)'M', (byte)value, (byte)(value >> 8));
            case >= int.MinValue and <= int.MaxValue:
                return Raw((byte)'J').U32((uint)(int)value);
            default:
                return Raw(0x8A, 8).U64((ulong)value);
        }
    }

    public PickleBytes Real(double value)
    {
        var digits = new byte[8];
        BinaryPrimitives.WriteDoubleBigEndian(digits, value);
        return Raw((byte)'G').Raw(digits);
    }

    public PickleBytes Tuple(params long[] values)
    {
        Op('(');
        foreach (long value in values)
        {
            Int(value);
        }

        return Op('t');
    }

    public PickleBytes Storage(string type, string key, long elements, string module = "torch") =>
        Op('(').Text("storage").Global(module, type).Text(key).Text("cpu").Int(elements).Op("tQ");

    /// <summary>A call of _rebuild_tensor_v2.</summary>
    public PickleBytes Tensor(string type, string key, long elements, long offset, long[] shape, long[] strides) =>
        Global("torch._utils", "_rebuild_tensor_v2").Op('(').Storage(type, key, elements).Int(offset).Tuple(shape).Tuple(strides)
            .Raw(0x89).Global("collections", "OrderedDict").Op(")RtR");

    public byte[] Stop() => Op('.').bytes.ToArray();

    public PickleBytes U32(uint value)
    {
        var digits = new byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(digits, value);
        return Raw(digits);
    }

    public PickleBytes U64(ulong value)
    {
        var digits = new byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(digits, value);
        return Raw(digits);
    }
}
