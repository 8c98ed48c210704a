namespace Theory.Lab;

/// <summary>A seed and the numbers of a stream come in; the same float64 numbers go out whatever else is drawn elsewhere (SplitMix64).</summary>
internal sealed class Draws
{
    private ulong state;

    /// <param name="seed">Of the whole laboratory.</param>
    /// <param name="stream">What the draws are for: streams don't depend on each other.</param>
    public Draws(long seed, params ReadOnlySpan<int> stream)
    {
        state = (ulong)seed;
        foreach (var number in stream)
        {
            state = Next() ^ (ulong)(uint)number;
        }

        Next();
    }

    /// <summary>Uniform in [0, 1).</summary>
    public double Uniform() => (Next() >> 11) * (1.0 / (1UL << 53));

    /// <summary>Uniform in 0..n−1.</summary>
    public int Below(int n) => (int)BigMul(Next(), (ulong)n);

    /// <summary>N(0, 1): the polar method, one of its two numbers.</summary>
    public double Normal()
    {
        while (true)
        {
            var (u, v) = ((2 * Uniform()) - 1, (2 * Uniform()) - 1);
            var square = (u * u) + (v * v);
            if (square is > 0 and < 1)
            {
                return u * Math.Sqrt(-2 * Math.Log(square) / square);
            }
        }
    }

    private static ulong BigMul(ulong x, ulong n) => Math.BigMul(x, n, out _);

    private ulong Next()
    {
        var z = state += 0x9E3779B97F4A7C15UL;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9UL;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBUL;
        return z ^ (z >> 31);
    }
}
