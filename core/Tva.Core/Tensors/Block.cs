using System.Runtime.InteropServices;

namespace Tva.Core.Tensors;

/// <summary>
/// Comes in: a length. Goes out: native memory of that length, 64-byte aligned (a cache line, the widest vector), not zeroed.
/// Rented from a <see cref="BlockPool"/>, it goes back there when disposed.
/// </summary>
public sealed unsafe class Block : IDisposable
{
    /// <summary>Alignment of every block.</summary>
    public const int Alignment = 64;

    private readonly BlockPool? pool;
    private readonly long capacity;
    private byte* pointer;

    /// <summary>Allocates a block that belongs to no pool.</summary>
    public Block(long length)
        : this(Allocate(length), length, length, null)
    {
    }

    internal Block(byte* pointer, long length, long capacity, BlockPool? pool)
    {
        this.pointer = pointer;
        this.capacity = capacity;
        this.pool = pool;
        Length = length;
    }

    /// <summary>Gives the memory of a forgotten block back, so that a failed run doesn't eat a prompt's budget.</summary>
    ~Block() => Release();

    /// <summary>First byte; null once disposed, so that a use after the return is a crash and never someone else's data.</summary>
    public byte* Pointer => pointer;

    /// <summary>Bytes asked for.</summary>
    public long Length { get; }

    /// <summary>Part of the block as a span.</summary>
    public Span<byte> Span(long offset, int length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(offset, Length - length);
        ObjectDisposedException.ThrowIf(pointer == null, this);
        return new Span<byte>(pointer + offset, length);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Release();
        GC.SuppressFinalize(this);
    }

    internal static byte* Allocate(long bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(bytes);
        return (byte*)NativeMemory.AlignedAlloc((nuint)Math.Max(bytes, 1), Alignment);
    }

    private void Release()
    {
        var p = pointer;
        pointer = null;
        if (p == null)
        {
            return;
        }

        if (pool is null)
        {
            NativeMemory.AlignedFree(p);
        }
        else
        {
            pool.Return(p, capacity);
        }
    }
}
