using System.Runtime.InteropServices;
using Tva.Core.Devices;
using Tva.Core.Kernels;
using Tva.Core.Ops;
using Tva.Core.Tensors;
using Xunit;

namespace Tva.Core.Tests.Devices;

/// <summary>Ops, loads and stores of every device against the interpreter, to the bit.</summary>
public class ElementwiseConformance
{
    public static TheoryData<string> Devices => DeviceRig.Devices;

    public static TheoryData<string> DevicesAndCards => DeviceRig.DevicesAndCards;

    /// <summary>All ops in one program: compiling is what takes time on a device.</summary>
    [Theory]
    [MemberData(nameof(Devices))]
    public void EveryOp(string name)
    {
        var device = DeviceRig.Open(name);
        var code = new List<Instruction> { new(Code.Load, Index: 0), new(Code.Load, Index: 1), new(Code.Load, Index: 2) };
        for (var op = 0; op < OpTable.All.Count; op++)
        {
            var arity = OpTable.Get(op).Arity;
            code.Add(new(Code.Apply, 0, arity > 1 ? 1 : -1, arity > 2 ? 2 : -1, op));
            code.Add(new(Code.Store, code.Count - 1, Index: op));
        }

        var program = new KernelProgram(code, [DType.F32, DType.F32, DType.F32], [.. OpTable.All.Select(_ => DType.F32)], 0);
        foreach (var length in Rig.Lengths.Append(40000))
        {
            var inputs = Operands(length);
            var expected = Rig.Run(Rig.Scalar, program, inputs, length).Outputs;
            var got = DeviceRig.Run(device, program, inputs, length).Outputs;
            for (var op = 0; op < OpTable.All.Count; op++)
            {
                var info = OpTable.Get(op);
                DeviceRig.Same(expected[op], got[op], DeviceRig.Exact(name) ? 0 : 1, i =>
                    $"{info.Name}({string.Join(", ", inputs[..info.Arity].Select(b => MemoryMarshal.Cast<byte, float>(b)[i].ToString("r")))})");
            }
        }
    }

    /// <summary>Every 8- and 16-bit pattern of every type, and float64s at the edges of float32, to float32.</summary>
    [Theory]
    [MemberData(nameof(DevicesAndCards))]
    public void EveryLoad(string name)
    {
        var device = DeviceRig.Open(name);
        DType[] types = [DType.F64, DType.F16, DType.BF16, DType.F8E4M3, DType.F8E5M2];
        var patterns = Enumerable.Range(0, 65536).ToArray();
        byte[][] inputs =
        [
            MemoryMarshal.AsBytes(Doubles(65536).AsSpan()).ToArray(),
            MemoryMarshal.AsBytes(patterns.Select(p => (ushort)p).ToArray().AsSpan()).ToArray(),
            MemoryMarshal.AsBytes(patterns.Select(p => (ushort)p).ToArray().AsSpan()).ToArray(),
            [.. patterns.Select(p => (byte)p)],
            [.. patterns.Select(p => (byte)p)],
        ];
        var program = new KernelProgram(
            [.. types.SelectMany((_, k) => (Instruction[])[new(Code.Load, Index: k), new(Code.Store, 2 * k, Index: k)])],
            types, [.. types.Select(_ => DType.F32)], 0);
        Check(device, program, inputs, 65536);
    }

    /// <summary>Everything that every type rounds: floats around every boundary of two neighbours of it.</summary>
    [Theory]
    [MemberData(nameof(DevicesAndCards))]
    public void EveryStore(string name)
    {
        var device = DeviceRig.Open(name);
        DType[] types = [.. Rig.Floating, DType.I8];
        var values = new List<float>(Rig.Special);
        for (var high = 0; high < 65536; high++)
        {
            // Each bf16, with low halves just below, at and above the middle and others: all finer types have their ties among those.
            foreach (var low in (int[])[0, 1, 0x7fff, 0x8000, 0x8001, 0x1000, 0x2fff, 0x3001])
            {
                values.Add(BitConverter.Int32BitsToSingle((high << 16) | low));
            }
        }

        for (var code = 0; code < 65536; code++)
        {
            // Ties of f16, which lie 12 bits deep, and their neighbours.
            var tie = (float)BitConverter.UInt16BitsToHalf((ushort)code) + ((float)BitConverter.UInt16BitsToHalf((ushort)(code + 1)) - (float)BitConverter.UInt16BitsToHalf((ushort)code)) / 2;
            values.AddRange([tie, MathF.BitIncrement(tie), MathF.BitDecrement(tie)]);
        }

        var program = new KernelProgram(
            [new(Code.Load, Index: 0), .. types.Select((_, k) => new Instruction(Code.Store, 0, Index: k))], [DType.F32], types, 0);
        Check(device, program, [Rig.Bytes([.. values])], values.Count);
    }

    [Theory]
    [MemberData(nameof(DevicesAndCards))]
    public void GuardParametersConstantsAndKeep(string name)
    {
        var device = DeviceRig.Open(name);
        var program = new KernelProgram(
            [
                new(Code.Load, Index: 0), new(Code.Const, Value: 0.3f), new(Code.Param, Index: 0), new(Code.Apply, 0, 1, 2, OpTable.IndexOf("fma")),
                new(Code.Keep, 3, Index: 1), new(Code.Store, 4, Index: 0), new(Code.Guard, 3),
            ],
            [DType.F32], [DType.BF16], 2);
        var values = Plans.Normal(5, 20000);
        var threshold = BitConverter.SingleToInt32Bits(0.75f);
        var scale = BitConverter.SingleToInt32Bits(0.25f);
        foreach (var bad in (int[])[-1, 0, 16383, 19999])
        {
            var some = (float[])values.Clone();
            if (bad >= 0)
            {
                some[bad] = float.PositiveInfinity;
            }

            foreach (var bits in (int[])[threshold, -1, int.MaxValue])
            {
                var (outputs, flagged) = DeviceRig.Run(device, program, [Rig.Bytes(some)], some.Length, [new(scale, scale, long.MaxValue), new(bits, bits, long.MaxValue)]);
                var (expected, result) = Rig.Run(Rig.Scalar, program, [Rig.Bytes(some)], some.Length, [0.25f, BitConverter.Int32BitsToSingle(bits)]);
                Assert.Equal(expected[0], outputs[0]);
                Assert.Equal(bad >= 0, flagged);
                Assert.Equal(result != 0, flagged);
            }
        }

        // A threshold that changes at an index, as among ties.
        var whole = DeviceRig.Run(device, program, [Rig.Bytes(values)], values.Length, [new(scale, scale, long.MaxValue), new(-1, int.MaxValue, 17001)]).Outputs[0];
        var all = Rig.Run(Rig.Scalar, program, [Rig.Bytes(values)], values.Length, [0.25f, BitConverter.Int32BitsToSingle(-1)]).Outputs[0];
        Assert.Equal(all[..(17002 * 2)], whole[..(17002 * 2)]);
        Assert.All(whole[(17002 * 2)..], b => Assert.Equal(0, b));
    }

    private static void Check(IBlockDevice device, KernelProgram program, byte[][] inputs, int count)
    {
        var expected = Rig.Run(Rig.Scalar, program, inputs, count).Outputs;
        var got = DeviceRig.Run(device, program, inputs, count).Outputs;
        for (var o = 0; o < expected.Length; o++)
        {
            var size = program.Outputs[o].Size();
            for (var i = 0; i < count && !expected[o].AsSpan().SequenceEqual(got[o]); i++)
            {
                Assert.True(
                    expected[o].AsSpan(i * size, size).SequenceEqual(got[o].AsSpan(i * size, size)),
                    $"element {i} of output {o} ({program.Outputs[o]}) is {Convert.ToHexString(expected[o], i * size, size)} on the CPU and {Convert.ToHexString(got[o], i * size, size)} on the device");
            }
        }
    }

    /// <summary>Three operands: every pair of special values, numbers of every size, and arguments of the functions' delicate places.</summary>
    private static byte[][] Operands(int length)
    {
        var random = new Random(length);
        var (a, b, c) = (new float[length], new float[length], new float[length]);
        var n = Rig.Special.Length;
        for (var i = 0; i < length; i++)
        {
            (a[i], b[i], c[i]) = i < n * n
                ? (Rig.Special[i % n], Rig.Special[i / n], Rig.Special[(i * 7) % n])
                : (Any(random), Any(random), Any(random));
        }

        return [Rig.Bytes(a), Rig.Bytes(b), Rig.Bytes(c)];
    }

    private static float Any(Random random) => random.Next(4) switch
    {
        0 => BitConverter.Int32BitsToSingle(random.Next(int.MinValue, int.MaxValue)),
        1 => (float)((random.NextDouble() * 4) - 2),
        2 => (float)((random.NextDouble() * 200) - 100),
        _ => (float)((random.NextDouble() * 4e5) - 2e5),
    };

    private static double[] Doubles(int count)
    {
        var random = new Random(9);
        var list = new List<double>
        {
            0, -0.0, double.NaN, double.PositiveInfinity, double.NegativeInfinity, double.Epsilon, double.MaxValue, float.MaxValue, float.Epsilon, float.Epsilon / 2.0,
            float.Epsilon * 1.5, -float.Epsilon / 2.0, Math.BitIncrement(float.Epsilon / 2.0), 3.4028235677973366e38, Math.BitDecrement(3.4028235677973366e38), 1.17549435e-38,
        };
        while (list.Count < count)
        {
            var f = BitConverter.Int32BitsToSingle(random.Next(int.MinValue, int.MaxValue));
            var tie = ((double)f + MathF.BitIncrement(f)) / 2;
            list.AddRange([tie, Math.BitIncrement(tie), Math.BitDecrement(tie), BitConverter.Int64BitsToDouble(random.NextInt64(long.MinValue, long.MaxValue))]);
        }

        return [.. list.Take(count)];
    }
}
