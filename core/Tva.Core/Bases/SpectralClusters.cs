using MathNet.Numerics.LinearAlgebra;

namespace Tva.Core.Bases;

/// <summary>
/// Cosines of T tasks in, a cluster number per task out: spectral clustering (Ng, Jordan, Weiss, NIPS 2001) of the cosines with
/// negative ones as 0. L = I − D^−½CD^−½ with D the row sums of C; its first k eigenvectors, rows brought to norm 1, go to
/// k-means.
/// </summary>
internal static class SpectralClusters
{
    private const int Restarts = 10;
    private const int Rounds = 300;

    /// <summary>Clusters are numbered by their first task.</summary>
    /// <param name="cosine">T×T; of an all-zero task 0, also with itself.</param>
    /// <param name="count">How many, at most T; null by the largest eigengap.</param>
    /// <param name="most">The most that the eigengap may give.</param>
    /// <param name="random">For the beginnings of k-means.</param>
    public static int[] Find(double[,] cosine, int? count, int most, SeededRandom random)
    {
        var (values, vectors) = Laplacian(cosine);
        var k = count ?? Math.Min(most, Eigengap(values));
        var points = Dense.Build(values.Length, k, (t, m) => vectors[t, m]);
        for (var t = 0; t < values.Length; t++)
        {
            var norm = 0.0;
            for (var m = 0; m < k; m++)
            {
                norm += points[t, m] * points[t, m];
            }

            for (var m = 0; m < k && norm > 0; m++)
            {
                points[t, m] /= Math.Sqrt(norm);
            }
        }

        int[] best = [];
        var least = double.PositiveInfinity;
        for (var run = 0; run < Restarts; run++)
        {
            var (clusters, spread) = KMeans(points, k, random);

            // A restart must be better beyond rounding to take over.
            if (spread < least - (1e-9 * values.Length))
            {
                (best, least) = (clusters, spread);
            }
        }

        return Renumber(best);
    }

    /// <summary>
    /// The k with the largest gap between eigenvalues k and k + 1 of L; beyond the last comes 1, where those of wholly mixed
    /// tasks lie, so that unrelated tasks are T clusters. The first of equal gaps.
    /// </summary>
    private static int Eigengap(double[] values)
    {
        var (best, widest) = (1, double.NegativeInfinity);
        for (var k = 1; k <= values.Length; k++)
        {
            var gap = (k < values.Length ? values[k] : 1) - values[k - 1];
            if (gap > widest + 1e-9)
            {
                (best, widest) = (k, gap);
            }
        }

        return best;
    }

    private static (double[] Values, double[,] Vectors) Laplacian(double[,] cosine)
    {
        // A task is always like itself: a zero one too, so that it is a cluster of its own.
        var tasks = cosine.GetLength(0);
        var alike = Dense.Build(tasks, tasks, (i, j) => i == j ? 1 : Math.Max(0, cosine[i, j]));
        var root = new double[tasks];
        for (var t = 0; t < tasks; t++)
        {
            for (var u = 0; u < tasks; u++)
            {
                root[t] += alike[t, u];
            }

            root[t] = Math.Sqrt(root[t]);
        }

        var laplacian = Dense.Build(tasks, tasks, (i, j) => (i == j ? 1 : 0) - (alike[i, j] / root[i] / root[j]));
        var eigen = Matrix<double>.Build.DenseOfArray(laplacian).Evd(Symmetricity.Symmetric);
        return ([.. eigen.EigenValues.Select(x => x.Real)], eigen.EigenVectors.ToArray());
    }

    /// <summary>
    /// Lloyd's rounds from a k-means++ beginning; every cluster keeps a point. The spread is Σ squared distances.
    /// </summary>
    private static (int[] Clusters, double Spread) KMeans(double[,] points, int k, SeededRandom random)
    {
        var n = points.GetLength(0);
        var centres = Begin(points, k, random);
        var clusters = new int[n];
        for (var round = 0; round < Rounds; round++)
        {
            var nearest = Enumerable.Range(0, n).Select(t => Nearest(points, t, centres)).ToArray();
            FillEmpty(points, centres, nearest);
            if (round > 0 && nearest.AsSpan().SequenceEqual(clusters))
            {
                break;
            }

            clusters = nearest;
            for (var c = 0; c < k; c++)
            {
                var size = clusters.Count(x => x == c);
                for (var m = 0; m < centres.GetLength(1); m++)
                {
                    centres[c, m] = Enumerable.Range(0, n).Where(t => clusters[t] == c).Sum(t => points[t, m]) / size;
                }
            }
        }

        return (clusters, Enumerable.Range(0, n).Sum(t => Distance(points, t, centres, clusters[t])));
    }

    /// <summary>
    /// k-means++ (Arthur, Vassilvitskii, SODA 2007): the next centre is a point drawn by its squared distance to the others.
    /// </summary>
    private static double[,] Begin(double[,] points, int k, SeededRandom random)
    {
        var (n, dimensions) = (points.GetLength(0), points.GetLength(1));
        var centres = new double[k, dimensions];
        var left = new double[n];
        Array.Fill(left, double.PositiveInfinity);
        for (var c = 0; c < k; c++)
        {
            var chosen = c == 0 ? random.Below(n) : Draw(left, random.Uniform());
            for (var m = 0; m < dimensions; m++)
            {
                centres[c, m] = points[chosen, m];
            }

            for (var t = 0; t < n; t++)
            {
                left[t] = Math.Min(left[t], Distance(points, t, centres, c));
            }
        }

        return centres;
    }

    private static int Draw(double[] weights, double uniform)
    {
        var rest = uniform * weights.Sum();
        for (var t = 0; t < weights.Length; t++)
        {
            rest -= weights[t];
            if (rest < 0)
            {
                return t;
            }
        }

        // Every point is a centre already, up to rounding.
        return Array.IndexOf(weights, weights.Max());
    }

    /// <summary>A cluster without points takes the point farthest from its centre, of those whose cluster has more.</summary>
    private static void FillEmpty(double[,] points, double[,] centres, int[] clusters)
    {
        for (var c = 0; c < centres.GetLength(0); c++)
        {
            if (!clusters.Contains(c))
            {
                var farthest = Enumerable.Range(0, clusters.Length)
                    .Where(t => clusters.Count(x => x == clusters[t]) > 1)
                    .MaxBy(t => Distance(points, t, centres, clusters[t]));
                clusters[farthest] = c;
            }
        }
    }

    private static int Nearest(double[,] points, int t, double[,] centres)
    {
        var nearest = 0;
        for (var c = 1; c < centres.GetLength(0); c++)
        {
            nearest = Distance(points, t, centres, c) < Distance(points, t, centres, nearest) ? c : nearest;
        }

        return nearest;
    }

    private static double Distance(double[,] points, int t, double[,] centres, int c)
    {
        var sum = 0.0;
        for (var m = 0; m < points.GetLength(1); m++)
        {
            var x = points[t, m] - centres[c, m];
            sum += x * x;
        }

        return sum;
    }

    private static int[] Renumber(int[] clusters)
    {
        var order = clusters.Distinct().ToList();
        return Array.ConvertAll(clusters, order.IndexOf);
    }
}
