using System.Runtime.CompilerServices;
using Tva.Core.Kernels.Vectors;

namespace Tva.Core.Kernels;

/// <summary>
/// Stored elements in, float32 vectors out, and back: loads are exact (F64 rounds to nearest even), stores round to nearest even,
/// subnormals included. What is too large becomes infinity, in F8_E4M3, which has none, NaN (as PyTorch casts).
/// Every store writes one and the same NaN, the positive quiet one: which operand's payload survives an addition depends on the
/// instruction set and on how the JIT ordered the operands, and bytes shall not.
/// The emitter finds these by name: Load or Store and the type.
/// </summary>
internal static unsafe class Conversion
{
    private const MethodImplOptions Inline = MethodImplOptions.AggressiveInlining;

    [MethodImpl(Inline)]
    public static V LoadF64<V>(byte* source)
        where V : struct, IVec<V> => V.LoadF64(source);

    [MethodImpl(Inline)]
    public static V LoadF32<V>(byte* source)
        where V : struct, IVec<V> => V.Load32(source);

    [MethodImpl(Inline)]
    public static V LoadBF16<V>(byte* source)
        where V : struct, IVec<V> => V.ShiftLeft(V.Load16(source), 16);

    [MethodImpl(Inline)]
    public static V LoadF16<V>(byte* source)
        where V : struct, IVec<V> => DecodeIeee(V.Load16(source), 16, 10);

    [MethodImpl(Inline)]
    public static V LoadF8E5M2<V>(byte* source)
        where V : struct, IVec<V> => DecodeIeee(V.Load8(source), 8, 2);

    [MethodImpl(Inline)]
    public static V LoadF8E4M3<V>(byte* source)
        where V : struct, IVec<V>
    {
        var x = V.Load8(source);
        var magnitude = x & V.Bits(0x7f);
        var sign = V.ShiftLeft(x ^ magnitude, 24);
        var value = Decode(magnitude, 3, 7) | sign;
        return V.Select(V.EqualInt(magnitude, V.Bits(0x7f)), V.Const(float.NaN), value);
    }

    /// <summary>The elements at even positions of two vectors' worth of BF16: the low halves of 32-bit words, no widening needed.</summary>
    [MethodImpl(Inline)]
    public static V LoadEvenBF16<V>(byte* source)
        where V : struct, IVec<V> => V.ShiftLeft(V.Load32(source), 16);

    /// <summary>The elements at odd positions.</summary>
    [MethodImpl(Inline)]
    public static V LoadOddBF16<V>(byte* source)
        where V : struct, IVec<V> => V.Load32(source) & V.Bits(unchecked((int)0xffff0000));

    [MethodImpl(Inline)]
    public static void StoreF64<V>(V x, byte* destination)
        where V : struct, IVec<V> => V.StoreF64(OneNaN(x), destination);

    [MethodImpl(Inline)]
    public static void StoreF32<V>(V x, byte* destination)
        where V : struct, IVec<V> => V.Store32(OneNaN(x), destination);

    [MethodImpl(Inline)]
    public static void StoreBF16<V>(V x, byte* destination)
        where V : struct, IVec<V> => V.Store16(V.ShiftRight(RoundBF16(x), 16), destination);

    /// <summary>Two vectors, one of the elements at even positions and one of those at odd ones.</summary>
    [MethodImpl(Inline)]
    public static void StorePairBF16<V>(V even, V odd, byte* destination)
        where V : struct, IVec<V>
    {
        var low = V.ShiftRight(RoundBF16(even), 16);
        V.Store32(V.Select(V.Bits(0xffff), low, RoundBF16(odd)), destination);
    }

    /// <summary>The same in float32, in the elements' own order.</summary>
    [MethodImpl(Inline)]
    public static void StorePairF32<V>(V even, V odd, byte* destination)
        where V : struct, IVec<V>
    {
        var (low, high) = V.Interleave(OneNaN(even), OneNaN(odd));
        V.Store32(low, destination);
        V.Store32(high, destination + (V.Lanes * sizeof(float)));
    }

    [MethodImpl(Inline)]
    public static void StoreF16<V>(V x, byte* destination)
        where V : struct, IVec<V> => V.Store16(Encode(x, 16, 10, 15, 0x7c00, 0x7e00), destination);

    [MethodImpl(Inline)]
    public static void StoreF8E5M2<V>(V x, byte* destination)
        where V : struct, IVec<V> => V.Store8(Encode(x, 8, 2, 15, 0x7c, 0x7f), destination);

    [MethodImpl(Inline)]
    public static void StoreF8E4M3<V>(V x, byte* destination)
        where V : struct, IVec<V> => V.Store8(Encode(x, 8, 3, 7, 0x7f, 0x7f), destination);

    /// <summary>An integer of -128..127, to nearest even and held to that range; NaN is 0.</summary>
    [MethodImpl(Inline)]
    public static void StoreI8<V>(V x, byte* destination)
        where V : struct, IVec<V>
    {
        // Beside 1.5 · 2^23 a float32 has no fraction bits left: its last byte is the integer in two's complement.
        var held = V.Max(V.Min(x, V.Const(127)), V.Const(-128));
        var bits = (held + V.Const(12582912f)) & V.Bits(0xff);
        V.Store8(V.Select(V.Equal(x, x), bits, V.Bits(0)), destination);
    }

    [MethodImpl(Inline)]
    private static V OneNaN<V>(V x)
        where V : struct, IVec<V> => V.IfEqual(x, x, x, V.Bits(0x7fc00000));

    /// <summary>Rounded in the high half; what the low half holds is left over.</summary>
    [MethodImpl(Inline)]
    private static V RoundBF16<V>(V x)
        where V : struct, IVec<V>
    {
        var even = V.ShiftRight(x, 16) & V.Bits(1);
        var rounded = V.AddInt(V.AddInt(x, V.Bits(0x7fff)), even);
        return V.IfEqual(x, x, rounded, V.Bits(0x7fc00000));
    }

    /// <summary>A format laid out as IEEE's, exponent bias 15, infinities and NaN at the top.</summary>
    [MethodImpl(Inline)]
    private static V DecodeIeee<V>(V x, int width, int fraction)
        where V : struct, IVec<V>
    {
        var magnitude = x & V.Bits((1 << (width - 1)) - 1);
        var sign = V.ShiftLeft(x ^ magnitude, 32 - width);
        var special = V.ShiftLeft(magnitude, 23 - fraction) | V.Bits(0x7f800000);
        var finite = V.LessInt(magnitude, V.Bits(31 << fraction));
        return V.Select(finite, Decode(magnitude, fraction, 15), special) | sign;
    }

    /// <summary>
    /// A finite magnitude. A subnormal one is put below an implicit 1, which is then subtracted: exact, and quicker than scaling
    /// a float32 subnormal, which some processors handle in microcode.
    /// </summary>
    [MethodImpl(Inline)]
    private static V Decode<V>(V magnitude, int fraction, int bias)
        where V : struct, IVec<V>
    {
        var shifted = V.ShiftLeft(magnitude, 23 - fraction);
        var normal = V.AddInt(shifted, V.Bits((127 - bias) << 23));
        var smallest = V.Bits((128 - bias) << 23);
        var subnormal = V.AddInt(shifted, smallest) - smallest;
        return V.Select(V.LessInt(magnitude, V.Bits(1 << fraction)), subnormal, normal);
    }

    /// <summary>
    /// Rounds to a format of that width, fraction and exponent bias; a code above <paramref name="overflow"/> becomes it.
    /// A subnormal result is rounded by adding the power of two whose last bit is the format's smallest number.
    /// </summary>
    [MethodImpl(Inline)]
    private static V Encode<V>(V x, int width, int fraction, int bias, int overflow, int nan)
        where V : struct, IVec<V>
    {
        var drop = 23 - fraction;
        var magnitude = x & V.Bits(0x7fffffff);
        var sign = V.ShiftRight(x ^ magnitude, 32 - width);

        var even = V.ShiftRight(magnitude, drop) & V.Bits(1);
        var rounded = V.AddInt(V.AddInt(magnitude, V.Bits((1 << (drop - 1)) - 1)), even);
        var normal = V.SubInt(V.ShiftRight(rounded, drop), V.Bits((127 - bias) << fraction));

        var anchor = V.Bits((127 + 1 - bias - fraction + 23) << 23);
        var subnormal = V.SubInt(magnitude + anchor, anchor);

        var code = V.Select(V.LessInt(magnitude, V.Bits((128 - bias) << 23)), subnormal, normal);
        code = V.Select(V.LessInt(code, V.Bits(overflow)), code, V.Bits(overflow));
        return V.Select(V.Equal(x, x), code | sign, V.Bits(nan));
    }
}
