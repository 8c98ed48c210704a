using Tva.Core.Devices;
using Tva.Core.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Tva.Core.Torch;

/// <summary>
/// Comes in: a block's call. Goes out: the same from libtorch, in runs of whole cells that its memory holds; nothing depends on how long they
/// are. CUDA copies from pinned memory while others compute.
/// </summary>
internal sealed unsafe class TorchLane : IBlockLane
{
    private readonly TorchDevice device;
    private readonly Block? own;
    private readonly Tensor? pinned;
    private readonly long bytes;

    public TorchLane(TorchDevice device, long staging)
    {
        this.device = device;
        bytes = staging + Block.Alignment;
        if (!device.IsCuda)
        {
            own = new Block(bytes);
            Staging = own.Pointer;
            return;
        }

        pinned = device.Guarded($"get {Sizes.Text(staging)} of memory to copy from", () =>
        {
            using var plain = empty(bytes, ScalarType.Byte);
            return plain.pin_memory().DetachFromDisposeScope();
        });

        // Of all of it there is no span beyond 2 GiB.
        using var start = pinned.narrow(0, 0, 1);
        fixed (byte* first = start.bytes)
        {
            Staging = first;
        }
    }

    /// <inheritdoc/>
    public byte* Staging { get; }

    /// <inheritdoc/>
    public void Run(IBlockKernel kernel, BlockCall call)
    {
        var k = (TorchKernel)kernel;
        device.Guarded($"compute {call.Count:N0} elements", () =>
        {
            using var plain = no_grad();
            Keep(k.Program, call);
            var scans = new Scans(call.Scans);
            var run = new BlockRun(device, this, k, call, scans);
            var length = device.RunElements(k.BytesPerElement);
            for (var from = 0; from < call.Count; from += length)
            {
                using var scope = NewDisposeScope();
                run.Run(from, Math.Min(length, call.Count - from));
            }

            scans.Finish();
            return 0;
        });
    }

    /// <inheritdoc/>
    public void Multiply(MatrixOperand a, MatrixOperand b, float* c, IHeld place) => throw new NotSupportedException();

    /// <inheritdoc/>
    public void Copy(IHeld from, IHeld to) => device.Guarded("copy within its memory", () =>
    {
        using var part = ((TorchHeld)to).Elements.narrow(0, 0, from.Bytes);
        _ = part.copy_(((TorchHeld)from).Elements);
        device.Finish();
        return 0;
    });

    /// <inheritdoc/>
    public void Dispose()
    {
        own?.Dispose();
        pinned?.Dispose();
    }

    /// <summary>Elements in host memory as a tensor on the device.</summary>
    public Tensor Up(byte* from, long elements, DType type)
    {
        var size = elements * type.Size();
        if (!device.IsCuda)
        {
            var here = empty(elements, TorchTypes.Of(type));
            new ReadOnlySpan<byte>(from, checked((int)size)).CopyTo(here.bytes);
            return here;
        }

        var raw = UpBytes(from, size);
        return TorchTypes.Of(type) == ScalarType.Byte ? raw : Bits.As(raw, TorchTypes.Of(type));
    }

    /// <summary>Elements on the device to host memory.</summary>
    public void Down(Tensor elements, byte* to)
    {
        var size = elements.numel() * elements.ElementSize;
        if (device.IsCuda && Staged(to, size) is { } place)
        {
            using var raw = elements.dtype == ScalarType.Byte ? elements.alias() : Bits.As(elements, ScalarType.Byte);
            _ = place.copy_(raw, true);
            return;
        }

        using var here = elements.contiguous().cpu();
        here.bytes.CopyTo(new Span<byte>(to, checked((int)size)));
    }

    private Tensor UpBytes(byte* from, long size)
    {
        var there = empty(size, ScalarType.Byte, device.Place);
        if (Staged(from, size) is { } place)
        {
            _ = there.copy_(place, true);
            return there;
        }

        using var here = empty(size, ScalarType.Byte);
        new ReadOnlySpan<byte>(from, checked((int)size)).CopyTo(here.bytes);
        _ = there.copy_(here);
        return there;
    }

    /// <summary>The pinned memory at an address, or null where it lies elsewhere.</summary>
    private Tensor? Staged(byte* at, long size) =>
        pinned is not null && at >= Staging && at + size <= Staging + bytes ? pinned.narrow(0, at - Staging, size) : null;

    /// <summary>Copies operands that are to stay.</summary>
    private void Keep(BlockProgram block, BlockCall call)
    {
        for (var i = 0; i < call.Inputs.Length; i++)
        {
            ref var input = ref call.Inputs[i];
            if (block.Sources[i] == BlockSource.Memory && input.Host != null && input.Held is TorchHeld held)
            {
                using var scope = NewDisposeScope();
                var size = (long)call.Count * block.Program.Inputs[i].Size();
                _ = held.Elements.narrow(0, input.HeldOffset, size).copy_(Up(input.Host, size, DType.U8));
            }
        }
    }
}

/// <summary>Memory of libtorch's that an operand is kept in.</summary>
internal sealed class TorchHeld(TorchDevice device, Tensor elements) : IHeld
{
    /// <summary>The bytes.</summary>
    public Tensor Elements => elements;

    /// <inheritdoc/>
    public long Bytes { get; } = elements.numel();

    /// <inheritdoc/>
    public void Dispose()
    {
        elements.Dispose();
        device.GiveBack(Bytes);
    }
}
