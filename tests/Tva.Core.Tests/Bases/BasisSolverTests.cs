using MathNet.Numerics.LinearAlgebra;
using Tva.Core.Bases;
using Xunit;

namespace Tva.Core.Tests;

public class BasisSolverTests
{
    /// <summary>Signs aside, what the published tool wrote to pca_components.pt for tests/golden/tvb.</summary>
    private static readonly double[,] publishedCoefficients =
    {
        { -0.3944721818, 0.5810068846, -0.5183604360, -0.2445157766, 0.3664421439, 0.2098992467 },
        { 0.2708450258, 0.5873460770, -0.0977141708, 0.0156220719, -0.7559561133, -0.0201453269 },
        { -0.2809333205, -0.2902966142, -0.2717739046, 0.4690099657, -0.2993234992, 0.6733335853 },
    };

    private static readonly double[] publishedSingularValues = [3.8328940868, 1.4510164261, 0.6394338012];

    [Fact]
    public void SvdReachesTheBound()
    {
        for (var seed = 0; seed < 60; seed++)
        {
            var tasks = 2 + (seed % 19);
            var v = Vectors.Draw(30, tasks, seed, mixing: seed % 3, spread: seed % 2 == 0 ? 1 : 1000);
            for (var atoms = 1; atoms <= tasks; atoms += 1 + (tasks / 4))
            {
                var solution = BasisSolver.Solve(Vectors.Gram(v), new() { Method = BasisMethod.Svd, Atoms = atoms });
                Assert.Equal(Vectors.Bound(v, atoms), Vectors.Loss(v, solution), 1e-10);
                var q = Vectors.Of(solution.Encoder);
                Vectors.Near(Matrix<double>.Build.DenseIdentity(atoms).ToArray(), (q.Transpose() * q).ToArray(), 1e-12);
                Assert.All(q.EnumerateColumns(), c => Assert.True(c[c.AbsoluteMaximumIndex()] > 0));
            }
        }
    }

    [Fact]
    public void NoMethodBeatsTheBoundAndNoDecoderTheClosedForm()
    {
        var random = new Random(1);
        for (var seed = 0; seed < 40; seed++)
        {
            var tasks = 2 + (seed % 9);
            var v = Vectors.Draw(25, tasks, seed, mixing: seed % 4, spread: 1 + (seed % 5));
            foreach (var method in Enum.GetValues<BasisMethod>())
            {
                var atoms = 1 + random.Next(tasks - 1);
                var solution = BasisSolver.Solve(Vectors.Gram(v), new() { Method = method, Atoms = atoms, Seed = seed, Steps = 500 });
                Assert.Equal((tasks, atoms), (solution.Tasks, solution.Atoms));
                Assert.Equal(tasks, solution.Rank);
                var loss = Vectors.Loss(v, solution);
                var report = BasisReport.Of(Vectors.Gram(v), solution);
                Assert.True(loss >= Vectors.Bound(v, solution.Kept) - 1e-12);
                Assert.True(report.Loss >= report.Bound - 1e-12);
                for (var trial = 0; trial < 5; trial++)
                {
                    var moved = Vectors.Of(solution.Decoder).Map(w => w + (0.01 * (random.NextDouble() - 0.5)));
                    Assert.True(Vectors.Loss(v, solution with { Decoder = moved.ToArray() }) >= loss - 1e-12);
                }
            }
        }
    }

    /// <summary>Against the decomposition of the centred vectors themselves.</summary>
    [Fact]
    public void PcaIsTheDecompositionOfTheCentredTasks()
    {
        for (var seed = 0; seed < 30; seed++)
        {
            var tasks = 3 + (seed % 8);
            var atoms = 1 + (seed % (tasks - 1));
            var v = Vectors.Draw(40, tasks, seed);
            var mean = v.RowSums() / tasks;
            var centred = Matrix<double>.Build.DenseOfColumns(v.EnumerateColumns().Select(c => c - mean));
            var svd = centred.Svd();
            var kept = svd.U.SubMatrix(0, 40, 0, atoms) * Matrix<double>.Build.DenseDiagonal(atoms, atoms, m => svd.S[m]);
            var direct = kept * svd.VT.SubMatrix(0, atoms, 0, tasks);

            var solution = BasisSolver.Solve(Vectors.Gram(v), new() { Method = BasisMethod.Pca, Atoms = atoms });
            Assert.True(solution.HasMean);
            var back = Vectors.Recover(v, solution);
            for (var t = 0; t < tasks; t++)
            {
                Assert.Equal(0, (back.Column(t) - mean - direct.Column(t)).L2Norm(), 1e-10);
            }

            var s = v * Vectors.Of(solution.Encoder);
            for (var m = 0; m < atoms; m++)
            {
                var sign = Math.Sign(s.Column(m) * kept.Column(m));
                Assert.Equal(0, ((sign * s.Column(m)) - kept.Column(m)).L2Norm(), 1e-8);
                var w = Vectors.Of(solution.Decoder).Row(m);
                Assert.True(w[w.AbsoluteMaximumIndex()] > 0);
            }
        }
    }

    [Fact]
    public void PcaIsThePublishedOne()
    {
        var (gram, results) = Vectors.Golden();
        var solution = BasisSolver.Solve(gram, new() { Method = BasisMethod.Pca, Atoms = 3 });
        var report = BasisReport.Of(gram, solution);
        Assert.Equal(results.Published("pca"), report.Loss, 1e-6);
        Assert.InRange(report.Bound, 0, report.Loss);
        var atoms = Vectors.Of(solution.Encoder);
        for (var m = 0; m < 3; m++)
        {
            var published = Enumerable.Range(0, 6).Select(t => publishedCoefficients[m, t]).ToArray();
            var sign = Math.Sign(published.MaxBy(Math.Abs));
            var own = Enumerable.Range(0, 6).Select(t => solution.Decoder[m, t]).ToArray();

            // The tool works in float32, where 1e-6 of the spectrum turns the third direction (0.409) toward the fourth (0.391).
            Vectors.Near(Array.ConvertAll(published, x => sign * x), own, m < 2 ? 5e-6 : 5e-5);
            var norm = Math.Sqrt(atoms.Column(m) * Vectors.Of(gram) * atoms.Column(m));
            Assert.Equal(publishedSingularValues[m], norm, 5e-6);
        }
    }

    [Fact]
    public void RandomAtomsAreOrthonormalAndTasksProjected()
    {
        for (var seed = 0; seed < 30; seed++)
        {
            var tasks = 2 + (seed % 12);
            var atoms = 1 + (seed % tasks);
            var v = Vectors.Draw(30, tasks, seed, spread: 10);
            var gram = Vectors.Gram(v);
            var solution = BasisSolver.Solve(gram, new() { Method = BasisMethod.Random, Atoms = atoms, Seed = seed });
            var s = v * Vectors.Of(solution.Encoder);
            Vectors.Near(Matrix<double>.Build.DenseIdentity(atoms).ToArray(), (s.Transpose() * s).ToArray(), 1e-9);
            Vectors.Near((s.Transpose() * v).ToArray(), solution.Decoder, 1e-8);

            // Fewer of the same seed are the first of the same.
            var fewer = BasisSolver.Solve(gram, new() { Method = BasisMethod.Random, Atoms = 1, Seed = seed });
            Vectors.Near(Vectors.Of(solution.Encoder).SubMatrix(0, tasks, 0, 1).ToArray(), fewer.Encoder, 1e-9);
        }
    }

    [Fact]
    public void SamplesAreDistinctAndEveryTaskAsLikely()
    {
        var gram = Vectors.Gram(Vectors.Draw(30, 6, 9));
        var drawn = new int[6];
        for (var seed = 0; seed < 600; seed++)
        {
            var solution = BasisSolver.Solve(gram, new() { Method = BasisMethod.Sample, Atoms = 2, Seed = seed });
            Assert.Equal(2, solution.Selected!.Distinct().Count());
            for (var m = 0; m < 2; m++)
            {
                drawn[solution.Selected![m]]++;
                Assert.Equal(1, solution.Encoder[solution.Selected[m], m]);
            }
        }

        // 200 each; the standard deviation is 11.5.
        Assert.All(drawn, n => Assert.InRange(n, 150, 250));
    }

    [Fact]
    public void SelectionLeavesTheRestZeroAndLeastSquaresDoesNot()
    {
        var v = Vectors.Draw(30, 6, 10, mixing: 3);
        var options = new BasisOptions { Method = BasisMethod.Sample, Atoms = 3, Seed = 5, Decoder = "selection" };
        var selection = BasisSolver.Solve(Vectors.Gram(v), options);
        var squares = BasisSolver.Solve(Vectors.Gram(v), options with { Decoder = null });
        Assert.Equal(selection.Selected, squares.Selected);
        for (var t = 0; t < 6; t++)
        {
            var chosen = selection.Selected!.Contains(t);
            Assert.Equal(chosen ? 0 : 1, Vectors.RelativeErrors(v, selection)[t], 1e-12);
            Assert.InRange(Vectors.RelativeErrors(v, squares)[t], 0, chosen ? 1e-9 : 0.99);
        }
    }

    /// <summary>Planted: tasks of a cluster share a direction, clusters are apart or opposed.</summary>
    [Theory]
    [InlineData("mean")]
    [InlineData("sum")]
    public void ClustersAreFound(string merge)
    {
        for (var seed = 0; seed < 30; seed++)
        {
            var random = new Random(seed);
            var planted = Enumerable.Range(0, 12).Select(t => t < 4 ? t : random.Next(4)).ToArray();
            var directions = Vectors.Draw(200, 4, seed, mixing: 0);
            var noise = Vectors.Draw(200, 12, seed + 1000, mixing: 0);
            var scale = Enumerable.Range(0, 12).Select(_ => 0.5 + random.NextDouble()).ToArray();
            var v = Matrix<double>.Build.Dense(200, 12, (k, t) => scale[t] * (directions[k, planted[t]] + (0.6 * noise[k, t])));

            var options = new BasisOptions { Method = BasisMethod.Cluster, Seed = seed, Merge = merge };
            var solution = BasisSolver.Solve(Vectors.Gram(v), options);
            Assert.Equal(4, solution.Atoms);
            Assert.Equal(planted, solution.Clusters);
            Assert.Equal(planted, BasisSolver.Solve(Vectors.Gram(v), options with { Atoms = 4, Seed = -seed }).Clusters);

            var member = BasisSolver.Solve(Vectors.Gram(v), options with { Decoder = "membership" });
            var back = Vectors.Recover(v, member);
            for (var t = 0; t < 12; t++)
            {
                var others = Enumerable.Range(0, 12).Where(u => planted[u] == planted[t]).ToArray();
                var sum = others.Select(u => v.Column(u)).Aggregate((x, y) => x + y);
                Assert.Equal(0, (back.Column(t) - (sum / others.Length)).L2Norm(), 1e-10);
                var atom = (v * Vectors.Of(member.Encoder)).Column(planted[t]);
                Assert.Equal(0, (atom - (merge == "sum" ? sum : sum / others.Length)).L2Norm(), 1e-10);
            }

            Assert.True(Vectors.Loss(v, solution) < Vectors.Loss(v, member));
        }
    }

    [Fact]
    public void TasksWithoutClustersAreOneOrEachTheirOwn()
    {
        var apart = Matrix<double>.Build.DenseIdentity(5).ToArray();
        Assert.Equal(5, BasisSolver.Solve(apart, new() { Method = BasisMethod.Cluster }).Atoms);
        var alike = (Matrix<double>.Build.DenseIdentity(5) + 20).ToArray();
        Assert.Equal(1, BasisSolver.Solve(alike, new() { Method = BasisMethod.Cluster }).Atoms);
        for (var atoms = 1; atoms <= 5; atoms++)
        {
            foreach (var gram in new[] { apart, alike })
            {
                var solution = BasisSolver.Solve(gram, new() { Method = BasisMethod.Cluster, Atoms = atoms });
                Assert.Equal(Enumerable.Range(0, atoms), solution.Clusters!.Distinct());
            }
        }
    }

    [Fact]
    public void NamesGoBothWays()
    {
        Assert.Equal(["ae", "ae-linear", "svd", "pca", "random", "sample", "cluster"], BasisMethods.Names);
        foreach (var method in Enum.GetValues<BasisMethod>())
        {
            Assert.True(BasisMethods.TryParse(method.Name(), out var parsed));
            Assert.Equal(method, parsed);
            Assert.Contains("closed", method.Decoders());
        }

        Assert.False(BasisMethods.TryParse("AE", out _));
    }
}
