namespace Tva.Core.Execution;

/// <summary>Comes in: who wants memory, and how much. Goes out: their turn, when as much is free. Whoever waits holds none.</summary>
internal sealed class MemoryShare(long size)
{
    private readonly object gate = new();
    private readonly long bytes = size;
    private long free = size;

    /// <summary>Waits until so much is free and takes it; false once <paramref name="stopped"/> says so.</summary>
    /// <param name="wanted">Bytes, at most the whole share.</param>
    /// <param name="stopped">Looked at every now and then.</param>
    public bool TryTake(long wanted, Func<bool> stopped)
    {
        wanted = Math.Min(wanted, bytes);
        lock (gate)
        {
            while (free < wanted)
            {
                if (stopped())
                {
                    return false;
                }

                Monitor.Wait(gate, 100);
            }

            free -= wanted;
            return true;
        }
    }

    /// <summary>Gives back what was taken.</summary>
    public void Return(long taken)
    {
        lock (gate)
        {
            free += Math.Min(taken, bytes);
            Monitor.PulseAll(gate);
        }
    }
}
