using Tva.Core.Devices;
using Tva.Core.Kernels;

namespace Tva.Core.Execution;

/// <summary>Comes in: what a step does with a class. Goes out: the same as a device's program, or why the worker threads must do it.</summary>
internal static class Placement
{
    /// <summary>The program, and per fed slot of the step's reductions the number that it comes as.</summary>
    public static (BlockProgram Program, (int Slot, int Cell)[] Targets) Of(
        ClassKernel kernel, StepReductions reductions, Func<int, int> copyOf, Func<MatrixInput, bool> isProduct)
    {
        var kept = new bool[kernel.Program.Outputs.Count];
        for (var o = 0; o < kept.Length; o++)
        {
            kept[o] = kernel.Files[o] >= 0 && copyOf(o) < 0;
        }

        var cells = new List<BlockReduction>();
        var numbers = new Dictionary<BlockReduction, int>();
        var targets = new List<(int, int)>();
        for (var slot = 0; slot < reductions.Slots.Length; slot++)
        {
            if (kernel.Feeds[reductions.Slots[slot]] is { A: >= 0 } feed)
            {
                var (a, b) = feed.B >= 0 && feed.B < feed.A ? (feed.B, feed.A) : (feed.A, feed.B);
                var reduction = new BlockReduction(reductions.Kinds[slot], a, reductions.Kinds[slot] == ReduceKind.Dot ? b : -1);
                if (!numbers.TryGetValue(reduction, out var number))
                {
                    numbers.Add(reduction, number = cells.Count);
                    cells.Add(reduction);
                }

                targets.Add((slot, number));
            }
        }

        var rows = new List<BlockReduction>();
        foreach (var r in reductions.Rows.Where(r => kernel.Feeds[r].A >= 0))
        {
            var (kind, feed) = (reductions.All[r].Kind, kernel.Feeds[r]);
            rows.Add(new(kind, feed.A, kind == ReduceKind.Dot ? feed.B : -1));
            kept[feed.A] = true;
            if (kind == ReduceKind.Dot)
            {
                kept[feed.B] = true;
            }
        }

        foreach (var r in reductions.Selections.Where(r => kernel.Feeds[r].A >= 0))
        {
            kept[kernel.Feeds[r].A] = true;
        }

        BlockSource[] sources = [.. kernel.Inputs.Select(input => input switch
        {
            RandomInput => BlockSource.Random,
            RowInput => BlockSource.Rows,
            MatrixInput matrix when isProduct(matrix) => BlockSource.Product,
            _ => BlockSource.Memory,
        })];
        return (new BlockProgram(kernel.Program, sources, kept, cells, rows) { Selects = reductions.Selections.Any(r => kernel.Feeds[r].A >= 0) }, [.. targets]);
    }

    /// <summary>Whether what a matrix op makes is kept as two factors.</summary>
    public static bool IsProduct(ExecutionPlan plan, MatrixInput input) => plan.Steps[input.Step].Matrices[input.Matrix].Kind != MatrixKind.Polar;

    /// <summary>Why a kernel is for the worker threads, as a person reads it; null where the device takes it.</summary>
    public static string? Refusal(ClassKernel kernel, StepReductions reductions, BlockProgram program, IBlockDevice device) =>
        kernel.Inputs.Any(i => i is RankInput) ? "ranks are sorted by the processor"
        : kernel.Program.Instructions.Count == 0 ? "there is nothing to compute"
        : device.Refusal(program);

    /// <summary>What the worker threads do of a plan beside copying, a line for each kind of work.</summary>
    public static IReadOnlyList<string> OnProcessor(ExecutionPlan plan, IBlockDevice device)
    {
        var lines = new List<string>();
        for (var s = 0; s < plan.Steps.Count; s++)
        {
            var reductions = new StepReductions(plan.Steps[s].Reductions);
            foreach (var kernel in plan.Steps[s].Kernels.OfType<ClassKernel>())
            {
                var program = Of(kernel, reductions, output => StepKernel.CopySource(kernel, output), m => IsProduct(plan, m)).Program;
                if (Refusal(kernel, reductions, program, device) is { } reason)
                {
                    lines.Add($"step {s + 1} on the cpu: {reason}");
                }
            }

            if (plan.Steps[s].Matrices.Count > 0)
            {
                lines.Add($"step {s + 1}: whole matrices on the cpu{(DeviceProducts.Serves(device) ? ", large products of them on the device" : "")}");
            }

            if (reductions.RowSelections.Length > 0)
            {
                lines.Add($"step {s + 1}: quantiles by row on the cpu");
            }
        }

        return [.. lines.Distinct()];
    }
}
