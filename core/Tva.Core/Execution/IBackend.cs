using Tva.Core.Devices;
using Tva.Core.Kernels;

namespace Tva.Core.Execution;

/// <summary>
/// Where a plan is computed. Comes in: fused programs. Goes out: code for the worker threads, and, where there is a device, kernels that take
/// whole blocks there. What a device has no kernel for (see <see cref="Placement"/>) the worker threads do, in the same run.
/// </summary>
public interface IBackend
{
    /// <summary>Its name for the user, for instance <c>cpu</c>.</summary>
    string Name { get; }

    /// <summary>Compiles a program for the worker threads; equal programs may give the same body.</summary>
    KernelBody Compile(KernelProgram program) => CpuKernel.Compile(program);

    /// <summary>The device that takes blocks; null: the worker threads do everything, cell by cell.</summary>
    IBlockDevice? Device => null;

    /// <summary>The operands that stay on the device from one run to the next; null where there is none.</summary>
    HeldOperands? Held => null;
}

/// <summary>Runs kernels on the worker threads themselves, as vector loops.</summary>
public sealed class CpuBackend : IBackend
{
    /// <summary>The only one needed: it holds nothing.</summary>
    public static CpuBackend Instance { get; } = new();

    /// <inheritdoc/>
    public string Name => "cpu";
}

/// <summary>Sends blocks to a device.</summary>
/// <param name="device">The device, which whoever opened it closes.</param>
public sealed class DeviceBackend(IBlockDevice device) : IBackend
{
    /// <inheritdoc/>
    public string Name => device.Info.Name;

    /// <inheritdoc/>
    public IBlockDevice Device => device;

    /// <inheritdoc/>
    public HeldOperands Held { get; } = new(device);
}
