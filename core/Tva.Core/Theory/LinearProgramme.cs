namespace Tva.Core.Theory;

/// <summary>
/// A feasible region inside a box comes in, inequalities Gx ≥ h with −1 ≤ x ≤ 1; how far each unknown reaches in it goes out.
/// </summary>
/// <remarks>A dense simplex tableau over x + 1 ≥ 0 with Bland's rule, which never cycles; meant for tens of unknowns.</remarks>
public static class LinearProgramme
{
    private const double Tolerance = 1e-11;

    /// <summary>The least and the greatest value of every unknown in the region, NaN where it is empty.</summary>
    /// <param name="g">m×n.</param>
    /// <param name="h">m.</param>
    public static (double[] Low, double[] High) Ranges(double[,] g, double[] h)
    {
        var n = g.GetLength(1);
        var (low, high) = (new double[n], new double[n]);
        for (var i = 0; i < n; i++)
        {
            var direction = new double[n];
            direction[i] = 1;
            high[i] = Maximum(g, h, direction);
            direction[i] = -1;
            low[i] = -Maximum(g, h, direction);
        }

        return (low, high);
    }

    /// <summary>The greatest direction·x in the region; NaN where it is empty.</summary>
    public static double Maximum(double[,] g, double[] h, double[] direction)
    {
        // z = x + 1: −Gz + s = −h − G1 with s ≥ 0, z + w = 2. An artificial variable per row of G whose right side is negative.
        var (m, n) = (g.GetLength(0), g.GetLength(1));
        var rows = m + n;
        var artificial = n + rows;
        var width = artificial + m + 1;
        var t = new double[rows, width];
        var basis = new int[rows];
        for (var i = 0; i < m; i++)
        {
            var right = -h[i];
            for (var j = 0; j < n; j++)
            {
                t[i, j] = -g[i, j];
                right -= g[i, j];
            }

            t[i, n + i] = 1;
            t[i, width - 1] = right;
            basis[i] = n + i;
            if (right < 0)
            {
                for (var j = 0; j < width; j++)
                {
                    t[i, j] = -t[i, j];
                }

                t[i, artificial + i] = 1;
                basis[i] = artificial + i;
            }
        }

        for (var j = 0; j < n; j++)
        {
            (t[m + j, j], t[m + j, n + m + j], t[m + j, width - 1]) = (1, 1, 2);
            basis[m + j] = n + m + j;
        }

        var phase = new double[width];
        for (var i = 0; i < m; i++)
        {
            phase[artificial + i] = -1;
        }

        if (Optimize(t, basis, phase, width - 1) < -1e-9)
        {
            return double.NaN;
        }

        // Artificial variables that are left in at 0 stay there: their columns are closed.
        var cost = new double[width];
        var offset = 0.0;
        for (var j = 0; j < n; j++)
        {
            cost[j] = direction[j];
            offset -= direction[j];
        }

        return Optimize(t, basis, cost, artificial) + offset;
    }

    /// <summary>Maximises cost·variables from a feasible basis, entering only columns below <paramref name="open"/>; gives the value.</summary>
    private static double Optimize(double[,] t, int[] basis, double[] cost, int open)
    {
        var (rows, last) = (t.GetLength(0), t.GetLength(1) - 1);
        while (true)
        {
            var enter = -1;
            for (var j = 0; j < open && enter < 0; j++)
            {
                var gain = cost[j];
                for (var i = 0; i < rows; i++)
                {
                    gain -= cost[basis[i]] * t[i, j];
                }

                if (gain > Tolerance)
                {
                    enter = j;
                }
            }

            if (enter < 0)
            {
                var value = 0.0;
                for (var i = 0; i < rows; i++)
                {
                    value += cost[basis[i]] * t[i, last];
                }

                return value;
            }

            var leave = -1;
            for (var i = 0; i < rows; i++)
            {
                if (t[i, enter] > Tolerance
                    && (leave < 0
                        || t[i, last] / t[i, enter] < t[leave, last] / t[leave, enter]
                        || (t[i, last] / t[i, enter] == t[leave, last] / t[leave, enter] && basis[i] < basis[leave])))
                {
                    leave = i;
                }
            }

            if (leave < 0)
            {
                // Every unknown is in a box.
                return double.PositiveInfinity;
            }

            Pivot(t, leave, enter);
            basis[leave] = enter;
        }
    }

    private static void Pivot(double[,] t, int row, int column)
    {
        var (rows, width) = (t.GetLength(0), t.GetLength(1));
        var scale = 1 / t[row, column];
        for (var j = 0; j < width; j++)
        {
            t[row, j] *= scale;
        }

        for (var i = 0; i < rows; i++)
        {
            var factor = t[i, column];
            if (i == row || factor == 0)
            {
                continue;
            }

            for (var j = 0; j < width; j++)
            {
                t[i, j] -= factor * t[row, j];
            }
        }
    }
}
