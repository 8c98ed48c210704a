using MathNet.Numerics.LinearAlgebra;

namespace Tva.Core.Theory;

/// <summary>Bases of two subspaces come in; the cosines of their principal angles go out, from the largest.</summary>
public static class PrincipalAngles
{
    /// <summary>
    /// The singular values of QₐQᵦᵀ for orthonormal bases Qₐ, Qᵦ of the row spaces (Björck and Golub, Mathematics of Computation
    /// 27, 1973); as many as the smaller space has dimensions.
    /// </summary>
    /// <param name="first">Rows that span the first space, a×n, row-major; independent.</param>
    /// <param name="second">The same for the second, b×n.</param>
    /// <param name="columns">n.</param>
    public static double[] Cosines(ReadOnlySpan<float> first, ReadOnlySpan<float> second, int columns)
    {
        var product = Orthonormal(first, columns).TransposeThisAndMultiply(Orthonormal(second, columns));
        return [.. product.Svd(computeVectors: false).S.Select(s => Math.Min(s, 1))];
    }

    /// <summary>Rounded singular vectors are orthonormal to float32 only; the columns here span the same space, to float64.</summary>
    private static Matrix<double> Orthonormal(ReadOnlySpan<float> rows, int columns)
    {
        var values = new double[rows.Length];
        for (var i = 0; i < values.Length; i++)
        {
            values[i] = rows[i];
        }

        // Row-major rows are column-major columns.
        return Matrix<double>.Build.Dense(columns, rows.Length / columns, values).QR(MathNet.Numerics.LinearAlgebra.Factorization.QRMethod.Thin).Q;
    }
}
