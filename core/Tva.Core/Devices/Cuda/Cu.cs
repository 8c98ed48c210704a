using System.Runtime.InteropServices;

namespace Tva.Core.Devices.Cuda;

/// <summary>The functions of NVIDIA's driver that are needed, as they are declared in cuda.h; and whether there is a driver.</summary>
internal static unsafe partial class Cu
{
    private const string Library = "cuda";
    private static readonly string[] Names = OperatingSystem.IsWindows() ? ["nvcuda.dll"] : ["libcuda.so.1", "libcuda.so"];

    /// <summary>The driver's handle; 0: there is none.</summary>
    public static nint Driver { get; } = DriverLibraries.First(Names);

    static Cu() => DriverLibraries.Add(Library, () => Driver);

    public const int Success = 0, OutOfMemory = 2, NoDevice = 100;

    // CUdevice_attribute.
    public const int Major = 75, Minor = 76;

    // CUstream_flags, CUmemhostalloc flags.
    public const uint NonBlocking = 1, Portable = 1;

    [LibraryImport(Library)]
    public static partial int cuInit(uint flags);

    [LibraryImport(Library)]
    public static partial int cuDriverGetVersion(int* version);

    [LibraryImport(Library)]
    public static partial int cuGetErrorName(int error, byte** name);

    [LibraryImport(Library)]
    public static partial int cuDeviceGetCount(int* count);

    [LibraryImport(Library)]
    public static partial int cuDeviceGet(int* device, int number);

    [LibraryImport(Library)]
    public static partial int cuDeviceGetName(byte* name, int length, int device);

    [LibraryImport(Library)]
    public static partial int cuDeviceTotalMem_v2(nuint* bytes, int device);

    [LibraryImport(Library)]
    public static partial int cuDeviceGetAttribute(int* value, int attribute, int device);

    [LibraryImport(Library)]
    public static partial int cuCtxCreate_v2(nint* context, uint flags, int device);

    [LibraryImport(Library)]
    public static partial int cuCtxDestroy_v2(nint context);

    [LibraryImport(Library)]
    public static partial int cuCtxSetCurrent(nint context);

    [LibraryImport(Library)]
    public static partial int cuStreamCreate(nint* stream, uint flags);

    [LibraryImport(Library)]
    public static partial int cuStreamDestroy_v2(nint stream);

    [LibraryImport(Library)]
    public static partial int cuStreamSynchronize(nint stream);

    [LibraryImport(Library)]
    public static partial int cuMemAlloc_v2(nint* memory, nuint bytes);

    [LibraryImport(Library)]
    public static partial int cuMemFree_v2(nint memory);

    [LibraryImport(Library)]
    public static partial int cuMemHostAlloc(void** memory, nuint bytes, uint flags);

    [LibraryImport(Library)]
    public static partial int cuMemFreeHost(void* memory);

    [LibraryImport(Library)]
    public static partial int cuMemcpyHtoDAsync_v2(nint to, void* from, nuint bytes, nint stream);

    [LibraryImport(Library)]
    public static partial int cuMemcpyDtoHAsync_v2(void* to, nint from, nuint bytes, nint stream);

    [LibraryImport(Library)]
    public static partial int cuMemcpyDtoDAsync_v2(nint to, nint from, nuint bytes, nint stream);

    [LibraryImport(Library)]
    public static partial int cuMemsetD32Async(nint memory, uint value, nuint count, nint stream);

    [LibraryImport(Library)]
    public static partial int cuModuleLoadData(nint* module, void* image);

    [LibraryImport(Library)]
    public static partial int cuModuleUnload(nint module);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int cuModuleGetFunction(nint* function, nint module, string name);

    [LibraryImport(Library)]
    public static partial int cuLaunchKernel(
        nint function, uint gridX, uint gridY, uint gridZ, uint blockX, uint blockY, uint blockZ, uint shared, nint stream, void** arguments, void** extra);

    /// <summary>A card's name and bytes of memory; null where the driver does not tell.</summary>
    /// <param name="device">Its identity at the driver.</param>
    public static (string Name, long Memory)? Describe(int device)
    {
        const int length = 256;
        var name = stackalloc byte[length];
        nuint bytes;
        return cuDeviceGetName(name, length, device) == Success && cuDeviceTotalMem_v2(&bytes, device) == Success
            ? (Marshal.PtrToStringUTF8((nint)name)!, (long)Math.Min(long.MaxValue, bytes))
            : null;
    }

    /// <summary>The name of an error, as the header has it.</summary>
    public static string ErrorName(int error)
    {
        byte* name;
        return cuGetErrorName(error, &name) == Success ? Marshal.PtrToStringUTF8((nint)name)! : $"error {error}";
    }
}
