using System.Runtime.CompilerServices;
using Tva.Core.Kernels.Vectors;

namespace Tva.Core.Ops;

/// <summary>⌊x⌋.</summary>
internal readonly struct Floor : IUnary
{
    public static OpInfo Info => new(
        "floor", 1, "floor(x)", "the largest integer not above x; infinities, NaN and -0 are themselves",
        "floor(floor(x)) = floor(x)",
        "floor($a)", false, (x, _, _) => Math.Floor(x));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Apply<V>(V x)
        where V : struct, IVec<V> => V.Floor(x);
}
