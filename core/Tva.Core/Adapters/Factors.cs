using Tva.Core.Bases;
using Tva.Core.Matrices;

namespace Tva.Core.Adapters;

/// <summary>
/// A matrix kept as scale · L·R: comes in as two thin factors, goes out as any range of its elements or as an inner product, neither of
/// which needs the whole.
/// </summary>
/// <param name="Left">L, rows×rank, row by row.</param>
/// <param name="Right">R, rank×columns, row by row.</param>
/// <param name="Rank">Columns of L.</param>
/// <param name="Scale">What the product is multiplied with.</param>
public sealed record Factors(float[] Left, float[] Right, int Rank, double Scale)
{
    /// <summary>Rows of the matrix.</summary>
    public int Rows => Left.Length / Rank;

    /// <summary>Columns of the matrix.</summary>
    public int Columns => Right.Length / Rank;

    /// <summary>⟨this, other⟩ from the factors alone.</summary>
    public double Dot(Factors other)
    {
        ArgumentNullException.ThrowIfNull(other);
        return Scale * other.Scale * LowRank.Dot(Left, Right, Rank, other.Left, other.Right, other.Rank);
    }

    /// <summary>The same matrix the other way round: scale · Rᵀ·Lᵀ.</summary>
    public Factors Transposed() => new(Turned(Right, Rank), Turned(Left, Rows), Rank, Scale);

    /// <summary>Elements of the matrix, row by row, from <paramref name="first"/> on: <see cref="FactorProduct"/>'s, each times the scale.</summary>
    public void Expand(long first, Span<float> destination) =>
        FactorProduct.Range(Left, Right, Rank, Columns, first, destination, (float)Scale);

    private static float[] Turned(float[] values, int rows)
    {
        var columns = values.Length / rows;
        var result = new float[values.Length];
        for (var i = 0; i < rows; i++)
        {
            for (var j = 0; j < columns; j++)
            {
                result[(j * rows) + i] = values[(i * columns) + j];
            }
        }

        return result;
    }
}
