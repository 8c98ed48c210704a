using System.Diagnostics;
using Tva.Core.Adapters;

namespace Tva.Bench;

/// <summary>Comes in: a matrix's size and rank. Goes out: how fast one core expands its factors, in the parts in which the engine asks for them.</summary>
internal static class Expanding
{
    private const int Part = 16384;

    /// <summary>GB of float32 elements a second, run by run.</summary>
    public static IEnumerable<double> Run(int rows, int columns, int rank, int repeat)
    {
        var random = new Random(1);
        float[] Values(int n) => [.. Enumerable.Range(0, n).Select(_ => random.NextSingle() - 0.5f)];
        var factors = new Factors(Values(rows * rank), Values(rank * columns), rank, 0.5);
        var part = new float[Part];
        for (var run = -1; run < repeat; run++)
        {
            var watch = Stopwatch.StartNew();
            for (long at = 0; at < (long)rows * columns; at += Part)
            {
                factors.Expand(at, part.AsSpan(0, (int)Math.Min(Part, ((long)rows * columns) - at)));
            }

            if (run >= 0)
            {
                yield return (long)rows * columns * sizeof(float) / watch.Elapsed.TotalSeconds / 1e9;
            }
        }
    }
}
