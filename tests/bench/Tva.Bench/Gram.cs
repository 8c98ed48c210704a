using System.Diagnostics;
using Tva.Core.Checkpoints;
using Tva.Core.Execution;
using Tva.Core.Kernels;
using Tva.Core.Ops;
using Tva.Core.Tensors;

namespace Tva.Bench;

/// <summary>
/// Comes in: a base and fine-tunes of it. Goes out: the time of one pass that computes the dot product of every two of their differences,
/// each with itself too, and that of merely reading the same files a cell at a time.
/// </summary>
internal static class Gram
{
    /// <summary>Both times, each repetition one after the other, after one of each that doesn't count.</summary>
    public static IEnumerable<(double Pass, double Read, long Bytes)> Run(IReadOnlyList<string> files, RunOptions options, int repeats)
    {
        var sources = files.Select(Checkpoint.Open).ToList();
        var handles = files.Select(f => File.OpenHandle(f)).ToList();
        var plan = Plan(sources);
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
            Moving.Run(handles, null, 1 << 16, options.Threads);
            if (i > 0)
            {
                yield return (pass, watch.Elapsed.TotalSeconds, bytes);
            }
        }

        handles.ForEach(h => h.Dispose());
        sources.ForEach(s => s.Dispose());
    }

    private static ExecutionPlan Plan(List<Checkpoint> sources)
    {
        var types = sources[0].Tensors.Where(t => t.DType.IsFloating()).Select(t => t.DType).Distinct().ToList();
        var tensors = sources[0].Tensors.Where(t => t.DType.IsFloating())
            .Select(t => new PlanTensor(t.Name, t.Shape, t.Layer, types.IndexOf(t.DType), [.. sources.Select(s => s.Find(t.Name))]));
        var tasks = sources.Count - 1;
        var feeds = Enumerable.Range(0, tasks).SelectMany(a => Enumerable.Range(a, tasks - a).Select(b => new ReductionFeed(a, b))).ToArray();
        var step = new Step([.. feeds.Select(_ => new Reduction(ReduceKind.Dot, Extent.All))], [.. types.Select(t => Kernel(t, tasks, feeds))]);
        var results = Enumerable.Range(0, feeds.Length).ToArray();
        return new ExecutionPlan(sources, [.. tensors], [.. results.Select(r => new ReducedScalar(Extent.All, 0, r))], [step], [], results);
    }

    /// <summary>A scratch stream per task: its difference from the base, looked at for NaN and infinity as a script's plan does.</summary>
    private static ClassKernel Kernel(DType type, int tasks, ReductionFeed[] feeds)
    {
        var code = new List<Instruction> { new(Code.Load, Index: 0) };
        for (var t = 0; t < tasks; t++)
        {
            code.Add(new(Code.Load, Index: t + 1));
            code.Add(new(Code.Apply, code.Count - 1, 0, Index: OpTable.IndexOf("sub")));
            code.Add(new(Code.Guard, code.Count - 1));
            code.Add(new(Code.Store, code.Count - 2, Index: t));
        }

        var program = new KernelProgram(code, [.. Enumerable.Repeat(type, tasks + 1)], [.. Enumerable.Repeat(DType.F32, tasks)], 0);
        return new ClassKernel(
            program, [.. Enumerable.Range(0, tasks + 1).Select(s => new FileInput(s))], [.. Enumerable.Repeat(-1, tasks)], [], feeds);
    }
}
