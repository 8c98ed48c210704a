using System.Buffers.Binary;
using System.Text;

namespace Tva.Core.Tests;

/// <summary>A PyTorch zip put together by hand: entries stored, aligned to 64 bytes, sizes in the directory, every field open to lies.</summary>
public sealed class PyTorchArchive
{
    private readonly List<Entry> entries = [];

    /// <summary>The archive of a pickle and its storages, numbered from 0.</summary>
    public static byte[] Of(byte[] pickle, params byte[][] storages)
    {
        var archive = new PyTorchArchive().Add("x/data.pkl", pickle).Add("x/byteorder", "little"u8.ToArray());
        for (int i = 0; i < storages.Length; i++)
        {
            archive.Add($"x/data/{i}", storages[i]);
        }

        return archive.Add("x/version", "3\n"u8.ToArray()).Bytes();
    }

    public PyTorchArchive Add(string name, byte[] content, ushort method = 0, ushort flags = 0x808, bool wide = false, uint? size = null, uint? header = null)
    {
        entries.Add(new Entry(name, content, method, flags, wide, size, header));
        return this;
    }

    /// <param name="wide">Write the zip64 end record, as torch does.</param>
    /// <param name="end">Changes the last 98 bytes (zip64 end, locator, end) before they are appended.</param>
    public byte[] Bytes(bool wide = true, Action<byte[]>? end = null)
    {
        var file = new MemoryStream();
        var directory = new MemoryStream();
        foreach (var entry in entries)
        {
            var name = Encoding.UTF8.GetBytes(entry.Name);
            long header = file.Length;
            int padding = (int)(-(header + 30 + name.Length + 4) & 63);
            var local = new byte[30];
            "PK\x03\x04"u8.CopyTo(local);
            U16(local, 6, entry.Flags);
            U16(local, 8, entry.Method);
            U16(local, 26, name.Length);
            U16(local, 28, padding + 4);
            file.Write(local);
            file.Write(name);
            file.Write([(byte)'F', (byte)'B', (byte)padding, 0]);
            file.Write(new byte[padding]);
            file.Write(entry.Content);
            file.Write(new byte[16]); // the data descriptor, which nobody reads
            var central = new byte[46];
            "PK\x01\x02"u8.CopyTo(central);
            U16(central, 8, entry.Flags);
            U16(central, 10, entry.Method);
            U32(central, 20, entry.Wide ? uint.MaxValue : entry.Size ?? (uint)entry.Content.Length);
            U32(central, 24, entry.Wide ? uint.MaxValue : entry.Size ?? (uint)entry.Content.Length);
            U16(central, 28, name.Length);
            U16(central, 30, entry.Wide ? 28 : 0);
            U32(central, 42, entry.Wide ? uint.MaxValue : entry.Header ?? (uint)header);
            directory.Write(central);
            directory.Write(name);
            if (entry.Wide)
            {
                var field = new byte[28];
                U16(field, 0, 1);
                U16(field, 2, 24);
                U32(field, 4, entry.Size ?? (uint)entry.Content.Length);
                U32(field, 12, entry.Size ?? (uint)entry.Content.Length);
                U32(field, 20, entry.Header ?? (uint)header);
                directory.Write(field);
            }
        }

        long start = file.Length;
        file.Write(directory.ToArray());
        var tail = new byte[98];
        "PK\x06\x06"u8.CopyTo(tail);
        U32(tail, 4, 44);
        U32(tail, 24, (uint)entries.Count);
        U32(tail, 32, (uint)entries.Count);
        U32(tail, 40, (uint)directory.Length);
        U32(tail, 48, (uint)start);
        "PK\x06\x07"u8.CopyTo(tail.AsSpan(56));
        U32(tail, 64, (uint)file.Length);
        U32(tail, 72, 1);
        "PK\x05\x06"u8.CopyTo(tail.AsSpan(76));
        U16(tail, 84, entries.Count);
        U16(tail, 86, entries.Count);
        U32(tail, 88, (uint)directory.Length);
        U32(tail, 92, (uint)start);
        end?.Invoke(tail);
        file.Write(wide ? tail : tail[76..]);
        return file.ToArray();
    }

    public static void U16(byte[] bytes, int at, int value) => BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(at), (ushort)value);

    public static void U32(byte[] bytes, int at, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(at), value);

    private sealed record Entry(string Name, byte[] Content, ushort Method, ushort Flags, bool Wide, uint? Size, uint? Header);
}
