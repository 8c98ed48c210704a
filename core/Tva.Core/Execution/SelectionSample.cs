namespace Tva.Core.Execution;

/// <summary>A run of a tensor's elements that is sampled.</summary>
internal readonly record struct Piece(int Number, int Tensor, long Start, int Count);

/// <summary>
/// Comes in: an extent; then the keys of short runs, evenly spaced over it. Goes out: the bracket that a rank is most likely in.
/// What it says only steers: the selection is exact however wrong it is.
/// </summary>
internal sealed unsafe class SelectionSample
{
    /// <summary>Elements per piece: many short pieces see rows of different scale, each still a few sectors at most.</summary>
    public const int PieceLength = 256;

    /// <summary>
    /// Standard errors to either side. The true rank lies beyond once in a hundred thousand tensors, which then takes another round;
    /// what the bracket holds is gathered and counted every time.
    /// </summary>
    private const double Deviations = 4.5;

    private readonly int[] keys;
    private readonly int[] counts;

    public SelectionSample(int[] tensors, PlanShape shape, long elements, int pieces)
    {
        keys = new int[pieces * PieceLength];
        counts = new int[pieces];
        var list = new Piece[pieces];
        var slot = 0;
        long before = 0;
        for (var p = 0; p < pieces; p++)
        {
            var at = (long)((p + 0.5) / pieces * elements);
            while (at >= before + shape.Elements[tensors[slot]])
            {
                before += shape.Elements[tensors[slot++]];
            }

            var n = shape.Elements[tensors[slot]];
            var count = (int)Math.Min(PieceLength, n);
            list[p] = new Piece(p, tensors[slot], Math.Min(at - before, n - count), count);
            counts[p] = count;
        }

        Pieces = list;
    }

    /// <summary>All pieces, by tensor.</summary>
    public IReadOnlyList<Piece> Pieces { get; }

    public void Add(Piece piece, float* values, bool magnitudes)
    {
        fixed (int* destination = &keys[piece.Number * PieceLength])
        {
            if (magnitudes)
            {
                KeyScan.Map<MagnitudeKeys>(values, piece.Count, destination);
            }
            else
            {
                KeyScan.Map<OrderedKeys>(values, piece.Count, destination);
            }
        }
    }

    /// <summary>The bracket for ranks (from 1, the largest) <paramref name="first"/> down to <paramref name="last"/>.</summary>
    public Bracket Bracket(long last, long first, long elements, long zeros, bool magnitudes) => Bracket(last, first, 0, elements, zeros, magnitudes);

    /// <summary>The bracket for the magnitude whose rank is that share of the elements that are not 0.</summary>
    public Bracket BracketOfNonzero(double share, long elements, long zeros) => Bracket(0, 0, share, elements, zeros, true);

    private Bracket Bracket(long last, long first, double ofNonzero, long elements, long zeros, bool magnitudes)
    {
        // Selecting the three keys that are asked for is ten times faster than sorting, which for every tensor adds up.
        var size = counts.Sum();
        var sample = new int[size];
        for (int p = 0, at = 0; p < counts.Length; at += counts[p++])
        {
            Array.Copy(keys, p * PieceLength, sample, at, counts[p]);
        }

        var lowest = magnitudes ? 0 : int.MinValue;
        var positive = 0.0;
        foreach (var key in sample)
        {
            positive += key > 0 ? 1 : 0;
        }

        positive *= (double)elements / size;
        if (ofNonzero > 0)
        {
            last = first = Math.Max(1, (long)(ofNonzero * positive));
        }

        var guess = KeyAt(last);

        // Neighbouring elements are alike, so the error is measured between pieces, not computed from their total length.
        double sum = 0, squares = 0;
        for (var p = 0; p < counts.Length; p++)
        {
            var piece = keys.AsSpan(p * PieceLength, counts[p]);
            double above = 0;
            foreach (var key in piece)
            {
                above += (key > guess ? 1 : key == guess ? 0.5 : 0) - (key > 0 ? ofNonzero : 0);
            }

            var share = above / piece.Length;
            sum += share;
            squares += share * share;
        }

        var mean = sum / counts.Length;
        var error = Math.Sqrt(Math.Max(0, (squares / counts.Length) - (mean * mean)) / counts.Length);
        var margin = ((Deviations * error) + 0.001) * elements;
        var high = first - margin < 1 ? int.MaxValue : KeyAt(first - margin);
        var low = last + margin > elements + zeros ? lowest : KeyAt(last + margin);
        return new Bracket(Math.Min(low, guess), Math.Max(high, guess), guess);

        int KeyAt(double rank)
        {
            if (zeros > 0 && rank > positive)
            {
                if (rank <= positive + zeros)
                {
                    return 0;
                }

                rank -= zeros;
            }

            fixed (int* start = sample)
            {
                return RadixSelect.Select([new KeyRun(start, size)], lowest, int.MaxValue, Math.Clamp((long)(rank / elements * size) + 1, 1, size), []).Key;
            }
        }
    }
}
