using System.Buffers.Binary;

namespace Tva.Core.Checkpoints;

/// <summary>
/// Comes in: a file as PyTorch before 1.6 wrote it (and later with <c>_use_new_zipfile_serialization=False</c>): five pickles (a magic number, a
/// version, facts about the machine, the value, the storages' keys), then for each key the storage's number of elements and its bytes.
/// Goes out: the value, each storage placed and inside the file.
/// </summary>
/// <remarks>As in torch/serialization.py, <c>_legacy_save</c> and <c>_legacy_load</c>.</remarks>
internal static class LegacyPickles
{
    private const int MaxStorages = 1 << 20;
    private const string Cut = "the file is cut off or damaged; copy or download it again";

    private static ReadOnlySpan<byte> Magic => [0x8A, 10, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19, (byte)'.'];

    /// <summary>Whether a file's first bytes are the magic number's pickle: after the protocol, and the frame of protocol 4.</summary>
    public static bool Begins(ReadOnlySpan<byte> start) => start is [0x80, _, _, ..]
        && (start[2..].StartsWith(Magic) || (start.Length > 11 && start[2] == 0x95 && start[11..].StartsWith(Magic)));

    /// <summary>Reads the pickles and places the storages.</summary>
    /// <param name="file">The file, which begins so.</param>
    /// <param name="most">Bytes that a pickle may have.</param>
    /// <returns>The value, and where the storages begin.</returns>
    public static (PickleValue Root, long DataStart) Read(InputFile file, int most)
    {
        var storages = new Dictionary<string, StoredEntry>();
        long at = 0;
        Next("the magic number");
        if (Next("the version") is not PickleInteger { Value: 1001 } and var version)
        {
            throw new FaultException($"{file.Path}: is of {version} of the old PyTorch format; expected the number 1001; {Cut}");
        }

        if (Next("the facts about the machine") is PickleDictionary facts && facts.Find("little_endian") is PickleBoolean { Value: false })
        {
            throw new FaultException($"{file.Path}: was written by a big-endian machine; load it there and save its tensors as safetensors");
        }

        var root = Next("the value");
        var keys = Next("the storages' keys");
        Place(file, at, keys, storages);
        return (root, at);

        PickleValue Next(string what)
        {
            long end = PickleEnd.Find(file, $"the pickle of {what}", at, most);
            var bytes = new byte[end - at];
            file.Read(bytes, at, $"the pickle of {what}");
            var value = PickleReader.Read($"{file.Path}: the pickle of {what}", at, bytes, Storage);
            at = end;
            return value;
        }

        StoredEntry? Storage(string key, long bytes)
        {
            if (!storages.TryGetValue(key, out var entry) && bytes >= 0)
            {
                storages.Add(key, entry = new StoredEntry(key, 0, 0, bytes));
            }

            return entry;
        }
    }

    private static void Place(InputFile file, long at, PickleValue keys, Dictionary<string, StoredEntry> storages)
    {
        if (keys is not PickleList { Items: var list } || list.Count > MaxStorages)
        {
            throw new FaultException($"{file.Path}: the pickle of the storages' keys holds {keys}; expected a list of at most {MaxStorages}; {Cut}");
        }

        var length = new byte[8];
        foreach (var item in list)
        {
            if (item is not PickleText { Value: var key } || !storages.Remove(key, out var entry))
            {
                throw new FaultException($"{file.Path}: lists {item} among its storages' keys, which is no storage of its value or was there before; {Cut}");
            }

            if (file.Length - at < length.Length || entry.Bytes > file.Length - at - length.Length)
            {
                throw new FaultException($"{file.Path}: storage {Quoted.Name(key)} has {entry.Bytes} bytes from {at + length.Length} on, and the file ends at {file.Length}; {Cut}");
            }

            file.Read(length, at, $"the length of storage {Quoted.Name(key)}");
            long elements = BinaryPrimitives.ReadInt64LittleEndian(length);
            if (elements < 0 || (elements == 0 ? entry.Bytes != 0 : entry.Bytes % elements != 0 || entry.Bytes / elements > 16))
            {
                throw new FaultException($"{file.Path}: storage {Quoted.Name(key)} at byte {at} has {elements} elements, and the value says that they take {entry.Bytes} bytes; {Cut}");
            }

            entry.Start = at + length.Length;
            at = entry.Start + entry.Bytes;
        }

        if (storages.Count > 0)
        {
            throw new FaultException($"{file.Path}: its value has storages that aren't listed behind it: {Quoted.List([.. storages.Keys.Take(11)])}; {Cut}");
        }

        if (at < file.Length)
        {
            throw new FaultException($"{file.Path}: has {file.Length - at} bytes behind its last storage, which ends at {at}; {Cut}");
        }
    }
}
