using System.Text.Json;
using MathNet.Numerics.LinearAlgebra;
using Tva.Core.Bases;
using Xunit;

namespace Tva.Core.Tests;

/// <summary>Explicit task vectors V (d×T) to make Gram matrices of, and to measure on what the core says from those alone.</summary>
internal static class Vectors
{
    /// <summary>T vectors of d numbers; with mixing they share directions, and a scale per task sets their norms apart.</summary>
    public static Matrix<double> Draw(int d, int tasks, int seed, double mixing = 0.5, double spread = 1)
    {
        var random = new Random(seed);
        var v = Matrix<double>.Build.Dense(d, tasks, (_, _) => random.NextDouble() - 0.5);
        var mix = Matrix<double>.Build.Dense(tasks, tasks, (i, j) => (i == j ? 1 : 0) + (mixing * (random.NextDouble() - 0.5)));
        var scale = Matrix<double>.Build.DenseDiagonal(tasks, tasks, _ => Math.Pow(spread, random.NextDouble()));
        return v * mix * scale;
    }

    public static double[,] Gram(Matrix<double> v) => (v.Transpose() * v).ToArray();

    public static Matrix<double> Of(double[,] a) => Matrix<double>.Build.DenseOfArray(a);

    /// <summary>The tasks as they come back, from the vectors themselves.</summary>
    public static Matrix<double> Recover(Matrix<double> v, BasisSolution solution)
    {
        var back = v * Of(solution.Encoder) * Of(solution.Decoder);
        return solution.HasMean
            ? back + (v * Matrix<double>.Build.Dense(v.ColumnCount, v.ColumnCount, 1.0 / v.ColumnCount))
            : back;
    }

    /// <summary>‖τ−τ̂‖/‖τ‖ by task.</summary>
    public static double[] RelativeErrors(Matrix<double> v, BasisSolution solution)
    {
        var back = Recover(v, solution);
        return [.. Enumerable.Range(0, v.ColumnCount).Select(t => (v.Column(t) - back.Column(t)).L2Norm() / v.Column(t).L2Norm())];
    }

    /// <summary>Σ‖τ−τ̂‖²/Σ‖τ‖².</summary>
    public static double Loss(Matrix<double> v, BasisSolution solution) =>
        Math.Pow((v - Recover(v, solution)).FrobeniusNorm() / v.FrobeniusNorm(), 2);

    /// <summary>Σ_{m&gt;kept} σ_m²/Σσ², of the vectors.</summary>
    public static double Bound(Matrix<double> v, int kept)
    {
        var squares = v.Svd(false).S.Select(s => s * s).ToArray();
        return squares.Skip(kept).Sum() / squares.Sum();
    }

    public static void Near(double[,] expected, double[,] actual, double tolerance)
    {
        Assert.Equal((expected.GetLength(0), expected.GetLength(1)), (actual.GetLength(0), actual.GetLength(1)));
        Assert.InRange((Of(expected) - Of(actual)).Enumerate().Max(Math.Abs), 0, tolerance);
    }

    public static void Near(double[] expected, double[] actual, double tolerance)
    {
        Assert.Equal(expected.Length, actual.Length);
        Assert.All(expected.Zip(actual), p => Assert.Equal(p.First, p.Second, tolerance));
    }

    /// <summary>The Gram matrix of tests/golden/tvb and what the published tool reached on it.</summary>
    public static (double[,] Gram, JsonElement Results) Golden()
    {
        string? root = AppContext.BaseDirectory;
        while (root is not null && !File.Exists(Path.Combine(root, "Dsl.sln")))
        {
            root = Path.GetDirectoryName(root);
        }

        var file = Path.Combine(root!, "tests", "golden", "tvb", "expected.json");
        var json = JsonDocument.Parse(File.ReadAllText(file)).RootElement;
        var gram = json.GetProperty("gram");
        var tasks = gram.GetArrayLength();
        var matrix = new double[tasks, tasks];
        for (var i = 0; i < tasks * tasks; i++)
        {
            matrix[i / tasks, i % tasks] = gram[i / tasks][i % tasks].GetDouble();
        }

        return (matrix, json.GetProperty("results"));
    }

    public static double Published(this JsonElement results, string method) =>
        results.GetProperty(method).GetProperty("relative_sq_error").GetDouble();
}
