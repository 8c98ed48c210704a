using Tva.Core.Devices.Cuda;

namespace Tva.Core.Torch;

/// <summary>What TorchSharp does not tell of graphics cards: asked of CUDA's driver, which is there where they are.</summary>
internal static unsafe class CudaDriver
{
    /// <summary>Cards that the driver sees, or null without a driver or card.</summary>
    public static int? Cards()
    {
        int count;
        return Cu.Driver != 0 && Cu.cuInit(0) == Cu.Success && Cu.cuDeviceGetCount(&count) == Cu.Success && count > 0 ? count : null;
    }

    /// <summary>A card's name and bytes of memory.</summary>
    public static (string Name, long Memory) Describe(int card)
    {
        int device;
        return (Cards() is not null && Cu.cuDeviceGet(&device, card) == Cu.Success ? Cu.Describe(device) : null) ?? ($"card {card}", 4L << 30);
    }
}
