using Tva.Core.Checkpoints;
using Tva.Core.Matrices;
using Tva.Core.Tensors;

namespace Tva.Core.Adapters;

/// <summary>
/// Comes in: a change of a base, each tensor decomposed as a matrix. Goes out: the adapter of its modules' weights; what belongs to no module with
/// factors (biases, norms, bare parameters) is kept whole, for its decomposition is exact.
/// </summary>
public sealed class DecomposedAdapter : IAdapterContent
{
    private static readonly string[] embeddings =
        ["embed_tokens", "wte", "wpe", "word_embeddings", "position_embeddings", "token_type_embeddings", "tok_embeddings", "token_embedding", "embed_in", "shared"];

    private readonly Checkpoint origin;
    private readonly Dictionary<string, LowRankFactors> factors;

    /// <param name="origin">The base.</param>
    /// <param name="changes">Its tensors that change, each with its factors.</param>
    public DecomposedAdapter(Checkpoint origin, IEnumerable<(TensorInfo Base, LowRankFactors Factors)> changes)
    {
        ArgumentNullException.ThrowIfNull(changes);
        this.origin = origin;
        var all = changes.OrderBy(c => c.Base.Name, StringComparer.Ordinal).ToArray();
        factors = all.ToDictionary(c => c.Base.Name, c => c.Factors, StringComparer.Ordinal);
        Factored = [.. all.Where(c => IsModule(c.Base)).Select(c => new FactoredTensor(c.Base, c.Base.Name[..^".weight".Length], KindOf(c.Base), c.Factors.Rank))];
        Whole = [.. all.Where(c => !IsModule(c.Base)).Select(c => new WholeTensor(c.Base, c.Base.Name))];
    }

    /// <inheritdoc/>
    public IReadOnlyList<FactoredTensor> Factored { get; }

    /// <inheritdoc/>
    public IReadOnlyList<WholeTensor> Whole { get; }

    /// <inheritdoc/>
    public string? BaseName => null;

    /// <summary>Whether a tensor is the weight of a module that adapters have factors for: of two dimensions or more, by PyTorch's names.</summary>
    public static bool IsModule(TensorInfo tensor) =>
        tensor is { Shape.Dims.Count: >= 2 } && tensor.Name.EndsWith(".weight", StringComparison.Ordinal);

    /// <inheritdoc/>
    public (Factors Factors, double RelativeError) FactorsOf(FactoredTensor tensor)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        var f = factors[tensor.Base.Name];
        return (new Factors(f.Left, f.Right, f.Rank, 1), f.Error);
    }

    /// <inheritdoc/>
    public void ReadWhole(WholeTensor tensor, long first, Span<float> destination)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        StoredNumbers.Read(origin, tensor.Base, first, destination);
        var change = new float[destination.Length];
        var f = factors[tensor.Base.Name];
        FactorProduct.Range(f.Left, f.Right, f.Rank, f.Columns, first, change);
        for (var i = 0; i < change.Length; i++)
        {
            destination[i] += change[i];
        }
    }

    private static AdapterKind KindOf(TensorInfo tensor)
    {
        var parts = tensor.Name.Split('.');
        return tensor.Shape.Dims.Count > 2 ? AdapterKind.Convolution
            : parts.Length > 1 && embeddings.Contains(parts[^2]) ? AdapterKind.Embedding
            : AdapterKind.Linear;
    }
}
