using Tva.Core.Kernels.Vectors;

namespace Tva.Core.Ops;

/// <summary>
/// aᵇ. Per lane in float64 and rounded once: half an ulp. The optimizer turns small integer powers into products, so what is
/// left is rare.
/// </summary>
internal readonly unsafe struct Pow : IBinary
{
    public static OpInfo Info => new(
        "pow", 2, "a ^ b", "a to the power b; x^0 = 1 and 1^x = 1 also for NaN; NaN where a < 0 and b is no integer (IEEE pow)",
        "a ^ 1 = a; a ^ 2 = a · a",
        "pow_wide($a, $b)", false, (a, b, _) => Math.Pow(a, b));

    public static V Apply<V>(V a, V b)
        where V : struct, IVec<V> => PerLane.Apply(a, b, &Raise);

    private static double Raise(double a, double b) => Math.Pow(a, b);
}
