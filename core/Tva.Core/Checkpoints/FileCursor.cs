using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Text;
using System.Text.Unicode;

namespace Tva.Core.Checkpoints;

/// <summary>
/// Comes in: a file. Goes out: the numbers and texts at its beginning one after the other, each checked to be there, through a buffer of fixed
/// size.
/// </summary>
/// <param name="file">The file.</param>
/// <param name="what">What is read, for messages.</param>
/// <param name="from">Where it begins.</param>
/// <param name="most">Bytes that it may have.</param>
internal sealed class FileCursor(InputFile file, string what, long from, long most)
{
    private const int WindowBytes = 64 << 10;
    private const string Cut = "the file is cut off or damaged; copy or download it again";

    private readonly byte[] window = new byte[Math.Clamp(file.Length - from, 0, WindowBytes)];
    private readonly long end = Math.Min(file.Length, from + most);
    private long start;
    private int filled;

    /// <summary>The next byte's place in the file.</summary>
    public long At { get; private set; } = from;

    /// <summary>Bytes from there on that may be part of it.</summary>
    public long Left => end - At;

    public byte U8(string name) => Take(1, name)[0];

    public ushort U16(string name) => BinaryPrimitives.ReadUInt16LittleEndian(Take(2, name));

    public uint U32(string name) => BinaryPrimitives.ReadUInt32LittleEndian(Take(4, name));

    public ulong U64(string name) => BinaryPrimitives.ReadUInt64LittleEndian(Take(8, name));

    /// <summary>So many bytes, valid until the next call.</summary>
    public ReadOnlySpan<byte> Take(int count, string name)
    {
        Require((ulong)count, name);
        if (At < start || At + count > start + filled)
        {
            (start, filled) = (At, (int)Math.Min(window.Length, end - At));
            file.Read(window.AsSpan(0, filled), start, what);
        }

        var bytes = window.AsSpan((int)(At - start), count);
        At += count;
        return bytes;
    }

    /// <summary>Passes over bytes.</summary>
    public void Skip(ulong count, string name)
    {
        Require(count, name);
        At += (long)count;
    }

    /// <summary>A text that must not be long: a key or a name.</summary>
    public string Text(int most, string name)
    {
        ulong length = U64($"the length of {name}");
        if (length > (ulong)most)
        {
            Throw($"{name} has {length} bytes and may have {most}; {Cut}");
        }

        var bytes = Take((int)length, name);
        if (!Utf8.IsValid(bytes))
        {
            Throw($"{name} is not valid UTF-8; {Cut}");
        }

        return Encoding.UTF8.GetString(bytes);
    }

    /// <summary>The beginning of a text of any length, with what is left out told.</summary>
    public string Beginning(int most, string name)
    {
        ulong length = U64($"the length of {name}");
        Require(length, name);
        int shown = (int)Math.Min(length, (ulong)most);
        string text = Encoding.UTF8.GetString(Take(shown, name));
        Skip(length - (ulong)shown, name);
        return (ulong)shown < length ? $"{text.TrimEnd('\uFFFD')}... ({length} bytes)" : text;
    }

    /// <summary>A fault at the next byte's place.</summary>
    [DoesNotReturn]
    public void Throw(string problem) => throw new FaultException($"{file.Path}: {what} at byte {At}: {problem}");

    private void Require(ulong count, string name)
    {
        if (count > (ulong)Left)
        {
            Throw(file.Length > end
                ? $"{name} takes {count} bytes and would end past the first {most}, where {what} must have ended; {Cut}"
                : $"{name} takes {count} bytes and {Left} are left; {Cut}");
        }
    }
}
