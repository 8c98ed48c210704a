using System.Runtime.CompilerServices;
using Tva.Core.Kernels.Vectors;

namespace Tva.Core.Ops;

/// <summary>The nearest integer, ties to even: no text can say it, as its sums might be put together otherwise and miss a tie.</summary>
internal readonly struct Round : IUnary
{
    public static OpInfo Info => new(
        "round", 1, "round(x)", "the integer nearest to x, of two equally near the even one; infinities, NaN and -0 are themselves",
        "round(round(x)) = round(x)",
        "rint($a)", false, (x, _, _) => Math.Round(x, MidpointRounding.ToEven));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Apply<V>(V x)
        where V : struct, IVec<V> => V.Round(x);
}
