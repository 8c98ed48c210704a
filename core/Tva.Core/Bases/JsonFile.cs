using System.Text.Json;
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
        try
        {
            using var stream = File.OpenRead(path);
            if (stream.Length > maxBytes)
            {
                throw new FaultException($"{path}: has {Sizes.Text(stream.Length)}, more than the {Sizes.Text(maxBytes)} such a file may have");
            }

            var document = JsonDocument.Parse(stream);
            if (document.RootElement.ValueKind != JsonValueKind.Object)
            {
                throw new FaultException($"{path}: holds {document.RootElement.ValueKind}, and should hold one object");
            }

            return new JsonFile(path, document);
        }
        catch (JsonException e)
        {
            throw new FaultException($"{path}: is no JSON: {e.Message}", e);
        }
        catch (Exception e) when (FileFaults.Handles(e))
        {
            throw FileFaults.Reading(path, "can't be read", e);
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
