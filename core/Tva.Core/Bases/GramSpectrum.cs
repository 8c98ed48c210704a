namespace Tva.Core.Bases;

/// <summary>A Gram matrix comes in; how much each direction holds goes out: what no M atoms can do better than (arXiv 2502.01015).</summary>
public static class GramSpectrum
{
    /// <summary>The eigenvalues of G, from the largest, as shares of their sum, as many as there are tasks; all zero for zero tasks.</summary>
    /// <param name="gram">G = VᵀV, T×T.</param>
    /// <exception cref="BasisNonFiniteException">NaN or infinity in G.</exception>
    public static double[] Shares(double[,] gram)
    {
        var factor = GramFactor.Of(gram);
        var (values, energy) = (factor.Eigenvalues, factor.Energy);
        var shares = new double[factor.Tasks];
        for (var i = 0; i < Math.Min(values.Length, shares.Length) && energy > 0; i++)
        {
            shares[i] = Math.Max(values[i], 0) / energy;
        }

        return shares;
    }
}
