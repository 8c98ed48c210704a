namespace Tva.Core.Execution;

/// <summary>
/// Comes in: completed jobs. Goes out: the jobs that may now start. A tensor enters a step when its gates of the step before are closed:
/// its own, and its layer's and the model's where a reduction spans them. In a step it is sampled first if a selection asks for it,
/// then passes once, then once more for each selection that needs another round.
/// </summary>
internal sealed class Flow
{
    private readonly Engine engine;
    private readonly ExecutionPlan plan;
    private readonly PlanShape shape;
    private readonly Scheduler scheduler;
    private readonly SelectionGroup[]?[][] groups;

    // Per step and tensor: what its pass waits for (its own entry, a sample per selection), and its gates that are still open.
    private readonly int[][] awaited;
    private readonly int[][] open;

    // Per step and extent coarser than Row, per member: passes and selections still to come. Null where no reduction spans it.
    private readonly int[]?[][] gates;
    private int finished;
    private long bytesPlanned;

    public Flow(Engine engine)
    {
        this.engine = engine;
        (plan, shape) = (engine.Plan, engine.Shape);
        var sign = Enumerable.Range(0, plan.Steps.Count + 1).Select(s => engine.Backwards(s) ? -1L : 1L).ToArray();
        scheduler = new Scheduler(job => job.Tensor * sign[job.Step], Complete);
        var steps = plan.Steps.Count;
        (groups, awaited, open, gates) = (new SelectionGroup[]?[steps][], new int[steps][], new int[steps][], new int[]?[steps][]);
        for (var s = 0; s < steps; s++)
        {
            Prepare(s);
        }
    }

    public Scheduler Scheduler => scheduler;

    /// <summary>Bytes to be read and written, as far as known.</summary>
    public long BytesPlanned => Interlocked.Read(ref bytesPlanned);

    public SelectionGroup Group(int step, int reduction, int tensor) =>
        groups[step][reduction]![shape.Member(plan.Steps[step].Reductions[reduction].Extent, tensor)];

    /// <summary>Adds the first jobs.</summary>
    public void Begin()
    {
        for (var t = 0; t < plan.Tensors.Count; t++)
        {
            var tensor = plan.Tensors[t];
            if (tensor.Class < 0 && tensor.Sources.FirstOrDefault(info => info is not null) is { Bytes: > 0 } first)
            {
                Add(new Job(JobKind.Copy, 0, t, null, first.Bytes, engine.Budget.ArenaBytes / 2), first.Bytes * (tensor.Sources.Count(i => i is not null) + plan.Outputs.Count));
            }
            else
            {
                for (var s = 0; s < plan.Steps.Count; s++)
                {
                    var kernel = engine.KernelOf(s, t);
                    Interlocked.Add(ref bytesPlanned, kernel is null ? 0 : BytesRead(kernel, t) + (shape.Elements[t] * kernel.WrittenBytes));
                    for (var m = 0; m < plan.Steps[s].Matrices.Count; m++)
                    {
                        Interlocked.Add(ref bytesPlanned, engine.MatrixOf(s, m, t)?.Sum(k => BytesRead(k, t)) ?? 0);
                    }
                }
            }
        }

        if (plan.Tensors.Count == 0)
        {
            PassNothing();
        }

        for (var t = 0; t < plan.Tensors.Count; t++)
        {
            Enter(0, t);
        }
    }

    /// <summary>All jobs are done: everything must have come to its end, or the counting here is wrong.</summary>
    public void RequireFinished()
    {
        if (finished != plan.Tensors.Count)
        {
            throw new InvalidOperationException($"{plan.Tensors.Count - finished} tensors never got through the plan");
        }
    }

    private void Prepare(int step)
    {
        var reductions = plan.Steps[step].Reductions;
        var count = plan.Tensors.Count;
        gates[step] = new int[]?[3];
        open[step] = new int[count];
        awaited[step] = new int[count];
        Array.Fill(awaited[step], 1);
        groups[step] = new SelectionGroup[reductions.Count][];
        foreach (var extent in (Extent[])[Extent.All, Extent.Layer, Extent.Tensor])
        {
            if (extent == Extent.Tensor || reductions.Any(r => r.Extent == extent))
            {
                gates[step][(int)extent] = [.. Enumerable.Range(0, shape.Count(extent)).Select(m => shape.Tensors(extent, m).Length)];
                for (var t = 0; t < count; t++)
                {
                    open[step][t]++;
                }
            }
        }

        foreach (var r in engine.Reductions[step].Selections)
        {
            var reduction = reductions[r];
            groups[step][r] = [.. Enumerable.Range(0, shape.Count(reduction.Extent))
                .Select(m => new SelectionGroup(step, r, reduction, m, shape.Tensors(reduction.Extent, m)))];
            for (var m = 0; m < groups[step][r]!.Length; m++)
            {
                gates[step][(int)reduction.Extent]![m]++;
            }

            for (var t = 0; t < count; t++)
            {
                awaited[step][t]++;
            }
        }
    }

    /// <summary>What a kernel reads of a tensor, counted as stored: an adapter's factors are far less than what they expand to.</summary>
    private long BytesRead(StepKernel kernel, int tensor) =>
        (shape.Elements[tensor] * kernel.ReadBytes)
        - kernel.Kernel.Inputs.OfType<FileInput>().Select(f => (plan.Sources[f.Source], plan.Tensors[tensor].Sources[f.Source]!))
            .Sum(x => x.Item2.Bytes - x.Item1.StoredBytes(x.Item2));

    private void Add(Job job, long bytes)
    {
        Interlocked.Add(ref bytesPlanned, bytes);
        scheduler.Add(job);
    }

    private void Enter(int step, int tensor)
    {
        engine.Scalars.Enter(step, tensor);
        if (step == plan.Steps.Count)
        {
            engine.Matrices.Free(tensor);
            engine.Held?.Free(tensor);
            Interlocked.Increment(ref finished);
            return;
        }

        var pieces = new List<(SelectionGroup Group, Piece Piece)>();
        foreach (var r in engine.Reductions[step].Selections)
        {
            var group = Group(step, r, tensor);
            Start(group, tensor);
            pieces.AddRange(group.Pieces.Where(p => p.Tensor == tensor).Select(p => (group, p)));
        }

        if (pieces.Count > 0)
        {
            // Those of several selections over one extent lie at the same places and are read once.
            pieces.Sort((x, y) => (x.Piece.Start, x.Piece.Count).CompareTo((y.Piece.Start, y.Piece.Count)));
            var kernel = engine.KernelOf(step, tensor)!;
            Add(
                new Job(JobKind.Sample, step, tensor, kernel, pieces.Count, Math.Max(1, pieces.Count / 4)) { Pieces = pieces },
                pieces.Select(p => (p.Piece.Start, p.Piece.Count)).Distinct().Sum(p => (long)p.Count) * kernel.ReadBytes);
        }

        Arrive(step, tensor);
    }

    private void Start(SelectionGroup group, int tensor)
    {
        lock (group)
        {
            if (group.Mode != SelectionMode.NotStarted)
            {
                return;
            }

            var algebra = group.Tensors.Where(t => plan.Tensors[t].Class >= 0 && shape.Elements[t] > 0).ToLookup(t => IsFed(group, t));
            var pieces = engine.Budget.Pieces * (group.Extent == Extent.Tensor ? 1 : 4);
            var argument = engine.Scalars.Get(plan.Steps[group.Step].Reductions[group.Index].Argument, tensor);
            group.Start(argument, shape, [.. algebra[true]], algebra[false].Sum(t => shape.Elements[t]), pieces, engine.Budget.Workers);
            if (group.Mode == SelectionMode.Sampled)
            {
                group.Pending = group.Pieces.Select(p => p.Tensor).Distinct().Count();
                return;
            }
        }

        Sampled(group);
        if (group.Mode == SelectionMode.Trivial)
        {
            Finish(group);
        }
    }

    private bool IsFed(SelectionGroup group, int tensor) => engine.KernelOf(group.Step, tensor) is { } kernel && kernel.Feed(group.Index).A >= 0;

    private void Sampled(SelectionGroup group)
    {
        foreach (var t in group.Tensors)
        {
            Arrive(group.Step, t);
        }
    }

    private void Arrive(int step, int tensor)
    {
        if (Interlocked.Decrement(ref awaited[step][tensor]) > 0)
        {
            return;
        }

        if (PassJobs.Make(engine, this, step, tensor) is { } job)
        {
            scheduler.Add(job);
        }
        else
        {
            var kernel = engine.KernelOf(step, tensor);
            Interlocked.Add(ref bytesPlanned, kernel is null ? 0 : -BytesRead(kernel, tensor));
            Passed(step, tensor, null);
        }
    }

    private void Complete(Job job)
    {
        switch (job.Kind)
        {
            case JobKind.Sample:
                foreach (var group in job.Pieces.Select(p => p.Group).Distinct())
                {
                    if (Interlocked.Decrement(ref group.Pending) == 0)
                    {
                        group.EndSample();
                        Sampled(group);
                    }
                }

                break;
            case JobKind.Full:
                Passed(job.Step, job.Tensor, job);
                break;
            case JobKind.Rows or JobKind.Matrix:
                CloseGate(job.Step, Extent.Tensor, job.Tensor);
                break;
            case JobKind.Rescan:
                EndRound(job.Groups[0]);
                break;
            case JobKind.Locate:
                Finish(job.Groups[0]);
                break;
        }
    }

    /// <summary>A tensor's pass is over; <paramref name="job"/> is null where there was nothing to do.</summary>
    private void Passed(int step, int tensor, Job? job)
    {
        if (job is not null)
        {
            PassJobs.Combine(engine, job);
            if (engine.Options.Strict && job.Kernel.Guards)
            {
                engine.Log.RequireFinite(tensor);
            }
        }

        foreach (var r in engine.Reductions[step].Selections)
        {
            if (Group(step, r, tensor) is var group && group.Mode != SelectionMode.Trivial)
            {
                if (group.Mode == SelectionMode.Direct)
                {
                    Finish(group);
                }
                else
                {
                    EndRound(group);
                }
            }
        }

        if (PassJobs.MakeRows(engine, step, tensor) is { } rows)
        {
            Interlocked.Increment(ref gates[step][(int)Extent.Tensor]![tensor]);
            Add(rows, shape.Elements[tensor] * rows.Kernel.ReadBytes);
        }

        for (var m = 0; m < plan.Steps[step].Matrices.Count; m++)
        {
            if (engine.MatrixOf(step, m, tensor) is { } streams)
            {
                Interlocked.Increment(ref gates[step][(int)Extent.Tensor]![tensor]);
                Add(new Job(JobKind.Matrix, step, tensor, streams[0], 1, 1) { Matrix = m }, 0);
            }
        }

        foreach (var extent in (Extent[])[Extent.Tensor, Extent.Layer, Extent.All])
        {
            CloseGate(step, extent, shape.Member(extent, tensor));
        }
    }

    private void EndRound(SelectionGroup group)
    {
        if (Interlocked.Decrement(ref group.Pending) > 0)
        {
            return;
        }

        switch (group.EndRound())
        {
            case SelectionOutcome.Done:
                Finish(group);
                break;
            case SelectionOutcome.AnotherRound:
                foreach (var t in group.Fed)
                {
                    var kernel = engine.KernelOf(group.Step, t)!;
                    var unit = engine.Budget.BlockElements(kernel, plan.Tensors[t].Shape);
                    Add(new Job(JobKind.Rescan, group.Step, t, kernel, shape.Elements[t], unit) { Groups = [group] }, shape.Elements[t] * kernel.ReadBytes);
                }

                break;
            case SelectionOutcome.Locate:
                var located = engine.KernelOf(group.Step, group.Tie.Tensor)!;
                Add(new Job(JobKind.Locate, group.Step, group.Tie.Tensor, located, 1, 1) { Groups = [group] }, (long)PlanShape.Cell * located.ReadBytes);
                break;
        }
    }

    private void Finish(SelectionGroup group)
    {
        engine.Reduced[group.Step, group.Index, group.Member] = group.Value;
        CloseGate(group.Step, group.Extent, group.Member);
    }

    private void CloseGate(int step, Extent extent, int member)
    {
        if (gates[step][(int)extent] is not { } gate || Interlocked.Decrement(ref gate[member]) > 0)
        {
            return;
        }

        engine.Reduced.Close(step, extent, member);
        foreach (var t in shape.Tensors(extent, member))
        {
            if (Interlocked.Decrement(ref open[step][t]) == 0)
            {
                Enter(step + 1, t);
            }
        }
    }

    /// <summary>A plan without tensors still has results: those of nothing.</summary>
    private void PassNothing()
    {
        for (var s = 0; s < plan.Steps.Count; s++)
        {
            engine.Scalars.Enter(s, -1);
            engine.Reduced.Close(s, Extent.All, 0);
            for (var r = 0; r < groups[s].Length; r++)
            {
                if (groups[s][r] is [var group, ..])
                {
                    group.Start(engine.Scalars.Get(plan.Steps[s].Reductions[r].Argument, -1), shape, [], 0, 0, 1);
                    engine.Reduced[s, r, 0] = group.Value;
                }
            }
        }

        engine.Scalars.Enter(plan.Steps.Count, -1);
    }
}
