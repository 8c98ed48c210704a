using System.Diagnostics;
using Tva.Core.Devices;
using Tva.Core.Tensors;

namespace Tva.Bench;

/// <summary>Comes in: a program. Goes out: the time of one call of it over operands in a device's memory, what it writes staying there too.</summary>
internal sealed unsafe class ResidentBlock : IDisposable
{
    private readonly IBlockLane lane;
    private readonly IBlockKernel kernel;
    private readonly IHeld?[] held;
    private readonly IHeld? target;
    private readonly BlockCall call;

    /// <summary>Compiles it and brings operands there, each of so many elements.</summary>
    /// <exception cref="DeviceFaultException">They do not fit.</exception>
    public ResidentBlock(IBlockDevice device, BlockProgram block, int elements)
    {
        kernel = device.Compile(block);
        lane = device.Open(1 << 16);
        var program = block.Program;
        var cells = (elements + BlockProgram.CellElements - 1) / BlockProgram.CellElements;
        held = [.. program.Inputs.Select(t => device.Hold(elements * (long)t.Size()))];
        target = device.Hold(elements * (long)program.Inputs[0].Size());
        if (target is null || held.Contains(null))
        {
            Dispose();
            throw new DeviceFaultException($"{device.Info.Name}: {held.Length + 1} operands do not fit; ask for fewer --megabytes");
        }

        call = new BlockCall
        {
            Count = elements,
            RowLength = elements,
            Inputs = new BlockInput[held.Length],
            Outputs = new nint[program.Outputs.Count],
            Flags = new bool[cells],
            CellResults = new double[cells * block.Cells.Count],
            Reduces = block.Cells.Count > 0,
        };
        using var memory = new Block(elements * (long)program.Inputs[0].Size());
        new Span<byte>(memory.Pointer, checked((int)memory.Length)).Fill(0x3b);
        for (var i = 0; i < held.Length; i++)
        {
            call.Inputs[i].Host = memory.Pointer;
            call.Inputs[i].Held = held[i];
        }

        Time();
        for (var i = 0; i < held.Length; i++)
        {
            call.Inputs[i].Host = null;
        }

        Moved = (held.Sum(h => h!.Bytes)) + program.Outputs.Select((t, o) => block.Kept[o] ? elements * (long)t.Size() : 0).Sum();
        Copied = 2 * target.Bytes;
    }

    /// <summary>Bytes that a call reads and writes.</summary>
    public long Moved { get; }

    /// <summary>Bytes that a copy reads and writes.</summary>
    public long Copied { get; }

    /// <summary>Seconds of a call.</summary>
    public double Time()
    {
        var watch = Stopwatch.StartNew();
        lane.Run(kernel, call);
        return watch.Elapsed.TotalSeconds;
    }

    /// <summary>Seconds of a copy of one operand.</summary>
    public double TimeCopy() => OnDevice.Copy(lane, held[0]!, target!);

    public void Dispose()
    {
        foreach (var operand in held)
        {
            operand?.Dispose();
        }

        target?.Dispose();
        lane.Dispose();
    }
}
