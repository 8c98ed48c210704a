namespace Tva.Core.Matrices;

/// <summary>Who works on matrices; a number of threads is one too. Results are the same bits whoever does.</summary>
/// <param name="Threads">At most so many threads work at once.</param>
public readonly record struct Workers(int Threads)
{
    /// <summary>Takes products of whole matrices off the threads; null: nobody does.</summary>
    internal IProducts? Products { get; init; }

    /// <summary>Threads alone.</summary>
    public static implicit operator Workers(int threads) => new(threads);

    /// <summary>The threads, for what nobody else does.</summary>
    public static implicit operator int(Workers workers) => workers.Threads;
}

/// <summary>Multiplies whole matrices, every element added up as <see cref="MatrixProduct"/> does, to the bit.</summary>
internal interface IProducts
{
    /// <summary>Does a product; false, and nothing is done, where threads do it better or it has no room.</summary>
    bool TryMultiply(MatrixProduct.Product product);
}
