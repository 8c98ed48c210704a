using System.Runtime.InteropServices;
using Tva.Core.Devices.Rendering;
using Tva.Core.Tensors;

namespace Tva.Core.Devices.OpenCl;

/// <summary>A device behind the system's OpenCL loader: its context, its compiled programs, and how much of its memory is taken.</summary>
internal sealed unsafe class OpenClDevice : IBlockDevice
{
    /// <summary>Work-items of a group: a multiple of what every device runs together.</summary>
    public const int GroupSize = 64;

    private readonly Dictionary<BlockProgram, OpenClKernel> kernels = new(ProgramComparer.Instance);
    private readonly ProgramCache programs;
    private readonly ulong parameterBytes;
    private readonly Lock gate = new();
    private long taken;
    private bool disposed;

    /// <summary>Opens it.</summary>
    /// <param name="handle">Its identity at the loader.</param>
    /// <param name="info">What it is.</param>
    /// <param name="options">How it is to be used.</param>
    /// <exception cref="DeviceFaultException">Its driver refuses.</exception>
    public OpenClDevice(nint handle, DeviceInfo info, DeviceOptions options)
    {
        Handle = handle;
        Fp64 = info.Fp64 && !options.WithoutFp64;
        Info = info with { Fp64 = Fp64, Exact = Fp64 && info.Exact };
        Memory = Math.Min(options.Memory ?? info.Memory / 4 * 3, info.Memory);
        LargestBuffer = (long)Math.Min(long.MaxValue, Cl.Number(handle, Cl.DeviceMaxMemAllocSize));
        parameterBytes = Cl.Number(handle, Cl.DeviceMaxParameterSize);
        int error;
        Context = Cl.clCreateContext(null, 1, &handle, 0, 0, &error);
        Require(error, "open it");
        programs = new ProgramCache(this, options.CacheFolder);
    }

    /// <inheritdoc/>
    public DeviceInfo Info { get; }

    public nint Handle { get; }

    public nint Context { get; }

    public bool Fp64 { get; }

    /// <inheritdoc/>
    public long Memory { get; }

    /// <summary>Bytes that one buffer may have.</summary>
    public long LargestBuffer { get; }

    /// <summary>Bytes of device memory that buffers take now.</summary>
    public long Taken => Interlocked.Read(ref taken);

    /// <summary>Its compiled programs.</summary>
    public ProgramCache Programs => programs;

    /// <summary>The kernels that do not depend on a plan.</summary>
    public nint Standard => programs.Get(StandardKernels.Source);

    /// <inheritdoc/>
    public bool Multiplies => Info.Exact;

    /// <inheritdoc/>
    public string? Refusal(BlockProgram program)
    {
        var streams = program.Sources.Sum(s => s == BlockSource.Product ? 4 : 1) + program.Kept.Count(k => k);
        if ((ulong)(streams * sizeof(long)) + 64 > parameterBytes)
        {
            return $"it works on {streams} streams at once, and the device takes no more than {(parameterBytes - 64) / sizeof(long)}";
        }

        return null;
    }

    /// <inheritdoc/>
    public IBlockKernel Compile(BlockProgram program)
    {
        lock (kernels)
        {
            if (kernels.TryGetValue(program, out var known))
            {
                return known;
            }
        }

        var rendered = Renderer.Render(program);
        var kernel = new OpenClKernel(program, rendered, programs.Get(rendered.Source));
        lock (kernels)
        {
            kernels[program] = kernel;
        }

        return kernel;
    }

    /// <inheritdoc/>
    public IBlockLane Open(long staging) => new OpenClLane(this, staging);

    /// <inheritdoc/>
    public IHeld? Hold(long bytes) => bytes <= LargestBuffer && TryTake(bytes) ? OpenClBuffer.TryCreate(this, bytes) : null;

    /// <summary>Takes so much of the budget, if it is there.</summary>
    public bool TryTake(long bytes)
    {
        lock (gate)
        {
            if (taken + bytes > Memory)
            {
                return false;
            }

            taken += bytes;
            return true;
        }
    }

    /// <summary>Gives it back.</summary>
    public void Return(long bytes) => Interlocked.Add(ref taken, -bytes);

    /// <summary>Throws where a call failed.</summary>
    /// <param name="error">What it returned.</param>
    /// <param name="doing">What was to be done with the device, as in "can't ... it".</param>
    /// <exception cref="DeviceFaultException">It failed.</exception>
    public void Require(int error, string doing)
    {
        if (error == Cl.Success)
        {
            return;
        }

        var memory = error is Cl.MemAllocationFailure or Cl.OutOfResources or Cl.OutOfHostMemory or Cl.InvalidBufferSize;
        var way = memory
            ? $"give it less with --device-memory (now {Sizes.Text(Memory)}), or compute with --device cpu"
            : "if it goes on, restart what drives it; meanwhile compute with --device cpu";
        throw new DeviceFaultException($"{Info.Name} ({Info.Id}): can't {doing}: {Cl.ErrorName(error)}; {way}")
        {
            // A kernel that a driver has ended looks like too little memory, and so does everything after it.
            Lost = !memory || error == Cl.OutOfResources,
        };
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (gate)
        {
            if (disposed)
            {
                return;
            }

            disposed = true;
        }

        programs.Dispose();
        _ = Cl.clReleaseContext(Context);
    }

    /// <summary>Programs that are the same but for constants and origins share their code.</summary>
    private sealed class ProgramComparer : IEqualityComparer<BlockProgram>
    {
        public static ProgramComparer Instance { get; } = new();

        public bool Equals(BlockProgram? a, BlockProgram? b) =>
            ReferenceEquals(a, b) || (a is not null && b is not null && a.Program.Equals(b.Program) && a.Sources.SequenceEqual(b.Sources)
                && a.Kept.SequenceEqual(b.Kept) && a.Cells.SequenceEqual(b.Cells) && a.Rows.SequenceEqual(b.Rows));

        public int GetHashCode(BlockProgram program) => program.Program.GetHashCode();
    }
}

/// <summary>A compiled program of OpenCL.</summary>
internal sealed class OpenClKernel(BlockProgram program, RenderedProgram rendered, nint handle) : IBlockKernel
{
    public BlockProgram Program => program;

    public RenderedProgram Rendered => rendered;

    /// <summary>The loader's program.</summary>
    public nint Handle => handle;
}

/// <summary>A buffer of device memory, counted against its budget.</summary>
internal sealed unsafe class OpenClBuffer : IHeld
{
    private readonly OpenClDevice device;
    private nint handle;

    private OpenClBuffer(OpenClDevice device, nint handle, long bytes)
    {
        (this.device, this.handle) = (device, handle);
        Bytes = bytes;
    }

    ~OpenClBuffer() => Release();

    public long Bytes { get; }

    public nint Handle => handle;

    /// <summary>A buffer for memory that the budget has been charged with; null, and the charge is given back, where the driver has none.</summary>
    public static OpenClBuffer? TryCreate(OpenClDevice device, long bytes)
    {
        int error;
        var handle = Cl.clCreateBuffer(device.Context, Cl.ReadWrite, (nuint)bytes, null, &error);
        if (error == Cl.Success)
        {
            return new OpenClBuffer(device, handle, bytes);
        }

        device.Return(bytes);
        return null;
    }

    public void Dispose()
    {
        Release();
        GC.SuppressFinalize(this);
    }

    private void Release()
    {
        var h = Interlocked.Exchange(ref handle, 0);
        if (h != 0)
        {
            _ = Cl.clReleaseMemObject(h);
            device.Return(Bytes);
        }
    }
}
