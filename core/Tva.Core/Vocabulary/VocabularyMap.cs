using Tva.Core.Checkpoints;
using Tva.Core.Tensors;

namespace Tva.Core.Vocabulary;

/// <summary>Comes in: two models with their tokenizers. Goes out: for each row of the base's tensors over the vocabulary the row of the other's that is of the same token.</summary>
public sealed class VocabularyMap
{
    /// <summary>What tensors over the vocabulary are called, the last components of their names; the first five are embeddings.</summary>
    private static readonly string[] Names =
    [
        "embed_tokens.weight", "wte.weight", "word_embeddings.weight", "tok_embeddings.weight", "embed_in.weight", "shared.weight",
        "token_embedding.weight", "backbone.embeddings.weight", "lm_head.weight", "lm_head.bias", "embed_out.weight", "predictions.decoder.weight", "predictions.decoder.bias", "predictions.bias",
    ];

    private VocabularyMap(int[] rows, IReadOnlyList<string> tensors, int shared, int moved, IReadOnlyList<string> dropped, IReadOnlyList<string> kept, int padding) =>
        (Rows, Tensors, Shared, Moved, Dropped, Kept, Padding) = (rows, tensors, shared, moved, dropped, kept, padding);

    /// <summary>
    /// Per row of the base the other's row, or -1 where the other has none. A tensor with fewer rows ends sooner: what it lacks are rows without
    /// a token.
    /// </summary>
    public IReadOnlyList<int> Rows { get; }

    /// <summary>The names of the tensors that have a row per token, in both.</summary>
    public IReadOnlyList<string> Tensors { get; }

    /// <summary>How many tokens both have.</summary>
    public int Shared { get; }

    /// <summary>How many of those are in another row.</summary>
    public int Moved { get; }

    /// <summary>Tokens that only the other has, by id.</summary>
    public IReadOnlyList<string> Dropped { get; }

    /// <summary>Tokens that only the base has, by id.</summary>
    public IReadOnlyList<string> Kept { get; }

    /// <summary>How many rows of the base's largest such tensor have no token.</summary>
    public int Padding { get; }

    /// <summary>
    /// Finds the tensors and reads both tokenizers. Tensors over the vocabulary are those called as such tensors are, and those of any name
    /// whose shapes differ in the number of rows alone, as the embeddings' do, or where none has such a name, at all. They need not agree in the
    /// rows that they have behind the last token.
    /// </summary>
    /// <param name="origin">The base.</param>
    /// <param name="other">The model to take rows of.</param>
    /// <exception cref="FaultException">A tokenizer is missing or damaged, has an id beyond the rows, or there are no such tensors.</exception>
    public static VocabularyMap Between(Checkpoint origin, Checkpoint other)
    {
        var pairs = origin.Tensors
            .Select(t => (Base: t, Other: other.Find(t.Name)))
            .Where(p => p.Other is not null && p.Base.Shape.Dims.Count > 0 && p.Base.Shape.Dims.Skip(1).SequenceEqual(p.Other.Shape.Dims.Skip(1)) && p.Base.DType.IsFloating() && p.Other.DType.IsFloating())
            .Select(p => (p.Base.Name, Rows: p.Base.Shape.Dims[0], OtherRows: p.Other!.Shape.Dims[0], IsNamed: Names.Any(n => p.Base.Name == n || p.Base.Name.EndsWith("." + n, StringComparison.Ordinal))))
            .ToArray();
        var named = pairs.Where(p => p.IsNamed).Select(p => (p.Rows, p.OtherRows)).ToHashSet();
        var over = pairs.Where(p => p.IsNamed || (p.Rows != p.OtherRows && (named.Count == 0 || named.Contains((p.Rows, p.OtherRows))))).ToArray();
        if (over.Length == 0)
        {
            throw new FaultException(
                $"{other.Path}: no tensor that it shares with {origin.Path} is over the vocabulary: none ends in {string.Join(", ", Names.Take(5))} or the like");
        }

        var (least, otherLeast, rows) = (over.MinBy(p => p.Rows), over.MinBy(p => p.OtherRows), over.Max(p => p.Rows));
        var tensors = over.Select(p => p.Name).ToArray();
        var (a, b) = (Of(origin, least.Name, least.Rows), Of(other, otherLeast.Name, otherLeast.OtherRows));
        var map = new int[rows];
        Array.Fill(map, -1);
        var moved = 0;
        var shared = 0;
        foreach (var (token, id) in a.Ids)
        {
            if (b.Ids.TryGetValue(token, out var row))
            {
                map[id] = row;
                shared++;
                moved += row == id ? 0 : 1;
            }
        }

        if (shared == 0)
        {
            throw new FaultException(
                $"{other.Path}: its tokenizer has not one token in common with that of {origin.Path}: they are of different kinds, and rows can't be matched by token");
        }

        return new VocabularyMap(map, tensors, shared, moved, Beyond(b, a), Beyond(a, b), (int)rows - a.Ids.Count);
    }

    /// <summary>The other's tensors with the base's rows, a row that it lacks being the base's, or zero where it holds differences.</summary>
    /// <param name="origin">The base.</param>
    /// <param name="other">The model to take rows of.</param>
    /// <param name="holdsDifferences">Whether the other is a task vector.</param>
    public Checkpoint View(Checkpoint origin, Checkpoint other, bool holdsDifferences) => new RowsCheckpoint(origin, other, this, holdsDifferences);

    private static Tokenizer Of(Checkpoint checkpoint, string tensor, long rows)
    {
        var tokenizer = Tokenizer.Read(Tokenizer.FolderOf(checkpoint) ?? checkpoint.Path);
        var (token, id) = tokenizer.Last;
        return id < rows
            ? tokenizer
            : throw new FaultException($"{tokenizer.Path}: {Quoted.Name(token)} has the id {id}, and {Quoted.Name(tensor)} has {rows} rows");
    }

    private static string[] Beyond(Tokenizer a, Tokenizer b) => [.. a.Ids.Where(t => !b.Ids.ContainsKey(t.Key)).OrderBy(t => t.Value).Select(t => t.Key)];
}
