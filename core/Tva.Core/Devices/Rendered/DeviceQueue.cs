using Tva.Core.Tensors;

namespace Tva.Core.Devices.Rendered;

/// <summary>
/// Comes in: kernels' arguments and copies. Goes out: them in a queue of a device's driver, in order; what one of them can't do is the device's fault.
/// A kernel's arguments are set anew before each launch. One thread at a time.
/// </summary>
internal abstract unsafe class DeviceQueue(RenderedDevice device) : IDisposable
{
    /// <summary>Work-items of a group: a multiple of what every device runs together, and few enough for each.</summary>
    public const int GroupSize = 64;

    /// <summary>The same where work-items have nothing to do with each other: fewer groups are started, and a device's places all taken.</summary>
    public const int WideGroup = 256;

    /// <summary>The device.</summary>
    public RenderedDevice Device => device;

    /// <summary>Host memory that the device copies from without another copy on the way.</summary>
    /// <returns>The driver's handle, and where the host sees it.</returns>
    public abstract (nint Handle, nint Mapped) Pin(long bytes);

    /// <summary>Gives such memory back.</summary>
    public abstract void Unpin(nint handle, nint mapped);

    /// <summary>A program's kernel.</summary>
    public abstract nint Kernel(nint program, string name);

    /// <summary>An argument of the kernel that is launched next: a number, or a buffer's handle as nint.</summary>
    public abstract void Set<T>(nint kernel, int index, T value)
        where T : unmanaged;

    /// <summary>Runs a kernel with so many work-items, and up to a group's more.</summary>
    public abstract void Launch(nint kernel, long items, int group);

    /// <summary>Copies to the device; where it does not wait, what is copied must stay as it is until the queue has run dry.</summary>
    public abstract void Write(nint buffer, long offset, byte* from, long bytes, bool wait);

    /// <summary>Copies from it; what is there counts once the queue has run dry.</summary>
    public abstract void Read(nint buffer, long offset, void* to, long bytes);

    /// <summary>Copies within its memory.</summary>
    public abstract void Copy(nint from, nint to, long bytes);

    /// <summary>Clears the first bytes of a buffer, a multiple of four.</summary>
    public abstract void Clear(nint buffer, long bytes);

    /// <summary>Waits until all is done.</summary>
    public abstract void Finish();

    /// <inheritdoc/>
    public abstract void Dispose();

    /// <summary>Copies a buffer's first bytes into memory of the host's.</summary>
    public byte* Back(LaneBuffer buffer, long bytes, HostScratch host)
    {
        var to = host.Need(bytes);
        Read(buffer.Handle, 0, to, bytes);
        return to;
    }
}
