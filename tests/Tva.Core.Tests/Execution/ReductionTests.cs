using Tva.Core.Execution;
using Tva.Core.Tensors;
using Xunit;

namespace Tva.Core.Tests;

/// <summary>Reductions against float64 loops, at sizes around a cell.</summary>
public class ReductionTests
{
    private static readonly ReduceKind[] Kinds =
        [ReduceKind.Sum, ReduceKind.SumAbs, ReduceKind.Dot, ReduceKind.MaxAbs, ReduceKind.Min, ReduceKind.Max, ReduceKind.CountNonzero];

    private static readonly (string Name, long[] Dims)[] Shapes =
    [
        ("l.0.a", [1]), ("l.0.b", [16383]), ("l.1.a", [128, 128]), ("l.1.b", [16385]), ("top", [100, 1000]), ("l.0.c", [1111, 37]),
        ("l.2.empty", [0, 5]), ("l.0.long", [3, 40_001]), ("scalar", []), ("l.1.three", [7, 11, 129]),
    ];

    public static TheoryData<ReduceKind, Extent> All()
    {
        var data = new TheoryData<ReduceKind, Extent>();
        foreach (var kind in Kinds)
        {
            foreach (var extent in (Extent[])[Extent.All, Extent.Layer, Extent.Tensor, Extent.Row])
            {
                data.Add(kind, extent);
            }
        }

        return data;
    }

    [Theory, MemberData(nameof(All))]
    public void AgreesWithALoop(ReduceKind kind, Extent extent)
    {
        using var a = new FakeCheckpoint("a");
        using var b = new FakeCheckpoint("b");
        var values = new List<(string Layer, string Name, long Row, float[] A, float[] B)>();
        for (var i = 0; i < Shapes.Length; i++)
        {
            var shape = new Shape(Shapes[i].Dims);
            float[] x = Plans.Normal(i, (int)shape.Elements), y = Plans.Normal(100 + i, (int)shape.Elements);
            for (var z = 0; z < x.Length; z += 5)
            {
                x[z] = 0;
            }

            a.Add(Shapes[i].Name, shape, x);
            b.Add(Shapes[i].Name, shape, y);
            values.Add((a.Find(Shapes[i].Name)!.Layer.ToString(), Shapes[i].Name, shape.RowLength, x, y));
        }

        var groups = extent switch
        {
            Extent.All => values.GroupBy(_ => "").Select(g => g.Select(v => (v.A, v.B)).ToArray()),
            Extent.Layer => values.GroupBy(v => v.Layer).Select(g => g.Select(v => (v.A, v.B)).ToArray()),
            Extent.Tensor => values.Select(v => new[] { (v.A, v.B) }),
            _ => values.Where(v => v.A.Length > 0).SelectMany(v => v.A.Chunk((int)v.Row).Zip(v.B.Chunk((int)v.Row), (x, y) => new[] { (x, y) })),
        };
        var expected = groups.Select(g => Reference(kind, [.. g.SelectMany(t => t.Item1)], [.. g.SelectMany(t => t.Item2)])).ToArray();
        var plan = Plans.Reducing(kind, extent, 0, DType.F32, a, b);
        var got = Plans.Numbers(plan);
        Assert.Equal(expected.Length, got.Length);
        for (var i = 0; i < got.Length; i++)
        {
            Assert.True(
                expected[i].Equals(got[i]) || Math.Abs(expected[i] - got[i]) <= 1e-11 * Math.Max(1, Math.Abs(expected[i])),
                $"{kind} {extent} {i}: {got[i]:R}, not {expected[i]:R}");
        }

        foreach (var (memory, threads) in ((long, int)[])[(2 << 20, 1), (8 << 20, 5), (1 << 30, 2)])
        {
            Assert.Equal(got, Plans.Numbers(plan, new RunOptions(memory, threads, false)));
        }
    }

    [Theory]
    [InlineData(ReduceKind.MaxAbs)]
    [InlineData(ReduceKind.Min)]
    [InlineData(ReduceKind.Max)]
    public void NaNWins(ReduceKind kind)
    {
        foreach (var at in (int[])[0, 20_000, 39_999])
        {
            var values = Plans.Normal(1, 40_000);
            values[at] = float.NaN;
            values[30_000] = float.PositiveInfinity;
            using var source = new FakeCheckpoint("a").Add("w", new Shape(200, 200), values);
            foreach (var extent in (Extent[])[Extent.All, Extent.Tensor])
            {
                Assert.Equal([double.NaN], Plans.Numbers(Plans.Reducing(kind, extent, 0, DType.F32, source)));
            }

            Assert.Equal(1, Plans.Numbers(Plans.Reducing(kind, Extent.Row, 0, DType.F32, source)).Count(double.IsNaN));
        }
    }

    [Fact]
    public void ASumKeepsWhatFloat32Loses()
    {
        // Each term needs float64: 1 + 2^-40 would be 1 in float32.
        var values = Enumerable.Range(0, 50_000).Select(i => i == 0 ? 16_777_216f : 0.25f).ToArray();
        using var source = new FakeCheckpoint("a").Add("w", new Shape(values.Length), values);
        Assert.Equal([16_777_216 + (49_999 * 0.25)], Plans.Numbers(Plans.Reducing(ReduceKind.Sum, Extent.All, 0, DType.F32, source)));
        Assert.Equal([Math.Pow(2, 48) + (49_999 * 0.0625)], Plans.Numbers(Plans.Reducing(ReduceKind.Dot, Extent.All, 0, DType.F32, source, source)));
    }

    [Fact]
    public void NothingReducesToNothing()
    {
        using var none = new FakeCheckpoint("a");
        Assert.Equal([0], Plans.Numbers(Plans.Reducing(ReduceKind.Sum, Extent.All, 0, DType.F32, none)));
        Assert.Equal([double.NaN], Plans.Numbers(Plans.Reducing(ReduceKind.Max, Extent.All, 0, DType.F32, none)));
        Assert.Equal([double.NaN], Plans.Numbers(Plans.Reducing(ReduceKind.Quantile, Extent.All, 0.5, DType.F32, none)));
        Assert.Empty(Plans.Numbers(Plans.Reducing(ReduceKind.Sum, Extent.Row, 0, DType.F32, none)));
        using var empty = new FakeCheckpoint("a").Add("w", new Shape(0), []);
        Assert.Equal([double.NaN], Plans.Numbers(Plans.Reducing(ReduceKind.Quantile, Extent.Tensor, 0.5, DType.F32, empty)));
    }

    private static double Reference(ReduceKind kind, float[] a, float[] b) => kind switch
    {
        ReduceKind.Sum => a.Sum(x => (double)x),
        ReduceKind.SumAbs => a.Sum(x => Math.Abs((double)x)),
        ReduceKind.Dot => a.Zip(b, (x, y) => (double)x * y).Sum(),
        ReduceKind.MaxAbs => a.Length == 0 ? 0 : a.Max(x => Math.Abs((double)x)),
        ReduceKind.Min => a.Length == 0 ? double.NaN : a.Min(),
        ReduceKind.Max => a.Length == 0 ? double.NaN : a.Max(),
        _ => a.Count(x => x != 0),
    };
}
