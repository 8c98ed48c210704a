using System.Text.Json;

namespace Theory.Lab;

/// <summary>Grids come in; the tables of a folder, and what they say of the theorems, go out.</summary>
public static class Laboratory
{
    /// <summary>Verdicts on task addition and negation.</summary>
    public static IReadOnlyList<Verdict> Judge(Pairs pairs)
    {
        var first = pairs.Mean((a, _) => a.Loss);
        var second = pairs.Mean((_, b) => b.Loss);
        return
        [
            Verdict.Of("both tasks are learned where alpha >= 0 and lambda >= 1 - alpha + beta", "alpha", pairs.Alphas, "lambda", pairs.Lambdas,
                (a, l) => Theorem.Adds(pairs.Alphas[a], pairs.Lambdas[l]),
                (a, l) => first[a, l] <= Verdict.Learned && second[a, l] <= Verdict.Learned),
            Verdict.Of("no lambda learns both where alpha < 0", "alpha", pairs.Alphas, "lambda", pairs.Lambdas,
                (a, _) => pairs.Alphas[a] < 0,
                (a, l) => first[a, l] > Verdict.Learned || second[a, l] > Verdict.Learned),
            Verdict.Of("task 2 is forgotten and task 1 kept where alpha = 0 and lambda <= 0, or alpha < 0 and -1/alpha^2 <= lambda < 0", "alpha", pairs.Alphas, "lambda", pairs.Lambdas,
                (a, l) => Theorem.Forgets(pairs.Alphas[a], pairs.Lambdas[l]),
                (a, l) => first[a, l] <= Verdict.Learned && second[a, l] >= Verdict.Forgotten),
        ];
    }

    /// <summary>Verdicts on the targets out of domain.</summary>
    public static IReadOnlyList<Verdict> Judge(OutOfDomain all) =>
    [
        .. all.Targets.Select((t, i) => Verdict.Of(
            $"condition (B) reaches gamma = ({string.Join(", ", t.Gamma.Select(g => Math.Round(g, 4)))})", "lambda1", all.Lambdas, "lambda2", all.Lambdas,
            (r, c) => Theorem.Reaches(t.Gamma, [all.Lambdas[r], all.Lambdas[c], t.Third]),
            (r, c) => all.Means[i, r, c].Loss <= Verdict.Learned)),
    ];

    /// <summary>Writes the tables of pairs.</summary>
    public static void Write(Pairs pairs, string folder)
    {
        Directory.CreateDirectory(folder);
        void Table(string name, Func<int, int, double> cell) =>
            Tables.Write(Path.Combine(folder, name + ".csv"), "alpha \\ lambda", pairs.Alphas, pairs.Lambdas, cell);
        void Mean(string name, Func<Measured, Measured, double> what)
        {
            var mean = pairs.Mean(what);
            Table(name, (a, l) => mean[a, l]);
        }

        Mean("pairs-accuracy-1", (a, _) => a.Accuracy);
        Mean("pairs-accuracy-2", (_, b) => b.Accuracy);
        Mean("pairs-loss-1", (a, _) => a.Loss);
        Mean("pairs-loss-2", (_, b) => b.Loss);
        Mean("pairs-accuracy-worse", (a, b) => Math.Min(a.Accuracy, b.Accuracy));
        Mean("pairs-loss-worse", (a, b) => Math.Max(a.Loss, b.Loss));
        Table("pairs-adds", (a, l) => Theorem.Adds(pairs.Alphas[a], pairs.Lambdas[l]) ? 1 : 0);
        Table("pairs-forgets", (a, l) => Theorem.Forgets(pairs.Alphas[a], pairs.Lambdas[l]) ? 1 : 0);
    }

    /// <summary>Writes the tables of targets out of domain.</summary>
    public static void Write(OutOfDomain all, string folder)
    {
        Directory.CreateDirectory(folder);
        foreach (var (target, i) in all.Targets.Select((t, i) => (t, i)))
        {
            void Table(string name, Func<int, int, double> cell) =>
                Tables.Write(Path.Combine(folder, $"ood-{target.Name}-{name}.csv"), "lambda1 \\ lambda2", all.Lambdas, all.Lambdas, cell);
            Table("accuracy", (r, c) => all.Means[i, r, c].Accuracy);
            Table("loss", (r, c) => all.Means[i, r, c].Loss);
            Table("reaches", (r, c) => Theorem.Reaches(target.Gamma, [all.Lambdas[r], all.Lambdas[c], target.Third]) ? 1 : 0);
        }
    }

    /// <summary>Writes the table of numbers of neutral patterns.</summary>
    public static void Write(Crowds crowds, string folder) =>
        Tables.Write(
            Path.Combine(folder, "crowds-loss-1.csv"), "neutral \\ lambda", [.. crowds.Numbers.Select(n => (double)n)], crowds.Lambdas, (n, l) => crowds.Losses[n, l]);

    /// <summary>Writes what was run and what it says.</summary>
    public static void Write(Sizes sizes, int seeds, IReadOnlyList<Verdict> verdicts, string folder) =>
        File.WriteAllText(
            Path.Combine(folder, "results.json"),
            JsonSerializer.Serialize(
                new { paper = "arXiv 2504.10957", seeds, sizes, learned = Verdict.Learned, forgotten = Verdict.Forgotten, slack = Theorem.Slack, verdicts },
                new JsonSerializerOptions { WriteIndented = true, PropertyNamingPolicy = JsonNamingPolicy.CamelCase, Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping }) + "\n");
}
