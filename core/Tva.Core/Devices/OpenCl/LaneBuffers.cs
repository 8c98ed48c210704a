using Tva.Core.Tensors;

namespace Tva.Core.Devices.OpenCl;

/// <summary>A lane's memory beside its staging: on the device and, for what comes back in small pieces, on the host. All of it grows as blocks ask for it.</summary>
internal sealed class LaneBuffers(OpenClDevice device) : IDisposable
{
    public LaneBuffer Arena { get; } = new(device);

    public LaneBuffer Parameters { get; } = new(device);

    public LaneBuffer Flags { get; } = new(device);

    public LaneBuffer Partials { get; } = new(device);

    public LaneBuffer Results { get; } = new(device);

    public LaneBuffer Kinds { get; } = new(device);

    public LaneBuffer Cuts { get; } = new(device);

    public LaneBuffer ScanCells { get; } = new(device);

    public LaneBuffer Bins { get; } = new(device);

    public LaneBuffer Keys { get; } = new(device);

    public LaneBuffer Cursor { get; } = new(device);

    public HostScratch HostParameters { get; } = new();

    public HostScratch HostFlags { get; } = new();

    public HostScratch HostResults { get; } = new();

    public void Dispose()
    {
        foreach (var buffer in (LaneBuffer[])[Arena, Parameters, Flags, Partials, Results, Kinds, Cuts, ScanCells, Bins, Keys, Cursor])
        {
            buffer.Dispose();
        }

        HostParameters.Dispose();
        HostFlags.Dispose();
        HostResults.Dispose();
    }
}

/// <summary>Device memory of at least what was last asked for; what it held is lost when it grows.</summary>
internal sealed class LaneBuffer(OpenClDevice device) : IDisposable
{
    private const long Least = 4096;
    private OpenClBuffer? buffer;

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
        buffer = device.TryTake(size) ? OpenClBuffer.TryCreate(device, size) : null;
        if (buffer is null)
        {
            throw new DeviceFaultException(
                $"{device.Info.Name} ({device.Info.Id}): {Sizes.Text(size)} for a block do not fit beside the {Sizes.Text(device.Taken)} taken of the "
                + $"{Sizes.Text(device.Memory)} that may be; give it more with --device-memory, or compute with --device cpu");
        }
    }

    public void Dispose() => buffer?.Dispose();
}

/// <summary>Host memory of at least what was last asked for.</summary>
internal sealed unsafe class HostScratch : IDisposable
{
    private Block? block;

    public byte* Need(long bytes)
    {
        if (block is null || block.Length < bytes)
        {
            block?.Dispose();
            block = new Block(Math.Max(bytes, 4096));
        }

        return block.Pointer;
    }

    public void Dispose() => block?.Dispose();
}
