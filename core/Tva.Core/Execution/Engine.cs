using Tva.Core.Checkpoints;
using Tva.Core.Devices;
using Tva.Core.Tensors;

namespace Tva.Core.Execution;

/// <summary>What the parts of one run share: the plan made ready, the tables of results, counters.</summary>
internal sealed class Engine : IDisposable
{
    public Engine(ExecutionPlan plan, RunOptions options, IBackend backend)
    {
        Plan = plan;
        Options = options;
        Device = backend.Device;
        Operands = backend.Held;
        Held = backend.Held is { } held ? new HeldRun(held, plan) : null;
        Shape = new PlanShape(plan.Tensors);
        Reductions = [.. plan.Steps.Select(step => new StepReductions(step.Reductions))];
        Kernels = [.. plan.Steps.Select((step, s) => step.Kernels.Select(k => k is null ? null : new StepKernel(Reductions[s], k, backend, m => Placement.IsProduct(plan, m), source => plan.Sources[source] is PinnedCheckpoint)).ToArray())];
        MatrixKernels = [.. plan.Steps.Select(step => step.Matrices.Select(op => op.Streams.Select(streams =>
            streams?.Select(k => new StepKernel(StepReductions.None, k, CpuBackend.Instance)).ToArray()).ToArray()).ToArray())];
        Matrices = new MatrixResults(plan);
        Budget = Budget.Of(plan, Shape, [.. Kernels, .. MatrixKernels.SelectMany(m => m).SelectMany(ByStream)], options, Device);
        Keys = new BlockPool(Budget.KeyBytes);
        MatrixMemory = new MemoryShare(Budget.MatrixBytes);
        Reduced = new ReducedValues(plan, Shape, Reductions);
        Scalars = new ScalarTable(plan, Shape, Reduced);
        Log = new NonFiniteLog(plan);
        ReadAhead = new ReadAhead(plan, Shape, Backwards, _ => true);
    }

    public ExecutionPlan Plan { get; }

    public RunOptions Options { get; }

    /// <summary>What takes blocks; null: nothing but the worker threads.</summary>
    public IBlockDevice? Device { get; }

    /// <summary>The room for operands that stay on the device; null where there is none.</summary>
    public HeldOperands? Operands { get; }

    /// <summary>The operands that are kept on the device; null where there is none.</summary>
    public HeldRun? Held { get; }

    public PlanShape Shape { get; }

    /// <summary>Per step.</summary>
    public StepReductions[] Reductions { get; }

    /// <summary>Per step and class; null where there is nothing to do.</summary>
    public StepKernel?[][] Kernels { get; }

    /// <summary>Per step, matrix op and class its streams; null where there is nothing to do.</summary>
    public StepKernel[]?[][][] MatrixKernels { get; }

    /// <summary>Every kernel there is.</summary>
    public IEnumerable<StepKernel> AllKernels =>
        Kernels.SelectMany(k => k).OfType<StepKernel>().Concat(MatrixKernels.SelectMany(m => m).SelectMany(c => c).SelectMany(k => k ?? []));

    /// <summary>What became of matrices.</summary>
    public MatrixResults Matrices { get; }

    /// <summary>What matrices at work may take.</summary>
    public MemoryShare MatrixMemory { get; }

    public Budget Budget { get; }

    public BlockPool Keys { get; }

    public ReducedValues Reduced { get; }

    public ScalarTable Scalars { get; }

    public NonFiniteLog Log { get; }

    public ReadAhead ReadAhead { get; private set; }

    /// <summary>Where results go; none before the first block.</summary>
    public OutputFiles? Outputs { get; set; }

    /// <inheritdoc/>
    public void Dispose()
    {
        Keys.Dispose();
        Held?.Dispose();
    }

    public StepKernel? KernelOf(int step, int tensor) =>
        Plan.Tensors[tensor].Class is >= 0 and var c && !(Leaving?.Leaves(step, tensor) ?? false) ? Kernels[step][c] : null;

    /// <summary>What need not be done because outputs have it already; null: all has to be.</summary>
    public Leaving? Leaving { get; private set; }

    /// <summary>Leaves out what these outputs have already.</summary>
    public void Leave(OutputFiles outputs)
    {
        if (Leaving.Of(Plan, outputs) is { } leaving)
        {
            Leaving = leaving;
            ReadAhead = new ReadAhead(Plan, Shape, Backwards, tensor => !leaving.Has(tensor));
        }
    }

    /// <summary>The kernels of a matrix op's first stream by class, those of its second, and so on.</summary>
    private static IEnumerable<StepKernel?[]> ByStream(StepKernel[]?[] classes) =>
        Enumerable.Range(0, classes.Max(c => c?.Length ?? 0)).Select(i => classes.Select(c => i < c?.Length ? c[i] : null).ToArray());

    /// <summary>The streams of a matrix op for a tensor, or null.</summary>
    public StepKernel[]? MatrixOf(int step, int matrix, int tensor) =>
        Plan.Tensors[tensor].Class is >= 0 and var c && Shape.Elements[tensor] > 0 && !(Leaving?.Leaves(step, tensor) ?? false) ? MatrixKernels[step][matrix][c] : null;

    /// <summary>
    /// After a step that ends in a number of the whole model the tensors come in the other direction: of a model larger than the page
    /// cache, the last ones read are still there.
    /// </summary>
    public bool Backwards(int step) => Plan.Steps.Take(step).Count(s => s.Reductions.Any(r => r.Extent == Extent.All)) % 2 != 0;
}
