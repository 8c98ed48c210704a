using System.Diagnostics;
using System.Globalization;

namespace Theory.Lab;

/// <summary>The command line: a folder comes in; the laboratory's tables are written to it and its verdicts printed.</summary>
internal static class Program
{
    private const string Usage = "usage: Theory.Lab [--out FOLDER] [--seeds N] [--threads N] [--step STEP_OF_ALPHA_AND_LAMBDA]";

    private static int Main(string[] args)
    {
        var (folder, seeds, threads, step) = ("results", 5, Environment.ProcessorCount, 0.0);
        for (var i = 0; i < args.Length; i += 2)
        {
            var known = i + 1 < args.Length && args[i] switch
            {
                "--out" => (folder = args[i + 1]).Length > 0,
                "--seeds" => int.TryParse(args[i + 1], CultureInfo.InvariantCulture, out seeds) && seeds is > 0 and <= 1000,
                "--threads" => int.TryParse(args[i + 1], CultureInfo.InvariantCulture, out threads) && threads is > 0 and <= 1000,
                "--step" => double.TryParse(args[i + 1], CultureInfo.InvariantCulture, out step) && step is >= 0.01 and <= 1,
                _ => false,
            };
            if (!known)
            {
                Console.Error.WriteLine($"don't know what to do with '{string.Join(' ', args[i..])}'\n{Usage}");
                return 2;
            }
        }

        var sizes = new Sizes();
        var clock = Stopwatch.StartNew();
        var pairs = Pairs.Run(sizes, Tables.Range(-1, 1, step > 0 ? step : 0.1), Tables.Range(-2.5, 2.5, step > 0 ? step : 0.25), seeds, threads);
        Laboratory.Write(pairs, folder);
        Console.WriteLine($"pairs: {pairs.Alphas.Length} x {pairs.Lambdas.Length} models, {seeds} seeds, {clock.Elapsed.TotalSeconds:F1} s");
        clock.Restart();
        var all = OutOfDomain.Run(sizes, OutOfDomain.Usual, Tables.Range(-1, 3, step > 0 ? step : 0.25), seeds, threads);
        Laboratory.Write(all, folder);
        Console.WriteLine($"out of domain: {all.Targets.Count} targets, {all.Lambdas.Length} x {all.Lambdas.Length} models, {seeds} seeds, {clock.Elapsed.TotalSeconds:F1} s");
        clock.Restart();
        var crowds = Crowds.Run(sizes, [8, 16, 32, 64, 128, 256], Tables.Range(-2.5, 0, step > 0 ? step : 0.25), seeds, threads);
        Laboratory.Write(crowds, folder);
        Console.WriteLine($"neutral patterns: {crowds.Numbers.Length} x {crowds.Lambdas.Length} models, {seeds} seeds, {clock.Elapsed.TotalSeconds:F1} s");
        Verdict[] verdicts = [.. Laboratory.Judge(pairs), .. Laboratory.Judge(all)];
        Laboratory.Write(sizes, seeds, verdicts, folder);
        foreach (var v in verdicts)
        {
            Console.WriteLine($"{v.Claim}\n  promised and so {v.Held}, promised and not so {v.Broken}, so all the same {v.Beyond}, neither {v.Outside}");
            foreach (var place in v.Exceptions)
            {
                Console.WriteLine($"  not so at {place}");
            }
        }

        return 0;
    }
}
