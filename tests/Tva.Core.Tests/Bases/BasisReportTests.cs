using MathNet.Numerics.LinearAlgebra;
using Tva.Core.Bases;
using Xunit;

namespace Tva.Core.Tests;

public class BasisReportTests
{
    /// <summary>B and W of ae_softmax/AWB.pt in the published artifacts.</summary>
    private static readonly double[,] publishedEncoder =
    {
        { 0.0650400594, 0.0933822542, 0.2120676935 },
        { 0.0344495848, 0.2089842707, 0.0149751054 },
        { 0.2852946818, 0.3107209206, 0.3931669295 },
        { 0.1268084049, 0.0993792787, 0.18695952 },
        { 0.2990595102, 0.0759240016, 0.059450753 },
        { 0.1893477738, 0.2116093189, 0.1333800703 },
    };

    private static readonly double[,] publishedDecoder =
    {
        { -0.9085320234, -1.1033831835, -0.2352361381, 0.112466149, 3.5117909908, 0.5112234354 },
        { -0.7272850275, 3.9000070095, 0.3000769913, -0.7843422294, -1.2290359735, 1.6288847923 },
        { 2.0471584797, -2.1364190578, 1.4899466038, 1.2546058893, -1.5006881952, -1.0586155653 },
    };

    [Fact]
    public void ThePublishedBasisHasThePublishedLoss()
    {
        var (gram, results) = Vectors.Golden();
        var report = BasisReport.Of(gram, new(publishedEncoder, publishedDecoder, HasMean: false, Rank: 6));

        // G there was summed in float32.
        Assert.Equal(results.Published("ae_softmax"), report.Loss, 2e-7);
        Assert.Equal(results.GetProperty("spectral_lower_bound_relative").GetDouble(), report.Bound, 1e-7);
        var e = (Vectors.Of(publishedEncoder) * Vectors.Of(publishedDecoder)) - Matrix<double>.Build.DenseIdentity(6);
        Assert.Equal((e.Transpose() * Vectors.Of(gram) * e).Trace() / 36, report.PublishedLoss, 1e-12);
    }

    /// <summary>Every number against the vectors themselves.</summary>
    [Fact]
    public void WhatGSaysIsTrueOfTheVectors()
    {
        for (var seed = 0; seed < 20; seed++)
        {
            var v = Vectors.Draw(30, 6, seed, mixing: 2, spread: 20);
            foreach (var method in Enum.GetValues<BasisMethod>())
            {
                var options = new BasisOptions { Method = method, Atoms = 3, Seed = seed, Steps = 200 };
                var solution = BasisSolver.Solve(Vectors.Gram(v), options);
                Check(v, solution, BasisReport.Of(Vectors.Gram(v), solution));
            }
        }
    }

    /// <summary>A basis per group is the block-diagonal one of all: the vectors of the groups one below the other.</summary>
    [Fact]
    public void GroupsAddUp()
    {
        for (var seed = 0; seed < 20; seed++)
        {
            Matrix<double>[] groups = [Vectors.Draw(10, 5, seed), 7 * Vectors.Draw(30, 5, seed + 100), Vectors.Draw(20, 5, seed + 200)];
            groups[2].ClearColumn(4);
            var options = new BasisOptions { Method = seed % 2 == 0 ? BasisMethod.Svd : BasisMethod.Pca, Atoms = 2 };
            var solutions = groups.Select(v => BasisSolver.Solve(Vectors.Gram(v), options)).ToArray();
            var all = BasisReport.Combine([.. groups.Zip(solutions, (v, s) => BasisReport.Of(Vectors.Gram(v), s))]);
            var given = groups.Aggregate((a, b) => a.Stack(b));
            var back = groups.Zip(solutions, Vectors.Recover).Aggregate((a, b) => a.Stack(b));
            Check(given, back, all);
            var bound = groups.Zip(solutions, (v, s) => Vectors.Bound(v, s.Kept) * Math.Pow(v.FrobeniusNorm(), 2)).Sum();
            Assert.Equal(bound / Math.Pow(given.FrobeniusNorm(), 2), all.Bound, 1e-10);
        }
    }

    [Fact]
    public void AZeroTaskThatComesBackAsSomethingIsInfinitelyWrong()
    {
        var v = Vectors.Draw(20, 4, 3);
        v.ClearColumn(1);
        var report = BasisReport.Of(Vectors.Gram(v), BasisSolver.Solve(Vectors.Gram(v), new() { Method = BasisMethod.Pca, Atoms = 1 }));
        Assert.Equal((double.PositiveInfinity, 0), (report.RelativeError[1], report.Cosine[1]));
        Assert.True(double.IsFinite(report.Loss));
        var twice = BasisReport.Combine([report, report]);
        Assert.Equal((double.PositiveInfinity, 0), (twice.RelativeError[1], twice.Cosine[1]));
        Assert.Equal(report.Loss, twice.Loss, 1e-14);
    }

    private static void Check(Matrix<double> v, BasisSolution solution, BasisReport report)
    {
        Check(v, Vectors.Recover(v, solution), report);
        Assert.Equal(Vectors.Bound(v, solution.Kept), report.Bound, 1e-10);
    }

    private static void Check(Matrix<double> v, Matrix<double> back, BasisReport report)
    {
        var size = v.FrobeniusNorm();
        for (var t = 0; t < v.ColumnCount; t++)
        {
            var (task, recovered) = (v.Column(t), back.Column(t));
            Assert.Equal(task.L2Norm(), report.Norm[t], 1e-12 * size);
            Assert.Equal(recovered.L2Norm(), report.Recovered[t], 1e-7 * size);
            Assert.Equal((task - recovered).L2Norm(), report.Error[t], 1e-7 * size);
            Assert.Equal((task - recovered).L2Norm() / task.L2Norm(), report.RelativeError[t], 1e-6);
            Assert.Equal(task * recovered / task.L2Norm() / recovered.L2Norm(), report.Cosine[t], 1e-6);
        }

        Assert.Equal(Math.Pow((v - back).FrobeniusNorm() / size, 2), report.Loss, 1e-10);
        Assert.Equal(Math.Pow((v - back).FrobeniusNorm() / v.ColumnCount, 2), report.PublishedLoss, 1e-9 * size * size);
    }
}
