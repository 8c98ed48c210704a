namespace Tva.Core.Execution;

/// <summary>Comes in: a plan. Goes out: the memory that its matrix ops want, from shapes alone.</summary>
/// <param name="Largest">Bytes of the costliest tensor at work.</param>
/// <param name="Reason">That tensor, for messages; null where there is no matrix op.</param>
/// <param name="All">Bytes of all results, where a number of the whole model or of a layer is taken of them: they wait for it.</param>
/// <param name="Each">Else bytes of the largest tensor's results: one for each worker, and one for each step, waits at a time.</param>
internal sealed record MatrixBudget(long Largest, string? Reason, long All, long Each)
{
    public static MatrixBudget Of(ExecutionPlan plan, PlanShape shape)
    {
        var (largest, all, each) = (0L, 0L, 0L);
        string? reason = null;
        for (var t = 0; t < plan.Tensors.Count; t++)
        {
            var tensor = plan.Tensors[t];
            var result = 0L;
            foreach (var op in plan.Steps.SelectMany(step => step.Matrices))
            {
                if (tensor.Class >= 0 && shape.Elements[t] > 0 && op.Streams[tensor.Class] is { } streams)
                {
                    var cost = MatrixCost.Of(plan, op, tensor.Shape, t, streams.Count);
                    result += cost.Result;
                    if (cost.Work > largest)
                    {
                        largest = cost.Work;
                        var (m, n) = tensor.Shape.Sides;
                        reason = $"{tensor.Name} as a matrix of {m} x {n}";
                    }
                }
            }

            all += result;
            each = Math.Max(each, result);
        }

        var first = plan.Steps.TakeWhile(step => step.Matrices.Count == 0).Count();
        var waits = plan.Steps.Any(step => step.Matrices.Any(op => op.Kept)) || plan.Steps.Skip(first).SkipLast(1).Any(step => step.Reductions.Any(r => r.Extent <= Extent.Layer));
        return new MatrixBudget(largest, reason, waits ? all : 0, waits ? 0 : each);
    }

    /// <summary>Bytes of results that wait for the steps that use them.</summary>
    public long Held(int workers) => All + ((workers + 1) * Each);
}
