using System.Globalization;
using Tva.Core;

namespace Zoo.Evaluator;

/// <summary>The command line: checkpoints' paths come in; for each, one JSON object of accuracies, task by task, or of logits, goes out on a line of stdout.</summary>
internal static class Program
{
    private const string Usage = "usage: Zoo.Evaluator MODEL... [--split test|val] [--task NAME] [--outputs IMAGES] [--data ZOO_FOLDER]";

    private static int Main(string[] args)
    {
        var models = new List<string>();
        string? data = null;
        string? only = null;
        var split = "test";
        var outputs = 0;
        for (var i = 0; i < args.Length; i++)
        {
            switch (args[i])
            {
                case "--split" when i + 1 < args.Length && args[i + 1] is "test" or "val":
                    split = args[++i];
                    break;
                case "--task" when i + 1 < args.Length:
                    only = args[++i];
                    break;
                case "--outputs" when i + 1 < args.Length && int.TryParse(args[i + 1], CultureInfo.InvariantCulture, out outputs) && outputs > 0:
                    i++;
                    break;
                case "--data" when i + 1 < args.Length:
                    data = args[++i];
                    break;
                case var path when !path.StartsWith("--", StringComparison.Ordinal):
                    models.Add(path);
                    break;
                default:
                    return Fail($"don't know what to do with '{args[i]}'\n{Usage}");
            }
        }

        if (models.Count == 0)
        {
            return Fail(Usage);
        }

        try
        {
            var tasks = Evaluation.Load(data ?? Evaluation.FindZoo(), split, only);
            foreach (var model in models)
            {
                if (outputs > 0)
                {
                    var logits = Evaluation.Outputs(model, tasks, outputs);
                    Console.Out.WriteLine("{" + string.Join(",", logits.Select(l => $"\"{l.Task}\":[{string.Join(",", l.Logits.Select(Row))}]")) + "}");
                    continue;
                }

                var accuracies = Evaluation.Run(model, tasks);
                var members = accuracies.Select(a => string.Create(CultureInfo.InvariantCulture, $"\"{a.Task}\":{a.Accuracy:R}"));
                Console.Out.WriteLine("{" + string.Join(",", members) + "}");
            }

            return 0;
        }
        catch (FaultException fault)
        {
            return Fail(fault.Message);
        }
    }

    private static string Row(float[] logits) =>
        "[" + string.Join(",", logits.Select(v => v.ToString("R", CultureInfo.InvariantCulture))) + "]";

    private static int Fail(string message)
    {
        Console.Error.WriteLine(message);
        return 1;
    }
}
