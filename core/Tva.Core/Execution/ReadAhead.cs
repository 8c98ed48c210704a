using Tva.Core.Checkpoints;

namespace Tva.Core.Execution;

/// <summary>
/// Comes in: the blocks being taken. Goes out: hints to the system on the bytes that come a window later, in the order in which they will
/// be read. Steps that read again what the step before has just read give none.
/// </summary>
internal sealed class ReadAhead
{
    private const long Window = 64 << 20;

    // One hint covers so much over all sources: a call costs microseconds even where the pages are there.
    private const long Grain = 4 << 20;

    private readonly ExecutionPlan plan;
    private readonly Track?[] tracks;

    public ReadAhead(ExecutionPlan plan, PlanShape shape, Func<int, bool> backwards, Func<int, bool> isRead)
    {
        this.plan = plan;
        tracks = new Track?[plan.Steps.Count];
        var recent = new HashSet<(int Class, int Source)>();
        for (var s = 0; s < tracks.Length; s++)
        {
            if (s > 0 && plan.Steps[s - 1].Reductions.Any(r => r.Extent == Extent.All))
            {
                recent.Clear();
            }

            var sources = plan.Steps[s].Kernels.Select((kernel, c) =>
                (kernel?.Inputs.OfType<FileInput>() ?? []).Select(f => f.Source).Where(source => recent.Add((c, source))).Distinct().ToArray())
                .ToArray();
            tracks[s] = sources.Any(list => list.Length > 0) ? new Track(plan, shape, sources, backwards(s), isRead) : null;
        }
    }

    /// <summary>A block of a step's pass, up to an element of a tensor, is about to be read.</summary>
    public void Advance(int step, int tensor, long element)
    {
        if (tracks[step] is not { } track || !Monitor.TryEnter(track))
        {
            return;
        }

        try
        {
            for (var end = track.Position(tensor, element) + Window; track.Next(end) is var (at, from, count);)
            {
                foreach (var source in track.Sources[plan.Tensors[at].Class])
                {
                    var info = plan.Tensors[at].Sources[source]!;
                    var size = Tensors.DTypes.Size(info.DType);
                    plan.Sources[source].Prefetch(info, from * size, count * size);
                }
            }
        }
        finally
        {
            Monitor.Exit(track);
        }
    }

    /// <summary>The bytes of a step, laid end to end, and how far hints have gone.</summary>
    private sealed class Track
    {
        private readonly int[] order;
        private readonly long[] starts;
        private readonly long[] sizes;
        private readonly PlanShape shape;
        private int at;
        private long element;

        public Track(ExecutionPlan plan, PlanShape shape, int[][] sources, bool backwards, Func<int, bool> isRead)
        {
            Sources = sources;
            this.shape = shape;
            starts = new long[plan.Tensors.Count];
            sizes = new long[plan.Tensors.Count];
            var tensors = Enumerable.Range(0, plan.Tensors.Count).Where(t => plan.Tensors[t].Class >= 0 && isRead(t) && sources[plan.Tensors[t].Class].Length > 0);
            order = [.. backwards ? tensors.Reverse() : tensors];
            long position = 0;
            foreach (var t in order)
            {
                starts[t] = position;
                sizes[t] = sources[plan.Tensors[t].Class].Sum(s => (long)Tensors.DTypes.Size(plan.Tensors[t].Sources[s]!.DType));
                position += sizes[t] * shape.Elements[t];
            }
        }

        public int[][] Sources { get; }

        public long Position(int tensor, long index) => starts[tensor] + (sizes[tensor] * index);

        /// <summary>The next run of elements, if it begins a grain before the end or its tensor's rest does.</summary>
        public (int Tensor, long From, long Count)? Next(long end)
        {
            while (at < order.Length)
            {
                var tensor = order[at];
                var left = shape.Elements[tensor] - element;
                if (left == 0)
                {
                    at++;
                    element = 0;
                    continue;
                }

                var count = Math.Min(left, Math.Max(1, Grain / sizes[tensor]));
                if (Position(tensor, element + count) > end)
                {
                    return null;
                }

                var from = element;
                element += count;
                return (tensor, from, count);
            }

            return null;
        }
    }
}
