namespace Tva.Core.Ops;

/// <summary>Every elementwise op, by number and by name.</summary>
public static class OpTable
{
    private static readonly (OpInfo Info, Type Form)[] Rows =
    [
        (Add.Info, typeof(Add)), (Sub.Info, typeof(Sub)), (Mul.Info, typeof(Mul)), (Div.Info, typeof(Div)),
        (Neg.Info, typeof(Neg)), (Fma.Info, typeof(Fma)), (Pow.Info, typeof(Pow)),
        (Lt.Info, typeof(Lt)), (Le.Info, typeof(Le)), (Gt.Info, typeof(Gt)), (Ge.Info, typeof(Ge)),
        (Eq.Info, typeof(Eq)), (Ne.Info, typeof(Ne)),
        (And.Info, typeof(And)), (Or.Info, typeof(Or)), (Not.Info, typeof(Not)),
        (Abs.Info, typeof(Abs)), (Sign.Info, typeof(Sign)), (Sqrt.Info, typeof(Sqrt)),
        (Exp.Info, typeof(Exp)), (Log.Info, typeof(Log)), (Sin.Info, typeof(Sin)), (Cos.Info, typeof(Cos)),
        (Acos.Info, typeof(Acos)), (Tanh.Info, typeof(Tanh)), (Floor.Info, typeof(Floor)),
        (Min.Info, typeof(Min)), (Max.Info, typeof(Max)), (Clamp.Info, typeof(Clamp)), (Where.Info, typeof(Where)),
        (BFloat16.Info, typeof(BFloat16)), (Round.Info, typeof(Round)), (Remainder.Info, typeof(Remainder)),
    ];

    private static readonly OpInfo[] Infos = new OpInfo[Rows.Length];
    private static readonly Dictionary<string, int> Numbers = new(StringComparer.Ordinal);

    static OpTable()
    {
        for (var i = 0; i < Rows.Length; i++)
        {
            Infos[i] = Rows[i].Info;
            Numbers.Add(Infos[i].Name, i);
        }
    }

    /// <summary>All ops; the position is the op's number.</summary>
    public static IReadOnlyList<OpInfo> All => Infos;

    /// <summary>The number of the op of that name, or -1.</summary>
    public static int IndexOf(string name) => Numbers.TryGetValue(name, out var i) ? i : -1;

    /// <summary>The op of that number.</summary>
    public static OpInfo Get(int op) => Infos[op];

    /// <summary>The struct that holds the op's vector form.</summary>
    internal static Type Form(int op) => Rows[op].Form;
}
