using System.Runtime.CompilerServices;
using Tva.Core.Kernels.Vectors;

namespace Tva.Core.Ops;

/// <summary>
/// ln x = k·ln 2 + ln(1 + f) with 1 + f in √½..√2, the last term by the degree-11 polynomial of Cephes' logf;
/// at most 0.8 ulp off.
/// </summary>
internal readonly struct Log : IUnary
{
    public static OpInfo Info => new(
        "log", 1, "log(x)", "natural logarithm; -inf at both zeros, NaN below, inf at inf",
        "log(1) = 0; log(a · b) = log(a) + log(b) up to rounding",
        "form($a)", false, (x, _, _) => Math.Log(x)) { Locals = 72 };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Apply<V>(V x)
        where V : struct, IVec<V>
    {
        var tiny = V.Less(x, V.Const(1.17549435e-38f));
        var scaled = V.Select(tiny, x * V.Const(8388608f), x);

        // k such that scaled / 2^k lies in √½..√2: counted from √½, whose bits are 0x3f3504f3.
        var above = V.SubInt(scaled, V.Bits(0x3f3504f3));
        var k = V.ShiftRightSigned(above, 23);
        var f = V.SubInt(scaled, V.ShiftLeft(k, 23)) - V.Const(1f);
        var e = V.FromInt(k) - (tiny & V.Const(23f));

        var p = V.Const(7.0376836292e-2f);
        p = V.Fma(p, f, V.Const(-1.1514610310e-1f));
        p = V.Fma(p, f, V.Const(1.1676998740e-1f));
        p = V.Fma(p, f, V.Const(-1.2420140846e-1f));
        p = V.Fma(p, f, V.Const(1.4249322787e-1f));
        p = V.Fma(p, f, V.Const(-1.6668057665e-1f));
        p = V.Fma(p, f, V.Const(2.0000714765e-1f));
        p = V.Fma(p, f, V.Const(-2.4999993993e-1f));
        p = V.Fma(p, f, V.Const(3.3333331174e-1f));

        var square = f * f;
        p = V.Fma(e, V.Const(-2.12194440e-4f), p * f * square);
        p = V.Fma(square, V.Const(-0.5f), p);
        var result = V.Fma(e, V.Const(0.693359375f), f + p);

        var infinity = V.Const(float.PositiveInfinity);
        result = V.Select(V.Less(x, infinity), result, x);
        result = V.Select(V.Equal(x, V.Const(0)), V.Const(float.NegativeInfinity), result);
        return V.Select(V.Less(x, V.Const(0)), V.Const(float.NaN), result);
    }
}
