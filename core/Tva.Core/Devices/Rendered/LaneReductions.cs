using Tva.Core.Devices.Rendering;
using Tva.Core.Execution;

namespace Tva.Core.Devices.Rendered;

/// <summary>Comes in: what a program has left in a lane's memory. Goes out: lanes folded, rows reduced, keys looked at.</summary>
internal sealed unsafe class LaneReductions(DeviceQueue queue, LaneBuffers buffers)
{
    // Of a scanned cell.
    private const int CellWords = 6;

    /// <summary>Folds the lanes of parts; returns where the host finds the results once the queue has run dry.</summary>
    public byte* Fold(IReadOnlyList<BlockReduction> reductions, int parts, int slots, HostScratch results)
    {
        var kinds = (int*)buffers.HostKinds.Need(slots * sizeof(int));
        for (var s = 0; s < slots; s++)
        {
            kinds[s] = StandardKernels.FoldKind(reductions[s].Kind);
        }

        buffers.Kinds.Need(slots * sizeof(int));
        queue.Write(buffers.Kinds.Handle, 0, (byte*)kinds, slots * sizeof(int), false);
        buffers.Results.Need((long)slots * parts * sizeof(double));
        var fold = queue.Kernel(queue.Device.Standard, "tva_fold");
        queue.Set(fold, 0, buffers.Partials.Handle);
        queue.Set(fold, 1, buffers.Results.Handle);
        queue.Set(fold, 2, buffers.Kinds.Handle);
        queue.Set(fold, 3, (uint)parts);
        queue.Set(fold, 4, (uint)slots);
        queue.Launch(fold, (long)parts * slots, DeviceQueue.GroupSize);
        return queue.Back(buffers.Results, (long)slots * parts * sizeof(double), results);
    }

    /// <summary>Reductions by row.</summary>
    /// <param name="block">The program, which has run.</param>
    /// <param name="call">Its call.</param>
    /// <param name="outputs">Where outputs begin in the arena.</param>
    public void Rows(BlockProgram block, BlockCall call, IReadOnlyList<long> outputs)
    {
        var cuts = RowSegments.Of(call.Start, call.Count, call.RowLength);
        var parts = cuts.Length - 1;
        buffers.Cuts.Need(cuts.Length * sizeof(int));
        fixed (int* from = cuts)
        {
            queue.Write(buffers.Cuts.Handle, 0, (byte*)from, cuts.Length * sizeof(int), true);
        }

        buffers.Partials.Need((long)parts * BlockProgram.Lanes * sizeof(double));
        for (var r = 0; r < block.Rows.Count; r++)
        {
            var (kind, a, b) = block.Rows[r];
            var rows = queue.Kernel(queue.Device.Standard, StandardKernels.RowKernel(kind));
            queue.Set(rows, 0, buffers.Arena.Handle);
            queue.Set(rows, 1, (ulong)outputs[a]);
            queue.Set(rows, 2, buffers.Arena.Handle);
            queue.Set(rows, 3, (ulong)outputs[Math.Max(b, 0)]);
            queue.Set(rows, 4, buffers.Cuts.Handle);
            queue.Set(rows, 5, (uint)parts);
            queue.Set(rows, 6, buffers.Partials.Handle);
            queue.Launch(rows, (long)parts * BlockProgram.Lanes, DeviceQueue.GroupSize);
            var results = Fold([block.Rows[r]], parts, 1, buffers.HostResults);
            queue.Finish();
            Numbers(results, call.RowResults[r].AsSpan(0, parts));
        }
    }

    /// <summary>Looks for selections: all of them at once, then the keys that they found.</summary>
    /// <param name="scans">The looks.</param>
    /// <param name="count">The block's elements.</param>
    /// <param name="outputs">Where outputs begin in the arena.</param>
    /// <param name="cells">Cells of the block.</param>
    public void Scan(IReadOnlyList<BlockScan> scans, int count, IReadOnlyList<long> outputs, int cells)
    {
        for (var n = 0; n < scans.Count; n++)
        {
            Look(scans[n], buffers.Scan(n), count, outputs[scans[n].Output], cells);
        }

        queue.Finish();
        for (var n = 0; n < scans.Count; n++)
        {
            Found(scans[n], buffers.Scan(n), cells);
        }

        queue.Finish();
        for (var n = 0; n < scans.Count; n++)
        {
            var (keys, from) = (scans[n].Keys, buffers.Scan(n).HostKeys);
            new ReadOnlySpan<int>(from.Need(0), keys.Length).CopyTo(keys);
        }
    }

    private void Look(BlockScan scan, ScanBuffers to, int count, long output, int cells)
    {
        const int bins = RadixSelect.Bins;
        to.Cells.Need(cells * CellWords * sizeof(uint));
        to.Bins.Need((bins + 1) * sizeof(uint));
        to.Keys.Need(Math.Max(1, scan.Most) * (long)sizeof(int));
        queue.Clear(to.Bins.Handle, (bins + 1) * sizeof(uint));
        var kernel = queue.Kernel(queue.Device.Standard, "tva_scan");
        queue.Set(kernel, 0, buffers.Arena.Handle);
        queue.Set(kernel, 1, (ulong)output);
        queue.Set(kernel, 2, (uint)count);
        queue.Set(kernel, 3, scan.Low);
        queue.Set(kernel, 4, scan.High);
        queue.Set(kernel, 5, scan.Guess);
        queue.Set(kernel, 6, scan.Magnitudes ? 1 : 0);
        queue.Set(kernel, 7, (uint)RadixSelect.Shift(scan.Low, scan.High));
        queue.Set(kernel, 8, (uint)scan.Most);
        queue.Set(kernel, 9, to.Cells.Handle);
        queue.Set(kernel, 10, to.Bins.Handle);
        queue.Set(kernel, 11, to.Keys.Handle);
        queue.Launch(kernel, (long)cells * DeviceQueue.WideGroup, DeviceQueue.WideGroup);
        _ = queue.Back(to.Cells, cells * CellWords * sizeof(uint), to.HostCells);
        _ = queue.Back(to.Bins, (bins + 1) * sizeof(uint), to.HostBins);
    }

    private void Found(BlockScan scan, ScanBuffers from, int cells)
    {
        var found = (int*)from.HostCells.Need(0);
        var bins = (uint*)from.HostBins.Need(0);
        scan.Cells = new ScannedCell[cells];
        for (var c = 0; c < cells; c++)
        {
            var f = found + (c * CellWords);
            scan.Cells[c] = new(f[0], f[1], f[2], f[3], f[4], f[5]);
        }

        for (var b = 0; b < RadixSelect.Bins; b++)
        {
            scan.Bins[b] = bins[b];
        }

        var cursor = bins[RadixSelect.Bins];
        scan.Overflowed = cursor > scan.Most;
        scan.Keys = new int[scan.Overflowed ? 0 : cursor];
        if (scan.Keys.Length > 0)
        {
            _ = queue.Back(from.Keys, scan.Keys.Length * (long)sizeof(int), from.HostKeys);
        }
    }

    /// <summary>Results as float64.</summary>
    public void Numbers(byte* from, Span<double> to)
    {
        for (var i = 0; i < to.Length; i++)
        {
            to[i] = queue.Device.Fp64 ? ((double*)from)[i] : ((float*)from)[2 * i] + (double)((float*)from)[(2 * i) + 1];
        }
    }
}
