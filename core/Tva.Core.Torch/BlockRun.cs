using Tva.Core.Devices;
using Tva.Core.Devices.Tapes;
using Tva.Core.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Tva.Core.Torch;

/// <summary>Comes in: runs of a block's elements, whole cells but for the last. Goes out: their part of the call's results.</summary>
internal sealed unsafe class BlockRun(TorchDevice device, TorchLane lane, TorchKernel kernel, BlockCall call, Scans scans)
{
    private const int Cell = BlockProgram.CellElements;

    private readonly BlockProgram block = kernel.Program;
    private int rowParts;
    private int from;
    private int count;

    private int Cells => (count + Cell - 1) / Cell;

    /// <summary>Does a run.</summary>
    public void Run(int first, int elements)
    {
        (from, count) = (first, elements);
        Array.Clear(call.Flags, from / Cell, Cells);
        var side = call.Reduces ? kernel.Full : kernel.Again;
        var tape = kernel.Linear is null ? Steps(side, Load) : Steps(kernel.AfterProduct!, Sums(kernel.Linear));
        tape.Run();
        if (call.Reduces)
        {
            Reduce(tape.Value);
        }

        if (call.Scans.Count > 0)
        {
            scans.Add(tape.Value, ByCell);
        }

        device.Finish();
    }

    private TapeRun Steps(TorchKernel.Side side, Func<int, Tensor> load) => new(side, load, Parameter, Store, Guard, count, device.Place);

    /// <summary>
    /// The program's sums as a product of coefficients and stacked operands, in float64. An element with NaN or an infinity among its operands
    /// is what the steps make of it: in the product it would break sums that it has no part in.
    /// </summary>
    private Func<int, Tensor> Sums(LinearForm linear)
    {
        using var scope = NewDisposeScope();
        var (coefficients, constants) = linear.Matrix(call.Parameters);
        var factors = tensor(coefficients, [linear.Sums, linear.Operands], device: device.Place);
        var products = device.IsCuda ? AddedUp(linear, factors) : Multiplied(linear, factors);
        var sums = products.add(tensor(constants, [linear.Sums, 1], device: device.Place)).to(ScalarType.Float32);
        products.Dispose();
        var finite = sums.isfinite();
        if (!finite.all().item<bool>())
        {
            var steps = Steps(kernel.Stepwise!, Load);
            steps.Run();
            sums = where(finite, sums, stack(Enumerable.Range(0, linear.Sums).Select(steps.Value), 0));
        }

        sums.MoveToOuterDisposeScope();
        return i => sums.select(0, i);
    }

    private Tensor Multiplied(LinearForm linear, Tensor factors)
    {
        using var operands = empty(linear.Operands, count, ScalarType.Float64, device.Place);
        for (var i = 0; i < linear.Operands; i++)
        {
            using var inner = NewDisposeScope();
            _ = operands.select(0, i).copy_(Unrounded(i));
        }

        return factors.mm(operands);
    }

    /// <summary>
    /// The same, one operand after the other: CUDA's library picks how it multiplies by the shape, and elements must not depend on how many
    /// there are beside them.
    /// </summary>
    private Tensor AddedUp(LinearForm linear, Tensor factors)
    {
        var sums = zeros(linear.Sums, count, ScalarType.Float64, device.Place);
        for (var i = 0; i < linear.Operands; i++)
        {
            using var inner = NewDisposeScope();
            _ = sums.add_(factors.narrow(1, i, 1).mul(Unrounded(i).to(ScalarType.Float64)));
        }

        return sums;
    }

    /// <summary>An operand in the type that holds it exactly with the least bytes, or float32.</summary>
    private Tensor Unrounded(int input) => kernel.Tables[input] is null && block.Program.Inputs[input] != DType.F64 ? Raw(input) : Load(input);

    private Tensor Load(int input)
    {
        using var raw = Raw(input);
        return kernel.Tables[input] is { } table ? table.index_select(0, raw.to(ScalarType.Int32)) : raw.to(ScalarType.Float32);
    }

    /// <summary>An input's elements as libtorch has them.</summary>
    private Tensor Raw(int input)
    {
        ref var place = ref call.Inputs[input];
        switch (block.Sources[input])
        {
            case BlockSource.Random:
                return Uniform.Of(place.Key, call.Start + from, count, device.Place);
            case BlockSource.Rows:
                return ByRow(place.RowValues!);
            case BlockSource.Product:
                return Multiplied(place);
            default:
                var type = block.Program.Inputs[input];
                if (place.Held is not TorchHeld held)
                {
                    return lane.Up(place.Host + ((long)from * type.Size()), count, type);
                }

                using (var bytes = held.Elements.narrow(0, place.HeldOffset + ((long)from * type.Size()), (long)count * type.Size()).clone())
                {
                    return type.Size() == 1 ? bytes.alias() : Bits.As(bytes, TorchTypes.Of(type));
                }
        }
    }

    private Tensor ByRow(float[] numbers)
    {
        using var scope = NewDisposeScope();
        var phase = (call.Start % call.RowLength) + from;
        var (first, last) = (phase / call.RowLength, (phase + count - 1) / call.RowLength);
        var some = tensor(numbers.AsSpan((int)first, (int)(last - first + 1)).ToArray(), device: device.Place);
        return some.repeat_interleave(call.RowLength).narrow(0, phase - (first * call.RowLength), count).MoveToOuterDisposeScope();
    }

    /// <summary>A run of a product's elements: its whole rows, added up in float64, and of those the run.</summary>
    private Tensor Multiplied(BlockInput factors)
    {
        using var scope = NewDisposeScope();
        var phase = (call.Start % factors.Columns) + from;
        var (first, last) = (phase / factors.Columns, (phase + count - 1) / factors.Columns);
        var rows = (int)(last - first + 1);
        var left = tensor(factors.Left.Slice((int)first * factors.Rank, rows * factors.Rank).ToArray(), [rows, factors.Rank], device: device.Place);
        var right = tensor(factors.Right.ToArray(), [factors.Rank, factors.Columns], device: device.Place);
        var product = left.to(ScalarType.Float64).mm(right.to(ScalarType.Float64)).to(ScalarType.Float32);
        return product.view(-1).narrow(0, phase - (first * factors.Columns), count).MoveToOuterDisposeScope();
    }

    private BlockParameter Parameter(int index)
    {
        var p = call.Parameters[index];
        return p.Last == long.MaxValue ? p : p with { Last = Math.Max(-1, p.Last - call.Start - from) };
    }

    private void Store(int output, Tensor elements)
    {
        if (call.Outputs[output] != 0)
        {
            lane.Down(elements, (byte*)call.Outputs[output] + (from * (long)block.Program.Outputs[output].Size()));
        }
    }

    private void Guard(Tensor finite)
    {
        using var broken = finite.bitwise_not();
        var counts = ByCell(broken);
        for (var c = 0; c < counts.Length; c++)
        {
            call.Flags[(from / Cell) + c] |= counts[c] > 0;
        }
    }

    /// <summary>How often something holds, by cell.</summary>
    private long[] ByCell(Tensor holds)
    {
        using var scope = NewDisposeScope();
        return Filled(holds, (long)Cells * Cell, 0).view(Cells, Cell).sum(1).cpu().data<long>().ToArray();
    }

    private void Reduce(Func<int, Tensor> values)
    {
        var numbers = new Reductions(values, (x, rest) => Filled(x, (long)Cells * Cell, rest).view(Cells, Cell / BlockProgram.Lanes, BlockProgram.Lanes)).Of(block.Cells);
        for (var r = 0; r < numbers.Length; r++)
        {
            for (var c = 0; c < Cells; c++)
            {
                call.CellResults[(((from / Cell) + c) * numbers.Length) + r] = numbers[r][c];
            }
        }

        if (block.Rows.Count > 0)
        {
            ReduceRows(values);
        }
    }

    private void ReduceRows(Func<int, Tensor> values)
    {
        var cuts = RowSegments.Of(call.Start + from, count, call.RowLength);
        var parts = cuts.Length - 1;
        var longest = Enumerable.Range(0, parts).Max(p => cuts[p + 1] - cuts[p]);
        var steps = (longest + BlockProgram.Lanes - 1) / BlockProgram.Lanes;
        using var starts = tensor(cuts.Take(parts).Select(c => (long)c).ToArray(), [parts, 1], device: device.Place);
        using var ends = tensor(cuts.Skip(1).Select(c => (long)c).ToArray(), [parts, 1], device: device.Place);
        using var steady = arange(0, steps * BlockProgram.Lanes, ScalarType.Int64, device.Place);
        using var places = starts.add(steady);
        using var within = places.lt(ends);
        using var inside = places.clamp(Numbers.Of(0), Numbers.Of(count - 1)).view(-1);
        var numbers = new Reductions(values, (x, rest) =>
            where(within, x.index_select(0, inside).view(parts, -1), tensor(rest, device: device.Place)).view(parts, steps, BlockProgram.Lanes)).Of(block.Rows);
        for (var r = 0; r < numbers.Length; r++)
        {
            numbers[r].CopyTo(call.RowResults[r], rowParts);
        }

        rowParts += parts;
    }

    private static Tensor Filled(Tensor x, long length, float rest)
    {
        var have = x.numel();
        if (have == length)
        {
            return x.alias();
        }

        var whole = full(length, rest, x.dtype, x.device);
        using var part = whole.narrow(0, 0, have);
        _ = part.copy_(x);
        return whole;
    }
}
