using Tva.Core.Devices;
using Tva.Core.Devices.Tapes;
using Tva.Core.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Tva.Core.Torch;

/// <summary>A program as steps for libtorch, with what they need on the device that stays the same from block to block.</summary>
internal sealed class TorchKernel : IBlockKernel
{
    public TorchKernel(BlockProgram program, Device device)
    {
        Program = program;
        var reduced = new bool[program.Program.Outputs.Count];
        foreach (var r in program.Cells.Concat(program.Rows))
        {
            reduced[r.A] = true;
            if (r.B >= 0)
            {
                reduced[r.B] = true;
            }
        }

        var none = new bool[reduced.Length];
        Full = Side.Of(TapePlan.Of(program.Program, program.Kept, reduced), device);
        Again = program.Kept.Zip(reduced).All(p => p.First || !p.Second) ? Full : Side.Of(TapePlan.Of(program.Program, program.Kept, none), device);
        Linear = LinearForm.Of(program);
        AfterProduct = Linear is null ? null : Side.Of(TapePlan.Of(Linear.Rest, program.Kept, reduced), device);
        Stepwise = Linear is null ? null : Side.Of(TapePlan.Of(Linear.Stepwise, new bool[Linear.Sums], [.. Enumerable.Repeat(true, Linear.Sums)]), device);
        Tables = [.. program.Program.Inputs.Select(t => Table(t, device))];

        // Float64 on the way through a fused product, and what reductions lay out anew.
        var streams = reduced.Count(r => r);
        BytesPerElement = (4 * Full.Plan.Alive) + 64 + (16 * streams) + (Linear is null ? 0 : 8 * (Linear.Operands + Linear.Sums));
    }

    /// <inheritdoc/>
    public BlockProgram Program { get; }

    /// <summary>The steps for all that is asked for.</summary>
    public Side Full { get; }

    /// <summary>Without what only reductions need.</summary>
    public Side Again { get; }

    /// <summary>The program as a matrix product, or null.</summary>
    public LinearForm? Linear { get; }

    /// <summary>What follows the product.</summary>
    public Side? AfterProduct { get; }

    /// <summary>The sums without the product.</summary>
    public Side? Stepwise { get; }

    /// <summary>Per input the 256 numbers of an 8-bit type, else null.</summary>
    public Tensor?[] Tables { get; }

    /// <summary>About what a block's element takes on the device.</summary>
    public long BytesPerElement { get; }

    private static unsafe Tensor? Table(DType type, Device device)
    {
        if (type is not (DType.F8E4M3 or DType.F8E5M2))
        {
            return null;
        }

        var numbers = new float[256];
        for (var code = 0; code < 256; code++)
        {
            var element = (byte)code;
            numbers[code] = Kernels.ScalarConversion.Load(type, &element, 0);
        }

        return tensor(numbers, device: device);
    }

    /// <summary>Steps, and their constants on the device.</summary>
    internal sealed record Side(TapePlan Plan, Tensor?[] Constants)
    {
        // .NET's own has its sign set, and stored ones have not.
        private static readonly double PositiveNaN = BitConverter.Int64BitsToDouble(0x7ff8000000000000);

        public static Side Of(TapePlan plan, Device device) => new(plan, [.. plan.Tape.Steps.Select(s => Constant(s, device))]);

        private static Tensor? Constant(TapeStep step, Device device) => step switch
        {
            { Code: TapeCode.Constant, Kind: TapeKind.Int } => tensor(step.Immediate, device: device),
            { Code: TapeCode.Constant } => tensor(BitConverter.Int32BitsToSingle(step.Immediate), device: device),

            // Made by the processor: where a card narrows it, all its bits come out set.
            { Code: TapeCode.Narrow } => NaN(TorchTypes.Of((DType)step.Immediate)).to(device),
            _ => null,
        };

        private static Tensor NaN(ScalarType type) => tensor(PositiveNaN, type, device: CPU);
    }
}
