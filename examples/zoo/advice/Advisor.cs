using System.Globalization;
using Tva.Dsl;

namespace Zoo.Advice;

/// <summary>Tasks' names come in; for every ordered pair what <c>advise</c> says, by cosine and by outputs, goes out.</summary>
internal static class Advisor
{
    private static readonly string[] Numbers = ["alpha", "lambda", "low", "high"];

    /// <param name="zoo">The folder with the base and the tasks.</param>
    /// <param name="tasks">Two or more.</param>
    /// <param name="images">So many images of each task tell how alike two models answer.</param>
    public static async Task<List<Pair>> Ask(string zoo, IReadOnlyList<string> tasks, int images)
    {
        var evaluator = Path.Combine(AppContext.BaseDirectory, "Zoo.Evaluator.dll");
        var command = $"dotnet '{evaluator}' {{models}} --data '{zoo}' --split val --outputs {images}";
        var text = new List<string>
        {
            "base = model(\"base.safetensors\")",
            "tasks = family(\"tasks/*.safetensors\", base)",
        };
        var pairs = (from a in tasks from b in tasks where a != b select (First: a, Second: b)).ToList();
        foreach (var (a, b) in pairs)
        {
            foreach (var how in new[] { "", $", outputs = \"{command}\"" })
            {
                foreach (var edit in new[] { $"add(tasks.{a}, tasks.{b})", $"forget(tasks.{b}, keep = tasks.{a})" })
                {
                    text.Add($"x = advise({edit}{how}); print({string.Join(", ", Numbers.Select(n => "x." + n))})");
                }
            }
        }

        // A name stands once in a text: each advice has its own.
        var numbered = text.Select((line, i) => line.Replace("x = ", $"x{i} = ").Replace("x.", $"x{i}."));
        using var session = new Tva.Dsl.Evaluator(EvaluatorOptions.Default.WithFolder(zoo).WithRun());
        var result = await session.RunAsync(string.Join("\n", numbered));
        result.EnsureSucceeded();
        var told = result.Shown.Select(s => s.Values.Select(v => Convert.ToDouble(v, CultureInfo.InvariantCulture)).ToArray()).ToList();
        return [.. pairs.Select((p, i) => Of(p.First, p.Second, told[(4 * i)..((4 * i) + 4)]))];
    }

    private static Pair Of(string first, string second, List<double[]> told)
    {
        static Advised Read(double[] v) => new(v[2], v[3], v[1]);
        return new(first, second, told[0][0], told[2][0], (Read(told[0]), Read(told[1])), (Read(told[2]), Read(told[3])));
    }
}
