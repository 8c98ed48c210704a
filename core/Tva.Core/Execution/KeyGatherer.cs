using Tva.Core.Tensors;

namespace Tva.Core.Execution;

/// <summary>One worker's share of a selection's round: counts, bins and the gathered keys, which lie in chunks of pooled memory.</summary>
internal sealed unsafe class KeyGatherer(BlockPool pool, int chunkBytes) : IDisposable
{
    private readonly List<(Block Memory, int Used)> chunks = [];

    public long[] Bins { get; } = new long[RadixSelect.Bins];

    public long Above { get; set; }

    public long Equal { get; set; }

    /// <summary>Values that are not 0, where that is counted.</summary>
    public long Nonzero { get; set; }

    public bool AnyNaN { get; set; }

    /// <summary>Whether keys were counted but not kept, for want of memory.</summary>
    public bool Overflowed { get; private set; }

    /// <summary>Room for that many keys, in <paramref name="spare"/> where the pool has none left.</summary>
    public int* Room(int keys, int* spare)
    {
        if (!Overflowed)
        {
            if (chunks.Count > 0 && chunks[^1] is var (memory, used) && (used + keys) * sizeof(int) <= memory.Length)
            {
                return (int*)memory.Pointer + used;
            }

            if (chunkBytes <= pool.Budget && pool.TryRent(chunkBytes) is { } chunk)
            {
                chunks.Add((chunk, 0));
                return (int*)chunk.Pointer;
            }
        }

        return spare;
    }

    /// <summary>Keeps the keys written to the room given, if that is where they may stay.</summary>
    public bool Keep(int keys, bool spared)
    {
        if (spared)
        {
            Overflowed |= keys > 0;
            return false;
        }

        chunks[^1] = (chunks[^1].Memory, chunks[^1].Used + keys);
        return true;
    }

    public void AddRuns(List<KeyRun> runs)
    {
        foreach (var (memory, used) in chunks)
        {
            runs.Add(new KeyRun((int*)memory.Pointer, used));
        }
    }

    public void Dispose()
    {
        foreach (var (memory, _) in chunks)
        {
            memory.Dispose();
        }

        chunks.Clear();
    }
}
