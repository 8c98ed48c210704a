using Tva.Core.Devices.Rendered;
using Tva.Core.Tensors;

namespace Tva.Core.Devices.Cuda;

/// <summary>A stream of CUDA's.</summary>
internal sealed unsafe class CudaQueue : DeviceQueue
{
    // More than a kernel's 4 KiB of arguments can be.
    private const int MostArguments = 1024;

    private readonly CudaDevice device;
    private readonly nint stream;
    private readonly Dictionary<(nint Program, string Name), nint> functions = [];

    // Values of the arguments, and behind them where each of them is.
    private readonly Block arguments = new(2 * MostArguments * sizeof(ulong));

    /// <summary>Opens one.</summary>
    /// <exception cref="DeviceFaultException">The driver refuses.</exception>
    public CudaQueue(CudaDevice device)
        : base(device)
    {
        this.device = device;
        device.Enter();
        nint opened;
        device.Require(Cu.cuStreamCreate(&opened, Cu.NonBlocking), "open a queue on it");
        stream = opened;
        for (var n = 0; n < MostArguments; n++)
        {
            Places[n] = Values + n;
        }
    }

    private ulong* Values => (ulong*)arguments.Pointer;

    private void** Places => (void**)(Values + MostArguments);

    /// <inheritdoc/>
    public override (nint Handle, nint Mapped) Pin(long bytes)
    {
        device.Enter();
        void* memory;
        var error = Cu.cuMemHostAlloc(&memory, (nuint)bytes, Cu.Portable);
        if (error == Cu.OutOfMemory)
        {
            throw new DeviceFaultException(
                $"{device.Info.Name} ({device.Info.Id}): the computer has not {Sizes.Text(bytes)} of memory for it to copy from; give less with {Wording.Current.Memory}, or compute with {Wording.Current.Cpu}");
        }

        device.Require(error, $"get {Sizes.Text(bytes)} of memory to copy from");
        return ((nint)memory, (nint)memory);
    }

    /// <inheritdoc/>
    public override void Unpin(nint handle, nint mapped)
    {
        if (device.TryEnter())
        {
            _ = Cu.cuStreamSynchronize(stream);
            _ = Cu.cuMemFreeHost((void*)handle);
        }
    }

    /// <inheritdoc/>
    public override nint Kernel(nint program, string name)
    {
        if (!functions.TryGetValue((program, name), out var function))
        {
            device.Enter();
            device.Require(Cu.cuModuleGetFunction(&function, program, name), $"make the kernel {name}");
            functions.Add((program, name), function);
        }

        return function;
    }

    /// <inheritdoc/>
    public override void Set<T>(nint kernel, int index, T value) => *(T*)(Values + index) = value;

    /// <inheritdoc/>
    public override void Launch(nint kernel, long items, int group)
    {
        device.Enter();
        device.Require(Cu.cuLaunchKernel(kernel, (uint)((items + group - 1) / group), 1, 1, (uint)group, 1, 1, 0, stream, Places, null), "run a kernel");
    }

    /// <inheritdoc/>
    public override void Write(nint buffer, long offset, byte* from, long bytes, bool wait)
    {
        device.Enter();
        device.Require(Cu.cuMemcpyHtoDAsync_v2(buffer + (nint)offset, from, (nuint)bytes, stream), "copy to it");
        if (wait)
        {
            Finish();
        }
    }

    /// <inheritdoc/>
    public override void Read(nint buffer, long offset, void* to, long bytes)
    {
        device.Enter();
        device.Require(Cu.cuMemcpyDtoHAsync_v2(to, buffer + (nint)offset, (nuint)bytes, stream), "copy from it");
    }

    /// <inheritdoc/>
    public override void Copy(nint from, nint to, long bytes)
    {
        device.Enter();
        device.Require(Cu.cuMemcpyDtoDAsync_v2(to, from, (nuint)bytes, stream), "copy within its memory");
    }

    /// <inheritdoc/>
    public override void Clear(nint buffer, long bytes)
    {
        device.Enter();
        device.Require(Cu.cuMemsetD32Async(buffer, 0, (nuint)(bytes / sizeof(uint)), stream), "clear its memory");
    }

    /// <inheritdoc/>
    public override void Finish()
    {
        device.Enter();
        device.Require(Cu.cuStreamSynchronize(stream), "finish a block");
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        if (device.TryEnter())
        {
            _ = Cu.cuStreamDestroy_v2(stream);
        }

        arguments.Dispose();
    }
}
