using Tva.Core.Tensors;

namespace Tva.Core.Devices.OpenCl;

/// <summary>Comes in: kernels' arguments and copies. Goes out: them in a device's queue, in order; what one of them can't do is the device's fault.</summary>
internal sealed unsafe class OpenClQueue : IDisposable
{
    private readonly OpenClDevice device;
    private readonly nint queue;
    private readonly Dictionary<(nint Program, string Name), nint> kernels = [];

    /// <summary>Opens one.</summary>
    /// <exception cref="DeviceFaultException">The driver refuses.</exception>
    public OpenClQueue(OpenClDevice device)
    {
        this.device = device;
        int error;
        queue = Cl.clCreateCommandQueue(device.Context, device.Handle, 0, &error);
        device.Require(error, "open a queue on it");
    }

    /// <summary>The device.</summary>
    public OpenClDevice Device => device;

    /// <summary>Memory that the driver allocates is what the device copies from without another copy on the way.</summary>
    /// <returns>The buffer, and where the host sees it.</returns>
    public (nint Buffer, nint Mapped) Pin(long bytes)
    {
        int error;
        var buffer = Cl.clCreateBuffer(device.Context, Cl.ReadWrite | Cl.AllocHostPointer, (nuint)bytes, null, &error);
        device.Require(error, $"get {Sizes.Text(bytes)} of memory to copy from");
        var mapped = Cl.clEnqueueMapBuffer(queue, buffer, 1, Cl.MapRead | Cl.MapWrite, 0, (nuint)bytes, 0, null, null, &error);
        if (error != Cl.Success)
        {
            _ = Cl.clReleaseMemObject(buffer);
        }

        device.Require(error, $"map {Sizes.Text(bytes)} of memory to copy from");
        return (buffer, (nint)mapped);
    }

    /// <summary>Gives such memory back.</summary>
    public void Unpin(nint buffer, nint mapped)
    {
        _ = Cl.clEnqueueUnmapMemObject(queue, buffer, (void*)mapped, 0, null, null);
        _ = Cl.clFinish(queue);
        _ = Cl.clReleaseMemObject(buffer);
    }

    /// <summary>A program's kernel, made once for this queue: its arguments are its own.</summary>
    public nint Kernel(nint program, string name)
    {
        if (!kernels.TryGetValue((program, name), out var kernel))
        {
            int error;
            kernel = Cl.clCreateKernel(program, name, &error);
            device.Require(error, $"make the kernel {name}");
            kernels.Add((program, name), kernel);
        }

        return kernel;
    }

    /// <summary>An argument.</summary>
    public void Set<T>(nint kernel, uint index, T value)
        where T : unmanaged => device.Require(Cl.clSetKernelArg(kernel, index, (nuint)sizeof(T), &value), "set up a kernel");

    /// <summary>Runs a kernel with so many work-items, and up to a group's more.</summary>
    public void Launch(nint kernel, long items)
    {
        const int group = OpenClDevice.GroupSize;
        var (global, local) = ((nuint)((items + group - 1) / group * group), (nuint)group);
        device.Require(Cl.clEnqueueNDRangeKernel(queue, kernel, 1, null, &global, &local, 0, null, null), "run a kernel");
    }

    /// <summary>Copies to the device.</summary>
    public void Write(nint buffer, long offset, byte* from, long bytes, bool wait) =>
        device.Require(Cl.clEnqueueWriteBuffer(queue, buffer, wait ? 1u : 0, (nuint)offset, (nuint)bytes, from, 0, null, null), "copy to it");

    /// <summary>Copies from it; what is there counts once the queue has run dry.</summary>
    public void Read(nint buffer, long offset, void* to, long bytes) =>
        device.Require(Cl.clEnqueueReadBuffer(queue, buffer, 0, (nuint)offset, (nuint)bytes, to, 0, null, null), "copy from it");

    /// <summary>The same into memory of the host's.</summary>
    public byte* Back(LaneBuffer buffer, long bytes, HostScratch host)
    {
        var to = host.Need(bytes);
        Read(buffer.Handle, 0, to, bytes);
        return to;
    }

    /// <summary>Copies within its memory.</summary>
    public void Copy(nint from, nint to, long bytes) =>
        device.Require(Cl.clEnqueueCopyBuffer(queue, from, to, 0, 0, (nuint)bytes, 0, null, null), "copy within its memory");

    /// <summary>Clears the first bytes of a buffer.</summary>
    public void Fill(LaneBuffer buffer, long bytes)
    {
        var zero = 0u;
        device.Require(Cl.clEnqueueFillBuffer(queue, buffer.Handle, &zero, sizeof(uint), 0, (nuint)bytes, 0, null, null), "clear its memory");
    }

    /// <summary>Waits until all is done.</summary>
    public void Finish() => device.Require(Cl.clFinish(queue), "finish a block");

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var kernel in kernels.Values)
        {
            _ = Cl.clReleaseKernel(kernel);
        }

        kernels.Clear();
        _ = Cl.clReleaseCommandQueue(queue);
    }
}
