using Tva.Core.Matrices;
using Xunit;

namespace Tva.Core.Tests;

public class PolarFactorTests
{
    /// <summary>UVᵀ of matrices built from known U, Σ and V: from well to badly conditioned, in every shape.</summary>
    [Theory]
    [InlineData(40, 40)]
    [InlineData(97, 33)]
    [InlineData(33, 97)]
    [InlineData(50, 1)]
    [InlineData(1, 1)]
    public void IsTheProductOfTheSingularVectors(int m, int n)
    {
        var smaller = Math.Min(m, n);
        foreach (var ratio in new[] { 1, 10, 1e3 })
        {
            var singular = Enumerable.Range(0, smaller).Select(k => 7 * Math.Pow(ratio, -(double)k / Math.Max(smaller - 1, 1))).ToArray();
            var polar = PolarFactor.Of(Numbers.OfSpectrum(m, n, singular, 3), m, n, 2, Numbers.Stop);

            // Rounding X to float32 turns directions by up to its share of their singular value.
            Numbers.Near(Exact(m, n, smaller, 3), polar, 1e-6 * (10 + ratio));
            Assert.InRange(Distance(polar, m, n, smaller), 0, 1e-5 * Math.Sqrt(smaller));
        }
    }

    /// <summary>Absent directions stay absent, however many; the others are those of the built matrix.</summary>
    [Theory]
    [InlineData(60, 40, 39)]
    [InlineData(40, 60, 7)]
    [InlineData(300, 100, 1)]
    public void DirectionsThatAreAbsentStaySo(int m, int n, int rank)
    {
        var singular = Enumerable.Range(0, rank).Select(k => 1.0 / (k + 1)).ToArray();
        var polar = PolarFactor.Of(Numbers.OfSpectrum(m, n, singular, 4), m, n, 2, Numbers.Stop);
        Numbers.Near(Exact(m, n, rank, 4), polar, 1e-4);
        Assert.InRange(Distance(polar, m, n, rank), 0, 1e-4);
    }

    [Fact]
    public void Degenerate()
    {
        Assert.All(PolarFactor.Of(new float[60], 6, 10, 2, Numbers.Stop), v => Assert.Equal(0, v));
        Assert.Throws<MatrixNotFiniteException>(() => PolarFactor.Of([1, float.NaN], 2, 1, 1, Numbers.Stop));
        Assert.Throws<MatrixNotFiniteException>(() => PolarFactor.Of([1, float.PositiveInfinity], 2, 1, 1, Numbers.Stop));
        Assert.Throws<ArgumentException>(() => PolarFactor.Of(new float[5], 2, 3, 1, Numbers.Stop));
        foreach (var size in new[] { 1e-30, 1e30 })
        {
            var polar = PolarFactor.Of(Numbers.OfSpectrum(20, 15, [.. Enumerable.Range(1, 15).Select(k => k * size)], 5), 20, 15, 2, Numbers.Stop);
            Numbers.Near(Exact(20, 15, 15, 5), polar, 1e-4);
        }
    }

    [Fact]
    public void ThreadsLeaveTheBits()
    {
        var x = Numbers.Draw(300 * 210, 6);
        Assert.Equal(PolarFactor.Of(x, 300, 210, 1, Numbers.Stop), PolarFactor.Of(x, 300, 210, 4, Numbers.Stop));
        Assert.Equal(PolarFactor.Of(x, 210, 300, 1, Numbers.Stop), PolarFactor.Of(x, 210, 300, 4, Numbers.Stop));
    }

    /// <summary>⟨UVᵀ, X⟩ = Σσ, so that UVᵀ times the mean of all singular values has that for each; absent directions count in it, and stay absent.</summary>
    [Theory]
    [InlineData(50, 30, 30)]
    [InlineData(30, 50, 12)]
    public void ItsProductWithTheMatrixIsTheSumOfSingularValues(int m, int n, int rank)
    {
        var singular = Enumerable.Range(0, rank).Select(k => 3.0 / (k + 1)).ToArray();
        var x = Numbers.OfSpectrum(m, n, singular, 8);
        var polar = PolarFactor.Of(x, m, n, 2, Numbers.Stop);
        var sum = x.Zip(polar, (a, b) => (double)a * b).Sum();
        Assert.Equal(singular.Sum(), sum, 1e-5 * singular.Sum());
        var mean = singular.Sum() / Math.Min(m, n);
        Numbers.Near([.. Exact(m, n, rank, 8).Select(v => v * mean)], [.. polar.Select(q => (float)(q * sum / Math.Min(m, n)))], 1e-4 * mean);
    }

    /// <summary>Σ u_k v_kᵀ of the vectors that <see cref="Numbers.OfSpectrum"/> takes.</summary>
    private static double[] Exact(int m, int n, int rank, int seed)
    {
        var (u, v) = (Numbers.Orthonormal(rank, m, seed), Numbers.Orthonormal(rank, n, seed + 1));
        return [.. Enumerable.Range(0, m * n).Select(i => Enumerable.Range(0, rank).Sum(k => u[k][i / n] * v[k][i % n]))];
    }

    /// <summary>How far QᵀQ is from a projection of the rank, by its trace and square.</summary>
    private static double Distance(float[] q, int m, int n, int rank)
    {
        var gram = n <= m ? Numbers.Multiply(q, true, q, false, n, m, n) : Numbers.Multiply(q, false, q, true, m, n, m);
        var side = Math.Min(m, n);
        return Math.Abs(Enumerable.Range(0, side).Sum(i => gram[(i * side) + i]) - rank) + Math.Abs(gram.Sum(g => g * g) - rank);
    }
}
