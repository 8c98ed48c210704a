namespace Tva.Core.Execution;

/// <summary>Comes in: a tensor whose turn in a step has come. Goes out: the job of its pass; once that is done, its parts of the reductions.</summary>
internal static class PassJobs
{
    /// <summary>The pass, or null where there is nothing to read for.</summary>
    public static Job? Make(Engine engine, Flow flow, int step, int tensor)
    {
        var elements = engine.Shape.Elements[tensor];
        if (engine.KernelOf(step, tensor) is not { } kernel || elements == 0)
        {
            return null;
        }

        var cells = engine.Shape.Cells[tensor];
        var count = kernel.Reductions.Count;
        var perCell = new double[]?[count];
        var rows = new RowReducer?[count];
        var groups = new List<SelectionGroup>();
        var needed = kernel.Writes || kernel.Guards;
        for (var r = 0; r < count; r++)
        {
            var reduction = kernel.Reductions[r];
            if (kernel.Feed(r).A < 0)
            {
                continue;
            }

            if (ReducedValues.IsSelection(reduction))
            {
                if (reduction.Extent != Extent.Row && flow.Group(step, r, tensor) is { Mode: not SelectionMode.Trivial } group)
                {
                    group.Prepare(tensor, cells);
                    groups.Add(group);
                    needed = true;
                }
            }
            else if (reduction.Extent == Extent.Row)
            {
                rows[r] = new RowReducer(reduction.Kind, engine.Plan.Tensors[tensor].Shape.RowLength, cells, engine.Reduced.Rows(step, r, tensor));
                needed = true;
            }
            else
            {
                perCell[r] = new double[cells];
                needed = true;
            }
        }

        return needed
            ? new Job(JobKind.Full, step, tensor, kernel, elements, engine.Budget.BlockElements(kernel)) { Cells = perCell, Rows = rows, Groups = groups }
            : null;
    }

    /// <summary>The pass over whole rows, or null where no reduction wants it.</summary>
    public static Job? MakeRows(Engine engine, int step, int tensor)
    {
        var elements = engine.Shape.Elements[tensor];
        if (engine.KernelOf(step, tensor) is not { } kernel || elements == 0)
        {
            return null;
        }

        for (var r = 0; r < kernel.Reductions.Count; r++)
        {
            if (kernel.Reductions[r] is { Kind: ReduceKind.Quantile, Extent: Extent.Row } && kernel.Feed(r).A >= 0)
            {
                var unit = engine.Budget.RowElements(kernel, engine.Plan.Tensors[tensor].Shape.RowLength);
                return new Job(JobKind.Rows, step, tensor, kernel, elements, Math.Min(unit, elements));
            }
        }

        return null;
    }

    /// <summary>Combines the cells of a finished pass in their order.</summary>
    public static void Combine(Engine engine, Job job)
    {
        for (var r = 0; r < job.Cells.Length; r++)
        {
            job.Rows[r]?.Finish();
            if (job.Cells[r] is { } cells)
            {
                var kind = job.Kernel.Reductions[r].Kind;
                var value = cells[0];
                for (var c = 1; c < cells.Length; c++)
                {
                    value = Reducers.Combine(kind, value, cells[c]);
                }

                engine.Reduced.SetPart(job.Step, r, job.Tensor, value);
            }
        }
    }
}
