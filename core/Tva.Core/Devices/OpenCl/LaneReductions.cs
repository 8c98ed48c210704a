using Tva.Core.Devices.Rendering;
using Tva.Core.Execution;

namespace Tva.Core.Devices.OpenCl;

/// <summary>Comes in: what a program has left in a lane's memory. Goes out: lanes folded, rows reduced, keys looked at.</summary>
internal sealed unsafe class LaneReductions(OpenClQueue queue, LaneBuffers buffers)
{
    /// <summary>Folds the lanes of parts; returns where the host finds the results once the queue has run dry.</summary>
    public byte* Fold(IReadOnlyList<BlockReduction> reductions, int parts, int slots, HostScratch results)
    {
        var kinds = stackalloc int[reductions.Count];
        for (var s = 0; s < slots; s++)
        {
            kinds[s] = StandardKernels.FoldKind(reductions[s].Kind);
        }

        buffers.Kinds.Need(slots * sizeof(int));
        queue.Write(buffers.Kinds.Handle, 0, (byte*)kinds, slots * sizeof(int), true);
        return Fold(parts, slots, results);
    }

    private byte* Fold(int parts, int slots, HostScratch results)
    {
        buffers.Results.Need((long)slots * parts * sizeof(double));
        var fold = queue.Kernel(queue.Device.Standard, "tva_fold");
        queue.Set(fold, 0, buffers.Partials.Handle);
        queue.Set(fold, 1, buffers.Results.Handle);
        queue.Set(fold, 2, buffers.Kinds.Handle);
        queue.Set(fold, 3, (uint)parts);
        queue.Set(fold, 4, (uint)slots);
        queue.Launch(fold, (long)parts * slots);
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
            queue.Launch(rows, (long)parts * BlockProgram.Lanes);
            var results = Fold([block.Rows[r]], parts, 1, buffers.HostResults);
            queue.Finish();
            Numbers(results, call.RowResults[r].AsSpan(0, parts));
        }
    }

    /// <summary>A look for a selection.</summary>
    /// <param name="scan">The look.</param>
    /// <param name="call">The call.</param>
    /// <param name="outputs">Where outputs begin in the arena.</param>
    /// <param name="cells">Cells of the block.</param>
    public void Scan(BlockScan scan, BlockCall call, IReadOnlyList<long> outputs, int cells)
    {
        const int words = 6;
        buffers.ScanCells.Need(cells * words * sizeof(uint));
        buffers.Bins.Need((RadixSelect.Bins + 1) * sizeof(uint));
        buffers.Keys.Need(Math.Max(1, scan.Most) * (long)sizeof(int));
        buffers.Cursor.Need(sizeof(uint));
        queue.Fill(buffers.Bins, RadixSelect.Bins * sizeof(uint));
        queue.Fill(buffers.Cursor, sizeof(uint));
        var kernel = queue.Kernel(queue.Device.Standard, "tva_scan");
        queue.Set(kernel, 0, buffers.Arena.Handle);
        queue.Set(kernel, 1, (ulong)outputs[scan.Output]);
        queue.Set(kernel, 2, (uint)call.Count);
        queue.Set(kernel, 3, scan.Low);
        queue.Set(kernel, 4, scan.High);
        queue.Set(kernel, 5, scan.Guess);
        queue.Set(kernel, 6, scan.Magnitudes ? 1 : 0);
        queue.Set(kernel, 7, (uint)RadixSelect.Shift(scan.Low, scan.High));
        queue.Set(kernel, 8, (uint)scan.Most);
        queue.Set(kernel, 9, buffers.ScanCells.Handle);
        queue.Set(kernel, 10, buffers.Bins.Handle);
        queue.Set(kernel, 11, buffers.Keys.Handle);
        queue.Set(kernel, 12, buffers.Cursor.Handle);
        queue.Launch(kernel, (long)cells * OpenClDevice.GroupSize);
        var found = (uint*)queue.Back(buffers.ScanCells, cells * words * sizeof(uint), buffers.HostResults);
        var bins = (uint*)queue.Back(buffers.Bins, RadixSelect.Bins * sizeof(uint), buffers.HostFlags);
        var cursor = (uint*)queue.Back(buffers.Cursor, sizeof(uint), buffers.HostParameters);
        queue.Finish();
        scan.Cells = new ScannedCell[cells];
        for (var c = 0; c < cells; c++)
        {
            var f = found + (c * words);
            scan.Cells[c] = new((int)f[0], (int)f[1], (int)f[2], (int)f[3], (int)f[4], (int)f[5]);
        }

        for (var b = 0; b < RadixSelect.Bins; b++)
        {
            scan.Bins[b] = bins[b];
        }

        scan.Overflowed = *cursor > scan.Most;
        scan.Keys = new int[scan.Overflowed ? 0 : *cursor];
        if (scan.Keys.Length > 0)
        {
            fixed (int* to = scan.Keys)
            {
                queue.Read(buffers.Keys.Handle, 0, to, scan.Keys.Length * (long)sizeof(int));
                queue.Finish();
            }
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
