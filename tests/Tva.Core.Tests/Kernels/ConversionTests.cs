using Tva.Core.Tensors;
using Xunit;

namespace Tva.Core.Tests;

/// <summary>Loads and stores against definitions of the formats, every width and the interpreter alike.</summary>
public class ConversionTests
{
    private static readonly DType[] Small = [DType.F16, DType.BF16, DType.F8E4M3, DType.F8E5M2];

    public static TheoryData<int, DType> SmallEverywhere
    {
        get
        {
            var data = new TheoryData<int, DType>();
            foreach (var width in Rig.Widths.Append(Rig.Scalar))
            {
                foreach (var type in Small)
                {
                    data.Add(width, type);
                }
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(SmallEverywhere))]
    public void EveryPatternLoadsExactly(int width, DType type)
    {
        var codes = Codes(type);
        var got = Rig.Values<float>(Rig.Run(width, Rig.Convert(type, DType.F32), [Pack(type, codes)], codes.Length).Outputs[0]);
        Assert.All(codes, code => Assert.Equal(
            BitConverter.SingleToInt32Bits(Canonical(Value(type, code))), BitConverter.SingleToInt32Bits(got[code])));
    }

    [Theory]
    [MemberData(nameof(SmallEverywhere))]
    public void EveryPatternComesBack(int width, DType type)
    {
        var codes = Codes(type);
        var got = Unpack(type, Rig.Run(width, Rig.Convert(type, type), [Pack(type, codes)], codes.Length).Outputs[0]);
        Assert.All(codes, code => Assert.Equal(float.IsNaN(Value(type, code)) ? NaN(type) : code, got[code]));
    }

    [Theory]
    [MemberData(nameof(SmallEverywhere))]
    public void RoundsToNearestEven(int width, DType type)
    {
        // Between every two neighbours: the middle goes to the even code, its float32 neighbours to the nearer one.
        var (values, expected) = (new List<float>(), new List<int>());
        foreach (var code in Codes(type).Where(c => c < (1 << (Bits(type) - 1)) && float.IsFinite(Value(type, c))))
        {
            var next = NextValue(type, code);
            var middle = (float)((Value(type, code) + next) / 2);
            var above = float.IsFinite(Value(type, code + 1)) ? code + 1 : Overflow(type);
            Add(middle, code % 2 == 0 ? code : above);
            Add(MathF.BitDecrement(middle), code);
            Add(MathF.BitIncrement(middle), above);
        }

        foreach (var huge in new[] { float.MaxValue, float.PositiveInfinity })
        {
            Add(huge, Overflow(type));
        }

        Add(float.Epsilon, 0);
        values.Add(float.NaN);
        expected.Add(NaN(type));
        values.Add(BitConverter.Int32BitsToSingle(0x7f800001));
        expected.Add(NaN(type));
        values.Add(BitConverter.Int32BitsToSingle(-1));
        expected.Add(NaN(type));
        var got = Unpack(type, Rig.Run(width, Rig.Convert(DType.F32, type), [Rig.Bytes(values.ToArray())], values.Count).Outputs[0]);
        for (var k = 0; k < values.Count; k++)
        {
            Assert.True(expected[k] == got[k], $"{type} of {values[k]:r} is {got[k]:x}, not {expected[k]:x}");
        }

        void Add(float value, int code)
        {
            values.Add(value);
            expected.Add(code);
            var negative = code == NaN(type) && Overflow(type) == NaN(type) ? NaN(type, true) : code | (1 << (Bits(type) - 1));
            values.Add(-value);
            expected.Add(negative);
        }
    }

    [Theory]
    [InlineData(448f, 0x7e)]
    [InlineData(464f, 0x7e)]
    [InlineData(464.00003f, 0x7f)]
    [InlineData(480f, 0x7f)]
    [InlineData(-464f, 0xfe)]
    [InlineData(-1000f, 0xff)]
    [InlineData(0.001953125f, 0x01)]
    [InlineData(0.0009765625f, 0x00)]
    [InlineData(0.00097656256f, 0x01)]
    [InlineData(1.0625f, 0x38)]
    [InlineData(1.1875f, 0x3a)]
    public void F8E4M3AsPyTorchCasts(float value, int code)
    {
        foreach (var width in Rig.Widths.Append(Rig.Scalar))
        {
            Assert.Equal(code, Rig.Run(width, Rig.Convert(DType.F32, DType.F8E4M3), [Rig.Bytes([value])], 1).Outputs[0][0]);
        }
    }

    [Fact]
    public void I8IsTheNearestIntegerHeldToItsRange()
    {
        float[] values = [0, -0f, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, 126.5f, 127.49f, 127.5f, 300, -128, -128.4f, -1e30f, float.PositiveInfinity, float.NaN];
        sbyte[] expected = [0, 0, 0, 2, 2, 0, -2, 126, 127, 127, 127, -128, -128, -128, 127, 0];
        float[] integers = [.. Enumerable.Range(-128, 256)];
        foreach (var width in Rig.Widths.Append(Rig.Scalar))
        {
            Assert.Equal(expected, Rig.Values<sbyte>(Rig.Run(width, Rig.Convert(DType.F32, DType.I8), [Rig.Bytes(values)], values.Length).Outputs[0]));
            Assert.Equal(
                Enumerable.Range(-128, 256).Select(i => (sbyte)i),
                Rig.Values<sbyte>(Rig.Run(width, Rig.Convert(DType.F32, DType.I8), [Rig.Bytes(integers)], 256).Outputs[0]));
        }
    }

    [Fact]
    public void F64RoundsOnceToNearestEven()
    {
        var half = Math.ScaleB(1, -24);
        double[] values =
        [
            1 + half, 1 + (3 * half), 1 + half + Math.ScaleB(1, -50), -(1 + half), 1e300, -1e300, 1e-300, double.NaN,
            Math.ScaleB(1, -150), Math.ScaleB(1.5, -150), Math.ScaleB(3, -150), double.Epsilon, -0.0, double.NegativeInfinity,
        ];
        float[] expected =
        [
            1, 1 + (4 * (float)half), 1 + (2 * (float)half), -1, float.PositiveInfinity, float.NegativeInfinity, 0, float.NaN,
            0, float.Epsilon, 2 * float.Epsilon, 0, -0f, float.NegativeInfinity,
        ];
        var quiet = BitConverter.Int64BitsToDouble(0x7ff8000000000000);
        foreach (var width in Rig.Widths.Append(Rig.Scalar))
        {
            var narrow = Rig.Run(width, Rig.Convert(DType.F64, DType.F32), [Rig.Bytes(values)], values.Length).Outputs[0];
            Assert.Equal(Rig.Bytes(expected.Select(Canonical).ToArray()), narrow);
            var wide = Rig.Run(width, Rig.Convert(DType.F64, DType.F64), [Rig.Bytes(values)], values.Length).Outputs[0];
            Assert.Equal(Rig.Bytes(expected.Select(x => float.IsNaN(x) ? quiet : x).ToArray()), wide);
        }
    }

    private static float Canonical(float x) => float.IsNaN(x) ? BitConverter.Int32BitsToSingle(0x7fc00000) : x;

    private static int[] Codes(DType type) => [.. Enumerable.Range(0, 1 << Bits(type))];

    private static int Bits(DType type) => type.Size() * 8;

    private static int Overflow(DType type) => type switch
    {
        DType.F16 => 0x7c00,
        DType.BF16 => 0x7f80,
        DType.F8E5M2 => 0x7c,
        _ => 0x7f,
    };

    private static int NaN(DType type, bool negative = false) => type switch
    {
        DType.F16 => 0x7e00,
        DType.BF16 => 0x7fc0,
        DType.F8E4M3 when negative => 0xff,
        _ => 0x7f,
    };

    private static float Value(DType type, int code) => type switch
    {
        DType.F16 => (float)BitConverter.UInt16BitsToHalf((ushort)code),
        DType.BF16 => BitConverter.Int32BitsToSingle(code << 16),
        DType.F8E5M2 => (float)BitConverter.UInt16BitsToHalf((ushort)(code << 8)),
        _ => (code & 0x7f) == 0x7f
            ? float.NaN
            : (code > 0x7f ? -1 : 1) * ((code & 0x78) == 0
                ? (code & 7) / 512f
                : (8 + (code & 7)) / 8f * MathF.Pow(2, ((code >> 3) & 15) - 7)),
    };

    /// <summary>The next value upward as if the exponents went on.</summary>
    private static double NextValue(DType type, int code)
    {
        var next = Value(type, code + 1);
        return float.IsFinite(next) ? next : (2.0 * Value(type, code)) - Value(type, code - 1);
    }

    private static byte[] Pack(DType type, int[] codes) =>
        type.Size() == 1 ? [.. codes.Select(c => (byte)c)] : Rig.Bytes(codes.Select(c => (ushort)c).ToArray());

    private static int[] Unpack(DType type, byte[] bytes) =>
        type.Size() == 1 ? [.. bytes.Select(b => (int)b)] : [.. Rig.Values<ushort>(bytes).Select(w => (int)w)];
}
