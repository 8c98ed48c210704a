namespace Theory.Lab;

/// <summary>
/// How much of what theory neglects is left: numbers of neutral patterns M come in; how well task 1 is kept at α = 0 while task 2 is negated goes
/// out, by M and λ. A trained network also answers a little to neutral tokens, the less the more kinds of them there are; −λ multiplies that.
/// </summary>
public sealed class Crowds
{
    private Crowds(int[] numbers, double[] lambdas) => (Numbers, Lambdas, Losses) = (numbers, lambdas, new double[numbers.Length, lambdas.Length]);

    /// <summary>M.</summary>
    public int[] Numbers { get; }

    /// <summary>Coefficients of the second task vector.</summary>
    public double[] Lambdas { get; }

    /// <summary>Mean hinge loss on task 1, by M and λ.</summary>
    public double[,] Losses { get; }

    /// <summary>Trains and measures; what comes out does not depend on the number of threads.</summary>
    public static Crowds Run(Sizes sizes, int[] numbers, double[] lambdas, int seeds, int threads)
    {
        var crowds = new Crowds(numbers, lambdas);
        for (var i = 0; i < numbers.Length; i++)
        {
            var loss = Pairs.Run(sizes with { Neutral = numbers[i], Dimension = numbers[i] + 8 }, [0], lambdas, seeds, threads).Mean((a, _) => a.Loss);
            for (var l = 0; l < lambdas.Length; l++)
            {
                crowds.Losses[i, l] = loss[0, l];
            }
        }

        return crowds;
    }
}
