using System.Reflection;
using System.Runtime.InteropServices;

namespace Tva.Core.Devices;

/// <summary>Comes in: what imports call a driver's library. Goes out: the one that was found on this computer, whatever its file is called.</summary>
internal static class DriverLibraries
{
    private static readonly Dictionary<string, Func<nint>> Known = new(StringComparer.Ordinal);

    static DriverLibraries() => NativeLibrary.SetDllImportResolver(Assembly.GetExecutingAssembly(), (name, _, _) =>
    {
        lock (Known)
        {
            return Known.TryGetValue(name, out var handle) ? handle() : 0;
        }
    });

    /// <summary>The first library of these that loads; 0: none does.</summary>
    public static nint First(IEnumerable<string> names) => names.Select(name => NativeLibrary.TryLoad(name, out var handle) ? handle : 0).FirstOrDefault(handle => handle != 0);

    /// <summary>Says where a library is, before the first of its functions is called.</summary>
    public static void Add(string name, Func<nint> handle)
    {
        lock (Known)
        {
            Known[name] = handle;
        }
    }
}
