using Tva.Core.Devices.Rendering;
using Tva.Core.Execution;
using Tva.Core.Kernels;
using Tva.Core.Tensors;

namespace Tva.Core.Devices.OpenCl;

/// <summary>
/// Comes in: a block's call. Goes out: its copies and kernels, put into a queue in order, and their results, once that has run dry. What
/// overlaps is one worker's queue with the others'.
/// </summary>
internal sealed unsafe class OpenClLane : IBlockLane
{
    private const int Alignment = 256;

    private readonly OpenClDevice device;
    private readonly nint queue;
    private readonly Dictionary<(nint Program, string Name), nint> kernels = [];
    private readonly LaneBuffers buffers;
    private nint pinned;
    private void* mapped;

    public OpenClLane(OpenClDevice device, long staging)
    {
        this.device = device;
        int error;
        queue = Cl.clCreateCommandQueue(device.Context, device.Handle, 0, &error);
        device.Require(error, "open a queue on it");
        buffers = new LaneBuffers(device);
        try
        {
            // Memory that the driver allocates is what the device copies from without another copy on the way.
            var bytes = (nuint)(staging + Block.Alignment);
            pinned = Cl.clCreateBuffer(device.Context, Cl.ReadWrite | Cl.AllocHostPointer, bytes, null, &error);
            device.Require(error, $"get {Sizes.Text(staging)} of memory to copy from");
            mapped = Cl.clEnqueueMapBuffer(queue, pinned, 1, Cl.MapRead | Cl.MapWrite, 0, bytes, 0, null, null, &error);
            device.Require(error, $"map {Sizes.Text(staging)} of memory to copy from");
            Staging = (byte*)(((nint)mapped + Block.Alignment - 1) & ~(nint)(Block.Alignment - 1));
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public byte* Staging { get; }

    /// <inheritdoc/>
    public void Run(IBlockKernel kernel, BlockCall call)
    {
        var k = (OpenClKernel)kernel;
        var block = k.Program;
        var cells = (call.Count + BlockProgram.CellElements - 1) / BlockProgram.CellElements;
        var places = Place(block, call);
        Upload(block, call, places);
        Parameters(k, call, places);
        buffers.Flags.Need(cells * sizeof(uint));
        Fill(buffers.Flags, cells * sizeof(uint));
        var slots = block.Cells.Count;
        buffers.Partials.Need(call.Reduces ? (long)slots * cells * BlockProgram.Lanes * sizeof(double) : 0);
        for (var e = 0; e < (call.Reduces ? k.Rendered.Entries.Count : 1); e++)
        {
            var entry = Kernel(k.Handle, k.Rendered.Entries[e]);
            Arguments(entry, block, call, places, cells);
            Launch(entry, k.Rendered.ByCell ? (long)cells * BlockProgram.Lanes : call.Count);
        }

        var flags = Back(buffers.Flags, cells * sizeof(uint), buffers.HostFlags);
        var results = call.Reduces && slots > 0 ? Fold(block.Cells, cells, slots, buffers.HostResults) : null;
        for (var o = 0; o < call.Outputs.Length; o++)
        {
            if (call.Outputs[o] != 0)
            {
                var bytes = (nuint)((long)call.Count * block.Program.Outputs[o].Size());
                device.Require(Cl.clEnqueueReadBuffer(queue, buffers.Arena.Handle, 0, (nuint)places.Outputs[o], bytes, (void*)call.Outputs[o], 0, null, null), "copy from it");
            }
        }

        Finish();
        for (var c = 0; c < cells; c++)
        {
            call.Flags[c] = ((uint*)flags)[c] != 0;
        }

        if (results != null)
        {
            Numbers(results, call.CellResults.AsSpan(0, cells * slots));
        }

        if (call.Reduces && block.Rows.Count > 0)
        {
            Rows(block, call, places);
        }

        foreach (var scan in call.Scans)
        {
            Scan(scan, call, places, cells);
        }
    }

    /// <inheritdoc/>
    public void Multiply(MatrixOperand a, MatrixOperand b, float* c, IHeld place)
    {
        var (left, right, made) = ((OpenClBuffer)a.Place, (OpenClBuffer)b.Place, (OpenClBuffer)place);
        Write(left.Handle, 0, (byte*)a.Host, a.Bytes, false);
        Write(right.Handle, 0, (byte*)b.Host, b.Bytes, false);
        var kernel = Kernel(device.Programs.Get(ProductKernel.Source), ProductKernel.Name);
        Set(kernel, 0, left.Handle);
        Set(kernel, 1, (ulong)a.RowStep);
        Set(kernel, 2, (ulong)a.ColumnStep);
        Set(kernel, 3, right.Handle);
        Set(kernel, 4, (ulong)b.RowStep);
        Set(kernel, 5, (ulong)b.ColumnStep);
        Set(kernel, 6, made.Handle);
        Set(kernel, 7, (uint)a.Rows);
        Set(kernel, 8, (uint)a.Columns);
        Set(kernel, 9, (uint)b.Columns);
        Launch(kernel, ProductKernel.Tiles(a.Rows, b.Columns) * OpenClDevice.GroupSize);
        device.Require(Cl.clEnqueueReadBuffer(queue, made.Handle, 0, 0, (nuint)((long)a.Rows * b.Columns * sizeof(float)), c, 0, null, null), "copy from it");
        Finish();
    }

    /// <inheritdoc/>
    public void Copy(IHeld from, IHeld to)
    {
        var (source, destination) = ((OpenClBuffer)from, (OpenClBuffer)to);
        device.Require(Cl.clEnqueueCopyBuffer(queue, source.Handle, destination.Handle, 0, 0, (nuint)from.Bytes, 0, null, null), "copy within its memory");
        Finish();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (mapped != null)
        {
            _ = Cl.clEnqueueUnmapMemObject(queue, pinned, mapped, 0, null, null);
            _ = Cl.clFinish(queue);
            mapped = null;
        }

        if (pinned != 0)
        {
            _ = Cl.clReleaseMemObject(pinned);
            pinned = 0;
        }

        foreach (var kernel in kernels.Values)
        {
            _ = Cl.clReleaseKernel(kernel);
        }

        kernels.Clear();
        buffers.Dispose();
        _ = Cl.clReleaseCommandQueue(queue);
    }

    /// <summary>Divides the arena: where each input that is not held begins, and each kept output.</summary>
    private Places Place(BlockProgram block, BlockCall call)
    {
        var places = new Places(new long[block.Sources.Count], new long[block.Sources.Count], new long[block.Kept.Count]);
        long at = 0;
        for (var i = 0; i < places.Inputs.Length; i++)
        {
            ref var input = ref call.Inputs[i];
            if (block.Sources[i] == BlockSource.Memory && input.Held is not null)
            {
                places.Inputs[i] = input.HeldOffset;
            }
            else if (block.Sources[i] == BlockSource.Product)
            {
                places.Inputs[i] = Take(input.Left.Length * (long)sizeof(float));
                places.Rights[i] = Take(input.Right.Length * (long)sizeof(float));
            }
            else if (block.Sources[i] != BlockSource.Random)
            {
                places.Inputs[i] = Take(block.Sources[i] == BlockSource.Rows ? input.RowValues!.Length * (long)sizeof(float) : (long)call.Count * block.Program.Inputs[i].Size());
            }
        }

        for (var o = 0; o < places.Outputs.Length; o++)
        {
            places.Outputs[o] = block.Kept[o] ? Take((long)call.Count * block.Program.Outputs[o].Size()) : 0;
        }

        buffers.Arena.Need(Math.Max(at, Alignment));
        return places;

        long Take(long bytes)
        {
            var here = at;
            at += (bytes + Alignment - 1) / Alignment * Alignment;
            return here;
        }
    }

    private void Upload(BlockProgram block, BlockCall call, Places places)
    {
        for (var i = 0; i < places.Inputs.Length; i++)
        {
            ref var input = ref call.Inputs[i];
            if (block.Sources[i] == BlockSource.Memory && input.Host != null)
            {
                var to = input.Held is OpenClBuffer held ? held.Handle : buffers.Arena.Handle;
                Write(to, places.Inputs[i], input.Host, (long)call.Count * block.Program.Inputs[i].Size(), false);
            }
            else if (block.Sources[i] == BlockSource.Rows)
            {
                Numbers(places.Inputs[i], input.RowValues);
            }
            else if (block.Sources[i] == BlockSource.Product)
            {
                Numbers(places.Inputs[i], input.Left.Span);
                Numbers(places.Rights[i], input.Right.Span);
            }
        }

        void Numbers(long place, ReadOnlySpan<float> values)
        {
            fixed (float* from = values)
            {
                if (values.Length > 0)
                {
                    Write(buffers.Arena.Handle, place, (byte*)from, values.Length * (long)sizeof(float), true);
                }
            }
        }
    }

    private void Parameters(OpenClKernel kernel, BlockCall call, Places places)
    {
        var block = kernel.Program;
        var words = Renderer.WordsBefore(block, kernel.Rendered);
        var all = words + (2 * ((2 * block.Sources.Count) + block.Kept.Count));
        var p = (int*)buffers.HostParameters.Need(all * sizeof(int));
        for (var n = 0; n < call.Parameters.Length; n++)
        {
            var (upto, beyond, last) = call.Parameters[n];
            (p[3 * n], p[(3 * n) + 1]) = (upto, beyond);
            p[(3 * n) + 2] = last == long.MaxValue ? int.MaxValue : (int)Math.Clamp(last - call.Start, -1, int.MaxValue);
        }

        for (var c = 0; c < kernel.Rendered.Constants.Count; c++)
        {
            p[(3 * call.Parameters.Length) + c] = BitConverter.SingleToInt32Bits(kernel.Rendered.Constants[c]);
        }

        var at = words;
        for (var i = 0; i < places.Inputs.Length; i++)
        {
            if (block.Sources[i] != BlockSource.Random)
            {
                (p[at], p[at + 1]) = ((int)places.Inputs[i], (int)(places.Inputs[i] >> 32));
                at += 2;
            }

            if (block.Sources[i] == BlockSource.Product)
            {
                (p[at], p[at + 1]) = ((int)places.Rights[i], (int)(places.Rights[i] >> 32));
                at += 2;
            }
        }

        for (var o = 0; o < places.Outputs.Length; o++)
        {
            if (block.Kept[o])
            {
                (p[at], p[at + 1]) = ((int)places.Outputs[o], (int)(places.Outputs[o] >> 32));
                at += 2;
            }
        }

        buffers.Parameters.Need(Math.Max(1, at) * sizeof(int));
        if (at > 0)
        {
            Write(buffers.Parameters.Handle, 0, (byte*)p, at * sizeof(int), false);
        }
    }

    private void Arguments(nint entry, BlockProgram block, BlockCall call, Places places, int cells)
    {
        var index = 0u;
        for (var i = 0; i < places.Inputs.Length; i++)
        {
            if (block.Sources[i] == BlockSource.Random)
            {
                Set(entry, index++, call.Inputs[i].Key);
            }
            else
            {
                Set(entry, index++, call.Inputs[i].Held is OpenClBuffer held && block.Sources[i] == BlockSource.Memory ? held.Handle : buffers.Arena.Handle);
            }

            if (block.Sources[i] == BlockSource.Product)
            {
                Set(entry, index++, buffers.Arena.Handle);
                Set(entry, index++, (uint)call.Inputs[i].Rank);
                Set(entry, index++, (uint)call.Inputs[i].Columns);
                Set(entry, index++, (uint)(call.Start % call.Inputs[i].Columns));
            }
        }

        for (var o = 0; o < places.Outputs.Length; o++)
        {
            if (block.Kept[o])
            {
                Set(entry, index++, buffers.Arena.Handle);
            }
        }

        Set(entry, index++, buffers.Parameters.Handle);
        Set(entry, index++, (ulong)call.Start);
        Set(entry, index++, (uint)call.Count);
        Set(entry, index++, (uint)call.RowLength);
        Set(entry, index++, (uint)(call.RowLength == 0 ? 0 : call.Start % call.RowLength));
        Set(entry, index++, buffers.Flags.Handle);
        Set(entry, index++, buffers.Partials.Handle);
        Set(entry, index, (uint)cells);
    }

    /// <summary>Folds the lanes of parts; returns where the host finds the results once the queue has run dry.</summary>
    private byte* Fold(IReadOnlyList<BlockReduction> reductions, int parts, int slots, HostScratch results)
    {
        var kinds = stackalloc int[reductions.Count];
        for (var s = 0; s < slots; s++)
        {
            kinds[s] = StandardKernels.FoldKind(reductions[s].Kind);
        }

        buffers.Kinds.Need(slots * sizeof(int));
        Write(buffers.Kinds.Handle, 0, (byte*)kinds, slots * sizeof(int), true);
        return Fold(parts, slots, results);
    }

    private byte* Fold(int parts, int slots, HostScratch results)
    {
        buffers.Results.Need((long)slots * parts * sizeof(double));
        var fold = Kernel(device.Standard, "tva_fold");
        Set(fold, 0, buffers.Partials.Handle);
        Set(fold, 1, buffers.Results.Handle);
        Set(fold, 2, buffers.Kinds.Handle);
        Set(fold, 3, (uint)parts);
        Set(fold, 4, (uint)slots);
        Launch(fold, (long)parts * slots);
        return Back(buffers.Results, (long)slots * parts * sizeof(double), results);
    }

    private void Rows(BlockProgram block, BlockCall call, Places places)
    {
        var cuts = RowSegments.Of(call.Start, call.Count, call.RowLength);
        var parts = cuts.Length - 1;
        buffers.Cuts.Need(cuts.Length * sizeof(int));
        fixed (int* from = cuts)
        {
            Write(buffers.Cuts.Handle, 0, (byte*)from, cuts.Length * sizeof(int), true);
        }

        buffers.Partials.Need((long)parts * BlockProgram.Lanes * sizeof(double));
        for (var r = 0; r < block.Rows.Count; r++)
        {
            var (kind, a, b) = block.Rows[r];
            var rows = Kernel(device.Standard, StandardKernels.RowKernel(kind));
            Set(rows, 0, buffers.Arena.Handle);
            Set(rows, 1, (ulong)places.Outputs[a]);
            Set(rows, 2, buffers.Arena.Handle);
            Set(rows, 3, (ulong)places.Outputs[Math.Max(b, 0)]);
            Set(rows, 4, buffers.Cuts.Handle);
            Set(rows, 5, (uint)parts);
            Set(rows, 6, buffers.Partials.Handle);
            Launch(rows, (long)parts * BlockProgram.Lanes);
            var results = Fold([block.Rows[r]], parts, 1, buffers.HostResults);
            Finish();
            Numbers(results, call.RowResults[r].AsSpan(0, parts));
        }
    }

    private void Scan(BlockScan scan, BlockCall call, Places places, int cells)
    {
        const int words = 6;
        buffers.ScanCells.Need(cells * words * sizeof(uint));
        buffers.Bins.Need((RadixSelect.Bins + 1) * sizeof(uint));
        buffers.Keys.Need(Math.Max(1, scan.Most) * (long)sizeof(int));
        buffers.Cursor.Need(sizeof(uint));
        Fill(buffers.Bins, RadixSelect.Bins * sizeof(uint));
        Fill(buffers.Cursor, sizeof(uint));
        var kernel = Kernel(device.Standard, "tva_scan");
        Set(kernel, 0, buffers.Arena.Handle);
        Set(kernel, 1, (ulong)places.Outputs[scan.Output]);
        Set(kernel, 2, (uint)call.Count);
        Set(kernel, 3, scan.Low);
        Set(kernel, 4, scan.High);
        Set(kernel, 5, scan.Guess);
        Set(kernel, 6, scan.Magnitudes ? 1 : 0);
        Set(kernel, 7, (uint)RadixSelect.Shift(scan.Low, scan.High));
        Set(kernel, 8, (uint)scan.Most);
        Set(kernel, 9, buffers.ScanCells.Handle);
        Set(kernel, 10, buffers.Bins.Handle);
        Set(kernel, 11, buffers.Keys.Handle);
        Set(kernel, 12, buffers.Cursor.Handle);
        Launch(kernel, (long)cells * OpenClDevice.GroupSize);
        var found = (uint*)Back(buffers.ScanCells, cells * words * sizeof(uint), buffers.HostResults);
        var bins = (uint*)Back(buffers.Bins, RadixSelect.Bins * sizeof(uint), buffers.HostFlags);
        var cursor = (uint*)Back(buffers.Cursor, sizeof(uint), buffers.HostParameters);
        Finish();
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
                device.Require(Cl.clEnqueueReadBuffer(queue, buffers.Keys.Handle, 1, 0, (nuint)scan.Keys.Length * sizeof(int), to, 0, null, null), "copy from it");
            }
        }
    }

    private void Numbers(byte* from, Span<double> to)
    {
        for (var i = 0; i < to.Length; i++)
        {
            to[i] = device.Fp64 ? ((double*)from)[i] : ((float*)from)[2 * i] + (double)((float*)from)[(2 * i) + 1];
        }
    }

    private nint Kernel(nint program, string name)
    {
        if (!kernels.TryGetValue((program, name), out var kernel))
        {
            int error;
            kernel = Cl.clCreateKernel(program, name, &error);
            device.Require(error, $"make the kernel {name}");
            kernels.Add((program, name), kernel);
        }

        return kernel;
    }

    private void Set<T>(nint kernel, uint index, T value)
        where T : unmanaged => device.Require(Cl.clSetKernelArg(kernel, index, (nuint)sizeof(T), &value), "set up a kernel");

    private void Launch(nint kernel, long items)
    {
        const int group = OpenClDevice.GroupSize;
        var (global, local) = ((nuint)((items + group - 1) / group * group), (nuint)group);
        device.Require(Cl.clEnqueueNDRangeKernel(queue, kernel, 1, null, &global, &local, 0, null, null), "run a kernel");
    }

    private void Write(nint buffer, long offset, byte* from, long bytes, bool wait) =>
        device.Require(Cl.clEnqueueWriteBuffer(queue, buffer, wait ? 1u : 0, (nuint)offset, (nuint)bytes, from, 0, null, null), "copy to it");

    private byte* Back(LaneBuffer buffer, long bytes, HostScratch host)
    {
        var to = host.Need(bytes);
        device.Require(Cl.clEnqueueReadBuffer(queue, buffer.Handle, 0, 0, (nuint)bytes, to, 0, null, null), "copy from it");
        return to;
    }

    private void Fill(LaneBuffer buffer, long bytes)
    {
        var zero = 0u;
        device.Require(Cl.clEnqueueFillBuffer(queue, buffer.Handle, &zero, sizeof(uint), 0, (nuint)bytes, 0, null, null), "clear its memory");
    }

    private void Finish() => device.Require(Cl.clFinish(queue), "finish a block");

    /// <summary>Where streams begin, in the arena or in the memory an operand is held in.</summary>
    private sealed record Places(long[] Inputs, long[] Rights, long[] Outputs);
}
