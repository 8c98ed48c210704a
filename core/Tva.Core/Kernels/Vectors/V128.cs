using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace Tva.Core.Kernels.Vectors;

/// <summary>Four float32 lanes (NEON, SSE).</summary>
internal readonly unsafe struct V128(Vector128<float> v) : IVec<V128>
{
    private readonly Vector128<float> v = v;

    /// <summary>Its lanes.</summary>
    public Vector128<float> Whole => v;

    public static int Lanes => 4;

    public static V128 Iota
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => new(Vector128<int>.Indices.AsSingle());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 Const(float value) => new(Vector128.Create(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 Bits(int value) => new(Vector128.Create(value).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 operator +(V128 a, V128 b) => new(a.v + b.v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 operator -(V128 a, V128 b) => new(a.v - b.v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 operator *(V128 a, V128 b) => new(a.v * b.v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 operator /(V128 a, V128 b) => new(a.v / b.v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 operator &(V128 a, V128 b) => new(a.v & b.v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 operator |(V128 a, V128 b) => new(a.v | b.v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 operator ^(V128 a, V128 b) => new(a.v ^ b.v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 operator ~(V128 a) => new(~a.v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 Fma(V128 a, V128 b, V128 c) => new(Vector128.FusedMultiplyAdd(a.v, b.v, c.v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 Sqrt(V128 a) => new(Vector128.Sqrt(a.v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 Floor(V128 a) => new(Vector128.Floor(a.v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 Round(V128 a) => new(Vector128.Round(a.v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 Min(V128 a, V128 b) => new(Vector128.Min(a.v, b.v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 Max(V128 a, V128 b) => new(Vector128.Max(a.v, b.v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 Less(V128 a, V128 b) => new(Vector128.LessThan(a.v, b.v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 LessEqual(V128 a, V128 b) => new(Vector128.LessThanOrEqual(a.v, b.v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 Equal(V128 a, V128 b) => new(Vector128.Equals(a.v, b.v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 Select(V128 mask, V128 a, V128 b) => new(Vector128.ConditionalSelect(mask.v, a.v, b.v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 IfLess(V128 a, V128 b, V128 x, V128 y) => new(Vector128.ConditionalSelect(Vector128.LessThan(a.v, b.v), x.v, y.v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 IfLessEqual(V128 a, V128 b, V128 x, V128 y) => new(Vector128.ConditionalSelect(Vector128.LessThanOrEqual(a.v, b.v), x.v, y.v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 IfEqual(V128 a, V128 b, V128 x, V128 y) => new(Vector128.ConditionalSelect(Vector128.Equals(a.v, b.v), x.v, y.v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 IfLessInt(V128 a, V128 b, V128 x, V128 y) => new(Vector128.ConditionalSelect(Vector128.LessThan(a.v.AsInt32(), b.v.AsInt32()), x.v.AsInt32(), y.v.AsInt32()).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Any(V128 mask) => mask.v.AsInt32() != Vector128<int>.Zero;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 AddInt(V128 a, V128 b) => new((a.v.AsInt32() + b.v.AsInt32()).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 SubInt(V128 a, V128 b) => new((a.v.AsInt32() - b.v.AsInt32()).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 MaxInt(V128 a, V128 b) => new(Vector128.Max(a.v.AsInt32(), b.v.AsInt32()).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 LessInt(V128 a, V128 b) => new(Vector128.LessThan(a.v.AsInt32(), b.v.AsInt32()).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 EqualInt(V128 a, V128 b) => new(Vector128.Equals(a.v.AsInt32(), b.v.AsInt32()).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 ShiftLeft(V128 a, int bits) => new((a.v.AsInt32() << bits).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 ShiftRight(V128 a, int bits) => new((a.v.AsInt32() >>> bits).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 ShiftRightSigned(V128 a, int bits) => new((a.v.AsInt32() >> bits).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 FromInt(V128 a) => new(Vector128.ConvertToSingle(a.v.AsInt32()));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static (V128 Low, V128 High) Interleave(V128 a, V128 b)
    {
        if (Sse.IsSupported)
        {
            return (new(Sse.UnpackLow(a.v, b.v)), new(Sse.UnpackHigh(a.v, b.v)));
        }

        if (AdvSimd.Arm64.IsSupported)
        {
            return (new(AdvSimd.Arm64.ZipLow(a.v, b.v)), new(AdvSimd.Arm64.ZipHigh(a.v, b.v)));
        }

        return (new(Vector128.Create(a.v[0], b.v[0], a.v[1], b.v[1])), new(Vector128.Create(a.v[2], b.v[2], a.v[3], b.v[3])));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 Load32(byte* source) => new(Vector128.Load((float*)source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 Load16(byte* source) =>
        new(Vector128.WidenLower(Vector128.CreateScalar(*(ulong*)source).AsUInt16()).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 Load8(byte* source) =>
        new(Vector128.WidenLower(Vector128.WidenLower(Vector128.CreateScalar(*(uint*)source).AsByte())).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 LoadF64(byte* source) =>
        new(Vector128.Narrow(Vector128.Load((double*)source), Vector128.Load((double*)source + 2)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store32(V128 a, byte* destination) => a.v.Store((float*)destination);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store16(V128 a, byte* destination)
    {
        *(ulong*)destination = Vector128.Narrow(a.v.AsUInt32(), a.v.AsUInt32()).AsUInt64().ToScalar();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store8(V128 a, byte* destination)
    {
        var words = Vector128.Narrow(a.v.AsUInt32(), a.v.AsUInt32());
        *(uint*)destination = Vector128.Narrow(words, words).AsUInt32().ToScalar();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreF64(V128 a, byte* destination)
    {
        var (lower, upper) = Vector128.Widen(a.v);
        lower.Store((double*)destination);
        upper.Store((double*)destination + 2);
    }
}
