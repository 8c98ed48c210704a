using System.Diagnostics;
using Tva.Core.Devices;

namespace Tva.Core.Execution;

/// <summary>
/// Comes in: a plan. Goes out: its results and its outputs, not yet under their names. Whatever the threads, the memory and the order in
/// which blocks get done, every bit is the same: partial results are cut at fixed cells and combined in order, selections are exact.
/// </summary>
public static class Executor
{
    /// <summary>Runs a plan on a backend (by default the CPU's vectors).</summary>
    /// <exception cref="FaultException">A file can't be read or written, tensors that are to be copied differ, an input has NaN or
    /// infinity while <see cref="RunOptions.Strict"/>, or the memory budget can't hold the smallest buffers.</exception>
    /// <exception cref="OperationCanceledException">Cancelled; like after a fault nothing is left behind.</exception>
    /// <exception cref="DeviceFaultException">The backend's device can't do its part.</exception>
    /// <exception cref="ArgumentException">The plan contradicts itself.</exception>
    public static RunResult Run(
        ExecutionPlan plan, RunOptions options, IProgress<RunProgress>? progress = null, CancellationToken cancellation = default, IBackend? backend = null)
    {
        var clock = Stopwatch.StartNew();
        PlanCheck.Verify(plan);
        cancellation.ThrowIfCancellationRequested();
        using var engine = new Engine(plan, options, backend ?? CpuBackend.Instance);
        var inputs = new InputStamps(plan.Sources);
        var outputs = new OutputFiles(plan, options, inputs);
        try
        {
            engine.Outputs = outputs;
            engine.Leave(outputs);
            var flow = new Flow(engine);
            var (read, written) = Work(engine, flow, progress, cancellation);
            inputs.RequireUnchanged();
            return new RunResult(outputs.Writers)
            {
                Results = [.. plan.Results.Select(engine.Scalars.Export)],
                Layers = engine.Shape.LayerIds,
                NonFinite = engine.Log.Entries(),
                Matrices = engine.Matrices.Reports(),
                Factors = engine.Matrices.Kept,
                BytesRead = read,
                BytesWritten = written,
                Elapsed = clock.Elapsed,
            };
        }
        catch (Exception e)
        {
            if (e is DeviceFaultException fault)
            {
                fault.BeforeOutput = !outputs.Begun;
            }

            outputs.Dispose();
            throw;
        }
    }

    private static (long Read, long Written) Work(Engine engine, Flow flow, IProgress<RunProgress>? progress, CancellationToken cancellation)
    {
        var scheduler = flow.Scheduler;
        var runners = new List<BlockRunner>();
        try
        {
            for (var w = 0; w < engine.Budget.Workers; w++)
            {
                runners.Add(new BlockRunner(engine, flow, w));
            }

            flow.Begin();
            using var cancelled = cancellation.UnsafeRegister(_ => scheduler.Fail(new OperationCanceledException(cancellation)), null);
            var threads = runners.Select(runner => WorkerThreads.Begin(() => Loop(scheduler, runner))).ToList();

            // Whoever watches is called from here ten times a second, so a slow one holds up nobody.
            foreach (var thread in threads)
            {
                while (progress is null ? !thread.Join(Timeout.Infinite) : !thread.Join(100))
                {
                    Watch(progress!);
                }
            }

            scheduler.ThrowIfFailed();
            flow.RequireFinished();
            var end = Progress();
            progress?.Report(end with { BytesTotal = end.BytesDone });
            return (runners.Sum(r => r.BytesRead), runners.Sum(r => r.BytesWritten));
        }
        finally
        {
            foreach (var runner in runners)
            {
                runner.Dispose();
            }
        }

        // One that throws ends the run, but not before the workers have let go of what they hold.
        void Watch(IProgress<RunProgress> watcher)
        {
            try
            {
                watcher.Report(Progress());
            }
            catch (Exception e)
            {
                scheduler.Fail(e);
            }
        }

        RunProgress Progress() => new(runners.Sum(r => r.BytesRead + r.BytesWritten), flow.BytesPlanned);
    }

    private static void Loop(Scheduler scheduler, BlockRunner runner)
    {
        try
        {
            while (scheduler.TryClaim(out var claim))
            {
                runner.Run(claim);
                scheduler.Done(claim);
            }
        }
        catch (Exception e)
        {
            // A thread's own exceptions would end the process; the caller's thread throws this one as it is.
            scheduler.Fail(e);
        }
    }
}
