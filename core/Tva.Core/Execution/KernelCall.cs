using System.Runtime.InteropServices;
using Tva.Core.Kernels;
using Tva.Core.Tensors;

namespace Tva.Core.Execution;

/// <summary>
/// Comes in: a kernel and a run of a tensor's elements. Goes out: its inputs in a worker's buffer, its parameters for that place,
/// and the streams it computed.
/// </summary>
internal sealed unsafe class KernelCall : IDisposable
{
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

    /// <param name="engine">The run.</param>
    /// <param name="flow">Its selections.</param>
    /// <param name="arena">The worker's buffer, which all streams lie in.</param>
    public KernelCall(Engine engine, Flow flow, Block arena)
    {
        this.engine = engine;
        this.flow = flow;
        memory = arena.Pointer;
        var all = engine.Kernels.SelectMany(k => k).OfType<StepKernel>().ToList();
        var most = all.Select(k => Math.Max(k.InputSizes.Length, Math.Max(k.OutputSizes.Length, k.Kernel.Parameters.Count))).DefaultIfEmpty(0).Max() + 1;
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
    public byte* InputBlock(int input) => (byte*)inputBlocks[input];

    /// <summary>The bytes to write for the whole block: an output's, or those of the input it copies.</summary>
    public byte* OutputBlock(int output) => kernel.CopyOf[output] is >= 0 and var input ? InputBlock(input) : (byte*)outputBlocks[output];

    /// <summary>A scratch stream; null for -1.</summary>
    public float* Stream(int output) => output < 0 ? null : (float*)outputBlocks[output];

    /// <summary>Where the last call wrote its outputs.</summary>
    public float** Outputs => (float**)outputs;

    /// <summary>Room for the dots' lanes.</summary>
    public double* Lanes { get; private set; }

    /// <summary>Divides the buffer for a pass: inputs for a block, scratch as the kernel wants it, room for keys and for dots.</summary>
    public void Arrange(StepKernel next, long blockElements)
    {
        var beside = PlanShape.Cell * sizeof(int);
        Lanes = (double*)(memory + beside);
        Arrange(next, blockElements, next.ScratchElements, beside + next.Dots.LaneBytes);
    }

    /// <summary>
    /// Divides the buffer behind what is kept for others; element counts are made multiples of 64, so every stream is aligned and padded.
    /// </summary>
    public void Arrange(StepKernel next, long blockElements, long scratchElements, long beside)
    {
        kernel = next;
        blockElements = (blockElements + 63) / 64 * 64;
        scratchElements = (scratchElements + 63) / 64 * 64;
        var at = memory + beside;
        for (var i = 0; i < kernel.InputSizes.Length; i++)
        {
            inputBlocks[i] = (nint)at;
            at += (blockElements * kernel.InputSizes[i]) + Budget.Stagger;
        }

        for (var o = 0; o < kernel.OutputSizes.Length; o++)
        {
            outputBlocks[o] = (nint)at;
            at += (kernel.OutputSizes[o] * (kernel.PerBlock(o) ? blockElements : kernel.Body is null ? 0 : scratchElements)) + Budget.Stagger;
        }
    }

    /// <summary>Fills the inputs from an element of the tensor on.</summary>
    public void Read(int tensor, long start, long count)
    {
        for (var i = 0; i < kernel.InputSizes.Length; i++)
        {
            var destination = InputBlock(i);
            switch (kernel.Kernel.Inputs[i])
            {
                case FileInput file:
                    var (at, bytes) = (start * kernel.InputSizes[i], count * kernel.InputSizes[i]);
                    if (engine.Plan.Sources[file.Source].Resident(engine.Plan.Tensors[tensor].Sources[file.Source]!) is var held && held != null)
                    {
                        // What lies in memory is used where it is: a copy would cost as much as the kernel.
                        inputBlocks[i] = (nint)(held + at);
                        BytesRead += bytes;
                    }
                    else
                    {
                        ReadFile(file.Source, tensor, at, destination, bytes);
                    }

                    break;
                case RandomInput random:
                    var seed = (long)Math.Round(engine.Scalars.Get(random.Seed, tensor));
                    FillRandom(Philox.Key(seed, engine.Plan.Tensors[tensor].Name), start, (float*)destination, count);
                    break;
                case RowInput row:
                    Repeat(engine.Scalars.Rows(row.Scalar, tensor), engine.Plan.Tensors[tensor].Shape.RowLength, start, (float*)destination, count);
                    break;
            }
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
            inputs[i] = InputBlock(i) + (offset * kernel.InputSizes[i]);
        }

        for (var o = 0; o < kernel.OutputSizes.Length; o++)
        {
            outputs[o] = (byte*)outputBlocks[o] + ((kernel.PerBlock(o) ? offset : scratch) * kernel.OutputSizes[o]);
        }

        for (var p = 0; p < kernel.Kernel.Parameters.Count; p++)
        {
            switch (kernel.Kernel.Parameters[p])
            {
                case ScalarParameter scalar:
                    parameters[p] = (float)engine.Scalars.Get(scalar.Scalar, tensor);
                    break;
                case KeepParameter keep:
                    var group = flow.Group(keep.Step, keep.Reduction, tensor);
                    ((int*)parameters)[p] = group.ThresholdBits;
                    ((int*)parameters)[p + 1] = (int)Math.Clamp(group.Limit(tensor) - start, -1, int.MaxValue);
                    break;
            }
        }

        return kernel.Body(inputs, outputs, parameters, count) != 0;
    }

    /// <inheritdoc/>
    public void Dispose() => table.Dispose();

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
