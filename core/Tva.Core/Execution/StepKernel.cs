using Tva.Core.Devices;
using Tva.Core.Kernels;
using Tva.Core.Tensors;

namespace Tva.Core.Execution;

/// <summary>
/// Comes in: what a step does with a class. Goes out: the compiled kernel and how a worker's buffer is divided for it:
/// inputs and file outputs for a whole block, scratch for a cell, or for one call of the kernel where only dots look at it.
/// </summary>
internal sealed class StepKernel
{
    public StepKernel(StepReductions reductions, ClassKernel kernel, IBackend backend, Func<MatrixInput, bool>? isProduct = null, Func<int, bool>? inMemory = null)
    {
        Kernel = kernel;
        Reductions = reductions;
        InputSizes = [.. kernel.Program.Inputs.Select(type => type.Size())];
        OutputSizes = [.. kernel.Program.Outputs.Select(type => type.Size())];
        CopyOf = [.. OutputSizes.Select((_, output) => CopySource(kernel, output))];
        Guards = kernel.Program.Instructions.Any(i => i.Code == Code.Guard);
        Writes = kernel.Files.Any(file => file >= 0);
        var copiesOnly = !Guards && CopyOf.All(input => input >= 0) && reductions.All.Count == 0;
        Body = copiesOnly ? null : backend.Compile(kernel.Program);
        Ranks = [.. kernel.Inputs.Index().Where(i => i.Item is RankInput).Select(i => new Rank(i.Index, (RankInput)i.Item, backend.Compile(((RankInput)i.Item).Program)))];
        RanksTensors = Ranks.Any(rank => rank.Binding.Extent == Extent.Tensor);
        var ranked = Ranks.SelectMany(rank => rank.Binding.Inputs).ToHashSet();
        PerCall = [.. kernel.Inputs.Index().Select(i => i.Item is RandomInput or RowInput && !ranked.Contains(i.Index))];
        for (var i = 0; i < InputSizes.Length; i++)
        {
            BlockBytes += PerCall[i] ? 0 : InputSizes[i];
            ScratchBytes += PerCall[i] && Body is not null ? InputSizes[i] : 0;
            ReadBytes += kernel.Inputs[i] is FileInput ? InputSizes[i] : 0;
        }

        InputBytes = BlockBytes;
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

        var dots = new List<(int Slot, int A, int B)>();
        var others = new List<int>();
        for (var slot = 0; slot < reductions.Slots.Length; slot++)
        {
            if (Feed(reductions.Slots[slot]) is { A: >= 0 } feed)
            {
                if (reductions.Kinds[slot] == ReduceKind.Dot)
                {
                    dots.Add((slot, feed.A, feed.B));
                }
                else
                {
                    others.Add(slot);
                }
            }
        }

        Dots = new DotPlan(dots);
        Slots = [.. others];
        Rows = [.. reductions.Rows.Where(r => Feed(r).A >= 0)];
        RowSelections = [.. reductions.RowSelections.Where(r => Feed(r).A >= 0)];
        CallElements = Dots.IsEmpty ? PlanShape.Cell : DotPlan.Run(kernel.Files.Count(file => file < 0));
        var onlyDots = Slots.Length == 0 && Rows.Length == 0 && RowSelections.Length == 0 && reductions.Selections.All(r => Feed(r).A < 0);
        ScratchElements = onlyDots ? CallElements : PlanShape.Cell;
        if (backend.Device is { } device && Body is not null)
        {
            var (program, targets) = Placement.Of(kernel, reductions, output => CopyOf[output], isProduct ?? (_ => false));
            Refusal = Placement.Refusal(kernel, reductions, program, device);
            Block = Refusal is null ? device.Compile(program) : null;
            BlockTargets = targets;
        }

        // A device copies from where they are, or has them already.
        InMemory = [.. kernel.Inputs.Select(input => Block is not null && input is FileInput file && inMemory?.Invoke(file.Source) == true)];
        var held = InputSizes.Where((_, i) => InMemory[i]).Sum();
        InputBytes -= held;
        BlockBytes -= held;
    }

    public ClassKernel Kernel { get; }

    /// <summary>What a device runs blocks with; null: the worker threads do it.</summary>
    public IBlockKernel? Block { get; }

    /// <summary>Per fed slot which of the device's numbers by cell it is.</summary>
    public (int Slot, int Cell)[] BlockTargets { get; } = [];

    /// <summary>Why there is no <see cref="Block"/> although there is a device.</summary>
    public string? Refusal { get; }

    /// <summary>Bytes of device memory that an element of a block takes: its inputs, what is kept of its outputs, sums, keys.</summary>
    public double DeviceBytes
    {
        get
        {
            if (Block is not { Program: var program })
            {
                return 0;
            }

            double bytes = 0;
            for (var i = 0; i < InputSizes.Length; i++)
            {
                bytes += program.Sources[i] == BlockSource.Memory ? InputSizes[i] : 0;
            }

            for (var o = 0; o < OutputSizes.Length; o++)
            {
                bytes += program.Kept[o] ? OutputSizes[o] : 0;
            }

            // Per cell a sum has its lanes and itself; keys of each selection are at most an eighth of the elements.
            bytes += program.Cells.Count * (BlockProgram.Lanes + 1.0) * sizeof(double) / PlanShape.Cell;

            // So has a row's, with where it begins; rows are done one reduction after another.
            bytes += program.Rows.Count == 0 ? 0 : (((BlockProgram.Lanes + 1.0) * sizeof(double)) + sizeof(int)) / DevicePass.LeastRow;
            return bytes + (Reductions.Selections.Length * sizeof(int) / 8.0);
        }
    }

    public StepReductions Reductions { get; }

    /// <summary>The inputs that are ranks, in order.</summary>
    public Rank[] Ranks { get; }

    /// <summary>
    /// Per input whether it is made for each call of the kernel anew: what comes from no file is then still in the nearest cache, and
    /// blocks of the others may be larger. What is ranked is wanted for whole rows.
    /// </summary>
    public bool[] PerCall { get; }

    /// <summary>Per input whether its bytes lie in memory as a device wants them, so that a block has no room of its own for them.</summary>
    public bool[] InMemory { get; }

    /// <summary>Whether any of them are ranks within the whole tensor.</summary>
    public bool RanksTensors { get; }

    /// <summary>The dots, computed together.</summary>
    public DotPlan Dots { get; }

    /// <summary>The slots of the other reductions that are fed and give a number per cell.</summary>
    public int[] Slots { get; }

    /// <summary>The reductions by row that are fed.</summary>
    public int[] Rows { get; }

    /// <summary>The selections that need whole rows and are fed.</summary>
    public int[] RowSelections { get; }

    /// <summary>Elements of one call of the kernel in a pass; a cell is a multiple of it.</summary>
    public int CallElements { get; }

    /// <summary>Elements of a scratch stream in a pass: a call's, or a cell's where others than dots read it.</summary>
    public int ScratchElements { get; }

    /// <summary>Null where every output is an input's bytes and nobody looks at the values.</summary>
    public KernelBody? Body { get; }

    public int[] InputSizes { get; }

    public int[] OutputSizes { get; }

    /// <summary>Per output the input whose bytes it is, unchanged, or -1.</summary>
    public int[] CopyOf { get; }

    public bool Guards { get; }

    public bool Writes { get; }

    /// <summary>Bytes per element of the inputs, which are held for all that a block needs (see <see cref="RankRows"/>).</summary>
    public int InputBytes { get; }

    /// <summary>Bytes per element of what is held for a whole block, inputs included.</summary>
    public int BlockBytes { get; }

    /// <summary>Bytes per element of what is held for <see cref="ScratchElements"/>.</summary>
    public int ScratchBytes { get; }

    /// <summary>Bytes per element read from files.</summary>
    public int ReadBytes { get; }

    /// <summary>Bytes per element written to files.</summary>
    public int WrittenBytes { get; }

    /// <summary>Whether an output is gathered over a block to be written; else it is scratch.</summary>
    public bool PerBlock(int output) => Kernel.Files[output] >= 0 && CopyOf[output] < 0;

    /// <summary>Whether there are results per cell.</summary>
    public bool PerCell => Slots.Length > 0 || !Dots.IsEmpty;

    /// <summary>What the reduction is fed for this class; A is -1 where it is fed nothing.</summary>
    public ReductionFeed Feed(int reduction) => Kernel.Feeds[reduction];

    /// <summary>The input whose bytes an output is, or -1.</summary>
    public static int CopySource(ClassKernel kernel, int output)
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

/// <summary>An input that is a rank: its number, what is ranked and where, and the code for that.</summary>
internal readonly record struct Rank(int Input, RankInput Binding, KernelBody Body);
