using System.Text.Json;
using Tva.Core.Bases;
using Tva.Core.Tensors;

namespace Tva.Core.Checkpoints;

/// <summary>An output layer that is the embedding.</summary>
/// <param name="Head">Its name, for instance <c>lm_head.weight</c>.</param>
/// <param name="Embedding">The tensor that it is tied to.</param>
/// <param name="Config">The <c>config.json</c> that says so.</param>
public sealed record Tie(string Head, TensorInfo Embedding, string Config);

/// <summary>
/// Comes in: a checkpoint of a language model with the <c>config.json</c> beside it. Goes out: whether its output layer is its embedding, kept
/// once or twice, and views of it with and without the second copy.
/// </summary>
/// <remarks>
/// The convention is that of PyTorch models in transformers: with <c>tie_word_embeddings</c> (true where a configuration has no such field) the
/// names in a model's <c>_tied_weights_keys</c>, <c>lm_head.weight</c> first of all, share the embedding's storage; safetensors keeps no shared
/// storage, so a writer drops one of the two. Where a file has both and they differ, they are not tied (transformers 5).
/// </remarks>
public static class TiedWeights
{
    private const string Head = "lm_head.weight";
    private const long MaxBytes = 16L << 20;

    /// <summary>What embeddings are called, the last two components of their names.</summary>
    private static readonly string[] Embeddings = ["embed_tokens.weight", "wte.weight", "word_embeddings.weight", "tok_embeddings.weight", "embed_in.weight"];

    /// <summary>Whether a tensor is an output layer of that name.</summary>
    public static bool IsHead(string name) => name == Head || name.EndsWith("." + Head, StringComparison.Ordinal);

    /// <summary>The tie of a checkpoint without an output layer of its own, or null: its configuration unties it, is missing, or there is no one embedding of that shape.</summary>
    /// <param name="checkpoint">It.</param>
    /// <param name="head">The output layer's name in another checkpoint.</param>
    /// <param name="shape">Its shape there; null: any.</param>
    /// <exception cref="FaultException">The configuration is no JSON.</exception>
    public static Tie? Missing(Checkpoint checkpoint, string head, Shape? shape) =>
        checkpoint.Find(head) is null && EmbeddingOf(checkpoint, shape) is { } embedding && Config(checkpoint) is { } config && (config.Tied ?? true)
            ? new Tie(head, embedding, config.Path)
            : null;

    /// <summary>The tie of a checkpoint that keeps the output layer although its configuration ties it to the embedding, or null.</summary>
    /// <exception cref="FaultException">The configuration is no JSON.</exception>
    public static Tie? Repeated(Checkpoint checkpoint) =>
        checkpoint.Tensors.FirstOrDefault(t => IsHead(t.Name)) is { } head && EmbeddingOf(checkpoint, head.Shape) is { } embedding
        && embedding.DType == head.DType && embedding.Shape.Equals(head.Shape) && Config(checkpoint) is { Tied: true } config
            ? new Tie(head.Name, embedding, config.Path)
            : null;

    /// <summary>Whether both copies are the same to the last byte: reads as far as they are.</summary>
    /// <exception cref="FaultException">The file can't be read.</exception>
    public static bool AreEqual(Checkpoint checkpoint, Tie tie)
    {
        const int block = 1 << 20;
        var head = checkpoint.Find(tie.Head)!;
        byte[] a = new byte[block], b = new byte[block];
        for (long at = 0; at < head.Bytes; at += block)
        {
            var count = (int)Math.Min(block, head.Bytes - at);
            checkpoint.Read(head, at, a.AsSpan(0, count));
            checkpoint.Read(tie.Embedding, at, b.AsSpan(0, count));
            if (!a.AsSpan(0, count).SequenceEqual(b.AsSpan(0, count)))
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>The checkpoint with the embedding as its output layer, too.</summary>
    public static Checkpoint With(Checkpoint checkpoint, Tie tie) =>
        View(checkpoint, [.. checkpoint.Tensors.Select(t => Same(checkpoint, t)), new RenamedTensor(tie.Head, checkpoint, tie.Embedding, tie.Embedding.DType)]);

    /// <summary>The checkpoint without the second copy.</summary>
    public static Checkpoint Without(Checkpoint checkpoint, Tie tie) =>
        View(checkpoint, [.. checkpoint.Tensors.Where(t => t.Name != tie.Head).Select(t => Same(checkpoint, t))]);

    private static RenamedCheckpoint View(Checkpoint checkpoint, IReadOnlyList<RenamedTensor> tensors) => new(checkpoint.Path, checkpoint.Metadata, tensors);

    private static RenamedTensor Same(Checkpoint checkpoint, TensorInfo tensor) => new(tensor.Name, checkpoint, tensor, tensor.DType);

    private static TensorInfo? EmbeddingOf(Checkpoint checkpoint, Shape? shape)
    {
        // Vocabularies may differ in size, which is another finding.
        bool Fits(TensorInfo t) => t.DType.IsFloating()
            && (shape is null || (t.Shape.Dims.Count == shape.Dims.Count && t.Shape.Dims.Skip(1).SequenceEqual(shape.Dims.Skip(1))));
        if (checkpoint.Find("shared.weight") is { } shared && Fits(shared))
        {
            return shared;
        }

        var found = checkpoint.Tensors.Where(t =>
            Fits(t) && Embeddings.Any(name => t.Name == name || t.Name.EndsWith("." + name, StringComparison.Ordinal))).Take(2).ToArray();
        return found.Length == 1 ? found[0] : null;
    }

    private static (string Path, bool? Tied)? Config(Checkpoint checkpoint)
    {
        if (checkpoint.Files.Count == 0 || Path.GetDirectoryName(checkpoint.Files[0]) is not { } folder)
        {
            return null;
        }

        var path = Path.Combine(folder, "config.json");
        if (!CheckpointFinder.Exists(path))
        {
            return null;
        }

        using var json = JsonFile.Open(path, MaxBytes);
        var tied = Tied(json.Root) ?? (json.Root.TryGetProperty("text_config", out var text) && text.ValueKind == JsonValueKind.Object ? Tied(text) : null);
        return (path, tied);
    }

    private static bool? Tied(JsonElement config) =>
        config.TryGetProperty("tie_word_embeddings", out var value)
            ? value.ValueKind switch { JsonValueKind.True => true, JsonValueKind.False => false, _ => null }
            : null;
}
