using Tva.Core.Devices;

namespace Tva.Core.Execution;

/// <summary>
/// Comes in: a block whose inputs a worker has read. Goes out: the same as the worker would have made of it, from a device: outputs where they are
/// written from, results of cells and rows, what selections look for.
/// </summary>
internal sealed unsafe class DevicePass(Engine engine, KernelCall call, IBlockLane lane, int worker)
{
    private readonly BlockCall block = new();

    /// <summary>Per cell of the last block whether a guarded value was NaN or infinite.</summary>
    public bool[] Flags => block.Flags;

    /// <summary>Whether the device does a kernel's blocks of a tensor. The same for all of a tensor's blocks.</summary>
    public bool Takes(StepKernel kernel, int tensor) => kernel.Block is not null && engine.Plan.Tensors[tensor].Shape.RowLength < int.MaxValue / 2;

    /// <summary>A block of a step's pass, or of another round of a selection.</summary>
    /// <param name="claim">The block.</param>
    /// <param name="results">Where the cells' results go; empty where none are wanted.</param>
    /// <param name="slots">Results of a cell.</param>
    public void Run(Claim claim, double[] results, int slots)
    {
        var job = claim.Job;
        var kernel = job.Kernel;
        var full = job.Kind == JobKind.Full;
        var cells = Prepare(job, claim.Start, (int)claim.Count);
        block.Reduces = full && (job.Fold is not null || job.Rows.Length > 0);
        block.CellResults = block.Reduces ? new double[cells * kernel.Block!.Program.Cells.Count] : [];
        var cuts = job.Rows.Length > 0 && full ? RowSegments.Of(block.Start, block.Count, block.RowLength) : [];
        block.RowResults = [.. job.Rows.Select(_ => new double[Math.Max(0, cuts.Length - 1)])];
        for (var o = 0; o < block.Outputs.Length; o++)
        {
            block.Outputs[o] = full && kernel.PerBlock(o) ? (nint)call.OutputBlock(o) : 0;
        }

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

            var most = Math.Max(Math.Min(block.Count, 4 * PlanShape.Cell), block.Count / 8);
            var scan = new BlockScan(output, group.Bracket.Low, group.Bracket.High, group.Bracket.Guess, group.Magnitudes, most);
            scans.Add(scan);
            looks.Add((group, scan));
        }

        block.Scans = scans;
        lane.Run(kernel.Block!, block);
        if (job.Fold is not null)
        {
            Array.Clear(results);
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
                group.Add(worker, job.Tensor, (int)(block.Start / PlanShape.Cell), scan, call.Spare, engine.Keys, engine.Budget.ChunkBytes);
            }
        }
    }

    /// <summary>One cell's values of a scratch stream, to where the worker looks for them.</summary>
    public void Fetch(Job job, long start, int count, int output)
    {
        Prepare(job, start, count);
        block.Reduces = false;
        block.Scans = [];
        Array.Clear(block.Outputs);
        block.Outputs[output] = (nint)call.Stream(output);
        lane.Run(job.Kernel.Block!, block);
    }

    private int Prepare(Job job, long start, int count)
    {
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
                default:
                    block.Inputs[i].Host = call.InputBlock(i);
                    break;
            }
        }

        return cells;
    }
}
