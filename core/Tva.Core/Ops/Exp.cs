using System.Runtime.CompilerServices;
using Tva.Core.Kernels.Vectors;

namespace Tva.Core.Ops;

/// <summary>
/// eˣ = 2ᵏ·eʳ with k the nearest integer to x/ln 2 and |r| at most ln 2 / 2, eʳ by the degree-7 polynomial of Cephes' expf;
/// at most 1.1 ulp off.
/// Own polynomials, here and in the siblings, because the framework's vector functions leave their fast path when any one lane
/// needs it, so a result would depend on its neighbours.
/// </summary>
internal readonly struct Exp : IUnary
{
    public static OpInfo Info => new(
        "exp", 1, "exp(x)", "e to the power x; 0 for -inf, inf from 88.73 up",
        "exp(0) = 1; exp(a + b) = exp(a) · exp(b) up to rounding",
        "form($a)", false, (x, _, _) => Math.Exp(x)) { Locals = 64 };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Apply<V>(V x)
        where V : struct, IVec<V>
    {
        // Beyond these the result is 0 or inf anyway; NaN fails both comparisons and goes through.
        x = V.Select(V.Less(x, V.Const(-105f)), V.Const(-105f), x);
        x = V.Select(V.Less(V.Const(89f), x), V.Const(89f), x);

        // Adding 1.5 · 2^23 rounds to an integer and leaves it in the low bits.
        var shifted = V.Fma(x, V.Const(1.44269504f), V.Const(12582912f));
        var k = shifted - V.Const(12582912f);
        var r = V.Fma(k, V.Const(-0.693145752f), x);
        r = V.Fma(k, V.Const(-1.42860677e-6f), r);

        var p = V.Const(1.9875691500e-4f);
        p = V.Fma(p, r, V.Const(1.3981999507e-3f));
        p = V.Fma(p, r, V.Const(8.3334519073e-3f));
        p = V.Fma(p, r, V.Const(4.1665795894e-2f));
        p = V.Fma(p, r, V.Const(1.6666665459e-1f));
        p = V.Fma(p, r, V.Const(5.0000001201e-1f));
        p = V.Fma(p, r * r, r) + V.Const(1f);

        // 2^k in two factors, so that a subnormal result is rounded once, by the last product.
        var n = V.SubInt(shifted, V.Const(12582912f));
        var half = V.ShiftRightSigned(n, 1);
        return p * PowerOfTwo(half) * PowerOfTwo(V.SubInt(n, half));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V PowerOfTwo<V>(V n)
        where V : struct, IVec<V> => V.ShiftLeft(V.AddInt(n, V.Bits(127)), 23);
}
