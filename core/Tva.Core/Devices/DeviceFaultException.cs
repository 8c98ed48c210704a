namespace Tva.Core.Devices;

/// <summary>
/// A device can't do its part: there is none, its driver refuses, a kernel does not compile, its memory is too small, it was lost. The message
/// names the device and the way out. Thrown before the first byte of output, it lets whoever chose the device by itself go on with the CPU.
/// </summary>
public sealed class DeviceFaultException(string message, Exception? inner = null) : FaultException(message, inner)
{
    /// <summary>Whether the device is of no more use as it was opened.</summary>
    public bool Lost { get; init; }

    /// <summary>Whether nothing had been written of any output when it happened.</summary>
    public bool BeforeOutput { get; internal set; } = true;
}
