namespace Tva.Core.Ops;

/// <summary>Every elementwise op, by number and by name.</summary>
public static class OpTable
{
    /// <summary>All ops; the position is the op's number.</summary>
    public static IReadOnlyList<OpInfo> All { get; } =
    [
        new("add", 2, "add(a, b)", "a + b", "commutative", "$a + $b", true, (a, b, _) => a + b),
    ];

    /// <summary>The number of the op of that name, or -1.</summary>
    public static int IndexOf(string name)
    {
        for (var i = 0; i < All.Count; i++)
        {
            if (All[i].Name == name)
            {
                return i;
            }
        }

        return -1;
    }
}
