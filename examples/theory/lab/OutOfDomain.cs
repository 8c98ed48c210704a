namespace Theory.Lab;

/// <summary>A target Σ γᵢ μᵢ + κ μ_⊥, and the plane of λ that it is looked at in.</summary>
/// <param name="Name">Of its files.</param>
/// <param name="Gamma">γ, a number for each trained task.</param>
/// <param name="Third">λ₃ in this plane.</param>
public sealed record Target(string Name, double[] Gamma, double Third);

/// <summary>
/// Three tasks with orthonormal patterns, trained from the same start, and θ₀ + Σ λᵢ τᵢ measured on tasks never trained on: targets and
/// a grid of λ₁ and λ₂ come in, means over the seeds go out.
/// </summary>
public sealed class OutOfDomain
{
    private OutOfDomain(IReadOnlyList<Target> targets, double[] lambdas)
    {
        (Targets, Lambdas) = (targets, lambdas);
        Means = new Measured[targets.Count, lambdas.Length, lambdas.Length];
    }

    /// <summary>What is measured where nothing else is asked for: reachable ones, one with tasks of both signs, and two that no λ reaches.</summary>
    public static IReadOnlyList<Target> Usual { get; } =
    [
        new("between", [Math.Sqrt(0.5), Math.Sqrt(0.5), 0], 0),
        new("opposed", [0.8, -0.6, 0], 0),
        new("partly", [0.6, 0.3, 0], 0),
        new("three", [0.6, 0.5, 0.4], 1),
        new("against", [-0.5, -0.5, -0.5], 1),
        new("unrelated", [0, 0, 0], 1),
    ];

    /// <summary>The targets.</summary>
    public IReadOnlyList<Target> Targets { get; }

    /// <summary>The values of λ₁ and of λ₂.</summary>
    public double[] Lambdas { get; }

    /// <summary>By target, λ₁ and λ₂: means over the seeds.</summary>
    public Measured[,,] Means { get; }

    /// <summary>Trains and measures; what comes out does not depend on the number of threads.</summary>
    public static OutOfDomain Run(Sizes sizes, IReadOnlyList<Target> targets, double[] lambdas, int seeds, int threads)
    {
        var all = new OutOfDomain(targets, lambdas);
        var runs = new Measured[seeds, targets.Count, lambdas.Length, lambdas.Length];
        var options = new ParallelOptions { MaxDegreeOfParallelism = threads };
        var trained = new (Network Start, Network[] Tasks)[seeds];
        Parallel.For(0, seeds, options, seed =>
        {
            var patterns = new Patterns(sizes, seed);
            var start = Network.Pretrained(sizes, seed);
            double[][] units = [[1], [0, 1], [0, 0, 1]];
            trained[seed] = (start, [.. units.Select((u, i) => Training.Train(start, new(sizes, patterns.Direction(u), patterns.Neutral), seed, i))]);
        });
        Parallel.For(0, seeds * lambdas.Length, options, n =>
        {
            var (seed, row) = (n / lambdas.Length, n % lambdas.Length);
            var patterns = new Patterns(sizes, seed);
            foreach (var plane in targets.Select((t, i) => (t, i)).GroupBy(x => x.t.Third))
            {
                var edited = Editing.Edit(trained[seed].Start, trained[seed].Tasks, [.. lambdas.Select(l => new[] { lambdas[row], l, plane.Key })]);
                foreach (var (target, i) in plane)
                {
                    var task = new Discrimination(sizes, patterns.Direction(target.Gamma), patterns.Neutral);
                    for (var column = 0; column < lambdas.Length; column++)
                    {
                        runs[seed, i, row, column] = Training.Measure(edited[column], task, seed, 100 + i);
                    }
                }
            }
        });
        for (var i = 0; i < targets.Count; i++)
        {
            for (var row = 0; row < lambdas.Length; row++)
            {
                for (var column = 0; column < lambdas.Length; column++)
                {
                    var found = Enumerable.Range(0, seeds).Select(s => runs[s, i, row, column]).ToArray();
                    all.Means[i, row, column] = new(found.Average(m => m.Accuracy), found.Average(m => m.Loss));
                }
            }
        }

        return all;
    }
}
