using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using Tva.Core.Matrices;

namespace Tva.Bench;

/// <summary>
/// Comes in: a file of raw float32 numbers, a matrix row by row. Goes out: the time of its low-rank approximation and what that
/// loses, to hold against other programs on the same file, or the time of its polar factor.
/// </summary>
internal static class Decompositions
{
    /// <summary>One line for each repetition; rank 0 stands for the polar factor.</summary>
    public static IEnumerable<string> Run(string file, int rows, int columns, int rank, int threads, int repeats)
    {
        var x = MemoryMarshal.Cast<byte, float>(File.ReadAllBytes(file))[..(rows * columns)].ToArray();
        for (var i = 0; i < repeats; i++)
        {
            var watch = Stopwatch.StartNew();
            if (rank == 0)
            {
                PolarFactor.Of(x, rows, columns, threads);
                yield return string.Create(
                    CultureInfo.InvariantCulture,
                    $"{{\"job\":\"polar\",\"m\":{rows},\"n\":{columns},\"threads\":{threads},\"seconds\":{watch.Elapsed.TotalSeconds:F3}}}");
                continue;
            }

            var factors = TruncatedSvd.ByRank(x, rows, columns, rank, threads);
            yield return string.Create(
                CultureInfo.InvariantCulture,
                $"{{\"job\":\"lowrank\",\"m\":{rows},\"n\":{columns},\"rank\":{factors.Rank},\"threads\":{threads},"
                + $"\"seconds\":{watch.Elapsed.TotalSeconds:F4},\"error\":{factors.Error:F6}}}");
        }
    }
}
