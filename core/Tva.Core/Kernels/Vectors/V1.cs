namespace Tva.Core.Kernels.Vectors;

/// <summary>One float32 lane in plain scalar code: what the reference interpreter runs the ops over.</summary>
internal readonly unsafe struct V1(float v) : IVec<V1>
{
    public readonly float Value = v;

    public static int Lanes => 1;

    public static V1 Iota => Bits(0);

    private int Int => BitConverter.SingleToInt32Bits(Value);

    public static V1 Const(float value) => new(value);

    public static V1 Bits(int value) => new(BitConverter.Int32BitsToSingle(value));

    public static V1 operator +(V1 a, V1 b) => new(a.Value + b.Value);

    public static V1 operator -(V1 a, V1 b) => new(a.Value - b.Value);

    public static V1 operator *(V1 a, V1 b) => new(a.Value * b.Value);

    public static V1 operator /(V1 a, V1 b) => new(a.Value / b.Value);

    public static V1 operator &(V1 a, V1 b) => Bits(a.Int & b.Int);

    public static V1 operator |(V1 a, V1 b) => Bits(a.Int | b.Int);

    public static V1 operator ^(V1 a, V1 b) => Bits(a.Int ^ b.Int);

    public static V1 operator ~(V1 a) => Bits(~a.Int);

    public static V1 Fma(V1 a, V1 b, V1 c) => new(MathF.FusedMultiplyAdd(a.Value, b.Value, c.Value));

    public static V1 Sqrt(V1 a) => new(MathF.Sqrt(a.Value));

    public static V1 Floor(V1 a) => new(MathF.Floor(a.Value));

    public static V1 Round(V1 a) => new(MathF.Round(a.Value, MidpointRounding.ToEven));

    public static V1 Min(V1 a, V1 b) => new(MathF.Min(a.Value, b.Value));

    public static V1 Max(V1 a, V1 b) => new(MathF.Max(a.Value, b.Value));

    public static V1 Less(V1 a, V1 b) => Mask(a.Value < b.Value);

    public static V1 LessEqual(V1 a, V1 b) => Mask(a.Value <= b.Value);

    public static V1 Equal(V1 a, V1 b) => Mask(a.Value == b.Value);

    public static V1 Select(V1 mask, V1 a, V1 b) => Bits((a.Int & mask.Int) | (b.Int & ~mask.Int));

    public static V1 IfLess(V1 a, V1 b, V1 x, V1 y) => a.Value < b.Value ? x : y;

    public static V1 IfLessEqual(V1 a, V1 b, V1 x, V1 y) => a.Value <= b.Value ? x : y;

    public static V1 IfEqual(V1 a, V1 b, V1 x, V1 y) => a.Value == b.Value ? x : y;

    public static V1 IfLessInt(V1 a, V1 b, V1 x, V1 y) => a.Int < b.Int ? x : y;

    public static bool Any(V1 mask) => mask.Int != 0;

    public static V1 AddInt(V1 a, V1 b) => Bits(a.Int + b.Int);

    public static V1 SubInt(V1 a, V1 b) => Bits(a.Int - b.Int);

    public static V1 MaxInt(V1 a, V1 b) => Bits(Math.Max(a.Int, b.Int));

    public static V1 LessInt(V1 a, V1 b) => Mask(a.Int < b.Int);

    public static V1 EqualInt(V1 a, V1 b) => Mask(a.Int == b.Int);

    public static V1 ShiftLeft(V1 a, int bits) => Bits(a.Int << bits);

    public static V1 ShiftRight(V1 a, int bits) => Bits(a.Int >>> bits);

    public static V1 ShiftRightSigned(V1 a, int bits) => Bits(a.Int >> bits);

    public static V1 FromInt(V1 a) => new(a.Int);

    public static (V1 Low, V1 High) Interleave(V1 a, V1 b) => (a, b);

    public static V1 Load32(byte* source) => new(*(float*)source);

    public static V1 Load16(byte* source) => Bits(*(ushort*)source);

    public static V1 Load8(byte* source) => Bits(*source);

    public static V1 LoadF64(byte* source) => new((float)*(double*)source);

    public static void Store32(V1 a, byte* destination) => *(float*)destination = a.Value;

    public static void Store16(V1 a, byte* destination) => *(ushort*)destination = (ushort)a.Int;

    public static void Store8(V1 a, byte* destination) => *destination = (byte)a.Int;

    public static void StoreF64(V1 a, byte* destination) => *(double*)destination = a.Value;

    private static V1 Mask(bool value) => Bits(value ? -1 : 0);
}
