using MathNet.Numerics.LinearAlgebra;
using MathNet.Numerics.LinearAlgebra.Factorization;
using Tva.Core.Bases;

namespace Tva.Core.Adapters;

/// <summary>Comes in: a product of two thin factors. Goes out: its best approximation of a lower rank, by Eckart and Young, and what that loses.</summary>
internal static class LowRankTruncation
{
    /// <summary>
    /// With L = Q₁·T₁ and Rᵀ = Q₂·T₂ the singular values of L·R are those of the small T₁·T₂ᵀ = U·Σ·Vᵀ. Kept are Q₁·U·√Σ and √Σ·Vᵀ·Q₂ᵀ.
    /// </summary>
    /// <returns>The factors, their scale 1, and ‖what is lost‖ / ‖all‖.</returns>
    public static (Factors Factors, double RelativeError) Truncate(Factors all, int rank)
    {
        var (rows, columns) = (all.Rows, all.Columns);
        var (q1, t1) = Orthogonal(Dense.Build(rows, all.Rank, (i, k) => all.Scale * all.Left[(i * all.Rank) + k]));
        var (q2, t2) = Orthogonal(Dense.Build(columns, all.Rank, (j, k) => all.Right[(k * columns) + j]));
        var svd = Matrix<double>.Build.DenseOfArray(Dense.Multiply(t1, Dense.Transpose(t2))).Svd(true);
        var s = svd.S;
        double total = 0, lost = 0;
        for (var k = s.Count - 1; k >= 0; k--)
        {
            total += s[k] * s[k];
            lost += k >= rank ? s[k] * s[k] : 0;
        }

        var u = Dense.Build(svd.U.RowCount, rank, (i, k) => k < s.Count ? svd.U[i, k] * Math.Sqrt(s[k]) : 0);
        var v = Dense.Build(svd.VT.ColumnCount, rank, (j, k) => k < s.Count ? svd.VT[k, j] * Math.Sqrt(s[k]) : 0);
        var (left, right) = (q1 is null ? u : Dense.Multiply(q1, u), q2 is null ? v : Dense.Multiply(q2, v));
        var (l, r) = (new float[rows * rank], new float[rank * columns]);
        for (var k = 0; k < rank; k++)
        {
            for (var i = 0; i < rows; i++)
            {
                l[(i * rank) + k] = (float)left[i, k];
            }

            for (var j = 0; j < columns; j++)
            {
                r[(k * columns) + j] = (float)right[j, k];
            }
        }

        return (new Factors(l, r, rank, 1), total == 0 ? 0 : Math.Sqrt(lost / total));
    }

    /// <summary>a = q·t with orthonormal q; of a matrix that is no taller than wide q is the unit matrix, which is null.</summary>
    private static (double[,]? Q, double[,] T) Orthogonal(double[,] a)
    {
        if (a.GetLength(0) <= a.GetLength(1))
        {
            return (null, a);
        }

        var qr = Matrix<double>.Build.DenseOfArray(a).QR(QRMethod.Thin);
        return (qr.Q.ToArray(), qr.R.ToArray());
    }
}
