using Tva.Core.Matrices;

namespace Tva.Core.Execution;

/// <summary>A matrix that was made: as factors, or entry by entry where that takes less.</summary>
internal abstract unsafe class MadeMatrix
{
    /// <summary>Any run of its elements, row by row; the bits do not depend on how it is cut.</summary>
    public abstract void Fill(long start, float* destination, long count);

    /// <summary>Left·Right.</summary>
    internal sealed class Product(float[] left, float[] right, int rank, int columns) : MadeMatrix
    {
        public float[] Left => left;

        public float[] Right => right;

        public int Rank => rank;

        public int Columns => columns;

        public override void Fill(long start, float* destination, long count) =>
            FactorProduct.Range(left, right, rank, columns, start, new Span<float>(destination, checked((int)count)));
    }

    /// <summary>The entries themselves.</summary>
    internal sealed class Whole(float[] entries) : MadeMatrix
    {
        public override void Fill(long start, float* destination, long count) =>
            entries.AsSpan(checked((int)start), checked((int)count)).CopyTo(new Span<float>(destination, checked((int)count)));
    }
}

/// <summary>Comes in: what matrix ops made of tensors. Goes out: the same to the steps that follow, until the tensor is through the plan.</summary>
internal sealed class MatrixResults(ExecutionPlan plan)
{
    private readonly MadeMatrix?[][][] made = [.. plan.Steps.Select(s => s.Matrices.Select(_ => new MadeMatrix?[plan.Tensors.Count]).ToArray())];
    private readonly List<MatrixReport> reports = [];
    private readonly Dictionary<(int Step, int Matrix, int Tensor), LowRankFactors> kept = [];

    /// <summary>The result of an op for a tensor.</summary>
    public MadeMatrix this[int step, int matrix, int tensor] => made[step][matrix][tensor]!;

    /// <summary>Keeps a result until the tensor is through; its factors for good where the plan wants them.</summary>
    public void Set(MadeMatrix result, MatrixReport report, LowRankFactors? factors = null)
    {
        made[report.Step][report.Matrix][report.Tensor] = result;
        lock (reports)
        {
            reports.Add(report);
            if (factors is not null && plan.Steps[report.Step].Matrices[report.Matrix].Kept)
            {
                kept.Add((report.Step, report.Matrix, report.Tensor), factors);
            }
        }
    }

    /// <summary>The factors that the plan wants.</summary>
    public IReadOnlyDictionary<(int Step, int Matrix, int Tensor), LowRankFactors> Kept => kept;

    /// <summary>The tensor is through: nobody asks for its matrices any more.</summary>
    public void Free(int tensor)
    {
        foreach (var results in made.SelectMany(step => step))
        {
            results[tensor] = null;
        }
    }

    /// <summary>All that was made, in an order that does not depend on threads.</summary>
    public IReadOnlyList<MatrixReport> Reports() => [.. reports.OrderBy(r => (r.Step, r.Matrix, r.Tensor))];
}
