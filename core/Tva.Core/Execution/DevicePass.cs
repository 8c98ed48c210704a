using Tva.Core.Devices;

namespace Tva.Core.Execution;

/// <summary>
/// Comes in: a block whose inputs a worker has read. Goes out: the same as the worker would have made of it, from a device: outputs where they are
/// written from, results of cells and rows, what selections look for.
/// </summary>
internal sealed unsafe class DevicePass(Engine engine, KernelCall call, IBlockLane lane, int worker)
{
    /// <summary>Sums of shorter rows take more of the device's memory than the rows.</summary>
    public const int LeastRow = 16;

    private readonly BlockCall block = new();
    private HeldOperand?[] operands = [];
    private bool[] there = [];
    private Claim begun;

    /// <summary>Per cell of the last block whether a guarded value was NaN or infinite.</summary>
    public bool[] Flags => block.Flags;

    /// <summary>Whether the device does a kernel's blocks of a tensor. The same for all of a tensor's blocks.</summary>
    public bool Takes(StepKernel kernel, int tensor) =>
        kernel.Block is { Program: var program } && engine.Plan.Tensors[tensor].Shape.RowLength is < int.MaxValue / 2 and var length
        && (program.Rows.Count == 0 || length >= LeastRow);

    /// <summary>A block of a step's pass, or of another round of a selection.</summary>
    /// <param name="claim">The block.</param>
    /// <param name="results">Where the cells' results go; empty where none are wanted.</param>
    /// <param name="slots">Results of a cell.</param>
    public void Run(Claim claim, double[] results, int slots)
    {
        var job = claim.Job;
        var kernel = job.Kernel;
        var full = job.Kind == JobKind.Full;
        var cells = Fill(claim);
        block.Reduces = full && (job.Fold is not null || job.Rows.Length > 0);
        block.CellResults = block.Reduces ? new double[cells * kernel.Block!.Program.Cells.Count] : [];
        var cuts = job.Rows.Length > 0 && full ? RowSegments.Of(block.Start, block.Count, block.RowLength) : [];
        block.RowResults = [.. job.Rows.Select(_ => new double[Math.Max(0, cuts.Length - 1)])];
        for (var o = 0; o < block.Outputs.Length; o++)
        {
            block.Outputs[o] = full && kernel.PerBlock(o) ? (nint)call.OutputBlock(o) : 0;
        }

        var resident = there.Index().All(i => i.Item || kernel.Block!.Program.Sources[i.Index] != BlockSource.Memory);
        var scans = new List<BlockScan>();
        var looks = new List<(SelectionGroup Group, BlockScan? Scan)>();
        foreach (var group in job.Groups)
        {
            var output = kernel.Feed(group.Index).A;
            if (group.Mode == SelectionMode.Direct)
            {
                block.Outputs[output] = (nint)call.Stream(output);
                looks.Add((group, null));
                continue;
            }

            // Where another look costs little, what it finds in a far narrower bracket is little to bring back.
            var whole = group.IsWithin(job.Tensor) && block.Count == engine.Shape.Elements[job.Tensor];
            var most = resident || whole ? 4 * PlanShape.Cell : Math.Max(Math.Min(block.Count, 4 * PlanShape.Cell), block.Count / 8);
            var scan = new BlockScan(output, group.Bracket, group.Magnitudes, most) { Narrow = whole ? group.Narrow : null };
            scans.Add(scan);
            looks.Add((group, scan));
        }

        block.Scans = scans;
        Run(kernel);
        if (job.Fold is not null)
        {
            Array.Clear(results, 0, cells * slots);
            var numbers = kernel.Block!.Program.Cells.Count;
            for (var c = 0; c < cells; c++)
            {
                foreach (var (slot, number) in kernel.BlockTargets)
                {
                    results[(c * slots) + slot] = block.CellResults[(c * numbers) + number];
                }
            }
        }

        for (var k = 0; k < job.Rows.Length; k++)
        {
            job.Rows[k].Add(block.Start, cuts, block.RowResults[k]);
        }

        foreach (var (group, scan) in looks)
        {
            if (scan is null)
            {
                group.SelectDirectly(call.Stream(kernel.Feed(group.Index).A), block.Count, call.Spare);
            }
            else
            {
                if (scan.Narrow is not null)
                {
                    group.LookedAt(scan.Bracket);
                }

                group.Add(worker, job.Tensor, (int)(block.Start / PlanShape.Cell), scan, call.Spare, engine.Keys, engine.Budget.ChunkBytes);
            }
        }
    }

    /// <summary>One cell's values of a scratch stream, to where the worker looks for them.</summary>
    public void Fetch(Claim claim, int output)
    {
        (operands, there) = (new HeldOperand?[claim.Job.Kernel.InputSizes.Length], new bool[claim.Job.Kernel.InputSizes.Length]);
        Fill(claim);
        block.Reduces = false;
        block.Scans = [];
        Array.Clear(block.Outputs);
        block.Outputs[output] = (nint)call.Stream(output);
        Run(claim.Job.Kernel);
    }

    /// <summary>Looks which of a block's inputs are on the device, or are to stay there. Returns per input whether it need not be read.</summary>
    public bool[] Prepare(Claim claim)
    {
        var kernel = claim.Job.Kernel;
        (operands, there, begun) = (new HeldOperand?[kernel.InputSizes.Length], new bool[kernel.InputSizes.Length], claim);
        var unread = new bool[there.Length];
        for (var i = 0; i < operands.Length; i++)
        {
            // What the device multiplies out need not be done here.
            unread[i] = kernel.Block!.Program.Sources[i] == BlockSource.Product;
            if (kernel.Kernel.Inputs[i] is FileInput file && engine.Held?.Find(claim.Job.Step, file.Source, claim.Job.Tensor) is { } held
                && held.Begin(claim.Start, claim.Count, out there[i]))
            {
                operands[i] = held;
                unread[i] = there[i] && !kernel.CopyOf.Contains(i);
            }
        }

        return unread;
    }

    private void Run(StepKernel kernel)
    {
        var done = false;
        try
        {
            lane.Run(kernel.Block!, block);
            done = true;
        }
        finally
        {
            End(done);
        }
    }

    /// <summary>Whatever was on its way to stay on the device has come there, or has not and won't.</summary>
    public void End(bool done)
    {
        foreach (var held in operands)
        {
            held?.End(begun.Start, begun.Count, done);
        }

        operands = [];
    }

    private int Fill(Claim claim)
    {
        var (job, start, count) = (claim.Job, claim.Start, (int)claim.Count);
        var kernel = job.Kernel;
        var shape = engine.Plan.Tensors[job.Tensor].Shape;
        var cells = (count + PlanShape.Cell - 1) / PlanShape.Cell;
        (block.Start, block.Count, block.RowLength) = (start, count, shape.RowLength);
        block.Flags = block.Flags.Length == cells ? block.Flags : new bool[cells];
        block.Parameters = call.BlockParameters(kernel.Kernel.Parameters, job.Tensor);
        block.Outputs = new nint[kernel.OutputSizes.Length];
        block.Inputs = new BlockInput[kernel.InputSizes.Length];
        for (var i = 0; i < block.Inputs.Length; i++)
        {
            switch (kernel.Kernel.Inputs[i])
            {
                case RandomInput random:
                    block.Inputs[i].Key = call.RandomKey(random, job.Tensor);
                    break;
                case RowInput row:
                    var (first, last) = (start / shape.RowLength, (start + count - 1) / shape.RowLength);
                    block.Inputs[i].RowValues = [.. engine.Scalars.Rows(row.Scalar, job.Tensor).AsSpan((int)first, (int)(last - first + 1)).ToArray().Select(v => (float)v)];
                    break;
                case MatrixInput matrix when engine.Matrices[matrix.Step, matrix.Matrix, job.Tensor] is MadeMatrix.Product product:
                    var (top, bottom) = (start / product.Columns, (start + count - 1) / product.Columns);
                    block.Inputs[i].Left = product.Left.AsMemory((int)top * product.Rank, (int)(bottom - top + 1) * product.Rank);
                    (block.Inputs[i].Right, block.Inputs[i].Rank, block.Inputs[i].Columns) = (product.Right, product.Rank, product.Columns);
                    break;
                default:
                    block.Inputs[i].Host = there[i] ? null : call.InputBlock(i);
                    block.Inputs[i].Held = operands[i]?.Memory;
                    block.Inputs[i].HeldOffset = start * kernel.InputSizes[i];
                    break;
            }
        }

        return cells;
    }
}
