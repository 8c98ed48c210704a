using System.Runtime.InteropServices;
using System.Text;

namespace Tva.Core.Torch;

/// <summary>What TorchSharp does not tell of graphics cards: asked of CUDA's driver, which is there where they are.</summary>
internal static unsafe class CudaDriver
{
    private const string Driver = "cuda";

    static CudaDriver() => NativeLibrary.SetDllImportResolver(typeof(CudaDriver).Assembly, (name, _, _) =>
        name == Driver && NativeLibrary.TryLoad(OperatingSystem.IsWindows() ? "nvcuda.dll" : "libcuda.so.1", out var handle) ? handle : 0);

    /// <summary>Cards that the driver sees, or null without a driver or card.</summary>
    public static int? Cards()
    {
        try
        {
            int count;
            return cuInit(0) == 0 && cuDeviceGetCount(&count) == 0 && count > 0 ? count : null;
        }
        catch (DllNotFoundException)
        {
            return null;
        }
    }

    /// <summary>A card's name and bytes of memory.</summary>
    public static (string Name, long Memory) Describe(int card)
    {
        const int length = 256;
        var name = stackalloc byte[length];
        int device;
        nuint bytes;
        return Cards() is not null && cuDeviceGet(&device, card) == 0 && cuDeviceGetName(name, length, device) == 0 && cuDeviceTotalMem_v2(&bytes, device) == 0
            ? (Encoding.UTF8.GetString(MemoryMarshal.CreateReadOnlySpanFromNullTerminated(name)), (long)bytes)
            : ($"card {card}", 4L << 30);
    }

    [DllImport(Driver)]
    private static extern int cuInit(uint flags);

    [DllImport(Driver)]
    private static extern int cuDeviceGetCount(int* count);

    [DllImport(Driver)]
    private static extern int cuDeviceGet(int* device, int ordinal);

    [DllImport(Driver)]
    private static extern int cuDeviceGetName(byte* name, int length, int device);

    [DllImport(Driver)]
    private static extern int cuDeviceTotalMem_v2(nuint* bytes, int device);
}
