namespace Tva.Core.Execution;

/// <summary>
/// Comes in: each tensor's part of every reduction. Goes out: the reductions' values per member of their extent, combined in the
/// tensors' order once a member is complete.
/// </summary>
internal sealed class ReducedValues
{
    private readonly ExecutionPlan plan;
    private readonly PlanShape shape;
    private readonly double[][][] values;
    private readonly double[][][] parts;
    private readonly double[]?[][][] rows;

    public ReducedValues(ExecutionPlan plan, PlanShape shape)
    {
        this.plan = plan;
        this.shape = shape;
        values = Table(r => new double[r.Extent == Extent.Row ? 0 : shape.Count(r.Extent)]);
        parts = Table(r => new double[IsSelection(r) || r.Extent == Extent.Row ? 0 : plan.Tensors.Count]);
        rows = Table(r => new double[]?[r.Extent == Extent.Row ? plan.Tensors.Count : 0]);
    }

    public static bool IsSelection(Reduction reduction) => reduction.Kind is ReduceKind.KeepLargest or ReduceKind.Quantile;

    /// <summary>The value of a member of an extent coarser than Row.</summary>
    public double this[int step, int reduction, int member]
    {
        get => values[step][reduction][member];
        set => values[step][reduction][member] = value;
    }

    /// <summary>A tensor's part: what its own cells came to.</summary>
    public void SetPart(int step, int reduction, int tensor, double value) => parts[step][reduction][tensor] = value;

    /// <summary>One number per row of a tensor; zeros until filled.</summary>
    public double[] Rows(int step, int reduction, int tensor)
    {
        ref var array = ref rows[step][reduction][tensor];
        return array ?? Interlocked.CompareExchange(ref array, new double[plan.Tensors[tensor].Shape.Rows], null) ?? array!;
    }

    /// <summary>Combines the parts of a complete member for all the step's sums, minima and so on over that extent.</summary>
    public void Close(int step, Extent extent, int member)
    {
        var reductions = plan.Steps[step].Reductions;
        for (var r = 0; r < reductions.Count; r++)
        {
            if (reductions[r].Extent != extent || IsSelection(reductions[r]))
            {
                continue;
            }

            double? value = null;
            foreach (var tensor in shape.Tensors(extent, member))
            {
                if (plan.Tensors[tensor].Class >= 0 && shape.Elements[tensor] > 0)
                {
                    var part = parts[step][r][tensor];
                    value = value is { } v ? Reducers.Combine(reductions[r].Kind, v, part) : part;
                }
            }

            values[step][r][member] = value ?? Reducers.Empty(reductions[r].Kind);
        }
    }

    private T[][] Table<T>(Func<Reduction, T> make) => [.. plan.Steps.Select(step => step.Reductions.Select(make).ToArray())];
}
