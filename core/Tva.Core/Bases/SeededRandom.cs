using Tva.Core.Kernels;

namespace Tva.Core.Bases;

/// <summary>
/// A seed and the name of a stream in, the same float64 numbers out on every machine, from <see cref="Philox"/>.
/// </summary>
internal sealed class SeededRandom(long seed, string stream)
{
    private readonly ulong key = Philox.Key(seed, stream);
    private ulong counter;
    private double spare = double.NaN;

    /// <summary>Uniform in [0, 1), multiples of 2⁻⁵³.</summary>
    public double Uniform()
    {
        var (x, y, _, _) = Philox.Block(((uint)counter, (uint)(counter >> 32), 0, 0), ((uint)key, (uint)(key >> 32)));
        counter++;
        return ((((ulong)x << 32) | y) >> 11) * (1.0 / (1UL << 53));
    }

    /// <summary>Uniform in 0..n−1; the bias is below n·2⁻⁵³.</summary>
    public int Below(int n) => Math.Min((int)(Uniform() * n), n - 1);

    /// <summary>N(0, 1) by Marsaglia's polar method, which needs no sine.</summary>
    public double Normal()
    {
        if (!double.IsNaN(spare))
        {
            var kept = spare;
            spare = double.NaN;
            return kept;
        }

        while (true)
        {
            var (u, v) = ((2 * Uniform()) - 1, (2 * Uniform()) - 1);
            var square = (u * u) + (v * v);
            if (square is > 0 and < 1)
            {
                var scale = Math.Sqrt(-2 * Portable.Log(square) / square);
                spare = v * scale;
                return u * scale;
            }
        }
    }
}
