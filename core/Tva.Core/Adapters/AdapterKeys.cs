using Tva.Core.Checkpoints;

namespace Tva.Core.Adapters;

/// <summary>What a tensor of an adapter's file is to its module.</summary>
internal enum AdapterPart
{
    /// <summary>A, [r, in] or [r, in, kh, kw].</summary>
    Down,

    /// <summary>B, [out, r] or [out, r, 1, 1].</summary>
    Up,

    /// <summary>A of an embedding, [r, rows].</summary>
    EmbeddingDown,

    /// <summary>B of an embedding, [columns, r].</summary>
    EmbeddingUp,

    /// <summary>What is added to the bias, before scaling.</summary>
    UpBias,

    /// <summary>α, one number.</summary>
    Alpha,

    /// <summary>A tensor in full, which replaces the base's.</summary>
    Whole,
}

/// <summary>A tensor of the file taken for what it is.</summary>
/// <param name="Module">The module's name as the file has it; of a whole tensor its own name.</param>
/// <param name="Part">Its part.</param>
/// <param name="Group">What its module is found in the base with: of one group all modules lie under one prefix.</param>
/// <param name="IsFlat">Whether the name has underscores for dots.</param>
internal readonly record struct AdapterKey(string Module, AdapterPart Part, string Group, bool IsFlat);

/// <summary>Comes in: a tensor's name in an adapter's file, in the style of PEFT, diffusers or kohya. Goes out: its module and part.</summary>
internal static class AdapterKeys
{
    /// <summary>Components that only other kinds of adapters have; those that end with an underscore as beginnings.</summary>
    private static readonly (string Begin, string Kind)[] Foreign =
    [
        ("lora_magnitude_vector", "DoRA"), ("dora_scale", "DoRA"), ("hada_", "LoHa"), ("lokr_", "LoKr"), ("oft_", "OFT"), ("boft_", "BOFT"), ("ia3_", "IA3"),
        ("vera_", "VeRA"), ("lora_E", "AdaLoRA"), ("lora_mid", "LoCon with Tucker factors"), ("lora_ranknum", "AdaLoRA"), ("glora_", "GLoRA"),
        ("trainable_tokens_", "trainable tokens"), ("on_input", "IA3"), ("prompt_embeddings", "prompt tuning"), ("lora_w1", "a mixture"),
    ];

    /// <summary>Parts of a pipeline, each of which has a prefix of its own.</summary>
    private static readonly string[] Pipelines = ["unet", "text_encoder", "text_encoder_2", "transformer", "diffusion_model"];

    private static readonly string[] FlatPrefixes =
        ["lora_unet_", "lora_te1_", "lora_te2_", "lora_te3_", "lora_te_", "lora_transformer_", "lora_prior_unet_", "lora_prior_te_", "lycoris_"];

    /// <summary>Whether a name is one that only adapters have.</summary>
    public static bool IsTelling(string name) =>
        name.Contains(".lora_", StringComparison.Ordinal) || name.Contains("_lora.", StringComparison.Ordinal)
        || name.Contains(".lora.", StringComparison.Ordinal) || Foreign.Any(f => name.Contains("." + f.Begin, StringComparison.Ordinal));

    /// <summary>Takes a name apart.</summary>
    /// <exception cref="FaultException">It belongs to another kind of adapter.</exception>
    public static AdapterKey Parse(string file, string name)
    {
        var stripped = name.StartsWith("base_model.model.", StringComparison.Ordinal) ? name["base_model.model.".Length..] : name;
        var parts = stripped.Split('.');
        foreach (var (begin, kind) in Foreign)
        {
            if (parts.Any(p => begin[^1] == '_' ? p.StartsWith(begin, StringComparison.Ordinal) : p == begin))
            {
                throw new FaultException(
                    $"{file}: has {Quoted.Name(name)}, which is of {kind}; this version reads LoRA: merge it into its base with the tool that made it");
            }
        }

        for (var i = 1; i < parts.Length; i++)
        {
            var (module, rest) = (parts[..i], parts[(i + 1)..]);
            switch (parts[i])
            {
                case "lora_A" or "lora_B" when IsWeight(rest):
                    return Make(module, parts[i] == "lora_A" ? AdapterPart.Down : AdapterPart.Up);
                case "lora_B" when rest is ["bias"] or [_, "bias"]:
                    return Make(module, AdapterPart.UpBias);
                case "lora_embedding_A" or "lora_embedding_B" when rest.Length <= 2:
                    return Make(module, parts[i] == "lora_embedding_A" ? AdapterPart.EmbeddingDown : AdapterPart.EmbeddingUp);
                case "lora_down" or "lora_up" when IsWeight(rest):
                    return Make(module, parts[i] == "lora_down" ? AdapterPart.Down : AdapterPart.Up);
                case "alpha" when rest.Length == 0:
                    return Make(module, AdapterPart.Alpha);
                case "lora" when rest is ["down" or "up", "weight"]:
                    return Make(module, rest[0] == "down" ? AdapterPart.Down : AdapterPart.Up);
                case var p when p.EndsWith("_lora", StringComparison.Ordinal) && rest is ["down" or "up", "weight"]:
                    // diffusers' attention processors: to_q_lora of attn1.processor is attn1.to_q.
                    var layer = p == "to_out_lora" ? "to_out.0" : p[..^"_lora".Length];
                    return Make([.. module.Where(m => m != "processor"), layer], rest[0] == "down" ? AdapterPart.Down : AdapterPart.Up);
            }
        }

        // What PEFT has trained in full; it may stand with the wrapper's name in between.
        var whole = new List<string>();
        for (var i = 0; i < parts.Length; i++)
        {
            if (parts[i] == "modules_to_save")
            {
                // Followed by the adapter's name in files that were not made by save_pretrained.
                i += i + 2 < parts.Length && parts[i + 1] == "default" ? 1 : 0;
            }
            else if (parts[i] != "base_layer" && parts[i] != "original_module")
            {
                whole.Add(parts[i]);
            }
        }

        return Make([.. whole], AdapterPart.Whole);
    }

    private static bool IsWeight(string[] rest) => rest is [] or ["weight"] or [_, "weight"] or ["default"];

    private static AdapterKey Make(string[] module, AdapterPart part)
    {
        if (module is [var only] && FlatPrefixes.FirstOrDefault(p => only.StartsWith(p, StringComparison.Ordinal)) is { } prefix)
        {
            return new AdapterKey(only[prefix.Length..], part, prefix, true);
        }

        return Pipelines.Contains(module[0]) && module.Length > 1
            ? new AdapterKey(string.Join('.', module[1..]), part, module[0], false)
            : new AdapterKey(string.Join('.', module), part, "", false);
    }
}
