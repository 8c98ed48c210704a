namespace Theory.Lab;

/// <summary>
/// Two tasks whose patterns have the inner product α, trained from the same start, and θ₀ + τ₁ + λ τ₂ measured on both: grids of α and λ come
/// in, means over the seeds go out.
/// </summary>
public sealed class Pairs
{
    private Pairs(double[] alphas, double[] lambdas, int seeds)
    {
        (Alphas, Lambdas) = (alphas, lambdas);
        Runs = new Measured[alphas.Length, lambdas.Length, seeds, 2];
    }

    /// <summary>The tasks' correlations.</summary>
    public double[] Alphas { get; }

    /// <summary>Coefficients of the second task vector.</summary>
    public double[] Lambdas { get; }

    /// <summary>By α, λ, seed and task.</summary>
    public Measured[,,,] Runs { get; }

    /// <summary>Trains and measures; what comes out does not depend on the number of threads.</summary>
    public static Pairs Run(Sizes sizes, double[] alphas, double[] lambdas, int seeds, int threads)
    {
        var pairs = new Pairs(alphas, lambdas, seeds);
        Parallel.For(0, alphas.Length * seeds, new ParallelOptions { MaxDegreeOfParallelism = threads }, n =>
        {
            var (a, seed) = (n / seeds, n % seeds);
            var patterns = new Patterns(sizes, seed);
            Discrimination[] tasks =
            [
                new(sizes, patterns.Direction(1), patterns.Neutral),
                new(sizes, patterns.Direction(alphas[a]), patterns.Neutral),
            ];
            var start = Network.Pretrained(sizes, seed);
            var edited = Editing.Edit(
                start, [.. tasks.Select((task, i) => Training.Train(start, task, seed, i))], [.. lambdas.Select(l => new[] { 1, l })]);
            for (var l = 0; l < lambdas.Length; l++)
            {
                for (var i = 0; i < tasks.Length; i++)
                {
                    pairs.Runs[a, l, seed, i] = Training.Measure(edited[l], tasks[i], seed, i);
                }
            }
        });
        return pairs;
    }

    /// <summary>A mean over the seeds, by α (rows) and λ (columns).</summary>
    /// <param name="what">What to take the mean of, from what the model does on task 1 and on task 2.</param>
    public double[,] Mean(Func<Measured, Measured, double> what)
    {
        var seeds = Runs.GetLength(2);
        var mean = new double[Alphas.Length, Lambdas.Length];
        for (var a = 0; a < Alphas.Length; a++)
        {
            for (var l = 0; l < Lambdas.Length; l++)
            {
                mean[a, l] = Enumerable.Range(0, seeds).Average(s => what(Runs[a, l, s, 0], Runs[a, l, s, 1]));
            }
        }

        return mean;
    }
}
