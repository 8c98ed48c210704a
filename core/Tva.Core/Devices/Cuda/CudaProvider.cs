namespace Tva.Core.Devices.Cuda;

/// <summary>Comes in: nothing. Goes out: the cards behind NVIDIA's driver, where its compiler is there too.</summary>
internal sealed unsafe class CudaProvider : IDeviceProvider
{
    private readonly Lazy<(List<(int Handle, DeviceInfo Info)> Devices, string? Missing)> found = new(Find);

    /// <inheritdoc/>
    public string Name => "cuda";

    /// <inheritdoc/>
    public IReadOnlyList<DeviceInfo> Devices => [.. found.Value.Devices.Select(d => d.Info)];

    /// <inheritdoc/>
    public string? Missing => found.Value.Missing;

    /// <inheritdoc/>
    public IBlockDevice Open(DeviceInfo info, DeviceOptions options) =>
        new CudaDevice(found.Value.Devices.First(d => d.Info.Id == info.Id).Handle, info, options);

    private static (List<(int, DeviceInfo)>, string?) Find()
    {
        var list = new List<(int, DeviceInfo)>();
        if (Cu.Driver == 0)
        {
            return (list, $"no NVIDIA driver ({(OperatingSystem.IsWindows() ? "nvcuda.dll" : "libcuda.so.1")}): install it where there is a card of theirs");
        }

        int error, version, count;
        if ((error = Cu.cuInit(0)) != Cu.Success || (error = Cu.cuDriverGetVersion(&version)) != Cu.Success || (error = Cu.cuDeviceGetCount(&count)) != Cu.Success)
        {
            return (list, error == Cu.NoDevice ? "NVIDIA's driver finds no card" : $"NVIDIA's driver does not start ({Cu.ErrorName(error)}): see what nvidia-smi says");
        }

        for (var n = 0; n < count; n++)
        {
            int handle;
            if (Cu.cuDeviceGet(&handle, n) == Cu.Success)
            {
                list.Add((handle, Describe(handle, n, version)));
            }
        }

        return (list, list.Count == 0 ? "NVIDIA's driver finds no card" : null);
    }

    private static string? Unusable(int version)
    {
        // A compiler of a newer kind than the driver writes what that can't read.
        Nvrtc.Prefer(version / 1000);
        return Nvrtc.Compiler == 0 ? $"its compiler was not found: {Nvrtc.Install}"
            : Nvrtc.Version < Nvrtc.Least ? $"its compiler is NVRTC {Nvrtc.Version}, and {Nvrtc.Least} is the oldest that will do: {Nvrtc.Install}"
            : null;
    }

    private static DeviceInfo Describe(int handle, int number, int version)
    {
        if (Cu.Describe(handle) is not var (name, memory))
        {
            return new DeviceInfo($"cuda:{number}", "an NVIDIA card", "CUDA", 0, DeviceKind.Gpu, true, true, true, "its driver does not tell what it is; see what nvidia-smi says");
        }

        return new DeviceInfo(
            $"cuda:{number}", name, $"CUDA {version / 1000}.{version % 1000 / 10}", memory, DeviceKind.Gpu,
            Fp64: true, Fp16: true, Exact: true, Unusable(version));
    }
}
