using System.Diagnostics;
using System.Globalization;
using Tva.Core.Checkpoints;
using Tva.Dsl;
using Tva.Dsl.Typing;
using Tva.Scripting;

namespace Tva.Bench;

/// <summary>
/// Comes in: how many elements and how often. Goes out: the time of evaluating functions written in F# beside the same written in TVA, in one
/// process, in turn, over a base and two fine-tunes in memory. Checking, where the F# compiler works, is not in it; all that it leaves running is.
/// </summary>
internal static class FSharpFunctions
{
    private static readonly (string Name, string Tva, string FSharp)[] Bodies =
    [
        ("soft threshold", "sign(x) * max(abs(x) - k, 0)", "fun x k -> float32 (sign x) * max (abs x - k) 0.0f"),
        ("polynomial", "{ y = x * x; y * k + x * (y - 0.5) }", "fun x k -> let y = x * x in y * k + x * (y - 0.5f)"),
        ("choice", "where(abs(x) > k, x, 0.1 * x)", "fun x k -> if abs x > k then x else 0.1f * x"),
        ("tanh", "k * tanh(x / k)", "fun x k -> k * tanh (x / k)"),
    ];

    public static IEnumerable<string> Run(long elements, int threads, int repeats)
    {
        const int tensors = 16;
        var checkpoints = Enumerable.Range(0, 3).Select(seed => Make(seed, tensors, elements / tensors)).ToList();
        var options = checkpoints.Aggregate(EvaluatorOptions.Default.WithThreads(threads).WithFSharp(FSharpHosts.create), (o, c) => o.WithVariable(c));
        foreach (var (name, tva, fsharp) in Bodies)
        {
            string[] texts = [Text(tva), Text($"fs \"{fsharp}\"")];
            var times = new List<double>[] { [], [] };
            for (var i = 0; i < repeats + 3; i++)
            {
                // Each first as often as second: whoever comes second finds what the first has left.
                foreach (var side in i % 2 == 0 ? new[] { 0, 1 } : [1, 0])
                {
                    var seconds = Evaluate(options, texts[side]);
                    if (i >= 3)
                    {
                        times[side].Add(seconds);
                    }
                }
            }

            double ours = Median(times[0]), theirs = Median(times[1]);
            yield return string.Create(
                CultureInfo.InvariantCulture,
                $"{{\"job\":\"fsharp\",\"function\":\"{name}\",\"elements\":{elements},\"tva_seconds\":{ours:F4},\"fsharp_seconds\":{theirs:F4},"
                + $"\"ratio\":{theirs / ours:F3},\"ratio_of_turns\":{Median(times[1].Zip(times[0], (f, t) => f / t)):F3},\"least_ratio\":{times[1].Min() / times[0].Min():F3}}}");
        }
    }

    /// <summary>A reduction, so that nothing but reading and computing is timed.</summary>
    private static string Text(string body) =>
        $"def f(x: Delta, k: Scalar): Delta = {body}\nprint(mean_abs(raw(base + 0.3 * (f(task1 - base, 0.001) + f(task2 - base, 0.002)))))";

    private static double Evaluate(EvaluatorOptions options, string text)
    {
        using var evaluator = new Evaluator(options);
        if (!evaluator.Check("<bench>", ".", text).IsEmpty)
        {
            throw new InvalidOperationException(text);
        }

        var watch = Stopwatch.StartNew();
        evaluator.Run(_ => { }, CancellationToken.None);
        return watch.Elapsed.TotalSeconds;
    }

    private static MemoryCheckpoint Make(int seed, int tensors, long each)
    {
        var random = new Random(1 + seed);
        return new MemoryCheckpoint(seed == 0 ? "base" : $"task{seed}", Enumerable.Range(0, tensors).Select(i =>
        {
            var values = new float[each];
            for (var k = 0; k < values.Length; k++)
            {
                values[k] = (random.NextSingle() - 0.5f) * 0.02f;
            }

            return MemoryTensor.Of<float>($"layers.{i}.weight", values, each);
        }));
    }

    private static double Median(IEnumerable<double> values) => values.Order().ElementAt(values.Count() / 2);
}
