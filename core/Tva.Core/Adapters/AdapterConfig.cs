using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Tva.Core.Bases;
using Tva.Core.Checkpoints;

namespace Tva.Core.Adapters;

/// <summary>
/// Comes in: PEFT's <c>adapter_config.json</c>. Goes out: rank and scale of every module, and which way its matrices lie; or a fault that says
/// what this is instead of a low-rank adapter.
/// </summary>
public sealed class AdapterConfig
{
    /// <summary>The file that makes a folder an adapter.</summary>
    public const string FileName = "adapter_config.json";

    private const long MaxBytes = 16L << 20;

    /// <summary>Settings with which what is stored is no difference from the base, or none that holds for every input.</summary>
    private static readonly (string Key, string Means)[] Foreign =
    [
        ("use_dora", "DoRA also rescales the base's rows"),
        ("use_qalora", "QA-LoRA pools its inputs"),
        ("use_bdlora", "its factors are block-diagonal"),
        ("alora_invocation_tokens", "aLoRA changes only what follows certain tokens"),
        ("layer_replication", "it repeats layers of the base"),
        ("trainable_token_indices", "it replaces single rows of the embedding"),
        ("target_parameters", "it changes stacked parameters"),
        ("arrow_config", "it routes between several adapters"),
        ("velora_config", "it changes what is computed besides the weights"),
        ("monteclora_config", "its factors are drawn at random"),
    ];

    /// <summary>Ways to begin that leave the base as it is; the others (PiSSA, OLoRA, CorDA, LoftQ, LoRA-GA) take something out of it first.</summary>
    private static readonly string[] Beginnings = ["gaussian", "eva", "orthogonal"];

    private readonly int rank;
    private readonly double alpha;
    private readonly bool isStabilized;
    private readonly List<(Func<string, bool> Matches, double Value)> ranks;
    private readonly List<(Func<string, bool> Matches, double Value)> alphas;

    private AdapterConfig(string path, JsonElement root)
    {
        Path = path;
        var type = Text(root, "peft_type");
        if (type is not null && type != "LORA")
        {
            throw new FaultException($"{Path}: its peft_type is {Quoted.Name(type)}, and this version reads \"LORA\"; merge it into its base with the tool that made it");
        }

        foreach (var (key, means) in Foreign)
        {
            if (IsSet(root, key))
            {
                throw new FaultException($"{Path}: has {key}: {means}, so it is no sum of low-rank matrices; merge it into its base with the tool that made it");
            }
        }

        if (root.TryGetProperty("init_lora_weights", out var start) && start.ValueKind == JsonValueKind.String
            && !Beginnings.Contains(start.GetString()))
        {
            throw new FaultException($"{Path}: its init_lora_weights is {Quoted.Name(start.GetString()!)}: such an adapter starts from a changed base; save it with "
                + "path_initial_model_for_weight_conversion, which makes it a plain one");
        }

        var r = Number(root, "r") ?? 8;
        rank = r is >= 1 and <= int.MaxValue && r == Math.Floor(r) ? (int)r : throw new FaultException($"{Path}: its r is {r}, and should be a whole number from 1");
        alpha = Number(root, "lora_alpha") ?? 8;
        isStabilized = IsSet(root, "use_rslora");
        IsTransposed = IsSet(root, "fan_in_fan_out");
        ranks = Pattern(root, "rank_pattern");
        alphas = Pattern(root, "alpha_pattern");
        BaseName = Text(root, "base_model_name_or_path");
        SavedModules = root.TryGetProperty("modules_to_save", out var saved) && saved.ValueKind == JsonValueKind.Array
            ? [.. saved.EnumerateArray().Where(e => e.ValueKind == JsonValueKind.String).Select(e => e.GetString()!)]
            : [];
    }

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <summary>The rank of modules that no pattern speaks of.</summary>
    public int Rank => rank;

    /// <summary>Their α.</summary>
    public double Alpha => alpha;

    /// <summary>Whether the scale is α/√r (rsLoRA, arXiv 2312.03732) instead of α/r.</summary>
    public bool IsStabilized => isStabilized;

    /// <summary>Whether linear layers keep their weights as [in, out].</summary>
    public bool IsTransposed { get; }

    /// <summary>What the base was called, or null.</summary>
    public string? BaseName { get; }

    /// <summary>Modules that are kept in full.</summary>
    public IReadOnlyList<string> SavedModules { get; }

    /// <summary>Reads the file; keys unknown here are left alone, as PEFT leaves them.</summary>
    /// <exception cref="FaultException">No JSON, a value of the wrong kind, or no low-rank adapter.</exception>
    public static AdapterConfig Read(string path)
    {
        using var json = JsonFile.Open(path, MaxBytes);
        return new AdapterConfig(json.Path, json.Root);
    }

    /// <summary>
    /// What diffusers keeps of the configuration in a single file's header, as <c>lora_adapter_metadata</c>: the same keys, behind the name of the
    /// pipeline's part where there are several. Null where it tells no rank.
    /// </summary>
    /// <param name="path">The file, for messages.</param>
    /// <param name="text">The metadata's value, JSON.</param>
    /// <param name="part">The pipeline's part, or empty.</param>
    /// <exception cref="FaultException">As for <see cref="Read"/>.</exception>
    internal static AdapterConfig? OfHeader(string path, string text, string part)
    {
        using var document = JsonFile.Parse(path, "its lora_adapter_metadata", Encoding.UTF8.GetBytes(text));
        if (document.RootElement.ValueKind != JsonValueKind.Object)
        {
            throw new FaultException($"{path}: its lora_adapter_metadata holds {document.RootElement.ValueKind}, and should hold one object");
        }

        var prefix = part.Length == 0 ? "" : part + ".";
        var own = document.RootElement.EnumerateObject().Where(e => e.Name.StartsWith(prefix, StringComparison.Ordinal))
            .GroupBy(e => e.Name[prefix.Length..], StringComparer.Ordinal).ToDictionary(g => g.Key, g => g.Last().Value);
        return own.ContainsKey("r") ? new AdapterConfig(path, JsonSerializer.SerializeToElement(own)) : null;
    }

    /// <summary>The rank of a module, by PEFT's rule: the first pattern that matches all of its name, or all after a dot.</summary>
    public int RankOf(string module) => (int)(First(ranks, module) ?? rank);

    /// <summary>What B·A is multiplied with: α/r, or α/√r where it is stabilized.</summary>
    public double ScaleOf(string module)
    {
        var (r, a) = (RankOf(module), First(alphas, module) ?? alpha);
        return isStabilized ? a / Math.Sqrt(r) : a / r;
    }

    private static double? First(List<(Func<string, bool> Matches, double Value)> patterns, string module)
    {
        foreach (var (matches, value) in patterns)
        {
            if (matches(module))
            {
                return value;
            }
        }

        return null;
    }

    private List<(Func<string, bool> Matches, double Value)> Pattern(JsonElement root, string key)
    {
        var result = new List<(Func<string, bool>, double)>();
        if (!root.TryGetProperty(key, out var found) || found.ValueKind == JsonValueKind.Null)
        {
            return result;
        }

        if (found.ValueKind != JsonValueKind.Object)
        {
            throw new FaultException($"{Path}: {key} should be an object of numbers by module, and is {found.ValueKind}");
        }

        foreach (var entry in found.EnumerateObject())
        {
            var isRank = key == "rank_pattern";
            if (entry.Value.ValueKind != JsonValueKind.Number || !entry.Value.TryGetDouble(out var value) || !double.IsFinite(value)
                || (isRank && !(value is >= 1 and <= int.MaxValue && value == Math.Floor(value))))
            {
                throw new FaultException($"{Path}: {key} has {Quoted.Name(entry.Value.GetRawText())} for {Quoted.Name(entry.Name)}, and should have "
                    + (isRank ? "a whole number from 1" : "a number"));
            }

            result.Add((Matcher(key, entry.Name), value));
        }

        return result;
    }

    /// <summary><c>(.*\.)?(KEY)$</c> from the name's start, where the key is a regular expression.</summary>
    private Func<string, bool> Matcher(string pattern, string key)
    {
        if (key.All(c => char.IsAsciiLetterOrDigit(c) || c is '_' or '.'))
        {
            // Nearly all keys are names; a dot stands for any character in them too.
            return module =>
            {
                var from = module.Length - key.Length;
                return from >= 0 && (from == 0 || module[from - 1] == '.') && !key.Where((c, i) => c != '.' && c != module[from + i]).Any();
            };
        }

        try
        {
            // In linear time: nobody vouches for the file.
            var regex = new Regex($@"^(.*\.)?({key})$", RegexOptions.NonBacktracking | RegexOptions.CultureInvariant);
            return regex.IsMatch;
        }
        catch (Exception e) when (e is ArgumentException or NotSupportedException)
        {
            throw new FaultException($"{Path}: {pattern} has {Quoted.Name(key)}, which is no regular expression that can be followed: {e.Message}", e);
        }
    }

    private double? Number(JsonElement root, string key)
    {
        if (!root.TryGetProperty(key, out var found) || found.ValueKind == JsonValueKind.Null)
        {
            return null;
        }

        return found.ValueKind == JsonValueKind.Number && found.TryGetDouble(out var value) && double.IsFinite(value)
            ? value
            : throw new FaultException($"{Path}: its {key} is {Quoted.Name(found.GetRawText())}, and should be a number");
    }

    private string? Text(JsonElement root, string key)
    {
        if (!root.TryGetProperty(key, out var found) || found.ValueKind == JsonValueKind.Null)
        {
            return null;
        }

        return found.ValueKind == JsonValueKind.String
            ? found.GetString()
            : throw new FaultException($"{Path}: its {key} is {Quoted.Name(found.GetRawText())}, and should be a text");
    }

    private static bool IsSet(JsonElement root, string key) =>
        root.TryGetProperty(key, out var found) && found.ValueKind switch
        {
            JsonValueKind.Null or JsonValueKind.False => false,
            JsonValueKind.Array => found.GetArrayLength() > 0,
            JsonValueKind.Object => found.EnumerateObject().Any(),
            _ => true,
        };
}
