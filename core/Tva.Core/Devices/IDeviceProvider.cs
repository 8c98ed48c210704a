namespace Tva.Core.Devices;

/// <summary>A way to devices: a driver interface or a library.</summary>
public interface IDeviceProvider
{
    /// <summary>What its devices' ids begin with, for instance <c>opencl</c>.</summary>
    string Name { get; }

    /// <summary>What there is, unusable ones included. Looked for once; never throws.</summary>
    IReadOnlyList<DeviceInfo> Devices { get; }

    /// <summary>Why there is none, and what to do; null where there is one.</summary>
    string? Missing { get; }

    /// <summary>Opens one of them.</summary>
    /// <exception cref="DeviceFaultException">It can't be used.</exception>
    IBlockDevice Open(DeviceInfo info, DeviceOptions options);
}
