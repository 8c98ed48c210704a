using Tva.Core.Kernels.Vectors;

namespace Tva.Core.Ops;

/// <summary>
/// The remainder of a division cut off towards zero. Exact whatever the quotient, which a - b·trunc(a/b) is not; per lane in float64, as it is rare.
/// </summary>
internal readonly unsafe struct Remainder : IBinary
{
    public static OpInfo Info => new(
        "rem", 2, "rem(a, b)", "what is left of a after as many whole b as fit, with a's sign, exactly (C fmod); NaN where b is 0 or a infinite",
        "rem(a, -b) = rem(a, b); rem(-a, b) = -rem(a, b)",
        "fmod($a, $b)", false, (a, b, _) => a % b);

    public static V Apply<V>(V a, V b)
        where V : struct, IVec<V> => PerLane.Apply(a, b, &Left);

    private static double Left(double a, double b) => a % b;
}
