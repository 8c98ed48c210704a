using MathNet.Numerics.LinearAlgebra;
using Tva.Core.Theory;
using Xunit;

namespace Tva.Core.Tests.Theory;

public sealed class OutputTests
{
    [Fact]
    public void Likeness_is_the_mean_cosine_about_the_means()
    {
        double[][] a = [[1, 0], [0, 1], [2, 2]];
        double[][] b = [[0, 1], [1, 0], [2, 2]];
        // Means are (1, 1) both: the differences (0, −1), (−1, 0), (1, 1) and (−1, 0), (0, −1), (1, 1) have cosines 0, 0 and 1.
        Assert.Equal(1.0 / 3, OutputCorrelation.Of(a, b), 1e-15);
        Assert.Equal(1, OutputCorrelation.Of(a, a), 1e-15);
        Assert.Equal(-1, OutputCorrelation.Of(a, [.. a.Select(r => r.Select(v => 5 - (3 * v)).ToArray())]), 1e-15);
        // A constant answers nothing.
        Assert.Equal(0, OutputCorrelation.Of(a, [[4, 4], [4, 4], [4, 4]]));
    }

    [Fact]
    public void Planes_in_space_have_the_angles_that_were_given_them()
    {
        const int N = 12;
        var random = new Random(5);
        var basis = Matrix<double>.Build.Dense(N, 4, (_, _) => random.NextDouble() - 0.5).QR().Q;
        var (e1, e2, e3, e4) = (basis.Column(0), basis.Column(1), basis.Column(2), basis.Column(3));
        const double First = 0.3, Second = 1.1;
        // Mixed and scaled: only the spaces count.
        var a = new[] { (2 * e1) + e2, e1 - (0.5 * e2) };
        var c = new[] { (Math.Cos(First) * e1) + (Math.Sin(First) * e3), (Math.Cos(Second) * e2) + (Math.Sin(Second) * e4) };
        var b = new[] { c[0] + (3 * c[1]), c[0] - c[1] };
        static float[] Flat(Vector<double>[] rows) => [.. rows.SelectMany(r => r.Select(v => (float)v))];
        var found = PrincipalAngles.Cosines(Flat(a), Flat(b), N);
        Assert.Equal(2, found.Length);
        Assert.Equal(Math.Cos(First), found[0], 1e-6);
        Assert.Equal(Math.Cos(Second), found[1], 1e-6);
    }
}
