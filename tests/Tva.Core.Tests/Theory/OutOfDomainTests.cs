using Tva.Core.Theory;
using Xunit;

namespace Tva.Core.Tests.Theory;

/// <summary>The linear programme of arXiv 2504.10957, Theorem 3, against grids, enumerated active sets and certificates that are checked by hand.</summary>
public sealed class OutOfDomainTests
{
    private static double[] Random(Random random, int n) => [.. Enumerable.Range(0, n).Select(_ => Math.Round((2 * random.NextDouble()) - 1, 2))];

    private static (double First, double Second) Sums(double[] gamma, double[] lambda) =>
        (gamma.Zip(lambda, (g, l) => g * l).Sum(), gamma.Zip(lambda, (g, l) => g * g * l).Sum());

    /// <summary>
    /// min ‖λ‖ by its dual: λᵢ = clip(aγᵢ + bγᵢ²), a, b ≥ 0, on which the dual function is concave; maximised by ternary search over
    /// a inside one over b. Another way altogether than the one tested.
    /// </summary>
    private static double[]? ByDual(double[] gamma, double box, double need)
    {
        double[] At(double a, double b) => [.. gamma.Select(g => Math.Clamp((a * g) + (b * g * g), -box, box))];
        double Value(double a, double b)
        {
            var x = At(a, b);
            var (s, t) = Sums(gamma, x);
            return (0.5 * x.Sum(v => v * v)) + (a * (need - s)) + (b * (need - t));
        }

        static double Best(Func<double, double> f, double high)
        {
            var low = 0.0;
            for (var i = 0; i < 120; i++)
            {
                var (p, q) = (low + ((high - low) / 3), high - ((high - low) / 3));
                (low, high) = f(p) < f(q) ? (p, high) : (low, q);
            }

            return (low + high) / 2;
        }

        const double Far = 1e4;
        double BestA(double b) => Best(a => Value(a, b), Far);
        var b = Best(b => Value(BestA(b), b), Far);
        var found = At(BestA(b), b);
        var (first, second) = Sums(gamma, found);
        return Math.Min(first, second) >= need - 1e-5 ? found : null;
    }

    [Fact]
    public void The_solution_of_least_norm_is_the_one_that_its_dual_gives()
    {
        var random = new Random(7);
        var feasible = 0;
        for (var trial = 0; trial < 12; trial++)
        {
            var gamma = Random(random, 1 + (trial % 5));
            const double Beta = 0.1, C = 0.5;
            var found = OutOfDomain.Solve(gamma, Beta, C);
            var expected = ByDual(gamma, C / Beta, 1 + C);
            Assert.Equal(expected is null, found.Lambda is null);
            if (expected is null)
            {
                continue;
            }

            feasible++;
            for (var i = 0; i < gamma.Length; i++)
            {
                Assert.Equal(expected[i], found.Lambda![i], 1e-4);
            }
        }

        Assert.InRange(feasible, 2, 11);
    }

    /// <summary>With c left open a λ is feasible where max |λ|β ≤ min(Σλγ, Σλγ²) − 1 leaves room for a c in (0, 1).</summary>
    [Theory]
    [InlineData(0.8, -0.5)]
    [InlineData(0.6, 0.6)]
    [InlineData(-0.3, 0.9)]
    [InlineData(0.9, 0.0)]
    public void The_region_over_all_c_is_that_of_a_grid(double first, double second)
    {
        double[] gamma = [first, second];
        const double Beta = 0.1;
        var found = OutOfDomain.Solve(gamma, Beta);
        const int Steps = 1200;
        var width = 2 / Beta / Steps;
        var (low, high) = (new[] { double.PositiveInfinity, double.PositiveInfinity }, new[] { double.NegativeInfinity, double.NegativeInfinity });
        for (var i = 0; i <= Steps; i++)
        {
            for (var j = 0; j <= Steps; j++)
            {
                double[] x = [(-1 / Beta) + (i * width), (-1 / Beta) + (j * width)];
                var (s, t) = Sums(gamma, x);
                if (Math.Max(Math.Abs(x[0]), Math.Abs(x[1])) * Beta <= Math.Min(Math.Min(s, t) - 1, 1))
                {
                    for (var k = 0; k < 2; k++)
                    {
                        (low[k], high[k]) = (Math.Min(low[k], x[k]), Math.Max(high[k], x[k]));
                    }
                }
            }
        }

        for (var k = 0; k < 2; k++)
        {
            Assert.Equal(low[k], found.Low![k], 8 * width);
            Assert.Equal(high[k], found.High![k], 8 * width);
            Assert.InRange(found.Lambda![k], found.Low[k] - 1e-6, found.High[k] + 1e-6);
        }
    }

    /// <summary>In two dimensions a grid over the box tells what is feasible, how far each λ reaches and how small λ may be.</summary>
    [Theory]
    [InlineData(0.8, -0.5)]
    [InlineData(0.6, 0.6)]
    [InlineData(-0.3, 0.9)]
    [InlineData(0.9, 0.0)]
    public void A_grid_over_the_plane_agrees(double first, double second)
    {
        double[] gamma = [first, second];
        const double Beta = 0.1, C = 0.9;
        var found = OutOfDomain.Solve(gamma, Beta, C);
        const int Steps = 1200;
        var (box, width) = (C / Beta, 2 * C / Beta / Steps);
        var (least, low, high) = (double.PositiveInfinity, new[] { double.PositiveInfinity, double.PositiveInfinity }, new[] { double.NegativeInfinity, double.NegativeInfinity });
        for (var i = 0; i <= Steps; i++)
        {
            for (var j = 0; j <= Steps; j++)
            {
                double[] x = [-box + (i * width), -box + (j * width)];
                var (s, t) = Sums(gamma, x);
                if (s >= 1 + C - 1e-9 && t >= 1 + C - 1e-9)
                {
                    least = Math.Min(least, Math.Sqrt((x[0] * x[0]) + (x[1] * x[1])));
                    for (var k = 0; k < 2; k++)
                    {
                        (low[k], high[k]) = (Math.Min(low[k], x[k]), Math.Max(high[k], x[k]));
                    }
                }
            }
        }

        Assert.NotNull(found.Lambda);
        Assert.Equal(least, Math.Sqrt(found.Lambda.Sum(v => v * v)), 3 * width);
        for (var k = 0; k < 2; k++)
        {
            Assert.Equal(low[k], found.Low![k], 8 * width);
            Assert.Equal(high[k], found.High![k], 8 * width);
        }
    }

    [Fact]
    public void Where_nothing_is_feasible_the_certificate_proves_it()
    {
        var random = new Random(11);
        var proved = 0;
        for (var trial = 0; trial < 100; trial++)
        {
            var gamma = Random(random, 1 + (trial % 6)).Select(g => g / 2).ToArray();
            var beta = 0.05 + (0.5 * random.NextDouble());
            var found = OutOfDomain.Solve(gamma, beta);
            if (found.Lambda is not null)
            {
                var (first, second) = Sums(gamma, found.Lambda);
                Assert.InRange(found.C, 1e-6, 1);
                Assert.True(first >= 1 + found.C - 1e-7 && second >= 1 + found.C - 1e-7);
                Assert.True(found.Lambda.Max(Math.Abs) * beta <= found.C + 1e-7);
                continue;
            }

            // For every λ with |λ| ≤ 1/β, and so for every c < 1: y₁Σλγ + y₂Σλγ² ≤ Σ|y₁γ + y₂γ²|/β < 2, yet it would have to be 2.
            proved++;
            Assert.Equal(1, found.C);
            Assert.True(found.First >= 0 && found.Second >= 0);
            Assert.Equal(1, found.First + found.Second, 1e-12);
            var most = gamma.Sum(g => Math.Abs((found.First * g) + (found.Second * g * g))) / beta;
            Assert.Equal(most, found.Most, 1e-9 * Math.Max(1, most));
            Assert.True(most < 2 + 1e-6, $"{most}");
        }

        Assert.InRange(proved, 5, 95);
    }

    [Theory]
    [InlineData(-0.5)]
    [InlineData(-1.0)]
    public void Equal_negative_relations_have_no_solution(double g)
    {
        var found = OutOfDomain.Solve([g, g, 0, g], 0.01);
        Assert.Null(found.Lambda);
        Assert.Equal(0, found.Most, 1e-6);
    }

    [Fact]
    public void The_open_c_is_the_one_of_the_least_norm()
    {
        double[] gamma = [0.7, -0.4, 0.2];
        const double Beta = 0.3;
        double Norm(double c) => OutOfDomain.Solve(gamma, Beta, c).Lambda is { } x ? Math.Sqrt(x.Sum(v => v * v)) : double.PositiveInfinity;
        var free = OutOfDomain.Solve(gamma, Beta).Lambda!;
        var least = Enumerable.Range(1, 199).Min(i => Norm(i / 200.0));
        Assert.InRange(Math.Sqrt(free.Sum(v => v * v)), least * (1 - 1e-2), least * (1 + 1e-9));
    }

    /// <summary>Every vertex of the region is where n of its faces meet: the best of them is the simplex's.</summary>
    [Fact]
    public void The_linear_programme_finds_the_best_vertex()
    {
        var random = new Random(3);
        for (var trial = 0; trial < 60; trial++)
        {
            const int N = 2;
            var g = new double[2, N];
            var h = new double[2];
            for (var i = 0; i < 2; i++)
            {
                h[i] = random.NextDouble() - 0.6;
                for (var j = 0; j < N; j++)
                {
                    g[i, j] = (2 * random.NextDouble()) - 1;
                }
            }

            double[] direction = [random.NextDouble() - 0.5, random.NextDouble() - 0.5];
            var faces = new List<(double A, double B, double H)> { (g[0, 0], g[0, 1], h[0]), (g[1, 0], g[1, 1], h[1]), (1, 0, -1), (-1, 0, -1), (0, 1, -1), (0, -1, -1) };
            var best = double.NaN;
            for (var i = 0; i < faces.Count; i++)
            {
                for (var j = i + 1; j < faces.Count; j++)
                {
                    var (p, q) = (faces[i], faces[j]);
                    var det = (p.A * q.B) - (p.B * q.A);
                    if (Math.Abs(det) < 1e-12)
                    {
                        continue;
                    }

                    var x = ((p.H * q.B) - (p.B * q.H)) / det;
                    var y = ((p.A * q.H) - (p.H * q.A)) / det;
                    var value = (direction[0] * x) + (direction[1] * y);
                    if (faces.All(f => (f.A * x) + (f.B * y) >= f.H - 1e-9) && !(value <= best))
                    {
                        best = value;
                    }
                }
            }

            Assert.Equal(best, LinearProgramme.Maximum(g, h, direction), 1e-9);
        }
    }
}
