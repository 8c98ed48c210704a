using Tva.Core.Kernels.Vectors;

namespace Tva.Core.Ops;

/// <summary>What every op's struct tells: its row of the table. Its vector form stands in the interface of its arity.</summary>
internal interface IOp
{
    static abstract OpInfo Info { get; }
}

/// <summary>An op of one operand.</summary>
internal interface IUnary : IOp
{
    static abstract V Apply<V>(V x)
        where V : struct, IVec<V>;
}

/// <summary>An op of two operands.</summary>
internal interface IBinary : IOp
{
    static abstract V Apply<V>(V a, V b)
        where V : struct, IVec<V>;
}

/// <summary>An op of three operands.</summary>
internal interface ITernary : IOp
{
    static abstract V Apply<V>(V a, V b, V c)
        where V : struct, IVec<V>;
}
