using System.Runtime.CompilerServices;
using Tva.Core.Kernels.Vectors;

namespace Tva.Core.Ops;

/// <summary>|x|.</summary>
internal readonly struct Abs : IUnary
{
    public static OpInfo Info => new(
        "abs", 1, "abs(x)", "|x|, the sign bit cleared",
        "abs(-x) = abs(x); abs(abs(x)) = abs(x)",
        "fabs($a)", false, (x, _, _) => Math.Abs(x));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Apply<V>(V x)
        where V : struct, IVec<V> => x & V.Bits(0x7fffffff);
}

/// <summary>The sign as 1, −1 or +0; the last sum turns −0 into +0 and lets NaN through.</summary>
internal readonly struct Sign : IUnary
{
    public static OpInfo Info => new(
        "sign", 1, "sign(x)", "1, -1, or 0 for both zeros; NaN for NaN",
        "sign(-x) = -sign(x); x = sign(x) · abs(x) up to the sign of 0",
        "($a > 0.0f ? 1.0f : $a < 0.0f ? -1.0f : $a + 0.0f)", false, (x, _, _) => x > 0 ? 1 : x < 0 ? -1 : x + 0.0) { Locals = 15 };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Apply<V>(V x)
        where V : struct, IVec<V> => 
            V.IfLess(V.Const(0), x, V.Const(1), V.IfLess(x, V.Const(0), V.Const(-1), x + V.Const(0)));
}
