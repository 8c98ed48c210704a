using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Tva.Core.Tensors;

namespace Tva.Core.Checkpoints;

/// <summary>
/// Comes in: tensors in order and the most that a shard may hold. Goes out: which shard has which, the shards' names, and the index, as the
/// libraries of Hugging Face write them: a tensor begins a shard where the one before would grow too large; one alone may be larger.
/// </summary>
internal sealed class ShardLayout
{
    public const string Single = "model.safetensors";
    public const string IndexName = "model.safetensors.index.json";

    /// <param name="tensors">In order.</param>
    /// <param name="most">Bytes of tensors in a shard.</param>
    public ShardLayout(IReadOnlyList<(string Name, DType DType, Shape Shape)> tensors, long most)
    {
        Shard = new int[tensors.Count];
        Place = new int[tensors.Count];
        var members = new List<List<int>> { new() };
        long held = 0;
        for (var i = 0; i < tensors.Count; i++)
        {
            var bytes = tensors[i].Shape.Elements * tensors[i].DType.Size();
            if (held > 0 && bytes > most - held)
            {
                members.Add([]);
                held = 0;
            }

            held += bytes;
            TotalBytes += bytes;
            (Shard[i], Place[i]) = (members.Count - 1, members[^1].Count);
            members[^1].Add(i);
        }

        Members = [.. members.Select(m => m.ToArray())];
        Names = members.Count == 1 ? [Single] : [.. members.Select((_, i) => string.Create(
            CultureInfo.InvariantCulture, $"model-{i + 1:00000}-of-{members.Count:00000}.safetensors"))];
        Index = members.Count == 1 ? null : Render(tensors);
    }

    /// <summary>The shard of each tensor.</summary>
    public int[] Shard { get; }

    /// <summary>Its number there.</summary>
    public int[] Place { get; }

    /// <summary>The tensors of each shard.</summary>
    public IReadOnlyList<int[]> Members { get; }

    /// <summary>File names of the shards.</summary>
    public IReadOnlyList<string> Names { get; }

    /// <summary>Bytes of all tensors.</summary>
    public long TotalBytes { get; }

    /// <summary>The index file's content; null for a single file, which has none.</summary>
    public byte[]? Index { get; }

    private byte[] Render(IReadOnlyList<(string Name, DType DType, Shape Shape)> tensors)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            json.WriteStartObject();
            json.WriteStartObject("metadata");
            json.WriteNumber("total_size", TotalBytes);
            json.WriteEndObject();
            json.WriteStartObject("weight_map");
            foreach (var i in Enumerable.Range(0, tensors.Count).OrderBy(i => tensors[i].Name, StringComparer.Ordinal))
            {
                json.WriteString(tensors[i].Name, Names[Shard[i]]);
            }

            json.WriteEndObject();
            json.WriteEndObject();
        }

        stream.Write(Encoding.UTF8.GetBytes("\n"));
        return stream.ToArray();
    }
}
