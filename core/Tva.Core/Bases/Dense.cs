using MathNet.Numerics.LinearAlgebra;

namespace Tva.Core.Bases;

/// <summary>
/// Small row-major matrices in, small matrices out: plain sums in a fixed order, so that every machine rounds alike;
/// decompositions are MathNet's.
/// </summary>
internal static class Dense
{
    /// <summary>a·b.</summary>
    public static double[,] Multiply(double[,] a, double[,] b)
    {
        var (rows, inner, columns) = (a.GetLength(0), a.GetLength(1), b.GetLength(1));
        var product = new double[rows, columns];
        for (var i = 0; i < rows; i++)
        {
            for (var k = 0; k < inner; k++)
            {
                var x = a[i, k];
                for (var j = 0; j < columns; j++)
                {
                    product[i, j] += x * b[k, j];
                }
            }
        }

        return product;
    }

    /// <summary>aᵀ.</summary>
    public static double[,] Transpose(double[,] a) => Build(a.GetLength(1), a.GetLength(0), (i, j) => a[j, i]);

    /// <summary>The matrix of f(row, column).</summary>
    public static double[,] Build(int rows, int columns, Func<int, int, double> f)
    {
        var a = new double[rows, columns];
        for (var i = 0; i < rows; i++)
        {
            for (var j = 0; j < columns; j++)
            {
                a[i, j] = f(i, j);
            }
        }

        return a;
    }

    /// <summary>f of every element, in place.</summary>
    public static void Map(double[,] a, Func<double, double> f)
    {
        for (var i = 0; i < a.GetLength(0); i++)
        {
            for (var j = 0; j < a.GetLength(1); j++)
            {
                a[i, j] = f(a[i, j]);
            }
        }
    }

    /// <summary>Σ over rows of a column's product with another matrix's column.</summary>
    public static double Dot(double[,] a, int column, double[,] b, int other)
    {
        var sum = 0.0;
        for (var i = 0; i < a.GetLength(0); i++)
        {
            sum += a[i, column] * b[i, other];
        }

        return sum;
    }

    /// <summary>A column plus scale times a column of the same matrix, in place.</summary>
    public static void AddColumn(double[,] a, int column, double scale, int other)
    {
        for (var i = 0; i < a.GetLength(0); i++)
        {
            a[i, column] += scale * a[i, other];
        }
    }

    /// <summary>The Euclidean norm of a column.</summary>
    public static double Norm(double[,] a, int column) => Math.Sqrt(Dot(a, column, a, column));

    /// <summary>
    /// A thin singular value decomposition: singular values from the largest, left vectors (rows × n) and right ones (columns ×
    /// n), n the smaller side.
    /// </summary>
    public static (double[] Values, double[,] Left, double[,] Right) Svd(double[,] a)
    {
        // MathNet's wants rows and columns to be there, and is exercised most on tall ones.
        var (rows, columns) = (a.GetLength(0), a.GetLength(1));
        if (rows < columns)
        {
            var (values, left, right) = Svd(Transpose(a));
            return (values, right, left);
        }

        if (columns == 0)
        {
            return ([], new double[rows, 0], new double[0, 0]);
        }

        var svd = Matrix<double>.Build.DenseOfArray(a).Svd();
        return (
            svd.S.ToArray(),
            Build(rows, columns, (i, j) => svd.U[i, j]),
            Build(columns, columns, (i, j) => svd.VT[j, i]));
    }

    /// <summary>
    /// The X of least norm among those that minimise ‖aX − b‖, with the columns of a brought to norm 1 first, so that the scale
    /// of an atom decides nothing; singular values below <see cref="GramFactor.Tolerance"/> times the largest count as 0.
    /// </summary>
    public static double[,] LeastSquares(double[,] a, double[,] b)
    {
        var scale = Enumerable.Range(0, a.GetLength(1)).Select(j => Norm(a, j)).Select(n => n > 0 ? 1 / n : 0).ToArray();
        var (values, left, right) = Svd(Build(a.GetLength(0), a.GetLength(1), (i, j) => a[i, j] * scale[j]));
        var projected = Multiply(Transpose(left), b);
        for (var k = 0; k < values.Length; k++)
        {
            var inverse = values[k] > GramFactor.Tolerance * values[0] ? 1 / values[k] : 0;
            for (var j = 0; j < b.GetLength(1); j++)
            {
                projected[k, j] *= inverse;
            }
        }

        var x = Multiply(right, projected);
        return Build(x.GetLength(0), x.GetLength(1), (i, j) => x[i, j] * scale[i]);
    }
}
