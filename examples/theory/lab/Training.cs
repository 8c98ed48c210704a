namespace Theory.Lab;

/// <summary>What a network does on a task.</summary>
/// <param name="Accuracy">The share of examples whose output has the label's sign.</param>
/// <param name="Loss">The mean of max(0, 1 − y f): what the theorems bound.</param>
public readonly record struct Measured(double Accuracy, double Loss);

/// <summary>A network and a task come in; the network trained on it by SGD on the hinge loss, or how it does on it, go out.</summary>
public static class Training
{
    /// <summary>A copy, trained. <paramref name="stream"/> tells the draws of one training from another's.</summary>
    public static Network Train(Network start, Discrimination task, long seed, int stream)
    {
        var sizes = start.Sizes;
        var network = start.Copy();
        var pass = new Pass(network, task);
        var draws = new Draws(seed, 3, stream);
        Span<int> counts = stackalloc int[task.Kinds.Count];
        for (var step = 0; step < sizes.Steps; step++)
        {
            for (var i = 0; i < sizes.Batch; i++)
            {
                var label = task.Draw(draws, counts);
                if (label * pass.Output(counts) < 1)
                {
                    pass.Gather(counts, label);
                }
            }

            // Minus the mean gradient of 1 − y f: the hinge's own slope is −y.
            pass.Scatter(sizes.Rate / sizes.Batch, network);
            pass.Refresh();
        }

        return network;
    }

    /// <summary>Measures on examples of their own.</summary>
    public static Measured Measure(Network network, Discrimination task, long seed, int stream)
    {
        var pass = new Pass(network, task);
        var draws = new Draws(seed, 4, stream);
        Span<int> counts = stackalloc int[task.Kinds.Count];
        var right = 0;
        var loss = 0.0;
        for (var i = 0; i < network.Sizes.Tests; i++)
        {
            var margin = task.Draw(draws, counts) * pass.Output(counts);
            right += margin > 0 ? 1 : 0;
            loss += Math.Max(0, 1 - margin);
        }

        return new((double)right / network.Sizes.Tests, loss / network.Sizes.Tests);
    }
}
