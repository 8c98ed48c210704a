using Tva.Core.Devices.Rendered;
using Tva.Core.Tensors;

namespace Tva.Core.Devices.OpenCl;

/// <summary>A queue of OpenCL's, in order.</summary>
internal sealed unsafe class OpenClQueue : DeviceQueue
{
    private readonly OpenClDevice device;
    private readonly nint queue;
    private readonly Dictionary<(nint Program, string Name), nint> kernels = [];

    /// <summary>Opens one.</summary>
    /// <exception cref="DeviceFaultException">The driver refuses.</exception>
    public OpenClQueue(OpenClDevice device)
        : base(device)
    {
        this.device = device;
        int error;
        queue = Cl.clCreateCommandQueue(device.Context, device.Handle, 0, &error);
        device.Require(error, "open a queue on it");
    }

    /// <inheritdoc/>
    public override (nint Handle, nint Mapped) Pin(long bytes)
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

    /// <inheritdoc/>
    public override void Unpin(nint handle, nint mapped)
    {
        _ = Cl.clEnqueueUnmapMemObject(queue, handle, (void*)mapped, 0, null, null);
        _ = Cl.clFinish(queue);
        _ = Cl.clReleaseMemObject(handle);
    }

    /// <summary>Made once for this queue: its arguments are its own.</summary>
    /// <inheritdoc/>
    public override nint Kernel(nint program, string name)
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

    /// <inheritdoc/>
    public override void Set<T>(nint kernel, int index, T value) =>
        device.Require(Cl.clSetKernelArg(kernel, (uint)index, (nuint)sizeof(T), &value), "set up a kernel");

    /// <inheritdoc/>
    public override void Launch(nint kernel, long items, int group)
    {
        var (global, local) = ((nuint)((items + group - 1) / group * group), (nuint)group);
        if (!device.OneKernelAtATime)
        {
            Enqueue(kernel, global, local);
            return;
        }

        // Copies of several queues go on beside each other; only kernels wait for their turn.
        Finish();
        lock (OpenClDevice.Turn)
        {
            Enqueue(kernel, global, local);
            Finish();
        }
    }

    /// <inheritdoc/>
    public override void Write(nint buffer, long offset, byte* from, long bytes, bool wait) =>
        device.Require(Cl.clEnqueueWriteBuffer(queue, buffer, wait ? 1u : 0, (nuint)offset, (nuint)bytes, from, 0, null, null), "copy to it");

    /// <inheritdoc/>
    public override void Read(nint buffer, long offset, void* to, long bytes) =>
        device.Require(Cl.clEnqueueReadBuffer(queue, buffer, 0, (nuint)offset, (nuint)bytes, to, 0, null, null), "copy from it");

    /// <inheritdoc/>
    public override void Copy(nint from, nint to, long bytes) =>
        device.Require(Cl.clEnqueueCopyBuffer(queue, from, to, 0, 0, (nuint)bytes, 0, null, null), "copy within its memory");

    /// <inheritdoc/>
    public override void Clear(nint buffer, long bytes)
    {
        var zero = 0u;
        device.Require(Cl.clEnqueueFillBuffer(queue, buffer, &zero, sizeof(uint), 0, (nuint)bytes, 0, null, null), "clear its memory");
    }

    /// <inheritdoc/>
    public override void Finish() => device.Require(Cl.clFinish(queue), "finish a block");

    /// <inheritdoc/>
    public override void Dispose()
    {
        foreach (var kernel in kernels.Values)
        {
            _ = Cl.clReleaseKernel(kernel);
        }

        kernels.Clear();
        _ = Cl.clReleaseCommandQueue(queue);
    }

    private void Enqueue(nint kernel, nuint global, nuint local) =>
        device.Require(Cl.clEnqueueNDRangeKernel(queue, kernel, 1, null, &global, &local, 0, null, null), "run a kernel");
}
