using System.Runtime.InteropServices;
using System.Text;

namespace Tva.Core.Devices.OpenCl;

/// <summary>The functions of the system's OpenCL loader, version 1.2, as they are declared in CL/cl.h; and whether there is a loader.</summary>
internal static unsafe partial class Cl
{
    private const string Library = "OpenCL";
    private static readonly string[] Names = OperatingSystem.IsWindows() ? ["OpenCL.dll"]
        : OperatingSystem.IsMacOS() ? ["/System/Library/Frameworks/OpenCL.framework/OpenCL"]
        : ["libOpenCL.so.1", "libOpenCL.so"];

    private static readonly nint Loader = Load();

    /// <summary>Whether the computer has a loader.</summary>
    public static bool Available => Loader != 0;

    public const uint DeviceTypeCpu = 2, DeviceTypeGpu = 4, DeviceTypeAll = 0xffffffff;
    public const int Success = 0, DeviceNotFound = -1, OutOfResources = -5, OutOfHostMemory = -6, MemAllocationFailure = -4, InvalidBufferSize = -61;
    public const ulong ReadWrite = 1, AllocHostPointer = 1 << 4;
    public const ulong MapRead = 1, MapWrite = 2;
    public const uint ProfilingQueue = 2;

    // cl_platform_info, cl_device_info, cl_program_build_info, cl_program_info.
    public const uint PlatformVersion = 0x0901, PlatformName = 0x0902;
    public const uint DeviceType = 0x1000, DeviceMaxComputeUnits = 0x1002, DeviceMaxWorkGroupSize = 0x1004, DeviceMaxMemAllocSize = 0x1010;
    public const uint DeviceMaxParameterSize = 0x1017, DeviceSingleFpConfig = 0x101B, DeviceGlobalMemSize = 0x101F, DeviceLocalMemSize = 0x1023;
    public const uint DeviceAvailable = 0x1027, DeviceCompilerAvailable = 0x1028, DeviceName = 0x102B, DriverVersion = 0x102D, DeviceVersion = 0x102F;
    public const uint DeviceExtensions = 0x1030, DeviceDoubleFpConfig = 0x1032;
    public const uint ProgramBuildLog = 0x1183, ProgramBinarySizes = 0x1165, ProgramBinaries = 0x1166;

    // Bits of the float configuration.
    public const ulong FpDenorm = 1, FpInfNan = 2, FpRoundToNearest = 4, FpFma = 32, FpCorrectlyRoundedDivideSqrt = 128;

    static Cl() => DriverLibraries.Add(Library, () => Loader);

    [LibraryImport(Library)]
    public static partial int clGetPlatformIDs(uint entries, nint* platforms, uint* count);

    [LibraryImport(Library)]
    public static partial int clGetPlatformInfo(nint platform, uint name, nuint size, void* value, nuint* sizeOut);

    [LibraryImport(Library)]
    public static partial int clGetDeviceIDs(nint platform, ulong type, uint entries, nint* devices, uint* count);

    [LibraryImport(Library)]
    public static partial int clGetDeviceInfo(nint device, uint name, nuint size, void* value, nuint* sizeOut);

    [LibraryImport(Library)]
    public static partial nint clCreateContext(nint* properties, uint count, nint* devices, nint notify, nint user, int* error);

    [LibraryImport(Library)]
    public static partial int clReleaseContext(nint context);

    [LibraryImport(Library)]
    public static partial nint clCreateCommandQueue(nint context, nint device, ulong properties, int* error);

    [LibraryImport(Library)]
    public static partial int clReleaseCommandQueue(nint queue);

    [LibraryImport(Library)]
    public static partial nint clCreateBuffer(nint context, ulong flags, nuint size, void* host, int* error);

    [LibraryImport(Library)]
    public static partial int clReleaseMemObject(nint memory);

    [LibraryImport(Library)]
    public static partial nint clCreateProgramWithSource(nint context, uint count, byte** strings, nuint* lengths, int* error);

    [LibraryImport(Library)]
    public static partial nint clCreateProgramWithBinary(nint context, uint count, nint* devices, nuint* lengths, byte** binaries, int* status, int* error);

    [LibraryImport(Library)]
    public static partial int clBuildProgram(nint program, uint count, nint* devices, byte* options, nint notify, nint user);

    [LibraryImport(Library)]
    public static partial int clGetProgramBuildInfo(nint program, nint device, uint name, nuint size, void* value, nuint* sizeOut);

    [LibraryImport(Library)]
    public static partial int clGetProgramInfo(nint program, uint name, nuint size, void* value, nuint* sizeOut);

    [LibraryImport(Library)]
    public static partial int clReleaseProgram(nint program);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    public static partial nint clCreateKernel(nint program, string name, int* error);

    [LibraryImport(Library)]
    public static partial int clReleaseKernel(nint kernel);

    [LibraryImport(Library)]
    public static partial int clSetKernelArg(nint kernel, uint index, nuint size, void* value);

    [LibraryImport(Library)]
    public static partial int clEnqueueNDRangeKernel(
        nint queue, nint kernel, uint dimensions, nuint* offset, nuint* global, nuint* local, uint waits, nint* wait, nint* done);

    [LibraryImport(Library)]
    public static partial int clEnqueueReadBuffer(nint queue, nint buffer, uint blocking, nuint offset, nuint size, void* to, uint waits, nint* wait, nint* done);

    [LibraryImport(Library)]
    public static partial int clEnqueueWriteBuffer(nint queue, nint buffer, uint blocking, nuint offset, nuint size, void* from, uint waits, nint* wait, nint* done);

    [LibraryImport(Library)]
    public static partial int clEnqueueCopyBuffer(nint queue, nint from, nint to, nuint fromOffset, nuint toOffset, nuint size, uint waits, nint* wait, nint* done);

    [LibraryImport(Library)]
    public static partial int clEnqueueFillBuffer(nint queue, nint buffer, void* pattern, nuint patternSize, nuint offset, nuint size, uint waits, nint* wait, nint* done);

    [LibraryImport(Library)]
    public static partial void* clEnqueueMapBuffer(
        nint queue, nint buffer, uint blocking, ulong flags, nuint offset, nuint size, uint waits, nint* wait, nint* done, int* error);

    [LibraryImport(Library)]
    public static partial int clEnqueueUnmapMemObject(nint queue, nint memory, void* mapped, uint waits, nint* wait, nint* done);

    [LibraryImport(Library)]
    public static partial int clFlush(nint queue);

    [LibraryImport(Library)]
    public static partial int clFinish(nint queue);

    /// <summary>A device's number.</summary>
    public static ulong Number(nint device, uint name)
    {
        ulong value = 0;
        return clGetDeviceInfo(device, name, sizeof(ulong), &value, null) == Success ? value : 0;
    }

    /// <summary>A device's text.</summary>
    public static string Text(nint device, uint name)
    {
        nuint size = 0;
        if (clGetDeviceInfo(device, name, 0, null, &size) != Success || size == 0)
        {
            return "";
        }

        var bytes = new byte[size];
        fixed (byte* to = bytes)
        {
            return clGetDeviceInfo(device, name, size, to, null) == Success ? Encoding.UTF8.GetString(bytes).TrimEnd('\0').Trim() : "";
        }
    }

    /// <summary>A platform's text.</summary>
    public static string PlatformText(nint platform, uint name)
    {
        nuint size = 0;
        if (clGetPlatformInfo(platform, name, 0, null, &size) != Success || size == 0)
        {
            return "";
        }

        var bytes = new byte[size];
        fixed (byte* to = bytes)
        {
            return clGetPlatformInfo(platform, name, size, to, null) == Success ? Encoding.UTF8.GetString(bytes).TrimEnd('\0').Trim() : "";
        }
    }

    /// <summary>The name of an error, as the header has it.</summary>
    public static string ErrorName(int code) => code switch
    {
        -1 => "CL_DEVICE_NOT_FOUND",
        -2 => "CL_DEVICE_NOT_AVAILABLE",
        -3 => "CL_COMPILER_NOT_AVAILABLE",
        -4 => "CL_MEM_OBJECT_ALLOCATION_FAILURE",
        -5 => "CL_OUT_OF_RESOURCES",
        -6 => "CL_OUT_OF_HOST_MEMORY",
        -11 => "CL_BUILD_PROGRAM_FAILURE",
        -14 => "CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST",
        -30 => "CL_INVALID_VALUE",
        -33 => "CL_INVALID_DEVICE",
        -34 => "CL_INVALID_CONTEXT",
        -36 => "CL_INVALID_COMMAND_QUEUE",
        -38 => "CL_INVALID_MEM_OBJECT",
        -42 => "CL_INVALID_BINARY",
        -43 => "CL_INVALID_BUILD_OPTIONS",
        -44 => "CL_INVALID_PROGRAM",
        -45 => "CL_INVALID_PROGRAM_EXECUTABLE",
        -46 => "CL_INVALID_KERNEL_NAME",
        -48 => "CL_INVALID_KERNEL",
        -49 => "CL_INVALID_ARG_INDEX",
        -50 => "CL_INVALID_ARG_VALUE",
        -51 => "CL_INVALID_ARG_SIZE",
        -52 => "CL_INVALID_KERNEL_ARGS",
        -54 => "CL_INVALID_WORK_GROUP_SIZE",
        -61 => "CL_INVALID_BUFFER_SIZE",
        -1001 => "CL_PLATFORM_NOT_FOUND_KHR",
        -9999 => "an illegal access by a kernel",
        _ => $"error {code}",
    };

    private static nint Load()
    {
        LeaveSignals();
        return DriverLibraries.First(Names);
    }

    /// <summary>
    /// PoCL takes SIGFPE over when it opens a device, and a division by zero anywhere in the process then ends it, where .NET makes an
    /// exception of it. It asks its environment whether to, and that of the process is not what .NET's own functions set.
    /// </summary>
    private static void LeaveSignals()
    {
        try
        {
            if (!OperatingSystem.IsWindows())
            {
                _ = setenv("POCL_SIGFPE_HANDLER", "0", 0);
                _ = setenv("POCL_SIGUSR2_HANDLER", "0", 0);
            }
        }
        catch (Exception e) when (e is DllNotFoundException or EntryPointNotFoundException)
        {
            // No such function, and no PoCL either.
        }
    }

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int setenv(string name, string value, int overwrite);
}
