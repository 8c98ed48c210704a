using Tva.Core.Execution;
using Tva.Core.Tensors;
using Xunit;

namespace Tva.Core.Tests;

/// <summary>Exact selections against a plain sort.</summary>
public class SelectionTests : IDisposable
{
    private readonly TempFolder folder = new();

    public static TheoryData<string, int> Distributions()
    {
        var data = new TheoryData<string, int>();
        foreach (var name in (string[])["normal", "coarse", "zeros", "equal", "sparse", "nan", "lying", "steps", "tiny", "subnormal"])
        {
            foreach (var n in (int[])[1, 63, 16383, 16384, 16385, 65537, 100_000, 400_003])
            {
                data.Add(name, n);
            }
        }

        return data;
    }

    [Theory, MemberData(nameof(Distributions))]
    public void KeepsAShareOfTheNonzero(string distribution, int n)
    {
        var values = Values(distribution, n);
        for (var i = 0; i < n; i += 3)
        {
            values[i] = 0;
        }

        using var source = new MemoryCheckpoint("memory").Add("w", new Shape(n), values).Add("none", new Shape(9), new float[9]);
        var nonzero = values.Count(v => v != 0);
        foreach (var density in (double[])[0, 0.0001, 0.2, 0.9, 1, 2])
        {
            var expected = Reference([values], (Math.Min(nonzero, Math.Floor(density * nonzero)) + 0.5) / n)[0];
            foreach (var memory in (long[])[64 << 20, 1 << 20])
            {
                var plan = Plans.Keeping(folder["kept.safetensors"], Extent.Tensor, density, DType.F32, source, ReduceKind.KeepLargestNonzero);
                var got = Plans.Run(plan, new RunOptions(memory, 2, false));
                AssertSame(expected, got["w"], $"{distribution} {n} at {density}");
                Assert.All(got["none"], v => Assert.Equal(0, v));
            }
        }
    }

    [Theory, MemberData(nameof(Distributions))]
    public void KeepsTheLargestOfATensor(string distribution, int n)
    {
        var values = Values(distribution, n);
        using var source = new MemoryCheckpoint("memory").Add("w", new Shape(n), values);
        foreach (var density in (double[])[0, 0.0001, 0.2, 0.5, 0.9, 1, 2])
        {
            var got = Plans.Run(Plans.Keeping(folder["kept.safetensors"], Extent.Tensor, density, DType.F32, source))["w"];
            AssertSame(Reference([values], density)[0], got, $"{distribution} {n} at {density}");
        }
    }

    [Theory]
    [InlineData(Extent.All)]
    [InlineData(Extent.Layer)]
    [InlineData(Extent.Tensor)]
    public void KeepsTheLargestOverTensors(Extent extent)
    {
        // Ties everywhere, so that the limit falls into some tensor's middle; of several layers, empty ones among them.
        (string Name, int N)[] shapes = [("l.0.a", 100_000), ("l.0.b", 7), ("l.1.a", 50_000), ("l.1.b", 0), ("top", 20_000), ("l.0.c", 123_456)];
        using var source = new MemoryCheckpoint("memory");
        var values = shapes.Select((s, i) => Plans.Coarse(i, s.N)).ToArray();
        for (var i = 0; i < shapes.Length; i++)
        {
            source.AddHalf(shapes[i].Name, new Shape(shapes[i].N), values[i]);
        }

        int[][] members = extent switch { Extent.All => [[0, 1, 2, 3, 4, 5]], Extent.Layer => [[0, 1, 5], [2, 3], [4]], _ => [[0], [1], [2], [3], [4], [5]] };
        foreach (var density in (double[])[0.001, 0.2, 0.777])
        {
            byte[]? bytes = null;
            foreach (var (memory, threads) in ((long, int)[])[(64 << 20, 2), (1 << 20, 1), (2 << 20, 5), (1 << 30, 3)])
            {
                var plan = Plans.Keeping(folder["kept.safetensors"], extent, density, DType.BF16, source);
                var got = Plans.Run(plan, new RunOptions(memory, threads, false));
                foreach (var member in members)
                {
                    var expected = Reference([.. member.Select(m => values[m])], density);
                    for (var i = 0; i < member.Length; i++)
                    {
                        AssertSame(expected[i], got[shapes[member[i]].Name], $"{extent} {shapes[member[i]].Name} at {density}");
                    }
                }

                var now = File.ReadAllBytes(plan.Outputs[0].Path);
                Assert.Equal(bytes ?? now, now);
                bytes = now;
            }
        }
    }

    [Theory]
    [InlineData(DType.F32)]
    [InlineData(DType.BF16)]
    public void OfEqualElementsTheFirstAreKeptWhereverTheyEnd(DType output)
    {
        // BF16 to BF16 goes two elements at a time; the last kept lies anywhere in a vector, a call, a cell.
        const int n = 40_000;
        using var source = new MemoryCheckpoint("memory").AddHalf("w", new Shape(n), [.. Enumerable.Repeat(1.5f, n)]);
        foreach (var kept in (int[])[1, 2, 15, 16, 31, 32, 33, 64, 2047, 4096, 16383, 16384, 16385, 32768, 39_999])
        {
            var plan = Plans.Keeping(folder["kept.safetensors"], Extent.Tensor, (kept + 0.5) / n, DType.BF16, source);
            plan = plan with
            {
                Steps = [plan.Steps[0], new Step([], [Plans.Kept(DType.BF16, output)])],
                Outputs = [plan.Outputs[0] with { DTypes = [output] }],
            };
            using (var result = Plans.Execute(plan, Plans.Options))
            {
                result.Commit();
            }

            var one = output == DType.F32 ? BitConverter.GetBytes(1.5f) : BitConverter.GetBytes((ushort)0x3fc0);
            var expected = Enumerable.Range(0, n).SelectMany(i => i < kept ? one : new byte[one.Length]);
            Assert.Equal(expected, File.ReadAllBytes(plan.Outputs[0].Path)[^(n * one.Length)..]);
        }
    }

    [Fact]
    public void WhatFeedsNothingCountsAsZeros()
    {
        var a = Plans.Normal(1, 100_000);
        using var source = new MemoryCheckpoint("memory").Add("a", new Shape(100_000), a).Add("b", new Shape(300_000), Plans.Normal(2, 300_000));
        var plan = Plans.Keeping(folder["kept.safetensors"], Extent.All, 0.1, DType.F32, source);
        plan = plan with
        {
            Tensors = [plan.Tensors[0], plan.Tensors[1] with { Class = 1 }],
            Steps = [plan.Steps[0] with { Kernels = [plan.Steps[0].Kernels[0], null] }, plan.Steps[1] with { Kernels = [plan.Steps[1].Kernels[0], plan.Steps[1].Kernels[0]] }],
        };
        AssertSame(Reference([a, new float[300_000]], 0.1)[0], Plans.Run(plan)["a"], "");
    }

    [Theory, MemberData(nameof(Distributions))]
    public void QuantilesAreThoseOfTheSortedValues(string distribution, int n)
    {
        var values = Values(distribution, n);
        using var source = new MemoryCheckpoint("memory").Add("w", new Shape(n), values);
        float[] sorted = [.. values.Order()];
        foreach (var q in (double[])[0, 0.013, 0.5, 1])
        {
            foreach (var extent in (Extent[])[Extent.All, Extent.Layer, Extent.Tensor, Extent.Row])
            {
                Assert.Equal([Quantile(sorted, q)], Plans.Numbers(Plans.Reducing(ReduceKind.Quantile, extent, q, DType.F32, source)));
            }
        }
    }

    [Fact]
    public void TheBudgetDoesNotShowInQuantiles()
    {
        // The two middle ones are at the ends of the float's range, in no common bracket.
        var values = Plans.Normal(3, 200_000);
        for (var i = 0; i < values.Length; i++)
        {
            values[i] = i % 2 == 0 ? -1e30f - i : 1e30f + i;
        }

        using var source = new MemoryCheckpoint("memory").Add("w", new Shape(values.Length), values);
        foreach (var memory in (long[])[400 << 10, 1 << 20, 1 << 30])
        {
            foreach (var q in (double[])[0.1, 0.5, 0.7])
            {
                Assert.Equal([Quantile([.. values.Order()], q)], Plans.Numbers(Plans.Reducing(ReduceKind.Quantile, Extent.All, q, DType.F32, source), new RunOptions(memory, 2, false)));
            }
        }
    }

    [Theory]
    [InlineData(3, 37)]
    [InlineData(1000, 129)]
    [InlineData(5, 40_000)]
    public void QuantilesByRow(int rows, int length)
    {
        var values = Plans.Normal(4, rows * length);
        using var source = new MemoryCheckpoint("memory").Add("w", new Shape(rows, length), values);
        var expected = values.Chunk(length).Select(row => Quantile([.. row.Order()], 0.3)).ToArray();
        Assert.Equal(expected, Plans.Numbers(Plans.Reducing(ReduceKind.Quantile, Extent.Row, 0.3, DType.F32, source)));
        Assert.Equal(expected, Plans.Numbers(Plans.Reducing(ReduceKind.Quantile, Extent.Row, 0.3, DType.F32, source), new RunOptions(1 << 20, 1, false)));
    }

    [Theory]
    [InlineData("coarse", false)]
    [InlineData("normal", false)]
    [InlineData("lying", true)]
    public void ReadsAgainOnlyWhereTheSampleMisled(string distribution, bool again)
    {
        var values = Values(distribution, 400_003);
        using var source = new MemoryCheckpoint("memory").Add("w", new Shape(values.Length), values);
        var plan = Plans.Keeping(folder["kept.safetensors"], Extent.Tensor, 0.2, DType.F32, source);
        plan = plan with { Steps = [plan.Steps[0]], Outputs = [] };
        using var result = Plans.Execute(plan, Plans.Options);
        Assert.Equal(again, result.BytesRead > 4 * values.Length * 1.3);
        Assert.InRange(result.BytesRead, 4 * values.Length, 4 * values.Length * 4);
    }

    [Fact]
    public void WithoutRoomForKeysTheyAreNarrowedDownByCounting()
    {
        foreach (var distribution in (string[])["normal", "coarse", "lying", "subnormal"])
        {
            var values = Values(distribution, 400_003);
            using var source = new MemoryCheckpoint("memory").Add("w", new Shape(values.Length), values);
            var plan = Plans.Keeping(folder["kept.safetensors"], Extent.Tensor, 0.2, DType.F32, source);
            AssertSame(Reference([values], 0.2)[0], Plans.Run(plan, new RunOptions(330 << 10, 2, false))["w"], distribution);
        }
    }

    [Theory]
    [InlineData(ReduceKind.KeepLargest)]
    [InlineData(ReduceKind.KeepLargestNonzero)]
    public void KeepingByRowIsRefused(ReduceKind kind) =>
        Assert.Throws<ArgumentException>(() => new Reduction(kind, Extent.Row, 0));

    public void Dispose() => folder.Dispose();

    private static float[] Values(string distribution, int n)
    {
        var values = Plans.Normal(n, n);
        switch (distribution)
        {
            case "coarse":
                return Plans.Coarse(n, n);
            case "zeros":
                return new float[n];
            case "equal":
                return [.. values.Select(v => v < 0 ? -1.5f : 1.5f)];
            case "sparse":
                return [.. values.Select((v, i) => i % 10 == 3 ? v : i % 2 == 0 ? 0f : -0f)];
            case "nan":
                return [.. values.Select((v, i) => i % 1000 == 5 ? BitConverter.Int32BitsToSingle(unchecked((int)(i % 2000 == 5 ? 0xffc12345 : 0x7fc00000))) : i % 777 == 0 ? float.NegativeInfinity : v)];
            case "lying":
                // Small wherever a sample of evenly spaced runs looks, unlike the rest.
                for (var p = 0; p < 64; p++)
                {
                    var at = (int)((p + 0.5) / 64 * n);
                    for (var i = at; i < Math.Min(at + 256, n); i++)
                    {
                        values[i] = 1e-6f * (i - at + 1);
                    }
                }

                return values;
            case "steps":
                return [.. values.Select((v, i) => (i % 7 == 0 ? 1e-20f : 1e10f) * (1 + (i % 3)))];
            case "tiny":
                return [.. values.Select((v, i) => 1 + (i * 1.2e-7f))];
            case "subnormal":
                return [.. values.Select((v, i) => BitConverter.Int32BitsToSingle((i * 7919) % 50_000))];
            default:
                return values;
        }
    }

    private static float[][] Reference(float[][] tensors, double density)
    {
        // A stable order by falling magnitude: the larger key first, then the earlier element.
        var places = tensors.SelectMany((t, m) => Enumerable.Range(0, t.Length).Select(i => (M: m, I: i))).ToArray();
        var order = new ulong[places.Length];
        for (var p = 0; p < order.Length; p++)
        {
            var v = tensors[places[p].M][places[p].I];
            var key = float.IsNaN(v) ? 0x7fc00000 : BitConverter.SingleToInt32Bits(v) & int.MaxValue;
            order[p] = ((ulong)(int.MaxValue - key) << 32) | (uint)p;
        }

        Array.Sort(order);
        var kept = tensors.Select(t => new float[t.Length]).ToArray();
        for (var r = 0; r < (int)Math.Min(density * order.Length, order.Length); r++)
        {
            var (m, i) = places[(uint)order[r]];
            kept[m][i] = tensors[m][i];
        }

        return kept;
    }

    private static double Quantile(float[] sorted, double q)
    {
        // .NET sorts NaN first.
        if (float.IsNaN(sorted[0]))
        {
            return double.NaN;
        }

        var position = (sorted.Length - 1) * q;
        var below = (int)position;
        double fraction = position - below, low = sorted[below], high = sorted[Math.Min(below + 1, sorted.Length - 1)];
        return low == high || fraction == 0 ? low : fraction < 0.5 ? low + ((high - low) * fraction) : high - ((high - low) * (1 - fraction));
    }

    private static void AssertSame(float[] expected, float[] got, string what)
    {
        Assert.Equal(expected.Length, got.Length);
        for (var i = 0; i < expected.Length; i++)
        {
            Assert.True(expected[i].Equals(got[i]), $"{what}: element {i} is {got[i]:R}, not {expected[i]:R}");
        }
    }
}
