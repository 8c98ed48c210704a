namespace Tva.Core.Theory;

/// <summary>Columns and a target come in; the nonnegative mixture of the columns that is nearest to the target goes out.</summary>
/// <remarks>The active set method of Lawson and Hanson, Solving Least Squares Problems, chapter 23.</remarks>
internal static class NonnegativeLeastSquares
{
    /// <summary>A column whose product with the residual is below this, for columns and target of norm 1, has nothing to give.</summary>
    private const double Tolerance = 1e-13;

    /// <summary>min ‖Σ uᵢ·columnᵢ − target‖ over u ≥ 0.</summary>
    public static double[] Solve(double[][] columns, double[] target)
    {
        var norms = Array.ConvertAll(columns, c => Math.Sqrt(Dot(c, c)));
        var unit = columns.Select((c, i) => Array.ConvertAll(c, v => norms[i] > 0 ? v / norms[i] : 0)).ToArray();
        var u = new double[columns.Length];
        var passive = new List<int>();
        var refused = new HashSet<int>();
        // Each round lowers the residual; the bound only guards against rounding.
        for (var round = 0; round < 30 * (columns.Length + 1); round++)
        {
            var residual = Residual(unit, u, target);
            var best = -1;
            var most = Tolerance;
            for (var i = 0; i < unit.Length; i++)
            {
                var gain = Dot(unit[i], residual);
                if (gain > most && !passive.Contains(i) && !refused.Contains(i))
                {
                    (best, most) = (i, gain);
                }
            }

            if (best < 0)
            {
                break;
            }

            passive.Add(best);
            var z = LeastSquares(passive.ConvertAll(i => unit[i]), target);
            if (z is null || z[^1] <= 0)
            {
                // It depends on the others to rounding: taking it in would bring nothing.
                passive.RemoveAt(passive.Count - 1);
                refused.Add(best);
                continue;
            }

            refused.Clear();
            while (z.Min() <= 0)
            {
                var step = 1.0;
                for (var k = 0; k < passive.Count; k++)
                {
                    if (z[k] <= 0)
                    {
                        step = Math.Min(step, u[passive[k]] / (u[passive[k]] - z[k]));
                    }
                }

                for (var k = passive.Count - 1; k >= 0; k--)
                {
                    var i = passive[k];
                    u[i] += step * (z[k] - u[i]);
                    if (u[i] <= 1e-15 && z[k] <= 0)
                    {
                        u[i] = 0;
                        passive.RemoveAt(k);
                    }
                }

                if (passive.Count == 0 || LeastSquares(passive.ConvertAll(i => unit[i]), target) is not { } next)
                {
                    z = [];
                    break;
                }

                z = next;
            }

            for (var k = 0; k < z.Length; k++)
            {
                u[passive[k]] = z[k];
            }
        }

        for (var i = 0; i < u.Length; i++)
        {
            u[i] = norms[i] > 0 ? u[i] / norms[i] : 0;
        }

        return u;
    }

    /// <summary>target − Σ uᵢ·columnᵢ.</summary>
    public static double[] Residual(double[][] columns, double[] u, double[] target)
    {
        var residual = (double[])target.Clone();
        for (var i = 0; i < columns.Length; i++)
        {
            if (u[i] != 0)
            {
                for (var j = 0; j < residual.Length; j++)
                {
                    residual[j] -= u[i] * columns[i][j];
                }
            }
        }

        return residual;
    }

    /// <summary>The mixture nearest to the target, by Gram-Schmidt with every column made orthogonal twice; null where columns depend.</summary>
    private static double[]? LeastSquares(List<double[]> columns, double[] target)
    {
        var n = columns.Count;
        var q = new double[n][];
        var r = new double[n, n];
        for (var k = 0; k < n; k++)
        {
            q[k] = (double[])columns[k].Clone();
            for (var pass = 0; pass < 2; pass++)
            {
                for (var i = 0; i < k; i++)
                {
                    var part = Dot(q[i], q[k]);
                    r[i, k] += part;
                    for (var j = 0; j < q[k].Length; j++)
                    {
                        q[k][j] -= part * q[i][j];
                    }
                }
            }

            r[k, k] = Math.Sqrt(Dot(q[k], q[k]));
            if (r[k, k] < 1e-12)
            {
                return null;
            }

            for (var j = 0; j < q[k].Length; j++)
            {
                q[k][j] /= r[k, k];
            }
        }

        var z = new double[n];
        for (var k = n - 1; k >= 0; k--)
        {
            z[k] = Dot(q[k], target);
            for (var i = k + 1; i < n; i++)
            {
                z[k] -= r[k, i] * z[i];
            }

            z[k] /= r[k, k];
        }

        return z;
    }

    private static double Dot(double[] a, double[] b)
    {
        var sum = 0.0;
        for (var i = 0; i < a.Length; i++)
        {
            sum += a[i] * b[i];
        }

        return sum;
    }
}
