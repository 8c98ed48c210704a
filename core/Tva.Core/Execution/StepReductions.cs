namespace Tva.Core.Execution;

/// <summary>
/// Comes in: a step's reductions. Goes out: the same told apart by how they are done, since there may be tens of thousands and no tensor
/// should look through all of them. Those that give a number per cell have a slot each, sums before the rest.
/// </summary>
internal sealed class StepReductions
{
    public StepReductions(IReadOnlyList<Reduction> reductions)
    {
        All = reductions;
        var numbers = Enumerable.Range(0, reductions.Count).ToLookup(r =>
            (Selection: ReducedValues.IsSelection(reductions[r]), Row: reductions[r].Extent == Extent.Row));
        Rows = [.. numbers[(false, true)]];
        Selections = [.. numbers[(true, false)]];
        RowSelections = [.. numbers[(true, true)]];
        var slots = numbers[(false, false)].ToLookup(r => IsSum(reductions[r].Kind));
        Slots = [.. slots[true], .. slots[false]];
        Sums = slots[true].Count();
        Kinds = [.. Slots.Select(r => reductions[r].Kind)];
        ByExtent = [.. ((Extent[])[Extent.All, Extent.Layer, Extent.Tensor]).Select(extent =>
            Enumerable.Range(0, Slots.Length).Where(s => reductions[Slots[s]].Extent == extent).ToArray())];
    }

    /// <summary>No reduction at all.</summary>
    public static StepReductions None { get; } = new([]);

    public IReadOnlyList<Reduction> All { get; }

    /// <summary>Per slot its reduction.</summary>
    public int[] Slots { get; }

    /// <summary>Per slot its kind.</summary>
    public ReduceKind[] Kinds { get; }

    /// <summary>How many slots are plainly added up.</summary>
    public int Sums { get; }

    /// <summary>The slots of extent All, Layer and Tensor.</summary>
    public int[][] ByExtent { get; }

    /// <summary>The reductions by row.</summary>
    public int[] Rows { get; }

    /// <summary>The selections over extents coarser than a row.</summary>
    public int[] Selections { get; }

    /// <summary>The selections that need whole rows.</summary>
    public int[] RowSelections { get; }

    private static bool IsSum(ReduceKind kind) => kind is not (ReduceKind.MaxAbs or ReduceKind.Min or ReduceKind.Max);
}
