using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Tva.Core.Checkpoints;

/// <summary>
/// Comes in: blocks of quantised elements. Goes out: float32. Products and differences are rounded one by one, in the order of ggml's
/// reference code (ggml-quants.c, <c>dequantize_row_*</c>), so that bits agree with it.
/// </summary>
internal static unsafe class GgufBlocks
{
    /// <summary>x = d·q. 32 elements: d as F16, then q as I8.</summary>
    public static void Q8_0(byte* source, float* destination, int blocks)
    {
        for (; blocks > 0; blocks--, source += 34, destination += 32)
        {
            var d = Vector256.Create(Half(source));
            Scaled(Vector128.Load((sbyte*)source + 2), d, destination);
            Scaled(Vector128.Load((sbyte*)source + 18), d, destination + 16);
        }
    }

    /// <summary>x = d·(q - 8). 32 elements: d as F16, then a byte for each of the first 16, whose upper half is the element 16 further on.</summary>
    public static void Q4_0(byte* source, float* destination, int blocks)
    {
        for (; blocks > 0; blocks--, source += 18, destination += 32)
        {
            var d = Vector256.Create(Half(source));
            var q = Vector128.Load(source + 2);
            Scaled(Low(q).AsSByte() - Vector128.Create((sbyte)8), d, destination);
            Scaled(High(q).AsSByte() - Vector128.Create((sbyte)8), d, destination + 16);
        }
    }

    /// <summary>
    /// x = (d·s)·q - (e·m). 256 elements: d and e as F16; s and m of each 32 elements in 6 bits, together 12 bytes; then for each 64 elements
    /// 32 bytes, whose lower halves are the first 32.
    /// </summary>
    public static void Q4_K(byte* source, float* destination, int blocks)
    {
        for (; blocks > 0; blocks--, source += 144)
        {
            float d = Half(source), e = Half(source + 2);
            byte* scales = source + 4;
            byte* q = source + 16;
            for (int j = 0; j < 8; j += 2, q += 32, destination += 64)
            {
                var (s, m) = SixBits(scales, j);
                var (scale, least) = (Vector256.Create(d * s), Vector256.Create(e * m));
                (s, m) = SixBits(scales, j + 1);
                var (upperScale, upperLeast) = (Vector256.Create(d * s), Vector256.Create(e * m));
                var (a, b) = (Vector128.Load(q), Vector128.Load(q + 16));
                Shifted(Low(a), scale, least, destination);
                Shifted(Low(b), scale, least, destination + 16);
                Shifted(High(a), upperScale, upperLeast, destination + 32);
                Shifted(High(b), upperScale, upperLeast, destination + 48);
            }
        }
    }

    /// <summary>
    /// x = (d·s)·(q - 32). 256 elements: the lower 4 bits of q in 128 bytes, the upper 2 in 64, s of each 16 elements as I8, d as F16. In each
    /// half of 128 elements, a byte of lower bits holds the elements l and l + 64, one of upper bits l, l + 32, l + 64 and l + 96.
    /// </summary>
    public static void Q6_K(byte* source, float* destination, int blocks)
    {
        for (; blocks > 0; blocks--, source += 210)
        {
            float d = Half(source + 208);
            byte* lower = source;
            byte* upper = source + 128;
            sbyte* scales = (sbyte*)source + 192;
            for (int half = 0; half < 2; half++, lower += 64, upper += 32, scales += 8, destination += 128)
            {
                for (int l = 0; l < 32; l += 16)
                {
                    var (a, b, u) = (Vector128.Load(lower + l), Vector128.Load(lower + 32 + l), Vector128.Load(upper + l));
                    sbyte* s = scales + (l / 16);
                    Scaled(Six(Low(a), u), Vector256.Create(d * s[0]), destination + l);
                    Scaled(Six(Low(b), u >> 2), Vector256.Create(d * s[2]), destination + 32 + l);
                    Scaled(Six(High(a), u >> 4), Vector256.Create(d * s[4]), destination + 64 + l);
                    Scaled(Six(High(b), u >> 6), Vector256.Create(d * s[6]), destination + 96 + l);
                }
            }
        }
    }

    private static float Half(byte* at) => (float)BitConverter.UInt16BitsToHalf(Unsafe.ReadUnaligned<ushort>(at));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<byte> Low(Vector128<byte> q) => q & Vector128.Create((byte)15);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<byte> High(Vector128<byte> q) => q >> 4;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<sbyte> Six(Vector128<byte> low, Vector128<byte> upper) =>
        (low | ((upper & Vector128.Create((byte)3)) << 4)).AsSByte() - Vector128.Create((sbyte)32);

    /// <summary>Scale and least of 32 elements: the first four pairs in the lower 6 bits of 8 bytes, the others in 4 bytes and the upper 2 bits of those.</summary>
    private static (float Scale, float Least) SixBits(byte* q, int j) => j < 4
        ? (q[j] & 63, q[j + 4] & 63)
        : ((q[j + 4] & 15) | (q[j - 4] >> 6 << 4), (q[j + 4] >> 4) | (q[j] >> 6 << 4));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Scaled(Vector128<sbyte> q, Vector256<float> scale, float* destination)
    {
        var (a, b) = Vector256.Widen(Vector256.WidenLower(q.ToVector256Unsafe()));
        (Vector256.ConvertToSingle(a) * scale).Store(destination);
        (Vector256.ConvertToSingle(b) * scale).Store(destination + 8);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Shifted(Vector128<byte> q, Vector256<float> scale, Vector256<float> least, float* destination)
    {
        var (a, b) = Vector256.Widen(Vector256.WidenLower(q.AsSByte().ToVector256Unsafe()));
        ((Vector256.ConvertToSingle(a) * scale) - least).Store(destination);
        ((Vector256.ConvertToSingle(b) * scale) - least).Store(destination + 8);
    }
}
