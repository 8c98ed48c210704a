using System.Diagnostics;
using Tva.Core.Checkpoints;
using Tva.Core.Execution;
using Tva.Core.Kernels;
using Tva.Core.Ops;
using Tva.Core.Tensors;

namespace Tva.Bench;

/// <summary>
/// Comes in: a base and fine-tunes of it. Goes out: the time of mean |base + λ Σ (task − base)| over all of them held in memory, and that of
/// copying the same bytes from memory to memory on all cores.
/// </summary>
internal static unsafe class Pinned
{
    /// <summary>Both times, each repetition one after the other, after one of each that doesn't count.</summary>
    public static IEnumerable<(double Pass, double Copy, long Bytes)> Run(IReadOnlyList<string> files, RunOptions options, int repeats)
    {
        var sources = files.Select(f => PinnedCheckpoint.Load(Checkpoint.Open(f), options.Threads)).ToList();
        var plan = Plan(sources);
        using var target = new Block(sources.Max(s => s.Held));
        for (var i = 0; i <= repeats; i++)
        {
            var watch = Stopwatch.StartNew();
            long bytes;
            using (var result = Executor.Run(plan, options))
            {
                bytes = result.BytesRead;
            }

            var pass = watch.Elapsed.TotalSeconds;
            watch.Restart();
            foreach (var source in sources)
            {
                Copy(source, target, options.Threads);
            }

            if (i > 0)
            {
                yield return (pass, watch.Elapsed.TotalSeconds, bytes);
            }
        }

        sources.ForEach(s => s.Dispose());
    }

    private static void Copy(PinnedCheckpoint source, Block target, int threads)
    {
        const long piece = 1 << 20;
        var from = source.Resident(source.Tensors[0]);
        var next = -1L;
        var workers = Enumerable.Range(0, threads).Select(_ => new Thread(() =>
        {
            while (Interlocked.Increment(ref next) * piece is var at && at < source.Held)
            {
                var count = Math.Min(piece, source.Held - at);
                Buffer.MemoryCopy(from + at, target.Pointer + at, count, count);
            }
        })).ToList();
        workers.ForEach(w => w.Start());
        workers.ForEach(w => w.Join());
    }

    private static ExecutionPlan Plan(IReadOnlyList<Checkpoint> sources)
    {
        var types = sources[0].Tensors.Where(t => t.DType.IsFloating()).Select(t => t.DType).Distinct().ToList();
        var tensors = sources[0].Tensors.Where(t => t.DType.IsFloating())
            .Select(t => new PlanTensor(t.Name, t.Shape, t.Layer, types.IndexOf(t.DType), [.. sources.Select(s => s.Find(t.Name))]));
        var step = new Step([new Reduction(ReduceKind.SumAbs, Extent.All)], [.. types.Select(t => Kernel(t, sources.Count - 1))]);
        return new ExecutionPlan(sources, [.. tensors], [new ReducedScalar(Extent.All, 0, 0)], [step], [], [0]);
    }

    /// <summary>As a script's plan has it: the coefficients folded into one sum of sources.</summary>
    private static ClassKernel Kernel(DType type, int tasks)
    {
        const float lambda = 0.3f;
        var code = new List<Instruction> { new(Code.Load, Index: 0), new(Code.Const, Value: 1 - (lambda * tasks)) };
        code.Add(new(Code.Apply, 0, 1, Index: OpTable.IndexOf("mul")));
        code.Add(new(Code.Const, Value: lambda));
        var (sum, factor) = (2, 3);
        for (var t = 0; t < tasks; t++)
        {
            code.Add(new(Code.Load, Index: t + 1));
            code.Add(new(Code.Apply, code.Count - 1, factor, sum, Index: OpTable.IndexOf("fma")));
            sum = code.Count - 1;
        }

        code.Add(new(Code.Store, sum, Index: 0));
        var program = new KernelProgram(code, [.. Enumerable.Repeat(type, tasks + 1)], [DType.F32], 0);
        return new ClassKernel(program, [.. Enumerable.Range(0, tasks + 1).Select(s => new FileInput(s))], [-1], [], [new ReductionFeed(0)]);
    }
}
