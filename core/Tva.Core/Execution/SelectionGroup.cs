using System.Runtime.InteropServices;
using Tva.Core.Devices;
using Tva.Core.Tensors;

namespace Tva.Core.Execution;

/// <summary>What a selection wants after a round.</summary>
internal enum SelectionOutcome : byte
{
    Done,
    AnotherRound,

    /// <summary>The cell of the last kept tie read again, to find its index.</summary>
    Locate,
}

/// <summary>How a selection goes about its extent.</summary>
internal enum SelectionMode : byte
{
    NotStarted,

    /// <summary>Known without reading.</summary>
    Trivial,

    /// <summary>One tensor of one cell: selected on the spot.</summary>
    Direct,

    /// <summary>Few elements: a round over everything.</summary>
    Rounds,

    /// <summary>A sample tells where to look, then rounds.</summary>
    Sampled,
}

/// <summary>
/// Comes in: the values of an extent, sampled, then cell by cell in any order. Goes out: the exact key at a rank, and for KeepLargest
/// the index of the last tie kept. Neither sorted nor stored: one round gathers the keys of a narrow bracket around where the sample
/// says the rank is. The key the sample itself gives is only counted, cell by cell: differences of bf16 numbers have so few distinct
/// values that percents of a tensor equal the threshold.
/// </summary>
internal sealed unsafe class SelectionGroup(int step, int index, Reduction reduction, int member, int[] tensors)
{
    private readonly List<Pick> picks = [];
    private long[] targets = [];
    private double argument;
    private double fraction;
    private int[] slots = [];
    private ushort[]?[] ties = [];
    private KeyRun[]?[] segments = [];
    private KeyGatherer?[] gatherers = [];
    private int limitTensor = -1;
    private long limitIndex = -1;

    public int Step => step;

    public int Index => index;

    public Extent Extent => reduction.Extent;

    public int Member => member;

    /// <summary>All tensors of the extent.</summary>
    public int[] Tensors => tensors;

    public bool Magnitudes => reduction.Kind != ReduceKind.Quantile;

    /// <summary>Whether the rank is a share of the elements that are not 0, and so known only once they are counted.</summary>
    private bool OfNonzero => reduction.Kind == ReduceKind.KeepLargestNonzero;

    public SelectionMode Mode { get; private set; }

    /// <summary>The tensors that are read; the others are zeros.</summary>
    public IReadOnlyList<int> Fed => slots;

    public long FedElements { get; private set; }

    public long Zeros { get; private set; }

    public Bracket Bracket { get; private set; }

    public SelectionSample? Sample { get; private set; }

    /// <summary>What is sampled; stays when the sample is gone, for tensors that come to the step later.</summary>
    public IReadOnlyList<Piece> Pieces { get; private set; } = [];

    /// <summary>Tensors whose sample, then cells of this round, are still awaited.</summary>
    public int Pending;

    /// <summary>The threshold, or the quantile.</summary>
    public double Value { get; private set; }

    public int ThresholdBits { get; private set; }

    /// <summary>Where the last kept tie is: its tensor, cell and number among the cell's ties (from 1).</summary>
    public (int Tensor, int Cell, long Nth) Tie { get; private set; }

    public bool IsFed(int tensor) => Array.BinarySearch(slots, tensor) >= 0;

    /// <summary>Index of the last element kept among a tensor's ties: -1 none, long.MaxValue all.</summary>
    public long Limit(int tensor) => tensor < limitTensor ? long.MaxValue : tensor == limitTensor ? limitIndex : -1;

    /// <summary>Decides what is to be done, once the argument is known.</summary>
    public void Start(double share, PlanShape shape, int[] fed, long zeros, int pieces, int workers)
    {
        argument = share;
        slots = fed;
        Zeros = zeros;
        FedElements = fed.Sum(t => shape.Elements[t]);
        gatherers = new KeyGatherer?[workers];
        ties = new ushort[fed.Length][];
        segments = new KeyRun[fed.Length][];
        Pending = tensors.Length;
        if (Trivial())
        {
            Mode = SelectionMode.Trivial;
            return;
        }

        Bracket = Bracket.Everything(Magnitudes);
        if (Extent == Extent.Tensor && FedElements <= PlanShape.Cell)
        {
            Mode = SelectionMode.Direct;
        }
        else if (FedElements <= 4 * PlanShape.Cell)
        {
            Mode = SelectionMode.Rounds;
        }
        else
        {
            Mode = SelectionMode.Sampled;
            Sample = new SelectionSample(fed, shape, FedElements, pieces);
            Pieces = Sample.Pieces;
        }
    }

    /// <summary>Makes room for a tensor's bookkeeping, once it is about to be read.</summary>
    public void Prepare(int tensor, int cells)
    {
        var slot = Array.BinarySearch(slots, tensor);
        ties[slot] ??= new ushort[cells];
        segments[slot] ??= new KeyRun[cells];
    }

    /// <summary>Narrows the bracket to where the sample puts the rank, with a margin.</summary>
    public void EndSample()
    {
        Bracket = OfNonzero
            ? Sample!.BracketOfNonzero(argument, FedElements, Zeros)
            : Sample!.Bracket(targets.Max(), targets.Min(), FedElements, Zeros, Magnitudes);
        Sample = null;
        Pending = tensors.Length;
    }

    /// <summary>Adds a cell to the round; <paramref name="spare"/> has room for a cell's keys.</summary>
    public void Add(int worker, int tensor, int cell, float* values, int n, int* spare, BlockPool pool, int chunkBytes)
    {
        var gatherer = gatherers[worker] ??= new KeyGatherer(pool, chunkBytes);
        var room = gatherer.Room(n, spare);
        int above, equal;
        var kept = Magnitudes
            ? KeyScan.Gather<MagnitudeKeys>(values, n, Bracket, room, out above, out equal)
            : KeyScan.Gather<OrderedKeys>(values, n, Bracket, room, out above, out equal);
        gatherer.Above += above;
        gatherer.Equal += equal;
        gatherer.Nonzero += OfNonzero ? (long)Reducers.Reduce(ReduceKind.CountNonzero, values, null, n) : 0;
        gatherer.AnyNaN |= !Magnitudes && KeyScan.AnyNaN(values, n);
        var run = new KeyRun(room, kept);
        RadixSelect.Count(run, Bracket.Low, Bracket.High, gatherer.Bins);
        var slot = Array.BinarySearch(slots, tensor);
        ties[slot]![cell] = (ushort)equal;
        segments[slot]![cell] = gatherer.Keep(kept, room == spare) ? run : default;
    }

    /// <summary>Whether a tensor is all that is read.</summary>
    public bool IsWithin(int tensor) => slots is [var only] && only == tensor;

    /// <summary>Where to look next, after a look at everything that found more keys than were wanted; null where that is for a round to say.</summary>
    public Bracket? Narrow(BlockScan scan)
    {
        var nonzero = scan.Cells.Sum(c => (long)c.Nonzero);
        var target = OfNonzero ? (long)(argument * nonzero) : targets[0];
        if (!Magnitudes || target == 0)
        {
            return null;
        }

        var round = new SelectionRound(scan.Bracket, scan.Cells.Sum(c => (long)c.Above), scan.Cells.Sum(c => (long)c.Equal), [.. scan.Bins], true, Zeros);
        return round.Resolve(target, [], out var next) is null ? next : null;
    }

    /// <summary>A device has narrowed the bracket by itself.</summary>
    public void LookedAt(Bracket bracket) => Bracket = bracket;

    /// <summary>Adds cells that a device looked at, from <paramref name="first"/> on.</summary>
    public void Add(int worker, int tensor, int first, BlockScan scan, int* spare, BlockPool pool, int chunkBytes)
    {
        var gatherer = gatherers[worker] ??= new KeyGatherer(pool, chunkBytes);
        var slot = Array.BinarySearch(slots, tensor);
        for (var c = 0; c < scan.Cells.Length; c++)
        {
            var cell = scan.Cells[c];
            gatherer.Above += cell.Above;
            gatherer.Equal += cell.Equal;
            gatherer.Nonzero += OfNonzero ? cell.Nonzero : 0;
            gatherer.AnyNaN |= !Magnitudes && cell.NaNs > 0;
            ties[slot]![first + c] = (ushort)cell.Equal;
            var room = scan.Overflowed ? spare : gatherer.Room(cell.Kept, spare);
            if (room != spare)
            {
                scan.Keys.AsSpan(cell.First, cell.Kept).CopyTo(new Span<int>(room, cell.Kept));
            }

            segments[slot]![first + c] = gatherer.Keep(cell.Kept, room == spare) ? new KeyRun(room, cell.Kept) : default;
        }

        for (var b = 0; b < scan.Bins.Length; b++)
        {
            gatherer.Bins[b] += scan.Bins[b];
        }
    }

    /// <summary>Selects among the only cell there is.</summary>
    public void SelectDirectly(float* values, int n, int* spare)
    {
        if (!Magnitudes && KeyScan.AnyNaN(values, n))
        {
            Finish(double.NaN);
            return;
        }

        if (OfNonzero && !Aim((long)Reducers.Reduce(ReduceKind.CountNonzero, values, null, n)))
        {
            return;
        }

        var everything = Bracket.Everything(Magnitudes);
        if (Magnitudes)
        {
            KeyScan.Map<MagnitudeKeys>(values, n, spare);
        }
        else
        {
            KeyScan.Map<OrderedKeys>(values, n, spare);
        }

        foreach (var rank in targets)
        {
            picks.Add(RadixSelect.Select([new KeyRun(spare, n)], everything.Low, everything.High, rank, []));
        }

        if (Magnitudes)
        {
            var pick = picks[0];
            var kept = targets[0] - pick.Above;
            Finish(pick.Key, slots[0], kept == pick.Equal ? long.MaxValue : KeyScan.IndexOf(values, n, pick.Key, kept));
        }
        else
        {
            FinishQuantile();
        }
    }

    /// <summary>Ends a round: every fed tensor's cells are in.</summary>
    public SelectionOutcome EndRound()
    {
        long above = 0, equal = 0, nonzero = 0;
        bool overflowed = false, anyNaN = false;
        var bins = new long[RadixSelect.Bins];
        var runs = new List<KeyRun>();
        foreach (var gatherer in gatherers)
        {
            if (gatherer is not null)
            {
                above += gatherer.Above;
                equal += gatherer.Equal;
                nonzero += gatherer.Nonzero;
                overflowed |= gatherer.Overflowed;
                anyNaN |= gatherer.AnyNaN;
                gatherer.AddRuns(runs);
                for (var b = 0; b < bins.Length; b++)
                {
                    bins[b] += gatherer.Bins[b];
                }
            }
        }

        if (anyNaN)
        {
            Finish(double.NaN);
            return SelectionOutcome.Done;
        }

        if (OfNonzero && !Aim(nonzero))
        {
            return SelectionOutcome.Done;
        }

        var round = new SelectionRound(Bracket, above, equal, bins, overflowed, Zeros);
        while (picks.Count < targets.Length)
        {
            if (round.Resolve(targets[picks.Count], CollectionsMarshal.AsSpan(runs), out var next) is not { } pick)
            {
                return Again(next);
            }

            picks.Add(pick);
        }

        if (!Magnitudes)
        {
            FinishQuantile();
            return SelectionOutcome.Done;
        }

        return EndKeep(picks[0], overflowed);
    }

    /// <summary>Given the cell that <see cref="SelectionOutcome.Locate"/> asked for, and where it starts.</summary>
    public void EndLocate(long start, float* values, int n) =>
        Finish(picks[0].Key, Tie.Tensor, start + KeyScan.IndexOf(values, n, picks[0].Key, Tie.Nth));

    private SelectionOutcome EndKeep(Pick pick, bool overflowed)
    {
        var kept = targets[0] - pick.Above;
        if (kept == pick.Equal || pick.Key == 0)
        {
            // Which of the zeros are kept shows nowhere, so those of a sparse vector needn't be told apart.
            Finish(pick.Key, int.MaxValue, -1);
            return SelectionOutcome.Done;
        }

        if (pick.Key != Bracket.Guess && overflowed)
        {
            picks.Clear();
            return Again(new Bracket(pick.Key, pick.Key, pick.Key));
        }

        for (var slot = 0; slot < slots.Length; slot++)
        {
            for (var cell = 0; cell < ties[slot]!.Length; cell++)
            {
                long here = pick.Key == Bracket.Guess ? ties[slot]![cell] : CountOf(segments[slot]![cell], pick.Key);
                if (kept <= here)
                {
                    Tie = (slots[slot], cell, kept);
                    Release();
                    return SelectionOutcome.Locate;
                }

                kept -= here;
            }
        }

        throw new InvalidOperationException("a selection counted fewer ties by cell than in all");
    }

    /// <summary>Sets the rank, now that the elements that are not 0 are counted; false where none is kept.</summary>
    private bool Aim(long nonzero)
    {
        targets = [(long)(argument * nonzero)];
        if (targets[0] > 0)
        {
            return true;
        }

        Finish(int.MaxValue, -1, -1);
        return false;
    }

    private static long CountOf(KeyRun run, int key) => new ReadOnlySpan<int>(run.Keys, (int)run.Count).Count(key);

    private bool Trivial()
    {
        var n = FedElements + Zeros;
        if (Magnitudes)
        {
            if (OfNonzero && argument > 0 && argument < 1 && FedElements > 0)
            {
                return false;
            }

            var product = argument * n;
            var k = product >= n ? n : product > 0 ? (long)product : 0;
            if (k == 0)
            {
                // No magnitude passes the largest pattern there is.
                Finish(int.MaxValue, -1, -1);
                return true;
            }

            targets = [k];
            if (k >= n || FedElements == 0)
            {
                Finish(0, int.MaxValue, -1);
                return true;
            }

            return false;
        }

        if (n == 0 || !(argument >= 0 && argument <= 1))
        {
            Finish(double.NaN);
            return true;
        }

        (var lower, var upper, fraction) = Quantiles.Ranks(argument, n);
        targets = lower == upper ? [lower] : [lower, upper];
        if (FedElements == 0)
        {
            Finish(0.0);
            return true;
        }

        return false;
    }

    private SelectionOutcome Again(Bracket bracket)
    {
        Release();
        Bracket = bracket;
        Pending = slots.Length;
        return SelectionOutcome.AnotherRound;
    }

    private void FinishQuantile() => Finish(Quantiles.Between(picks[0].Key, picks[^1].Key, fraction));

    private void Finish(int key, int lastTensor, long lastIndex)
    {
        ThresholdBits = key;
        (limitTensor, limitIndex) = (lastTensor, lastIndex);
        Finish(BitConverter.Int32BitsToSingle(key));
    }

    private void Finish(double value)
    {
        Value = value;
        Release();
        ties = [];
        segments = [];
    }

    private void Release()
    {
        foreach (var gatherer in gatherers)
        {
            gatherer?.Dispose();
        }

        Array.Clear(gatherers);
    }
}
