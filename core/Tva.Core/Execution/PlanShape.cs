namespace Tva.Core.Execution;

/// <summary>Comes in: a plan's tensors. Goes out: how they fall into cells and extents; depends on names and shapes alone.</summary>
internal sealed class PlanShape
{
    /// <summary>
    /// Elements of a cell, the unit at which every partial result is cut, counted from the tensor's start. As float32 64 KiB:
    /// a kernel's scratch streams stay in the second-level cache, and per-cell bookkeeping is below a thousandth of the data.
    /// </summary>
    public const int Cell = 16384;

    private readonly int[] all;
    private readonly int[][] layers;
    private readonly int[][] single;

    public PlanShape(IReadOnlyList<PlanTensor> tensors)
    {
        var count = tensors.Count;
        Elements = new long[count];
        Cells = new int[count];
        Layer = new int[count];
        all = new int[count];
        single = new int[count][];
        var ids = new List<int>();
        var index = new Dictionary<int, int>();
        var members = new List<List<int>>();
        for (var t = 0; t < count; t++)
        {
            Elements[t] = tensors[t].Shape.Elements;
            Cells[t] = checked((int)((Elements[t] + Cell - 1) / Cell));
            all[t] = t;
            single[t] = [t];
            if (!index.TryGetValue(tensors[t].Layer, out var layer))
            {
                index.Add(tensors[t].Layer, layer = ids.Count);
                ids.Add(tensors[t].Layer);
                members.Add([]);
            }

            Layer[t] = layer;
            members[layer].Add(t);
        }

        LayerIds = [.. ids];
        layers = [.. members.Select(m => m.ToArray())];
    }

    /// <summary>Elements per tensor.</summary>
    public long[] Elements { get; }

    /// <summary>Cells per tensor.</summary>
    public int[] Cells { get; }

    /// <summary>Index of each tensor's layer.</summary>
    public int[] Layer { get; }

    /// <summary>The layers' own numbers, in order of first appearance.</summary>
    public int[] LayerIds { get; }

    /// <summary>How many members an extent of kind All, Layer or Tensor has.</summary>
    public int Count(Extent extent) => extent switch { Extent.All => 1, Extent.Layer => LayerIds.Length, _ => all.Length };

    /// <summary>The member that a tensor belongs to.</summary>
    public int Member(Extent extent, int tensor) => extent switch { Extent.All => 0, Extent.Layer => Layer[tensor], _ => tensor };

    /// <summary>The tensors of a member, in plan order.</summary>
    public int[] Tensors(Extent extent, int member) => extent switch { Extent.All => all, Extent.Layer => layers[member], _ => single[member] };
}
