using Tva.Core.Tensors;

namespace Tva.Core.Execution;

/// <summary>What is made of whole matrices. A tensor of two dimensions or more is taken as [first, all the others], m×n.</summary>
public enum MatrixKind : byte
{
    /// <summary>The nearest matrix of rank at most the argument: the leading terms of Σ σᵢ·uᵢ·vᵢᵀ.</summary>
    LowRank,

    /// <summary>The nearest matrix of the least rank that keeps the argument's share of Σ σᵢ².</summary>
    KeptEnergy,

    /// <summary>The polar factor U·Vᵀ; directions of σ = 0 stay 0.</summary>
    Polar,

    /// <summary>
    /// Of T matrices the leading singular triples of each, one T-th of the argument's share of min(m, n), side by side; U and V made
    /// orthonormal by their polar factors, multiplied back (arXiv 2412.00081).
    /// </summary>
    SingularMerge,
}

/// <summary>A whole-matrix operation of a step, done for each tensor by itself.</summary>
/// <param name="Kind">What it makes.</param>
/// <param name="Argument">Index of a scalar known before the step, at most one per tensor; -1 for none.</param>
/// <param name="Streams">Per tensor class the matrices it is made of, each a kernel of one scratch stream that feeds nothing; null where
/// the class has no part in it.</param>
public sealed record MatrixOp(MatrixKind Kind, int Argument, IReadOnlyList<IReadOnlyList<ClassKernel>?> Streams)
{
    /// <summary>Whether the factors are a result of the run: see <see cref="RunResult.Factors"/>.</summary>
    public bool Kept { get; init; }
}

/// <summary>What a matrix operation made of one tensor.</summary>
/// <param name="Step">Its step.</param>
/// <param name="Matrix">Its number there.</param>
/// <param name="Tensor">The plan's tensor.</param>
/// <param name="Rank">The rank that was kept.</param>
/// <param name="Error">‖X − X̃‖ / ‖X‖; NaN where nothing is approximated.</param>
/// <param name="Norm">‖X‖.</param>
public readonly record struct MatrixReport(int Step, int Matrix, int Tensor, int Rank, double Error, double Norm);

/// <summary>How much of a matrix op's memory a tensor takes, from shapes alone.</summary>
/// <param name="Work">Bytes while it is made, the result included.</param>
/// <param name="Result">Bytes until the tensor is through the plan.</param>
internal readonly record struct MatrixCost(long Work, long Result)
{
    /// <summary>The cost of an op for a tensor; where a rank is not known before the run, that of the full one.</summary>
    public static MatrixCost Of(ExecutionPlan plan, MatrixOp op, Shape shape, int tensor, int streams)
    {
        var (m, n) = shape.Sides;
        var least = Math.Min(m, n);
        var argument = op.Argument >= 0 && plan.Scalars[op.Argument] is StaticScalar s ? s.Values[s.Extent == Extent.All ? 0 : tensor] : double.NaN;
        var rank = op.Kind switch
        {
            MatrixKind.LowRank when argument >= 0 => (long)Math.Min(argument, least),
            MatrixKind.SingularMerge when argument > 0 => Math.Max(streams, (long)(argument * least)),
            _ => least,
        };
        var matrix = m * n * sizeof(float);
        var factors = rank * (m + n) * sizeof(float);
        var result = op.Kind == MatrixKind.Polar ? matrix : factors;

        // Sketches are a little wider than the rank; a small problem is solved by the Gram matrix of the shorter side, in float64.
        var gram = Math.Min(least, 4 * (rank + 16)) * Math.Min(least, 4 * (rank + 16)) * 3L * sizeof(double);
        return new MatrixCost(matrix + result + (2 * factors) + gram + (16L * (m + n) * 4 * sizeof(float)), result);
    }
}
