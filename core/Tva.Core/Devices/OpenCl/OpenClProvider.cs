using Tva.Core.Devices.Rendered;

namespace Tva.Core.Devices.OpenCl;

/// <summary>Comes in: nothing. Goes out: the devices behind the system's OpenCL loader.</summary>
internal sealed unsafe class OpenClProvider : IDeviceProvider
{
    /// <summary>What to install where there is none.</summary>
    public const string Install =
        "install the graphics card's driver, or, to compute on the processor through OpenCL, Debian's packages pocl-opencl-icd and ocl-icd-libopencl1";

    private readonly Lazy<List<(nint Handle, DeviceInfo Info)>> found;

    public OpenClProvider() => found = new(Find);

    /// <inheritdoc/>
    public string Name => "opencl";

    /// <inheritdoc/>
    public IReadOnlyList<DeviceInfo> Devices => [.. found.Value.Select(d => d.Info)];

    /// <inheritdoc/>
    public string? Missing => !Cl.Available ? $"no OpenCL loader ({(OperatingSystem.IsWindows() ? "OpenCL.dll" : "libOpenCL.so.1")}): {Install}"
        : found.Value.Count == 0 ? $"OpenCL's loader finds no device: {Install}"
        : null;

    /// <inheritdoc/>
    public IBlockDevice Open(DeviceInfo info, DeviceOptions options) =>
        new OpenClDevice(found.Value.First(d => d.Info.Id == info.Id).Handle, info, options);

    private static List<(nint, DeviceInfo)> Find()
    {
        var list = new List<(nint, DeviceInfo)>();
        if (!Cl.Available)
        {
            return list;
        }

        uint count = 0;
        if (Cl.clGetPlatformIDs(0, null, &count) != Cl.Success)
        {
            return list;
        }

        var platforms = new nint[count];
        fixed (nint* to = platforms)
        {
            _ = Cl.clGetPlatformIDs(count, to, null);
        }

        foreach (var platform in platforms)
        {
            uint devices = 0;
            if (Cl.clGetDeviceIDs(platform, Cl.DeviceTypeAll, 0, null, &devices) != Cl.Success)
            {
                continue;
            }

            var handles = new nint[devices];
            fixed (nint* to = handles)
            {
                _ = Cl.clGetDeviceIDs(platform, Cl.DeviceTypeAll, devices, to, null);
            }

            foreach (var handle in handles)
            {
                list.Add((handle, Describe(platform, handle, list.Count)));
            }
        }

        return list;
    }

    private static DeviceInfo Describe(nint platform, nint handle, int number)
    {
        const ulong exact = Cl.FpDenorm | Cl.FpInfNan | Cl.FpRoundToNearest | Cl.FpFma | Cl.FpCorrectlyRoundedDivideSqrt;
        var type = Cl.Number(handle, Cl.DeviceType);
        var extensions = Cl.Text(handle, Cl.DeviceExtensions).Split(' ');
        var fp64 = extensions.Contains("cl_khr_fp64");
        var config = Cl.Number(handle, Cl.DeviceSingleFpConfig);
        var unusable = Cl.Number(handle, Cl.DeviceAvailable) == 0 ? "its driver says that it is not available; restart it"
            : Cl.Number(handle, Cl.DeviceCompilerAvailable) == 0 ? "its driver has no compiler for kernels; install the full driver"
            : Cl.Number(handle, Cl.DeviceMaxWorkGroupSize) < DeviceQueue.WideGroup ? $"it runs fewer than {DeviceQueue.WideGroup} work-items together"
            : Cl.Number(handle, Cl.DeviceLocalMemSize) < 32768 ? "it has less than 32 KiB of local memory"
            : (config & Cl.FpInfNan) == 0 ? "its float32 has no infinities and NaN"
            : null;
        return new DeviceInfo(
            $"opencl:{number}", Cl.Text(handle, Cl.DeviceName), $"{Cl.PlatformText(platform, Cl.PlatformName)} {Cl.Text(handle, Cl.DriverVersion)}",
            (long)Math.Min(long.MaxValue, Cl.Number(handle, Cl.DeviceGlobalMemSize)),
            (type & Cl.DeviceTypeGpu) != 0 ? DeviceKind.Gpu : (type & Cl.DeviceTypeCpu) != 0 ? DeviceKind.Processor : DeviceKind.Other,
            fp64, extensions.Contains("cl_khr_fp16"), fp64 && (config & exact) == exact, unusable);
    }
}
