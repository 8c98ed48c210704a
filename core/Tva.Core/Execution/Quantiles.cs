namespace Tva.Core.Execution;

/// <summary>Comes in: a fraction and a number of values. Goes out: the ranks around it, and the value between the values there.</summary>
internal static unsafe class Quantiles
{
    /// <summary>Ranks (from 1, the largest) of the neighbours, and how far the quantile is from the lower to the upper.</summary>
    public static (long Lower, long Upper, double Fraction) Ranks(double q, long n)
    {
        var position = (n - 1) * q;
        var below = Math.Min((long)position, n - 1);
        var fraction = position - below;
        return (n - below, fraction > 0 ? n - below - 1 : n - below, fraction);
    }

    /// <summary>As NumPy does it, from the nearer side, so that the result is monotonic and exact at both ends.</summary>
    public static double Between(int lowerKey, int upperKey, double fraction)
    {
        var low = (double)BitConverter.Int32BitsToSingle(OrderedKeys.Of(lowerKey));
        var high = (double)BitConverter.Int32BitsToSingle(OrderedKeys.Of(upperKey));
        return lowerKey == upperKey ? low : fraction < 0.5 ? low + ((high - low) * fraction) : high - ((high - low) * (1 - fraction));
    }

    /// <summary>The quantile of a row in memory, which is left alone.</summary>
    public static double OfRow(float* row, long n, double q)
    {
        if (!(q >= 0 && q <= 1) || KeyScan.AnyNaN(row, n))
        {
            return double.NaN;
        }

        var (lower, upper, fraction) = Ranks(q, n);
        var keys = (int*)row;
        KeyScan.Map<OrderedKeys>(row, n, keys);
        ReadOnlySpan<KeyRun> run = [new KeyRun(keys, n)];
        var low = RadixSelect.Select(run, int.MinValue, int.MaxValue, lower, []).Key;
        var high = upper == lower ? low : RadixSelect.Select(run, int.MinValue, int.MaxValue, upper, []).Key;

        // The map is its own inverse; the stream may feed another reduction too.
        KeyScan.Map<OrderedKeys>(row, n, keys);
        return Between(low, high, fraction);
    }
}
