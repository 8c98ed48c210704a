namespace Tva.Core.Matrices;

/// <summary>
/// A matrix of norm 1 in, its polar factor out: Q ← Q·p(QᵀQ), or p(QQᵀ)·Q for wide ones, until all singular values are 1 or 0.
/// </summary>
internal sealed unsafe class PolarIteration(int m, int n, Workers workers, CancellationToken cancel)
{
    // Of the bound on the largest singular value; what lies below by an order is rounding of float32.
    private const double Least = 1e-6;
    private const double Reached = 2e-7;
    private const double Margin = 0.01;
    private const double Missing = 0.02;
    private const int MostFilters = 24;

    private readonly int side = Math.Min(m, n);
    private readonly float[] gram = new float[(long)Math.Min(m, n) * Math.Min(m, n)];
    private readonly float[] power = new float[(long)Math.Min(m, n) * Math.Min(m, n)];

    /// <summary>Works in both of m×n and gives the one that holds the result.</summary>
    public float* Run(float* q, float* next)
    {
        // The fourth root of ‖QᵀQ‖² bounds the largest singular value far closer than ‖Q‖ does.
        Gram(q);
        var bound = Math.Sqrt(Gram2());
        fixed (float* g = gram)
        {
            Norms.Scale(q, 1 / bound, q, (long)m * n, workers, cancel);
            Norms.Scale(g, 1 / (bound * bound), g, gram.LongLength, workers, cancel);
        }

        var (low, high) = (Least, 1.0);
        for (var error = 1.0; error > Reached;)
        {
            // The polynomial is steep at the upper end, where rounding must not leave the interval.
            var top = high * (1 + (Margin * (1 - (low / high))));
            (var a, var b, var c, error) = OddQuintic.NearestToOne(low / top);
            Step(a / top, b / Math.Pow(top, 3), c / Math.Pow(top, 5), q, next);
            var last = q;
            q = next;
            next = last;
            (low, high) = (1 - error, 1 + error);
            Gram(q);
        }

        // Where directions are missing, rounding has grown in their place; x³(5 − 3x²)/2 takes it back to 0 and the others to 1.
        for (var filter = 0; filter < MostFilters && side - Trace() > Missing; filter++)
        {
            var between = Trace() - (Gram2() * Gram2());
            Step(0, 2.5, -1.5, q, next);
            var last = q;
            q = next;
            next = last;
            if (filter > 0 && between < 1e-5 * side)
            {
                break;
            }

            Gram(q);
        }

        return q;
    }

    /// <summary>next = q·(a + b·G + c·G²), the other way round for wide ones.</summary>
    private void Step(double a, double b, double c, float* q, float* next)
    {
        fixed (float* g = gram, p = power)
        {
            MatrixProduct.Multiply(new(g, false, g, false, p, side, side, side, symmetric: true), workers, cancel);
            var (first, second) = ((nint)g, (nint)p);
            Lots.Run(side, workers, cancel, i =>
            {
                var row = (float*)first + ((long)i * side);
                var squared = (float*)second + ((long)i * side);
                for (var j = 0; j < side; j++)
                {
                    squared[j] = (float)((i == j ? a : 0) + (b * row[j]) + (c * squared[j]));
                }
            });
            if (n <= m)
            {
                MatrixProduct.Multiply(q, false, p, false, next, m, n, n, workers, cancel);
            }
            else
            {
                MatrixProduct.Multiply(p, false, q, false, next, m, m, n, workers, cancel);
            }
        }
    }

    private void Gram(float* q)
    {
        fixed (float* g = gram)
        {
            MatrixProduct.Multiply(
                n <= m ? new(q, true, q, false, g, n, m, n, symmetric: true) : new(q, false, q, true, g, m, n, m, symmetric: true),
                workers, cancel);
        }
    }

    /// <summary>‖G‖ = √Σσ⁴.</summary>
    private double Gram2()
    {
        fixed (float* g = gram)
        {
            return Math.Sqrt(Norms.Square(g, gram.LongLength, workers, cancel));
        }
    }

    /// <summary>Σσ².</summary>
    private double Trace()
    {
        var sum = 0.0;
        for (var i = 0L; i < side; i++)
        {
            sum += gram[(i * side) + i];
        }

        return sum;
    }
}
