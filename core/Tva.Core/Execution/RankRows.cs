using Tva.Core.Tensors;

namespace Tva.Core.Execution;

/// <summary>
/// Comes in: what a kernel ranks, and a tensor. Goes out: how its blocks are cut. Cells are counted from the tensor's start, ranks need
/// whole rows. Where a common multiple of both is of a size to be held, blocks are cut there; else a block reads the rows at its ends
/// whole, and the block next to it reads them too.
/// </summary>
/// <param name="Length">Elements that are ranked together; 0 where nothing is.</param>
/// <param name="Elements">Elements of the tensor.</param>
internal readonly record struct RankRows(long Length, long Elements)
{
    // Blocks at common multiples of rows and cells may be as large as that.
    private const long MostBytes = 16 << 20;

    // Where there is no such multiple, so many rows make reading the ones at both ends twice a small thing.
    private const int FewestRows = 8;

    /// <summary>Those of a kernel with a tensor.</summary>
    public static RankRows Of(StepKernel kernel, Shape shape) => new(
        kernel.Ranks.Length == 0 ? 0 : kernel.RanksTensors ? shape.Elements : shape.RowLength, shape.Elements);

    /// <summary>Memory for sorting.</summary>
    public long ScratchBytes => Ranks.ScratchBytes(Length);

    /// <summary>Elements of the smallest blocks: whole cells, and not so small that rows are ranked over and over.</summary>
    public long LeastUnit => Cells(Math.Max(1, Math.Min(Length, Elements)));

    /// <summary>Elements of the blocks there should be.</summary>
    /// <param name="bytes">Bytes of an element.</param>
    /// <param name="target">Bytes of a block there should be.</param>
    public long Unit(long bytes, long target = Budget.BlockTarget)
    {
        var most = MostBytes / bytes;
        var wanted = Math.Max(PlanShape.Cell, target / bytes / PlanShape.Cell * PlanShape.Cell);
        if (Length == 0)
        {
            return wanted;
        }

        // The least common multiple; a cell is a power of two.
        var cycle = Length / Math.Min(Length & -Length, PlanShape.Cell) * PlanShape.Cell;
        return cycle <= most
            ? Math.Max(1, wanted / cycle) * cycle
            : Math.Max(LeastUnit, Cells(Math.Min(Elements, Math.Max(wanted, Math.Min(most, FewestRows * Length)))));
    }

    /// <summary>The elements that a block needs: its own, and the rest of the rows at its ends.</summary>
    public (long Start, long End) Region(long start, long count) => Length == 0
        ? (start, start + count)
        : (start / Length * Length, Math.Min(Elements, (start + count + Length - 1) / Length * Length));

    /// <summary>The most that any block of that many elements needs.</summary>
    public long MostRegion(long unit) =>
        Length == 0 || unit % Length == 0 ? unit : Math.Min(Math.Max(unit, Elements), unit + (2 * (Length - 1)));

    private static long Cells(long elements) => (elements + PlanShape.Cell - 1) / PlanShape.Cell * PlanShape.Cell;
}
