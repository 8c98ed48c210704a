using System.Runtime.CompilerServices;
using Tva.Core.Kernels.Vectors;

namespace Tva.Core.Ops;

/// <summary>x rounded to bfloat16, to nearest even.</summary>
internal readonly struct BFloat16 : IUnary
{
    public static OpInfo Info => new(
        "bf16", 1, "bf16(x)", "x rounded to bfloat16 (8 significant bits), to nearest even; NaN stays NaN",
        "bf16(bf16(x)) = bf16(x)",
        "form($a)", true, (x, _, _) => Round((float)x));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Apply<V>(V x)
        where V : struct, IVec<V>
    {
        var even = V.ShiftRight(x, 16) & V.Bits(1);
        var rounded = V.AddInt(V.AddInt(x, V.Bits(0x7fff)), even) & V.Bits(unchecked((int)0xffff0000));
        return V.Select(V.Equal(x, x), rounded, x);
    }

    /// <summary>In float64 arithmetic: 8 bits of fraction and implicit one kept, at fixed steps below the normal numbers.</summary>
    private static float Round(float x)
    {
        if (!float.IsFinite(x) || x == 0)
        {
            return x;
        }

        var step = Math.ScaleB(1, Math.Max(Math.ILogB(x), -126) - 7);
        var rounded = Math.Round(x / step, MidpointRounding.ToEven) * step;
        return (float)(Math.Abs(rounded) > Math.ScaleB(255, 120) ? Math.CopySign(double.PositiveInfinity, x) : rounded);
    }
}
