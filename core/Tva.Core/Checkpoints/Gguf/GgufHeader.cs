using System.Globalization;
using Tva.Core.Tensors;

namespace Tva.Core.Checkpoints;

/// <summary>A tensor of a GGUF file, and how it is kept there.</summary>
internal sealed record GgufTensor(TensorInfo Info, GgufType Type, long StoredBytes);

/// <summary>What a GGUF header tells.</summary>
/// <param name="Tensors">The tensors in the order of their bytes.</param>
/// <param name="Described">Keys with their values as texts, long ones by their beginnings.</param>
/// <param name="Metadata">Those of them that are whole.</param>
/// <param name="DataStart">Where the first tensor may lie.</param>
internal sealed record GgufContent(
    IReadOnlyList<GgufTensor> Tensors, IReadOnlyDictionary<string, string> Described, IReadOnlyDictionary<string, string> Metadata, long DataStart);

/// <summary>
/// Comes in: a GGUF file, version 2 or 3. Goes out: its tensors, dimensions outermost first, each inside the file and apart from the others,
/// and its metadata.
/// </summary>
/// <remarks>The format: ggml's docs/gguf.md.</remarks>
internal sealed class GgufHeader
{
    private const int MaxTensors = 1 << 18;
    private const int MaxNameBytes = 1024; // the specification has 64
    private const int MaxRank = 8; // the specification has 4, "but this may change"
    private const int LeastTensorBytes = 8 + 4 + 4 + 8;
    private const long DefaultAlignment = 32;
    private const long MaxAlignment = 1 << 20;
    private const string AlignmentKey = "general.alignment";
    private const string Damaged = "the file is damaged; copy or download it again";

    private readonly InputFile file;
    private readonly FileCursor cursor;
    private long dataStart;
    private long alignment = DefaultAlignment;

    private GgufHeader(InputFile file) => (this.file, cursor) = (file, new FileCursor(file, "the header", 0, HeaderText.MaxBytes));

    /// <summary>Reads and checks it.</summary>
    /// <param name="file">The file.</param>
    /// <param name="index">Its index in the checkpoint.</param>
    public static GgufContent Read(InputFile file, int index) => new GgufHeader(file).ReadAll(index);

    private GgufContent ReadAll(int index)
    {
        GgufFormat.Require(file);
        cursor.Skip(4, "the magic number");
        RequireVersion(cursor.U32("the version"));
        ulong tensorCount = cursor.U64("the number of tensors"), pairs = cursor.U64("the number of keys");
        var (described, metadata) = GgufMetadata.Read(cursor, pairs);
        if (described.TryGetValue(AlignmentKey, out var given) && (!long.TryParse(given, NumberStyles.None, CultureInfo.InvariantCulture, out alignment)
            || alignment is < 8 or > MaxAlignment || !long.IsPow2(alignment)))
        {
            cursor.Throw($"{AlignmentKey} is {Quoted.Name(given)}; expected a power of two from 8 to {MaxAlignment}; {Damaged}");
        }

        if (tensorCount > MaxTensors || tensorCount > (ulong)(cursor.Left / LeastTensorBytes))
        {
            cursor.Throw($"should list {tensorCount} tensors in {cursor.Left} bytes (at most {MaxTensors} are read); this is no GGUF file or it is damaged");
        }

        var names = new HashSet<string>();
        var entries = new List<Entry>();
        for (ulong i = 0; i < tensorCount; i++)
        {
            entries.Add(ReadEntry($"tensor {i + 1} of {tensorCount}"));
            if (!names.Add(entries[^1].Name))
            {
                cursor.Throw($"lists tensor {Quoted.Name(entries[^1].Name)} twice; {Damaged}");
            }
        }

        dataStart = (cursor.At + alignment - 1) / alignment * alignment;
        return new GgufContent(Layout(entries, index), described, metadata, dataStart);
    }

    private void RequireVersion(uint version)
    {
        if (version is 2 or 3)
        {
            return;
        }

        cursor.Throw(version is 0x02000000 or 0x03000000
            ? "was written for big-endian machines, which isn't read; convert the model again without --bigendian"
            : $"is GGUF of version {version}; versions 2 and 3 are read; " + (version == 1
                ? "convert the model again with a llama.cpp of September 2023 or newer"
                : "the file is damaged or newer than this reader"));
    }

    private Entry ReadEntry(string which)
    {
        string name = cursor.Text(MaxNameBytes, $"the name of {which}");
        string what = $"tensor {Quoted.Name(name)}";
        uint rank = cursor.U32(what);
        if (rank > MaxRank)
        {
            cursor.Throw($"{what} has {rank} dimensions and may have {MaxRank}; {Damaged}");
        }

        var dims = new long[rank];
        long elements = 1;
        for (int i = (int)rank - 1; i >= 0; i--)
        {
            // The first is that of neighbours; ours come outermost first.
            ulong d = cursor.U64(what);
            if (d > long.MaxValue || (d > 0 && elements > long.MaxValue / 8 / (long)d))
            {
                cursor.Throw($"{what} has a dimension of {d} behind {elements} elements, more than any file has; {Damaged}");
            }

            dims[i] = (long)d;
            elements *= Math.Max(1, (long)d);
        }

        uint number = cursor.U32(what);
        if (GgufType.Find(number) is not { } type)
        {
            cursor.Throw($"{what} is kept as {GgufType.NameOf(number)}; {string.Join(", ", GgufType.Readable)} are read; make a file of one of those, "
                + "for instance with llama.cpp's `llama-quantize --allow-requantize IN OUT f16`");
            return null!;
        }

        var shape = new Shape(dims);
        if (shape.RowLength % type.BlockElements != 0 && shape.Elements > 0)
        {
            cursor.Throw($"{what} has rows of {shape.RowLength} elements, and {type.Name} keeps blocks of {type.BlockElements}; {Damaged}");
        }

        ulong offset = cursor.U64(what);
        if (offset % (ulong)alignment != 0)
        {
            cursor.Throw($"{what} lies at {offset} of the data, which is no multiple of {alignment}, the file's alignment; {Damaged}");
        }

        return new Entry(name, shape, type, offset);
    }

    private GgufTensor[] Layout(List<Entry> entries, int index)
    {
        Entry[] order = [.. entries.OrderBy(entry => entry.Offset)];
        var tensors = new GgufTensor[order.Length];
        ulong available = (ulong)Math.Max(0, file.Length - dataStart);
        for (int i = 0; i < order.Length; i++)
        {
            var (name, shape, type, offset) = order[i];
            long bytes = shape.Elements / type.BlockElements * type.BlockBytes;
            if (offset > available || (ulong)bytes > available - offset)
            {
                throw new FaultException($"{file.Path}: tensor {Quoted.Name(name)}: {type.Name} {Quoted.Dims(shape.Dims)} needs {bytes} bytes at {offset} of the data, "
                    + $"of which the file has {available}: it is cut off; copy or download it again");
            }

            ulong limit = i + 1 < order.Length ? order[i + 1].Offset : available;
            if ((ulong)bytes > limit - offset)
            {
                throw new FaultException($"{file.Path}: tensor {Quoted.Name(name)}: {type.Name} {Quoted.Dims(shape.Dims)} needs {bytes} bytes at {offset} of the data, "
                    + $"and tensor {Quoted.Name(order[i + 1].Name)} begins at {limit}; {Damaged}");
            }

            tensors[i] = new GgufTensor(new TensorInfo(name, type.DType, shape, index, dataStart + (long)offset), type, bytes);
        }

        return tensors;
    }

    private sealed record Entry(string Name, Shape Shape, GgufType Type, ulong Offset);
}
