using System.Runtime.InteropServices;
using Tva.Core.Checkpoints;
using Tva.Core.Tensors;

namespace Tva.Core.Adapters;

/// <summary>
/// Comes in: adapters over one base, each with a coefficient for every tensor, and perhaps the most rank that may be kept. Goes out: their sum as
/// one adapter: factors side by side, which is exact and adds ranks up, or the best approximation of the rank asked for.
/// </summary>
public sealed class AdapterSum : IAdapterContent
{
    private readonly Checkpoint origin;
    private readonly IReadOnlyList<(AdapterCheckpoint Adapter, Func<TensorInfo, double> Weight)> terms;

    /// <param name="origin">The base.</param>
    /// <param name="terms">The adapters; of a tensor with the coefficient 0 nothing is read.</param>
    /// <param name="rank">The most rank of a module, or null for all there is.</param>
    public AdapterSum(Checkpoint origin, IReadOnlyList<(AdapterCheckpoint Adapter, Func<TensorInfo, double> Weight)> terms, int? rank)
    {
        ArgumentNullException.ThrowIfNull(origin);
        (this.origin, this.terms) = (origin, terms);
        var factored = new List<FactoredTensor>();
        var whole = new List<WholeTensor>();
        foreach (var tensor in origin.Tensors.OrderBy(t => t.Name, StringComparer.Ordinal))
        {
            AdapterTensor[] changes = [.. Of(tensor).Select(t => t.Adapter.ChangeOf(tensor.Name)!)];
            if (changes.Length > 0 && changes.All(c => c.IsLowRank))
            {
                var all = changes.Sum(c => (long)c.Module!.Rank);
                var (rows, columns) = tensor.Shape.Sides;
                var kept = rank is { } most && most < all ? Math.Min(most, Math.Min(rows, columns)) : all;
                factored.Add(new FactoredTensor(tensor, Name(changes, tensor), changes[0].Kind, checked((int)kept)));
            }
            else if (changes.Length > 0)
            {
                whole.Add(new WholeTensor(tensor, changes.Select(c => c.ReplacedAs).FirstOrDefault(n => n is not null) ?? tensor.Name));
            }
        }

        (Factored, Whole) = (factored, whole);
        BaseName = terms.Select(t => t.Adapter.Layout.Config?.BaseName).FirstOrDefault(n => !string.IsNullOrEmpty(n));
    }

    /// <inheritdoc/>
    public IReadOnlyList<FactoredTensor> Factored { get; }

    /// <inheritdoc/>
    public IReadOnlyList<WholeTensor> Whole { get; }

    /// <inheritdoc/>
    public string? BaseName { get; }

    /// <inheritdoc/>
    public (Factors Factors, double RelativeError) FactorsOf(FactoredTensor tensor)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        var all = Concatenate([.. Of(tensor.Base).Select(t => t.Adapter.FactorsOf(tensor.Base.Name) is var f ? f with { Scale = f.Scale * t.Weight(tensor.Base) } : f)]);
        if (tensor.Rank == all.Rank)
        {
            return (all, 0);
        }

        return all.Left.All(float.IsFinite) && all.Right.All(float.IsFinite)
            ? LowRankTruncation.Truncate(all, tensor.Rank)
            : throw new FaultException($"{tensor.Module}: NaN or infinite factors, of which no rank {tensor.Rank} can be kept; leave `rank` out or mend the file");
    }

    /// <inheritdoc/>
    public void ReadWhole(WholeTensor tensor, long first, Span<float> destination)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        StoredNumbers.Read(origin, tensor.Base, first, destination);
        var part = new float[destination.Length];
        foreach (var (adapter, weight) in Of(tensor.Base))
        {
            adapter.Read(adapter.Find(tensor.Base.Name)!, first * sizeof(float), MemoryMarshal.AsBytes(part.AsSpan()));
            var w = (float)weight(tensor.Base);
            for (var i = 0; i < part.Length; i++)
            {
                destination[i] += w * part[i];
            }
        }
    }

    /// <summary>[s₁L₁, s₂L₂, ...] and [R₁; R₂; ...]: exact but for the rounding of the scale times L.</summary>
    private static Factors Concatenate(Factors[] parts)
    {
        var (rows, rank) = (parts[0].Rows, parts.Sum(p => p.Rank));
        var left = new float[(long)rows * rank];
        var right = new float[(long)rank * parts[0].Columns];
        var at = 0;
        foreach (var p in parts)
        {
            for (var i = 0; i < rows; i++)
            {
                for (var k = 0; k < p.Rank; k++)
                {
                    left[(i * rank) + at + k] = (float)(p.Scale * p.Left[(i * p.Rank) + k]);
                }
            }

            p.Right.CopyTo(right, at * p.Columns);
            at += p.Rank;
        }

        return new Factors(left, right, rank, 1);
    }

    /// <summary>As the first adapter calls the module; one whose names are flat tells no dotted name.</summary>
    private static string Name(AdapterTensor[] changes, TensorInfo tensor) =>
        changes.Select(c => c.Module!).FirstOrDefault(m => !m.Key.IsFlat)?.Name
        ?? (tensor.Name.EndsWith(".weight", StringComparison.Ordinal) ? tensor.Name[..^".weight".Length] : tensor.Name);

    private IEnumerable<(AdapterCheckpoint Adapter, Func<TensorInfo, double> Weight)> Of(TensorInfo tensor) =>
        terms.Where(t => t.Adapter.ChangeOf(tensor.Name) is not null && t.Weight(tensor) != 0);
}
