using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Tva.Core.Execution;
using Tva.Core.Kernels;
using Tva.Core.Tensors;
using Xunit;

namespace Tva.Core.Tests;

/// <summary>Many dots of a step at once, against scalar code that adds in the documented order: every bit, whatever the company.</summary>
public class DotTests
{
    private static readonly (string Name, long Elements)[] Shapes =
        [("l.0.a", 1), ("l.0.b", 16383), ("l.1.a", 16385), ("top", 0), ("l.0.c", 100_003), ("l.1.b", 32768), ("l.2.a", 49_999)];

    public static TheoryData<string, int> Patterns()
    {
        var data = new TheoryData<string, int>();
        foreach (var pattern in (string[])["all", "norms", "lone", "one to all", "two sides", "twice", "some"])
        {
            foreach (var streams in (int[])[1, 2, 3, 4, 5, 7, 8, 13])
            {
                data.Add(pattern, streams);
            }
        }

        return data;
    }

    [Theory, MemberData(nameof(Patterns))]
    public unsafe void GroupsAndWidthsAndRunsDoNotShow(string pattern, int streams)
    {
        var pairs = Pairs(pattern, streams);
        var plan = new DotPlan([.. pairs.Select((p, slot) => (slot, p.A, p.B))]);
        foreach (var n in (int[])[1, 15, 16, 17, 255, 256, 1000, 5000])
        {
            var values = Enumerable.Range(0, streams).Select(s => Plans.Normal((100 * s) + n, n)).ToArray();
            var expected = pairs.Select(p => Cell(values[p.A], values[p.B])).ToArray();
            foreach (var width in (int[])[128, 256, 512])
            {
                foreach (var run in (int[])[256, 1024, 16384])
                {
                    if (width < 512 || Vector512.IsHardwareAccelerated)
                    {
                        Assert.Equal(expected.Select(BitConverter.DoubleToInt64Bits), Compute(plan, values, run, width, pairs.Count).Select(BitConverter.DoubleToInt64Bits));
                    }
                }
            }
        }

        static double[] Compute(DotPlan plan, float[][] values, int run, int width, int count)
        {
            var room = run + 64;
            using var memory = new Block((long)values.Length * room * sizeof(float));
            using var lanes = new Block(plan.LaneBytes);
            var pointers = stackalloc float*[values.Length];
            for (var s = 0; s < values.Length; s++)
            {
                pointers[s] = (float*)memory.Pointer + ((long)s * room);
            }

            plan.Clear((double*)lanes.Pointer);
            for (var at = 0; at < values[0].Length; at += run)
            {
                var n = Math.Min(run, values[0].Length - at);
                for (var s = 0; s < values.Length; s++)
                {
                    // What lies past the end is anything, NaN even.
                    new Span<float>(pointers[s], room).Fill(float.NaN);
                    values[s].AsSpan(at, n).CopyTo(new Span<float>(pointers[s], n));
                }

                plan.Add(pointers, n, (double*)lanes.Pointer, width);
            }

            var results = new double[count];
            plan.Fold((double*)lanes.Pointer, results);
            return results;
        }
    }

    [Fact]
    public void PairsOfManyStreamsGoThroughTiles()
    {
        Assert.Equal(2080, Plan("all", 64).Tiled);
        Assert.Equal(300, Plan("all", 24).Tiled);
        Assert.Equal(4, Plan("one to all", 24).Tiled);

        static DotPlan Plan(string pattern, int streams) => new([.. Pairs(pattern, streams).Select((p, slot) => (slot, p.A, p.B))]);
    }

    [Theory]
    [InlineData(Extent.All)]
    [InlineData(Extent.Layer)]
    [InlineData(Extent.Tensor)]
    public void ADotIsTheSameAloneAndInAGroup(Extent extent)
    {
        const int streams = 9;
        var values = Values(streams);
        using var sources = new Sources(values);
        var pairs = Pairs("all", streams);
        var together = Results(sources, extent, pairs, Plans.Options);
        for (var p = 0; p < pairs.Count; p++)
        {
            Assert.Equal(Expected(extent, values, pairs[p]), together[p]);
        }

        foreach (var (memory, threads) in ((long, int)[])[(2 << 20, 1), (4 << 20, 3), (1 << 30, 7)])
        {
            Assert.Equal(together, Results(sources, extent, pairs, new RunOptions(memory, threads, false)));
        }

        foreach (var p in (int[])[0, 5, 17, 44])
        {
            Assert.Equal(together[p], Results(sources, extent, [pairs[p]], Plans.Options)[0]);
            Assert.Equal(together[p], Results(sources, extent, [pairs[p], (pairs[p].B, pairs[p].A)], Plans.Options)[1]);
        }
    }

    [Fact]
    public void OtherReductionsOfTheStepSeeTheSameStreams()
    {
        // Sums, maxima, rows and a selection read whole cells of the streams whose dots are taken run by run; the second class feeds less.
        const int streams = 6;
        var values = Values(streams);
        using var sources = new Sources(values);
        var pairs = Pairs("all", streams);
        Reduction[] others =
        [
            new(ReduceKind.MaxAbs, Extent.All), new(ReduceKind.Sum, Extent.Tensor), new(ReduceKind.Dot, Extent.Row),
            new(ReduceKind.KeepLargest, Extent.All, 0), new(ReduceKind.Quantile, Extent.Row, 0), new(ReduceKind.CountNonzero, Extent.Layer),
        ];
        ReductionFeed[] otherFeeds = [new(0), new(1), new(2, 3), new(4), new(5), new(5)];
        Reduction[] reductions = [.. others, .. pairs.Select(_ => new Reduction(ReduceKind.Dot, Extent.Tensor))];
        ReductionFeed[] feeds = [.. otherFeeds, .. pairs.Select(p => new ReductionFeed(p.A, p.B))];
        ReductionFeed[] fewer = [.. otherFeeds, .. pairs.Select((p, i) => i % 3 == 0 ? new ReductionFeed(p.A, p.B) : new ReductionFeed(-1))];
        var tensors = Plans.Tensors(sources.All);
        tensors[4] = tensors[4] with { Class = 1 };
        var plan = new ExecutionPlan(
            sources.All, tensors,
            [new StaticScalar(Extent.All, [0.25]), .. reductions.Select((r, i) => new ReducedScalar(r.Extent, 0, i))],
            [new Step(reductions, [Plans.Streams(DType.F32, streams, feeds), Plans.Streams(DType.F32, streams, fewer)])], [],
            [.. Enumerable.Range(1, reductions.Length)]);
        foreach (var options in (RunOptions[])[Plans.Options, new(6 << 20, 1, false), new(1 << 30, 5, false)])
        {
            using var result = Plans.Execute(plan, options);
            for (var p = 0; p < pairs.Count; p++)
            {
                var expected = Expected(Extent.Tensor, values, pairs[p]);
                expected[4] = p % 3 == 0 ? expected[4] : 0;
                Assert.Equal(expected, result.Results[others.Length + p]);
            }

            for (var o = 0; o < others.Length; o++)
            {
                var alone = new ExecutionPlan(
                    sources.All, Plans.Tensors(sources.All), [new StaticScalar(Extent.All, [0.25]), new ReducedScalar(others[o].Extent, 0, 0)],
                    [new Step([others[o]], [Plans.Streams(DType.F32, streams, otherFeeds[o])])], [], [1]);
                Assert.Equal(Plans.Numbers(alone), result.Results[o]);
            }
        }
    }

    [Fact]
    public void NaNStaysInItsStreamAndIsCountedOnce()
    {
        const int streams = 8;
        var values = Values(streams);
        values[3][4][100_002] = float.NaN;
        values[3][4][17] = float.NegativeInfinity;
        using var sources = new Sources(values);
        var pairs = Pairs("all", streams);
        var code = new List<Instruction>();
        for (var s = 0; s < streams; s++)
        {
            code.AddRange([new(Code.Load, Index: s), new(Code.Guard, code.Count), new(Code.Store, code.Count, Index: s)]);
        }

        var kernel = Plans.Streams(DType.F32, streams, [.. pairs.Select(p => new ReductionFeed(p.A, p.B))]) with
        {
            Program = new KernelProgram(code, [.. Enumerable.Repeat(DType.F32, streams)], [.. Enumerable.Repeat(DType.F32, streams)], 0),
        };
        var plan = Plan(sources, Extent.All, pairs) with { Steps = [new Step([.. pairs.Select(_ => new Reduction(ReduceKind.Dot, Extent.All))], [kernel])] };
        using var result = Plans.Execute(plan, Plans.Options);
        for (var p = 0; p < pairs.Count; p++)
        {
            Assert.Equal(pairs[p].A == 3 || pairs[p].B == 3, double.IsNaN(result.Results[p][0]));
        }

        var found = Assert.Single(result.NonFinite);
        Assert.Equal(("m3", "l.0.c", 1L, 1L), (found.Path, found.Tensor, found.NaNs, found.Infinities));
    }

    [Fact]
    public void TwoThousandDotsNeedNoMemoryPerCell()
    {
        // Kept by cell until their tensor is done, the numbers alone would take 2080 · 92 · 8 bytes for each tensor at work.
        const int streams = 64;
        var values = Plans.Normal(1, 1_500_000);
        using var source = new FakeCheckpoint("m").Add("w", new Shape(values.Length), values);
        var pairs = Pairs("all", streams);
        var code = new List<Instruction> { new(Code.Load, Index: 0) };
        for (var s = 0; s < streams; s++)
        {
            code.AddRange(
            [
                new(Code.Const, Value: s + 1), new(Code.Apply, 0, code.Count, Index: Plans.Op("mul")), new(Code.Store, code.Count + 1, Index: s),
            ]);
        }

        var kernel = new ClassKernel(
            new KernelProgram(code, [DType.F32], [.. Enumerable.Repeat(DType.F32, streams)], 0), [new FileInput(0)],
            [.. Enumerable.Repeat(-1, streams)], [], [.. pairs.Select(p => new ReductionFeed(p.A, p.B))]);
        var plan = new ExecutionPlan(
            [source], Plans.Tensors(source), [.. pairs.Select((_, i) => new ReducedScalar(Extent.All, 0, i))],
            [new Step([.. pairs.Select(_ => new Reduction(ReduceKind.Dot, Extent.All))], [kernel])], [], [.. pairs.Select((_, i) => i)]);
        using var result = Plans.Execute(plan, new RunOptions(5 << 20, 2, false));
        double norm = values.Sum(v => (double)v * v);
        for (var p = 0; p < pairs.Count; p++)
        {
            var expected = norm * (pairs[p].A + 1) * (pairs[p].B + 1);
            Assert.Equal(expected, result.Results[p][0], 1e-6 * expected);
        }
    }

    private static List<(int A, int B)> Pairs(string pattern, int streams)
    {
        var all = Enumerable.Range(0, streams).SelectMany(a => Enumerable.Range(a, streams - a).Select(b => (a, b))).ToList();
        var random = new Random(streams);
        return pattern switch
        {
            "all" => all,
            "norms" => [.. all.Where(p => p.a == p.b)],
            "lone" => [all[^1]],
            "one to all" => [.. all.Where(p => p.a == 0)],
            "two sides" => [.. all.Where(p => p.a % 2 != p.b % 2), (0, 0)],
            "twice" => [.. all.Select(p => (p.b, p.a)), .. all],
            _ => [.. all.Where(_ => random.Next(3) == 0), (0, streams - 1)],
        };
    }

    private static float[][][] Values(int streams) =>
        [.. Enumerable.Range(0, streams).Select(s => Shapes.Select((shape, t) => Plans.Normal((50 * s) + t, (int)shape.Elements)).ToArray())];

    private static ExecutionPlan Plan(Sources sources, Extent extent, List<(int A, int B)> pairs)
    {
        var kernel = Plans.Streams(DType.F32, sources.All.Length, [.. pairs.Select(p => new ReductionFeed(p.A, p.B))]);
        return new ExecutionPlan(
            sources.All, Plans.Tensors(sources.All), [.. pairs.Select((_, i) => new ReducedScalar(extent, 0, i))],
            [new Step([.. pairs.Select(_ => new Reduction(ReduceKind.Dot, extent))], [kernel])], [], [.. pairs.Select((_, i) => i)]);
    }

    private static IReadOnlyList<double[]> Results(Sources sources, Extent extent, List<(int A, int B)> pairs, RunOptions options)
    {
        using var result = Plans.Execute(Plan(sources, extent, pairs), options);
        return result.Results;
    }

    /// <summary>Cells in order, then tensors in order.</summary>
    private static double[] Expected(Extent extent, float[][][] values, (int A, int B) pair)
    {
        var tensors = Shapes.Select((_, t) => values[pair.A][t].Chunk(16384).Zip(values[pair.B][t].Chunk(16384), Cell).ToArray())
            .Select((cells, t) => (Shapes[t].Name, Value: cells.Length == 0 ? 0 : cells.Aggregate((x, y) => x + y))).ToList();
        return extent switch
        {
            Extent.All => [tensors.Select(t => t.Value).Aggregate((x, y) => x + y)],
            Extent.Layer => [.. tensors.GroupBy(t => t.Name.Split('.') is [_, var layer, _] ? layer : "").Select(g => g.Select(t => t.Value).Aggregate((x, y) => x + y))],
            _ => [.. tensors.Select(t => t.Value)],
        };
    }

    /// <summary>Product i to lane i mod 16, then the upper half of the lanes onto the lower until one is left.</summary>
    private static double Cell(float[] a, float[] b)
    {
        var lanes = new double[16];
        for (var i = 0; i < a.Length; i++)
        {
            lanes[i % 16] += (double)a[i] * b[i];
        }

        for (var half = 8; half > 0; half /= 2)
        {
            for (var lane = 0; lane < half; lane++)
            {
                lanes[lane] += lanes[lane + half];
            }
        }

        return lanes[0];
    }

    private sealed class Sources : IDisposable
    {
        public Sources(float[][][] values)
        {
            All = [.. values.Select((tensors, s) =>
            {
                var checkpoint = new FakeCheckpoint($"m{s}");
                for (var t = 0; t < tensors.Length; t++)
                {
                    checkpoint.Add(Shapes[t].Name, new Shape(Shapes[t].Elements), tensors[t]);
                }

                return checkpoint;
            })];
        }

        public FakeCheckpoint[] All { get; }

        public void Dispose()
        {
            foreach (var checkpoint in All)
            {
                checkpoint.Dispose();
            }
        }
    }
}
