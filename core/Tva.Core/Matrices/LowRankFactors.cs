namespace Tva.Core.Matrices;

/// <summary>A matrix as a product of two thin ones, with what that loses.</summary>
/// <param name="Left">m×rank, row-major: left singular vectors times their singular values.</param>
/// <param name="Right">rank×n, row-major: right singular vectors as rows.</param>
/// <param name="Rows">m.</param>
/// <param name="Columns">n.</param>
/// <param name="Rank">Columns of Left, rows of Right; at most min(m, n).</param>
/// <param name="SingularValues">The kept ones, from the largest.</param>
/// <param name="Error">‖X − Left·Right‖/‖X‖ in Frobenius norm; 0 for a matrix of zeros.</param>
/// <param name="Energy">The kept share of Σσ², 1 − Error².</param>
/// <param name="Norm">‖X‖.</param>
public sealed record LowRankFactors(
    float[] Left, float[] Right, int Rows, int Columns, int Rank, double[] SingularValues, double Error, double Energy, double Norm)
{
    /// <summary>The first triples alone.</summary>
    /// <param name="rank">How many; at most <see cref="Rank"/>.</param>
    public LowRankFactors Take(int rank)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(rank, Rank);
        ArgumentOutOfRangeException.ThrowIfLessThan(rank, 1);
        var left = new float[(long)Rows * rank];
        for (var i = 0; i < Rows; i++)
        {
            Array.Copy(Left, (long)i * Rank, left, (long)i * rank, rank);
        }

        return Of(left, Right[..(rank * Columns)], Rows, Columns, SingularValues[..rank], Norm * Norm);
    }

    /// <summary>With error and energy from ‖X‖².</summary>
    internal static LowRankFactors Of(float[] left, float[] right, int m, int n, double[] singular, double square)
    {
        var kept = 0.0;
        foreach (var value in singular)
        {
            kept += value * value;
        }

        // Rounding may put what is kept a little above the whole.
        var lost = square > 0 ? Math.Max(square - kept, 0) / square : 0;
        return new(left, right, m, n, singular.Length, singular, Math.Sqrt(lost), 1 - lost, Math.Sqrt(square));
    }
}
