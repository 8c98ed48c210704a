using Tva.Core.Ops;

namespace Tva.Core.Execution;

/// <summary>
/// Comes in: static values and reductions as they become final. Goes out: every scalar in float64, computed when the first tensor
/// that may use it has its turn.
/// </summary>
internal sealed class ScalarTable
{
    private readonly object gate = new();
    private readonly ExecutionPlan plan;
    private readonly PlanShape shape;
    private readonly ReducedValues reduced;
    private readonly (int[] Model, int[] Finer)[] byStep;
    private readonly bool[] entered;
    private readonly double[][] values;
    private readonly bool[][] known;
    private readonly double[]?[][] rows;
    private readonly Dictionary<ScalarLoop, (LoopRunner Runner, List<int> Scalars)> loops = [];

    public ScalarTable(ExecutionPlan plan, PlanShape shape, ReducedValues reduced)
    {
        this.plan = plan;
        this.shape = shape;
        this.reduced = reduced;
        var ready = PlanCheck.Ready(plan);
        var steps = Enumerable.Range(0, ready.Length).ToLookup(i => (ready[i], plan.Scalars[i].Extent == Extent.All));
        byStep = [.. Enumerable.Range(0, plan.Steps.Count + 1).Select(s => (steps[(s, true)].ToArray(), steps[(s, false)].ToArray()))];
        entered = new bool[byStep.Length];
        values = [.. plan.Scalars.Select(s => new double[s.Extent == Extent.Row ? 0 : shape.Count(s.Extent)])];
        known = [.. plan.Scalars.Select(s => new bool[s.Extent switch { Extent.All => 0, Extent.Row => plan.Tensors.Count, _ => shape.Count(s.Extent) }])];
        rows = [.. plan.Scalars.Select(s => new double[]?[s.Extent == Extent.Row ? plan.Tensors.Count : 0])];
        for (var i = 0; i < plan.Scalars.Count; i++)
        {
            if (plan.Scalars[i] is LoopScalar l)
            {
                if (!loops.TryGetValue(l.Loop, out var loop))
                {
                    loops.Add(l.Loop, loop = (new LoopRunner(l.Loop), []));
                }

                loop.Scalars.Add(i);
            }
        }
    }

    /// <summary>Computes what a tensor (-1: the whole model) knows on entering a step: all its reductions before are final.</summary>
    public void Enter(int step, int tensor)
    {
        var (model, finer) = byStep[step];
        if (Volatile.Read(ref entered[step]) && finer.Length == 0)
        {
            return;
        }

        lock (gate)
        {
            // Numbers of the whole model depend on such alone.
            for (var i = 0; i < model.Length && !entered[step]; i++)
            {
                Compute(model[i], Extent.All, 0, tensor);
            }

            Volatile.Write(ref entered[step], true);
            for (var i = 0; i < finer.Length && tensor >= 0; i++)
            {
                var extent = plan.Scalars[finer[i]].Extent;
                var member = shape.Member(extent, tensor);
                if (!known[finer[i]][member])
                {
                    Compute(finer[i], extent, member, tensor);
                    known[finer[i]][member] = true;
                }
            }
        }
    }

    /// <summary>The value for a tensor, of a scalar coarser than Row.</summary>
    public double Get(int scalar, int tensor)
    {
        var extent = plan.Scalars[scalar].Extent;
        return values[scalar][extent == Extent.All ? 0 : shape.Member(extent, tensor)];
    }

    /// <summary>A reduction's argument for a tensor: one value, or one per row.</summary>
    public double[] Argument(int scalar, int tensor) => plan.Scalars[scalar].Extent == Extent.Row ? Rows(scalar, tensor) : [Get(scalar, tensor)];

    /// <summary>The values of a scalar of extent Row for a tensor's rows.</summary>
    public double[] Rows(int scalar, int tensor) => rows[scalar][tensor]!;

    /// <summary>A scalar as a result: see <see cref="RunResult.Results"/>.</summary>
    public double[] Export(int scalar) =>
        plan.Scalars[scalar].Extent == Extent.Row ? [.. rows[scalar].SelectMany(r => r ?? [])] : (double[])values[scalar].Clone();

    private void Compute(int scalar, Extent extent, int member, int tensor)
    {
        switch (plan.Scalars[scalar])
        {
            case StaticScalar s:
                values[scalar][member] = s.Values[member];
                break;
            case ReducedScalar r when extent == Extent.Row:
                rows[scalar][tensor] = reduced.Rows(r.Step, r.Reduction, tensor);
                break;
            case ReducedScalar r:
                values[scalar][member] = reduced[r.Step, r.Reduction, member];
                break;
            case ComputedScalar c:
                var op = OpTable.All[c.Op].Host;
                if (extent != Extent.Row)
                {
                    values[scalar][member] = op(Operand(c.A), Operand(c.B), Operand(c.C));
                    break;
                }

                double[]? a = RowsOf(c.A), b = RowsOf(c.B), x = RowsOf(c.C);
                double a0 = a is null ? Operand(c.A) : 0, b0 = b is null ? Operand(c.B) : 0, x0 = x is null ? Operand(c.C) : 0;
                var result = new double[plan.Tensors[tensor].Shape.Rows];
                for (var i = 0; i < result.Length; i++)
                {
                    result[i] = op(a is null ? a0 : a[i], b is null ? b0 : b[i], x is null ? x0 : x[i]);
                }

                rows[scalar][tensor] = result;
                break;
            case LoopScalar l when loops[l.Loop] is var (runner, states) && scalar == states[0]:
                Iterate(l.Loop, runner, states, extent, member, tensor);
                break;
        }

        double Operand(int operand) => operand < 0 ? 0 : Get(operand, tensor);

        double[]? RowsOf(int operand) => operand >= 0 && plan.Scalars[operand].Extent == Extent.Row ? rows[operand][tensor] : null;
    }

    /// <summary>Runs a loop for a member, or for each row of a tensor; the first of its scalars stands for all.</summary>
    private void Iterate(ScalarLoop loop, LoopRunner runner, List<int> states, Extent extent, int member, int tensor)
    {
        var count = extent == Extent.Row ? checked((int)plan.Tensors[tensor].Shape.Rows) : 1;
        if (extent == Extent.Row)
        {
            foreach (var state in states)
            {
                rows[state][tensor] = new double[count];
            }
        }

        for (var first = 0; first < count; first += runner.Lanes)
        {
            var lanes = Math.Min(runner.Lanes, count - first);
            for (var s = 0; s < loop.Starts.Count; s++)
            {
                Load(s, loop.Starts[s]);
            }

            foreach (var input in loop.Inputs)
            {
                Load(input.Register, input.Scalar);
            }

            runner.Run(lanes);
            foreach (var state in states)
            {
                var value = runner.Register(((LoopScalar)plan.Scalars[state]).State);
                if (extent == Extent.Row)
                {
                    value[..lanes].CopyTo(rows[state][tensor].AsSpan(first));
                }
                else
                {
                    values[state][member] = value[0];
                }
            }

            void Load(int register, int scalar)
            {
                if (plan.Scalars[scalar].Extent == Extent.Row)
                {
                    rows[scalar][tensor].AsSpan(first, lanes).CopyTo(runner.Register(register));
                }
                else
                {
                    runner.Register(register)[..lanes].Fill(Get(scalar, tensor));
                }
            }
        }
    }
}
