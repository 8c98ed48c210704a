using System.Text.Json;
using Tva.Core.Bases;
using Tva.Core.Checkpoints;

namespace Tva.Core.Vocabulary;

/// <summary>
/// Comes in: a folder with a <c>tokenizer.json</c> (BPE, WordPiece and WordLevel keep token to id, Unigram a list of [token, score] by id, all of
/// them <c>added_tokens</c> beside), or with <c>vocab.json</c> and <c>added_tokens.json</c>. Goes out: the id of every token, each id once.
/// </summary>
public sealed class Tokenizer
{
    private const long MaxBytes = 256L << 20;
    private const string Main = "tokenizer.json";
    private const string Plain = "vocab.json";
    private const string Added = "added_tokens.json";

    private readonly Dictionary<string, int> ids = new(StringComparer.Ordinal);
    private readonly Dictionary<int, string> tokens = [];

    private Tokenizer(string path) => Path = path;

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <summary>Per token its id, which is its row in the tensors over the vocabulary.</summary>
    public IReadOnlyDictionary<string, int> Ids => ids;

    /// <summary>The token of an id, or null.</summary>
    public string? TokenOf(int id) => tokens.GetValueOrDefault(id);

    /// <summary>The token of the largest id.</summary>
    public (string Token, int Id) Last => tokens.MaxBy(t => t.Key) is var last ? (last.Value, last.Key) : default;

    /// <summary>The folder that a checkpoint's tokenizer would be in.</summary>
    public static string? FolderOf(Checkpoint checkpoint) => checkpoint.Files.Count == 0 ? null : System.IO.Path.GetDirectoryName(checkpoint.Files[0]);

    /// <summary>Whether a folder has a tokenizer of a form that is read here.</summary>
    public static bool IsIn(string? folder) =>
        folder is not null && (CheckpointFinder.Exists(System.IO.Path.Combine(folder, Main)) || CheckpointFinder.Exists(System.IO.Path.Combine(folder, Plain)));

    /// <summary>Tokens that both folders' tokenizers have under unlike ids, in the order of the first's; none where a folder has no tokenizer.</summary>
    /// <exception cref="FaultException">One can't be read.</exception>
    public static IReadOnlyList<string> Moved(string? first, string? second)
    {
        if (first is null || second is null || first == second || !IsIn(first) || !IsIn(second))
        {
            return [];
        }

        string a = System.IO.Path.Combine(first, Main), b = System.IO.Path.Combine(second, Main);
        if (CheckpointFinder.Exists(a) && CheckpointFinder.Exists(b) && new FileInfo(a).Length == new FileInfo(b).Length
            && SideFiles.Read(a).AsSpan().SequenceEqual(SideFiles.Read(b)))
        {
            return [];
        }

        var other = Read(second).Ids;
        return [.. Read(first).Ids.Where(t => other.TryGetValue(t.Key, out var id) && id != t.Value).OrderBy(t => t.Value).Select(t => t.Key)];
    }

    /// <summary>Reads a folder's tokenizer.</summary>
    /// <exception cref="FaultException">There is none; it is no JSON, of another form, or larger than 256 MiB; a token or an id stands twice.</exception>
    public static Tokenizer Read(string folder)
    {
        var main = System.IO.Path.Combine(folder, Main);
        var path = CheckpointFinder.Exists(main) ? main : System.IO.Path.Combine(folder, Plain);
        if (!CheckpointFinder.Exists(path))
        {
            throw new FaultException($"{folder}: has no {Main} and no {Plain}; rows go by tokens only where both models have one");
        }

        var tokenizer = new Tokenizer(path);
        using var json = JsonFile.Open(path, MaxBytes);
        if (path == main)
        {
            tokenizer.TakeModel(json.Root);
        }
        else
        {
            tokenizer.TakeObject(json.Root, path);
            var added = System.IO.Path.Combine(folder, Added);
            if (CheckpointFinder.Exists(added))
            {
                using var more = JsonFile.Open(added, MaxBytes);
                tokenizer.TakeObject(more.Root, added);
            }
        }

        return tokenizer.ids.Count > 0 ? tokenizer : throw new FaultException($"{path}: has no tokens");
    }

    private void TakeModel(JsonElement root)
    {
        if (!root.TryGetProperty("model", out var model) || model.ValueKind != JsonValueKind.Object || !model.TryGetProperty("vocab", out var vocab))
        {
            throw new FaultException($"{Path}: has no model.vocab, where a tokenizer of the tokenizers library keeps its tokens");
        }

        switch (vocab.ValueKind)
        {
            case JsonValueKind.Object:
                TakeObject(vocab, Path);
                break;
            case JsonValueKind.Array:
                var id = 0;
                foreach (var entry in vocab.EnumerateArray())
                {
                    if (entry.ValueKind != JsonValueKind.Array || entry.GetArrayLength() != 2 || entry[0].ValueKind != JsonValueKind.String)
                    {
                        throw new FaultException($"{Path}: entry {id} of model.vocab is no [token, score]");
                    }

                    Take(entry[0].GetString()!, id++);
                }

                break;
            default:
                throw new FaultException($"{Path}: model.vocab is neither token to id nor a list of [token, score]");
        }

        if (!root.TryGetProperty("added_tokens", out var added) || added.ValueKind == JsonValueKind.Null)
        {
            return;
        }

        if (added.ValueKind != JsonValueKind.Array)
        {
            throw new FaultException($"{Path}: added_tokens is no list");
        }

        foreach (var entry in added.EnumerateArray())
        {
            if (entry.ValueKind != JsonValueKind.Object || !entry.TryGetProperty("content", out var content) || content.ValueKind != JsonValueKind.String
                || !entry.TryGetProperty("id", out var number))
            {
                throw new FaultException($"{Path}: an entry of added_tokens has no id and content");
            }

            var (token, where) = (content.GetString()!, Id(number, content.GetString()!, Path));
            // What the model has already may be listed again, as special.
            if (ids.GetValueOrDefault(token, -1) != where)
            {
                Take(token, where);
            }
        }
    }

    private void TakeObject(JsonElement vocab, string path)
    {
        foreach (var entry in vocab.EnumerateObject())
        {
            Take(entry.Name, Id(entry.Value, entry.Name, path));
        }
    }

    private static int Id(JsonElement number, string token, string path) =>
        number.ValueKind == JsonValueKind.Number && number.TryGetInt32(out var id) && id >= 0
            ? id
            : throw new FaultException($"{path}: the id of {Quoted.Name(token)} is {Quoted.Name(number.GetRawText())}, and should be a whole number from 0");

    private void Take(string token, int id)
    {
        if (!ids.TryAdd(token, id))
        {
            throw new FaultException($"{Path}: {Quoted.Name(token)} has two ids, {ids[token]} and {id}");
        }

        if (!tokens.TryAdd(id, token))
        {
            throw new FaultException($"{Path}: {Quoted.Name(tokens[id])} and {Quoted.Name(token)} have one id, {id}");
        }
    }
}
