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
        var rows = new RowReducer[kernel.Rows.Length];
        for (var k = 0; k < rows.Length; k++)
        {
            var r = kernel.Rows[k];
            rows[k] = new RowReducer(
                kernel.Reductions.All[r].Kind, engine.Plan.Tensors[tensor].Shape.RowLength, cells, engine.Reduced.Rows(step, r, tensor));
        }

        var groups = new List<SelectionGroup>();
        foreach (var r in kernel.Reductions.Selections)
        {
            if (kernel.Feed(r).A >= 0 && flow.Group(step, r, tensor) is { Mode: not SelectionMode.Trivial } group)
            {
                group.Prepare(tensor, cells);
                groups.Add(group);
            }
        }

        if (!kernel.Writes && !kernel.Guards && !kernel.PerCell && rows.Length == 0 && groups.Count == 0)
        {
            return null;
        }

        return new Job(JobKind.Full, step, tensor, kernel, elements, engine.Budget.BlockElements(kernel, engine.Plan.Tensors[tensor].Shape))
        {
            Fold = kernel.PerCell ? new CellFold(kernel.Reductions, engine.Budget.Window) : null,
            Rows = rows,
            Groups = groups,
        };
    }

    /// <summary>The pass over whole rows, or null where no reduction wants it.</summary>
    public static Job? MakeRows(Engine engine, int step, int tensor)
    {
        var elements = engine.Shape.Elements[tensor];
        if (engine.KernelOf(step, tensor) is not { } kernel || elements == 0)
        {
            return null;
        }

        if (kernel.RowSelections.Length > 0)
        {
            var unit = engine.Budget.RowElements(kernel, engine.Plan.Tensors[tensor].Shape);
            return new Job(JobKind.Rows, step, tensor, kernel, elements, Math.Min(unit, elements));
        }

        return null;
    }

    /// <summary>Hands on what the cells of a finished pass came to.</summary>
    public static void Combine(Engine engine, Job job)
    {
        foreach (var rows in job.Rows)
        {
            rows.Finish();
        }

        if (job.Fold is { } fold)
        {
            engine.Reduced.SetPart(job.Step, job.Tensor, fold.Values);
        }
    }
}
