using System.Runtime.InteropServices;
using Tva.Core.Devices;
using Tva.Core.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Tva.Core.Torch;

/// <summary>A device of libtorch's: the processor, or a graphics card through CUDA.</summary>
internal sealed class TorchDevice : IBlockDevice
{
    /// <summary>Elements of a run on the processor: results of steps stay in its caches, and a step's work is well above what calling it costs.</summary>
    private const int ProcessorRun = 4 * BlockProgram.CellElements;

    /// <summary>Elements of a run on a graphics card at most: more make its kernels no faster.</summary>
    private const int CardRun = 512 * BlockProgram.CellElements;

    /// <summary>Blocks that may be in flight.</summary>
    private const int Lanes = 8;

    private readonly Dictionary<BlockProgram, TorchKernel> kernels = [];
    private readonly Lock gate = new();
    private readonly Tensor? mark;
    private long taken;

    public TorchDevice(DeviceInfo info, int card, DeviceOptions options)
    {
        Info = info;
        IsCuda = card >= 0;
        Place = IsCuda ? new Device(DeviceType.CUDA, card) : CPU;
        Memory = options.Memory ?? info.Memory / 4 * 3;
        mark = IsCuda ? Guarded("be started", () => zeros(1, ScalarType.Byte, Place).DetachFromDisposeScope()) : null;
    }

    /// <inheritdoc/>
    public DeviceInfo Info { get; }

    /// <inheritdoc/>
    public long Memory { get; }

    /// <summary>As libtorch calls it.</summary>
    public Device Place { get; }

    /// <summary>Whether it has memory of its own.</summary>
    public bool IsCuda { get; }

    /// <summary>Never: its sums have other bits, which the iterations on matrices would carry on.</summary>
    public bool Multiplies => false;

    /// <inheritdoc/>
    public string? Refusal(BlockProgram program) => null;

    /// <inheritdoc/>
    public IBlockKernel Compile(BlockProgram program)
    {
        lock (gate)
        {
            if (kernels.TryGetValue(program, out var known))
            {
                return known;
            }
        }

        var kernel = Guarded("prepare a program for it", () => new TorchKernel(program, Place));
        lock (gate)
        {
            return kernels[program] = kernel;
        }
    }

    /// <inheritdoc/>
    public IBlockLane Open(long staging) => new TorchLane(this, staging);

    /// <inheritdoc/>
    public IHeld? Hold(long bytes)
    {
        lock (gate)
        {
            if (taken + bytes > Memory / 2)
            {
                return null;
            }

            taken += bytes;
        }

        try
        {
            return new TorchHeld(this, empty(bytes, ScalarType.Byte, Place).DetachFromDisposeScope());
        }
        catch (ExternalException)
        {
            GiveBack(bytes);
            return null;
        }
    }

    /// <summary>Memory that an operand no longer takes.</summary>
    public void GiveBack(long bytes)
    {
        lock (gate)
        {
            taken -= bytes;
        }
    }

    /// <summary>Elements that are computed together, whole cells.</summary>
    /// <param name="bytesPerElement">What one takes.</param>
    public int RunElements(long bytesPerElement)
    {
        var fit = Memory / 2 / Lanes / bytesPerElement / BlockProgram.CellElements * BlockProgram.CellElements;
        return (int)Math.Clamp(fit, BlockProgram.CellElements, IsCuda ? CardRun : ProcessorRun);
    }

    /// <summary>
    /// Waits for copies to the host: by one that does wait, behind them on the card's stream. TorchSharp's own call would wait for the
    /// thread's card, which is the first one, and takes another argument in every version.
    /// </summary>
    public void Finish() => mark?.cpu().Dispose();

    /// <summary>Does something with libtorch, whose errors are the device's.</summary>
    /// <param name="what">What it does, after "can't".</param>
    /// <param name="action">Does it.</param>
    /// <exception cref="DeviceFaultException">libtorch refused.</exception>
    public T Guarded<T>(string what, Func<T> action)
    {
        try
        {
            return action();
        }
        catch (ExternalException e)
        {
            throw TorchFaults.Of(this, what, e);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (gate)
        {
            kernels.Clear();
        }

        mark?.Dispose();
    }
}
