namespace Theory.Lab;

/// <summary>A seed comes in; an orthonormal basis of pattern space, and directions made of it, go out.</summary>
public sealed class Patterns
{
    private readonly double[][] basis;

    /// <summary>Gram and Schmidt on Gaussian vectors, twice over: orthonormal to rounding.</summary>
    public Patterns(Sizes sizes, long seed)
    {
        var draws = new Draws(seed, 1);
        basis = new double[sizes.Dimension][];
        for (var i = 0; i < basis.Length; i++)
        {
            var v = new double[sizes.Dimension];
            for (var k = 0; k < v.Length; k++)
            {
                v[k] = draws.Normal();
            }

            for (var pass = 0; pass < 2; pass++)
            {
                for (var j = 0; j < i; j++)
                {
                    Lanes.Add(-Lanes.Dot(basis[j], v), basis[j], v);
                }
            }

            var norm = Math.Sqrt(Lanes.Dot(v, v));
            basis[i] = [.. v.Select(x => x / norm)];
        }

        Neutral = basis[^sizes.Neutral..];
    }

    /// <summary>v_1..v_M.</summary>
    public IReadOnlyList<double[]> Neutral { get; }

    /// <summary>Σ cᵢ bᵢ over the first directions; what is missing to length one is made up for by the direction after them (κ μ_⊥).</summary>
    public double[] Direction(params ReadOnlySpan<double> coefficients)
    {
        var direction = new double[basis.Length];
        var square = 0.0;
        for (var i = 0; i < coefficients.Length; i++)
        {
            Lanes.Add(coefficients[i], basis[i], direction);
            square += coefficients[i] * coefficients[i];
        }

        if (square > 1 + 1e-9)
        {
            throw new ArgumentException($"the coefficients have norm {Math.Sqrt(square)}, and a direction has at most 1", nameof(coefficients));
        }

        Lanes.Add(Math.Sqrt(Math.Max(0, 1 - square)), basis[coefficients.Length], direction);
        return direction;
    }
}
