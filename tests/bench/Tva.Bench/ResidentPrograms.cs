using Tva.Core.Devices;
using Tva.Core.Execution;
using Tva.Core.Kernels;
using Tva.Core.Ops;
using Tva.Core.Tensors;

namespace Tva.Bench;

/// <summary>What is measured of a device's kernels: linear merges, members from atoms, Gram matrices.</summary>
internal static class ResidentPrograms
{
    /// <summary>Name, program and the type of its operands.</summary>
    public static IReadOnlyList<(string Name, BlockProgram Block, DType Type)> All { get; } =
    [
        ("linear f32", Sums(DType.F32, 4, 1), DType.F32),
        ("linear bf16", Sums(DType.BF16, 4, 1), DType.BF16),
        ("reconstruct 8 of 4 atoms", Sums(DType.F32, 4, 8), DType.F32),
        ("gram 8", Gram(8), DType.F32),
        ("gram 32", Gram(32), DType.F32),
    ];

    /// <summary>A base and others in, sums of all with coefficients of their own out.</summary>
    private static BlockProgram Sums(DType type, int others, int outputs)
    {
        var code = new List<Instruction>();
        for (var i = 0; i <= others; i++)
        {
            code.Add(new(Code.Load, Index: i));
        }

        for (var o = 0; o < outputs; o++)
        {
            var sum = 0;
            for (var i = 1; i <= others; i++)
            {
                code.Add(new(Code.Const, Value: 0.1f + (0.07f * o) + (0.01f * i)));
                code.Add(new(Code.Apply, i, code.Count - 1, sum, OpTable.IndexOf("fma")));
                sum = code.Count - 1;
            }

            code.Add(new(Code.Store, sum, Index: o));
        }

        var program = new KernelProgram(code, [.. Enumerable.Repeat(type, others + 1)], [.. Enumerable.Repeat(type, outputs)], 0);
        return new BlockProgram(program, [.. program.Inputs.Select(_ => BlockSource.Memory)], [.. program.Outputs.Select(_ => true)], [], []);
    }

    /// <summary>A base and fine-tunes in, the dot products of every two differences out.</summary>
    private static BlockProgram Gram(int tasks)
    {
        var code = new List<Instruction> { new(Code.Load, Index: 0) };
        for (var t = 0; t < tasks; t++)
        {
            code.Add(new(Code.Load, Index: t + 1));
            code.Add(new(Code.Apply, code.Count - 1, 0, Index: OpTable.IndexOf("sub")));
            code.Add(new(Code.Store, code.Count - 1, Index: t));
        }

        var program = new KernelProgram(code, [.. Enumerable.Repeat(DType.F32, tasks + 1)], [.. Enumerable.Repeat(DType.F32, tasks)], 0);
        var dots = Enumerable.Range(0, tasks).SelectMany(a => Enumerable.Range(a, tasks - a).Select(b => new BlockReduction(ReduceKind.Dot, a, b)));
        return new BlockProgram(program, [.. program.Inputs.Select(_ => BlockSource.Memory)], [.. program.Outputs.Select(_ => false)], [.. dots], []);
    }
}
