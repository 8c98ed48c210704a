using System.Diagnostics;
using System.Globalization;
using Tva.Core.Checkpoints;
using Tva.Core.Devices;
using Tva.Core.Execution;
using Tva.Core.Tensors;
using Tva.Dsl;

namespace Tva.Bench;

/// <summary>
/// Comes in: a device's name and how large an operand is. Goes out: how fast its kernels go over operands that are there already, beside a copy
/// from its memory to its memory in the same turn, and how fast the engine computes whole plans over operands that it keeps there.
/// </summary>
internal static class OnDevice
{
    private const int Tasks = 4;

    public static IEnumerable<string> Run(string name, int megabytes, long? memory, int threads, int repeats, string only)
    {
        using var device = DeviceCatalog.Open(name, new DeviceOptions { Memory = memory });
        foreach (var job in ResidentPrograms.All.Where(j => j.Name.Contains(only, StringComparison.Ordinal)))
        {
            var elements = (int)Math.Min(int.MaxValue / 4, (megabytes * 1_000_000L) / job.Type.Size());
            using var block = new ResidentBlock(device, job.Block, elements);
            yield return Line(device, job.Name, block.Moved, [.. Enumerable.Range(0, repeats + 1).Select(_ => (block.Time(), block.TimeCopy())).Skip(1)], block.Copied);
        }

        foreach (var line in Plans(device, megabytes, threads, repeats, only))
        {
            yield return line;
        }
    }

    /// <summary>Whole runs, results as numbers: what the engine does with pinned checkpoints. Each operand counts once, however often it is looked at.</summary>
    private static IEnumerable<string> Plans(IBlockDevice device, int megabytes, int threads, int repeats, string only)
    {
        var tasks = string.Join(", ", Enumerable.Range(1, Tasks).Select(t => $"\"memory:task{t}\""));
        List<(string Name, string Text)> jobs =
        [
            ("run linear", $"print(mean_abs(raw(base + 0.3 * sum(family([{tasks}], base)))))"),
            ("run ties", $"print(mean_abs(raw(base + 0.3 * ties(family([{tasks}], base), density = 0.2))))"),
            ("run gram", $"print(similarity(family([{tasks}], base)))"),
        ];
        jobs.RemoveAll(j => !j.Name.Contains(only, StringComparison.Ordinal));
        if (jobs.Count == 0)
        {
            yield break;
        }

        var elements = megabytes * 1_000_000L / sizeof(float);
        var sources = Enumerable.Range(0, Tasks + 1).Select(i => Checkpoint(i, elements)).ToList();
        var backend = new DeviceBackend(device);
        var options = new RunOptions(RunOptions.Default.Memory, threads, false);
        using var from = device.Hold(elements * sizeof(float));
        using var to = device.Hold(elements * sizeof(float));
        using var lane = device.Open(1 << 16);
        var pinned = sources.ToDictionary(s => s.Path, s => PinnedCheckpoint.Load(s, threads));
        foreach (var (job, text) in jobs)
        {
            using var evaluator = new Evaluator(sources.Aggregate(EvaluatorOptions.Default.WithThreads(threads).WithOutputs((_, _, _) => null), (o, c) => o.WithVariable(c)));
            if (evaluator.Check("<bench>", ".", text) is { IsEmpty: false } wrong)
            {
                throw new InvalidOperationException($"{text}: {wrong}");
            }

            var plans = evaluator.Plans().Select(p => p.Plan with { Sources = [.. p.Plan.Sources.Select(s => pinned[s.Path])] }).ToList();
            var times = new List<(double, double)>();
            for (var i = 0; i < repeats + 2; i++)
            {
                var watch = Stopwatch.StartNew();
                foreach (var plan in plans)
                {
                    Executor.Run(plan, options, null, default, backend).Dispose();
                }

                times.Add((watch.Elapsed.TotalSeconds, Copy(lane, from!, to!)));
            }

            yield return Line(device, job, (Tasks + 1) * elements * sizeof(float), times[2..], 2 * elements * sizeof(float));
        }

        foreach (var source in pinned.Values)
        {
            source.Dispose();
        }
    }

    /// <summary>Seconds of a copy within the device's memory.</summary>
    internal static double Copy(IBlockLane lane, IHeld from, IHeld to)
    {
        var watch = Stopwatch.StartNew();
        lane.Copy(from, to);
        return watch.Elapsed.TotalSeconds;
    }

    private static MemoryCheckpoint Checkpoint(int seed, long elements)
    {
        var values = new float[elements];
        Random random = new(seed);
        var some = Math.Min(values.Length, 1 << 24);
        for (var i = 0; i < some; i++)
        {
            values[i] = (random.NextSingle() - 0.5f) * 0.02f;
        }

        // Of large operands the rest is the same again, from other places.
        for (var i = some; i < values.Length; i++)
        {
            values[i] = values[(int)((i * 7919L) % some)];
        }

        return new MemoryCheckpoint(seed == 0 ? "base" : $"task{seed}", [MemoryTensor.Of<float>("layers.0.weight", values, elements)]);
    }

    private static string Line(IBlockDevice device, string job, long moved, IReadOnlyList<(double Job, double Copy)> times, long copied)
    {
        double seconds = Median(times.Select(t => t.Job)), copy = Median(times.Select(t => t.Copy));
        var share = Median(times.Select(t => moved / t.Job / (copied / t.Copy)));
        return string.Create(
            CultureInfo.InvariantCulture,
            $"{{\"job\":\"{job}\",\"device\":\"{device.Info.Name}\",\"GB\":{moved / 1e9:F3},\"seconds\":{seconds:F5},\"GB_per_s\":{moved / seconds / 1e9:F1},"
            + $"\"copy_GB_per_s\":{copied / copy / 1e9:F1},\"share_of_copy\":{share:F3}}}");
    }

    private static double Median(IEnumerable<double> values) => values.Order().ElementAt(values.Count() / 2);
}
