using System.Numerics;
using Tva.Core.Kernels;
using Tva.Core.Ops;
using Tva.Core.Tensors;
using Xunit;

namespace Tva.Core.Tests;

public class OpTests
{
    private static readonly string[] Names =
    [
        "add", "sub", "mul", "div", "neg", "fma", "pow", "lt", "le", "gt", "ge", "eq", "ne", "and", "or", "not", "abs", "sign",
        "sqrt", "exp", "log", "sin", "cos", "acos", "tanh", "floor", "min", "max", "clamp", "where", "bf16", "round", "rem",
    ];

    public static TheoryData<string> Ops => [.. Names];

    [Fact]
    public void NumbersAreStable()
    {
        Assert.Equal(Names, OpTable.All.Select(op => op.Name));
        Assert.All(Names, (name, i) => Assert.Equal(i, OpTable.IndexOf(name)));
        Assert.Equal(-1, OpTable.IndexOf("nothing"));
    }

    [Fact]
    public void EveryRowIsFilledIn() => Assert.All(OpTable.All, op =>
    {
        Assert.InRange(op.Arity, 1, 3);
        Assert.All(new[] { op.Signature, op.Formula, op.Laws, op.Gpu }, text => Assert.False(string.IsNullOrWhiteSpace(text)));
        Assert.Equal(op.Arity > 1, op.Gpu.Contains("$b"));
        Assert.Equal(op.Arity > 2, op.Gpu.Contains("$c"));
    });

    [Theory]
    [MemberData(nameof(Ops))]
    public void HostIsTheReference(string name)
    {
        var op = OpTable.Get(OpTable.IndexOf(name));
        foreach (var (a, b, c) in Triples(op.Arity, 3000))
        {
            Same(Reference(name, a, b, c), op.Host(a, b, c), 0, $"{name}({a:r}, {b:r}, {c:r})");
        }
    }

    [Theory]
    [MemberData(nameof(Ops))]
    public void EveryWidthIsWithinUlpsOfFloat64(string name)
    {
        var op = OpTable.Get(OpTable.IndexOf(name));
        var args = Enumerable.Range(0, op.Arity).ToArray();
        var program = new KernelProgram(
            [
                .. args.Select(k => new Instruction(Code.Load, Index: k)),
                Rig.Apply(name, args),
                new(Code.Store, op.Arity, Index: 0),
            ],
            [.. args.Select(_ => DType.F32)], [DType.F32], 0);
        foreach (var length in Rig.Lengths.Append(20000))
        {
            var triples = Triples(op.Arity, length).ToArray();
            byte[][] inputs =
            [
                Rig.Bytes(triples.Select(t => t.A).ToArray()), Rig.Bytes(triples.Select(t => t.B).ToArray()),
                Rig.Bytes(triples.Select(t => t.C).ToArray()),
            ];
            inputs = inputs[..op.Arity];
            var scalar = Rig.Run(Rig.Scalar, program, inputs, length).Outputs[0];
            foreach (var (t, got) in triples.Zip(Rig.Values<float>(scalar)))
            {
                // A product and sum rounded to float64 first would be rounded twice.
                var expected = name == "fma"
                    ? MathF.FusedMultiplyAdd(t.A, t.B, t.C)
                    : (float)Reference(name, t.A, t.B, t.C);
                Same(expected, got, Ulps(name), $"{name}({t.A:r}, {t.B:r}, {t.C:r})");
            }

            foreach (var width in Rig.Widths)
            {
                Assert.Equal(scalar, Rig.Run(width, program, inputs, length).Outputs[0]);
            }
        }
    }

    private static int Ulps(string name) => name switch
    {
        "exp" or "log" or "sin" or "cos" => 1,
        "tanh" => 2,
        _ => 0,
    };

    private static double Reference(string name, double a, double b, double c) => name switch
    {
        "add" => a + b,
        "sub" => a - b,
        "mul" => a * b,
        "div" => a / b,
        "neg" => -a,
        "fma" => Math.FusedMultiplyAdd(a, b, c),
        "pow" => Math.Pow(a, b),
        "lt" => a < b ? 1 : 0,
        "le" => a <= b ? 1 : 0,
        "gt" => a > b ? 1 : 0,
        "ge" => a >= b ? 1 : 0,
        "eq" => a == b ? 1 : 0,
        "ne" => a != b ? 1 : 0,
        "and" => a != 0 & b != 0 ? 1 : 0,
        "or" => a != 0 | b != 0 ? 1 : 0,
        "not" => a == 0 ? 1 : 0,
        "abs" => Math.Abs(a),
        "sign" => double.IsNaN(a) ? a : a == 0 ? 0 : Math.CopySign(1, a),
        "sqrt" => Math.Sqrt(a),
        "exp" => Math.Exp(a),
        "log" => Math.Log(a),
        "sin" => Math.Sin(a),
        "cos" => Math.Cos(a),
        "acos" => Math.Acos(a),
        "tanh" => Math.Tanh(a),
        "floor" => Math.Floor(a),
        "round" => Rounded(a),
        "rem" => Left(a, b),
        "min" => double.IsNaN(a) || double.IsNaN(b) ? double.NaN : double.MinNumber(a, b),
        "max" => double.IsNaN(a) || double.IsNaN(b) ? double.NaN : double.MaxNumber(a, b),
        "clamp" => double.IsNaN(a + b + c) && (double.IsNaN(a) || double.IsNaN(b) || double.IsNaN(c))
            ? double.NaN
            : double.MinNumber(double.MaxNumber(a, b), c),
        "where" => a != 0 ? b : c,
        "bf16" => Truncated((float)a),
        _ => throw new ArgumentOutOfRangeException(nameof(name), name, null),
    };

    /// <summary>The nearer of the two integers around x, the even one in the middle.</summary>
    private static double Rounded(double x)
    {
        var low = Math.Floor(x);
        var upwards = x - low > 0.5 || (x - low == 0.5 && Math.Floor(low / 2) * 2 != low);
        return double.IsFinite(x) ? Math.CopySign(upwards ? low + 1 : low, x) : x;
    }

    /// <summary>In whole numbers: both as multiples of the smallest float there is.</summary>
    private static double Left(double a, double b)
    {
        if (double.IsNaN(a) || double.IsNaN(b) || double.IsInfinity(a) || b == 0)
        {
            return double.NaN;
        }

        return double.IsInfinity(b) ? a : Math.CopySign((double)BigInteger.Remainder(Steps(a), Steps(b)) * Math.ScaleB(1, -149), a);
        static BigInteger Steps(double x) => new BigInteger(Math.ScaleB(Math.Abs(x), 149));
    }

    /// <summary>The nearer of the two bfloat16 around x, the even one in the middle.</summary>
    private static double Truncated(float x)
    {
        if (float.IsNaN(x) || float.IsInfinity(x))
        {
            return x;
        }

        var below = BitConverter.SingleToUInt32Bits(x) & 0xffff0000;
        double low = BitConverter.UInt32BitsToSingle(below);
        double high = Math.CopySign(below << 1 == 0xff000000 - 0x20000 ? Math.ScaleB(1, 128) : BitConverter.UInt32BitsToSingle(below + 0x10000), x);
        var (down, up) = (Math.Abs(x - low), Math.Abs(high - x));
        var upwards = up < down || (up == down && (below & 0x10000) != 0);
        return upwards ? (Math.Abs(high) == Math.ScaleB(1, 128) ? Math.CopySign(double.PositiveInfinity, x) : high) : low;
    }

    /// <summary>Special values in all combinations first (as many as fit, in shuffled order), then values of all sizes.</summary>
    private static IEnumerable<(float A, float B, float C)> Triples(int arity, int count)
    {
        var random = new Random(arity + count);
        for (var n = 0; n < count; n++)
        {
            yield return (Pick(random), Pick(random), Pick(random));
        }
    }

    private static float Pick(Random random) => random.Next(5) switch
    {
        0 => Rig.Special[random.Next(Rig.Special.Length)],
        1 => BitConverter.Int32BitsToSingle(random.Next(int.MinValue, int.MaxValue)),
        2 => ((float)random.NextDouble() * 2) - 1,
        3 => ((float)random.NextDouble() * 200) - 100,
        _ => random.Next(-3, 4),
    };

    private static void Same(double expected, double got, int ulps, string what)
    {
        if (double.IsNaN(expected) || ulps == 0)
        {
            Assert.True(
                double.IsNaN(expected) ? double.IsNaN(got) : BitConverter.DoubleToInt64Bits(expected) == BitConverter.DoubleToInt64Bits(got),
                $"{what} is {got:r}, not {expected:r}");
            return;
        }

        var apart = Math.Abs(Ordinal((float)expected) - Ordinal((float)got));
        Assert.True(apart <= ulps && double.IsNegative(expected) == double.IsNegative(got), $"{what} is {got:r}, not {expected:r}");
    }

    private static long Ordinal(float x)
    {
        var bits = BitConverter.SingleToInt32Bits(x);
        return bits < 0 ? -(long)(bits & int.MaxValue) : bits;
    }
}
