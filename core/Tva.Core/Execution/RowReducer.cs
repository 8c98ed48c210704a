namespace Tva.Core.Execution;

/// <summary>
/// Comes in: a tensor's cells in any order. Goes out: one reduction per row. A row that crosses cells is cut there, and its
/// segments are combined in order once all cells are in.
/// </summary>
internal sealed unsafe class RowReducer(ReduceKind kind, long rowLength, int cells, double[] rows)
{
    // Of each cell at most two segments belong to rows that it doesn't hold whole: the row that goes on from the cell before,
    // and the row that goes on in the next.
    private readonly double[] heads = new double[cells];
    private readonly double[] tails = new double[cells];

    public void Add(int cell, float* a, float* b, int count)
    {
        var start = (long)cell * PlanShape.Cell;
        var (row, within) = Math.DivRem(start, rowLength);
        long i = 0;
        if (within != 0)
        {
            i = Math.Min(rowLength - within, count);
            heads[cell] = Reducers.Reduce(kind, a, b, (nint)i);
            row++;
        }

        for (; i + rowLength <= count; i += rowLength)
        {
            rows[row++] = Reducers.Reduce(kind, a + i, b + i, (nint)rowLength);
        }

        if (i < count)
        {
            tails[cell] = Reducers.Reduce(kind, a + i, b + i, (nint)(count - i));
        }
    }

    /// <summary>Takes the numbers of the parts that rows and cells cut a run into; see <see cref="Devices.RowSegments"/>.</summary>
    public void Add(long start, int[] cuts, double[] values)
    {
        for (var part = 0; part + 1 < cuts.Length; part++)
        {
            var (first, end) = (start + cuts[part], start + cuts[part + 1]);
            var (row, within) = Math.DivRem(first, rowLength);
            var cell = first / PlanShape.Cell;
            ref var place = ref within != 0 ? ref heads[cell] : ref end == (row + 1) * rowLength ? ref rows[row] : ref tails[cell];
            place = values[part];
        }
    }

    public void Finish()
    {
        for (var cell = 1; cell < heads.Length; cell++)
        {
            var (row, within) = Math.DivRem((long)cell * PlanShape.Cell, rowLength);
            if (within == 0)
            {
                continue;
            }

            var isSecond = row * rowLength / PlanShape.Cell == cell - 1;
            rows[row] = Reducers.Combine(kind, isSecond ? tails[cell - 1] : rows[row], heads[cell]);
        }
    }
}
