using MathNet.Numerics.LinearAlgebra;
using Tva.Core.Bases;
using Xunit;

namespace Tva.Core.Tests;

public class BasisGrowthTests
{
    [Fact]
    public void CoefficientsAreLeastSquares()
    {
        for (var seed = 0; seed < 30; seed++)
        {
            var atoms = 1 + (seed % 6);
            var s = Vectors.Draw(40, atoms, seed, spread: 1000);
            var task = Vectors.Draw(40, 1, seed + 500).Column(0) + (s * Vector<double>.Build.Dense(atoms, 2));
            var fit = BasisGrowth.Coefficients(Vectors.Gram(s), [.. s.Transpose() * task], task * task);
            var direct = s.QR().Solve(task);
            Vectors.Near([.. direct], fit.Coefficients, 1e-7);
            Assert.Equal((task - (s * direct)).L2Norm(), fit.Error, 1e-8);
            Assert.Equal(fit.Error / task.L2Norm(), fit.RelativeError, 1e-12);
        }
    }

    [Fact]
    public void ATaskOfTheSpanFitsAndAZeroTaskIsZero()
    {
        var s = Vectors.Draw(40, 3, 1);
        var task = s * Vector<double>.Build.DenseOfArray([2, -1, 0.5]);
        var fit = BasisGrowth.Coefficients(Vectors.Gram(s), [.. s.Transpose() * task], task * task);
        Vectors.Near([2, -1, 0.5], fit.Coefficients, 1e-9);
        Assert.InRange(fit.RelativeError, 0, 1e-7);
        fit = BasisGrowth.Coefficients(Vectors.Gram(s), [0, 0, 0], 0);
        Assert.Equal([0, 0, 0], fit.Coefficients);
        Assert.Equal((0, 0), (fit.Error, fit.RelativeError));
        var e = Assert.Throws<BasisNonFiniteException>(() => BasisGrowth.Coefficients(Vectors.Gram(s), [0, 0, 0], double.NaN));
        Assert.Equal([3], e.Members);
    }

    /// <summary>The basis of the old basis's tasks and the newcomer, made and measured on the vectors.</summary>
    [Fact]
    public void ARefitIsABasisOfWhatIsKnown()
    {
        for (var seed = 0; seed < 12; seed++)
        {
            foreach (var before in new[] { BasisMethod.Ae, BasisMethod.Svd, BasisMethod.Pca })
            {
                foreach (var after in Enum.GetValues<BasisMethod>())
                {
                    Refit(seed, before, after, seed % 2 == 0);
                }
            }
        }
    }

    private static void Refit(int seed, BasisMethod before, BasisMethod after, bool byError)
    {
        var v = Vectors.Draw(50, 5, seed, mixing: 2);
        var newcomer = Vectors.Draw(50, 1, seed + 100).Column(0) + v.Column(0);
        var old = BasisSolver.Solve(Vectors.Gram(v), new() { Method = before, Atoms = 3, Steps = 200, Starts = 1 });
        var (s, w) = (v * Vectors.Of(old.Encoder), Vectors.Of(old.Decoder));
        if (old.HasMean)
        {
            s = s.Append(Matrix<double>.Build.DenseOfColumnVectors(v.RowSums() / 5));
            w = w.Stack(Matrix<double>.Build.Dense(1, 5, 1));
        }

        var report = BasisReport.Of(Vectors.Gram(v), old);
        var options = new BasisOptions { Method = after, Steps = 200, Starts = 1 };
        var worst = report.Worst + ((1 - report.Worst) / 2);
        var grown = BasisGrowth.Refit(
            Vectors.Gram(s), w.ToArray(), [.. s.Transpose() * newcomer], newcomer * newcomer,
            byError ? options with { Error = worst } : options with { Atoms = 2 }, report.Norm, report.Error);

        var known = (s * w).Append(Matrix<double>.Build.DenseOfColumnVectors(newcomer));
        var atoms = s.Append(Matrix<double>.Build.DenseOfColumnVectors(newcomer)) * Vectors.Of(grown.Combination);
        var back = atoms * Vectors.Of(grown.Decoder);
        Assert.Equal(after == BasisMethod.Pca, grown.HasMean);
        for (var t = 0; t < 6; t++)
        {
            var lost = t < 5 ? (v.Column(t) - known.Column(t)).L2Norm() : 0;
            var apart = (known.Column(t) - back.Column(t)).L2Norm();
            var norm = (t < 5 ? v.Column(t) : newcomer).L2Norm();
            Assert.Equal(norm, grown.Norm[t], 1e-9);
            Assert.Equal(Math.Sqrt((lost * lost) + (apart * apart)), grown.Error[t], 1e-6);
            Assert.Equal(grown.Error[t] / norm, grown.RelativeError[t], 1e-12);

            // What really remains is no more than both together.
            var real = ((t < 5 ? v.Column(t) : newcomer) - back.Column(t)).L2Norm();
            Assert.InRange(real, 0, lost + apart + 1e-9);
        }

        var count = grown.Combination.GetLength(1) - (grown.HasMean ? 1 : 0);
        if (byError)
        {
            Assert.InRange(grown.RelativeError.Max(), 0, worst + 1e-8);
            for (var fewer = 1; fewer < count; fewer++)
            {
                var less = BasisGrowth.Refit(
                    Vectors.Gram(s), w.ToArray(), [.. s.Transpose() * newcomer], newcomer * newcomer,
                    options with { Atoms = fewer }, report.Norm, report.Error);
                Assert.True(less.RelativeError.Max() > worst);
            }
        }
        else
        {
            Assert.Equal(2, count);
            var loss = Math.Pow((known - back).FrobeniusNorm() / known.FrobeniusNorm(), 2);
            Assert.True(loss >= Vectors.Bound(known, grown.Combination.GetLength(1)) - 1e-10);
            if (after == BasisMethod.Svd)
            {
                Assert.Equal(Vectors.Bound(known, 2), loss, 1e-10);
            }
        }
    }

    [Fact]
    public void MoreThanTheKnownTasksHoldIsRefused()
    {
        var v = Vectors.Draw(50, 5, 1);
        var old = BasisSolver.Solve(Vectors.Gram(v), new() { Method = BasisMethod.Svd, Atoms = 2 });
        var s = v * Vectors.Of(old.Encoder);
        var newcomer = Vectors.Draw(50, 1, 2).Column(0);
        var report = BasisReport.Of(Vectors.Gram(v), old);
        Assert.Equal(3, Assert.Throws<BasisRankException>(() => Grow(new() { Method = BasisMethod.Svd, Atoms = 4 })).Rank);
        var e = Assert.Throws<BasisUnreachedException>(() => Grow(new() { Method = BasisMethod.Svd, Error = report.Worst / 2 }));
        Assert.Equal((report.Worst, 3), (e.Reached, e.Atoms), new Near());

        GrownBasis Grow(BasisOptions options) => BasisGrowth.Refit(
            Vectors.Gram(s), old.Decoder, [.. s.Transpose() * newcomer], newcomer * newcomer, options, report.Norm, report.Error);
    }

    private sealed class Near : IEqualityComparer<(double X, int N)>
    {
        public bool Equals((double X, int N) a, (double X, int N) b) => Math.Abs(a.X - b.X) < 1e-7 && a.N == b.N;

        public int GetHashCode((double X, int N) a) => a.N;
    }
}
