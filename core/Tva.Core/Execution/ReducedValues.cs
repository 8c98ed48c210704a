namespace Tva.Core.Execution;

/// <summary>
/// Comes in: each tensor's part of every reduction. Goes out: the reductions' values per member of their extent, combined in the
/// tensors' order once a member is complete.
/// </summary>
internal sealed class ReducedValues
{
    private readonly ExecutionPlan plan;
    private readonly PlanShape shape;
    private readonly StepReductions[] reductions;
    private readonly double[][][] values;
    private readonly double[]?[][] parts;
    private readonly double[]?[][][] rows;

    public ReducedValues(ExecutionPlan plan, PlanShape shape, StepReductions[] reductions)
    {
        this.plan = plan;
        this.shape = shape;
        this.reductions = reductions;
        values = Table(r => new double[r.Extent == Extent.Row ? 0 : shape.Count(r.Extent)]);
        parts = [.. plan.Steps.Select(_ => new double[]?[plan.Tensors.Count])];
        rows = Table(r => new double[]?[r.Extent == Extent.Row ? plan.Tensors.Count : 0]);
    }

    public static bool IsSelection(Reduction reduction) => 
        reduction.Kind is ReduceKind.KeepLargest or ReduceKind.KeepLargestNonzero or ReduceKind.Quantile;

    /// <summary>The value of a member of an extent coarser than Row.</summary>
    public double this[int step, int reduction, int member]
    {
        get => values[step][reduction][member];
        set => values[step][reduction][member] = value;
    }

    /// <summary>A tensor's part: what its own cells came to, per slot of <see cref="StepReductions"/>.</summary>
    public void SetPart(int step, int tensor, double[] part) => parts[step][tensor] = part;

    /// <summary>One number per row of a tensor; zeros until filled.</summary>
    public double[] Rows(int step, int reduction, int tensor)
    {
        ref var array = ref rows[step][reduction][tensor];
        return array ?? Interlocked.CompareExchange(ref array, new double[plan.Tensors[tensor].Shape.Rows], null) ?? array!;
    }

    /// <summary>Combines the parts of a complete member for all the step's sums, minima and so on over that extent.</summary>
    public void Close(int step, Extent extent, int member)
    {
        var slots = reductions[step].ByExtent[(int)extent];
        if (slots.Length == 0)
        {
            return;
        }

        double[]? totals = null;
        foreach (var tensor in shape.Tensors(extent, member))
        {
            if (plan.Tensors[tensor].Class < 0 || shape.Elements[tensor] == 0)
            {
                continue;
            }

            var part = parts[step][tensor];
            var first = totals is null;
            totals ??= new double[slots.Length];
            for (var k = 0; k < slots.Length; k++)
            {
                var value = part is null ? 0 : part[slots[k]];
                totals[k] = first ? value : Reducers.Combine(reductions[step].Kinds[slots[k]], totals[k], value);
            }
        }

        for (var k = 0; k < slots.Length; k++)
        {
            values[step][reductions[step].Slots[slots[k]]][member] = totals is null ? Reducers.Empty(reductions[step].Kinds[slots[k]]) : totals[k];
        }
    }

    private T[][] Table<T>(Func<Reduction, T> make) => [.. plan.Steps.Select(step => step.Reductions.Select(make).ToArray())];
}
