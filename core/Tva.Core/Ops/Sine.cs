using System.Runtime.CompilerServices;
using Tva.Core.Kernels.Vectors;

namespace Tva.Core.Ops;

/// <summary>sin x; see <see cref="Circle"/>.</summary>
internal readonly struct Sin : IUnary
{
    public static OpInfo Info => new(
        "sin", 1, "sin(x)", "sine of x radians; NaN at the infinities",
        "sin(-x) = -sin(x)",
        "(fabs($a) < 1e5f ? form($a) : sin_wide($a))", false, (x, _, _) => Math.Sin(x)) { Locals = 72 };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static unsafe V Apply<V>(V x)
        where V : struct, IVec<V>
    {
        var sign = x & V.Const(-0f);
        var size = x ^ sign;
        var near = V.Less(size, V.Const(Circle.Limit));
        var result = Circle.Quarter(size, 0) ^ sign;
        return V.Any(~near) ? V.Select(near, result, PerLane.Apply(x, &Far)) : result;
    }

    private static double Far(double x) => Math.Sin(x);
}

/// <summary>cos x; see <see cref="Circle"/>.</summary>
internal readonly struct Cos : IUnary
{
    public static OpInfo Info => new(
        "cos", 1, "cos(x)", "cosine of x radians; NaN at the infinities",
        "cos(-x) = cos(x)",
        "(fabs($a) < 1e5f ? form($a) : cos_wide($a))", false, (x, _, _) => Math.Cos(x)) { Locals = 72 };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static unsafe V Apply<V>(V x)
        where V : struct, IVec<V>
    {
        var size = x & V.Bits(0x7fffffff);
        var near = V.Less(size, V.Const(Circle.Limit));
        var result = Circle.Quarter(size, 1);
        return V.Any(~near) ? V.Select(near, result, PerLane.Apply(x, &Far)) : result;
    }

    private static double Far(double x) => Math.Cos(x);
}

/// <summary>
/// sin(x + quarter·π/2) for 0 ≤ x &lt; Limit: x is brought to |r| ≤ π/4 by subtracting q·π/2 in three parts (the first product
/// and difference are exact, being fused), then Cephes' polynomials;
/// at most 1.5 ulp off. Lanes beyond the limit go through float64 one by one.
/// </summary>
internal static class Circle
{
    public const float Limit = 1e5f;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Quarter<V>(V x, int quarter)
        where V : struct, IVec<V>
    {
        var shifted = V.Fma(x, V.Const(0.636619772f), V.Const(12582912f));
        var q = shifted - V.Const(12582912f);
        var r = V.Fma(q, V.Const(-1.57079637f), x);
        r = V.Fma(q, V.Const(4.37113883e-8f), r);
        r = V.Fma(q, V.Const(1.71512451e-15f), r);

        var z = r * r;
        var sine = V.Fma(V.Const(-1.9515295891e-4f), z, V.Const(8.3321608736e-3f));
        sine = V.Fma(sine, z, V.Const(-1.6666654611e-1f));
        sine = V.Fma(sine * z, r, r);
        var cosine = V.Fma(V.Const(2.443315711809948e-5f), z, V.Const(-1.388731625493765e-3f));
        cosine = V.Fma(cosine, z, V.Const(4.166664568298827e-2f));
        cosine = V.Fma(cosine, z, V.Const(-0.5f));
        cosine = V.Fma(cosine, z, V.Const(1f));

        var n = V.AddInt(shifted, V.Bits(quarter));
        var odd = V.EqualInt(n & V.Bits(1), V.Bits(1));
        return V.Select(odd, cosine, sine) ^ V.ShiftLeft(n & V.Bits(2), 30);
    }
}
