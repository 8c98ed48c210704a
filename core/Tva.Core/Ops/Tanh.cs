using System.Runtime.CompilerServices;
using Tva.Core.Kernels.Vectors;

namespace Tva.Core.Ops;

/// <summary>
/// tanh x: below 0.625 the odd polynomial of Cephes' tanhf, above 1 − 2/(e²ˣ + 1), which is 1 from 9.02 up;
/// at most 1.4 ulp off.
/// </summary>
internal readonly struct Tanh : IUnary
{
    public static OpInfo Info => new(
        "tanh", 1, "tanh(x)", "hyperbolic tangent; ±1 at the infinities",
        "tanh(-x) = -tanh(x)",
        "form($a)", false, (x, _, _) => Math.Tanh(x)) { Locals = 102 };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Apply<V>(V x)
        where V : struct, IVec<V>
    {
        var sign = x & V.Const(-0f);
        var size = x ^ sign;

        var z = size * size;
        var p = V.Fma(V.Const(-5.70498872745e-3f), z, V.Const(2.06390887954e-2f));
        p = V.Fma(p, z, V.Const(-5.37397155531e-2f));
        p = V.Fma(p, z, V.Const(1.33314422036e-1f));
        p = V.Fma(p, z, V.Const(-3.33332819422e-1f));
        var small = V.Fma(p * z, size, size);

        var large = V.Const(1f) - (V.Const(2f) / (Exp.Apply(size + size) + V.Const(1f)));
        return V.Select(V.Less(size, V.Const(0.625f)), small, large) ^ sign;
    }
}
