using System.Globalization;
using Tva.Core;

namespace Zoo.Evaluator;

/// <summary>The command line: a checkpoint's path comes in, one JSON object of accuracies, task by task, goes out on stdout.</summary>
internal static class Program
{
    private const string Usage = "usage: Zoo.Evaluator MODEL [--split test|val] [--task NAME] [--data ZOO_FOLDER]";

    private static int Main(string[] args)
    {
        string? model = null;
        string? data = null;
        string? only = null;
        var split = "test";
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
                case "--data" when i + 1 < args.Length:
                    data = args[++i];
                    break;
                case var path when model is null && !path.StartsWith("--", StringComparison.Ordinal):
                    model = path;
                    break;
                default:
                    return Fail($"don't know what to do with '{args[i]}'\n{Usage}");
            }
        }

        if (model is null)
        {
            return Fail(Usage);
        }

        try
        {
            var accuracies = Evaluation.Run(model, data ?? Evaluation.FindZoo(), split, only);
            var members = accuracies.Select(a => string.Create(CultureInfo.InvariantCulture, $"\"{a.Task}\":{a.Accuracy:R}"));
            Console.Out.WriteLine("{" + string.Join(",", members) + "}");
            return 0;
        }
        catch (FaultException fault)
        {
            return Fail(fault.Message);
        }
    }

    private static int Fail(string message)
    {
        Console.Error.WriteLine(message);
        return 1;
    }
}
