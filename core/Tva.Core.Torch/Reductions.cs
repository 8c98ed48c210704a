using Tva.Core.Devices;
using Tva.Core.Execution;
using TorchSharp;
using static TorchSharp.torch;

namespace Tva.Core.Torch;

/// <summary>
/// Comes in: values, and how they fall into groups, cells or parts of rows. Goes out: a group's reductions, with the CPU's bits: a sum has 16
/// lanes, lane l the elements l, l + 16... in that order, in float64. A running sum along the middle of groups by steps by lanes adds in that
/// order on every device: neither libtorch's nor its CUDA's kernels split a dimension that is not the last.
/// </summary>
/// <param name="values">An output's float32 values.</param>
/// <param name="arrange">Lays values out as groups by steps by lanes, what is missing filled up with a number.</param>
internal sealed class Reductions(Func<int, Tensor> values, Func<Tensor, float, Tensor> arrange)
{
    /// <summary>Dots by output pairs that are cheaper one step of all at a time.</summary>
    private const int ManyDots = 6;

    private const int Lanes = BlockProgram.Lanes;

    private readonly Dictionary<int, Tensor> wide = [];

    /// <summary>Per reduction a number per group.</summary>
    public double[][] Of(IReadOnlyList<BlockReduction> reductions)
    {
        var results = new double[reductions.Count][];
        int[] dots = [.. Enumerable.Range(0, reductions.Count).Where(r => reductions[r].Kind == ReduceKind.Dot)];
        if (dots.Length >= ManyDots)
        {
            Dots(reductions, dots, results);
        }

        for (var r = 0; r < results.Length; r++)
        {
            using var scope = NewDisposeScope();
            results[r] ??= One(reductions[r], scope);
        }

        return results;
    }

    private double[] One(BlockReduction reduction, DisposeScope scope)
    {
        switch (reduction.Kind)
        {
            case ReduceKind.Sum:
                return Sum(Wide(reduction.A, scope));
            case ReduceKind.SumAbs:
                return Sum(Wide(reduction.A, scope).abs());
            case ReduceKind.Dot:
                return Sum(Wide(reduction.A, scope).mul(Wide(reduction.B, scope)));
            case ReduceKind.CountNonzero:
                return [.. arrange(values(reduction.A), 0).ne(Numbers.Of(0)).sum([1L, 2L]).cpu().data<long>().ToArray().Select(n => (double)n)];
            case ReduceKind.MaxAbs:
                // As integers magnitudes order like the numbers, and NaN above all of them.
                return [.. Extreme(Bits.As(arrange(values(reduction.A), 0).abs(), ScalarType.Int32), false).Select(b => (double)BitConverter.Int32BitsToSingle(b))];
            case ReduceKind.Min:
                return Ordered(reduction.A, true);
            case ReduceKind.Max:
                return Ordered(reduction.A, false);
            default:
                throw new ArgumentOutOfRangeException(nameof(reduction), reduction.Kind, "selections are no sums");
        }
    }

    /// <summary>An output's values in float64, laid out; kept for further reductions.</summary>
    private Tensor Wide(int output, DisposeScope scope)
    {
        if (!wide.TryGetValue(output, out var x))
        {
            x = arrange(values(output), 0).to(ScalarType.Float64).MoveToOuterDisposeScope();
            wide.Add(output, x);
        }

        return x;
    }

    private static double[] Sum(Tensor terms)
    {
        var lanes = terms.cumsum(1).select(1, terms.shape[1] - 1).contiguous().cpu().data<double>().ToArray();
        return Fold(lanes, lanes.Length / Lanes, g => g * Lanes);
    }

    /// <summary>The sums of lanes, as the CPU folds them; they are used up.</summary>
    private static unsafe double[] Fold(double[] lanes, int groups, Func<int, int> first)
    {
        var sums = new double[groups];
        fixed (double* from = lanes)
        {
            for (var g = 0; g < groups; g++)
            {
                sums[g] = Execution.Dots.Fold(from + first(g));
            }
        }

        return sums;
    }

    private static int[] Extreme(Tensor keys, bool least) =>
        (least ? keys.amin([1L, 2L]) : keys.amax([1L, 2L])).cpu().data<int>().ToArray();

    /// <summary>The least or largest; NaN where there is any, -0 below +0.</summary>
    private double[] Ordered(int output, bool least)
    {
        var x = arrange(values(output), least ? float.PositiveInfinity : float.NegativeInfinity);
        var bits = Bits.As(x, ScalarType.Int32);
        var keys = Extreme(Keys.Of(bits, false), least);
        var broken = x.isnan().sum([1L, 2L]).cpu().data<long>().ToArray();
        return [.. keys.Select((key, g) => broken[g] > 0 ? double.NaN : BitConverter.Int32BitsToSingle(Keys.Of(key)))];
    }

    /// <summary>All pairs of streams at once, a step after the other.</summary>
    private void Dots(IReadOnlyList<BlockReduction> reductions, int[] dots, double[][] results)
    {
        using var scope = NewDisposeScope();
        int[] streams = [.. dots.SelectMany(d => (int[])[reductions[d].A, reductions[d].B]).Distinct().Order()];
        var all = stack(streams.Select(s => arrange(values(s), 0).to(ScalarType.Float64)), 0);
        var (groups, steps) = ((int)all.shape[1], all.shape[2]);
        var sums = zeros([streams.Length, streams.Length, groups, Lanes], ScalarType.Float64, all.device);
        for (long k = 0; k < steps; k++)
        {
            using var inner = NewDisposeScope();
            var x = all.select(2, k);
            _ = sums.addcmul_(x.unsqueeze(0), x.unsqueeze(1), 1);
        }

        var lanes = sums.cpu().data<double>().ToArray();
        foreach (var d in dots)
        {
            var pair = (Array.IndexOf(streams, reductions[d].A) * streams.Length) + Array.IndexOf(streams, reductions[d].B);
            results[d] = Fold(lanes, groups, g => ((pair * groups) + g) * Lanes);
        }
    }
}
