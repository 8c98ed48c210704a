using System.Globalization;
using Tva.Core;
using Zoo.Evaluator;

namespace Zoo.Advice;

/// <summary>
/// Advice against what happens: for every ordered pair of the zoo's tasks what <c>advise</c> says of θ₀ + τ₁ + λτ₂, and the accuracies that are
/// measured over a grid of λ; how often the two agree, and where they don't.
/// </summary>
internal static class Program
{
    private const string Usage = "usage: Zoo.Advice [--tasks a,b,...] [--step 0.25] [--split val|test] [--keep 0.9] [--images 32] [--data ZOO_FOLDER]";

    private static async Task<int> Main(string[] args)
    {
        CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
        string[] tasks = ["arrows", "count", "digits", "frequency", "letters", "position", "shapes", "stripes"];
        var (step, split, keep, images, data) = (0.25, "val", 0.9, 32, (string?)null);
        for (var i = 0; i < args.Length; i++)
        {
            var value = i + 1 < args.Length ? args[i + 1] : "";
            switch (args[i])
            {
                case "--tasks" when value.Split(',') is { Length: > 1 } names:
                    tasks = names;
                    break;
                case "--step" when double.TryParse(value, out step) && step > 0:
                    break;
                case "--split" when value is "val" or "test":
                    split = value;
                    break;
                case "--keep" when double.TryParse(value, out keep) && keep is > 0 and <= 1:
                    break;
                case "--images" when int.TryParse(value, out images) && images > 1:
                    break;
                case "--data" when value != "":
                    data = value;
                    break;
                default:
                    Console.Error.WriteLine($"don't know what to do with '{args[i]}'\n{Usage}");
                    return 1;
            }

            i++;
        }

        try
        {
            var zoo = Path.GetFullPath(data ?? Evaluation.FindZoo());
            var pairs = await Advisor.Ask(zoo, tasks, images);
            var measuring = new Measuring(zoo, tasks, split);
            var grid = Enumerable.Range(0, (int)(4 / step) + 1).Select(i => Math.Round(-2 + (i * step), 9)).ToList();
            foreach (var pair in pairs)
            {
                var wanted = new[] { pair.ByCosine.Add, pair.ByCosine.Forget, pair.ByOutputs.Add, pair.ByOutputs.Forget };
                foreach (var lambda in grid.Concat(wanted.Where(a => a.Serves).Select(a => a.Lambda)).Distinct())
                {
                    var found = measuring.Accuracies([(pair.First, 1), (pair.Second, lambda)], [pair.First, pair.Second]);
                    pair.Measured[lambda] = (found[0], found[1]);
                }
            }

            var limits = tasks.ToDictionary(t => t, t => new Limits(
                keep * measuring.Accuracies([(t, 1)], [t])[0],
                measuring.Accuracies([], [t])[0]));
            Report.Write(Console.Out, pairs, limits, keep, split);
            return 0;
        }
        catch (Exception e) when (e is FaultException or InvalidOperationException)
        {
            Console.Error.WriteLine(e.Message);
            return 1;
        }
    }
}
