namespace Tva.Core.Matrices;

/// <summary>A lower bound on x ≤ 1 in, the odd polynomial ax + bx³ + cx⁵ that stays nearest to 1 between them out.</summary>
internal static class OddQuintic
{
    /// <summary>
    /// Coefficients and the largest distance from 1 on [low, 1], by Remez's exchange: at low, at the two extrema and at 1 the
    /// distance is the same with alternating signs.
    /// </summary>
    public static (double A, double B, double C, double Error) NearestToOne(double low)
    {
        // So near to 1 the four points fall together; this is the limit.
        if (low > 1 - 5e-6)
        {
            return (15 / 8.0, -10 / 8.0, 3 / 8.0, 0);
        }

        var (maximum, minimum) = (((3 * low) + 1) / 4, (low + 3) / 4);
        var before = double.PositiveInfinity;
        while (true)
        {
            double[] points = [low, maximum, minimum, 1];
            var system = new double[4, 5];
            for (var i = 0; i < 4; i++)
            {
                var x = points[i];
                (system[i, 0], system[i, 1], system[i, 2]) = (x, x * x * x, x * x * x * x * x);
                (system[i, 3], system[i, 4]) = (i % 2 == 0 ? 1 : -1, 1);
            }

            var solution = Solve(system);
            var (a, b, c, error) = (solution[0], solution[1], solution[2], solution[3]);
            if (Math.Abs(error - before) <= 1e-13)
            {
                return (a, b, c, error);
            }

            before = error;
            var root = Math.Sqrt(Math.Max((9 * b * b) - (20 * a * c), 0));
            (maximum, minimum) = (Math.Sqrt(((-3 * b) - root) / (10 * c)), Math.Sqrt(((-3 * b) + root) / (10 * c)));
        }
    }

    /// <summary>Gauss's elimination of four equations, the right side in the last column.</summary>
    private static double[] Solve(double[,] a)
    {
        for (var k = 0; k < 4; k++)
        {
            var pivot = Enumerable.Range(k, 4 - k).MaxBy(i => Math.Abs(a[i, k]));
            for (var j = 0; j < 5; j++)
            {
                (a[k, j], a[pivot, j]) = (a[pivot, j], a[k, j]);
            }

            for (var i = 0; i < 4; i++)
            {
                var factor = i == k ? 0 : a[i, k] / a[k, k];
                for (var j = k; j < 5; j++)
                {
                    a[i, j] -= factor * a[k, j];
                }
            }
        }

        return [.. Enumerable.Range(0, 4).Select(k => a[k, 4] / a[k, k])];
    }
}
