using Tva.Core.Devices;
using Tva.Core.Execution;
using TorchSharp;
using static TorchSharp.torch;

namespace Tva.Core.Torch;

/// <summary>Comes in: looks for selections, and one run of a block's values after the other. Goes out: what the looks found.</summary>
internal sealed class Scans(IReadOnlyList<BlockScan> scans)
{
    private readonly List<ScannedCell>[] cells = [.. scans.Select(_ => new List<ScannedCell>())];
    private readonly List<int[]>[] keys = [.. scans.Select(_ => new List<int[]>())];
    private readonly long[] found = new long[scans.Count];

    /// <summary>Takes a run, whole cells but for the block's last.</summary>
    /// <param name="values">An output's values.</param>
    /// <param name="byCell">Counts what holds by cell.</param>
    public void Add(Func<int, Tensor> values, Func<Tensor, long[]> byCell)
    {
        for (var s = 0; s < scans.Count; s++)
        {
            using var scope = NewDisposeScope();
            var scan = scans[s];
            var x = values(scan.Output);
            var key = Keys.Of(Bits.As(x, ScalarType.Int32), scan.Magnitudes);
            var above = key.gt(Numbers.Of(scan.Bracket.High));
            var equal = key.eq(Numbers.Of(scan.Bracket.Guess)).bitwise_and(above.bitwise_not());
            var inside = key.ge(Numbers.Of(scan.Bracket.Low)).bitwise_and(above.bitwise_or(equal).bitwise_not());
            var (aboves, equals, insides) = (byCell(above), byCell(equal), byCell(inside));
            var (nonzero, nans) = (byCell(x.ne(Numbers.Of(0))), byCell(x.isnan()));
            for (var c = 0; c < aboves.Length; c++)
            {
                cells[s].Add(new((int)aboves[c], (int)equals[c], (int)insides[c], (int)found[s], (int)nonzero[c], (int)nans[c]));
                found[s] += insides[c];
            }

            var kept = key.masked_select(inside);
            if (kept.numel() == 0)
            {
                continue;
            }

            var shift = tensor((long)RadixSelect.Shift(scan.Bracket.Low, scan.Bracket.High), ScalarType.Int64, x.device);
            var bins = kept.to(ScalarType.Int64).sub(Numbers.Of((long)scan.Bracket.Low)).bitwise_right_shift(shift).bincount(null, RadixSelect.Bins).cpu().data<long>().ToArray();
            for (var b = 0; b < bins.Length; b++)
            {
                scan.Bins[b] += bins[b];
            }

            if (found[s] <= scan.Most)
            {
                keys[s].Add(kept.cpu().data<int>().ToArray());
            }
        }
    }

    /// <summary>After the last run.</summary>
    public void Finish()
    {
        for (var s = 0; s < scans.Count; s++)
        {
            scans[s].Cells = [.. cells[s]];
            scans[s].Overflowed = found[s] > scans[s].Most;
            scans[s].Keys = scans[s].Overflowed ? [] : [.. keys[s].SelectMany(k => k)];
        }
    }
}
