namespace Tva.Core.Theory;

/// <summary>What two models put out for the same samples comes in; how alike they answer goes out.</summary>
public static class OutputCorrelation
{
    /// <summary>
    /// α̂: the mean over the samples of the cosine of the two models' outputs, as arXiv 2504.10957 measures α (section 4.1); each
    /// model's outputs are taken from their mean over the samples, so that what it answers to everything does not count as likeness.
    /// Samples where one of the two answers exactly its mean count as 0.
    /// </summary>
    /// <param name="first">By sample, the first model's outputs; all of one length.</param>
    /// <param name="second">The second model's, of the same shape.</param>
    public static double Of(IReadOnlyList<double[]> first, IReadOnlyList<double[]> second)
    {
        var (a, b) = (Centred(first), Centred(second));
        return a.Zip(b, Cosine).Average();
    }

    private static double[][] Centred(IReadOnlyList<double[]> outputs)
    {
        var mean = Enumerable.Range(0, outputs[0].Length).Select(k => outputs.Average(o => o[k])).ToArray();
        return [.. outputs.Select(o => o.Zip(mean, (v, m) => v - m).ToArray())];
    }

    private static double Cosine(double[] a, double[] b)
    {
        var size = Math.Sqrt(a.Sum(v => v * v)) * Math.Sqrt(b.Sum(v => v * v));
        return size > 0 ? a.Zip(b, (v, w) => v * w).Sum() / size : 0;
    }
}
