using Tva.Core.Kernels;

namespace Tva.Core.Execution;

/// <summary>
/// Comes in: the pairs of streams whose dots a kernel feeds. Goes out: tiles where pairs are dense, the others singly, and how many
/// elements are taken at a time so that the streams are still in a core's caches when the last tile reads them.
/// </summary>
internal sealed unsafe class DotPlan
{
    // With fewer pairs wanted a tile's sixteen products and eight conversions cost more than each pair's own three; in a triangle it is
    // ten and four.
    private const int DenseTile = 6;
    private const int DenseTriangle = 4;

    // Half of a second-level cache of the usual 512 KiB.
    private const int RunBytes = 256 << 10;
    private const int MinRun = 256;

    private readonly List<(int[] Streams, int[] Pairs)> triangles = [];
    private readonly List<(int[] Rows, int[] Columns, int[] Pairs)> tiles = [];
    private readonly List<(int A, int B, int Pair)> singles = [];
    private readonly (int Slot, int Pair)[] targets;
    private readonly int[] streams;
    private readonly int count;

    /// <param name="dots">The streams of each dot, and where its result goes; equal pairs are computed once.</param>
    public DotPlan(IReadOnlyList<(int Slot, int A, int B)> dots)
    {
        var numbers = new Dictionary<(int, int), int>();
        targets = new (int, int)[dots.Count];
        for (var d = 0; d < dots.Count; d++)
        {
            var pair = dots[d].A <= dots[d].B ? (dots[d].A, dots[d].B) : (dots[d].B, dots[d].A);
            if (!numbers.TryGetValue(pair, out var number))
            {
                numbers.Add(pair, number = numbers.Count);
            }

            targets[d] = (dots[d].Slot, number);
        }

        count = numbers.Count;
        streams = [.. numbers.Keys.SelectMany(p => (int[])[p.Item1, p.Item2]).Distinct().Order()];
        Cut(numbers);
    }

    public bool IsEmpty => count == 0;

    /// <summary>Bytes of the lanes of all pairs, and of one that takes what nobody wants.</summary>
    public long LaneBytes => IsEmpty ? 0 : (count + 1L) * Dots.Lanes * sizeof(double);

    /// <summary>How many pairs go through tiles.</summary>
    public int Tiled => count - singles.Count;

    /// <summary>Elements to be taken at a time of so many streams: a power of two, at most a cell. It doesn't show in the results.</summary>
    public static int Run(int streams)
    {
        var run = PlanShape.Cell;
        while (run > MinRun && (long)run * streams * sizeof(float) > RunBytes)
        {
            run /= 2;
        }

        return run;
    }

    public void Clear(double* lanes) => new Span<double>(lanes, (int)(LaneBytes / sizeof(double))).Clear();

    /// <summary>Adds a run to all lanes; what lies past its end, up to a multiple of 16, may be overwritten.</summary>
    public void Add(float** outputs, nint n, double* lanes, int? forceWidth = null)
    {
        var width = forceWidth ?? CpuKernel.Width;
        var padded = (n + Dots.Lanes - 1) / Dots.Lanes * Dots.Lanes;
        if (padded > n && Tiled > 0)
        {
            foreach (var s in streams)
            {
                new Span<float>(outputs[s] + n, (int)(padded - n)).Clear();
            }
        }

        var rows = stackalloc float*[2 * Dots.Side];
        var columns = rows + Dots.Side;
        var places = stackalloc double*[Dots.Side * Dots.Side];
        foreach (var triangle in triangles)
        {
            for (var k = 0; k < Dots.Side; k++)
            {
                rows[k] = outputs[triangle.Streams[k]];
            }

            for (var k = 0; k < triangle.Pairs.Length; k++)
            {
                places[k] = lanes + ((long)triangle.Pairs[k] * Dots.Lanes);
            }

            Dots.Triangle(rows, places, padded, width);
        }

        foreach (var tile in tiles)
        {
            for (var k = 0; k < Dots.Side; k++)
            {
                rows[k] = outputs[tile.Rows[k]];
                columns[k] = outputs[tile.Columns[k]];
            }

            for (var k = 0; k < tile.Pairs.Length; k++)
            {
                places[k] = lanes + ((long)tile.Pairs[k] * Dots.Lanes);
            }

            Dots.Tile(rows, columns, places, padded, width);
        }

        foreach (var (a, b, pair) in singles)
        {
            Dots.Add(outputs[a], outputs[b], n, lanes + ((long)pair * Dots.Lanes));
        }
    }

    /// <summary>The results, each in its slot; the lanes are used up.</summary>
    public void Fold(double* lanes, Span<double> values)
    {
        for (var pair = 0; pair < count; pair++)
        {
            Dots.Fold(lanes + ((long)pair * Dots.Lanes));
        }

        foreach (var (slot, pair) in targets)
        {
            values[slot] = lanes[(long)pair * Dots.Lanes];
        }
    }

    /// <summary>Four streams at a time: the pairs among them, then, four of the others at a time, the pairs with those.</summary>
    private void Cut(Dictionary<(int, int), int> numbers)
    {
        var partners = streams.ToDictionary(s => s, _ => new List<int>());
        foreach (var (a, b) in numbers.Keys)
        {
            partners[a].Add(b);
            partners[b].Add(a);
        }

        foreach (var columns in streams.Chunk(Dots.Side))
        {
            // Pairs with earlier streams were taken with those.
            var rows = columns.SelectMany(c => partners[c]).Where(r => r > columns[^1]).Distinct().Order();
            Among(numbers, columns);
            foreach (var four in rows.Chunk(Dots.Side))
            {
                Between(numbers, four, columns);
            }
        }
    }

    private void Among(Dictionary<(int, int), int> numbers, int[] some)
    {
        var pairs = new List<int>();
        var found = new List<(int A, int B, int Pair)>();
        var four = Four(some);
        for (var r = 0; r < Dots.Side; r++)
        {
            for (var c = r; c < Dots.Side; c++)
            {
                var pair = c < some.Length ? numbers.GetValueOrDefault((four[r], four[c]), count) : count;
                pairs.Add(pair);
                if (pair < count)
                {
                    found.Add((four[r], four[c], pair));
                }
            }
        }

        if (found.Count < DenseTriangle)
        {
            singles.AddRange(found);
        }
        else
        {
            triangles.Add((four, [.. pairs]));
        }
    }

    private void Between(Dictionary<(int, int), int> numbers, int[] rows, int[] columns)
    {
        var pairs = new int[Dots.Side * Dots.Side];
        Array.Fill(pairs, count);
        var found = new List<(int A, int B, int Pair)>();
        for (var r = 0; r < rows.Length; r++)
        {
            for (var c = 0; c < columns.Length; c++)
            {
                if (numbers.TryGetValue((columns[c], rows[r]), out var pair))
                {
                    pairs[(r * Dots.Side) + c] = pair;
                    found.Add((columns[c], rows[r], pair));
                }
            }
        }

        if (found.Count < DenseTile)
        {
            singles.AddRange(found);
        }
        else
        {
            tiles.Add((Four(rows), Four(columns), pairs));
        }
    }

    private static int[] Four(int[] some) => [.. some, .. Enumerable.Repeat(some[0], Dots.Side - some.Length)];
}
