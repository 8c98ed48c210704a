namespace Theory.Lab;

/// <summary>
/// A network and the kinds of a task's tokens come in; outputs for examples go out, and the gradient of the hinge loss. Equal tokens are
/// reckoned once and counted, which changes nothing: with Hₛ = V eₛ and S[s,l] = eₛᵀ W e_l over the kinds,
/// f = 1/P Σ_l n_l aᵀ relu(Σₛ p[s,l] Hₛ), where p[s,l] = nₛ exp S[s,l] / Σᵣ nᵣ exp S[r,l].
/// Not for several threads at once.
/// </summary>
internal sealed class Pass
{
    private readonly Network network;
    private readonly IReadOnlyList<double[]> kinds;
    private readonly int count;

    // By kind: H and its gradient, rows of m. By query, then key: S, its exponential (over the largest of the query's), its gradient.
    private readonly double[] hidden;
    private readonly double[] hiddenGradient;
    private readonly double[] scores;
    private readonly double[] scoreGradient;
    private readonly double[] shares;
    private readonly double[] mixtures;
    private readonly double[] slope;
    private readonly double[] shareGradient;

    public Pass(Network network, Discrimination task)
    {
        this.network = network;
        (kinds, count) = (task.Kinds, task.Kinds.Count);
        var m = network.Sizes.Hidden;
        (hidden, hiddenGradient) = (new double[count * m], new double[count * m]);
        (scores, scoreGradient, shares) = (new double[count * count], new double[count * count], new double[count * count]);
        (mixtures, slope, shareGradient) = (new double[count * m], new double[m], new double[count]);
        Refresh();
    }

    /// <summary>Takes the network's weights as they are now.</summary>
    public void Refresh()
    {
        int d = network.Sizes.Dimension, m = network.Sizes.Hidden;
        Span<double> turned = stackalloc double[d];
        for (var query = 0; query < count; query++)
        {
            for (var row = 0; row < m; row++)
            {
                hidden[(query * m) + row] = Lanes.Dot(network.Values.AsSpan(row * d, d), kinds[query]);
            }

            for (var row = 0; row < d; row++)
            {
                turned[row] = Lanes.Dot(network.Attention.AsSpan(row * d, d), kinds[query]);
            }

            for (var key = 0; key < count; key++)
            {
                scores[(query * count) + key] = Lanes.Dot(kinds[key], turned);
            }
        }
    }

    /// <summary>f of an example with so many tokens of each kind.</summary>
    public double Output(ReadOnlySpan<int> counts)
    {
        var m = network.Sizes.Hidden;
        var sum = 0.0;
        for (var query = 0; query < count; query++)
        {
            if (counts[query] == 0)
            {
                continue;
            }

            Attend(counts, query);
            var mixture = mixtures.AsSpan(query * m, m);
            mixture.Clear();
            for (var key = 0; key < count; key++)
            {
                if (counts[key] > 0)
                {
                    Lanes.Add(shares[(query * count) + key], hidden.AsSpan(key * m, m), mixture);
                }
            }

            sum += counts[query] * Lanes.Relu(network.Output, mixture);
        }

        return sum / network.Sizes.Tokens;
    }

    /// <summary>After <see cref="Output"/> of the same example: adds the gradient of <paramref name="weight"/> f to what has been gathered.</summary>
    public void Gather(ReadOnlySpan<int> counts, double weight)
    {
        var m = network.Sizes.Hidden;
        for (var query = 0; query < count; query++)
        {
            if (counts[query] == 0)
            {
                continue;
            }

            Lanes.ReluSlope(weight * counts[query] / network.Sizes.Tokens, network.Output, mixtures.AsSpan(query * m, m), slope);
            var mean = 0.0;
            for (var key = 0; key < count; key++)
            {
                if (counts[key] > 0)
                {
                    var share = shares[(query * count) + key];
                    Lanes.Add(share, slope, hiddenGradient.AsSpan(key * m, m));
                    shareGradient[key] = Lanes.Dot(slope, hidden.AsSpan(key * m, m));
                    mean += share * shareGradient[key];
                }
            }

            for (var key = 0; key < count; key++)
            {
                if (counts[key] > 0)
                {
                    scoreGradient[(query * count) + key] += shares[(query * count) + key] * (shareGradient[key] - mean);
                }
            }
        }
    }

    /// <summary>Adds <paramref name="scale"/> times the gathered gradient to a network's weights, and begins anew.</summary>
    public void Scatter(double scale, Network destination)
    {
        int d = network.Sizes.Dimension, m = network.Sizes.Hidden;
        Span<double> turned = stackalloc double[d];
        for (var key = 0; key < count; key++)
        {
            // ∂V = Σₛ ∂Hₛ eₛᵀ and ∂W = Σ ∂S[s,l] eₛ e_lᵀ.
            for (var row = 0; row < m; row++)
            {
                Lanes.Add(scale * hiddenGradient[(key * m) + row], kinds[key], destination.Values.AsSpan(row * d, d));
            }

            turned.Clear();
            for (var query = 0; query < count; query++)
            {
                Lanes.Add(scale * scoreGradient[(query * count) + key], kinds[query], turned);
            }

            for (var row = 0; row < d; row++)
            {
                Lanes.Add(kinds[key][row], turned, destination.Attention.AsSpan(row * d, d));
            }
        }

        Array.Clear(hiddenGradient);
        Array.Clear(scoreGradient);
    }

    private void Attend(ReadOnlySpan<int> counts, int query)
    {
        var largest = double.NegativeInfinity;
        for (var key = 0; key < count; key++)
        {
            if (counts[key] > 0)
            {
                largest = Math.Max(largest, scores[(query * count) + key]);
            }
        }

        var sum = 0.0;
        for (var key = 0; key < count; key++)
        {
            if (counts[key] > 0)
            {
                sum += shares[(query * count) + key] = counts[key] * Math.Exp(scores[(query * count) + key] - largest);
            }
        }

        for (var key = 0; key < count; key++)
        {
            shares[(query * count) + key] = counts[key] > 0 ? shares[(query * count) + key] / sum : 0;
        }
    }
}
