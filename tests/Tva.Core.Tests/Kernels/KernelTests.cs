using Tva.Core.Kernels;
using Tva.Core.Ops;
using Tva.Core.Tensors;
using Xunit;

namespace Tva.Core.Tests;

public class KernelTests
{
    /// <summary>Programs that differ in the sign of a zero are two, though their constants are equal.</summary>
    [Fact]
    public void ZerosOfEitherSignAreTold()
    {
        KernelProgram Plus(float zero) => new(
            [new(Code.Load, Index: 0), new(Code.Const, Value: zero), new(Code.Apply, 0, 1, Index: OpTable.IndexOf("add")), new(Code.Store, 2, Index: 0)], [DType.F32], [DType.F32], 0);
        Assert.NotEqual(Plus(0f), Plus(-0f));
        Assert.Equal(Plus(float.NaN), Plus(float.NaN));
        foreach (var zero in (float[])[0f, -0f])
        {
            var got = Rig.Run(Rig.Widths[^1], Plus(zero), [Rig.Bytes([-0f])], 1).Outputs[0];
            Assert.Equal(BitConverter.SingleToInt32Bits(-0f + zero), BitConverter.ToInt32(got));
        }
    }

    [Fact]
    public void EveryPairOfTypesConvertsAsTheInterpreter()
    {
        var random = new Random(1);
        foreach (var from in Rig.Floating)
        {
            foreach (var to in Rig.Floating)
            {
                foreach (var count in Rig.Lengths)
                {
                    Compare(Rig.Convert(from, to), [Patterns(from, count, random)], count, []);
                }
            }
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void RandomProgramsRunAsTheInterpreter(int seed)
    {
        var random = new Random(seed);
        for (var round = 0; round < 40; round++)
        {
            var program = RandomProgram(random, onlyBF16: round % 4 == 0);
            var count = Rig.Lengths[random.Next(Rig.Lengths.Length)];
            var inputs = program.Inputs.Select(t => Patterns(t, count, random)).ToArray();
            var parameters = new[] { 0.7f, Bits(random.Next(0x3f000000, 0x40000000)), Bits(random.Next(-1, count + 1)) };
            Compare(program, inputs, count, parameters);
        }
    }

    [Fact]
    public void KeepsWhatIsAboveTheThresholdsBits()
    {
        float[] values = [1, -2, 2, float.NaN, -0f, 2, 3, -2, float.NegativeInfinity, 1.9999999f, 2, 5e-45f];
        var two = BitConverter.SingleToInt32Bits(2f);
        Check(two, [0, 0, 0, float.NaN, 0, 0, 3, 0, float.NegativeInfinity, 0, 0, 0]);
        Check(two - 1, [0, -2, 2, float.NaN, 0, 2, 3, -2, float.NegativeInfinity, 0, 2, 0]);
        Check(0, [1, -2, 2, float.NaN, 0, 2, 3, -2, float.NegativeInfinity, 1.9999999f, 2, 5e-45f]);
        Check(-1, [1, -2, 2, float.NaN, -0f, 2, 3, -2, float.NegativeInfinity, 1.9999999f, 2, 5e-45f]);
        Check(0x7f800000, [0, 0, 0, float.NaN, 0, 0, 0, 0, 0, 0, 0, 0]);
        Check(int.MaxValue, new float[12]);

        void Check(int threshold, float[] expected)
        {
            foreach (var width in Rig.Widths.Append(Rig.Scalar))
            {
                var got = Rig.Run(width, Keep(DType.F32), [Rig.Bytes(values)], values.Length, [Bits(threshold)]).Outputs[0];
                Assert.Equal(
                    expected.Select(x => float.IsNaN(x) ? 0x7fc00000 : BitConverter.SingleToInt32Bits(x)), Rig.Values<int>(got));
            }
        }
    }

    [Fact]
    public void GuardReportsWhatLiesBeforeCountAndNothingBehind()
    {
        foreach (var type in new[] { DType.F32, DType.BF16 })
        {
            var program = new KernelProgram(
                [new(Code.Load, Index: 0), new(Code.Guard, 0), new(Code.Store, 0, Index: 0)], [type], [type], 0);
            foreach (var width in Rig.Widths.Append(Rig.Scalar))
            {
                foreach (var count in Rig.Lengths)
                {
                    // The rig's padding is NaN.
                    Assert.Equal(0, Rig.Run(width, program, [Input(count, -1, 0)], count).Result);
                    foreach (var at in new[] { 0, count / 2, count - 1 })
                    {
                        Assert.Equal(1, Rig.Run(width, program, [Input(count, at, float.NaN)], count).Result);
                        Assert.Equal(1, Rig.Run(width, program, [Input(count, at, float.NegativeInfinity)], count).Result);
                        Assert.Equal(0, Rig.Run(width, program, [Input(count, at, -3.38e38f)], count).Result);
                    }
                }
            }

            byte[] Input(int count, int at, float value)
            {
                var values = Enumerable.Range(0, count).Select(i => i == at ? value : i).ToArray();
                return type == DType.F32
                    ? Rig.Bytes(values)
                    : Rig.Bytes(values.Select(v => (ushort)(BitConverter.SingleToInt32Bits(v) >> 16)).ToArray());
            }
        }
    }

    [Fact]
    public void ConstantsDifferThoughCodeIsShared()
    {
        foreach (var value in new[] { 1f, -0f, 0f, 2.5f })
        {
            var program = new KernelProgram(
                [new(Code.Const, Value: value), new(Code.Store, 0, Index: 0)], [], [DType.F32], 0);
            Assert.Equal(Rig.Bytes([value, value, value]), Rig.Run(Rig.Widths[^1], program, [], 3).Outputs[0]);
        }
    }

    [Fact]
    public void UnknownWidthsAreRefused() =>
        Assert.Throws<ArgumentOutOfRangeException>(() => CpuKernel.Compile(Rig.Convert(DType.F32, DType.F32), 64));

    private static KernelProgram Keep(DType type) => new(
        [new(Code.Load, Index: 0), new(Code.Keep, 0, Index: 0), new(Code.Store, 1, Index: 0)], [type], [type], 1);

    internal static void Compare(KernelProgram program, byte[][] inputs, int count, float[] parameters)
    {
        var expected = Rig.Run(Rig.Scalar, program, inputs, count, parameters);
        foreach (var width in Rig.Widths)
        {
            var got = Rig.Run(width, program, inputs, count, parameters);
            Assert.Equal(expected.Result, got.Result);
            for (var k = 0; k < expected.Outputs.Length; k++)
            {
                Assert.True(
                    expected.Outputs[k].AsSpan().SequenceEqual(got.Outputs[k]),
                    $"output {k} at {width} bits, {count} elements of {string.Join("; ", program.Instructions)}");
            }
        }
    }

    /// <summary>Any bits at all, or small numbers.</summary>
    internal static byte[] Patterns(DType type, int count, Random random)
    {
        var bytes = new byte[count * type.Size()];
        random.NextBytes(bytes);
        if (random.Next(2) == 0)
        {
            var numbers = Enumerable.Range(0, count).Select(_ => (float)random.NextDouble() * 4 - 2).ToArray();
            bytes = Rig.Run(Rig.Scalar, Rig.Convert(DType.F32, type), [Rig.Bytes(numbers)], count).Outputs[0];
        }

        return bytes;
    }

    private static KernelProgram RandomProgram(Random random, bool onlyBF16)
    {
        DType Type() => onlyBF16 ? DType.BF16 : Rig.Floating[random.Next(Rig.Floating.Length)];
        var inputs = Enumerable.Range(0, random.Next(1, 5)).Select(_ => Type()).ToArray();
        var outputs = Enumerable.Range(0, random.Next(1, 3)).Select(_ => Type()).ToArray();
        var code = new List<Instruction>();
        var values = new List<int>();
        for (var k = 0; k < inputs.Length; k++)
        {
            Value(new(Code.Load, Index: k));
        }

        Value(new(Code.Const, Value: (float)random.NextDouble() * 3));
        Value(new(Code.Param, Index: 0));
        for (var n = random.Next(1, 12); n > 0; n--)
        {
            switch (random.Next(12))
            {
                case 0:
                    Value(new(Code.Keep, Any(), Index: 1));
                    break;
                case 1:
                    code.Add(new(Code.Guard, Any()));
                    break;
                default:
                    var op = random.Next(OpTable.All.Count);
                    var arity = OpTable.Get(op).Arity;
                    Value(new(Code.Apply, Any(), arity > 1 ? Any() : -1, arity > 2 ? Any() : -1, op));
                    break;
            }
        }

        for (var k = 0; k < outputs.Length; k++)
        {
            code.Add(new(Code.Store, k == 0 ? values[^1] : Any(), Index: k));
        }

        return new(code, inputs, outputs, 3);

        int Any() => values[random.Next(values.Count)];

        void Value(Instruction i)
        {
            values.Add(code.Count);
            code.Add(i);
        }
    }

    private static float Bits(int value) => BitConverter.Int32BitsToSingle(value);
}
