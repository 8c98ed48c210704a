using System.Reflection;
using System.Runtime.InteropServices;
using System.Runtime.Loader;

namespace Tva.Core.Devices;

/// <summary>
/// Comes in: the folder of the TorchSharp backend, where a build has it. Goes out: its devices, or what build has it. What it needs is loaded
/// beside the program, so that nothing else meets it.
/// </summary>
public sealed class TorchLibrary : IDeviceProvider
{
    /// <summary>The environment variable that names the backend's folder, when it isn't <c>torch</c> beside the program.</summary>
    public const string FolderVariable = "TVA_TORCH";

    /// <summary>The environment variable that names the folder of LibTorchSharp's native library, when that isn't beside TorchSharp.</summary>
    public const string NativeVariable = "TVA_LIBTORCH";

    private const string Backend = "Tva.Core.Torch";

    private readonly Lazy<(IDeviceProvider? Provider, string? Missing)> loaded;

    /// <summary>The backend where the environment or the program's folder has it.</summary>
    public TorchLibrary()
        : this(Environment.GetEnvironmentVariable(FolderVariable), Environment.GetEnvironmentVariable(NativeVariable))
    {
    }

    /// <summary>The backend of a folder.</summary>
    /// <param name="folder">The folder; null or empty: <c>torch</c> beside the program.</param>
    /// <param name="native">Where LibTorchSharp's native library is; null or empty: beside TorchSharp.</param>
    public TorchLibrary(string? folder, string? native) => loaded = new(() => Load(folder, native));

    /// <inheritdoc/>
    public string Name => "torch";

    /// <inheritdoc/>
    public IReadOnlyList<DeviceInfo> Devices => loaded.Value.Provider?.Devices ?? [];

    /// <inheritdoc/>
    public string? Missing => loaded.Value.Missing ?? loaded.Value.Provider?.Missing;

    /// <inheritdoc/>
    public IBlockDevice Open(DeviceInfo info, DeviceOptions options) =>
        loaded.Value.Provider?.Open(info, options) ?? throw new DeviceFaultException($"{info.Id}: {Missing}");

    private static (IDeviceProvider? Provider, string? Missing) Load(string? folder, string? native)
    {
        var named = !string.IsNullOrEmpty(folder);
        var path = Path.Combine(named ? Path.GetFullPath(folder!) : Path.Combine(AppContext.BaseDirectory, "torch"), Backend + ".dll");
        if (!File.Exists(path))
        {
            return (null, named
                ? $"{FolderVariable} names {folder}, and there is no {Backend}.dll; build it with {BuildCommand}"
                : $"this build has no TorchSharp; build one that has with {BuildCommand}, or -p:Torch=cuda");
        }

        try
        {
            var context = new Context(path, string.IsNullOrEmpty(native) ? null : Path.GetFullPath(native));
            var assembly = context.LoadFromAssemblyPath(path);

            // One of another version shows now, and not in the middle of a run.
            _ = assembly.GetTypes();
            var type = assembly.GetType(Backend + ".TorchProvider", throwOnError: true)!;
            return ((IDeviceProvider)Activator.CreateInstance(type)!, null);
        }
        catch (Exception e) when (e is IOException or BadImageFormatException or TypeLoadException or ReflectionTypeLoadException or InvalidCastException or TargetInvocationException or MissingMethodException)
        {
            return (null, $"{path} can't be loaded: {((e as ReflectionTypeLoadException)?.LoaderExceptions.FirstOrDefault() ?? e.InnerException ?? e).Message}; build it anew, with this version, with {BuildCommand}");
        }
    }

    private static string BuildCommand => "dotnet build -c Release repl/Tva -p:Torch=cpu";

    /// <summary>The backend and what it needs, but this assembly and the framework, which are the program's own.</summary>
    private sealed class Context(string path, string? native) : AssemblyLoadContext(Backend)
    {
        private readonly AssemblyDependencyResolver resolver = new(path);

        protected override Assembly? Load(AssemblyName name) =>
            name.Name != typeof(TorchLibrary).Assembly.GetName().Name && resolver.ResolveAssemblyToPath(name) is { } found ? LoadFromAssemblyPath(found) : null;

        protected override nint LoadUnmanagedDll(string name)
        {
            foreach (var folder in (string?[])[native, Path.GetDirectoryName(path)])
            {
                foreach (var file in (string[])[$"lib{name}.so", $"{name}.dll", $"lib{name}.dylib"])
                {
                    // One that is there and can't be loaded is to say why.
                    if (folder is not null && File.Exists(Path.Combine(folder, file)))
                    {
                        return LoadUnmanagedDllFromPath(Path.Combine(folder, file));
                    }
                }
            }

            return resolver.ResolveUnmanagedDllToPath(name) is { } known ? LoadUnmanagedDllFromPath(known) : 0;
        }
    }
}
