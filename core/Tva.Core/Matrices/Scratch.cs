using System.Collections.Concurrent;
using Tva.Core.Tensors;

namespace Tva.Core.Matrices;

/// <summary>A number of floats in; blocks of that size out, as many as threads ask for at once, all freed together.</summary>
internal sealed class Scratch(long floats) : IDisposable
{
    private readonly ConcurrentBag<Block> idle = [];

    /// <summary>A block nobody else has; give it back after use.</summary>
    public Block Take() => idle.TryTake(out var block) ? block : new Block(floats * sizeof(float));

    /// <summary>Ends the use of a block.</summary>
    public void Give(Block block) => idle.Add(block);

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var block in idle)
        {
            block.Dispose();
        }
    }
}
