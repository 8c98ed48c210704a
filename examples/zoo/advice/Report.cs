namespace Zoo.Advice;

/// <summary>What counts for a task: learned at this accuracy or above, forgotten where it is no better than the base's.</summary>
internal readonly record struct Limits(double Learned, double Base);

/// <summary>Pairs with what was said and measured come in; a page of text goes out.</summary>
internal static class Report
{
    public static void Write(TextWriter text, IReadOnlyList<Pair> pairs, Dictionary<string, Limits> limits, double keep, string split)
    {
        text.WriteLine($"base + task 1 + λ·task 2 on the {split} images. Learned: at least {keep} of the fine-tuned accuracy. Forgotten: no better than the base.");
        text.WriteLine("The zoo's tasks are not the theorem's (four layers, up to ten classes), so nothing here is promised; this is how it goes.");
        bool Both(Pair p, double l) => p.Measured[l].First >= limits[p.First].Learned && p.Measured[l].Second >= limits[p.Second].Learned;
        bool Lost(Pair p, double l) => p.Measured[l].First >= limits[p.First].Learned && p.Measured[l].Second <= limits[p.Second].Base;
        // The λ at which the worse of the two tasks is best; and the one that loses most of the second while the first is kept, or keeps most of it.
        double Together(Pair p) =>
            p.Measured.MaxBy(m => Math.Min(m.Value.First / limits[p.First].Learned, m.Value.Second / limits[p.Second].Learned)).Key;
        double Apart(Pair p) =>
            p.Measured.MaxBy(m => m.Value.First >= limits[p.First].Learned ? 2 - m.Value.Second : m.Value.First).Key;
        foreach (var (source, alpha, choose) in new (string, Func<Pair, double>, Func<Pair, (Advised Add, Advised Forget)>)[]
            { ("the cosine, a proxy", p => p.Cosine, p => p.ByCosine), ("outputs, an estimate", p => p.Likeness, p => p.ByOutputs) })
        {
            text.WriteLine();
            text.WriteLine($"by {source}:");
            text.WriteLine("pair                         alpha    add: λ  task 1  task 2            forget: λ  task 1  task 2");
            foreach (var p in pairs)
            {
                var (add, forget) = choose(p);
                text.WriteLine($"{p.First + ", " + p.Second,-24}  {alpha(p),8:F3}  {At(p, add, Both, "both"),-36}  {At(p, forget, Lost, "so")}");
            }

            Count(text, "adding", pairs, p => choose(p).Add, Both, Together);
            Count(text, "forgetting", pairs, p => choose(p).Forget, Lost, Apart);
        }
    }

    private static string At(Pair p, Advised a, Func<Pair, double, bool> holds, string word)
    {
        if (!a.Serves)
        {
            return "none serves";
        }

        var (first, second) = p.Measured[a.Lambda];
        return $"{a.Lambda,8:F2}  {first,6:F3}  {second,6:F3}  {(holds(p, a.Lambda) ? word : "not " + word)}";
    }

    private static void Count(
        TextWriter text, string what, IReadOnlyList<Pair> pairs, Func<Pair, Advised> advice, Func<Pair, double, bool> holds, Func<Pair, double> best)
    {
        bool Exists(Pair p) => p.Measured.Keys.Any(l => holds(p, l));
        var right = pairs.Where(p => advice(p).Serves == Exists(p)).ToList();
        var served = pairs.Where(p => advice(p).Serves).ToList();
        var points = pairs.SelectMany(p => p.Measured.Keys.Select(l => (Said: advice(p).Allows(l), Found: holds(p, l)))).ToList();
        var within = points.Where(x => x.Said).ToList();
        text.WriteLine($"  {what}: that some λ serves, or that none does, is right for {right.Count} of {pairs.Count} pairs ({served.Count} said to be served, {pairs.Count(Exists)} are)");
        text.WriteLine($"  {what}: the recommended λ does it for {served.Count(p => holds(p, advice(p).Lambda))} of {served.Count}");
        text.WriteLine($"  {what}: of the grid's λ {points.Count(x => x.Said == x.Found)} of {points.Count} are as said; of those in the range {within.Count(x => x.Found)} of {within.Count} serve");
        var wrong = pairs.Except(right).ToList();
        if (wrong.Count > 0)
        {
            text.WriteLine($"  {what}: not so for");
            foreach (var p in wrong)
            {
                text.WriteLine($"    {Why(p, advice(p), best(p))}");
            }
        }
    }

    private static string Why(Pair p, Advised a, double best) =>
        $"{p.First + ", " + p.Second,-24} {(a.Serves ? "said to be served, and no λ does" : "said not to be, and some λ does")}; best at λ = {best:F2}: {p.Measured[best].First:F3}, {p.Measured[best].Second:F3}";
}
