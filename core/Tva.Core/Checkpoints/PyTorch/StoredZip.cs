using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Text;
using System.Text.Unicode;

namespace Tva.Core.Checkpoints;

/// <summary>
/// Comes in: a file that should be a zip archive as PyTorch writes them. Goes out: its entries and where their bytes lie. Entries lie inside the
/// file, apart from each other, and those that are asked for are stored as they are; anything else is refused, and nothing is ever unpacked.
/// </summary>
internal sealed class StoredZip
{
    private const int MaxEntries = 1 << 20;
    private const int MaxDirectoryBytes = 128 << 20;
    private const int EndBytes = 22;
    private const int LocatorBytes = 20;
    private const int WideEndBytes = 56;
    private const int CentralBytes = 46;
    private const int LocalBytes = 30;
    private const string Cut = "it is cut off or damaged; copy or download it again";

    private readonly InputFile file;
    private readonly Dictionary<string, StoredEntry> entries = [];

    public StoredZip(InputFile file)
    {
        this.file = file;
        var (count, start, bytes) = End();
        DirectoryStart = start;
        ReadDirectory(count, start, bytes);
        RequireApart(start);
    }

    /// <summary>Where the directory begins, behind all entries.</summary>
    public long DirectoryStart { get; }

    public IReadOnlyCollection<StoredEntry> Entries => entries.Values;

    /// <summary>The entry of that name, or null.</summary>
    public StoredEntry? Find(string name) => entries.GetValueOrDefault(name);

    /// <summary>All bytes of a small entry.</summary>
    public byte[] Read(StoredEntry entry, int most)
    {
        if (entry.Bytes > most)
        {
            Throw($"entry {Quoted.Name(entry.Name)} has {entry.Bytes} bytes and may have {most}; this is no file of tensors");
        }

        var content = new byte[entry.Bytes];
        file.Read(content, Start(entry), Quoted.Name(entry.Name));
        return content;
    }

    /// <summary>Where an entry's bytes begin. Its own header is read the first time it is asked for.</summary>
    public long Start(StoredEntry entry)
    {
        if (Volatile.Read(ref entry.Start) is var known and not 0)
        {
            return known;
        }

        RequireStored(entry.Name, entry.Flags, entry.Method);
        var name = Encoding.UTF8.GetBytes(entry.Name);
        var header = new byte[LocalBytes + name.Length];
        file.Read(header, entry.Header, $"the header of {Quoted.Name(entry.Name)}");
        if (!header.AsSpan().StartsWith("PK\x03\x04"u8) || U16(header, 26) != name.Length || !header.AsSpan(LocalBytes).SequenceEqual(name))
        {
            Throw($"expected the header of entry {Quoted.Name(entry.Name)} at byte {entry.Header}; {Cut}");
        }

        RequireStored(entry.Name, U16(header, 6), U16(header, 8));
        long start = entry.Header + header.Length + U16(header, 28);
        if (start + entry.Bytes > entry.Limit)
        {
            Throw($"entry {Quoted.Name(entry.Name)} has {entry.Bytes} bytes from {start} on, past byte {entry.Limit}, where the next begins; {Cut}");
        }

        Volatile.Write(ref entry.Start, start);
        return start;
    }

    private static int U16(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt16LittleEndian(bytes[at..]);

    private static uint U32(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt32LittleEndian(bytes[at..]);

    private static ulong U64(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt64LittleEndian(bytes[at..]);

    [DoesNotReturn]
    private void Throw(string what) => throw new FaultException($"{file.Path}: {what}");

    private (long Count, long Start, long Bytes) End()
    {
        var tail = new byte[(int)Math.Min(file.Length, EndBytes + ushort.MaxValue)];
        long tailStart = file.Length - tail.Length;
        file.Read(tail, tailStart, "the end of the archive");
        int at = tail.Length - EndBytes;
        while (at >= 0 && !(tail.AsSpan(at).StartsWith("PK\x05\x06"u8) && U16(tail, at + 20) == tail.Length - at - EndBytes))
        {
            at--;
        }

        if (at < 0)
        {
            Throw($"is a zip archive without its end; {Cut}");
        }

        var end = tail.AsSpan(at, EndBytes);
        ulong count = (ulong)U16(end, 10), bytes = U32(end, 12), start = U32(end, 16);
        bool oneDisk = U16(end, 4) is 0 or ushort.MaxValue && U16(end, 6) is 0 or ushort.MaxValue && U16(end, 8) == U16(end, 10);
        long limit = tailStart + at;
        var locator = new byte[LocatorBytes];
        if (limit >= LocatorBytes)
        {
            file.Read(locator, limit - LocatorBytes, "the end of the archive");
        }

        bool wide = locator.AsSpan().StartsWith("PK\x06\x07"u8);
        if (wide)
        {
            var (wideCount, wideBytes, wideStart) = WideEnd(locator, ref limit, ref oneDisk);
            if (!(count is ushort.MaxValue || count == wideCount) || !(bytes is uint.MaxValue || bytes == wideBytes)
                || !(start is uint.MaxValue || start == wideStart))
            {
                Throw($"its two end records disagree: {count} entries in {bytes} bytes at {start}, "
                    + $"and {wideCount} in {wideBytes} at {wideStart}; {Cut}");
            }

            (count, bytes, start) = (wideCount, wideBytes, wideStart);
        }

        if (!oneDisk)
        {
            Throw("is one of several parts of a zip archive; join them first");
        }

        if (count > MaxEntries || bytes > MaxDirectoryBytes || bytes < count * CentralBytes || start > (ulong)limit || bytes > (ulong)limit - start)
        {
            Throw($"its directory should be {count} entries in {bytes} bytes at {start}, and the file has {limit} before its end "
                + $"(at most {MaxEntries} entries in {MaxDirectoryBytes} bytes are read); {Cut}");
        }

        return ((long)count, (long)start, (long)bytes);
    }

    private (ulong Count, ulong Bytes, ulong Start) WideEnd(ReadOnlySpan<byte> locator, ref long limit, ref bool oneDisk)
    {
        ulong at = U64(locator, 8);
        var record = new byte[WideEndBytes];
        limit -= LocatorBytes;
        if (limit < WideEndBytes || at > (ulong)(limit - WideEndBytes))
        {
            Throw($"its zip64 end record should be at byte {at}, and its locator is at {limit}; {Cut}");
        }

        limit = (long)at;
        file.Read(record, limit, "the end of the archive");
        if (!record.AsSpan().StartsWith("PK\x06\x06"u8))
        {
            Throw($"expected its zip64 end record at byte {at}; {Cut}");
        }

        oneDisk &= U32(locator, 4) == 0 && U32(locator, 16) <= 1 && U32(record, 16) == 0 && U32(record, 20) == 0 && U64(record, 24) == U64(record, 32);
        return (U64(record, 32), U64(record, 40), U64(record, 48));
    }

    private void ReadDirectory(long count, long start, long bytes)
    {
        var directory = new byte[bytes];
        file.Read(directory, start, "the archive's directory");
        entries.EnsureCapacity((int)count);
        var rest = directory.AsSpan();
        for (long i = 0; i < count; i++)
        {
            long at = start + bytes - rest.Length;
            int name = 0, extra = 0, length = CentralBytes;
            if (rest.Length >= CentralBytes)
            {
                (name, extra) = (U16(rest, 28), U16(rest, 30));
                length += name + extra + U16(rest, 32);
            }

            if (rest.Length < length || !rest.StartsWith("PK\x01\x02"u8))
            {
                Throw($"expected entry {i + 1} of {count} of the archive's directory at byte {at}; {Cut}");
            }

            Add(rest[..CentralBytes], rest.Slice(CentralBytes, name), rest.Slice(CentralBytes + name, extra), at);
            rest = rest[length..];
        }

        if (rest.Length > 0)
        {
            Throw($"its directory has {rest.Length} bytes behind its {count} entries; {Cut}");
        }
    }

    private void Add(ReadOnlySpan<byte> record, ReadOnlySpan<byte> nameBytes, ReadOnlySpan<byte> extra, long at)
    {
        if (!Utf8.IsValid(nameBytes))
        {
            Throw($"the entry's name at byte {at} is not valid UTF-8; {Cut}");
        }

        string name = Encoding.UTF8.GetString(nameBytes);
        int flags = U16(record, 8), method = U16(record, 10);
        ulong packed = U32(record, 20), bytes = U32(record, 24), header = U32(record, 42);
        if (packed == uint.MaxValue || bytes == uint.MaxValue || header == uint.MaxValue)
        {
            var wide = Wide(extra);
            Take(ref bytes, ref wide, name);
            Take(ref packed, ref wide, name);
            Take(ref header, ref wide, name);
        }

        if ((packed != bytes && method == 0) || packed > long.MaxValue || bytes > long.MaxValue || header > long.MaxValue)
        {
            Throw($"entry {Quoted.Name(name)} should be {bytes} bytes stored in {packed} at {header}; {Cut}");
        }

        if (!entries.TryAdd(name, new StoredEntry(name, nameBytes.Length, (long)header, (long)packed) { Flags = flags, Method = method }))
        {
            Throw($"has two entries {Quoted.Name(name)}; {Cut}");
        }
    }

    /// <summary>The zip64 field among an entry's extra fields.</summary>
    private static ReadOnlySpan<byte> Wide(ReadOnlySpan<byte> extra)
    {
        while (extra.Length >= 4 && U16(extra, 2) <= extra.Length - 4)
        {
            var field = extra.Slice(4, U16(extra, 2));
            if (U16(extra, 0) == 1)
            {
                return field;
            }

            extra = extra[(4 + field.Length)..];
        }

        return [];
    }

    private void Take(ref ulong value, ref ReadOnlySpan<byte> wide, string name)
    {
        if (value != uint.MaxValue)
        {
            return;
        }

        if (wide.Length < 8)
        {
            Throw($"entry {Quoted.Name(name)} lacks its zip64 field; {Cut}");
        }

        value = U64(wide, 0);
        wide = wide[8..];
    }

    private void RequireStored(string name, int flags, int method)
    {
        if ((flags & 0x2041) != 0)
        {
            Throw($"entry {Quoted.Name(name)} is encrypted; decrypt the archive first");
        }

        if (method != 0)
        {
            Throw($"entry {Quoted.Name(name)} is compressed (method {method}), as PyTorch never writes it; "
                + "load it with PyTorch and save it again, or unpack the archive and pack it with `zip -0`");
        }
    }

    // Overlapping entries are how small archives pretend to hold much. What the local headers add is checked where they are read.
    private void RequireApart(long end)
    {
        var order = entries.Values.ToArray();
        Array.Sort(order, static (a, b) => a.Header.CompareTo(b.Header));
        for (int i = 0; i < order.Length; i++)
        {
            var entry = order[i];
            entry.Limit = i + 1 < order.Length ? order[i + 1].Header : end;
            if (entry.Header > entry.Limit || entry.Bytes > entry.Limit - entry.Header - LocalBytes - entry.NameBytes)
            {
                Throw($"entry {Quoted.Name(entry.Name)} has {entry.Bytes} bytes at {entry.Header} and would reach past byte {entry.Limit}, where "
                    + (i + 1 < order.Length ? $"{Quoted.Name(order[i + 1].Name)} begins; {Cut}" : $"the directory begins; {Cut}"));
            }
        }
    }
}

/// <summary>One entry of the archive.</summary>
/// <param name="name">Full name.</param>
/// <param name="nameBytes">Length of the name in the file.</param>
/// <param name="header">Where its own header begins.</param>
/// <param name="bytes">Bytes that its content takes in the file.</param>
internal sealed class StoredEntry(string name, int nameBytes, long header, long bytes)
{
    /// <summary>Where its content begins; 0 before it was asked for.</summary>
    public long Start;

    public string Name => name;

    public int NameBytes => nameBytes;

    public long Header => header;

    public long Bytes => bytes;

    public int Flags { get; init; }

    /// <summary>How it is packed; 0 is not at all.</summary>
    public int Method { get; init; }

    /// <summary>Where the next entry, or the directory, begins.</summary>
    public long Limit { get; set; }
}
