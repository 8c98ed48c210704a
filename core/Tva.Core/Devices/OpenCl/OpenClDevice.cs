using System.Text;
using Tva.Core.Devices.Rendered;
using Tva.Core.Devices.Rendering;

namespace Tva.Core.Devices.OpenCl;

/// <summary>A device behind the system's OpenCL loader: its context, its memory and its compiler.</summary>
internal sealed unsafe class OpenClDevice : RenderedDevice
{
    private const string Pocl = "Portable Computing Language ";

    private readonly string options;

    /// <summary>Opens it.</summary>
    /// <param name="handle">Its identity at the loader.</param>
    /// <param name="info">What it is.</param>
    /// <param name="options">How it is to be used.</param>
    /// <exception cref="DeviceFaultException">Its driver refuses.</exception>
    public OpenClDevice(nint handle, DeviceInfo info, DeviceOptions options)
        : base(info with { Fp64 = info.Fp64 && !options.WithoutFp64, Exact = info.Fp64 && !options.WithoutFp64 && info.Exact }, options)
    {
        Handle = handle;
        OneKernelAtATime = MixesKernelsUp(info.Driver);
        LargestBuffer = (long)Math.Min(long.MaxValue, Cl.Number(handle, Cl.DeviceMaxMemAllocSize));
        ParameterBytes = (long)Math.Min(long.MaxValue, Cl.Number(handle, Cl.DeviceMaxParameterSize));
        this.options = (Fp64 ? "-DFP64 " : "")
            + ((Cl.Number(handle, Cl.DeviceSingleFpConfig) & Cl.FpCorrectlyRoundedDivideSqrt) != 0 ? "-cl-fp32-correctly-rounded-divide-sqrt " : "")
            + "-cl-std=CL1.2";
        int error;
        Context = Cl.clCreateContext(null, 1, &handle, 0, 0, &error);
        Require(error, "open it");
    }

    public nint Handle { get; }

    public nint Context { get; }

    /// <summary>Whether a kernel runs under <see cref="Turn"/>, because the driver ends the process when two run at once.</summary>
    public bool OneKernelAtATime { get; }

    /// <summary>Held while a kernel runs or is loaded to take its binary: one for the process, since such a driver's list of kernels is too.</summary>
    public static Lock Turn { get; } = new();

    /// <inheritdoc/>
    public override string Prelude => OpenClPrelude.Text;

    /// <inheritdoc/>
    public override string Toolchain => string.Join('\0', options, Info.Name, Info.Driver, Cl.Text(Handle, Cl.DeviceVersion));

    /// <inheritdoc/>
    protected override long LargestBuffer { get; }

    /// <inheritdoc/>
    protected override int LargestGroup => (int)Math.Min(int.MaxValue, Cl.Number(Handle, Cl.DeviceMaxWorkGroupSize));

    /// <inheritdoc/>
    protected override long ParameterBytes { get; }

    /// <inheritdoc/>
    public override DeviceQueue OpenQueue() => new OpenClQueue(this);

    /// <inheritdoc/>
    public override nint Allocate(long bytes)
    {
        int error;
        var handle = Cl.clCreateBuffer(Context, Cl.ReadWrite, (nuint)bytes, null, &error);
        if (error is Cl.MemAllocationFailure or Cl.OutOfResources or Cl.OutOfHostMemory or Cl.InvalidBufferSize)
        {
            return 0;
        }

        Require(error, "get memory on it");
        return handle;
    }

    /// <inheritdoc/>
    public override void Free(nint memory) => _ = Cl.clReleaseMemObject(memory);

    /// <inheritdoc/>
    public override (nint Program, byte[]? Binary) Build(string source)
    {
        var text = Encoding.UTF8.GetBytes(source);
        int error;
        nint program;
        fixed (byte* start = text)
        {
            var pointer = start;
            var length = (nuint)text.Length;
            program = Cl.clCreateProgramWithSource(Context, 1, &pointer, &length, &error);
        }

        Require(error, "take a kernel's source");
        error = Finish(program);
        if (error != Cl.Success)
        {
            var log = Log(program);
            _ = Cl.clReleaseProgram(program);
            throw Refused(Cl.ErrorName(error), log);
        }

        return (program, Binary(program));
    }

    /// <inheritdoc/>
    public override nint Load(ReadOnlySpan<byte> binary)
    {
        int error, status;
        nint program;
        var handle = Handle;
        fixed (byte* start = binary)
        {
            var pointer = start;
            var length = (nuint)binary.Length;
            program = Cl.clCreateProgramWithBinary(Context, 1, &handle, &length, &pointer, &status, &error);
        }

        if (error != Cl.Success)
        {
            return 0;
        }

        if (Finish(program) == Cl.Success)
        {
            return program;
        }

        _ = Cl.clReleaseProgram(program);
        return 0;
    }

    /// <inheritdoc/>
    public override void Unload(nint program) => _ = Cl.clReleaseProgram(program);

    /// <summary>Throws where a call failed.</summary>
    /// <param name="error">What it returned.</param>
    /// <param name="doing">What was to be done with the device, as in "can't ... it".</param>
    /// <exception cref="DeviceFaultException">It failed.</exception>
    public void Require(int error, string doing)
    {
        if (error != Cl.Success)
        {
            // A kernel that a driver has ended looks like too little memory, and so does everything after it.
            var memory = error is Cl.MemAllocationFailure or Cl.OutOfResources or Cl.OutOfHostMemory or Cl.InvalidBufferSize;
            throw Failed(Cl.ErrorName(error), doing, memory, !memory || error == Cl.OutOfResources);
        }
    }

    /// <summary>
    /// Whether a driver counts the uses of the wrong kernel. PoCL before 6.0 keeps what it loads by hash, group and width of the grid, but gives
    /// back the first that it finds by hash and group alone (pocl_release_dlhandle_cache; mended by its commit c9ac4c0c3). A kernel at work in two
    /// widths, or loaded once more for its binary in another context meanwhile, fails its assertion, or is unloaded in use where it was built without.
    /// </summary>
    internal static bool MixesKernelsUp(string driver) =>
        driver.StartsWith(Pocl, StringComparison.Ordinal) && (!int.TryParse(driver[Pocl.Length..].Split('.')[0], out var major) || major < 6);

    /// <inheritdoc/>
    protected override void Close() => _ = Cl.clReleaseContext(Context);

    private int Finish(nint program)
    {
        var handle = Handle;
        fixed (byte* text = Encoding.UTF8.GetBytes(options + "\0"))
        {
            return Cl.clBuildProgram(program, 1, &handle, text, 0, 0);
        }
    }

    private string Log(nint program)
    {
        nuint size = 0;
        _ = Cl.clGetProgramBuildInfo(program, Handle, Cl.ProgramBuildLog, 0, null, &size);
        var bytes = new byte[size];
        fixed (byte* to = bytes)
        {
            _ = Cl.clGetProgramBuildInfo(program, Handle, Cl.ProgramBuildLog, size, to, null);
        }

        return Encoding.UTF8.GetString(bytes);
    }

    private static byte[]? Binary(nint program)
    {
        lock (Turn)
        {
            nuint size = 0;
            if (Cl.clGetProgramInfo(program, Cl.ProgramBinarySizes, (nuint)sizeof(nuint), &size, null) != Cl.Success || size == 0)
            {
                return null;
            }

            var binary = new byte[size];
            fixed (byte* to = binary)
            {
                var pointer = to;
                return Cl.clGetProgramInfo(program, Cl.ProgramBinaries, (nuint)sizeof(byte*), &pointer, null) == Cl.Success ? binary : null;
            }
        }
    }
}
