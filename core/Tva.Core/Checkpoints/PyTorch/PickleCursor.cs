using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Text;
using System.Text.Unicode;

namespace Tva.Core.Checkpoints;

/// <summary>Comes in: a pickle's bytes. Goes out: opcodes and their arguments, one after the other, each checked to be there.</summary>
/// <param name="where">The file and what of it this is, for messages.</param>
/// <param name="start">Where it begins there.</param>
/// <param name="bytes">The pickle.</param>
internal ref struct PickleCursor(string where, long start, ReadOnlySpan<byte> bytes)
{
    private readonly string where = where;
    private readonly long start = start;
    private readonly ReadOnlySpan<byte> bytes = bytes;
    private int at;
    private int opcodeAt;

    /// <summary>Bytes not yet taken.</summary>
    public readonly int Left => bytes.Length - at;

    public readonly int Length => bytes.Length;

    public byte Opcode()
    {
        opcodeAt = at;
        return U8();
    }

    public byte U8() => Take(1)[0];

    public uint U32() => BinaryPrimitives.ReadUInt32LittleEndian(Take(4));

    public ReadOnlySpan<byte> Take(int count)
    {
        if (count > bytes.Length - at)
        {
            Throw($"needs {count} more bytes and has {bytes.Length - at}; the file is damaged");
        }

        at += count;
        return bytes.Slice(at - count, count);
    }

    public ulong U64() => BinaryPrimitives.ReadUInt64LittleEndian(Take(8));

    /// <summary>A frame is only a hint for who reads from a stream.</summary>
    public readonly void Skip(ulong frame)
    {
        if (frame > (ulong)(bytes.Length - at))
        {
            Throw($"begins a frame of {frame} bytes and has {bytes.Length - at}; the file is damaged");
        }
    }

    public PickleText Text(ulong length)
    {
        if (length > (ulong)(bytes.Length - at))
        {
            Throw($"begins a text of {length} bytes and has {bytes.Length - at}; the file is damaged");
        }

        var text = Take((int)length);
        if (!Utf8.IsValid(text))
        {
            Throw("has a text that is not valid UTF-8; the file is damaged");
        }

        return new PickleText(Encoding.UTF8.GetString(text));
    }

    /// <summary>An integer's digits, lowest first; one of more than 64 bits is bytes.</summary>
    public static PickleValue Long(ReadOnlySpan<byte> digits)
    {
        if (digits.Length > 8)
        {
            return new PickleBlob(digits.Length);
        }

        long value = digits.Length > 0 ? (sbyte)digits[^1] : 0;
        for (int i = digits.Length - 2; i >= 0; i--)
        {
            value = (value << 8) | digits[i];
        }

        return new PickleInteger(value);
    }

    /// <summary>Bytes that are passed over.</summary>
    public PickleBlob Blob(ulong length)
    {
        if (length > (ulong)(bytes.Length - at))
        {
            Throw($"begins {length} bytes and has {bytes.Length - at}; the file is damaged");
        }

        return new PickleBlob(Take((int)length).Length);
    }

    /// <summary>A text as Python 2 wrote it: ASCII mostly.</summary>
    public PickleText OldText(ulong length)
    {
        if (length > (ulong)(bytes.Length - at))
        {
            Throw($"begins a text of {length} bytes and has {bytes.Length - at}; the file is damaged");
        }

        var text = Take((int)length);
        return new PickleText(Utf8.IsValid(text) ? Encoding.UTF8.GetString(text) : Encoding.Latin1.GetString(text));
    }

    public string Line()
    {
        int length = bytes[at..].IndexOf((byte)'\n');
        if (length < 0)
        {
            Throw("has a name without an end; the file is damaged");
        }

        var line = Take(length + 1)[..length];
        return Encoding.UTF8.GetString(line);
    }

    /// <summary>A fault at the opcode's place.</summary>
    [DoesNotReturn]
    public readonly void Throw(string what) => throw new FaultException($"{where} at byte {start + opcodeAt}: {what}");
}
