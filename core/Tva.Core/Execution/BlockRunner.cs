using System.Runtime.InteropServices;
using Tva.Core.Checkpoints;
using Tva.Core.Devices;
using Tva.Core.Tensors;

namespace Tva.Core.Execution;

/// <summary>
/// Comes in: blocks of jobs. Goes out: their inputs read, kernels run cell by cell, results reduced, gathered and written, all on one
/// worker's own buffers, so that a cell's streams are still in its cache when the next thing looks at them.
/// </summary>
internal sealed unsafe class BlockRunner : IDisposable
{
    private readonly Engine engine;
    private readonly Flow flow;
    private readonly int worker;
    private readonly Block? own;
    private readonly IBlockLane? lane;
    private readonly byte* arena;
    private readonly KernelCall call;
    private readonly DevicePass? device;
    private readonly MatrixRunner matrices;
    private double[] results = [];
    private long written;
    private long copied;

    public BlockRunner(Engine engine, Flow flow, int worker)
    {
        this.engine = engine;
        this.flow = flow;
        this.worker = worker;
        lane = engine.Device?.Open(engine.Budget.ArenaBytes);
        own = lane is null ? new Block(engine.Budget.ArenaBytes) : null;
        arena = lane is null ? own!.Pointer : lane.Staging;
        call = new KernelCall(engine, flow, arena);
        device = lane is null ? null : new DevicePass(engine, call, lane, worker);
        matrices = new MatrixRunner(engine, flow, call, DeviceProducts.Of(engine, lane));
    }

    /// <summary>Bytes read from checkpoints so far.</summary>
    public long BytesRead => call.BytesRead + copied;

    /// <summary>Bytes written so far.</summary>
    public long BytesWritten => written;

    /// <summary>Does a block.</summary>
    public void Run(Claim claim)
    {
        switch (claim.Job.Kind)
        {
            case JobKind.Copy:
                Copy(claim);
                break;
            case JobKind.Sample:
                Sample(claim);
                break;
            case JobKind.Rows:
                Rows(claim);
                break;
            case JobKind.Matrix:
                matrices.Run(claim.Job);
                break;
            case JobKind.Locate:
                Locate(claim.Job);
                break;
            default:
                Pass(claim);
                break;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        device?.End(false);
        call.Dispose();
        own?.Dispose();
        lane?.Dispose();
    }

    /// <summary>A block of the step's pass, or of another round of a selection, for which the rest was done the first time.</summary>
    private void Pass(Claim claim)
    {
        var job = claim.Job;
        var kernel = job.Kernel;
        var full = job.Kind == JobKind.Full;
        if (full)
        {
            engine.ReadAhead.Advance(job.Step, job.Tensor, claim.Start + claim.Count);
        }

        call.Arrange(kernel, job.Tensor, job.Unit);
        var onDevice = device?.Takes(kernel, job.Tensor) == true;
        call.Read(job.Tensor, claim.Start, claim.Count, onDevice ? device!.Prepare(claim) : null);
        var slots = kernel.Reductions.Slots.Length;
        if (job.Fold is not null && results.Length != job.Unit / PlanShape.Cell * slots)
        {
            results = new double[job.Unit / PlanShape.Cell * slots];
        }

        if (onDevice)
        {
            device!.Run(claim, results, slots);
        }

        for (long at = 0; !onDevice && kernel.Body is not null && at < claim.Count; at += PlanShape.Cell)
        {
            var n = (int)Math.Min(PlanShape.Cell, claim.Count - at);
            Compute(claim, at, n);
            var cell = (int)((claim.Start + at) / PlanShape.Cell);
            if (full)
            {
                Reduce(job, cell, n, job.Fold is null ? [] : results.AsSpan((int)(at / PlanShape.Cell) * slots, slots));
            }

            foreach (var group in job.Groups)
            {
                var values = call.Stream(kernel.Feed(group.Index).A);
                if (group.Mode == SelectionMode.Direct)
                {
                    group.SelectDirectly(values, n, call.Spare);
                }
                else
                {
                    group.Add(worker, job.Tensor, cell, values, n, call.Spare, engine.Keys, engine.Budget.ChunkBytes);
                }
            }
        }

        if (job.Fold is { } fold)
        {
            var cells = (int)((claim.Count + PlanShape.Cell - 1) / PlanShape.Cell);
            results = fold.Add(claim.Start / job.Unit, results, cells, () => flow.Scheduler.Failed);
        }

        if (full)
        {
            Write(kernel, job.Tensor, claim.Start, claim.Count);
            if (onDevice)
            {
                LogFlagged(claim);
            }
        }
    }

    /// <summary>
    /// Cells in which a device met NaN or infinity are computed once more here, to tell whose they are; what is written has gone by then.
    /// </summary>
    private void LogFlagged(Claim claim)
    {
        if (!device!.Flags.Contains(true))
        {
            return;
        }

        // What stayed on the device was not read.
        call.Read(claim.Job.Tensor, claim.Start, claim.Count);
        for (var cell = 0; cell < device.Flags.Length; cell++)
        {
            var at = (long)cell * PlanShape.Cell;
            for (long from = at; device.Flags[cell] && from < Math.Min(at + PlanShape.Cell, claim.Count); from += claim.Job.Kernel.CallElements)
            {
                var count = (int)Math.Min(claim.Job.Kernel.CallElements, claim.Count - from);
                var scratch = claim.Job.Kernel.ScratchElements == PlanShape.Cell ? from - at : 0;
                if (call.Run(claim.Job.Step, claim.Job.Tensor, claim.Start + from, from, scratch, count))
                {
                    LogNonFinite(claim.Job, from, count);
                }
            }
        }
    }

    /// <summary>A cell's streams, and in a full pass the lanes of its dots, which take each run while it is in the nearest cache.</summary>
    private void Compute(Claim claim, long at, int n)
    {
        var job = claim.Job;
        var kernel = job.Kernel;
        var full = job.Kind == JobKind.Full;
        if (full)
        {
            kernel.Dots.Clear(call.Lanes);
        }

        for (var from = 0; from < n; from += kernel.CallElements)
        {
            var count = Math.Min(kernel.CallElements, n - from);
            var scratch = kernel.ScratchElements == PlanShape.Cell ? from : 0;
            var flagged = call.Run(job.Step, job.Tensor, claim.Start + at + from, at + from, scratch, count);
            if (full && flagged)
            {
                LogNonFinite(job, at + from, count);
            }

            if (full)
            {
                kernel.Dots.Add(call.Outputs, count, call.Lanes);
            }
        }
    }

    private void Reduce(Job job, int cell, int n, Span<double> values)
    {
        var kernel = job.Kernel;
        if (!values.IsEmpty)
        {
            values.Clear();
            kernel.Dots.Fold(call.Lanes, values);
            foreach (var slot in kernel.Slots)
            {
                var feed = kernel.Feed(kernel.Reductions.Slots[slot]);
                values[slot] = Reducers.Reduce(kernel.Reductions.Kinds[slot], call.Stream(feed.A), call.Stream(feed.B), n);
            }
        }

        for (var k = 0; k < job.Rows.Length; k++)
        {
            var feed = kernel.Feed(kernel.Rows[k]);
            job.Rows[k].Add(cell, call.Stream(feed.A), call.Stream(feed.B), n);
        }
    }

    private void Write(StepKernel kernel, int tensor, long start, long count)
    {
        for (var o = 0; o < kernel.OutputSizes.Length; o++)
        {
            var file = kernel.Kernel.Files[o];
            if (file >= 0)
            {
                var bytes = new ReadOnlySpan<byte>(call.OutputBlock(o), checked((int)(count * kernel.OutputSizes[o])));
                engine.Outputs!.Write(file, tensor, start * kernel.OutputSizes[o], bytes);
                written += bytes.Length;
            }
        }
    }

    private void Sample(Claim claim)
    {
        var job = claim.Job;
        call.Arrange(job.Kernel, job.Tensor, SelectionSample.PieceLength, SelectionSample.PieceLength, 0);
        var last = (Start: -1L, Count: 0);
        for (var i = (int)claim.Start; i < claim.Start + claim.Count; i++)
        {
            var (group, piece) = job.Pieces[i];
            if (last != (piece.Start, piece.Count))
            {
                last = (piece.Start, piece.Count);
                call.Read(job.Tensor, piece.Start, piece.Count);
                call.Run(job.Step, job.Tensor, piece.Start, 0, 0, piece.Count);
            }

            group.Sample!.Add(piece, call.Stream(job.Kernel.Feed(group.Index).A), group.Magnitudes);
        }
    }

    private void Locate(Job job)
    {
        var group = job.Groups[0];
        var start = (long)group.Tie.Cell * PlanShape.Cell;
        var n = (int)Math.Min(PlanShape.Cell, engine.Shape.Elements[job.Tensor] - start);
        call.Arrange(job.Kernel, job.Tensor, PlanShape.Cell);
        call.Read(job.Tensor, start, n);
        if (device?.Takes(job.Kernel, job.Tensor) == true)
        {
            device.Fetch(new Claim(job, start, n), job.Kernel.Feed(group.Index).A);
        }
        else
        {
            call.Run(job.Step, job.Tensor, start, 0, 0, n);
        }

        group.EndLocate(start, call.Stream(job.Kernel.Feed(group.Index).A), n);
    }

    private void Rows(Claim claim)
    {
        var job = claim.Job;
        var kernel = job.Kernel;
        var length = engine.Plan.Tensors[job.Tensor].Shape.RowLength;
        call.Arrange(kernel, job.Tensor, claim.Count, claim.Count, 0);
        call.Read(job.Tensor, claim.Start, claim.Count);
        call.Run(job.Step, job.Tensor, claim.Start, 0, 0, (nint)claim.Count);
        foreach (var r in kernel.RowSelections)
        {
            var q = engine.Scalars.Argument(kernel.Reductions.All[r].Argument, job.Tensor);
            var result = engine.Reduced.Rows(job.Step, r, job.Tensor);
            for (long at = 0; at < claim.Count; at += length)
            {
                var row = (claim.Start + at) / length;
                result[row] = Quantiles.OfRow(call.Stream(kernel.Feed(r).A) + at, length, q is [var one] ? one : q[row]);
            }
        }
    }

    private void LogNonFinite(Job job, long at, int n)
    {
        var kernel = job.Kernel;
        var @class = engine.Plan.Tensors[job.Tensor].Class;
        var seen = new HashSet<int>();
        var any = false;
        for (var i = 0; i < kernel.InputSizes.Length; i++)
        {
            if (kernel.Kernel.Inputs[i] is FileInput file && seen.Add(file.Source))
            {
                var bytes = new ReadOnlySpan<byte>(call.InputBlock(i) + (at * kernel.InputSizes[i]), n * kernel.InputSizes[i]);
                var found = NonFiniteLog.Count(kernel.Kernel.Program.Inputs[i], bytes);
                any |= found != (0, 0);
                if (engine.Log.Counts(job.Step, @class, file.Source))
                {
                    engine.Log.AddInput(job.Tensor, file.Source, found);
                }
            }
        }

        for (var o = 0; !any && o < kernel.OutputSizes.Length; o++)
        {
            if (kernel.CopyOf[o] < 0)
            {
                var file = kernel.Kernel.Files[o];
                var bytes = new ReadOnlySpan<byte>(file >= 0 ? call.OutputBlock(o) + (at * kernel.OutputSizes[o]) : (byte*)call.Outputs[o], n * kernel.OutputSizes[o]);
                engine.Log.AddOutput(job.Tensor, file >= 0 ? file : engine.Plan.Outputs.Count, NonFiniteLog.Count(kernel.Kernel.Program.Outputs[o], bytes));
            }
        }
    }

    private void Copy(Claim claim)
    {
        var tensor = engine.Plan.Tensors[claim.Job.Tensor];
        var first = -1;
        var bytes = new Span<byte>(arena, (int)claim.Count);
        var other = new Span<byte>(arena + (engine.Budget.ArenaBytes / 2), (int)claim.Count);
        for (var s = 0; s < tensor.Sources.Count; s++)
        {
            if (tensor.Sources[s] is not { } info)
            {
                continue;
            }

            var source = engine.Plan.Sources[s];
            if (first < 0)
            {
                first = s;
                source.Read(info, claim.Start, bytes);
                copied += bytes.Length;
                continue;
            }

            var same = info.Bytes == claim.Job.Total;
            if (same)
            {
                source.Read(info, claim.Start, other);
                copied += other.Length;
                same = bytes.SequenceEqual(other);
            }

            if (!same)
            {
                throw new FaultException(
                    $"{source.Path}: {tensor.Name} differs from the one in {engine.Plan.Sources[first].Path}; it is {info.DType.Name()}, which is "
                    + "copied and not computed with, so it must be the same in all of them; make it so, leave that model out, or let the task vector "
                    + $"not reach there, as A[not \"{Quoted.Name(tensor.Name)[1..^1]}\"] does: then it is the base's");
            }
        }

        for (var o = 0; o < engine.Plan.Outputs.Count; o++)
        {
            written += engine.Outputs!.Write(o, claim.Job.Tensor, claim.Start, bytes) ? bytes.Length : 0;
        }
    }
}
