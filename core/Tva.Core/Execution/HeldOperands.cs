using Tva.Core.Checkpoints;
using Tva.Core.Devices;
using Tva.Core.Tensors;

namespace Tva.Core.Execution;

/// <summary>
/// Comes in: tensors that a device is asked for again. Goes out: the same in its memory, as long as half of what it may take has room. Those of
/// pinned checkpoints stay from one run to the next, until they are pinned no more.
/// </summary>
public sealed class HeldOperands
{
    private readonly IBlockDevice device;
    private readonly Lock gate = new();
    private readonly Dictionary<(PinnedCheckpoint Source, string Tensor), HeldOperand> pinned = [];
    private readonly HashSet<PinnedCheckpoint> known = [];
    private long bytes;

    internal HeldOperands(IBlockDevice device) => this.device = device;

    /// <summary>Bytes of device memory that operands take now.</summary>
    public long Bytes => Interlocked.Read(ref bytes);

    /// <summary>A pinned tensor's place on the device; null where there is no room.</summary>
    internal HeldOperand? Of(PinnedCheckpoint source, TensorInfo tensor)
    {
        lock (gate)
        {
            if (pinned.TryGetValue((source, tensor.Name), out var held))
            {
                return held;
            }

            if (Take(tensor) is not { } fresh)
            {
                return null;
            }

            pinned.Add((source, tensor.Name), fresh);
            if (known.Add(source))
            {
                source.Released += () => Forget(source);
            }

            return fresh;
        }
    }

    /// <summary>Room for a tensor; null where there is none.</summary>
    internal HeldOperand? Take(TensorInfo tensor) => Lend(tensor.Bytes) is { } memory ? new HeldOperand(memory, tensor) : null;

    /// <summary>Room for something that is used at once; null where there is none.</summary>
    internal IHeld? Lend(long size)
    {
        if (Interlocked.Add(ref bytes, size) > device.Memory / 2 || device.Hold(size) is not { } memory)
        {
            Interlocked.Add(ref bytes, -size);
            return null;
        }

        return memory;
    }

    /// <summary>Gives back what was lent.</summary>
    internal void Return(IHeld lent)
    {
        Interlocked.Add(ref bytes, -lent.Bytes);
        lent.Dispose();
    }

    /// <summary>Gives an operand's memory back.</summary>
    internal void Return(HeldOperand held) => Return(held.Memory);

    private void Forget(PinnedCheckpoint source)
    {
        lock (gate)
        {
            known.Remove(source);
            foreach (var key in pinned.Keys.Where(k => k.Source == source).ToList())
            {
                pinned.Remove(key, out var held);
                Return(held!);
            }
        }
    }
}

/// <summary>A tensor in device memory, cell by cell as far as it has come there.</summary>
internal sealed class HeldOperand(IHeld memory, TensorInfo tensor)
{
    // Per cell: nothing there, on its way in some queue, there.
    private const byte Absent = 0, Coming = 1, There = 2;

    private readonly byte[] cells = new byte[(tensor.Shape.Elements + PlanShape.Cell - 1) / PlanShape.Cell];

    public IHeld Memory => memory;

    public long Bytes { get; } = tensor.Bytes;

    /// <summary>A block is about to use it. False where another queue is just bringing part of it: then it is not to be used.</summary>
    /// <param name="start">The block's first element, at a cell's start.</param>
    /// <param name="count">Its elements.</param>
    /// <param name="there">Whether all of it is there; else whoever asked brings it.</param>
    public bool Begin(long start, long count, out bool there)
    {
        lock (cells)
        {
            var some = Cells(start, count);
            there = !some.ContainsAnyExcept(There);
            if (!there && some.ContainsAnyExcept(Absent))
            {
                return false;
            }

            if (!there)
            {
                some.Fill(Coming);
            }

            return true;
        }
    }

    /// <summary>The block is through, or failed.</summary>
    public void End(long start, long count, bool done)
    {
        lock (cells)
        {
            if (Cells(start, count).Contains(Coming))
            {
                Cells(start, count).Fill(done ? There : Absent);
            }
        }
    }

    private Span<byte> Cells(long start, long count) =>
        cells.AsSpan((int)(start / PlanShape.Cell), (int)((count + PlanShape.Cell - 1) / PlanShape.Cell));
}

/// <summary>Comes in: a plan. Goes out: which of its operands stay on the device in this run: pinned ones, and those that a later step reads again.</summary>
internal sealed class HeldRun : IDisposable
{
    private readonly HeldOperands held;
    private readonly ExecutionPlan plan;

    // Per class and source the last step that reads it.
    private readonly Dictionary<(int Class, int Source), int> last = [];

    // Those that more than one step reads.
    private readonly HashSet<(int Class, int Source)> again = [];
    private readonly Dictionary<int, Dictionary<int, HeldOperand?>> own = [];

    public HeldRun(HeldOperands held, ExecutionPlan plan)
    {
        (this.held, this.plan) = (held, plan);
        for (var s = 0; s < plan.Steps.Count; s++)
        {
            for (var c = 0; c < plan.Steps[s].Kernels.Count; c++)
            {
                foreach (var source in plan.Steps[s].Kernels[c]?.Inputs.OfType<FileInput>().Select(f => f.Source).Distinct() ?? [])
                {
                    if (!last.TryAdd((c, source), s))
                    {
                        last[(c, source)] = s;
                        again.Add((c, source));
                    }
                }
            }
        }
    }

    /// <summary>Where a tensor of a source is on the device, or is to stay; null: nowhere.</summary>
    public HeldOperand? Find(int step, int source, int tensor)
    {
        var info = plan.Tensors[tensor].Sources[source]!;
        if (plan.Sources[source] is PinnedCheckpoint pinned)
        {
            return held.Of(pinned, info);
        }

        var key = (plan.Tensors[tensor].Class, source);
        if (!again.Contains(key))
        {
            return null;
        }

        lock (own)
        {
            if (!own.TryGetValue(tensor, out var sources))
            {
                own.Add(tensor, sources = []);
            }

            if (!sources.TryGetValue(source, out var operand))
            {
                // On the last step there is no one left to keep it for.
                sources.Add(source, operand = last[key] > step ? held.Take(info) : null);
            }

            return operand;
        }
    }

    /// <summary>The tensor is through the plan.</summary>
    public void Free(int tensor)
    {
        lock (own)
        {
            if (own.Remove(tensor, out var sources))
            {
                foreach (var operand in sources.Values.OfType<HeldOperand>())
                {
                    held.Return(operand);
                }
            }
        }
    }

    public void Dispose()
    {
        lock (own)
        {
            foreach (var operand in own.Values.SelectMany(sources => sources.Values).OfType<HeldOperand>())
            {
                held.Return(operand);
            }

            own.Clear();
        }
    }
}
