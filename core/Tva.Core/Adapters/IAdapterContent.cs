using Tva.Core.Tensors;

namespace Tva.Core.Adapters;

/// <summary>A tensor that an adapter to be will keep as two factors; known before any number is.</summary>
/// <param name="Base">The base's tensor.</param>
/// <param name="Module">The module's name in the adapter's file.</param>
/// <param name="Kind">How the factors lie.</param>
/// <param name="Rank">Their rank.</param>
public sealed record FactoredTensor(TensorInfo Base, string Module, AdapterKind Kind, int Rank);

/// <summary>A tensor that an adapter to be will keep in full.</summary>
/// <param name="Base">The base's tensor.</param>
/// <param name="Name">Its name in the adapter's file.</param>
public sealed record WholeTensor(TensorInfo Base, string Name);

/// <summary>
/// What <see cref="AdapterWriter"/> keeps, whoever makes it: an exact sum of adapters, or factors found for any change by a singular value
/// decomposition of each matrix. Shapes are told first, numbers tensor by tensor when their turn comes, from several threads.
/// </summary>
public interface IAdapterContent
{
    /// <summary>What is kept as factors.</summary>
    IReadOnlyList<FactoredTensor> Factored { get; }

    /// <summary>What is kept in full.</summary>
    IReadOnlyList<WholeTensor> Whole { get; }

    /// <summary>What the base is called, or null.</summary>
    string? BaseName { get; }

    /// <summary>The factors of a tensor, of the rank promised, their scale 1 or folded in by the writer; and what is lost, as a share of the norm.</summary>
    (Factors Factors, double RelativeError) FactorsOf(FactoredTensor tensor);

    /// <summary>Elements of a tensor kept in full: the base's and what is added to them.</summary>
    void ReadWhole(WholeTensor tensor, long first, Span<float> destination);
}
