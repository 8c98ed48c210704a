namespace Theory.Lab;

/// <summary>
/// A binary task: its discriminative pattern comes in, examples go out. A token is μ, −μ or neutral; the label is the sign that more tokens have.
/// Tokens carry no noise, so an example is how many tokens of each kind it has.
/// </summary>
public sealed class Discrimination
{
    private readonly Sizes sizes;

    /// <param name="sizes">Shares of the kinds of tokens.</param>
    /// <param name="pattern">μ, of length one.</param>
    /// <param name="neutral">v_1..v_M, orthogonal to it.</param>
    public Discrimination(Sizes sizes, double[] pattern, IReadOnlyList<double[]> neutral)
    {
        this.sizes = sizes;
        Kinds = [pattern, [.. pattern.Select(x => -x)], .. neutral];
    }

    /// <summary>The kinds of tokens: μ, −μ, then the neutral ones.</summary>
    public IReadOnlyList<double[]> Kinds { get; }

    /// <summary>Draws an example: how many tokens of each kind go into <paramref name="counts"/>; returns the label, 1 or −1.</summary>
    internal int Draw(Draws draws, Span<int> counts)
    {
        counts.Clear();
        var label = draws.Below(2) == 0 ? 1 : -1;
        (counts[0], counts[1]) = label > 0 ? (sizes.Relevant, sizes.Confusing) : (sizes.Confusing, sizes.Relevant);
        for (var i = sizes.Relevant + sizes.Confusing; i < sizes.Tokens; i++)
        {
            counts[2 + draws.Below(Kinds.Count - 2)]++;
        }

        return label;
    }
}
