using Tva.Core.Devices.Tapes;
using Tva.Core.Ops;
using Tva.Core.Tensors;
using Tva.Core.Kernels;
using Xunit;

namespace Tva.Core.Tests.Devices;

/// <summary>What libraries of tensors are given, for builds that have none: every op and every store as steps, which a loop here does one by one.</summary>
public class TapeTests
{
    public static TheoryData<string> Ops => [.. OpTable.All.Select(o => o.Name)];

    /// <summary>Special values in every pair, against the scalar reference, to the bit.</summary>
    [Theory]
    [MemberData(nameof(Ops))]
    public void EveryOpIsSteps(string name)
    {
        var op = OpTable.IndexOf(name);
        var info = OpTable.Get(op);
        var program = new KernelProgram(
            [
                .. Enumerable.Range(0, info.Arity).Select(i => new Instruction(Code.Load, Index: i)),
                new(Code.Apply, 0, info.Arity > 1 ? 1 : -1, info.Arity > 2 ? 2 : -1, op), new(Code.Store, info.Arity, Index: 0),
            ],
            [.. Enumerable.Repeat(DType.F32, info.Arity)], [DType.F32], 0);
        var plan = TapePlan.Of(program, [true], [true]);
        foreach (var a in Rig.Special)
        {
            foreach (var b in Rig.Special)
            {
                foreach (var c in info.Arity > 2 ? Rig.Special : [0f])
                {
                    var got = Steps(plan, [a, b, c]);
                    var expected = Interpreter.Apply(op, a, b, c);
                    Assert.True(
                        got.Equals(expected) && float.IsNegative(got) == float.IsNegative(expected) || (float.IsNaN(got) && float.IsNaN(expected)),
                        $"{name}({a:r}, {b:r}, {c:r}) is {expected:r}, and {got:r} by steps");
                }
            }
        }
    }

    /// <summary>What no library rounds to: all bf16, and what lies between two of them.</summary>
    [Theory]
    [InlineData(DType.F8E4M3)]
    [InlineData(DType.F8E5M2)]
    [InlineData(DType.I8)]
    public unsafe void StoresOfBytesAreSteps(DType type)
    {
        var plan = TapePlan.Of(new KernelProgram([new(Code.Load, Index: 0), new(Code.Store, 0, Index: 0)], [DType.F32], [type], 0), [true], [false]);
        for (var bits = 0; bits < 1 << 17; bits++)
        {
            var value = BitConverter.Int32BitsToSingle(bits << 15);
            byte expected;
            ScalarConversion.Store(type, value, &expected, 0);
            var got = (byte)BitConverter.SingleToInt32Bits(Steps(plan, [value]));
            Assert.True(expected == got, $"{value:r} is {expected} as {type}, and {got} by steps");
        }
    }

    /// <summary>The last step that is stored, of one element; integers and masks go as bits.</summary>
    private static float Steps(TapePlan plan, float[] inputs)
    {
        var steps = plan.Tape.Steps;
        var values = new int[steps.Count];
        var stored = 0;
        for (var n = 0; n < steps.Count; n++)
        {
            var s = steps[n];
            int A() => values[s.A];
            int B() => values[s.B];
            float X() => BitConverter.Int32BitsToSingle(A());
            float Y() => BitConverter.Int32BitsToSingle(B());
            float Z() => BitConverter.Int32BitsToSingle(values[s.C]);
            var floats = s.A >= 0 && steps[s.A].Kind == TapeKind.Float;
            values[n] = s.Code switch
            {
                TapeCode.Constant => s.Immediate,
                TapeCode.Load => F(inputs[s.Immediate]),
                TapeCode.Reinterpret or TapeCode.Narrow => A(),
                TapeCode.Add => F(X() + Y()),
                TapeCode.Subtract => F(X() - Y()),
                TapeCode.Multiply => F(X() * Y()),
                TapeCode.Divide => F(X() / Y()),
                TapeCode.WideRemainder => F((float)((double)X() % Y())),
                TapeCode.Fma => F(MathF.FusedMultiplyAdd(X(), Y(), Z())),
                TapeCode.SquareRoot => F(MathF.Sqrt(X())),
                TapeCode.Floor => F(MathF.Floor(X())),
                TapeCode.Round => F(MathF.Round(X(), MidpointRounding.ToEven)),
                TapeCode.Negate => A() ^ int.MinValue,
                TapeCode.Magnitude => A() & int.MaxValue,
                TapeCode.Less => M(floats ? X() < Y() : A() < B()),
                TapeCode.LessEqual => M(floats ? X() <= Y() : A() <= B()),
                TapeCode.Equal => M(floats ? X() == Y() : A() == B()),
                TapeCode.And => A() & B(),
                TapeCode.Or => A() | B(),
                TapeCode.Xor => A() ^ B(),
                TapeCode.Not => ~A(),
                TapeCode.Select => A() != 0 ? B() : values[s.C],
                TapeCode.AddInt => A() + B(),
                TapeCode.SubtractInt => A() - B(),
                TapeCode.MaxInt => Math.Max(A(), B()),
                TapeCode.ShiftLeft => A() << B(),
                TapeCode.ShiftRightSigned => A() >> B(),
                TapeCode.FromInt => F(A()),
                TapeCode.WideSine => F((float)Math.Sin(X())),
                TapeCode.WideCosine => F((float)Math.Cos(X())),
                TapeCode.WideArcCosine => F((float)Math.Acos(X())),
                TapeCode.WidePower => F((float)Math.Pow(X(), Y())),
                TapeCode.Store => stored = A(),
                _ => throw new InvalidOperationException($"{s.Code} in a program of one op"),
            };
        }

        return BitConverter.Int32BitsToSingle(stored);

        static int F(float value) => BitConverter.SingleToInt32Bits(value);
        static int M(bool holds) => holds ? -1 : 0;
    }
}
