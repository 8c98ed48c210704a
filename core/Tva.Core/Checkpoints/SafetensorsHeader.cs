using System.Diagnostics.CodeAnalysis;
using System.Text.Json;
using System.Text.Unicode;
using Tva.Core.Tensors;

namespace Tva.Core.Checkpoints;

/// <summary>
/// Comes in: a header's JSON and the size of the data behind it. Goes out: the tensors in the order of their bytes, and the metadata.
/// Accepts what the format's reference implementation does and refuses the rest, each with the tensor and what was expected.
/// </summary>
internal ref struct SafetensorsHeader
{
    private const int MaxDepth = 128; // of the reference's JSON reader; only unknown keys can nest at all

    // A header of 100 MB could have two million empty tensors, or a shape of fifty million dimensions.
    private const int MaxTensors = 1 << 18;
    private const int MaxRank = 1024;

    private readonly string path;
    private readonly List<Entry> entries = [];
    private readonly HashSet<string> names = [];
    private long[] dims = new long[8];
    private int rank;
    private Dictionary<string, string>? metadata;
    private DType lastType;
    private Utf8JsonReader json;

    private SafetensorsHeader(string path, ReadOnlySpan<byte> header)
    {
        this.path = path;
        json = new Utf8JsonReader(header, new JsonReaderOptions { MaxDepth = MaxDepth });
    }

    /// <summary>Reads and checks a header.</summary>
    /// <param name="path">The file, for messages.</param>
    /// <param name="header">The JSON text.</param>
    /// <param name="file">Index of the file in its checkpoint.</param>
    /// <param name="dataStart">Where in the file the data begins.</param>
    /// <param name="dataBytes">Bytes from there to the file's end.</param>
    public static (TensorInfo[] Tensors, IReadOnlyDictionary<string, string> Metadata) Parse(
        string path, ReadOnlySpan<byte> header, int file, long dataStart, long dataBytes)
    {
        if (header.IsEmpty || header[0] != (byte)'{')
        {
            Throw(path, "the header doesn't begin with '{'; this is not a safetensors file or it is damaged");
        }

        if (!Utf8.IsValid(header))
        {
            Throw(path, "the header is not valid UTF-8; the file is damaged");
        }

        var parser = new SafetensorsHeader(path, header);
        try
        {
            parser.ReadAll();
        }
        catch (JsonException e)
        {
            Throw(path, $"the header is not valid JSON (line {e.LineNumber + 1}, byte {e.BytePositionInLine}); the file is damaged", e);
        }
        catch (InvalidOperationException e)
        {
            // What Utf8JsonReader.GetString throws at an escape that is half a surrogate pair.
            Throw(path, "a text in the header is not valid Unicode; the file is damaged", e);
        }

        return (parser.Layout(file, dataStart, dataBytes), parser.metadata ?? []);
    }

    [DoesNotReturn]
    private static void Throw(string path, string what, Exception? inner = null) => throw new FaultException($"{path}: {what}", inner);

    [DoesNotReturn]
    private static void Throw(string path, string tensor, string what) =>
        throw new FaultException($"{path}: tensor {Quoted.Name(tensor)}: {what}");

    private void ReadAll()
    {
        json.Read();
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            if (json.ValueTextEquals("__metadata__"u8))
            {
                ReadMetadata();
            }
            else
            {
                ReadTensor(json.GetString()!);
            }
        }

        json.Read(); // refuses anything but blanks behind the closing brace
    }

    private void ReadMetadata()
    {
        if (metadata is not null)
        {
            Throw(path, "the header has __metadata__ twice");
        }

        metadata = [];
        json.Read();
        if (json.TokenType == JsonTokenType.Null)
        {
            return;
        }

        if (json.TokenType != JsonTokenType.StartObject)
        {
            Throw(path, "__metadata__ is not an object of texts");
        }

        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            string key = json.GetString()!;
            json.Read();
            if (json.TokenType != JsonTokenType.String)
            {
                Throw(path, $"__metadata__ {Quoted.Name(key)} is not a text");
            }

            metadata[key] = json.GetString()!;
        }
    }

    private void ReadTensor(string name)
    {
        if (!names.Add(name))
        {
            Throw(path, name, "is in the header twice");
        }

        if (names.Count > MaxTensors)
        {
            Throw(path, name, $"is one of more than {MaxTensors} tensors, as no model has; the file is damaged");
        }

        json.Read();
        if (json.TokenType != JsonTokenType.StartObject)
        {
            Throw(path, name, "is not an object with dtype, shape and data_offsets");
        }

        DType? dtype = null;
        Shape? shape = null;
        (long Begin, long End)? range = null;
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            if (json.ValueTextEquals("dtype"u8))
            {
                RequireFirst(dtype is null, name, "dtype");
                dtype = ReadType(name);
            }
            else if (json.ValueTextEquals("shape"u8))
            {
                RequireFirst(shape is null, name, "shape");
                shape = ReadShape(name);
            }
            else if (json.ValueTextEquals("data_offsets"u8))
            {
                RequireFirst(range is null, name, "data_offsets");
                range = ReadOffsets(name);
            }
            else
            {
                json.Skip(); // as the reference does
            }
        }

        if (dtype is not { } type || shape is null || range is not { } offsets)
        {
            Throw(path, name, $"has no {(dtype is null ? "dtype" : shape is null ? "shape" : "data_offsets")}");
            return;
        }

        entries.Add(new Entry(name, type, shape, offsets.Begin, offsets.End));
    }

    private readonly void RequireFirst(bool first, string name, string key)
    {
        if (!first)
        {
            Throw(path, name, $"has {key} twice");
        }
    }

    private DType ReadType(string name)
    {
        json.Read();
        if (json.TokenType == JsonTokenType.String)
        {
            // Nearly always the same as the tensor's before it.
            if (json.ValueTextEquals(lastType.Name()))
            {
                return lastType;
            }

            for (var type = DType.F64; type <= DType.Bool; type++)
            {
                if (json.ValueTextEquals(type.Name()))
                {
                    return lastType = type;
                }
            }
        }

        string given = json.TokenType == JsonTokenType.String ? Quoted.Name(json.GetString()!) : "not a text";
        Throw(path, name, $"its dtype is {given}; known ones are {string.Join(", ", DTypes.Names)}");
        return default;
    }

    private Shape ReadShape(string name)
    {
        ReadNumbers(name, "shape");
        long elements = 1;
        var shape = dims.AsSpan(0, rank).ToArray();
        foreach (long d in shape)
        {
            // In the order of the dimensions, as the reference does: a later 0 doesn't excuse an overflow.
            if (d != 0 && elements > long.MaxValue / d)
            {
                Throw(path, name, $"its shape {Quoted.Dims(shape)} has more elements than any file");
            }

            elements *= d;
        }

        return new Shape(shape);
    }

    private (long Begin, long End) ReadOffsets(string name)
    {
        ReadNumbers(name, "data_offsets");
        if (rank != 2)
        {
            Throw(path, name, $"its data_offsets are {rank} numbers instead of two");
        }

        if (dims[1] < dims[0])
        {
            Throw(path, name, $"its data_offsets [{dims[0]}, {dims[1]}] end before they begin");
        }

        return (dims[0], dims[1]);
    }

    private void ReadNumbers(string name, string key)
    {
        rank = 0;
        json.Read();
        if (json.TokenType != JsonTokenType.StartArray)
        {
            Throw(path, name, $"its {key} is not a list of whole numbers");
        }

        while (json.Read() && json.TokenType != JsonTokenType.EndArray)
        {
            // TryGetInt64 alone would let "-0" pass; it refuses 1.0 and 1e3 as the reference does.
            if (json.TokenType != JsonTokenType.Number || json.ValueSpan[0] == (byte)'-' || !json.TryGetInt64(out long number))
            {
                Throw(path, name, $"its {key} has something other than whole numbers from 0 to {long.MaxValue}");
                return;
            }

            if (rank == MaxRank)
            {
                Throw(path, name, $"its {key} has more than {MaxRank} numbers, as no tensor has; the file is damaged");
            }

            if (rank == dims.Length)
            {
                Array.Resize(ref dims, 2 * rank);
            }

            dims[rank++] = number;
        }
    }

    private readonly TensorInfo[] Layout(int file, long dataStart, long dataBytes)
    {
        // Files are nearly always in order already; ties are tensors without elements and keep the header's order.
        var order = entries.ToArray();
        for (int i = 1; i < order.Length; i++)
        {
            if (order[i].CompareTo(order[i - 1]) < 0)
            {
                order = [.. entries.Order()];
                break;
            }
        }

        var tensors = new TensorInfo[order.Length];
        long end = 0;
        for (int i = 0; i < order.Length; i++)
        {
            var (name, dtype, shape, begin, stop) = order[i];
            if (begin != end)
            {
                string before = i == 0 ? "the data" : $"tensor {Quoted.Name(order[i - 1].Name)}";
                Throw(path, name, begin > end
                    ? $"begins at byte {begin}, leaving a hole: expected {end}, where {before} {(i == 0 ? "begins" : "ends")}"
                    : $"begins at byte {begin}, inside {before}: expected {end}");
            }

            end = stop;
            long size = dtype.Size();
            if (shape.Elements > long.MaxValue / size || shape.Elements * size != end - begin)
            {
                Throw(path, name, $"its data_offsets hold {end - begin} bytes, {dtype.Name()} {Quoted.Dims(shape.Dims)} needs "
                    + (shape.Elements > long.MaxValue / size ? "more than any file has" : $"{shape.Elements * size}"));
            }

            tensors[i] = new TensorInfo(name, dtype, shape, file, dataStart + begin);
            if (end > dataBytes)
            {
                Throw(path, name, $"ends at byte {end} of the data, of which the file has {dataBytes}: "
                    + "it is cut off; copy or download it again");
            }
        }

        if (end < dataBytes)
        {
            Throw(path, $"has {dataBytes - end} bytes that belong to no tensor (data of {dataBytes} bytes, the last tensor ends at {end}); "
                + "it was damaged or written wrongly");
        }

        return tensors;
    }

    // A class: every List of a struct of ours is compiled anew at start-up, some 3 ms for this file's.
    private sealed record Entry(string Name, DType DType, Shape Shape, long Begin, long End) : IComparable<Entry>
    {
        public int CompareTo(Entry? other) => other is null ? 1 : Begin != other.Begin ? Begin.CompareTo(other.Begin) : End.CompareTo(other.End);
    }
}
