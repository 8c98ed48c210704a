using MathNet.Numerics.LinearAlgebra;
using Tva.Core.Bases;
using Xunit;

namespace Tva.Core.Tests;

public class AutoencoderTests
{
    public static TheoryData<BasisMethod, bool, int, int> Shapes => new()
    {
        { BasisMethod.Ae, false, 6, 3 }, { BasisMethod.Ae, true, 6, 3 }, { BasisMethod.AeLinear, false, 6, 3 },
        { BasisMethod.AeLinear, true, 5, 2 }, { BasisMethod.Ae, false, 2, 1 }, { BasisMethod.Ae, true, 9, 9 },
        { BasisMethod.Ae, false, 7, 5 }, { BasisMethod.AeLinear, false, 21, 17 }, { BasisMethod.Ae, false, 33, 18 },
    };

    [Theory]
    [MemberData(nameof(Shapes))]
    public void GradientsAreThoseOfDifferences(BasisMethod method, bool softmaxDecoder, int tasks, int atoms)
    {
        var gram = Vectors.Gram(Vectors.Draw(50, tasks, 1));
        var (training, _) = Begin(gram, method, softmaxDecoder, atoms);
        var random = new Random(2);
        for (var i = 0; i < tasks * atoms; i++)
        {
            training.C(i % atoms, i / atoms) = random.NextDouble() - 0.5;
        }

        training.Forward();
        training.Backward();
        for (var i = 0; i < tasks * atoms; i += Math.Max(1, tasks * atoms / 40))
        {
            var (task, atom) = (i / atoms, i % atoms);
            Assert.Equal(Difference(ref training.A(task, atom)), training.GradientA(task, atom), 1e-8);
            Assert.Equal(Difference(ref training.C(atom, task)), training.GradientC(atom, task), 1e-8);
        }

        double Difference(ref double parameter)
        {
            const double h = 1e-5;
            var kept = parameter;
            parameter = kept + h;
            var above = LossNow();
            parameter = kept - h;
            var below = LossNow();
            parameter = kept;
            return (above - below) / (2 * h);
        }

        double LossNow()
        {
            training.Forward();
            return Loss(Normalized(gram), Vectors.Of(training.Encoder), Vectors.Of(training.Decoder));
        }
    }

    /// <summary>Against the same training written out with matrices, the library's exponential and no vectors.</summary>
    [Theory]
    [MemberData(nameof(Shapes))]
    public void TrainingIsAdamOnThePublishedLoss(BasisMethod method, bool softmaxDecoder, int tasks, int atoms)
    {
        var gram = Vectors.Gram(Vectors.Draw(50, tasks, 3));
        var (training, options) = Begin(gram, method, softmaxDecoder, atoms);
        var g = Normalized(gram);
        var a = Matrix<double>.Build.Dense(tasks, atoms, (t, m) => training.A(t, m));
        var c = Matrix<double>.Build.Dense(atoms, tasks);
        var (adamA, adamC) = (new Adam(a, options), new Adam(c, options));
        var temperature = options.TemperatureOrDefault;
        for (var step = 1; step <= options.Steps; step++)
        {
            var (b, w) = Activate();
            var e = (b * w) - Matrix<double>.Build.DenseIdentity(tasks);
            var db = 2.0 / (tasks * tasks) * g * e * w.Transpose();
            var dw = 2.0 / (tasks * tasks) * b.Transpose() * g * e;
            var da = (method == BasisMethod.Ae ? ThroughSoftmax(b, db) : db) / temperature;
            a = adamA.Step(a, da);
            c = adamC.Step(c, softmaxDecoder ? ThroughSoftmax(w, dw) : dw);
            temperature = step % options.AnnealEvery == 0 ? Math.Max(options.Floor, temperature * options.AnnealFactor) : temperature;
        }

        training.Train();
        var (encoder, decoder) = Activate();
        Vectors.Near(encoder.ToArray(), training.Encoder, 1e-9);
        Vectors.Near(decoder.ToArray(), training.Decoder, 1e-9);

        (Matrix<double> B, Matrix<double> W) Activate() =>
            (method == BasisMethod.Ae ? Softmax(a / temperature) : a / temperature, softmaxDecoder ? Softmax(c) : c);
    }

    [Fact]
    public void ManySeedsReachThePublishedLossAndNoneBeatsTheBound()
    {
        var (gram, results) = Vectors.Golden();
        var bound = results.GetProperty("spectral_lower_bound_relative").GetDouble();
        foreach (var method in new[] { BasisMethod.Ae, BasisMethod.AeLinear })
        {
            foreach (var decoder in new[] { "closed", "trained" })
            {
                for (var seed = 0; seed < 25; seed++)
                {
                    var solution = BasisSolver.Solve(gram, new() { Method = method, Atoms = 3, Seed = seed, Decoder = decoder });
                    var report = BasisReport.Of(gram, solution);
                    Assert.InRange(report.Loss, bound - 1e-9, 1.02 * results.Published("ae_softmax"));
                    Assert.True(solution.TrainedLoss >= report.Loss - 1e-12);
                    Assert.Equal(bound, report.Bound, 1e-7);
                }
            }
        }
    }

    [Fact]
    public void AtomsAreConvexCombinations()
    {
        var gram = Vectors.Gram(Vectors.Draw(40, 7, 5));
        var options = new BasisOptions { Atoms = 4, SoftmaxDecoder = true, AnnealEvery = 1000 };
        var solution = BasisSolver.Solve(gram, options);
        foreach (var convex in new[] { Vectors.Of(solution.Encoder), Vectors.Of(solution.Decoder) })
        {
            Assert.All(convex.Enumerate(), x => Assert.InRange(x, 0, 1));
            Assert.All(convex.ColumnSums(), x => Assert.Equal(1, x, 1e-12));
        }

        Assert.Equal(solution.TrainedLoss!.Value, BasisReport.Of(gram, solution).Loss, 1e-14);
        var closed = BasisSolver.Solve(gram, options with { Decoder = "closed" });
        Assert.True(BasisReport.Of(gram, closed).Loss < solution.TrainedLoss);
    }

    /// <summary>Normalizing G makes it so; a power of 2 keeps every digit.</summary>
    [Fact]
    public void TheTasksScaleDoesNotMatter()
    {
        var v = Vectors.Draw(40, 6, 6);
        var (one, other) = (BasisSolver.Solve(Vectors.Gram(v), new()), BasisSolver.Solve(Vectors.Gram(v * 1024), new()));
        Assert.Equal(one.Encoder, other.Encoder);
        Assert.Equal(3, one.Atoms);
        Vectors.Near(one.Decoder, other.Decoder, 1e-12);
    }

    [Fact]
    public void TheSeedDecidesAll()
    {
        var gram = Vectors.Gram(Vectors.Draw(40, 6, 7));
        foreach (var method in Enum.GetValues<BasisMethod>())
        {
            var options = new BasisOptions { Method = method, Atoms = 3, Seed = 11, Steps = 300 };
            var (one, same) = (BasisSolver.Solve(gram, options), BasisSolver.Solve(gram, options));
            Assert.Equal(one.Encoder, same.Encoder);
            Assert.Equal(one.Decoder, same.Decoder);
        }

        Assert.NotEqual(
            BasisSolver.Solve(gram, new() { Steps = 300, Seed = 1 }).Encoder,
            BasisSolver.Solve(gram, new() { Steps = 300, Seed = 2 }).Encoder);
    }

    /// <summary>To the last bit, so whatever the width of vectors; odd rows and both orders of a among them.</summary>
    [Fact]
    public void ProductsAreSumsInOrder()
    {
        var random = new Random(12);
        var width = System.Numerics.Vector<double>.Count;
        for (var trial = 0; trial < 50; trial++)
        {
            var (rows, inner, columns) = (1 + random.Next(9), 1 + random.Next(20), width * (1 + random.Next(10)));
            var a = new Matrix(Draw((rows * inner) + 5), 5, inner, 1);
            a = trial % 2 == 0 ? a : new Matrix(a.Values, 5, rows, 1).Transposed;
            var b = new Matrix(Draw(3 + (inner * (columns + 2))), 3, columns + 2, 1);
            var c = new Matrix(new double[rows * columns], 0, columns, 1);
            RowProduct.Multiply(a, b, c, rows, inner, columns);
            for (var i = 0; i < rows * columns; i++)
            {
                var sum = 0.0;
                for (var k = 0; k < inner; k++)
                {
                    sum += a.At(i / columns, k) * b.At(k, i % columns);
                }

                Assert.Equal(sum, c.Values[i]);
            }
        }

        double[] Draw(int count) => [.. Enumerable.Range(0, count).Select(_ => random.NextDouble() - 0.5)];
    }

    [Fact]
    public void TheExponentialAndTheLogarithmAreTheLibrarys()
    {
        var random = new Random(8);
        for (var i = 0; i < 20_000; i++)
        {
            var x = i < 1000 ? -700 + (1.4 * i) : (random.NextDouble() * 4) - 2;
            var exp = Math.Exp(x);
            Assert.InRange(Math.Abs(Portable.Exp(new System.Numerics.Vector<double>(x))[0] - exp), 0, 2.5 * (Math.BitIncrement(exp) - exp));
            var y = i < 1000 ? exp : random.NextDouble();
            Assert.Equal(Math.Log(y), Portable.Log(y), 1e-15 + (4e-16 * Math.Abs(Math.Log(y))));
        }

        Assert.Equal(1, Portable.Exp(System.Numerics.Vector<double>.Zero)[0]);
        Assert.Equal(0, Portable.Log(1));
    }

    [Fact]
    public void NormalsHaveTheMomentsOfTheNormalDistribution()
    {
        var random = new SeededRandom(3, "test");
        var x = Enumerable.Range(0, 200_000).Select(_ => random.Normal()).ToArray();
        Assert.Equal(0, x.Average(), 0.01);
        Assert.Equal(1, x.Average(v => v * v), 0.02);
        Assert.Equal(0, x.Average(v => v * v * v), 0.05);
        Assert.Equal(3, x.Average(v => v * v * v * v), 0.15);
        Assert.Equal(0, x.Skip(1).Zip(x, (a, b) => a * b).Average(), 0.01);
        Assert.Equal(0.6827, x.Average(v => Math.Abs(v) < 1 ? 1.0 : 0), 0.005);
    }

    private static (Autoencoder Training, BasisOptions Options) Begin(double[,] gram, BasisMethod method, bool softmaxDecoder, int atoms)
    {
        var options = new BasisOptions
        {
            Method = method, SoftmaxDecoder = softmaxDecoder, Steps = 60, AnnealEvery = 25, AnnealFactor = 0.2, WeightDecay = 0.01,
        };
        return (new(gram, atoms, options, new SeededRandom(4, "test")), options);
    }

    private static Matrix<double> Normalized(double[,] gram)
    {
        var g = Vectors.Of(gram);
        return g * (g.RowCount / g.Trace());
    }

    private static double Loss(Matrix<double> g, Matrix<double> b, Matrix<double> w)
    {
        var e = (b * w) - Matrix<double>.Build.DenseIdentity(g.RowCount);
        return (e.Transpose() * g * e).Trace() / (g.RowCount * g.RowCount);
    }

    private static Matrix<double> Softmax(Matrix<double> a)
    {
        var e = a.PointwiseExp();
        var sums = e.ColumnSums();
        return Matrix<double>.Build.Dense(a.RowCount, a.ColumnCount, (i, j) => e[i, j] / sums[j]);
    }

    private static Matrix<double> ThroughSoftmax(Matrix<double> p, Matrix<double> d)
    {
        var means = p.PointwiseMultiply(d).ColumnSums();
        return Matrix<double>.Build.Dense(p.RowCount, p.ColumnCount, (i, j) => p[i, j] * (d[i, j] - means[j]));
    }

    private sealed class Adam(Matrix<double> like, BasisOptions options)
    {
        private Matrix<double> m = like * 0;
        private Matrix<double> v = like * 0;
        private int t;

        public Matrix<double> Step(Matrix<double> p, Matrix<double> gradient)
        {
            var g = gradient + (options.WeightDecay * p);
            t++;
            m = (0.9 * m) + (0.1 * g);
            v = (0.999 * v) + (0.001 * g.PointwiseMultiply(g));
            var (mHat, vHat) = (m / (1 - Math.Pow(0.9, t)), v / (1 - Math.Pow(0.999, t)));
            return p - (options.LearningRate * mHat.PointwiseDivide(vHat.PointwiseSqrt() + 1e-8));
        }
    }
}
