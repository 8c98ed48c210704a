using Tva.Core.Kernels;

namespace Tva.Core.Execution;

/// <summary>Comes in: a fused program. Goes out: something the executor can call on a block; where it computes is the backend's business.</summary>
public interface IBackend
{
    /// <summary>Its name for the user, for instance <c>cpu</c>.</summary>
    string Name { get; }

    /// <summary>Compiles a program; equal programs may give the same body.</summary>
    KernelBody Compile(KernelProgram program);
}

/// <summary>Runs kernels on the worker threads themselves, as vector loops.</summary>
public sealed class CpuBackend : IBackend
{
    /// <summary>The only one needed: it holds nothing.</summary>
    public static CpuBackend Instance { get; } = new();

    /// <inheritdoc/>
    public string Name => "cpu";

    /// <inheritdoc/>
    public KernelBody Compile(KernelProgram program) => CpuKernel.Compile(program);
}
