using MathNet.Numerics.LinearAlgebra;
using Tva.Core.Bases;
using Xunit;

namespace Tva.Core.Tests;

/// <summary>M from an error, and tasks or options that allow no basis.</summary>
public class BasisErrorTests
{
    public static TheoryData<BasisMethod> Methods => [.. Enum.GetValues<BasisMethod>()];

    [Theory]
    [MemberData(nameof(Methods))]
    public void TheLeastNumberOfAtomsIsFound(BasisMethod method)
    {
        for (var seed = 0; seed < 8; seed++)
        {
            var v = Vectors.Draw(30, 7, seed, mixing: 3, spread: 1 + (3 * (seed % 2)));
            var gram = Vectors.Gram(v);
            var options = new BasisOptions { Method = method, Seed = seed, Steps = 300, Starts = 1 };
            var worst = Enumerable.Range(1, method == BasisMethod.Pca ? 6 : 7)
                .Select(m => Vectors.RelativeErrors(v, BasisSolver.Solve(gram, options with { Atoms = m })).Max()).ToArray();
            foreach (var error in new[] { 0.9, 0.6, 0.3, 0.1, 1e-7 })
            {
                var least = 1 + Array.FindIndex(worst, w => w <= error);
                Assert.Equal(least, BasisSolver.Solve(gram, options with { Error = error }).Atoms);
            }
        }
    }

    [Fact]
    public void DependentTasksStillReachAnyError()
    {
        var v = Vectors.Draw(30, 6, 3);
        v.SetColumn(1, v.Column(0));
        v.SetColumn(4, v.Column(0) - v.Column(5));
        foreach (var method in Enum.GetValues<BasisMethod>())
        {
            var solution = BasisSolver.Solve(Vectors.Gram(v), new() { Method = method, Error = 0, Seed = 2 });
            Assert.All(Vectors.RelativeErrors(v, solution), e => Assert.InRange(e, 0, 1e-6));
            Assert.Equal(4, solution.Rank);
            Assert.InRange(solution.Atoms, method == BasisMethod.Pca ? 3 : 4, 6);
        }
    }

    [Fact]
    public void AnErrorOutOfReachSaysHowNear()
    {
        var gram = Vectors.Gram(Vectors.Draw(30, 5, 4));
        var options = new BasisOptions { Decoder = "trained", Steps = 50, Error = 0.001 };
        var e = Assert.Throws<BasisUnreachedException>(() => BasisSolver.Solve(gram, options));
        var best = Enumerable.Range(1, 5).Min(m => BasisReport.Of(gram, BasisSolver.Solve(gram, options with { Error = null, Atoms = m })).Worst);
        Assert.Equal(best, e.Reached, 1e-12);
    }

    [Fact]
    public void TheRankAndWhatLowersItAreNamed()
    {
        var v = Vectors.Draw(30, 6, 5, spread: 1e5);
        v.SetColumn(2, v.Column(0));
        v.ClearColumn(3);
        v.SetColumn(5, (2 * v.Column(0)) - v.Column(1));
        var gram = Vectors.Gram(v);
        foreach (var method in Enum.GetValues<BasisMethod>().Except([BasisMethod.Pca]))
        {
            var e = Assert.Throws<BasisRankException>(() => BasisSolver.Solve(gram, new() { Method = method, Atoms = 4 }));
            Assert.Equal(3, e.Rank);
            Assert.Equal([3], e.Zero);
            Assert.Equal([(0, 2)], e.Equal);

            // Which of 0, 1 and 5 is the dependent one is a matter of taste.
            Assert.Single(e.Dependent);
            Assert.Contains(e.Dependent[0], new[] { 1, 5 });
            Assert.Contains("rank 3: task 3 is zero, tasks 0 and 2 are equal, task", e.Message);
            Assert.EndsWith("is a combination of others; at most 3 atoms", e.Message);

            var solution = BasisSolver.Solve(gram, new() { Method = method, Atoms = 3, Steps = 500 });
            Assert.All(solution.Encoder.Cast<double>().Concat(solution.Decoder.Cast<double>()), x => Assert.True(double.IsFinite(x)));
            var report = BasisReport.Of(gram, solution);
            Assert.Equal((0, 1), (report.RelativeError[3], report.Cosine[3]));
        }
    }

    [Fact]
    public void AroundTheMeanThereIsOneDirectionLess()
    {
        var gram = Vectors.Gram(Vectors.Draw(30, 4, 6));
        var pca = new BasisOptions { Method = BasisMethod.Pca, Atoms = 4 };
        Assert.Equal(3, Assert.Throws<BasisRankException>(() => BasisSolver.Solve(gram, pca)).Rank);
        Assert.InRange(BasisReport.Of(gram, BasisSolver.Solve(gram, pca with { Atoms = 3 })).Worst, 0, 1e-7);
    }

    [Fact]
    public void NothingButZerosHasNoBasis()
    {
        foreach (var method in Enum.GetValues<BasisMethod>())
        {
            foreach (var options in new BasisOptions[] { new() { Method = method }, new() { Method = method, Error = 0.5 } })
            {
                var e = Assert.Throws<BasisRankException>(() => BasisSolver.Solve(new double[3, 3], options));
                Assert.Equal((0, 3), (e.Rank, e.Zero.Count));
            }
        }
    }

    [Fact]
    public void TrainingThatDivergesSaysSo()
    {
        var gram = Vectors.Gram(Vectors.Draw(30, 4, 10));
        foreach (var method in new[] { BasisMethod.Ae, BasisMethod.AeLinear })
        {
            var options = new BasisOptions { Method = method, LearningRate = 1e200 };
            Assert.Throws<BasisDivergedException>(() => BasisSolver.Solve(gram, options));
        }
    }

    /// <summary>A task is as much a task when the others are a million times larger.</summary>
    [Fact]
    public void SmallTasksCount()
    {
        var v = Vectors.Draw(30, 4, 7);
        v.SetColumn(2, v.Column(2) * 1e-7);
        var solution = BasisSolver.Solve(Vectors.Gram(v), new() { Method = BasisMethod.Svd, Atoms = 3 });
        Assert.Equal(4, solution.Rank);
        var report = BasisReport.Of(Vectors.Gram(v), solution);
        Vectors.Near(Vectors.RelativeErrors(v, solution), report.RelativeError, 1e-6);
        Assert.InRange(report.RelativeError[2], 0.5, 1);
    }

    [Fact]
    public void NotFiniteIsFoundByMember()
    {
        var gram = Vectors.Gram(Vectors.Draw(30, 4, 8));
        for (var t = 0; t < 4; t++)
        {
            (gram[1, t], gram[t, 1]) = (double.NaN, double.NaN);
        }

        Assert.Equal([1], Assert.Throws<BasisNonFiniteException>(() => BasisSolver.Solve(gram, new())).Members);
        gram = Vectors.Gram(Vectors.Draw(30, 4, 8));
        (gram[0, 3], gram[3, 0]) = (double.PositiveInfinity, double.PositiveInfinity);
        Assert.Equal([0, 3], Assert.Throws<BasisNonFiniteException>(() => BasisSolver.Solve(gram, new())).Members);
    }

    [Fact]
    public void WrongOptionsAreRefused()
    {
        var gram = Vectors.Gram(Vectors.Draw(30, 4, 9));
        Refused<ArgumentException>(new() { Atoms = 2, Error = 0.1 });
        Refused<ArgumentException>(new() { Decoder = "membership" });
        Refused<ArgumentException>(new() { Method = BasisMethod.Svd, Decoder = "trained" });
        Refused<ArgumentException>(new() { Merge = "ties" });
        Refused<ArgumentOutOfRangeException>(new() { Atoms = 0 });
        Refused<ArgumentOutOfRangeException>(new() { Atoms = 5 });
        Refused<ArgumentOutOfRangeException>(new() { Error = -0.1 });
        Refused<ArgumentOutOfRangeException>(new() { Error = double.NaN });
        Refused<ArgumentOutOfRangeException>(new() { Steps = 0 });
        Refused<ArgumentOutOfRangeException>(new() { Starts = 0 });
        Refused<ArgumentOutOfRangeException>(new() { LearningRate = double.NaN });
        Refused<ArgumentOutOfRangeException>(new() { WeightDecay = -1 });
        Refused<ArgumentOutOfRangeException>(new() { Temperature = 0 });
        Refused<ArgumentOutOfRangeException>(new() { AnnealFactor = 1.5 });
        Assert.Throws<ArgumentOutOfRangeException>(() => BasisSolver.Solve(new double[1, 1], new()));
        Assert.Throws<ArgumentException>(() => BasisSolver.Solve(new double[2, 3], new()));

        void Refused<T>(BasisOptions options)
            where T : Exception => Assert.Throws<T>(() => BasisSolver.Solve(gram, options));
    }
}
