using Tva.Core.Devices;
using Tva.Core.Tensors;

namespace Tva.Core.Execution;

/// <summary>Comes in: a plan and how much memory it may take. Goes out: how many workers, and how much each part of the engine gets.</summary>
/// <param name="Workers">Worker threads.</param>
/// <param name="ArenaBytes">Buffer of one worker.</param>
/// <param name="KeyBytes">Keys that selections may gather.</param>
/// <param name="ChunkBytes">Unit in which they are rented.</param>
/// <param name="Pieces">Sampled pieces of a tensor; wider extents take four times as many.</param>
/// <param name="Window">Blocks of a tensor whose results may wait for those of the blocks before.</param>
/// <param name="MatrixBytes">What matrix ops may take while they work.</param>
/// <param name="Target">Bytes of a block there should be.</param>
internal sealed record Budget(int Workers, long ArenaBytes, long KeyBytes, int ChunkBytes, int Pieces, int Window, long MatrixBytes, long Target)
{
    /// <summary>
    /// Block buffers of a worker. Measured with five bf16 inputs in the page cache, 1 to 4 MiB take a tenth less time than 512 KiB and a
    /// third less than 192 KiB: fewer calls, fewer turns at the output's lock, and a third-level cache holds what the second does not.
    /// </summary>
    public const long BlockTarget = 2 << 20;

    /// <summary>
    /// Bytes between streams. Blocks are powers of two: without this all streams lie at the same places modulo 4 KiB, share the same few
    /// sets of the first-level cache, and a kernel of nine inputs and eight outputs takes more than twice the time. Three cache lines.
    /// </summary>
    public const int Stagger = 192;

    // Two blocks in flight is the least for copies and computing to overlap; more than eight only take memory.
    private const int FewestLanes = 2;
    private const int MostLanes = 8;
    private const long SmallMemory = 64 << 20;
    private const int LargeChunk = 256 << 10;
    private const int SmallChunk = PlanShape.Cell * sizeof(int);

    /// <param name="plan">The plan.</param>
    /// <param name="shape">Its tensors.</param>
    /// <param name="kernels">By step and class, then those that feed matrices, one list of classes after another.</param>
    /// <param name="options">How much there is.</param>
    /// <param name="device">What takes blocks; null: the workers do.</param>
    /// <exception cref="FaultException">Not even one worker fits.</exception>
    /// <exception cref="DeviceFaultException">The device's memory can't hold the smallest blocks.</exception>
    public static Budget Of(ExecutionPlan plan, PlanShape shape, StepKernel?[][] kernels, RunOptions options, IBlockDevice? device = null)
    {
        var selections = plan.Steps.Sum(s => s.Reductions.Count(ReducedValues.IsSelection));
        var pieces = options.Memory >= SmallMemory ? 64 : 16;
        long least = SmallestArena(plan, kernels);
        var blocks = Math.Max(1, shape.Cells.Sum(c => (long)c));
        var threads = device is null ? options.Threads : DeviceBudget.Stays(kernels) ? FewestLanes : Math.Clamp(options.Threads, FewestLanes, MostLanes);
        var workers = (int)Math.Clamp(threads, 1, blocks);
        var target = device is null ? BlockTarget : DeviceBudget.Target(kernels, device, workers, options.Memory);
        long ideal = Math.Max(least, IdealArena(plan, kernels, target));
        var blockResults = BlockResults(plan, kernels, target);
        var matrices = MatrixBudget.Of(plan, shape);
        while (true)
        {
            var window = WindowOf(blockResults, workers, options.Memory);
            var rest = options.Memory - Held(plan, shape, workers, pieces) - Results(kernels, blockResults, workers, window) - (workers * least)
                - matrices.Held(workers) - matrices.Largest;
            if (rest >= 0)
            {
                var beside = Math.Min(rest / 2, (workers - 1) * matrices.Largest);
                rest -= beside;
                var keys = selections > 0 ? rest / 2 : 0;
                var arena = Math.Min(ideal, least + ((rest - keys) / workers));
                return new Budget(
                    workers, arena, keys, keys >= 4L * workers * selections * LargeChunk ? LargeChunk : SmallChunk, pieces, window, matrices.Largest + beside, target);
            }

            if (--workers == 0)
            {
                throw new FaultException(
                    $"the memory budget of {Sizes.Text(options.Memory)} is too small for {matrices.Reason ?? "these tensors"}; give at least "
                    + $"{Sizes.Enough(options.Memory - rest)} with {Wording.Current.Memory}");
            }
        }
    }

    /// <summary>Elements of a full block of a kernel at a tensor: whole cells.</summary>
    public long BlockElements(StepKernel kernel, Shape shape)
    {
        var rows = RankRows.Of(kernel, shape);
        var unit = UnitOf(kernel, rows, Target);
        var room = ArenaBytes - Fixed(kernel) - rows.ScratchBytes;
        if (unit > rows.LeastUnit && Streams(kernel, rows, unit) > room)
        {
            // What the rows at a block's ends take comes off first.
            var ends = rows.Length == 0 ? 0 : kernel.InputBytes * ((2 * rows.Length) + Padding);
            unit = Math.Max(rows.LeastUnit, PlanShape.Cell * ((room - ends) / (Math.Max(1, kernel.BlockBytes) * (long)PlanShape.Cell)));
        }

        return unit;
    }

    /// <summary>Elements of a block of whole rows.</summary>
    public long RowElements(StepKernel kernel, Shape shape)
    {
        var rows = RankRows.Of(kernel, shape);
        if (kernel.RanksTensors)
        {
            return shape.Elements;
        }

        var perRow = (kernel.BlockBytes + kernel.ScratchBytes) * shape.RowLength;
        var room = ArenaBytes - rows.ScratchBytes - RowPadding(kernel);
        return shape.RowLength * Math.Max(1, room / Math.Max(1, perRow));
    }

    // Ranked inputs may begin anywhere and are padded at the end; see KernelCall.
    private const int Padding = 128;

    private static long RowPadding(StepKernel kernel) => ((kernel.BlockBytes + kernel.ScratchBytes) * (long)Padding) + Staggered(kernel);

    private static long Fixed(StepKernel kernel) =>
        (kernel.ScratchBytes * (long)kernel.ScratchElements) + (sizeof(int) * (long)PlanShape.Cell) + kernel.Dots.LaneBytes + Staggered(kernel);

    private static long Staggered(StepKernel kernel) => (kernel.InputSizes.Length + kernel.OutputSizes.Length) * (long)Stagger;

    private static long UnitOf(StepKernel kernel, RankRows rows, long target) => rows.Unit(Math.Max(1, kernel.BlockBytes), target);

    /// <summary>Bytes of the streams of a block.</summary>
    private static long Streams(StepKernel kernel, RankRows rows, long unit) =>
        ((kernel.BlockBytes - kernel.InputBytes) * unit) + (kernel.InputBytes * (rows.MostRegion(unit) + (rows.Length > 0 ? Padding : 0)));

    private static long IdealArena(ExecutionPlan plan, StepKernel?[][] kernels, long target)
    {
        var most = All(kernels).Select(k => Fixed(k) + (k.BlockBytes == 0 ? 0 : Math.Max(k.BlockBytes * (long)PlanShape.Cell, target))).DefaultIfEmpty(target).Max();
        foreach (var (kernel, rows) in Ranking(plan, kernels))
        {
            most = Math.Max(most, Fixed(kernel) + rows.ScratchBytes + Streams(kernel, rows, UnitOf(kernel, rows, target)));
        }

        return most;
    }

    private static long SmallestArena(ExecutionPlan plan, StepKernel?[][] kernels)
    {
        // What is copied goes through halves of it.
        var least = All(kernels).Select(k => Fixed(k) + (k.BlockBytes * (long)PlanShape.Cell)).Append(64 << 10).Max();
        for (var s = 0; s < plan.Steps.Count; s++)
        {
            var byRow = plan.Steps[s].Reductions.Any(r => r is { Kind: ReduceKind.Quantile, Extent: Extent.Row });
            for (var c = 0; c < kernels[s].Length; c++)
            {
                if (byRow && kernels[s][c] is { } kernel)
                {
                    var longest = plan.Tensors.Where(t => t.Class == c)
                        .Select(t => kernel.RanksTensors ? t.Shape.Elements : t.Shape.RowLength).DefaultIfEmpty(0).Max();
                    var sorting = kernel.Ranks.Length > 0 ? Ranks.ScratchBytes(longest) : 0;
                    least = Math.Max(least, (longest * (kernel.BlockBytes + kernel.ScratchBytes)) + RowPadding(kernel) + sorting);
                }
            }
        }

        foreach (var (kernel, rows) in Ranking(plan, kernels))
        {
            least = Math.Max(least, Fixed(kernel) + rows.ScratchBytes + Streams(kernel, rows, rows.LeastUnit));
        }

        return least;
    }

    /// <summary>Kernels that rank, with each of their tensors.</summary>
    private static IEnumerable<(StepKernel Kernel, RankRows Rows)> Ranking(ExecutionPlan plan, StepKernel?[][] kernels) =>
        kernels.SelectMany(step => step.Select((kernel, c) => (kernel, c))).Where(k => k.kernel is { Ranks.Length: > 0 })
            .SelectMany(k => plan.Tensors.Where(t => t.Class == k.c && t.Shape.Elements > 0).Select(t => (k.kernel!, RankRows.Of(k.kernel!, t.Shape))));

    /// <summary>As many blocks as take a sixty-fourth of the memory: so far ahead of a block that hangs the others get.</summary>
    private static int WindowOf(long blockResults, int workers, long memory) =>
        (int)Math.Clamp(memory / 64 / Math.Max(1, workers * blockResults), 1, 64);

    /// <summary>
    /// What cells came to, on its way to a tensor's results: each worker's block and the early ones of the tensor it is at. Tensors
    /// begun and not finished are at most the workers', and one that a later step came before in each step.
    /// </summary>
    private static long Results(StepKernel?[][] kernels, long blockResults, int workers, int window)
    {
        var slots = All(kernels).Where(k => k.PerCell).Select(k => k.Reductions.Slots.Length).DefaultIfEmpty(0).Max();
        return (workers * (window + 1L) * blockResults) + ((workers + kernels.Length) * (long)slots * sizeof(double));
    }

    private static long BlockResults(ExecutionPlan plan, StepKernel?[][] kernels, long target) => All(kernels).Select(kernel => (Kernel: kernel, Rows: default(RankRows)))
        .Concat(Ranking(plan, kernels)).Where(k => k.Kernel.PerCell)
        .Select(k => UnitOf(k.Kernel, k.Rows, target) / PlanShape.Cell * k.Kernel.Reductions.Slots.Length * sizeof(double)).DefaultIfEmpty(0).Max();

    private static IEnumerable<StepKernel> All(StepKernel?[][] kernels) => kernels.SelectMany(k => k).OfType<StepKernel>();

    /// <summary>What is held beside buffers, keys and cells' results: an upper bound from the shapes.</summary>
    private static long Held(ExecutionPlan plan, PlanShape shape, int workers, int pieces)
    {
        var rows = plan.Tensors.Sum(t => t.Shape.Rows);
        var cells = shape.Cells.Sum(c => (long)c);
        var inFlight = Math.Min(cells, (workers + 1L) * shape.Cells.DefaultIfEmpty(0).Max());
        long held = 0;
        foreach (var scalar in plan.Scalars)
        {
            held += scalar.Extent == Extent.Row ? (scalar is ComputedScalar or LoopScalar ? rows * sizeof(double) : 0) : shape.Count(scalar.Extent) * 9L;
        }

        foreach (var result in plan.Results)
        {
            held += (plan.Scalars[result].Extent == Extent.Row ? rows : shape.Count(plan.Scalars[result].Extent)) * sizeof(double);
        }

        foreach (var reduction in plan.Steps.SelectMany(s => s.Reductions))
        {
            if (reduction.Extent == Extent.Row)
            {
                held += (rows * sizeof(double)) + (inFlight * 2 * sizeof(double));
            }
            else if (!ReducedValues.IsSelection(reduction))
            {
                held += (plan.Tensors.Count + shape.Count(reduction.Extent)) * (long)sizeof(double);
            }
            else
            {
                var open = reduction.Extent switch { Extent.All => 1, Extent.Tensor => workers + 1, _ => OpenLayers(shape) + workers };
                var sample = (reduction.Extent == Extent.Tensor ? 1 : 4) * pieces * SelectionSample.PieceLength * 2L * sizeof(int);
                var bins = (workers + 2L) * RadixSelect.Bins * sizeof(long);
                held += Math.Min(open, shape.Count(reduction.Extent)) * (sample + bins);
                held += (reduction.Extent == Extent.Tensor ? inFlight : cells) * (sizeof(ushort) + 16L);
            }
        }

        return held;
    }

    private static int OpenLayers(PlanShape shape)
    {
        var change = new int[shape.Elements.Length + 1];
        for (var l = 0; l < shape.LayerIds.Length; l++)
        {
            var members = shape.Tensors(Extent.Layer, l);
            change[members[0]]++;
            change[members[^1] + 1]--;
        }

        int open = 0, most = 0;
        foreach (var c in change)
        {
            most = Math.Max(most, open += c);
        }

        return most;
    }
}
