using System.Runtime.InteropServices;
using Tva.Core.Devices;
using TorchSharp;
using static TorchSharp.torch;

namespace Tva.Core.Torch;

/// <summary>The devices that libtorch has: the processor, and graphics cards where it is one for CUDA and finds them.</summary>
public sealed class TorchProvider : IDeviceProvider
{
    private readonly Lazy<(IReadOnlyList<DeviceInfo> Devices, string? Missing)> found = new(Look);

    /// <inheritdoc/>
    public string Name => "torch";

    /// <inheritdoc/>
    public IReadOnlyList<DeviceInfo> Devices => found.Value.Devices;

    /// <inheritdoc/>
    public string? Missing => found.Value.Missing;

    /// <inheritdoc/>
    public IBlockDevice Open(DeviceInfo info, DeviceOptions options)
    {
        if (info.Unusable is { } why)
        {
            throw new DeviceFaultException($"{info.Name} ({info.Id}) can't be used: {why}");
        }

        var card = info.Kind != DeviceKind.Gpu ? -1 : Devices.Where(d => d.Kind == DeviceKind.Gpu).ToList().FindIndex(d => d.Id == info.Id);
        return new TorchDevice(info, card, options);
    }

    private static (IReadOnlyList<DeviceInfo> Devices, string? Missing) Look()
    {
        // Before TorchSharp looks for it itself, and prints what it tried.
        try
        {
            _ = NativeLibrary.Load("LibTorchSharp", typeof(torch).Assembly, null);
        }
        catch (Exception e) when (e is DllNotFoundException or BadImageFormatException)
        {
            return ([], $"TorchSharp is there but its native library is not, or not what it needs: {e.Message.Trim().Split('\n')[^1].Trim()}; "
                + $"name the folder of {NativeName} in TVA_LIBTORCH, with libtorch beside it or where the system looks for libraries");
        }

        try
        {
            // A call that every build has; workers are threads of their own already.
            set_num_threads(Math.Max(1, Environment.ProcessorCount / Math.Clamp(Environment.ProcessorCount, 2, 8)));
            var driver = $"TorchSharp {typeof(torch).Assembly.GetName().Version?.ToString(3)} for libtorch {__version__}";
            var list = new List<DeviceInfo>
            {
                new("torch:cpu", "libtorch on the processor", driver, GC.GetGCMemoryInfo().TotalAvailableMemoryBytes, DeviceKind.Processor, true, true, false),
            };
            for (var card = 0; cuda.is_available() && card < cuda.device_count(); card++)
            {
                var (name, memory) = CudaDriver.Describe(card);
                list.Add(new(card == 0 ? "torch:cuda" : $"torch:cuda:{card}", $"libtorch on {name}", driver, memory, DeviceKind.Gpu, true, true, false));
            }

            if (list.Count == 1)
            {
                list.Add(new("torch:cuda", "libtorch on CUDA", driver, 0, DeviceKind.Gpu, true, true, false, NoCuda()));
            }

            return (list, null);
        }
        catch (Exception e) when (e is ExternalException or NotSupportedException or InvalidOperationException or TypeInitializationException or DllNotFoundException or EntryPointNotFoundException)
        {
            return ([], $"TorchSharp's native library does not go with TorchSharp {typeof(torch).Assembly.GetName().Version?.ToString(3)}: {e.Message.Split('\n')[0]}; build both from the same version");
        }
    }

    private static string NativeName => OperatingSystem.IsWindows() ? "LibTorchSharp.dll" : OperatingSystem.IsMacOS() ? "libLibTorchSharp.dylib" : "libLibTorchSharp.so";

    private static string NoCuda() => CudaDriver.Cards() is { } cards
        ? $"there {(cards == 1 ? "is a card" : $"are {cards} cards")}, but this libtorch is one without CUDA; build with -p:Torch=cuda"
        : "there is no NVIDIA driver or no card; torch:cpu needs none";
}
