using Tva.Core.Devices.Rendering;
using Tva.Core.Execution;
using Tva.Core.Kernels;
using Tva.Core.Tensors;

namespace Tva.Core.Devices.Rendered;

/// <summary>
/// Comes in: a block's call. Goes out: its copies and kernels, put into a queue in order, and their results, once that has run dry. What
/// overlaps is one worker's queue with the others'.
/// </summary>
internal sealed unsafe class RenderedLane : IBlockLane
{
    private const int Alignment = 256;

    private readonly RenderedDevice device;
    private readonly DeviceQueue queue;
    private readonly LaneBuffers buffers;
    private readonly LaneReductions reductions;
    private (nint Handle, nint Mapped) pinned;

    public RenderedLane(RenderedDevice device, long staging)
    {
        this.device = device;
        StagingBytes = staging;
        queue = device.OpenQueue();
        buffers = new LaneBuffers(queue);
        reductions = new LaneReductions(queue, buffers);
        try
        {
            pinned = queue.Pin(staging + Block.Alignment);
            Staging = (byte*)((pinned.Mapped + Block.Alignment - 1) & ~(nint)(Block.Alignment - 1));
        }
        catch
        {
            Release();
            throw;
        }
    }

    /// <inheritdoc/>
    public byte* Staging { get; }

    /// <summary>Bytes there.</summary>
    public long StagingBytes { get; }

    /// <summary>Whether someone uses it.</summary>
    public bool Taken { get; set; }

    /// <summary>Whether something went wrong on it, so that nobody should use it again.</summary>
    public bool Failed { get; private set; }

    /// <inheritdoc/>
    public void Run(IBlockKernel kernel, BlockCall call) => Safely(() => Compute((RenderedKernel)kernel, call));

    /// <inheritdoc/>
    public void Multiply(MatrixOperand a, MatrixOperand b, float* c, IHeld place) => Safely(() => Product(a, b, c, place));

    /// <inheritdoc/>
    public void Copy(IHeld from, IHeld to) => Safely(() =>
    {
        queue.Copy(((DeviceBuffer)from).Handle, ((DeviceBuffer)to).Handle, from.Bytes);
        queue.Finish();
    });

    /// <summary>Leaves it to whoever opens the next one.</summary>
    public void Dispose()
    {
        if (Taken)
        {
            Taken = false;
            device.Leave(this);
        }
    }

    /// <summary>Gives back its memory on the device, and keeps that of the host, which takes longer to get.</summary>
    public void Empty() => buffers.Empty();

    /// <summary>Gives everything back to the driver.</summary>
    public void Release()
    {
        if (pinned.Handle != 0)
        {
            queue.Unpin(pinned.Handle, pinned.Mapped);
            pinned = default;
        }

        buffers.Dispose();
        queue.Dispose();
    }

    private void Safely(Action work)
    {
        var done = false;
        try
        {
            work();
            done = true;
        }
        finally
        {
            if (!done)
            {
                Failed = true;
                Quieten();
            }
        }
    }

    /// <summary>What is on its way from and to memory of the host's comes to its end before whoever asked for it goes on.</summary>
    private void Quieten()
    {
        try
        {
            queue.Finish();
        }
        catch (DeviceFaultException)
        {
            // What went wrong before is told.
        }
    }

    private void Compute(RenderedKernel k, BlockCall call)
    {
        var block = k.Program;
        var cells = (call.Count + BlockProgram.CellElements - 1) / BlockProgram.CellElements;
        var places = Place(block, call);
        Upload(block, call, places);
        Parameters(k, call, places);
        buffers.Flags.Need(cells * sizeof(uint));
        if (k.Rendered.Guards)
        {
            queue.Clear(buffers.Flags.Handle, cells * sizeof(uint));
        }

        var slots = block.Cells.Count;

        // The first kernel leaves its sums there whether they are wanted or not.
        buffers.Partials.Need((long)slots * cells * BlockProgram.Lanes * sizeof(double));
        foreach (var entry in call.Reduces ? k.Rendered.Entries : k.Rendered.Entries.Take(1))
        {
            var kernel = queue.Kernel(k.Handle, entry.Name);
            Arguments(kernel, block, call, places, cells);
            queue.Launch(kernel, entry.Items(call.Count), entry.Group);
        }

        var flags = k.Rendered.Guards ? queue.Back(buffers.Flags, cells * sizeof(uint), buffers.HostFlags) : null;
        var results = call.Reduces && slots > 0 ? reductions.Fold(block.Cells, cells, slots, buffers.HostResults) : null;
        for (var o = 0; o < call.Outputs.Length; o++)
        {
            if (call.Outputs[o] != 0)
            {
                queue.Read(buffers.Arena.Handle, places.Outputs[o], (void*)call.Outputs[o], (long)call.Count * block.Program.Outputs[o].Size());
            }
        }

        // What comes next in the queue needs nothing that the host has yet to look at.
        if (block.Rows.Count > 0 || call.Scans.Count == 0)
        {
            queue.Finish();
        }

        if (call.Reduces && block.Rows.Count > 0)
        {
            TakeNumbers();
            reductions.Rows(block, call, places.Outputs);
        }

        if (call.Scans.Count > 0)
        {
            reductions.Scan(call.Scans, call.Count, places.Outputs, cells);
        }

        TakeNumbers();
        for (var c = 0; c < cells; c++)
        {
            call.Flags[c] = flags != null && ((uint*)flags)[c] != 0;
        }

        void TakeNumbers()
        {
            if (results != null)
            {
                reductions.Numbers(results, call.CellResults.AsSpan(0, cells * slots));
                results = null;
            }
        }
    }

    private void Product(MatrixOperand a, MatrixOperand b, float* c, IHeld place)
    {
        var (left, right, made) = ((DeviceBuffer)a.Place, (DeviceBuffer)b.Place, (DeviceBuffer)place);
        var kernel = queue.Kernel(device.Programs.Get(ProductKernel.Source), ProductKernel.Name);
        queue.Write(left.Handle, 0, (byte*)a.Host, a.Bytes, false);
        queue.Write(right.Handle, 0, (byte*)b.Host, b.Bytes, false);
        queue.Set(kernel, 0, left.Handle);
        queue.Set(kernel, 1, (ulong)a.RowStep);
        queue.Set(kernel, 2, (ulong)a.ColumnStep);
        queue.Set(kernel, 3, right.Handle);
        queue.Set(kernel, 4, (ulong)b.RowStep);
        queue.Set(kernel, 5, (ulong)b.ColumnStep);
        queue.Set(kernel, 6, made.Handle);
        queue.Set(kernel, 7, (uint)a.Rows);
        queue.Set(kernel, 8, (uint)a.Columns);
        queue.Set(kernel, 9, (uint)b.Columns);
        queue.Launch(kernel, ProductKernel.Tiles(a.Rows, b.Columns) * DeviceQueue.GroupSize, DeviceQueue.GroupSize);
        queue.Read(made.Handle, 0, c, (long)a.Rows * b.Columns * sizeof(float));
        queue.Finish();
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
                var to = input.Held is DeviceBuffer held ? held.Handle : buffers.Arena.Handle;
                queue.Write(to, places.Inputs[i], input.Host, (long)call.Count * block.Program.Inputs[i].Size(), false);
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
                    queue.Write(buffers.Arena.Handle, place, (byte*)from, values.Length * (long)sizeof(float), true);
                }
            }
        }
    }

    private void Parameters(RenderedKernel kernel, BlockCall call, Places places)
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
            queue.Write(buffers.Parameters.Handle, 0, (byte*)p, at * sizeof(int), false);
        }
    }

    private void Arguments(nint entry, BlockProgram block, BlockCall call, Places places, int cells)
    {
        var index = 0;
        for (var i = 0; i < places.Inputs.Length; i++)
        {
            if (block.Sources[i] == BlockSource.Random)
            {
                queue.Set(entry, index++, call.Inputs[i].Key);
            }
            else
            {
                queue.Set(entry, index++, call.Inputs[i].Held is DeviceBuffer held && block.Sources[i] == BlockSource.Memory ? held.Handle : buffers.Arena.Handle);
            }

            if (block.Sources[i] == BlockSource.Product)
            {
                queue.Set(entry, index++, buffers.Arena.Handle);
                queue.Set(entry, index++, (uint)call.Inputs[i].Rank);
                queue.Set(entry, index++, (uint)call.Inputs[i].Columns);
                queue.Set(entry, index++, (uint)(call.Start % call.Inputs[i].Columns));
            }
        }

        for (var o = 0; o < places.Outputs.Length; o++)
        {
            if (block.Kept[o])
            {
                queue.Set(entry, index++, buffers.Arena.Handle);
            }
        }

        queue.Set(entry, index++, buffers.Parameters.Handle);
        queue.Set(entry, index++, (ulong)call.Start);
        queue.Set(entry, index++, (uint)call.Count);
        queue.Set(entry, index++, (uint)call.RowLength);
        queue.Set(entry, index++, (uint)(call.RowLength == 0 ? 0 : call.Start % call.RowLength));
        queue.Set(entry, index++, buffers.Flags.Handle);
        queue.Set(entry, index++, buffers.Partials.Handle);
        queue.Set(entry, index, (uint)cells);
    }

    /// <summary>Where streams begin, in the arena or in the memory an operand is held in.</summary>
    private sealed record Places(long[] Inputs, long[] Rights, long[] Outputs);
}
