using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using Tva.Core.Devices.Rendered;
using Tva.Core.Devices.Rendering;

namespace Tva.Core.Devices.Cuda;

/// <summary>A card behind NVIDIA's driver: a context of its own, which ends with it however it was lost, its memory and its compiler.</summary>
internal sealed unsafe class CudaDevice : RenderedDevice
{
    private readonly int device;
    private readonly nint context;
    private readonly string target;
    private readonly string compiler;
    private volatile bool closed;

    /// <summary>Opens it.</summary>
    /// <param name="device">Its identity at the driver.</param>
    /// <param name="info">What it is.</param>
    /// <param name="options">How it is to be used.</param>
    /// <exception cref="DeviceFaultException">Its driver refuses.</exception>
    public CudaDevice(int device, DeviceInfo info, DeviceOptions options)
        : base(info, options)
    {
        this.device = device;
        compiler = $"NVRTC {Nvrtc.Version}";
        target = Target();
        nint opened;
        Require(Cu.cuCtxCreate_v2(&opened, 0, device), "open it");
        context = opened;
    }

    /// <inheritdoc/>
    public override string Prelude => CudaPrelude.Text;

    /// <inheritdoc/>
    public override string Toolchain => string.Join('\0', [.. Options, compiler, Info.Driver]);

    // Products are fused with sums where the text says so and nowhere else.
    private string[] Options => [$"--gpu-architecture={target}", "--fmad=false", "--std=c++17"];

    /// <inheritdoc/>
    protected override long LargestBuffer => Info.Memory;

    /// <inheritdoc/>
    protected override int LargestGroup => 1024;

    /// <inheritdoc/>
    protected override long ParameterBytes => 4096;

    /// <inheritdoc/>
    public override DeviceQueue OpenQueue() => new CudaQueue(this);

    /// <summary>Calls from this thread are for this device.</summary>
    /// <exception cref="DeviceFaultException">It was lost.</exception>
    public void Enter() => Require(Cu.cuCtxSetCurrent(context), "go on with it");

    /// <summary>The same for giving things back. False where its context's end has done that.</summary>
    public bool TryEnter() => !closed && Cu.cuCtxSetCurrent(context) == Cu.Success;

    /// <inheritdoc/>
    public override nint Allocate(long bytes)
    {
        Enter();
        nint memory;
        var error = Cu.cuMemAlloc_v2(&memory, (nuint)bytes);
        if (error == Cu.OutOfMemory)
        {
            return 0;
        }

        Require(error, "get memory on it");
        return memory;
    }

    /// <inheritdoc/>
    public override void Free(nint memory)
    {
        if (TryEnter())
        {
            _ = Cu.cuMemFree_v2(memory);
        }
    }

    /// <inheritdoc/>
    public override (nint Program, byte[]? Binary) Build(string source)
    {
        nint program = 0;
        int error;
        fixed (byte* text = Encoding.UTF8.GetBytes(source + "\0"))
        {
            error = Nvrtc.nvrtcCreateProgram(&program, text, null, 0, null, null);
        }

        if (error != 0)
        {
            throw Refused(Error(error), "");
        }

        try
        {
            error = Compile(program);
            if (error != 0)
            {
                throw Refused(Error(error), Encoding.UTF8.GetString(Bytes(program, &Nvrtc.nvrtcGetProgramLogSize, &Nvrtc.nvrtcGetProgramLog)));
            }

            var image = target.StartsWith("sm_", StringComparison.Ordinal)
                ? Bytes(program, &Nvrtc.nvrtcGetCUBINSize, &Nvrtc.nvrtcGetCUBIN)
                : Bytes(program, &Nvrtc.nvrtcGetPTXSize, &Nvrtc.nvrtcGetPTX);
            nint module;
            Require(Load(image, &module), "load a kernel");
            return (module, image);
        }
        finally
        {
            _ = Nvrtc.nvrtcDestroyProgram(&program);
        }
    }

    /// <inheritdoc/>
    public override nint Load(ReadOnlySpan<byte> binary)
    {
        nint module;
        return Load(binary, &module) == Cu.Success ? module : 0;
    }

    /// <inheritdoc/>
    public override void Unload(nint program)
    {
        if (TryEnter())
        {
            _ = Cu.cuModuleUnload(program);
        }
    }

    /// <summary>Throws where a call failed.</summary>
    /// <param name="error">What it returned.</param>
    /// <param name="doing">What was to be done with the device, as in "can't ... it".</param>
    /// <exception cref="DeviceFaultException">It failed.</exception>
    public void Require(int error, string doing)
    {
        if (error != Cu.Success)
        {
            throw Failed(Cu.ErrorName(error), doing, error == Cu.OutOfMemory, error != Cu.OutOfMemory);
        }
    }

    /// <inheritdoc/>
    protected override void Close()
    {
        closed = true;
        _ = Cu.cuCtxDestroy_v2(context);
    }

    private int Load(ReadOnlySpan<byte> image, nint* module)
    {
        Enter();
        fixed (byte* start = image)
        {
            return Cu.cuModuleLoadData(module, start);
        }
    }

    private int Compile(nint program)
    {
        var options = Options.Select(Marshal.StringToCoTaskMemUTF8).ToArray();
        fixed (nint* first = options)
        {
            var error = Nvrtc.nvrtcCompileProgram(program, options.Length, (byte**)first);
            foreach (var option in options)
            {
                Marshal.FreeCoTaskMem(option);
            }

            return error;
        }
    }

    /// <summary>What is compiled for: this card, or, where the compiler is older, the newest that it knows, which the driver then compiles on.</summary>
    private string Target()
    {
        int major, minor, count;
        Require(Cu.cuDeviceGetAttribute(&major, Cu.Major, device), "ask what it is");
        Require(Cu.cuDeviceGetAttribute(&minor, Cu.Minor, device), "ask what it is");
        var own = (10 * major) + minor;
        if (Nvrtc.nvrtcGetNumSupportedArchs(&count) != 0 || count == 0)
        {
            return Name("compute", own);
        }

        var known = new int[count];
        fixed (int* to = known)
        {
            _ = Nvrtc.nvrtcGetSupportedArchs(to);
        }

        return known.Contains(own) ? Name("sm", own)
            : known.Where(a => a < own).DefaultIfEmpty(0).Max() is > 0 and var older ? Name("compute", older)
            : throw new DeviceFaultException($"{Info.Name} ({Info.Id}): {compiler} knows cards of {Name("sm", known.Min())} and newer, and it is {Name("sm", own)}: install an older NVRTC and name it in {Nvrtc.Variable}, or compute with {Wording.Current.Cpu}");

        static string Name(string kind, int number) => kind + "_" + number.ToString(CultureInfo.InvariantCulture);
    }

    private static string Error(int error) => Marshal.PtrToStringUTF8((nint)Nvrtc.nvrtcGetErrorString(error))!;

    private static byte[] Bytes(nint program, delegate*<nint, nuint*, int> size, delegate*<nint, byte*, int> get)
    {
        nuint length;
        if (size(program, &length) != 0)
        {
            return [];
        }

        var bytes = new byte[length];
        fixed (byte* to = bytes)
        {
            return length > 0 && get(program, to) == 0 ? bytes : [];
        }
    }
}
