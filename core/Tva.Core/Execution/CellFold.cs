namespace Tva.Core.Execution;

/// <summary>
/// Comes in: the results of a tensor's cells, block by block in any order. Goes out: those of the tensor, combined in the order of the
/// cells. What comes early waits for its turn; of that only so many blocks are held, and whoever brings more waits.
/// </summary>
/// <param name="reductions">What the slots of a cell's results are.</param>
/// <param name="window">Blocks that may be held.</param>
internal sealed class CellFold(StepReductions reductions, int window)
{
    private readonly Dictionary<long, (double[] Results, int Cells)> early = [];
    private readonly Stack<double[]> free = [];
    private double[]? values;
    private long next;

    /// <summary>The tensor's results, once all its blocks are in.</summary>
    public double[] Values => values!;

    /// <summary>Takes a block's results: those of its first cell, then the next one's.</summary>
    /// <param name="block">Number of the block.</param>
    /// <param name="results">Its results; kept where it came early.</param>
    /// <param name="cells">How many cells it has.</param>
    /// <param name="failed">Whether someone failed, and with them perhaps the blocks before.</param>
    /// <returns>An array for the next block's results.</returns>
    public double[] Add(long block, double[] results, int cells, Func<bool> failed)
    {
        lock (early)
        {
            // The block whose turn it is was claimed before this one, and its worker never waits here.
            while (block != next && early.Count >= window)
            {
                if (failed())
                {
                    return results;
                }

                Monitor.Wait(early, 20);
            }

            if (block != next)
            {
                early.Add(block, (results, cells));
                return free.TryPop(out var other) ? other : new double[results.Length];
            }

            Combine(results, cells);
            for (next++; early.Remove(next, out var waiting); next++)
            {
                Combine(waiting.Results, waiting.Cells);
                free.Push(waiting.Results);
            }

            Monitor.PulseAll(early);
            return results;
        }
    }

    private void Combine(double[] results, int cells)
    {
        var slots = reductions.Slots.Length;
        for (var cell = 0; cell < cells; cell++)
        {
            var some = results.AsSpan(cell * slots, slots);
            if (values is null)
            {
                values = some.ToArray();
                continue;
            }

            for (var s = 0; s < reductions.Sums; s++)
            {
                values[s] += some[s];
            }

            for (var s = reductions.Sums; s < slots; s++)
            {
                values[s] = Reducers.Combine(reductions.Kinds[s], values[s], some[s]);
            }
        }
    }
}
