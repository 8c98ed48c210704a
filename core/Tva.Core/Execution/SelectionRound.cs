namespace Tva.Core.Execution;

/// <summary>
/// Comes in: what a round counted. Goes out, per rank: the key there, or the narrower bracket that holds it. Every bracket given is
/// either one bin of the last (a 1024th) or what lies beyond it, so rounds end whatever the values are.
/// </summary>
internal readonly ref struct SelectionRound
{
    private readonly Bracket bracket;
    private readonly long above;
    private readonly long equal;
    private readonly long zeros;
    private readonly bool overflowed;
    private readonly long[] others;
    private readonly long[] bins;

    /// <param name="bracket">Where the round looked.</param>
    /// <param name="above">Keys above it.</param>
    /// <param name="equal">Keys equal to its guess.</param>
    /// <param name="others">The other keys inside, by bin.</param>
    /// <param name="overflowed">Whether not all of those are in the runs.</param>
    /// <param name="zeros">Keys 0 that belong to the extent but were not read.</param>
    public SelectionRound(Bracket bracket, long above, long equal, long[] others, bool overflowed, long zeros)
    {
        var shift = RadixSelect.Shift(bracket.Low, bracket.High);
        this.bracket = bracket;
        this.overflowed = overflowed;
        this.others = others;
        if (bracket.Guess == 0)
        {
            equal += zeros;
            zeros = 0;
        }
        else if (bracket.High < 0)
        {
            above += zeros;
            zeros = 0;
        }
        else if (bracket.Low <= 0)
        {
            others[(int)((uint)(0 - bracket.Low) >> shift)] += zeros;
        }

        bins = (long[])others.Clone();
        bins[(int)((uint)(bracket.Guess - bracket.Low) >> shift)] += equal;
        this.above = above;
        this.equal = equal;
        this.zeros = zeros;
    }

    /// <summary>The key of a rank (from 1, the largest), or null and the bracket to look in next.</summary>
    public Pick? Resolve(long rank, ReadOnlySpan<KeyRun> runs, out Bracket next)
    {
        next = default;
        if (rank <= above)
        {
            next = new Bracket(bracket.High + 1, int.MaxValue, int.MaxValue);
            return null;
        }

        if (rank > above + bins.Sum())
        {
            next = new Bracket(int.MinValue, bracket.Low - 1, bracket.Low - 1);
            return null;
        }

        var bin = RadixSelect.FindBin(bins, rank - above, out var larger);
        larger += above;
        var (low, high) = RadixSelect.BinRange(bracket.Low, bracket.High, bin);
        if (others[bin] == 0)
        {
            return new Pick(bracket.Guess, larger, equal);
        }

        if (low == high)
        {
            return new Pick(low, larger, bins[bin]);
        }

        if (overflowed)
        {
            next = new Bracket(low, high, low);
            return null;
        }

        var pick = RadixSelect.Select(runs, low, high, rank - larger, [(bracket.Guess, equal), (0, zeros)]);
        return pick with { Above = pick.Above + larger };
    }
}
