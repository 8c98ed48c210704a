using Tva.Core.Checkpoints;
using Tva.Core.Kernels;
using Tva.Core.Ops;
using Tva.Core.Tensors;

namespace Tva.Core.Execution;

/// <summary>
/// Comes in: a plan. Goes out: what a device of its own memory would have to be given and to give back, and what the processor would take instead,
/// from the plan alone. The rates are assumptions about a common computer, told where they are used.
/// </summary>
/// <param name="Transferred">Bytes that go over to the device and come back.</param>
/// <param name="TransferSeconds">How long that takes: over the bus, and on its way through the processor's threads, which read and write files.</param>
/// <param name="ProcessorSeconds">How long the processor takes, reading from memory, with all threads.</param>
public sealed record DeviceCost(long Transferred, double TransferSeconds, double ProcessorSeconds)
{
    /// <summary>Bytes per second over a PCIe 4 bus of 16 lanes, in each direction, as copies of some MB from pinned memory reach it.</summary>
    public const double BusRate = 20e9;

    // Bytes per second that a thread's kernels stream, vector operations of float32 and products of float64 in dots that it does a second.
    private const double ThreadBytes = 4e9;
    private const double ThreadOps = 12e9;
    private const double ThreadProducts = 10e9;

    // Operations that a random number costs.
    private const int RandomOps = 12;

    /// <summary>Whether moving the operands takes about as long as computing with them where they are: a device can't win then.</summary>
    public bool IsAllTransfer => ProcessorSeconds < 1.5 * TransferSeconds;

    /// <summary>The cost of a plan.</summary>
    /// <param name="plan">The plan.</param>
    /// <param name="threads">Threads of the processor.</param>
    /// <param name="held">Bytes of operands that the device keeps from one step to the next.</param>
    public static DeviceCost Of(ExecutionPlan plan, int threads, long held)
    {
        double up = 0, down = 0, read = 0, ops = 0, products = 0;
        var there = new HashSet<(int Source, int Tensor)>();
        for (var s = 0; s < plan.Steps.Count; s++)
        {
            for (var t = 0; t < plan.Tensors.Count; t++)
            {
                if (plan.Tensors[t] is not { Class: >= 0 and var c } tensor || plan.Steps[s].Kernels[c] is not { } kernel)
                {
                    continue;
                }

                double elements = tensor.Shape.Elements;
                foreach (var source in kernel.Inputs.OfType<FileInput>().Select(f => f.Source).Distinct())
                {
                    var info = tensor.Sources[source]!;
                    read += info.Bytes;
                    if (plan.Sources[source] is PinnedCheckpoint)
                    {
                        continue;
                    }

                    if (there.Add((source, t)))
                    {
                        up += info.Bytes;
                        held -= info.Bytes;
                    }
                    else if (held < 0)
                    {
                        up += info.Bytes;
                    }
                }

                for (var o = 0; o < kernel.Files.Count; o++)
                {
                    down += kernel.Files[o] < 0 ? 0 : elements * kernel.Program.Outputs[o].Size();
                }

                ops += elements * kernel.Program.Instructions.Sum(i => i.Code == Code.Apply ? Math.Max(1, OpTable.Get(i.Index).Locals / 6) : 0);
                ops += elements * RandomOps * kernel.Inputs.Count(i => i is RandomInput);
                products += elements * plan.Steps[s].Reductions.Where((r, i) => r.Kind == ReduceKind.Dot && kernel.Feeds[i].A >= 0).Count();
            }
        }

        return new DeviceCost(
            (long)(up + down), Math.Max(Math.Max(up, down) / BusRate, (up + down) / ThreadBytes / threads),
            Math.Max((read + down) / ThreadBytes, (ops / ThreadOps) + (products / ThreadProducts)) / threads);
    }
}
