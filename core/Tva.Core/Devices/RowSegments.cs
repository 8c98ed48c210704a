using Tva.Core.Execution;

namespace Tva.Core.Devices;

/// <summary>Comes in: a run of elements and a row's length. Goes out: where rows and cells cut it.</summary>
public static class RowSegments
{
    /// <summary>The first element of every part, and the end, counted from the run's start.</summary>
    /// <param name="start">Index of the run's first element, a multiple of a cell.</param>
    /// <param name="count">Its elements.</param>
    /// <param name="rowLength">Elements of a row.</param>
    public static int[] Of(long start, int count, long rowLength)
    {
        var cuts = new List<int> { 0 };
        var row = rowLength - (start % rowLength);
        long cell = PlanShape.Cell;
        while (Math.Min(row, cell) is var next && next < count)
        {
            cuts.Add((int)next);
            row += next == row ? rowLength : 0;
            cell += next == cell ? PlanShape.Cell : 0;
        }

        cuts.Add(count);
        return [.. cuts];
    }
}
