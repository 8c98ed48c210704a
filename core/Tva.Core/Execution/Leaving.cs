namespace Tva.Core.Execution;

/// <summary>
/// Comes in: tensors that every output has already. Goes out: which of their passes can be left out: all that come after the last one whose
/// numbers others, or whoever asked for the run, need.
/// </summary>
internal sealed class Leaving
{
    private readonly bool[] has;
    private readonly int lastNeeded;

    private Leaving(bool[] has, int lastNeeded) => (this.has, this.lastNeeded) = (has, lastNeeded);

    /// <summary>Null where nothing can be left out.</summary>
    public static Leaving? Of(ExecutionPlan plan, OutputFiles outputs)
    {
        bool[] has = [.. Enumerable.Range(0, plan.Tensors.Count).Select(outputs.Have)];
        if (!has.Contains(true))
        {
            return null;
        }

        var last = -1;
        var isWhole = !has.Contains(false);
        for (var s = 0; s < plan.Steps.Count; s++)
        {
            if ((!isWhole && plan.Steps[s].Reductions.Any(r => r.Extent is Extent.All or Extent.Layer)) || plan.Steps[s].Matrices.Any(m => m.Kept))
            {
                last = s;
            }
        }

        var seen = new HashSet<int>();
        var waiting = new Stack<int>(plan.Results);
        while (waiting.TryPop(out var s))
        {
            if (!seen.Add(s))
            {
                continue;
            }

            switch (plan.Scalars[s])
            {
                case ReducedScalar r:
                    last = Math.Max(last, r.Step);
                    break;
                case ComputedScalar c:
                    foreach (var operand in new[] { c.A, c.B, c.C }.Where(o => o >= 0))
                    {
                        waiting.Push(operand);
                    }

                    break;
                case LoopScalar l:
                    foreach (var operand in l.Loop.Operands)
                    {
                        waiting.Push(operand);
                    }

                    break;
            }
        }

        return new Leaving(has, last);
    }

    /// <summary>Whether every output has the tensor.</summary>
    public bool Has(int tensor) => has[tensor];

    /// <summary>Whether a tensor's part of a step can be left out.</summary>
    public bool Leaves(int step, int tensor) => step > lastNeeded && has[tensor];
}
