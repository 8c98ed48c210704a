using System.Text;
using Tva.Core.Adapters;
using Tva.Core.Bases;
using Tva.Core.Checkpoints;
using Tva.Core.Tensors;
using Tva.Core.Vocabulary;

namespace Tva.Fuzz;

/// <summary>A JSON file beside good checkpoints: one of some good texts, changed token by token.</summary>
public abstract class JsonTarget(string folder, string[] good, string[] words) : Target(folder)
{
    public override byte[] Make(Random random) => JsonTokens.Damage(random, good[random.Next(good.Length)], words);

    /// <summary>A safetensors file of F32 zeros.</summary>
    protected string PutTensors(string name, params (string Name, int Rows, int Columns)[] tensors)
    {
        var header = new StringBuilder("{");
        int end = 0;
        foreach (var (tensor, rows, columns) in tensors)
        {
            header.Append($"{(end > 0 ? "," : "")}\"{tensor}\":{{\"dtype\":\"F32\",\"shape\":[{rows},{columns}],\"data_offsets\":[{end},{end += 4 * rows * columns}]}}");
        }

        var text = Encoding.UTF8.GetBytes(header.Append('}').ToString());
        return Put(name, [.. BitConverter.GetBytes((long)text.Length), .. text, .. new byte[end]]);
    }
}

/// <summary>Indexes of shards.</summary>
public sealed class IndexTarget : JsonTarget
{
    public IndexTarget(string folder)
        : base(folder,
            ["""{"metadata":{"total_size":16},"weight_map":{"a":"s-1.safetensors","b":"s-1.safetensors","c":"s-2.safetensors"}}""",
            """{"weight_map":{"a":"deep/s-1.safetensors","b":"deep/s-1.safetensors"},"metadata":{"x":[1,{"y":null}]}}"""],
            ["\"s-1.safetensors\"", "\"s-2.safetensors\"", "\"s-3.safetensors\"", "\"deep/s-1.safetensors\"", "\"../s-1.safetensors\"", "\"link.safetensors\"", "\"/etc/passwd\"", "\"weight_map\"", "\"x.safetensors.index.json\"",
            "\"deep\"", "\"s-1.safetensors/\"", "\"a\"", "\"b\"", "\"c\"", "\"pipe\"", "\".\"", "\"deep/../s-1.safetensors\"", "\"deep\\\\..\\\\s-1.safetensors\""])
    {
        Directory.CreateDirectory(Path.Combine(folder, "deep"));
        PutTensors("s-1.safetensors", ("a", 1, 1), ("b", 1, 2));
        PutTensors("s-2.safetensors", ("c", 1, 1));
        PutTensors("deep/s-1.safetensors", ("a", 1, 1), ("b", 1, 2));
        File.CreateSymbolicLink(Path.Combine(folder, "link.safetensors"), "/etc/hostname");
    }

    public override bool Run(byte[] input)
    {
        string index = Put("x.safetensors.index.json", input);
        using (var checkpoint = Checkpoint.Open(index))
        {
            string inside = Path.TrimEndingDirectorySeparator(Folder) + Path.DirectorySeparatorChar;
            Require(checkpoint.Files.All(file => file.StartsWith(inside, StringComparison.Ordinal) && !file.Contains("link", StringComparison.Ordinal)), "leads out of its folder");
        }

        return Use(index);
    }
}

/// <summary>A model's configuration, asked whether its output layer is its embedding.</summary>
public sealed class ConfigTarget : JsonTarget
{
    private readonly string model;
    private readonly string tied;

    public ConfigTarget(string folder)
        : base(folder,
            ["""{"architectures":["LlamaForCausalLM"],"tie_word_embeddings":true,"vocab_size":4,"num_hidden_layers":2,"text_config":{"tie_word_embeddings":false}}""",
            """{"model_type":"gemma","text_config":{"tie_word_embeddings":true,"hidden_size":2},"torch_dtype":"bfloat16"}"""],
            ["\"tie_word_embeddings\"", "\"text_config\"", "true", "false", "null", "\"true\""])
    {
        model = PutTensors("model.safetensors", ("model.embed_tokens.weight", 4, 2), ("w", 1, 2));
        tied = PutTensors("tied.safetensors", ("model.embed_tokens.weight", 4, 2), ("lm_head.weight", 4, 2));
    }

    public override bool Run(byte[] input)
    {
        Put("config.json", input);
        using var one = Checkpoint.Open(model);
        using var two = Checkpoint.Open(tied);
        _ = TiedWeights.Missing(one, "lm_head.weight", new Shape(4, 2));
        return TiedWeights.Repeated(two) is { } tie && TiedWeights.AreEqual(two, tie);
    }
}

/// <summary>PEFT's configuration of an adapter.</summary>
public sealed class AdapterTarget : JsonTarget
{
    private readonly string file;

    public AdapterTarget(string folder)
        : base(folder,
            ["""{"peft_type":"LORA","r":2,"lora_alpha":4,"use_rslora":false,"fan_in_fan_out":false,"rank_pattern":{"q_proj":2,"^b.*\\.v":1},"alpha_pattern":{"q":8.5},"modules_to_save":["head"],"target_modules":["q"],"base_model_name_or_path":"x","init_lora_weights":true,"bias":"none"}""",
            """{"r":2,"lora_alpha":2,"rank_pattern":{},"alpha_pattern":{},"use_dora":false,"layers_to_transform":null,"init_lora_weights":"gaussian","task_type":"CAUSAL_LM"}"""],
            ["\"r\"", "\"lora_alpha\"", "\"rank_pattern\"", "\"alpha_pattern\"", "\"(a|a)*$\"", "\"(.*)*x\"", "\"[\"", "\"(?<x>\"", "\"\\\\1\"", "\"LORA\"", "\"modules_to_save\"", "\"use_dora\"", "true", "{\"q\":1}", "\"(?=(a+))a*b\\\\1\""]) =>
        file = PutTensors("adapter_model.safetensors", ("base_model.model.a.q_proj.lora_A.weight", 2, 3), ("base_model.model.a.q_proj.lora_B.weight", 4, 2));

    public override bool Run(byte[] input)
    {
        Put("adapter_config.json", input);
        using var checkpoint = Checkpoint.Open(file);
        return AdapterLayout.IsAdapter(checkpoint) && AdapterLayout.Read(checkpoint).Modules.Count >= 0;
    }
}

/// <summary>What diffusers keeps of an adapter's configuration in the file's own header.</summary>
public sealed class AdapterHeaderTarget(string folder) : JsonTarget(folder,
    ["""{"unet.r":2,"unet.lora_alpha":4,"unet.rank_pattern":{"q":2},"text_encoder.r":4}""", """{"r":2,"lora_alpha":2,"alpha_pattern":{}}"""],
    ["\"unet.r\"", "\"unet.lora_alpha\"", "\"r\"", "\"unet.rank_pattern\"", "{\"a\":3}"])
{
    public override bool Run(byte[] input)
    {
        // A text within a text: its bytes as they are where they are no UTF-8, else quoted.
        string quoted = System.Text.Json.JsonSerializer.Serialize(Encoding.UTF8.GetString(input));
        var text = Encoding.UTF8.GetBytes($"{{\"__metadata__\":{{\"lora_adapter_metadata\":{quoted}}},\"unet.a.q.lora_A.weight\":{{\"dtype\":\"F32\",\"shape\":[2,1],\"data_offsets\":[0,8]}},"
            + "\"unet.a.q.lora_B.weight\":{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[8,16]}}");
        using var checkpoint = Checkpoint.Open(Put("lora.safetensors", [.. BitConverter.GetBytes((long)text.Length), .. text, .. new byte[16]]));
        return AdapterLayout.IsAdapter(checkpoint) && AdapterLayout.Read(checkpoint).Modules.Count >= 0;
    }
}

/// <summary>The file that makes a folder a basis.</summary>
public sealed class BasisTarget : JsonTarget
{
    public BasisTarget(string folder)
        : base(folder, [Good(folder)],
            ["\"atoms\"", "\"encoder\"", "\"gram\"", "\"files\"", "\"mean\"", "\"scales\"", "\"I8\"", "\"basis.json\"", "\"atoms.safetensors\"", "\"errors\"", "[[1,2],[2,1]]", "\"pca\"", "\"layer\"", "\"../atoms.safetensors\"", "\"link.safetensors\""]) =>
        File.CreateSymbolicLink(Path.Combine(folder, "link.safetensors"), "/etc/hostname");

    public override bool Run(byte[] input)
    {
        Put("basis.json", input);
        var basis = BasisFolder.Open(Folder);
        foreach (var atom in basis.Atoms.Concat(basis.Mean is { } mean ? [mean] : []))
        {
            atom.Dispose();
        }

        return true;
    }

    private static string Good(string folder)
    {
        var text = "{\"w\":{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[0,8]}}"u8.ToArray();
        string path = Path.Combine(folder, "atoms.safetensors");
        File.WriteAllBytes(path, [.. BitConverter.GetBytes((long)text.Length), .. text, .. new byte[8]]);
        using var atoms = Checkpoint.Open(path);
        return $$$"""{"format":"tva-basis 1","method":"svd","by":"all","atoms":1,"dtype":"F32","tasks":["a","b"],"base":{"path":"x","fingerprint":"f"},"files":{"atoms":{"name":"atoms.safetensors","fingerprint":"{{{atoms.Fingerprint}}}"}},"loss":0.1,"bound":0.1,"errors":{"a":{"norm":1,"relative_error":0.1,"cosine":0.9},"b":{"norm":1,"relative_error":null,"cosine":0.9}},"groups":[{"label":"all","gram":[[1,0.5],[0.5,1]],"encoder":[[1],[0]],"decoder":[[1,0.5]]}],"expression":"x","version":"1"}""";
    }
}

/// <summary>Tokenizers: tokens and their rows.</summary>
public sealed class TokenizerTarget(string folder) : JsonTarget(folder,
    ["""{"model":{"type":"BPE","vocab":{"a":0,"b":1,"τ":2},"merges":["a b"]},"added_tokens":[{"id":3,"content":"<s>","special":true}]}""",
    """{"model":{"type":"Unigram","vocab":[["a",-1.5],["b",0],["c",-3e2]]},"added_tokens":null}"""],
    ["\"model\"", "\"vocab\"", "\"added_tokens\"", "\"content\"", "\"id\"", "[\"a\",0]", "{\"id\":1,\"content\":\"b\"}"])
{
    public override bool Run(byte[] input)
    {
        Put("tokenizer.json", input);
        var tokenizer = Tokenizer.Read(Folder);
        Require(tokenizer.Ids.All(pair => tokenizer.TokenOf(pair.Value) == pair.Key) && tokenizer.TokenOf(tokenizer.Last.Id) == tokenizer.Last.Token, "ids and tokens disagree");
        return true;
    }
}
