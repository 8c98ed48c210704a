using System.Runtime.InteropServices;

namespace Tva.Core.Devices.Cuda;

/// <summary>
/// NVIDIA's compiler of CUDA C++ at run time, as it is declared in nvrtc.h; where it is found: named by TVA_NVRTC, on the loader's path, in a CUDA
/// toolkit, in the Python environment that is active.
/// </summary>
internal static unsafe partial class Nvrtc
{
    /// <summary>The environment variable that names the library where it is elsewhere.</summary>
    public const string Variable = "TVA_NVRTC";

    /// <summary>What to do where there is none.</summary>
    public const string Install =
        $"install NVRTC: it comes with the CUDA toolkit, and with PyTorch's CUDA builds (pip install nvidia-cuda-nvrtc); name its library in {Variable} where it is not found";

    private const string Library = "nvrtc";

    private static readonly Lazy<nint> Found = new(() => Candidates().Select(n => NativeLibrary.TryLoad(n, out var handle) ? handle : 0).FirstOrDefault(h => h != 0));

    static Nvrtc() => DriverLibraries.Add(Library, () => Compiler);

    /// <summary>The library's handle; 0: there is none.</summary>
    public static nint Compiler => Found.Value;

    [LibraryImport(Library)]
    public static partial int nvrtcVersion(int* major, int* minor);

    [LibraryImport(Library)]
    public static partial int nvrtcGetNumSupportedArchs(int* count);

    [LibraryImport(Library)]
    public static partial int nvrtcGetSupportedArchs(int* architectures);

    [LibraryImport(Library)]
    public static partial int nvrtcCreateProgram(nint* program, byte* source, byte* name, int headers, byte** headerTexts, byte** headerNames);

    [LibraryImport(Library)]
    public static partial int nvrtcCompileProgram(nint program, int count, byte** options);

    [LibraryImport(Library)]
    public static partial int nvrtcGetCUBINSize(nint program, nuint* size);

    [LibraryImport(Library)]
    public static partial int nvrtcGetCUBIN(nint program, byte* to);

    [LibraryImport(Library)]
    public static partial int nvrtcGetPTXSize(nint program, nuint* size);

    [LibraryImport(Library)]
    public static partial int nvrtcGetPTX(nint program, byte* to);

    [LibraryImport(Library)]
    public static partial int nvrtcGetProgramLogSize(nint program, nuint* size);

    [LibraryImport(Library)]
    public static partial int nvrtcGetProgramLog(nint program, byte* to);

    [LibraryImport(Library)]
    public static partial int nvrtcDestroyProgram(nint* program);

    [LibraryImport(Library)]
    public static partial byte* nvrtcGetErrorString(int error);

    private static IEnumerable<string> Candidates()
    {
        if (Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } named)
        {
            yield return named;
        }

        string[] names = OperatingSystem.IsWindows()
            ? ["nvrtc64_130_0.dll", "nvrtc64_120_0.dll", "nvrtc64_112_0.dll"]
            : ["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so.11.2", "libnvrtc.so"];
        foreach (var name in names)
        {
            yield return name;
        }

        foreach (var folder in Folders())
        {
            foreach (var name in names)
            {
                yield return Path.Combine(folder, name);
            }
        }
    }

    private static IEnumerable<string> Folders()
    {
        var toolkits = ((string[])["CUDA_PATH", "CUDA_HOME"]).Select(Environment.GetEnvironmentVariable).Append(OperatingSystem.IsWindows() ? null : "/usr/local/cuda");
        foreach (var toolkit in toolkits.Where(t => !string.IsNullOrEmpty(t)))
        {
            yield return Path.Combine(toolkit!, OperatingSystem.IsWindows() ? "bin" : "lib64");
        }

        var environments = ((string[])["VIRTUAL_ENV", "CONDA_PREFIX"]).Select(Environment.GetEnvironmentVariable).Where(e => !string.IsNullOrEmpty(e));
        foreach (var packages in environments.SelectMany(e => Below(Path.Combine(e!, "lib"), "python*")).Select(p => Path.Combine(p, "site-packages", "nvidia")))
        {
            foreach (var package in Below(packages, "cu*"))
            {
                yield return Path.Combine(package, "lib");
            }
        }
    }

    private static string[] Below(string folder, string pattern)
    {
        try
        {
            return Directory.Exists(folder) ? Directory.GetDirectories(folder, pattern) : [];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }
}
