using Tva.Core.Kernels;
using Tva.Core.Tensors;

namespace Tva.Core.Execution;

/// <summary>
/// Comes in: what a step does with a class. Goes out: the compiled kernel and how a worker's buffer is divided for it:
/// inputs and file outputs for a whole block, scratch for one call of the kernel.
/// </summary>
internal sealed class StepKernel
{
    public StepKernel(Step step, ClassKernel kernel, IBackend backend)
    {
        Kernel = kernel;
        Reductions = step.Reductions;
        InputSizes = [.. kernel.Program.Inputs.Select(type => type.Size())];
        OutputSizes = [.. kernel.Program.Outputs.Select(type => type.Size())];
        CopyOf = [.. OutputSizes.Select((_, output) => CopySource(kernel, output))];
        Guards = kernel.Program.Instructions.Any(i => i.Code == Code.Guard);
        Writes = kernel.Files.Any(file => file >= 0);
        var copiesOnly = !Guards && CopyOf.All(input => input >= 0) && step.Reductions.Count == 0;
        Body = copiesOnly ? null : backend.Compile(kernel.Program);
        for (var i = 0; i < InputSizes.Length; i++)
        {
            BlockBytes += InputSizes[i];
            ReadBytes += kernel.Inputs[i] is FileInput ? InputSizes[i] : 0;
        }

        for (var o = 0; o < OutputSizes.Length; o++)
        {
            WrittenBytes += kernel.Files[o] >= 0 ? OutputSizes[o] : 0;
            if (PerBlock(o))
            {
                BlockBytes += OutputSizes[o];
            }
            else if (Body is not null)
            {
                ScratchBytes += OutputSizes[o];
            }
        }
    }

    public ClassKernel Kernel { get; }

    public IReadOnlyList<Reduction> Reductions { get; }

    /// <summary>Null where every output is an input's bytes and nobody looks at the values.</summary>
    public KernelBody? Body { get; }

    public int[] InputSizes { get; }

    public int[] OutputSizes { get; }

    /// <summary>Per output the input whose bytes it is, unchanged, or -1.</summary>
    public int[] CopyOf { get; }

    public bool Guards { get; }

    public bool Writes { get; }

    /// <summary>Bytes per element of what is held for a whole block.</summary>
    public int BlockBytes { get; }

    /// <summary>Bytes per element of what is held for one call.</summary>
    public int ScratchBytes { get; }

    /// <summary>Bytes per element read from files.</summary>
    public int ReadBytes { get; }

    /// <summary>Bytes per element written to files.</summary>
    public int WrittenBytes { get; }

    /// <summary>Whether an output is gathered over a block to be written; else it lives for one call.</summary>
    public bool PerBlock(int output) => Kernel.Files[output] >= 0 && CopyOf[output] < 0;

    /// <summary>What the reduction is fed for this class; A is -1 where it is fed nothing.</summary>
    public ReductionFeed Feed(int reduction) => Kernel.Feeds[reduction];

    private static int CopySource(ClassKernel kernel, int output)
    {
        if (kernel.Files[output] < 0)
        {
            return -1;
        }

        var program = kernel.Program;
        var store = program.Instructions.Last(i => i.Code == Code.Store && i.Index == output);
        var value = program.Instructions[store.A];
        return value.Code == Code.Load && kernel.Inputs[value.Index] is FileInput && program.Inputs[value.Index] == program.Outputs[output]
            ? value.Index
            : -1;
    }
}
