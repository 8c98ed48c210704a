using Tva.Core.Tensors;

namespace Tva.Core.Devices.Rendered;

/// <summary>
/// A lane's memory beside its staging: on the device and, for what comes back in small pieces, on the host. All of it grows as blocks ask for it;
/// that of the host while nothing is on its way.
/// </summary>
internal sealed class LaneBuffers(DeviceQueue queue) : IDisposable
{
    private readonly List<ScanBuffers> scans = [];

    public LaneBuffer Arena { get; } = new(queue.Device);

    public LaneBuffer Parameters { get; } = new(queue.Device);

    public LaneBuffer Flags { get; } = new(queue.Device);

    public LaneBuffer Partials { get; } = new(queue.Device);

    public LaneBuffer Results { get; } = new(queue.Device);

    public LaneBuffer Kinds { get; } = new(queue.Device);

    public LaneBuffer Cuts { get; } = new(queue.Device);

    public HostScratch HostParameters { get; } = new(queue);

    public HostScratch HostFlags { get; } = new(queue);

    public HostScratch HostKinds { get; } = new(queue);

    public HostScratch HostResults { get; } = new(queue);

    /// <summary>The memory of a block's n-th look.</summary>
    public ScanBuffers Scan(int n)
    {
        while (scans.Count <= n)
        {
            scans.Add(new(queue));
        }

        return scans[n];
    }

    /// <summary>Gives back what is on the device.</summary>
    public void Empty()
    {
        foreach (var buffer in (LaneBuffer[])[Arena, Parameters, Flags, Partials, Results, Kinds, Cuts, .. scans.SelectMany(s => (LaneBuffer[])[s.Cells, s.Bins, s.Keys])])
        {
            buffer.Dispose();
        }
    }

    public void Dispose()
    {
        Empty();
        foreach (var part in (IDisposable[])[HostParameters, HostFlags, HostKinds, HostResults, .. scans])
        {
            part.Dispose();
        }
    }
}

/// <summary>What a look for a selection needs.</summary>
internal sealed class ScanBuffers(DeviceQueue queue) : IDisposable
{
    public LaneBuffer Cells { get; } = new(queue.Device);

    /// <summary>The bins and, behind them, how many keys there are.</summary>
    public LaneBuffer Bins { get; } = new(queue.Device);

    public LaneBuffer Keys { get; } = new(queue.Device);

    public HostScratch HostCells { get; } = new(queue);

    public HostScratch HostBins { get; } = new(queue);

    public HostScratch HostKeys { get; } = new(queue);

    public void Dispose()
    {
        foreach (var part in (IDisposable[])[Cells, Bins, Keys, HostCells, HostBins, HostKeys])
        {
            part.Dispose();
        }
    }
}

/// <summary>Device memory of at least what was last asked for; what it held is lost when it grows.</summary>
internal sealed class LaneBuffer(RenderedDevice device) : IDisposable
{
    private const long Least = 4096;
    private DeviceBuffer? buffer;

    public nint Handle => buffer?.Handle ?? 0;

    /// <exception cref="DeviceFaultException">The device has not so much.</exception>
    public void Need(long bytes)
    {
        if (buffer is not null && buffer.Bytes >= bytes)
        {
            return;
        }

        buffer?.Dispose();
        buffer = null;
        var size = Math.Max(bytes, Least);
        buffer = device.Take(size);
        if (buffer is null)
        {
            throw new DeviceFaultException(
                $"{device.Info.Name} ({device.Info.Id}): {Sizes.Text(size)} for a block do not fit beside the {Sizes.Text(device.Taken)} taken of the "
                + $"{Sizes.Text(device.Memory)} that may be; give it more with {Wording.Current.DeviceMemory}, or compute with {Wording.Current.Cpu}");
        }
    }

    public void Dispose()
    {
        buffer?.Dispose();
        buffer = null;
    }
}

/// <summary>Host memory of at least what was last asked for, that the device copies to by itself.</summary>
internal sealed unsafe class HostScratch(DeviceQueue queue) : IDisposable
{
    private const long Least = 4096;
    private (nint Handle, nint Mapped) pinned;
    private long size;

    public byte* Need(long bytes)
    {
        if (size < bytes)
        {
            Dispose();
            var more = Math.Max(Least, bytes);
            pinned = queue.Pin(more);
            size = more;
        }

        return (byte*)pinned.Mapped;
    }

    public void Dispose()
    {
        if (size > 0)
        {
            queue.Unpin(pinned.Handle, pinned.Mapped);
            size = 0;
        }
    }
}
