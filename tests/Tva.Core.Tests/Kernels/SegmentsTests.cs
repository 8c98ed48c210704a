using Tva.Core.Kernels;
using Tva.Core.Ops;
using Tva.Core.Tensors;
using Xunit;

namespace Tva.Core.Tests;

/// <summary>Programs too large for one kernel: large random ones against the interpreter, and where they are cut.</summary>
public class SegmentsTests
{
    /// <summary>Around groups and strips.</summary>
    private static readonly int[] Counts = [1, 63, 65, 255, 256, 257, 1000, 2047, 2048, 2049, 4097, 5000];

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void LargeRandomProgramsRunAsTheInterpreter(int seed)
    {
        var random = new Random(seed);
        for (var round = 0; round < 3; round++)
        {
            var program = Large(random, random.Next(100, 401), onlyBF16: round % 2 == 0);
            Assert.True(CodeSize.Of(program) > CodeSize.Limit);
            var count = Counts[random.Next(Counts.Length)];
            var inputs = program.Inputs.Select(t => KernelTests.Patterns(t, count, random)).ToArray();
            var parameters = new float[program.Parameters];
            parameters[0] = 0.7f;
            for (var k = 1; k < parameters.Length; k += 2)
            {
                parameters[k] = BitConverter.Int32BitsToSingle(random.Next(3) == 0 ? 0 : random.Next(0x3e000000, 0x40000000));
                parameters[k + 1] = BitConverter.Int32BitsToSingle(random.Next(4) == 0 ? int.MaxValue : random.Next(-1, count + 1));
            }

            KernelTests.Compare(program, inputs, count, parameters);
        }
    }

    [Theory]
    [InlineData(DType.BF16)]
    [InlineData(DType.F32)]
    public void SumOfManyModelsIsTheSum(DType type)
    {
        // Small integers, exact in every format, so that the expected sum is integer arithmetic's.
        const int models = 64;
        const int count = 2100;
        var code = new List<Instruction>();
        var sum = -1;
        for (var k = 0; k < models; k++)
        {
            code.Add(new(Code.Load, Index: k));
            code.Add(new(Code.Const, Value: (k % 3) - 1));
            code.Add(k == 0 ? Rig.Apply("mul", 0, 1) : Rig.Apply("fma", code.Count - 2, code.Count - 1, sum));
            sum = code.Count - 1;
        }

        code.Add(new(Code.Store, sum, Index: 0));
        var program = new KernelProgram(code, [.. Enumerable.Repeat(type, models)], [DType.F32], 0);
        var inputs = Enumerable.Range(0, models).Select(k => Numbers(type, Enumerable.Range(0, count).Select(i => (float)Input(k, i)))).ToArray();
        var expected = Enumerable.Range(0, count)
            .Select(i => (float)Enumerable.Range(0, models).Sum(k => ((k % 3) - 1) * Input(k, i))).ToArray();
        foreach (var width in Rig.Widths)
        {
            Assert.Equal(expected, Rig.Values<float>(Rig.Run(width, program, inputs, count).Outputs[0]));
        }

        // And with nothing but BF16 in and out, where elements go in pairs.
        var narrow = new KernelProgram(code, program.Inputs, [type], 0);
        Assert.True(CodeSize.Of(narrow) * 2 > CodeSize.Limit);
        KernelTests.Compare(narrow, inputs, count, []);

        static int Input(int k, int i) => ((i * 7) + (k * 5)) % 11;
    }

    [Fact]
    public void KeepHoldsInAllStrips()
    {
        foreach (var type in new[] { DType.BF16, DType.F32 })
        {
            var program = WithKeep(type);
            foreach (var count in Counts)
            {
                var input = Numbers(type, Enumerable.Range(0, count).Select(i => i % 3 == 0 ? -2f : 1f));
                var expected = Numbers(type, Enumerable.Range(0, count).Select(i => i % 3 == 0 ? -2f : 0f));
                Assert.Equal(expected, Rig.Run(Rig.Widths[^1], program, [input], count, [1f]).Outputs[0]);
            }
        }
    }

    [Fact]
    public void GuardSeesEveryStripAndNothingBehind()
    {
        var program = WithGuard();
        foreach (var count in Counts)
        {
            foreach (var at in new[] { -1, 0, count / 2, count - 1 })
            {
                // The rig's padding is NaN.
                var values = Enumerable.Range(0, count).Select(i => i == at ? float.NegativeInfinity : i).ToArray();
                foreach (var width in Rig.Widths)
                {
                    Assert.Equal(at < 0 ? 0 : 1, Rig.Run(width, program, [Rig.Bytes(values)], count).Result);
                }
            }
        }
    }

    [Fact]
    public void SegmentsAreSmallAndPassOnWhatIsAlive()
    {
        // A chain: one value is alive at any cut, so that is all a segment reads beside the input, and one scratch stream
        // can't be both read and written.
        var program = WithGuard();
        var segments = Split.Into(program, 100);
        Assert.True(segments.Count > 2);
        Assert.All(segments, s => Assert.True(CodeSize.Of(s.Program) <= 100));
        Assert.All(segments, s => Assert.True(s.Inputs.Length <= 2 && s.Outputs.Length <= 2));
        Assert.All(segments, s => Assert.Empty(s.Inputs.Where(i => i < 0).Intersect(s.Outputs)));
        Assert.Contains(0, segments[^1].Outputs);
        Assert.Equal(-2, segments.SelectMany(s => s.Outputs).Min());
    }

    private static KernelProgram WithKeep(DType type)
    {
        // Negated an even number of times, then kept: the values pass several cuts and Keep stands in the last segment.
        var code = new List<Instruction> { new(Code.Load, Index: 0) };
        for (var k = 0; k < 200; k++)
        {
            code.Add(Rig.Apply("neg", k));
        }

        code.Add(new(Code.Keep, 200, Index: 0));
        code.Add(new(Code.Store, 201, Index: 0));
        return new(code, [type], [type], 1);
    }

    private static KernelProgram WithGuard()
    {
        var code = new List<Instruction> { new(Code.Load, Index: 0), new(Code.Guard, 0) };
        code.Add(Rig.Apply("neg", 0));
        for (var k = 2; k < 200; k++)
        {
            code.Add(Rig.Apply("min", k, 0));
        }

        code.Add(new(Code.Store, code.Count - 1, Index: 0));
        return new(code, [DType.F32], [DType.F32], 0);
    }

    private static byte[] Numbers(DType type, IEnumerable<float> values) => type == DType.F32
        ? Rig.Bytes(values.ToArray())
        : Rig.Bytes(values.Select(v => (ushort)(BitConverter.SingleToInt32Bits(v) >> 16)).ToArray());

    /// <summary>Operands are near ones mostly and far ones now and then, so that cuts are crossed in both ways.</summary>
    private static KernelProgram Large(Random random, int length, bool onlyBF16)
    {
        DType Type() => onlyBF16 ? DType.BF16 : Rig.Floating[random.Next(Rig.Floating.Length)];
        var inputs = Enumerable.Range(0, random.Next(1, 12)).Select(_ => Type()).ToArray();
        var outputs = Enumerable.Range(0, random.Next(1, 6)).Select(_ => Type()).ToArray();
        var code = new List<Instruction>();
        var values = new List<int>();
        for (var k = 0; k < inputs.Length; k++)
        {
            Value(new(Code.Load, Index: k));
        }

        var keeps = 0;
        var stored = 0;
        while (code.Count < length)
        {
            switch (random.Next(20))
            {
                case 0:
                    Value(new(Code.Keep, Any(), Index: 1 + (2 * (keeps++ % 4))));
                    break;
                case 1:
                    code.Add(new(Code.Guard, Any()));
                    break;
                case 2:
                    Value(new(Code.Const, Value: (float)random.NextDouble() * 3));
                    break;
                case 3:
                    Value(new(Code.Param, Index: 0));
                    break;
                case 4:
                    Value(new(Code.Load, Index: random.Next(inputs.Length)));
                    break;
                case 5 when stored < outputs.Length - 1:
                    code.Add(new(Code.Store, Any(), Index: stored++));
                    break;
                default:
                    var op = random.Next(OpTable.All.Count);
                    var arity = OpTable.Get(op).Arity;
                    Value(new(Code.Apply, Any(), arity > 1 ? Any() : -1, arity > 2 ? Any() : -1, op));
                    break;
            }
        }

        while (stored < outputs.Length)
        {
            code.Add(new(Code.Store, stored == outputs.Length - 1 ? values[^1] : Any(), Index: stored++));
        }

        return new(code, inputs, outputs, 9);

        int Any() => values[random.Next(3) == 0 ? random.Next(values.Count) : Math.Max(0, values.Count - 1 - random.Next(6))];

        void Value(Instruction i)
        {
            values.Add(code.Count);
            code.Add(i);
        }
    }
}
