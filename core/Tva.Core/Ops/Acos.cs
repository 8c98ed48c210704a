using Tva.Core.Kernels.Vectors;

namespace Tva.Core.Ops;

/// <summary>arccos x. Per lane in float64 and rounded once: it serves angles, which are few.</summary>
internal readonly unsafe struct Acos : IUnary
{
    public static OpInfo Info => new(
        "acos", 1, "acos(x)", "the angle in 0..π whose cosine is x; NaN outside -1..1",
        "cos(acos(x)) = x up to rounding",
        "acos_wide($a)", false, (x, _, _) => Math.Acos(x));

    public static V Apply<V>(V x)
        where V : struct, IVec<V> => PerLane.Apply(x, &Angle);

    private static double Angle(double x) => Math.Acos(x);
}
