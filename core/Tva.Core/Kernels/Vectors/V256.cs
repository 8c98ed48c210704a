using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Tva.Core.Kernels.Vectors;

/// <summary>Eight float32 lanes (AVX2).</summary>
internal readonly unsafe struct V256(Vector256<float> v) : IVec<V256>
{
    private readonly Vector256<float> v = v;

    /// <summary>Its lanes.</summary>
    public Vector256<float> Whole => v;

    public static int Lanes => 8;

    public static V256 Iota
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => new(Vector256<int>.Indices.AsSingle());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 Const(float value) => new(Vector256.Create(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 Bits(int value) => new(Vector256.Create(value).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 operator +(V256 a, V256 b) => new(a.v + b.v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 operator -(V256 a, V256 b) => new(a.v - b.v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 operator *(V256 a, V256 b) => new(a.v * b.v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 operator /(V256 a, V256 b) => new(a.v / b.v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 operator &(V256 a, V256 b) => new(a.v & b.v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 operator |(V256 a, V256 b) => new(a.v | b.v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 operator ^(V256 a, V256 b) => new(a.v ^ b.v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 operator ~(V256 a) => new(~a.v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 Fma(V256 a, V256 b, V256 c) => new(Vector256.FusedMultiplyAdd(a.v, b.v, c.v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 Sqrt(V256 a) => new(Vector256.Sqrt(a.v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 Floor(V256 a) => new(Vector256.Floor(a.v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 Round(V256 a) => new(Vector256.Round(a.v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 Min(V256 a, V256 b) => new(Vector256.Min(a.v, b.v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 Max(V256 a, V256 b) => new(Vector256.Max(a.v, b.v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 Less(V256 a, V256 b) => new(Vector256.LessThan(a.v, b.v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 LessEqual(V256 a, V256 b) => new(Vector256.LessThanOrEqual(a.v, b.v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 Equal(V256 a, V256 b) => new(Vector256.Equals(a.v, b.v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 Select(V256 mask, V256 a, V256 b) => new(Vector256.ConditionalSelect(mask.v, a.v, b.v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 IfLess(V256 a, V256 b, V256 x, V256 y) => new(Vector256.ConditionalSelect(Vector256.LessThan(a.v, b.v), x.v, y.v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 IfLessEqual(V256 a, V256 b, V256 x, V256 y) => new(Vector256.ConditionalSelect(Vector256.LessThanOrEqual(a.v, b.v), x.v, y.v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 IfEqual(V256 a, V256 b, V256 x, V256 y) => new(Vector256.ConditionalSelect(Vector256.Equals(a.v, b.v), x.v, y.v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 IfLessInt(V256 a, V256 b, V256 x, V256 y) => new(Vector256.ConditionalSelect(Vector256.LessThan(a.v.AsInt32(), b.v.AsInt32()), x.v.AsInt32(), y.v.AsInt32()).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Any(V256 mask) => mask.v.AsInt32() != Vector256<int>.Zero;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 AddInt(V256 a, V256 b) => new((a.v.AsInt32() + b.v.AsInt32()).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 SubInt(V256 a, V256 b) => new((a.v.AsInt32() - b.v.AsInt32()).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 MaxInt(V256 a, V256 b) => new(Vector256.Max(a.v.AsInt32(), b.v.AsInt32()).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 LessInt(V256 a, V256 b) => new(Vector256.LessThan(a.v.AsInt32(), b.v.AsInt32()).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 EqualInt(V256 a, V256 b) => new(Vector256.Equals(a.v.AsInt32(), b.v.AsInt32()).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 ShiftLeft(V256 a, int bits) => new((a.v.AsInt32() << bits).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 ShiftRight(V256 a, int bits) => new((a.v.AsInt32() >>> bits).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 ShiftRightSigned(V256 a, int bits) => new((a.v.AsInt32() >> bits).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 FromInt(V256 a) => new(Vector256.ConvertToSingle(a.v.AsInt32()));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static (V256 Low, V256 High) Interleave(V256 a, V256 b)
    {
        if (Avx.IsSupported)
        {
            var (low, high) = (Avx.UnpackLow(a.v, b.v), Avx.UnpackHigh(a.v, b.v));
            return (new(Avx.Permute2x128(low, high, 0x20)), new(Avx.Permute2x128(low, high, 0x31)));
        }

        var (first, second) = (V128.Interleave(new(a.v.GetLower()), new(b.v.GetLower())), V128.Interleave(new(a.v.GetUpper()), new(b.v.GetUpper())));
        return (Of(first), Of(second));
        static V256 Of((V128 Low, V128 High) halves) => new(Vector256.Create(halves.Low.Whole, halves.High.Whole));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 Load32(byte* source) => new(Vector256.Load((float*)source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 Load16(byte* source) =>
        new(Vector256.WidenLower(Vector128.Load((ushort*)source).ToVector256Unsafe()).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 Load8(byte* source) =>
        new(Vector256.WidenLower(Vector256.WidenLower(
            Vector128.CreateScalar(*(ulong*)source).AsByte().ToVector256Unsafe())).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 LoadF64(byte* source) =>
        new(Vector256.Narrow(Vector256.Load((double*)source), Vector256.Load((double*)source + 4)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store32(V256 a, byte* destination) => a.v.Store((float*)destination);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store16(V256 a, byte* destination)
    {
        Vector128.Narrow(a.v.GetLower().AsUInt32(), a.v.GetUpper().AsUInt32()).Store((ushort*)destination);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store8(V256 a, byte* destination)
    {
        var words = Vector128.Narrow(a.v.GetLower().AsUInt32(), a.v.GetUpper().AsUInt32());
        *(ulong*)destination = Vector128.Narrow(words, words).AsUInt64().ToScalar();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreF64(V256 a, byte* destination)
    {
        var (lower, upper) = Vector256.Widen(a.v);
        lower.Store((double*)destination);
        upper.Store((double*)destination + 4);
    }
}
