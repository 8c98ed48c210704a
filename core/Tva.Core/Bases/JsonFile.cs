using System.Text.Json;
using System.Text.Unicode;
using Tva.Core.Checkpoints;
using Tva.Core.Tensors;

namespace Tva.Core.Bases;

/// <summary>Comes in: a JSON file nobody vouches for. Goes out: its numbers and names, of the sizes expected, or a fault that says where it is wrong.</summary>
internal sealed class JsonFile : IDisposable
{
    private readonly JsonDocument document;

    private JsonFile(string path, JsonDocument document) => (Path, this.document) = (path, document);

    public string Path { get; }

    public JsonElement Root => document.RootElement;

    public static JsonFile Open(string path, long maxBytes)
    {
        // A pipe would hold us forever; this refuses all but plain files.
        using var file = new InputFile(path, "a JSON file");
        if (file.Length > maxBytes)
        {
            throw new FaultException($"{path}: has {Sizes.Text(file.Length)}, more than the {Sizes.Text(maxBytes)} such a file may have");
        }

        var text = new byte[file.Length];
        file.Read(text, 0, "its text");
        var document = Parse(path, "", text);
        if (document.RootElement.ValueKind != JsonValueKind.Object)
        {
            throw new FaultException($"{path}: holds {document.RootElement.ValueKind}, and should hold one object");
        }

        return new JsonFile(path, document);
    }

    /// <summary>Parses a text whose names and texts can all be asked for: none is half a surrogate pair, which a document finds out only then.</summary>
    /// <param name="path">The file, for messages.</param>
    /// <param name="what">What of it this is, such as <c>its header's metadata</c>; empty where it is all.</param>
    /// <param name="utf8">The text.</param>
    /// <exception cref="FaultException">It is no JSON.</exception>
    public static JsonDocument Parse(string path, string what, ReadOnlyMemory<byte> utf8)
    {
        string subject = what.Length == 0 ? $"{path}:" : $"{path}: {what}";
        if (!Utf8.IsValid(utf8.Span))
        {
            throw new FaultException($"{subject} is no JSON: it is not valid UTF-8; the file is damaged");
        }

        try
        {
            var reader = new Utf8JsonReader(utf8.Span);
            while (reader.Read())
            {
                if (reader.TokenType is not (JsonTokenType.PropertyName or JsonTokenType.String) || !reader.ValueIsEscaped)
                {
                    continue;
                }

                try
                {
                    reader.GetString();
                }
                catch (InvalidOperationException e)
                {
                    throw new FaultException($"{subject} has a text at byte {reader.TokenStartIndex} that is no Unicode: half a surrogate pair; the file is damaged", e);
                }
            }

            return JsonDocument.Parse(utf8);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw new FaultException($"{subject} is no JSON: {e.Message}", e);
        }
    }

    /// <summary>A number; null is NaN, which JSON has not.</summary>
    public static double Number(JsonElement e) => e.ValueKind == JsonValueKind.Null ? double.NaN : e.GetDouble();

    /// <summary>A list of distinct texts.</summary>
    public IReadOnlyList<string> Names(JsonElement list, string what)
    {
        var names = list.EnumerateArray().Select(e => e.GetString() ?? throw new FaultException($"{Path}: {what} holds a null")).ToArray();
        if (names.GroupBy(n => n, StringComparer.Ordinal).FirstOrDefault(g => g.Count() > 1) is { } twice)
        {
            throw new FaultException($"{Path}: {what} has {Quoted.Name(twice.Key)} twice");
        }

        return names.Length > 0 ? names : throw new FaultException($"{Path}: {what} is empty");
    }

    /// <summary>Dot products of vectors. Those with a newcomer are of what had been kept, which may be longer than the norms tell.</summary>
    public double[,] Gram(JsonElement rows, int size)
    {
        // Of float32 elements, as many as there may be.
        var result = Matrix(rows, "gram", size, size, 1e90);
        for (var i = 0; i < size; i++)
        {
            for (var j = 0; j < size; j++)
            {
                if (result[i, j] != result[j, i] || (i == j && result[i, i] < 0))
                {
                    throw new FaultException($"{Path}: gram[{i}][{j}] is {result[i, j]}, which no vectors give; save the basis again");
                }
            }
        }

        return result;
    }

    /// <summary>Rows of numbers that float32 can hold, or of the magnitude given.</summary>
    public double[,] Matrix(JsonElement rows, string what, int height, int width, double largest = float.MaxValue)
    {
        var result = new double[height, width];
        if (rows.GetArrayLength() != height)
        {
            throw new FaultException($"{Path}: {what} has {rows.GetArrayLength()} rows, and should have {height}");
        }

        var r = 0;
        foreach (var row in rows.EnumerateArray())
        {
            if (row.GetArrayLength() != width)
            {
                throw new FaultException($"{Path}: row {r} of {what} has {row.GetArrayLength()} numbers, and should have {width}");
            }

            var c = 0;
            foreach (var cell in row.EnumerateArray())
            {
                result[r, c] = cell.GetDouble();
                if (!(Math.Abs(result[r, c]) <= largest))
                {
                    throw new FaultException($"{Path}: {what}[{r}][{c}] is {cell.GetRawText()}, beyond any that a basis has");
                }

                c++;
            }

            r++;
        }

        return result;
    }

    /// <inheritdoc/>
    public void Dispose() => document.Dispose();
}
