using System.Runtime.InteropServices;

namespace Tva.Core.Devices.Cuda;

/// <summary>
/// NVIDIA's compiler of CUDA C++ at run time, as it is declared in nvrtc.h; where it is found: named by TVA_NVRTC, else on the loader's path, in a
/// CUDA toolkit, or, on Linux, in the Python environment that is active.
/// </summary>
internal static unsafe partial class Nvrtc
{
    /// <summary>The environment variable that names the library where it is elsewhere.</summary>
    public const string Variable = "TVA_NVRTC";

    /// <summary>What to do where there is none.</summary>
    public const string Install =
        $"install NVRTC: it comes with the CUDA toolkit, and with PyTorch's CUDA builds (pip install nvidia-cuda-nvrtc); name its library in {Variable} where it is not found";

    private const string Library = "nvrtc";

    private static int newest = int.MaxValue;

    private static readonly Lazy<nint> Found = new(() => DriverLibraries.First(Candidates()));

    static Nvrtc() => DriverLibraries.Add(Library, () => Compiler);

    /// <summary>The library's handle; 0: there is none.</summary>
    public static nint Compiler => Found.Value;

    /// <summary>The oldest that gives machine code.</summary>
    public static Version Least { get; } = new(11, 2);

    /// <summary>Its version, where there is one.</summary>
    public static Version Version
    {
        get
        {
            int major, minor;
            return nvrtcVersion(&major, &minor) == 0 ? new(major, minor) : new(0, 0);
        }
    }

    /// <summary>Before it is looked for: versions up to this one come first.</summary>
    public static void Prefer(int major) => newest = major;

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
            // Whoever names one wants no other.
            yield return named;
            yield break;
        }

        (int Major, string Name)[] all = OperatingSystem.IsWindows()
            ? [(13, "nvrtc64_130_0.dll"), (12, "nvrtc64_120_0.dll"), (11, "nvrtc64_112_0.dll")]
            : [(13, "libnvrtc.so.13"), (12, "libnvrtc.so.12"), (11, "libnvrtc.so.11.2"), (0, "libnvrtc.so")];
        var names = all.OrderBy(n => n.Major > newest).Select(n => n.Name).ToList();
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
