using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using Tva.Core.Matrices;

namespace Tva.Bench;

/// <summary>
/// Comes in: a file of raw float32 numbers, a matrix row by row. Goes out: the times of its low-rank approximation and of its polar factor, and
/// what the approximation loses, to hold against other programs on the same file.
/// </summary>
internal static class Decompositions
{
    /// <summary>One line for each repetition.</summary>
    public static IEnumerable<string> Run(string file, int rows, int columns, int rank, int threads, int repeats)
    {
        var x = MemoryMarshal.Cast<byte, float>(File.ReadAllBytes(file)).ToArray();
        for (var i = 0; i < repeats; i++)
        {
            var watch = Stopwatch.StartNew();
            var factors = TruncatedSvd.ByRank(x, rows, columns, rank, threads);
            var seconds = watch.Elapsed.TotalSeconds;
            yield return string.Create(
                CultureInfo.InvariantCulture,
                $"{{\"job\":\"lowrank\",\"m\":{rows},\"n\":{columns},\"rank\":{factors.Rank},\"threads\":{threads},\"seconds\":{seconds:F4},"
                + $"\"error\":{factors.Error:F6}}}");
        }
    }
}
