using System.Text.Json;
using System.Text.Unicode;

namespace Tva.Core.Checkpoints;

/// <summary>
/// Comes in: an index file that says which shard has which tensor. Goes out: the checkpoint of its shards, each tensor found where
/// the index says and none left over.
/// </summary>
internal static class ShardIndex
{
    // Where each lies is asked of the file system.
    private const int MaxShards = 10_000;
    private const int MaxTensors = 1 << 18;

    /// <summary>Opens an index and its shards, which lie in its folder.</summary>
    /// <param name="path">What the user named, for messages.</param>
    /// <param name="index">The index file.</param>
    /// <param name="single">A file beside it of the name that a whole model has, which others would take instead; null where there is none.</param>
    public static Checkpoint Open(string path, string index, string? single = null)
    {
        var map = ReadMap(index);
        if (single is not null && !map.ContainsValue(single))
        {
            throw new FaultException($"{path}: has both {Quoted.Name(single)} and an index of other files, {Quoted.Name(Path.GetFileName(index))}; "
                + "name the one you mean, or remove the other");
        }

        string folder = Path.GetDirectoryName(index) ?? "";
        var shards = map.Values.Distinct().Order(StringComparer.Ordinal).ToArray();
        if (shards.Length > MaxShards)
        {
            throw new FaultException($"{index}: names {shards.Length} shards, and an index has at most {MaxShards}; is it of this model?");
        }

        RequireInside(index, folder, shards);
        var missing = shards.Where(shard => !CheckpointFinder.Exists(Path.Combine(folder, shard))).ToArray();
        if (missing.Length > 0)
        {
            throw new FaultException($"{index}: {missing.Length} of its {shards.Length} shards are missing: {Quoted.List(missing)}; "
                + "copy or download them into its folder");
        }

        var files = shards.Select(shard => Path.Combine(folder, shard)).ToArray();
        Checkpoint checkpoint = files.All(PyTorchFormat.HasExtension)
            ? PyTorchCheckpoint.Open(path, files)
            : new SafetensorsCheckpoint(path, [.. files.Select((file, i) => new SafetensorsFile(file, i))]);
        RequireAgreement(index, map, shards, checkpoint);
        return checkpoint;
    }

    private static Dictionary<string, string> ReadMap(string index)
    {
        byte[] text;
        using (var file = new InputFile(index, "an index file"))
        {
            if (file.Length > HeaderText.MaxBytes)
            {
                throw new FaultException($"{index}: is longer than {HeaderText.MaxBytes} bytes; this is no index");
            }

            text = new byte[file.Length];
            file.Read(text, 0, "the index");
        }

        try
        {
            return Utf8.IsValid(text) ? Parse(index, text) : throw new FaultException($"{index}: is not valid UTF-8; it is damaged");
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw new FaultException($"{index}: is not valid JSON; it is damaged, copy or download it again", e);
        }
    }

    private static Dictionary<string, string> Parse(string index, ReadOnlySpan<byte> text)
    {
        var json = new Utf8JsonReader(text);
        Dictionary<string, string>? map = null;
        if (!json.Read() || json.TokenType != JsonTokenType.StartObject)
        {
            throw new FaultException($"{index}: is not an index: it is not a JSON object");
        }

        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            if (!json.ValueTextEquals("weight_map"u8))
            {
                json.Skip();
                continue;
            }

            json.Read();
            if (map is not null || json.TokenType != JsonTokenType.StartObject)
            {
                throw new FaultException($"{index}: its weight_map is {(map is null ? "not an object" : "there twice")}");
            }

            map = [];
            while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
            {
                string name = json.GetString()!;
                json.Read();
                if (json.TokenType != JsonTokenType.String)
                {
                    throw new FaultException($"{index}: tensor {Quoted.Name(name)}: its shard is not a text");
                }

                if (map.Count == MaxTensors)
                {
                    throw new FaultException($"{index}: lists more than {MaxTensors} tensors, as no model has");
                }

                if (!map.TryAdd(name, json.GetString()!))
                {
                    throw new FaultException($"{index}: tensor {Quoted.Name(name)} is in the weight_map twice");
                }
            }
        }

        json.Read(); // refuses anything but blanks behind the closing brace
        return map is { Count: > 0 } ? map : throw new FaultException($"{index}: has no weight_map that names shards; is it an index?");
    }

    // An index comes with a download; it must not make a run read, and so publish, files from elsewhere on this machine.
    private static void RequireInside(string index, string folder, string[] shards)
    {
        string real = RealPath.Of(folder.Length == 0 ? "." : folder);
        var outside = shards.Where(shard =>
            shard.Length == 0 || shard.Contains('\0') || Path.IsPathRooted(shard) || shard.Split('/', '\\').Contains("..")
            || !IsHome(RealPath.Of(Path.Combine(real, shard)), real)).ToArray();
        if (outside.Length > 0)
        {
            throw new FaultException($"{index}: names shards outside its folder: {Quoted.List(outside)}; "
                + "move them beside the index and name them by file name alone");
        }
    }

    // The Hugging Face cache keeps snapshots/REVISION/ full of links into its own blobs/.
    internal static bool IsHome(string shard, string folder) =>
        RealPath.IsIn(shard, folder)
        || (Path.GetDirectoryName(folder) is { } snapshots && Path.GetFileName(snapshots) == "snapshots"
            && RealPath.IsIn(shard, Path.Combine(Path.GetDirectoryName(snapshots)!, "blobs")));

    private static void RequireAgreement(string index, Dictionary<string, string> map, string[] shards, Checkpoint checkpoint)
    {
        var absent = map.Where(pair => checkpoint.Find(pair.Key) is not { } tensor || shards[tensor.File] != pair.Value)
            .Select(pair => pair.Key).ToArray();
        var extra = checkpoint.Tensors.Where(tensor => !map.ContainsKey(tensor.Name)).Select(tensor => tensor.Name).ToArray();
        if (absent.Length + extra.Length == 0)
        {
            return;
        }

        string what = string.Join("; ", new[]
        {
            absent.Length > 0 ? $"{absent.Length} tensors are not in the shard it names: {Quoted.List(absent)}" : "",
            extra.Length > 0 ? $"{extra.Length} tensors of the shards are not in it: {Quoted.List(extra)}" : "",
        }.Where(part => part.Length > 0));
        throw new FaultException($"{index}: {what}; index and shards are of different models or one was edited: download them again, "
            + "or remove the index to load every .safetensors file of the folder");
    }
}
