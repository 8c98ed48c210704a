using System.Runtime.InteropServices;
using Tva.Core.Devices;
using Tva.Core.Tensors;

namespace Tva.Core.Torch;

/// <summary>Comes in: what libtorch threw. Goes out: the device's fault, with what to do.</summary>
internal static class TorchFaults
{
    /// <summary>The fault.</summary>
    public static DeviceFaultException Of(TorchDevice device, string what, ExternalException error)
    {
        // libtorch's messages go on with the call stack.
        var said = error.Message.Split('\n')[0].Trim();
        var memory = said.Contains("out of memory", StringComparison.OrdinalIgnoreCase) || said.Contains("allocate memory", StringComparison.OrdinalIgnoreCase)
            || said.Contains("ALLOC_FAILED", StringComparison.Ordinal);
        var way = memory
            ? $"give it less with {Wording.Current.DeviceMemory} (it has {Sizes.Text(device.Memory)}), end what else uses it, or compute with {Wording.Current.Cpu}"
            : $"start again, and if it goes on, compute with {Wording.Current.Cpu}";
        return new DeviceFaultException($"{device.Info.Name} ({device.Info.Id}) can't {what}: {said}; {way}", error) { Lost = !memory };
    }
}
