using System.Globalization;
using Tva.Core.Devices.Cuda;
using Tva.Core.Devices.OpenCl;

namespace Tva.Core.Devices;

/// <summary>Comes in: what a person calls a device. Goes out: which one that is of those there are, and the device opened.</summary>
public static class DeviceCatalog
{
    private static readonly List<IDeviceProvider> Known = [new CudaProvider(), new OpenClProvider(), new TorchLibrary()];

    /// <summary>The ways to devices, in the order in which their devices are numbered.</summary>
    public static IReadOnlyList<IDeviceProvider> Providers
    {
        get
        {
            lock (Known)
            {
                return [.. Known];
            }
        }
    }

    /// <summary>Every device there is, unusable ones included; the position is its number.</summary>
    public static IReadOnlyList<DeviceInfo> Devices => [.. Providers.SelectMany(p => p.Devices)];

    /// <summary>Adds a way to devices; one of the same name is replaced.</summary>
    public static void Add(IDeviceProvider provider)
    {
        lock (Known)
        {
            Known.RemoveAll(p => p.Name == provider.Name);
            Known.Add(provider);
        }
    }

    /// <summary>
    /// The device that is meant: <c>gpu</c> is the first usable graphics card, or where there is none the first other usable device; else its
    /// number, its id, or a part of its name that no other's has (see <see cref="Called"/>).
    /// </summary>
    /// <exception cref="DeviceFaultException">There is none, more than one, or it can't be used.</exception>
    public static DeviceInfo Find(string name)
    {
        var all = Devices;
        if (all.Count == 0)
        {
            throw new DeviceFaultException($"{Wording.Current.DeviceNamed(name)}: {Missing()}; without {Wording.Current.Device} the CPU computes");
        }

        if (name.Equals("gpu", StringComparison.OrdinalIgnoreCase))
        {
            return all.FirstOrDefault(d => d.Unusable is null && d.Kind == DeviceKind.Gpu) ?? all.FirstOrDefault(d => d.Unusable is null)
                ?? throw new DeviceFaultException($"{Wording.Current.DeviceNamed("gpu")}: none of the devices can be used: {string.Join("; ", all.Select(d => $"{d.Name} ({d.Id}): {d.Unusable}"))}; without {Wording.Current.Device} the CPU computes");
        }

        var meant = int.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? all.Skip(number).Take(1).ToList()
            : all.Where(d => d.Id.Equals(name, StringComparison.OrdinalIgnoreCase)).ToList() is { Count: > 0 } same ? same
            : Called(name);
        return meant switch
        {
            [{ Unusable: null } one] => one,
            [var one] => throw new DeviceFaultException($"{one.Name} ({one.Id}) can't be used: {one.Unusable}; or compute with {Wording.Current.Cpu}"),
            [] => throw new DeviceFaultException($"{Wording.Current.DeviceNamed(name)}: there is none of that name; there are cpu, {string.Join(", ", all.Select(d => $"{d.Id} ({d.Name})"))}{MissingOf(name)}"),
            _ => throw new DeviceFaultException($"{Wording.Current.DeviceNamed(name)}: more than one is called so: {string.Join(", ", meant.Select(d => $"{d.Id} ({d.Name})"))}; name one by its id"),
        };
    }

    /// <summary>
    /// The devices with a part of a name in theirs; where more than one way leads to a card, those of the first way by which one can be used.
    /// </summary>
    public static IReadOnlyList<DeviceInfo> Called(string name)
    {
        var ways = Providers.Select(p => p.Devices.Where(d => d.Name.Contains(name, StringComparison.OrdinalIgnoreCase)).ToList()).Where(d => d.Count > 0).ToList();
        return ways.FirstOrDefault(w => w.Any(d => d.Unusable is null)) ?? ways.FirstOrDefault() ?? [];
    }

    /// <summary>Opens a device.</summary>
    /// <param name="name">See <see cref="Find"/>.</param>
    /// <param name="options">How it is to be used.</param>
    /// <exception cref="DeviceFaultException">There is none of that name, or it can't be used.</exception>
    public static IBlockDevice Open(string name, DeviceOptions options)
    {
        var info = Find(name);
        return Providers.First(p => p.Devices.Any(d => d.Id == info.Id)).Open(info, options);
    }

    /// <summary>Why a way to devices has none, where the name is one of its ids.</summary>
    private static string MissingOf(string name) =>
        Providers.FirstOrDefault(p => name.StartsWith(p.Name, StringComparison.OrdinalIgnoreCase))?.Missing is { } missing ? $"; {missing}" : "";

    /// <summary>Why there is no device, and what to do.</summary>
    public static string Missing() => string.Join("; ", Providers.Select(p => p.Missing).OfType<string>());
}
