using MathNet.Numerics.LinearAlgebra;

namespace Tva.Core.Matrices;

/// <summary>A symmetric float64 matrix in, its eigenvalues from the largest and its eigenvectors out.</summary>
internal static class SymmetricEigen
{
    /// <summary>Vectors are rows of n.</summary>
    public static (double[] Values, double[] Vectors) Decompose(double[] a, int n, int threads, CancellationToken cancel)
    {
        var evd = Matrix<double>.Build.Dense(n, n, a).Evd(Symmetricity.Symmetric);
        var vectors = new double[(long)n * n];
        for (var k = 0; k < n; k++)
        {
            for (var i = 0; i < n; i++)
            {
                vectors[((long)k * n) + i] = evd.EigenVectors[i, n - 1 - k];
            }
        }

        return ([.. Enumerable.Range(0, n).Select(k => evd.EigenValues[n - 1 - k].Real)], vectors);
    }
}
