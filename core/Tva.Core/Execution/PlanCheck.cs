using Tva.Core.Tensors;

namespace Tva.Core.Execution;

/// <summary>Comes in: a plan. Goes out: nothing, or an <see cref="ArgumentException"/>: a wrong plan is an error of whoever made it.</summary>
internal static class PlanCheck
{
    public static void Verify(ExecutionPlan plan)
    {
        for (var s = 0; s < plan.Scalars.Count; s++)
        {
            VerifyScalar(plan, s);
        }

        var ready = Ready(plan);

        foreach (var result in plan.Results)
        {
            Require(result >= 0 && result < plan.Scalars.Count, $"result {result} is no scalar");
        }

        foreach (var output in plan.Outputs)
        {
            Require(output.DTypes.Count == plan.Tensors.Count, $"{output.Path} has not one type per tensor");
        }

        for (var s = 0; s < plan.Steps.Count; s++)
        {
            var step = plan.Steps[s];
            foreach (var reduction in step.Reductions)
            {
                if (ReducedValues.IsSelection(reduction))
                {
                    Require(
                        reduction.Argument >= 0 && reduction.Argument < plan.Scalars.Count
                        && plan.Scalars[reduction.Argument].Extent <= reduction.Extent && ready[reduction.Argument] <= s,
                        $"step {s}: the argument of {reduction.Kind} is not known before the step, or finer than its extent");
                }
            }

            foreach (var kernel in step.Kernels)
            {
                if (kernel is not null)
                {
                    VerifyKernel(plan, ready, s, kernel, step.Reductions.Count);
                }
            }

            foreach (var op in step.Matrices)
            {
                Require(
                    op.Argument < 0 || (plan.Scalars[op.Argument].Extent < Extent.Row && ready[op.Argument] <= s),
                    $"step {s}: the argument of {op.Kind} is not known before the step, or finer than a tensor");
                Require(op.Streams.Count == step.Kernels.Count, $"step {s}: {op.Kind} has not one entry per class");
                foreach (var stream in op.Streams.SelectMany(streams => streams ?? []))
                {
                    VerifyKernel(plan, ready, s, stream, stream.Feeds.Count);
                    Require(stream.Files is [-1], $"step {s}: {op.Kind} is fed other than one stream at a time");
                }
            }
        }

        for (var t = 0; t < plan.Tensors.Count; t++)
        {
            VerifyTensor(plan, t);
        }
    }

    /// <summary>Per scalar the first step in which it may be used.</summary>
    public static int[] Ready(ExecutionPlan plan)
    {
        var ready = new int[plan.Scalars.Count];
        for (var i = 0; i < ready.Length; i++)
        {
            ready[i] = plan.Scalars[i] switch
            {
                ReducedScalar r => r.Step + 1,
                LoopScalar l => l.Loop.Operands.Max(o => ready[o]),
                ComputedScalar c => Math.Max(ready[c.A], Math.Max(c.B < 0 ? 0 : ready[c.B], c.C < 0 ? 0 : ready[c.C])),
                _ => 0,
            };
        }

        return ready;
    }

    private static void VerifyScalar(ExecutionPlan plan, int index)
    {
        switch (plan.Scalars[index])
        {
            case StaticScalar s:
                Require(
                    s.Values.Length == s.Extent switch
                    {
                        Extent.All => 1,
                        Extent.Layer => plan.Tensors.Select(t => t.Layer).Distinct().Count(),
                        Extent.Tensor => plan.Tensors.Count,
                        _ => -1,
                    },
                    $"scalar {index} has {s.Values.Length} values");
                break;
            case ReducedScalar r:
                Require(
                    r.Step >= 0 && r.Step < plan.Steps.Count && r.Reduction >= 0 && r.Reduction < plan.Steps[r.Step].Reductions.Count
                    && plan.Steps[r.Step].Reductions[r.Reduction].Extent == r.Extent,
                    $"scalar {index} names no reduction of its extent");
                break;
            case ComputedScalar c:
                foreach (var operand in (int[])[c.A, c.B, c.C])
                {
                    Require(operand < index && (operand < 0 || plan.Scalars[operand].Extent <= c.Extent), $"scalar {index} is computed from later or finer ones");
                }

                Require(c.A >= 0 && c.Extent != Extent.Element, $"scalar {index} has no operand");
                break;
            case LoopScalar l:
                Require(
                    l.State >= 0 && l.State < l.Loop.Starts.Count && l.Extent != Extent.Element
                    && l.Loop.Operands.All(o => o >= 0 && o < index && plan.Scalars[o].Extent <= l.Extent),
                    $"scalar {index} is no state of its loop, or the loop is computed from later or finer ones");
                Require(l.Loop.Fault() is null, $"the loop of scalar {index} is wrong: {l.Loop.Fault()}");
                break;
            default:
                throw new ArgumentException($"scalar {index} is of an unknown kind");
        }
    }

    private static void VerifyKernel(ExecutionPlan plan, int[] ready, int step, ClassKernel kernel, int feeds)
    {
        var program = kernel.Program;
        Require(
            kernel.Inputs.Count == program.Inputs.Count && kernel.Files.Count == program.Outputs.Count
            && kernel.Parameters.Count == program.Parameters && kernel.Feeds.Count == feeds,
            $"step {step}: a kernel's bindings don't match its program");
        for (var i = 0; i < kernel.Inputs.Count; i++)
        {
            var input = kernel.Inputs[i];
            Require(
                input switch
                {
                    FileInput f => f.Source >= 0 && f.Source < plan.Sources.Count,
                    RandomInput r => plan.Scalars[r.Seed].Extent is Extent.All or Extent.Tensor && ready[r.Seed] <= step,
                    MatrixInput m => m.Step < step && m.Matrix < plan.Steps[m.Step].Matrices.Count,
                    RowInput r => plan.Scalars[r.Scalar].Extent == Extent.Row && ready[r.Scalar] <= step,
                    RankInput r => IsRank(kernel, i, r),
                    _ => false,
                },
                $"step {step}: {input} is not known before it");
            if (input is RankInput rank)
            {
                VerifyParameters(plan, ready, step, rank.Parameters);
            }
        }

        VerifyParameters(plan, ready, step, kernel.Parameters);
        foreach (var feed in kernel.Feeds)
        {
            foreach (var stream in (int[])[feed.A, feed.B])
            {
                Require(
                    stream < 0 || (stream < program.Outputs.Count && program.Outputs[stream] == DType.F32 && kernel.Files[stream] < 0),
                    $"step {step}: a reduction is fed output {stream}, which is no scratch stream");
            }
        }
    }

    private static bool IsRank(ClassKernel kernel, int index, RankInput rank) =>
        rank.Extent is Extent.Row or Extent.Tensor && rank.Program.Outputs is [DType.F32]
        && rank.Inputs.Count == rank.Program.Inputs.Count && rank.Parameters.Count == rank.Program.Parameters
        && rank.Inputs.Select((input, k) => input >= 0 && input < index && kernel.Program.Inputs[input] == rank.Program.Inputs[k]).All(holds => holds);

    private static void VerifyParameters(ExecutionPlan plan, int[] ready, int step, IReadOnlyList<ParameterBinding> parameters)
    {
        for (var p = 0; p < parameters.Count; p++)
        {
            Require(
                parameters[p] switch
                {
                    ScalarParameter s => plan.Scalars[s.Scalar].Extent < Extent.Row && ready[s.Scalar] <= step,
                    KeepParameter k => k.Step < step && plan.Steps[k.Step].Reductions[k.Reduction].Kind is ReduceKind.KeepLargest or ReduceKind.KeepLargestNonzero,
                    _ => false,
                },
                $"step {step}: {parameters[p]} is not known before it");
        }
    }

    private static void VerifyTensor(ExecutionPlan plan, int index)
    {
        var tensor = plan.Tensors[index];
        Require(tensor.Sources.Count == plan.Sources.Count, $"{tensor.Name} has not one entry per source");
        if (tensor.Class < 0)
        {
            var first = tensor.Sources.FirstOrDefault(info => info is not null);
            Require(plan.Outputs.All(o => o.DTypes[index] == first?.DType), $"{tensor.Name} is copied, and can't change its type");
            return;
        }

        var streams = plan.Steps.SelectMany(step => step.Matrices).SelectMany(op => op.Streams[tensor.Class] ?? []);
        foreach (var kernel in plan.Steps.Select(step => step.Kernels[tensor.Class]).OfType<ClassKernel>().Concat(streams))
        {
            for (var i = 0; i < kernel.Inputs.Count; i++)
            {
                Require(
                    kernel.Inputs[i] is FileInput f ? tensor.Sources[f.Source]?.DType == kernel.Program.Inputs[i] : kernel.Program.Inputs[i] == DType.F32,
                    $"{tensor.Name} is not of the type that its kernel reads, or not in that source");
            }

            for (var o = 0; o < kernel.Files.Count; o++)
            {
                Require(
                    kernel.Files[o] < 0 || plan.Outputs[kernel.Files[o]].DTypes[index] == kernel.Program.Outputs[o],
                    $"{tensor.Name} is not of the type that its output has");
            }
        }
    }

    private static void Require(bool holds, string message)
    {
        if (!holds)
        {
            throw new ArgumentException(message, "plan");
        }
    }
}
