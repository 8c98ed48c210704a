using System.Reflection;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using Tva.Core.Kernels;
using Tva.Core.Tensors;

namespace Tva.Core.Execution;

/// <summary>
/// Comes in: a plan. Goes out: for each tensor of an output a number for what is computed, from what inputs: every instruction, scalar,
/// reduction and matrix that its value rests on, down to the fingerprints of files. Equal numbers mean equal bytes; what else the plan
/// computes beside it does not show.
/// </summary>
internal sealed class PlanFingerprint
{
    private static readonly string Version = typeof(PlanFingerprint).Assembly.GetName().Version?.ToString() ?? "";

    private readonly ExecutionPlan plan;
    private readonly PlanShape shape;
    private readonly ulong[] sources;
    private readonly Dictionary<(int Scalar, int Member), ulong> scalars = [];
    private readonly Dictionary<(int Step, int Reduction, int Member), ulong> reductions = [];
    private readonly Dictionary<string, ulong> texts = new(StringComparer.Ordinal);
    private readonly ulong seed;

    public PlanFingerprint(ExecutionPlan plan)
    {
        this.plan = plan;
        shape = new PlanShape(plan.Tensors);
        seed = Text(Version);
        sources = [.. plan.Sources.Select(s => Text(s.Fingerprint))];
    }

    /// <summary>Of each tensor of an output.</summary>
    public ulong[] Of(int output) => [.. Enumerable.Range(0, plan.Tensors.Count).Select(t => Of(output, t))];

    private ulong Of(int output, int t)
    {
        var tensor = plan.Tensors[t];
        var hash = Mix(Mix(seed, (ulong)plan.Outputs[output].DTypes[t]), Dims(tensor.Shape));
        if (tensor.Class < 0)
        {
            for (var s = 0; s < tensor.Sources.Count; s++)
            {
                hash = tensor.Sources[s] is null ? hash : Mix(hash, File(s, t));
            }

            return hash;
        }

        for (var s = 0; s < plan.Steps.Count; s++)
        {
            if (plan.Steps[s].Kernels[tensor.Class] is { } kernel)
            {
                for (var o = 0; o < kernel.Files.Count; o++)
                {
                    hash = kernel.Files[o] == output ? Mix(hash, Stream(kernel, t, Values(kernel, t), o)) : hash;
                }
            }
        }

        return hash;
    }

    /// <summary>The value that a kernel's output stores.</summary>
    private static ulong Stream(ClassKernel kernel, int t, ulong[] values, int output)
    {
        for (var i = 0; i < kernel.Program.Instructions.Count; i++)
        {
            var instruction = kernel.Program.Instructions[i];
            if (instruction.Code == Code.Store && instruction.Index == output)
            {
                return values[instruction.A];
            }
        }

        throw new ArgumentException($"tensor {t}: no instruction stores output {output}");
    }

    private ulong[] Values(ClassKernel kernel, int t)
    {
        var inputs = new ulong[kernel.Inputs.Count];
        for (var i = 0; i < inputs.Length; i++)
        {
            inputs[i] = Mix(Input(kernel.Inputs[i], t, inputs), (ulong)kernel.Program.Inputs[i]);
        }

        return Values(kernel.Program, inputs, kernel.Parameters, t);
    }

    private ulong[] Values(KernelProgram program, ulong[] inputs, IReadOnlyList<ParameterBinding> parameters, int t)
    {
        var values = new ulong[program.Instructions.Count];
        for (var i = 0; i < values.Length; i++)
        {
            var x = program.Instructions[i];
            var hash = Mix(seed, (ulong)x.Code);
            values[i] = x.Code switch
            {
                Code.Load => Mix(hash, inputs[x.Index]),
                Code.Const => Mix(hash, BitConverter.SingleToUInt32Bits(x.Value)),
                Code.Param => Mix(hash, Parameter(parameters[x.Index], t)),
                Code.Keep => Mix(Mix(hash, values[x.A]), Parameter(parameters[x.Index], t)),
                _ => Operands(Mix(hash, (ulong)x.Index), x, values),
            };
        }

        return values;
    }

    private static ulong Operands(ulong hash, Instruction x, ulong[] values)
    {
        foreach (var operand in (ReadOnlySpan<int>)[x.A, x.B, x.C])
        {
            hash = operand < 0 ? Mix(hash, 1) : Mix(hash, values[operand]);
        }

        return hash;
    }

    private ulong Input(InputBinding binding, int t, ulong[] earlier)
    {
        switch (binding)
        {
            case FileInput file:
                return File(file.Source, t);
            case RandomInput random:
                return Mix(Mix(Mix(seed, 11), Scalar(random.Seed, t)), Mix(Text(random.NameOf(plan.Tensors[t].Name)), Dims(plan.Tensors[t].Shape)));
            case RowInput row:
                return Mix(Mix(Mix(seed, 12), Scalar(row.Scalar, t)), Dims(plan.Tensors[t].Shape));
            case MatrixInput matrix:
                return Matrix(matrix, t);
            case RankInput rank:
                var values = Values(rank.Program, [.. rank.Inputs.Select((at, i) => Mix(earlier[at], (ulong)rank.Program.Inputs[i]))], rank.Parameters, t);
                var hash = Mix(Mix(Mix(seed, 13), (ulong)rank.Extent), Dims(plan.Tensors[t].Shape));
                return rank.Program.Instructions.Where(x => x.Code == Code.Store).Aggregate(hash, (h, x) => Mix(h, values[x.A]));
            default:
                throw new ArgumentException($"no fingerprint for {binding}");
        }
    }

    private ulong Matrix(MatrixInput matrix, int t)
    {
        var op = plan.Steps[matrix.Step].Matrices[matrix.Matrix];
        var hash = Mix(Mix(Mix(seed, 14), (ulong)op.Kind), Dims(plan.Tensors[t].Shape));
        hash = op.Argument < 0 ? hash : Mix(hash, Scalar(op.Argument, t));
        return (op.Streams[plan.Tensors[t].Class] ?? []).Aggregate(hash, (h, kernel) => Mix(h, Stream(kernel, t, Values(kernel, t), 0)));
    }

    private ulong File(int source, int t)
    {
        var info = plan.Tensors[t].Sources[source]!;
        return Mix(Mix(Mix(seed, 10), sources[source]), Mix(Text(info.Name), Text(plan.Sources[source].StoredName(info))));
    }

    private ulong Parameter(ParameterBinding binding, int t) => binding switch
    {
        ScalarParameter s => Scalar(s.Scalar, t),
        KeepParameter k => Mix(Mix(seed, 20), Reduction(k.Step, k.Reduction, t)),
        _ => throw new ArgumentException($"no fingerprint for {binding}"),
    };

    private ulong Scalar(int index, int t)
    {
        var scalar = plan.Scalars[index];
        var member = shape.Member(scalar.Extent, t);
        if (scalars.TryGetValue((index, member), out var known))
        {
            return known;
        }

        var hash = Mix(Mix(seed, 30), (ulong)scalar.Extent);
        hash = scalar switch
        {
            StaticScalar s => Mix(Mix(seed, 31), BitConverter.DoubleToUInt64Bits(s.Values[member])),
            ReducedScalar r => Mix(hash, Reduction(r.Step, r.Reduction, t)),
            ComputedScalar c => new[] { c.A, c.B, c.C }.Where(o => o >= 0).Aggregate(Mix(hash, (ulong)c.Op), (h, o) => Mix(h, Scalar(o, t))),
            LoopScalar l => Loop(Mix(hash, (ulong)l.State), l.Loop, t),
            _ => throw new ArgumentException($"no fingerprint for {scalar}"),
        };
        return scalars[(index, member)] = hash;
    }

    private ulong Loop(ulong hash, ScalarLoop loop, int t)
    {
        hash = Mix(Mix(hash, (ulong)loop.Rounds), (ulong)loop.Registers);
        hash = loop.Starts.Aggregate(hash, (h, s) => Mix(h, Scalar(s, t)));
        hash = loop.Inputs.Aggregate(hash, (h, i) => Mix(Mix(h, (ulong)i.Register), Scalar(i.Scalar, t)));
        hash = loop.Steps.Aggregate(hash, (h, s) => Mix(Mix(Mix(Mix(Mix(h, (ulong)s.Target), (ulong)s.Op), (ulong)s.A), (ulong)s.B), (ulong)s.C));
        return loop.Next.Aggregate(hash, (h, n) => Mix(h, (ulong)n));
    }

    /// <summary>A reduction over all tensors of the extent that a tensor belongs to.</summary>
    private ulong Reduction(int step, int index, int t)
    {
        var reduction = plan.Steps[step].Reductions[index];
        var member = shape.Member(reduction.Extent, t);
        if (reductions.TryGetValue((step, index, member), out var known))
        {
            return known;
        }

        var hash = Mix(Mix(Mix(seed, 40), (ulong)reduction.Kind), (ulong)reduction.Extent);
        hash = reduction.Argument < 0 ? hash : Mix(hash, Scalar(reduction.Argument, t));
        foreach (var other in shape.Tensors(reduction.Extent, member))
        {
            var tensor = plan.Tensors[other];
            if (tensor.Class < 0)
            {
                continue;
            }

            hash = Mix(Mix(hash, Text(tensor.Name)), Dims(tensor.Shape));
            if (plan.Steps[step].Kernels[tensor.Class] is { } kernel && kernel.Feeds[index] is { A: >= 0 } feed)
            {
                var values = Values(kernel, other);
                hash = Mix(hash, Stream(kernel, other, values, feed.A));
                hash = feed.B < 0 ? hash : Mix(hash, Stream(kernel, other, values, feed.B));
            }
        }

        return reductions[(step, index, member)] = hash;
    }

    private ulong Dims(Shape tensor) => tensor.Dims.Aggregate(Mix(seed, (ulong)tensor.Dims.Count), (h, d) => Mix(h, (ulong)d));

    private ulong Text(string text)
    {
        ref var known = ref CollectionsMarshal.GetValueRefOrAddDefault(texts, text, out var found);
        if (!found)
        {
            known = BitConverter.ToUInt64(SHA256.HashData(Encoding.UTF8.GetBytes(text)));
        }

        return known;
    }

    // The order counts: a mix of (a, b) is not that of (b, a).
    private static ulong Mix(ulong a, ulong b)
    {
        var high = Math.BigMul(a ^ 0x9E3779B97F4A7C15, b + 0xD6E8FEB86659FD93, out var low);
        high ^= low ^ (a << 1);
        high *= 0xBF58476D1CE4E5B9;
        return high ^ (high >> 31);
    }
}
