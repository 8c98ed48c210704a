using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Tva.Core.Kernels;
using Tva.Core.Ops;
using Tva.Core.Tensors;

namespace Tva.Core.Tests;

/// <summary>A program and its inputs' bytes in, its outputs' bytes out, by the interpreter or by a compiled kernel of some width.</summary>
internal static unsafe class Rig
{
    /// <summary>Stands for the interpreter where a width is asked for.</summary>
    public const int Scalar = 0;

    public static readonly DType[] Floating = [DType.F64, DType.F32, DType.F16, DType.BF16, DType.F8E4M3, DType.F8E5M2];

    /// <summary>Lengths around the widths of vectors and groups.</summary>
    public static readonly int[] Lengths = [1, 15, 16, 17, 63, 64, 65, 1000];

    /// <summary>Vector widths this machine has.</summary>
    public static int[] Widths { get; } =
        [.. new[] { (128, true), (256, Vector256.IsHardwareAccelerated), (512, Vector512.IsHardwareAccelerated) }
            .Where(w => w.Item2).Select(w => w.Item1)];

    public static readonly float[] Special =
    [
        0f, -0f, 1f, -1f, float.NaN, float.PositiveInfinity, float.NegativeInfinity, float.Epsilon, -float.Epsilon,
        1.17549421e-38f, -1.17549421e-38f, 1.17549435e-38f, float.MaxValue, float.MinValue, 0.5f, -0.5f, 2f, 3.5f, -2.5f, 1e-20f,
        BitConverter.Int32BitsToSingle(unchecked((int)0xffc12345)), 16777216f, 8388608.5f, -7f, 1e10f, 0.999999940f, 100f, -100f,
    ];

    public static (byte[][] Outputs, int Result) Run(
        int width, KernelProgram program, byte[][] inputs, int count, float[]? parameters = null)
    {
        var padded = (count + 63) / 64 * 64;
        var (ins, outs) = (new nint[inputs.Length], new nint[program.Outputs.Count]);
        for (var k = 0; k < ins.Length; k++)
        {
            // The padding of inputs holds garbage: all ones is NaN in every format.
            var bytes = padded * program.Inputs[k].Size();
            ins[k] = (nint)NativeMemory.AlignedAlloc((nuint)bytes, 64);
            new Span<byte>((void*)ins[k], bytes).Fill(0xff);
            inputs[k].AsSpan(0, count * program.Inputs[k].Size()).CopyTo(new Span<byte>((void*)ins[k], bytes));
        }

        for (var k = 0; k < outs.Length; k++)
        {
            outs[k] = (nint)NativeMemory.AlignedAlloc((nuint)(padded * program.Outputs[k].Size()), 64);
        }

        int result;
        fixed (nint* i = ins, o = outs)
        fixed (float* p = parameters)
        {
            result = width == Scalar
                ? Interpreter.Run(program, (byte**)i, (byte**)o, p, count)
                : CpuKernel.Compile(program, width)((byte**)i, (byte**)o, p, count);
        }

        var outputs = outs.Select((o, k) => new Span<byte>((void*)o, count * program.Outputs[k].Size()).ToArray()).ToArray();
        foreach (var block in ins.Concat(outs))
        {
            NativeMemory.AlignedFree((void*)block);
        }

        return (outputs, result);
    }

    public static byte[] Bytes<T>(T[] values)
        where T : unmanaged => MemoryMarshal.AsBytes(values.AsSpan()).ToArray();

    public static T[] Values<T>(byte[] bytes)
        where T : unmanaged => MemoryMarshal.Cast<byte, T>(bytes).ToArray();

    public static Instruction Apply(string op, params int[] args) => new(
        Code.Apply, args[0], args.Length > 1 ? args[1] : -1, args.Length > 2 ? args[2] : -1, OpTable.IndexOf(op));

    /// <summary>Loads one stream and stores it as another type.</summary>
    public static KernelProgram Convert(DType from, DType to) =>
        new([new(Code.Load, Index: 0), new(Code.Store, 0, Index: 0)], [from], [to], 0);
}
