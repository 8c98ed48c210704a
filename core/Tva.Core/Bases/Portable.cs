using System.Numerics;
using System.Runtime.CompilerServices;

namespace Tva.Core.Bases;

/// <summary>
/// Exponential and logarithm from additions, multiplications and divisions alone, none of them fused: the libraries of different
/// machines differ in the last digit, which thousands of training steps would make visible.
/// </summary>
internal static class Portable
{
    private const double Log2E = 1.4426950408889634;
    private const double Ln2High = 0.6931471803691238;
    private const double Ln2Low = 1.9082149292705877e-10;

    /// <summary>Added and taken away it rounds to an integer, which it leaves in the low bits.</summary>
    private const double Shifter = 6755399441055744.0;

    /// <summary>
    /// e^x for x in [−700, 700], within 2 units in the last place: e^x = 2^n·e^r with |r| ≤ ln2/2, e^r by its series.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector<double> Exp(Vector<double> x)
    {
        var shifted = (x * Log2E) + new Vector<double>(Shifter);
        var n = shifted - new Vector<double>(Shifter);
        var r = x - (n * Ln2High) - (n * Ln2Low);
        var sum = new Vector<double>(1 / 6227020800.0);
        sum = (sum * r) + new Vector<double>(1 / 479001600.0);
        sum = (sum * r) + new Vector<double>(1 / 39916800.0);
        sum = (sum * r) + new Vector<double>(1 / 3628800.0);
        sum = (sum * r) + new Vector<double>(1 / 362880.0);
        sum = (sum * r) + new Vector<double>(1 / 40320.0);
        sum = (sum * r) + new Vector<double>(1 / 5040.0);
        sum = (sum * r) + new Vector<double>(1 / 720.0);
        sum = (sum * r) + new Vector<double>(1 / 120.0);
        sum = (sum * r) + new Vector<double>(1 / 24.0);
        sum = (sum * r) + new Vector<double>(1 / 6.0);
        sum = (sum * r) + new Vector<double>(0.5);
        sum = (sum * r * r) + r + Vector<double>.One;
        return Vector.AsVectorDouble(Vector.AsVectorInt64(sum) + (Vector.AsVectorInt64(shifted) << 52));
    }

    /// <summary>ln x for a normal x > 0: x = 2^n·m, ln m = 2·artanh((m−1)/(m+1)) by its series with m in [√½, √2].</summary>
    public static double Log(double x)
    {
        var bits = BitConverter.DoubleToInt64Bits(x);
        var n = (int)(bits >> 52) - 1023;
        var m = BitConverter.Int64BitsToDouble((bits & 0xfffffffffffff) | 0x3ff0000000000000);
        if (m > 1.4142135623730951)
        {
            (m, n) = (m / 2, n + 1);
        }

        var s = (m - 1) / (m + 1);
        var square = s * s;
        var sum = 0.0;
        for (var k = 23; k >= 1; k -= 2)
        {
            sum = (sum * square) + (1.0 / k);
        }

        return (n * Ln2High) + ((n * Ln2Low) + (2 * s * sum));
    }
}
