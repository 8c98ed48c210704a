using Tva.Core.Devices;
using Tva.Core.Tensors;

namespace Tva.Core.Execution;

/// <summary>Comes in: a plan's kernels and a device. Goes out: how large its blocks are.</summary>
internal static class DeviceBudget
{
    /// <summary>Bytes of a block where memory does not say otherwise: copies of some MB run at full speed, and starting kernels costs nothing beside them.</summary>
    private const long Wanted = 32 << 20;

    /// <summary>The same of a graphics card: it runs some 100,000 work-items at once, and a reduction has one for each 1024 elements.</summary>
    private const long WantedByCard = 256 << 20;

    /// <summary>Whether nothing is copied block by block, because all is on the device and comes to numbers: no host memory limits blocks then, and two in flight are enough.</summary>
    public static bool Stays(StepKernel?[][] kernels)
    {
        var all = kernels.SelectMany(k => k).OfType<StepKernel>().ToList();
        return all.Count > 0 && all.All(k => k.Block is not null && k.BlockBytes == 0 && k.RowSelections.Length == 0);
    }

    /// <summary>Elements of a block whose cells' results, which come back, are a small part of the memory.</summary>
    private static long OfResults(List<StepKernel> kernels, long most, long memory)
    {
        var perCell = kernels.Max(k => k.Reductions.Slots.Length) * (long)sizeof(double);
        return Math.Clamp(memory / 64 / Math.Max(1, perCell) * PlanShape.Cell, PlanShape.Cell, most);
    }

    /// <summary>Bytes of a block, as <see cref="Budget.BlockTarget"/> counts them.</summary>
    /// <param name="kernels">All kernels.</param>
    /// <param name="device">The device.</param>
    /// <param name="lanes">Blocks in flight.</param>
    /// <param name="memory">Host memory that there is in all.</param>
    /// <exception cref="DeviceFaultException">Not even the smallest blocks fit.</exception>
    public static long Target(StepKernel?[][] kernels, IBlockDevice device, int lanes, long memory)
    {
        // Half is for blocks in flight, the rest for operands that stay.
        var room = device.Memory / 2 / lanes;
        var wanted = device.Info.Kind == DeviceKind.Gpu ? WantedByCard : Wanted;
        List<StepKernel> taken = [.. kernels.SelectMany(k => k).OfType<StepKernel>().Where(k => k.Block is not null)];
        var target = Stays(kernels) ? OfResults(taken, wanted, memory) : Math.Max(Budget.BlockTarget, Math.Min(wanted, memory / 4 / lanes));
        if (taken.MaxBy(k => k.DeviceBytes) is { } largest && largest.DeviceBytes * PlanShape.Cell > room)
        {
            throw new DeviceFaultException(
                $"{device.Info.Name} ({device.Info.Id}): {Sizes.Text(device.Memory)} of its memory are too little for {lanes} blocks of a plan with "
                + $"{largest.InputSizes.Length} inputs; give at least {Sizes.Enough((long)(largest.DeviceBytes * PlanShape.Cell * 2 * lanes))} with {Wording.Current.DeviceMemory}, or compute with {Wording.Current.Cpu}");
        }

        foreach (var kernel in taken)
        {
            var bytes = Math.Max(1, kernel.BlockBytes);
            while (target / bytes >= PlanShape.Cell && target / bytes * kernel.DeviceBytes > room)
            {
                target /= 2;
            }
        }

        return target;
    }
}
