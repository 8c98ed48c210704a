using System.Globalization;
using Tva.Fuzz;

// Hostile inputs by the million: each format's inputs are made from good ones by what its structure makes worth changing. Only a fault or a
// diagnostic may come of one. An input follows from format, seed and number.
//   dotnet run -c Release --project tests/fuzz/Tva.Fuzz -- FORMAT|all [--count 1000000] [--seconds S] [--seed 1] [--from 0] [--threads N]
//   dotnet run -c Release --project tests/fuzz/Tva.Fuzz -- FORMAT --at NUMBER [--seed 1] [--keep FILE]      one input, with what comes of it
long Option(string name, long otherwise)
{
    int i = Array.IndexOf(args, name);
    return i < 0 ? otherwise : long.Parse(args[i + 1], CultureInfo.InvariantCulture);
}

if (args.Length == 0 || (args[0] != "all" && !Campaign.Formats.ContainsKey(args[0])))
{
    Console.Error.WriteLine($"usage: all|{string.Join('|', Campaign.Formats.Keys)} [--count N] [--seconds S] [--seed N] [--from N] [--threads N] [--at N [--keep FILE]]");
    return 2;
}

int seed = (int)Option("--seed", 1), threads = (int)Option("--threads", Environment.ProcessorCount);
if (Option("--at", -1) is var at and >= 0)
{
    var folder = Directory.CreateTempSubdirectory("tva-fuzz-");
    try
    {
        var target = Campaign.Formats[args[0]](folder.FullName);
        var input = Campaign.Input(target, seed, at);
        if (Array.IndexOf(args, "--keep") is var keep and >= 0)
        {
            File.WriteAllBytes(args[keep + 1], input);
        }

        Console.WriteLine($"{input.Length} bytes: {(target.Run(input) ? "accepted" : "diagnosed")}");
        return 0;
    }
    catch (Tva.Core.FaultException e)
    {
        Console.WriteLine($"refused: {e.Message}");
        return 0;
    }
    finally
    {
        folder.Delete(recursive: true);
    }
}

bool wrong = false;
foreach (var format in args[0] == "all" ? Campaign.Formats.Keys : [args[0]])
{
    long from = Option("--from", 0), count = Option("--count", 1_000_000);
    if (Option("--seconds", 0) is var seconds and > 0)
    {
        count = long.MaxValue / 2; // until the time is over, piece by piece
        var end = DateTime.UtcNow.AddSeconds(seconds);
        const int piece = 20_000;
        for (; DateTime.UtcNow < end; from += piece)
        {
            wrong |= Show(format, from, Campaign.Run(format, seed, from, piece, threads));
        }

        continue;
    }

    wrong |= Show(format, from, Campaign.Run(format, seed, from, count, threads));
}

return wrong ? 1 : 0;

bool Show(string format, long from, Report report)
{
    Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
        $"{{\"format\":\"{format}\",\"seed\":{seed},\"from\":{from},\"inputs\":{report.Inputs},\"accepted\":{report.Accepted},\"refusals\":{report.Refusals},"
        + $"\"per_second\":{report.Inputs / report.Elapsed.TotalSeconds:F0},\"longest_ms\":{report.Longest.TotalMilliseconds:F1},"
        + $"\"most_bytes\":{report.MostBytes},\"findings\":{report.Findings.Count}}}"));
    foreach (var finding in report.Findings)
    {
        Console.WriteLine($"FOUND {finding.Format} --seed {seed} --at {finding.Number}: {finding.What}\n{finding.Details}");
    }

    return report.Findings.Count > 0;
}
