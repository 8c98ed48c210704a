using System.Runtime.InteropServices;
using Tva.Core.Devices;
using Tva.Core.Kernels;
using Tva.Core.Tensors;

namespace Tva.Core.Execution;

/// <summary>
/// Comes in: a kernel and a run of a tensor's elements. Goes out: its inputs in a worker's buffer, its parameters for that place,
/// and the streams it computed.
/// </summary>
internal sealed unsafe class KernelCall : IDisposable
{
    private const int InfinityBits = 0x7f800000;

    private readonly Engine engine;
    private readonly Flow flow;
    private readonly byte* memory;
    private readonly Block table;
    private readonly byte** inputs;
    private readonly byte** outputs;
    private readonly float* parameters;
    private readonly nint[] inputBlocks;
    private readonly nint[] outputBlocks;
    private StepKernel kernel = null!;
    private RankRows rows;
    private byte* rankScratch;
    private (long Start, long End) held;
    private long lead;

    /// <param name="engine">The run.</param>
    /// <param name="flow">Its selections.</param>
    /// <param name="arena">The worker's buffer, which all streams lie in.</param>
    public KernelCall(Engine engine, Flow flow, byte* arena)
    {
        this.engine = engine;
        this.flow = flow;
        memory = arena;
        var most = engine.AllKernels.Select(k => Math.Max(
            Math.Max(k.InputSizes.Length, k.OutputSizes.Length),
            Math.Max(k.Kernel.Parameters.Count, k.Ranks.Select(r => r.Binding.Parameters.Count).DefaultIfEmpty(0).Max()))).DefaultIfEmpty(0).Max() + 1;
        table = new Block(most * 3L * sizeof(byte*));
        inputs = (byte**)table.Pointer;
        outputs = inputs + most;
        parameters = (float*)(outputs + most);
        inputBlocks = new nint[most];
        outputBlocks = new nint[most];
    }

    public long BytesRead { get; private set; }

    /// <summary>Room for a cell's keys.</summary>
    public int* Spare => (int*)memory;

    /// <summary>An input's bytes for the whole block.</summary>
    public byte* InputBlock(int input) => (byte*)inputBlocks[input] + (lead * kernel.InputSizes[input]);

    /// <summary>The bytes to write for the whole block: an output's, or those of the input it copies.</summary>
    public byte* OutputBlock(int output) => kernel.CopyOf[output] is >= 0 and var input ? InputBlock(input) : (byte*)outputBlocks[output];

    /// <summary>A scratch stream; null for -1.</summary>
    public float* Stream(int output) => output < 0 ? null : (float*)outputBlocks[output];

    /// <summary>Where the last call wrote its outputs.</summary>
    public float** Outputs => (float**)outputs;

    /// <summary>Room for the dots' lanes.</summary>
    public double* Lanes { get; private set; }

    /// <summary>Divides the buffer for a pass: inputs for a block, scratch as the kernel wants it, room for keys and for dots.</summary>
    public void Arrange(StepKernel next, int tensor, long blockElements)
    {
        var beside = PlanShape.Cell * sizeof(int);
        Lanes = (double*)(memory + beside);
        Arrange(next, tensor, blockElements, next.ScratchElements, beside + next.Dots.LaneBytes);
    }

    /// <summary>
    /// Divides the buffer behind what is kept for others; element counts are made multiples of 64, so every stream is aligned and padded.
    /// </summary>
    public void Arrange(StepKernel next, int tensor, long blockElements, long scratchElements, long beside)
    {
        kernel = next;
        rows = RankRows.Of(next, engine.Plan.Tensors[tensor].Shape);
        held = (0, 0);
        var inputElements = Padded(rows.MostRegion(blockElements)) + (kernel.Ranks.Length > 0 ? 64 : 0);
        blockElements = Padded(blockElements);
        scratchElements = Padded(scratchElements);
        var at = memory + beside;
        for (var i = 0; i < kernel.InputSizes.Length; i++)
        {
            inputBlocks[i] = (nint)at;
            at += (kernel.InputSizes[i] * (kernel.InMemory[i] ? 0 : !kernel.PerCall[i] ? inputElements : kernel.Body is null ? 0 : scratchElements)) + Budget.Stagger;
        }

        for (var o = 0; o < kernel.OutputSizes.Length; o++)
        {
            outputBlocks[o] = (nint)at;
            at += (kernel.OutputSizes[o] * (kernel.PerBlock(o) ? blockElements : kernel.Body is null ? 0 : scratchElements)) + Budget.Stagger;
        }

        rankScratch = at;

        static long Padded(long elements) => (elements + 63) / 64 * 64;
    }

    /// <summary>Fills the inputs from an element of the tensor on; where ranks are among them, with the rest of the rows at both ends.</summary>
    /// <param name="tensor">The tensor.</param>
    /// <param name="start">Its first element.</param>
    /// <param name="count">Elements.</param>
    /// <param name="without">Per input whether it is not wanted; null: all are.</param>
    public void Read(int tensor, long start, long count, bool[]? without = null)
    {
        var (first, end) = rows.Region(start, count);
        lead = start - first;
        if (kernel.Ranks.Length > 0 && first >= held.Start && end <= held.End)
        {
            lead = start - held.Start;
            return;
        }

        held = (first, end);
        count = end - first;
        for (var i = 0; i < kernel.InputSizes.Length; i++)
        {
            if (without is not null && without[i])
            {
                continue;
            }

            if (kernel.Kernel.Inputs[i] is FileInput file)
            {
                var (at, bytes) = (first * kernel.InputSizes[i], count * kernel.InputSizes[i]);
                if (engine.Plan.Sources[file.Source].Resident(engine.Plan.Tensors[tensor].Sources[file.Source]!) is var resident && resident != null)
                {
                    // What lies in memory is used where it is: a copy would cost as much as the kernel.
                    inputBlocks[i] = (nint)(resident + at);
                    BytesRead += bytes;
                }
                else
                {
                    ReadFile(file.Source, tensor, at, (byte*)inputBlocks[i], bytes);
                }
            }
            else if (!kernel.PerCall[i])
            {
                Make(i, tensor, first, count);
            }
        }

        foreach (var rank in kernel.Ranks)
        {
            FillRanks(rank, tensor, first, (float*)inputBlocks[rank.Input], count);
        }
    }

    /// <summary>Runs the kernel on elements that lie at <paramref name="offset"/> of the block and <paramref name="start"/> of the tensor.</summary>
    /// <param name="step">The step.</param>
    /// <param name="tensor">The tensor.</param>
    /// <param name="start">First element in the tensor.</param>
    /// <param name="offset">First element in the block.</param>
    /// <param name="scratch">Where in the scratch streams the results begin.</param>
    /// <param name="count">Elements.</param>
    /// <returns>Whether a guarded value is NaN or infinite.</returns>
    public bool Run(int step, int tensor, long start, long offset, long scratch, nint count)
    {
        if (kernel.Body is null)
        {
            return false;
        }

        for (var i = 0; i < kernel.InputSizes.Length; i++)
        {
            if (kernel.PerCall[i])
            {
                Make(i, tensor, start, count);
            }
        }

        var flagged = false;
        for (nint at = 0, some; at < count; at += some)
        {
            some = Fill(kernel.Kernel.Parameters, tensor, start + at, count - at);
            for (var i = 0; i < kernel.InputSizes.Length; i++)
            {
                var stream = kernel.PerCall[i] ? (byte*)inputBlocks[i] : InputBlock(i) + (offset * kernel.InputSizes[i]);
                inputs[i] = stream + (at * kernel.InputSizes[i]);
            }

            for (var o = 0; o < kernel.OutputSizes.Length; o++)
            {
                outputs[o] = (byte*)outputBlocks[o] + (((kernel.PerBlock(o) ? offset : scratch) + at) * kernel.OutputSizes[o]);
            }

            flagged |= kernel.Body(inputs, outputs, parameters, some) != 0;
        }

        // Whoever reads the streams wants them from their start.
        for (var o = 0; o < kernel.OutputSizes.Length; o++)
        {
            outputs[o] = (byte*)outputBlocks[o] + ((kernel.PerBlock(o) ? offset : scratch) * kernel.OutputSizes[o]);
        }

        return flagged;
    }

    /// <summary>The parameters for a whole tensor, as a device takes them.</summary>
    public BlockParameter[] BlockParameters(IReadOnlyList<ParameterBinding> bindings, int tensor)
    {
        var values = new BlockParameter[bindings.Count];
        for (var p = 0; p < values.Length; p++)
        {
            switch (bindings[p])
            {
                case ScalarParameter scalar:
                    var bits = BitConverter.SingleToInt32Bits((float)engine.Scalars.Get(scalar.Scalar, tensor));
                    values[p] = new(bits, bits, long.MaxValue);
                    break;
                case KeepParameter keep:
                    var group = flow.Group(keep.Step, keep.Reduction, tensor);
                    values[p] = new(KeepBits(group.ThresholdBits, true), KeepBits(group.ThresholdBits, false), group.Limit(tensor));
                    break;
            }
        }

        return values;
    }

    /// <summary>The key of a random input's stream.</summary>
    public ulong RandomKey(RandomInput random, int tensor) =>
        Philox.Key((long)Math.Round(engine.Scalars.Get(random.Seed, tensor)), random.NameOf(engine.Plan.Tensors[tensor].Name));

    /// <inheritdoc/>
    public void Dispose() => table.Dispose();

    /// <summary>What <see cref="Code.Keep"/> compares with. NaNs equal each other, whatever their bits.</summary>
    private static int KeepBits(int threshold, bool keepsTies) =>
        threshold <= InfinityBits ? threshold - (keepsTies ? 1 : 0) : keepsTies ? InfinityBits : int.MaxValue;

    /// <summary>
    /// The parameters for elements of a tensor from <paramref name="start"/> on, and for how many of <paramref name="count"/> they hold:
    /// those that equal a selection's threshold are kept up to an index, which may lie among them.
    /// </summary>
    private nint Fill(IReadOnlyList<ParameterBinding> bindings, int tensor, long start, nint count)
    {
        for (var p = 0; p < bindings.Count; p++)
        {
            switch (bindings[p])
            {
                case ScalarParameter scalar:
                    parameters[p] = (float)engine.Scalars.Get(scalar.Scalar, tensor);
                    break;
                case KeepParameter keep:
                    var group = flow.Group(keep.Step, keep.Reduction, tensor);
                    var (threshold, limit) = (group.ThresholdBits, group.Limit(tensor));
                    var keepsTies = start <= limit;
                    count = keepsTies && limit - start < count ? (nint)(limit - start + 1) : count;
                    ((int*)parameters)[p] = KeepBits(threshold, keepsTies);
                    break;
            }
        }

        return count;
    }

    /// <summary>
    /// What is ranked, some rows at a time, and their ranks while those are in the nearest cache. Whatever the code writes past the rows'
    /// end is overwritten by the next, or lies in the padding.
    /// </summary>
    private void FillRanks(Rank rank, int tensor, long start, float* destination, long count)
    {
        var binding = rank.Binding;
        var length = binding.Extent == Extent.Tensor ? rows.Elements : engine.Plan.Tensors[tensor].Shape.RowLength;
        var some = Math.Max(1, PlanShape.Cell / length) * length;
        for (long at = 0; at < count; at += some)
        {
            var n = (nint)Math.Min(some, count - at);
            for (nint from = 0, part; from < n; from += part)
            {
                part = Fill(binding.Parameters, tensor, start + at + from, n - from);
                for (var i = 0; i < binding.Inputs.Count; i++)
                {
                    var input = binding.Inputs[i];
                    inputs[i] = (byte*)inputBlocks[input] + ((at + from) * kernel.InputSizes[input]);
                }

                outputs[0] = (byte*)(destination + at + from);
                _ = rank.Body(inputs, outputs, parameters, part);
            }

            for (long row = 0; row < n; row += length)
            {
                Ranks.OfRow(destination + at + row, (int)length, rankScratch);
            }
        }
    }

    /// <summary>Elements of an input that comes from no file: random numbers or the rows' numbers.</summary>
    private void Make(int input, int tensor, long start, long count)
    {
        var destination = (float*)inputBlocks[input];
        switch (kernel.Kernel.Inputs[input])
        {
            case RandomInput random:
                FillRandom(RandomKey(random, tensor), start, destination, count);
                break;
            case MatrixInput matrix:
                engine.Matrices[matrix.Step, matrix.Matrix, tensor].Fill(start, destination, count);
                break;
            case RowInput row:
                Repeat(engine.Scalars.Rows(row.Scalar, tensor), engine.Plan.Tensors[tensor].Shape.RowLength, start, destination, count);
                break;
        }
    }

    private void ReadFile(int source, int tensor, long at, byte* destination, long bytes)
    {
        const int most = 1 << 30;
        var info = engine.Plan.Tensors[tensor].Sources[source]!;
        for (long done = 0; done < bytes; done += most)
        {
            engine.Plan.Sources[source].Read(
                info, at + done, new Span<byte>(destination + done, (int)Math.Min(most, bytes - done)));
        }

        // What is kept narrower than it is read comes from fewer bytes of the file.
        var (all, stored) = (info.Bytes, engine.Plan.Sources[source].StoredBytes(info));
        BytesRead += all == stored ? bytes : (long)((double)bytes * stored / all);
    }

    private static void FillRandom(ulong key, long start, float* destination, long count)
    {
        const int most = 1 << 28;
        for (long done = 0; done < count; done += most)
        {
            Philox.Fill(key, start + done, new Span<float>(destination + done, (int)Math.Min(most, count - done)));
        }
    }

    private static void Repeat(double[] rows, long length, long start, float* destination, long count)
    {
        for (long at = 0; at < count;)
        {
            var (row, within) = Math.DivRem(start + at, length);
            var n = Math.Min(length - within, count - at);
            new Span<float>(destination + at, (int)n).Fill((float)rows[row]);
            at += n;
        }
    }
}
