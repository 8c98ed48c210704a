using System.Runtime.CompilerServices;
using Tva.Core.Kernels.Vectors;

namespace Tva.Core.Ops;

/// <summary>√x.</summary>
internal readonly struct Sqrt : IUnary
{
    public static OpInfo Info => new(
        "sqrt", 1, "sqrt(x)", "√x, correctly rounded; -0 for -0, NaN below",
        "sqrt(x)² = x up to rounding",
        "sqrt($a)", false, (x, _, _) => Math.Sqrt(x));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Apply<V>(V x)
        where V : struct, IVec<V> => V.Sqrt(x);
}
