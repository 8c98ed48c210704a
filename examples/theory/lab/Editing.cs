using System.Globalization;
using System.Text;
using Tva.Dsl;

namespace Theory.Lab;

/// <summary>A pretrained network and trained ones come in; θ₀ + Σ λᵢ τᵢ for many λ go out, made by TVA from the text that says so.</summary>
public static class Editing
{
    private static readonly string[] Names = ["first", "second", "third", "fourth"];

    /// <summary>The edited networks, in the order of <paramref name="coefficients"/>: a λ for each trained network.</summary>
    public static Network[] Edit(Network start, IReadOnlyList<Network> trained, IReadOnlyList<double[]> coefficients)
    {
        var checkpoints = new Dictionary<string, object> { ["base"] = start.ToCheckpoint("base") };
        var text = new StringBuilder();
        for (var i = 0; i < trained.Count; i++)
        {
            checkpoints[Names[i]] = trained[i].ToCheckpoint(Names[i]);
            text.AppendLine(CultureInfo.InvariantCulture, $"t{i} = {Names[i]} - base");
        }

        for (var k = 0; k < coefficients.Count; k++)
        {
            text.Append("base");
            for (var i = 0; i < trained.Count; i++)
            {
                text.Append(CultureInfo.InvariantCulture, $" + ({coefficients[k][i]:R}) * t{i}");
            }

            text.AppendLine(CultureInfo.InvariantCulture, $" |> save(\"memory:m{k}\")");
        }

        using var evaluator = new Evaluator(EvaluatorOptions.Default.WithThreads(1));
        var result = evaluator.RunAsync(text.ToString(), checkpoints).GetAwaiter().GetResult().EnsureSucceeded();
        return [.. Enumerable.Range(0, coefficients.Count).Select(k => Network.Of(start.Sizes, result.Models[$"m{k}"]))];
    }
}
