using System.Numerics;
using System.Runtime.InteropServices;

namespace Tva.Core.Tensors;

/// <summary>
/// Comes in: a budget in bytes. Goes out: blocks whose memory, rented and kept for reuse together, never passes it.
/// Reuse matters because fresh pages cost a fault and zeroing each. Safe from any thread.
/// </summary>
public sealed unsafe class BlockPool : IDisposable
{
    private readonly object gate = new();
    private readonly SortedDictionary<long, Stack<nint>> idle = [];
    private bool disposed;

    /// <summary>A pool of at most <paramref name="budgetBytes"/>.</summary>
    public BlockPool(long budgetBytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(budgetBytes);
        Budget = budgetBytes;
    }

    /// <summary>Bytes that may be held at most.</summary>
    public long Budget { get; }

    /// <summary>Bytes held now: rented ones and idle ones kept for reuse.</summary>
    public long Held { get; private set; }

    /// <summary>Bytes rented now.</summary>
    public long Rented { get; private set; }

    /// <summary>The largest <see cref="Rented"/> so far.</summary>
    public long PeakRented { get; private set; }

    /// <summary>
    /// A block of at least that length, waiting for others to come back where the budget is all rented. Whoever waits while
    /// holding blocks must know that others will return theirs: the pool can't.
    /// </summary>
    /// <exception cref="FaultException">The budget is smaller than this one block.</exception>
    public Block Rent(long bytes, CancellationToken cancel = default)
    {
        using var wake = cancel.CanBeCanceled ? cancel.UnsafeRegister(static state => ((BlockPool)state!).Wake(), this) : default;
        lock (gate)
        {
            while (true)
            {
                cancel.ThrowIfCancellationRequested();
                if (Take(bytes) is { } block)
                {
                    return block;
                }

                Monitor.Wait(gate);
            }
        }
    }

    /// <summary>As <see cref="Rent"/>, but null instead of waiting.</summary>
    /// <exception cref="FaultException">The budget is smaller than this one block.</exception>
    public Block? TryRent(long bytes)
    {
        lock (gate)
        {
            return Take(bytes);
        }
    }

    /// <summary>Frees the idle blocks; rented ones are freed when they come back.</summary>
    public void Dispose()
    {
        lock (gate)
        {
            disposed = true;
            Trim(long.MaxValue);
            Monitor.PulseAll(gate);
        }
    }

    internal void Return(byte* pointer, long capacity)
    {
        lock (gate)
        {
            Rented -= capacity;
            if (disposed)
            {
                Held -= capacity;
                NativeMemory.AlignedFree(pointer);
            }
            else
            {
                if (!idle.TryGetValue(capacity, out var stack))
                {
                    idle.Add(capacity, stack = new Stack<nint>());
                }

                stack.Push((nint)pointer);
            }

            Monitor.PulseAll(gate);
        }
    }

    /// <summary>Four sizes per octave, so that at most a quarter is unused and tensors of similar size share blocks.</summary>
    internal static long SizeClass(long bytes)
    {
        const long smallest = 4096;
        if (bytes <= smallest)
        {
            return smallest;
        }

        long step = 1L << (BitOperations.Log2((ulong)bytes) - 2);
        return checked(bytes + step - 1) & -step;
    }

    private static void ThrowTooSmall(long bytes, long budget) => throw new FaultException(
        $"the memory budget of {Sizes.Text(budget)} can't hold one buffer of {Sizes.Text(bytes)}; "
        + $"give at least {Sizes.Enough(bytes)} with {Wording.Current.Memory}");

    private Block? Take(long bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(bytes);
        ObjectDisposedException.ThrowIf(disposed, this);
        if (bytes > Budget)
        {
            ThrowTooSmall(bytes, Budget);
        }

        long capacity = Math.Min(SizeClass(bytes), Budget);
        byte* pointer;
        if (idle.TryGetValue(capacity, out var stack) && stack.Count > 0)
        {
            pointer = (byte*)stack.Pop();
        }
        else
        {
            if (Rented + capacity > Budget)
            {
                return null;
            }

            Trim(Held + capacity - Budget);
            pointer = Block.Allocate(capacity);
            Held += capacity;
        }

        Rented += capacity;
        PeakRented = Math.Max(PeakRented, Rented);
        return new Block(pointer, bytes, capacity, this);
    }

    private void Trim(long bytes)
    {
        if (bytes <= 0)
        {
            return;
        }

        // The largest first: fewest calls, and what is left still serves the common small rents.
        foreach (var (capacity, stack) in idle.Reverse())
        {
            while (bytes > 0 && stack.TryPop(out var pointer))
            {
                NativeMemory.AlignedFree((void*)pointer);
                Held -= capacity;
                bytes -= capacity;
            }
        }
    }

    private void Wake()
    {
        lock (gate)
        {
            Monitor.PulseAll(gate);
        }
    }
}
