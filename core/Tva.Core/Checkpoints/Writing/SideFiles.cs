using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Tva.Core.Tensors;

namespace Tva.Core.Checkpoints;

/// <summary>What a model's configuration has to say other than its base's.</summary>
/// <param name="DType">What all floating tensors are stored as, where that is said.</param>
/// <param name="Layers">Which of the base's layers each of its own was, where it has others than the base.</param>
/// <param name="HasHead">Whether it has an output layer of its own.</param>
public sealed record ConfigChanges(DType? DType = null, IReadOnlyList<int>? Layers = null, bool HasHead = false)
{
    /// <summary>It is as the base's.</summary>
    public static ConfigChanges None { get; } = new();
}

/// <summary>
/// Comes in: the folder of a base. Goes out: what of it a model made from it needs to be loaded: configuration, tokenizer, generation
/// settings; the configuration says what the new model is where that differs.
/// </summary>
public static class SideFiles
{
    private const long MaxBytes = 256L << 20;

    private const string Config = "config.json";
    private const string Tied = "tie_word_embeddings";

    /// <summary>What a configuration has an entry of for each layer.</summary>
    private static readonly string[] PerLayer = ["layer_types", "layers_block_type", "no_rope_layers", "mlp_layer_types"];

    /// <summary>What belongs to a model.</summary>
    private static readonly string[] OfModel = [Config, "generation_config.json"];

    /// <summary>What belongs to its vocabulary, which rows by token need of a task vector, too.</summary>
    private static readonly string[] OfTokenizer =
    [
        "tokenizer.json", "tokenizer_config.json", "tokenizer.model", "special_tokens_map.json", "added_tokens.json", "vocab.json", "vocab.txt",
        "merges.txt", "spiece.model", "sentencepiece.bpe.model", "chat_template.jinja", "chat_template.json", "preprocessor_config.json", "processor_config.json",
    ];

    /// <summary>The files, as they go beside the tensors.</summary>
    /// <param name="folder">The base's folder.</param>
    /// <param name="isModel">Whether the output is a model; a task vector that looked like one would be loaded as one.</param>
    /// <param name="changes">What the configuration has to say anew.</param>
    /// <exception cref="FaultException">A file can't be read, is no JSON though it is called so, or leads out of the folder.</exception>
    public static IReadOnlyList<SideFile> Of(string folder, bool isModel, ConfigChanges changes)
    {
        ArgumentNullException.ThrowIfNull(folder);
        var real = RealPath.Of(folder);
        var files = new List<SideFile>();
        foreach (var name in isModel ? [.. OfModel, .. OfTokenizer] : OfTokenizer)
        {
            var path = Path.Combine(folder, name);
            if (!CheckpointFinder.Exists(path))
            {
                continue;
            }

            if (!ShardIndex.IsHome(RealPath.Of(path), real))
            {
                throw new FaultException($"{path}: leads out of its folder, to {RealPath.Of(path)}; put the file itself there");
            }

            var content = Read(path);
            files.Add(new SideFile(name, name == Config && changes != ConfigChanges.None ? Changed(path, content, changes) : content));
        }

        return files;
    }

    /// <summary>A file beside a model, whole.</summary>
    /// <exception cref="FaultException">It can't be read, or is larger than any such file.</exception>
    internal static byte[] Read(string path)
    {
        try
        {
            var length = new FileInfo(path).Length;
            return length <= MaxBytes ? File.ReadAllBytes(path)
                : throw new FaultException($"{path}: has {Sizes.Text(length)}, more than the {Sizes.Text(MaxBytes)} that are copied beside a model; is it what its name says?");
        }
        catch (Exception e) when (FileFaults.Handles(e))
        {
            throw FileFaults.Reading(path, "can't read it", e);
        }
    }

    private static byte[] Changed(string path, byte[] content, ConfigChanges changes)
    {
        try
        {
            if (JsonNode.Parse(content) is not JsonObject config)
            {
                throw new FaultException($"{path}: is no JSON object; is it what its name says?");
            }

            var before = config.ToJsonString();
            if (changes.HasHead && Untied(path, config))
            {
                (config["text_config"] is JsonObject text && text.ContainsKey(Tied) ? text : config)[Tied] = false;
            }

            if (changes.Layers is { } layers && config["num_hidden_layers"] is JsonValue stated && stated.TryGetValue(out int count))
            {
                config["num_hidden_layers"] = layers.Count;
                foreach (var key in PerLayer)
                {
                    if (config[key] is JsonArray array && array.Count == count && layers.All(layer => layer < count))
                    {
                        config[key] = new JsonArray([.. layers.Select(layer => array[layer]?.DeepClone())]);
                    }
                }
            }

            // Loaders that are told "auto" take the type from here; newer files call it dtype.
            foreach (var key in (string[])["torch_dtype", "dtype"])
            {
                if (changes.DType is { } type && Torch(type) is { } name && config.ContainsKey(key))
                {
                    config[key] = name;
                }
            }

            if (config.ToJsonString() == before)
            {
                return content;
            }

            var options = new JsonSerializerOptions { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
            return Encoding.UTF8.GetBytes(config.ToJsonString(options) + "\n");
        }
        catch (Exception e) when (e is JsonException or ArgumentException or InvalidOperationException)
        {
            throw new FaultException($"{path}: is not valid JSON; it is damaged, copy or download it again", e);
        }
    }

    /// <summary>Whether a loader that is told this would take the embedding for the output layer, though there is one: it is the base's that had none.</summary>
    private static bool Untied(string path, JsonObject config)
    {
        static bool? Says(JsonNode? node) => node is JsonObject o && o[Tied] is JsonValue v && v.TryGetValue(out bool tied) ? tied : null;
        if ((Says(config) ?? Says(config["text_config"])) is { } says)
        {
            return says;
        }

        using var original = Checkpoint.Open(Path.GetDirectoryName(path)!);
        return !original.Tensors.Any(t => TiedWeights.IsHead(t.Name));
    }

    private static string? Torch(DType type) => type switch
    {
        DType.F64 => "float64", DType.F32 => "float32", DType.F16 => "float16", DType.BF16 => "bfloat16", _ => null,
    };
}
