using Tva.Core.Devices;
using Tva.Core.Execution;
using Tva.Core.Kernels;
using Tva.Core.Tensors;
using Xunit;

namespace Tva.Core.Tests.Devices;

/// <summary>Whole plans on every device against the CPU: reductions, selections, random numbers, dots, linear plans, in blocks and in flight.</summary>
public class PlanConformance
{
    private static readonly ReduceKind[] Plain =
        [ReduceKind.Sum, ReduceKind.SumAbs, ReduceKind.Dot, ReduceKind.MaxAbs, ReduceKind.Min, ReduceKind.Max, ReduceKind.CountNonzero];

    private static readonly Extent[] Extents = [Extent.All, Extent.Layer, Extent.Tensor, Extent.Row];

    public static TheoryData<string> Devices => DeviceRig.Devices;

    public static TheoryData<string> DevicesAndCards => DeviceRig.DevicesAndCards;

    public static TheoryData<string> DevicesBothWays => DeviceRig.DevicesBothWays;

    [Theory]
    [MemberData(nameof(DevicesBothWays))]
    public void EveryReductionOfEveryExtent(string name)
    {
        var device = DeviceRig.Open(name);
        var (a, b) = (Odd(1), Odd(2));
        var reductions = Plain.SelectMany(kind => Extents.Select(extent => new Reduction(kind, extent))).ToArray();
        var kernel = Plans.Streams(DType.F32, 2, [.. reductions.Select(r => new ReductionFeed(0, r.Kind == ReduceKind.Dot ? 1 : -1))]);
        var plan = new ExecutionPlan(
            [a, b], Plans.Tensors(a, b), [.. reductions.Select((r, i) => new ReducedScalar(r.Extent, 0, i))], [new Step(reductions, [kernel])], [],
            [.. reductions.Select((_, i) => i)]);
        using var expected = Plans.Execute(plan, Plans.Options);
        foreach (var options in (RunOptions[])[Plans.Options, new(4 << 20, 3, false)])
        {
            using var got = DeviceRig.Execute(device, plan, options);
            for (var r = 0; r < reductions.Length; r++)
            {
                Near(name, reductions[r].ToString(), expected.Results[r], got.Results[r]);
            }
        }
    }

    /// <summary>NaN and infinity go through sums, and win or not, as on the CPU; they are told as there.</summary>
    [Theory]
    [MemberData(nameof(DevicesBothWays))]
    public void ReductionsOfNonFiniteValues(string name)
    {
        var device = DeviceRig.Open(name);
        foreach (var bad in (float[])[float.NaN, float.PositiveInfinity, float.NegativeInfinity, float.MaxValue])
        {
            var values = Plans.Normal(3, 40000);
            (values[20], values[35001]) = (bad, bad);
            var source = new FakeCheckpoint("nan").Add("w", new Shape(40000), values);
            Reduction[] reductions = [.. Plain.Where(k => k != ReduceKind.Dot).Select(k => new Reduction(k, Extent.All))];
            var kernel = Plans.Streams(DType.F32, 1, [.. reductions.Select(_ => new ReductionFeed(0))]);
            var plan = new ExecutionPlan(
                [source], Plans.Tensors(source), [.. reductions.Select((r, i) => new ReducedScalar(r.Extent, 0, i))], [new Step(reductions, [kernel])], [],
                [.. reductions.Select((_, i) => i)]);
            using var expected = Plans.Execute(plan, Plans.Options);
            using var got = DeviceRig.Execute(device, plan);
            for (var r = 0; r < reductions.Length; r++)
            {
                Near(name, $"{reductions[r]} with {bad}", expected.Results[r], got.Results[r]);
            }
        }
    }

    [Theory]
    [MemberData(nameof(DevicesAndCards))]
    public void SelectionsKeepTheSameElements(string name)
    {
        var device = DeviceRig.Open(name);
        using var folder = new TempFolder();
        foreach (var extent in (Extent[])[Extent.Tensor, Extent.Layer, Extent.All])
        {
            foreach (var kind in (ReduceKind[])[ReduceKind.KeepLargest, ReduceKind.KeepLargestNonzero])
            {
                foreach (var density in (double[])[0.0001, 0.2, 0.97])
                {
                    // One tensor of one cell, one of a few, a large one full of ties, and one that is mostly zeros.
                    var sparse = Plans.Coarse(7, 90000).Select((v, i) => i % 3 == 0 ? v : 0).ToArray();
                    var source = new FakeCheckpoint("w").AddHalf("m.0.a", new Shape(7, 100), Plans.Coarse(1, 700)).AddHalf("m.0.b", new Shape(50000), Plans.Coarse(2, 50000))
                        .AddHalf("m.1.c", new Shape(300, 1001), Plans.Coarse(3, 300300)).AddHalf("m.1.d", new Shape(90000), sparse);
                    var plan = Plans.Keeping(folder["x.safetensors"], extent, density, DType.BF16, source, kind);
                    Compare(device, plan, exact: true);
                }
            }
        }
    }

    [Theory]
    [MemberData(nameof(Devices))]
    public void SelectionsWithNaNAndOfFullPrecision(string name)
    {
        var device = DeviceRig.Open(name);
        using var folder = new TempFolder();
        var values = Plans.Normal(4, 200000);
        (values[5], values[77777], values[123456]) = (float.NaN, float.NegativeInfinity, -float.NaN);
        var source = new FakeCheckpoint("w").Add("w", new Shape(200000), values);
        foreach (var density in (double[])[1e-5, 0.5])
        {
            Compare(device, Plans.Keeping(folder["x.safetensors"], Extent.Tensor, density, DType.F32, source), exact: true);
            Compare(device, Plans.Keeping(folder["x.safetensors"], Extent.Tensor, density, DType.F32, source), exact: true, new RunOptions(1 << 20, 2, false));
        }
    }

    [Theory]
    [MemberData(nameof(Devices))]
    public void Quantiles(string name)
    {
        var device = DeviceRig.Open(name);
        var source = Odd(5);
        foreach (var extent in Extents)
        {
            foreach (var q in (double[])[0, 0.31, 1])
            {
                var plan = Plans.Reducing(ReduceKind.Quantile, extent, q, DType.F32, source);
                using var expected = Plans.Execute(plan, Plans.Options);
                using var got = DeviceRig.Execute(device, plan);
                Assert.Equal(expected.Results[0], got.Results[0]);
            }
        }
    }

    /// <summary>T streams and all their dots: one of every pair, in tiles and alone.</summary>
    [Theory]
    [MemberData(nameof(DevicesBothWays))]
    public void GramOf8And32(string name)
    {
        var device = DeviceRig.Open(name);
        foreach (var t in (int[])[8, 32])
        {
            var sources = Enumerable.Range(0, t).Select(k => new FakeCheckpoint($"s{k}").Add("a", new Shape(33, 1000), Plans.Normal(k, 33000)).Add("b", new Shape(77), Plans.Normal(k + 99, 77))).ToArray();
            var pairs = Enumerable.Range(0, t).SelectMany(i => Enumerable.Range(i, t - i).Select(j => (i, j))).ToArray();
            var kernel = Plans.Streams(DType.F32, t, [.. pairs.Select(p => new ReductionFeed(p.i, p.j))]);
            var plan = new ExecutionPlan(
                sources, Plans.Tensors(sources), [.. pairs.Select((_, i) => new ReducedScalar(Extent.All, 0, i))],
                [new Step([.. pairs.Select(_ => new Reduction(ReduceKind.Dot, Extent.All))], [kernel])], [], [.. pairs.Select((_, i) => i)]);
            using var expected = Plans.Execute(plan, Plans.Options);
            using var got = DeviceRig.Execute(device, plan);
            for (var p = 0; p < pairs.Length; p++)
            {
                Near(name, $"dot {pairs[p]} of {t}", expected.Results[p], got.Results[p]);
            }
        }
    }

    /// <summary>Every stored type in, every one out, many blocks, NaN among the inputs: bytes, and what is told of them.</summary>
    [Theory]
    [MemberData(nameof(DevicesAndCards))]
    public void LinearPlans(string name)
    {
        var device = DeviceRig.Open(name);
        using var folder = new TempFolder();
        foreach (var output in (DType[])[DType.F32, DType.BF16, DType.F16, DType.F8E4M3, DType.F8E5M2, DType.F64])
        {
            var (f, h) = (Plans.Normal(1, 200000), Plans.Coarse(2, 200000));
            (f[100], f[170000], h[3]) = (float.NaN, float.PositiveInfinity, float.NegativeInfinity);
            var a = new FakeCheckpoint("a").Add("w", new Shape(200, 1000), f).Add("ids", DType.I64, new Shape(3), new byte[24]).Add("z", new Shape(0), []);
            var b = new FakeCheckpoint("b").AddHalf("w", new Shape(200, 1000), h).Add("ids", DType.I64, new Shape(3), new byte[24]).AddHalf("z", new Shape(0), []);
            var tensors = Plans.Tensors(a, b);
            var plan = new ExecutionPlan(
                [a, b], tensors, [], [new Step([], [Plans.Linear([DType.F32, DType.BF16], [0.3f, -1.7f], output)])],
                [new PlanOutput(folder["x.safetensors"], [.. tensors.Select(t => t.Class < 0 ? DType.I64 : output)], Plans.NoMetadata)], []);
            Compare(device, plan, DeviceRig.Exact(name));
            Compare(device, plan, DeviceRig.Exact(name), new RunOptions(2 << 20, 4, false));
            if (output == DType.F32 && !DeviceRig.Exact(name))
            {
                // What is left there is what the device wrote: an ulp of the sum in float64 at most.
                var got = Plans.ReadFloats(plan.Outputs[0].Path)["w"];
                for (var i = 0; i < got.Length; i++)
                {
                    var sum = ((double)0.3f * f[i]) + ((double)-1.7f * h[i]);
                    var near = double.IsFinite(sum) ? Math.Abs(got[i] - sum) <= MathF.BitIncrement(MathF.Abs((float)sum)) - MathF.Abs((float)sum) : !float.IsFinite(got[i]);
                    Assert.True(near, $"element {i} is {got[i]:r} on the device and {sum:r} in float64");
                }
            }
        }
    }

    /// <summary>Random numbers by seed, name and index, and numbers by row, in the same kernel.</summary>
    [Theory]
    [MemberData(nameof(DevicesAndCards))]
    public void RandomNumbersAndRows(string name)
    {
        var device = DeviceRig.Open(name);
        using var folder = new TempFolder();
        var source = Odd(8);
        var tensors = Plans.Tensors(source);
        var plan = new ExecutionPlan(
            [source], tensors,
            [new StaticScalar(Extent.All, [-41]), new ReducedScalar(Extent.Row, 0, 0)],
            [
                new Step([new Reduction(ReduceKind.MaxAbs, Extent.Row)], [Plans.Streams(DType.F32, 1, new ReductionFeed(0))]),
                new Step([], [new ClassKernel(
                    new KernelProgram(
                        [
                            new(Code.Load, Index: 0), new(Code.Load, Index: 1), new(Code.Load, Index: 2), new(Code.Apply, 0, 2, Index: Plans.Op("div")),
                            new(Code.Apply, 3, 1, Index: Plans.Op("add")), new(Code.Store, 4, Index: 0),
                        ],
                        [DType.F32, DType.F32, DType.F32], [DType.F32], 0),
                    [new FileInput(0), new RandomInput(0), new RowInput(1)], [0], [], [])]),
            ],
            [new PlanOutput(folder["x.safetensors"], [.. tensors.Select(_ => DType.F32)], Plans.NoMetadata)], []);
        Compare(device, plan, DeviceRig.Exact(name));

        // By themselves they have the same bits everywhere.
        var alone = new ClassKernel(new KernelProgram([new(Code.Load, Index: 0), new(Code.Store, 0, Index: 0)], [DType.F32], [DType.F32], 0), [new RandomInput(0)], [0], [], []);
        Compare(device, plan with { Scalars = [plan.Scalars[0]], Steps = [new Step([], [alone])] }, exact: true);
    }

    /// <summary>A matrix's factors are multiplied out on the device: a rank beyond one chain, in rows that blocks cut. So are whole matrices, for the polar factor.</summary>
    [Theory]
    [MemberData(nameof(Devices))]
    public void ProductsOfFactors(string name)
    {
        var device = DeviceRig.OpenAsCard(name);
        using var folder = new TempFolder();
        var source = new FakeCheckpoint("m").Add("w", new Shape(300, 320), Plans.Normal(1, 96000)).Add("v", new Shape(70, 17), Plans.Normal(2, 1190)).Add("one", new Shape(5), Plans.Normal(3, 5));
        var tensors = Plans.Tensors(source);
        foreach (var (kind, argument) in ((MatrixKind, double)[])[(MatrixKind.LowRank, 3), (MatrixKind.LowRank, 290), (MatrixKind.Polar, 0)])
        {
            var half = new ClassKernel(
                new KernelProgram(
                    [new(Code.Load, Index: 0), new(Code.Load, Index: 1), new(Code.Const, Value: 0.5f), new(Code.Apply, 1, 2, 0, Plans.Op("fma")), new(Code.Store, 3, Index: 0)],
                    [DType.F32, DType.F32], [DType.F32], 0),
                [new FileInput(0), new MatrixInput(0, 0)], [0], [], []);
            var plan = new ExecutionPlan(
                [source], tensors, [new StaticScalar(Extent.All, [argument])],
                [new Step([], [null]) { Matrices = [new MatrixOp(kind, kind == MatrixKind.Polar ? -1 : 0, [[Plans.Streams(DType.F32, 1)]])] }, new Step([], [half])],
                [new PlanOutput(folder["x.safetensors"], [.. tensors.Select(_ => DType.F32)], Plans.NoMetadata)], []);
            Compare(device, plan, DeviceRig.Exact(name), near: 1e-5);
        }
    }

    private static FakeCheckpoint Odd(int seed) => new FakeCheckpoint($"odd{seed}")
        .Add("m.0.long", new Shape(3, 50001), Plans.Normal(seed, 150003)).Add("m.0.short", new Shape(5000, 7), Plans.Normal(seed + 10, 35000))
        .Add("m.1.even", new Shape(40, 2048), Plans.Normal(seed + 20, 81920)).Add("m.1.one", new Shape(1), [0.5f]).Add("empty", new Shape(0, 4), [])
        .Add("bias", new Shape(16390), Plans.Normal(seed + 30, 16390));

    /// <summary>The output and what is told of it are the CPU's; the output to the bit, or to within a distance.</summary>
    private static void Compare(IBlockDevice device, ExecutionPlan plan, bool exact, RunOptions? options = null, double near = double.PositiveInfinity)
    {
        var path = plan.Outputs[0].Path;
        IReadOnlyList<NonFinite> told;
        IReadOnlyList<double[]> results;
        using (var expected = Plans.Execute(plan, options ?? Plans.Options))
        {
            expected.Commit();
            (told, results) = (expected.NonFinite, expected.Results);
        }

        var bytes = File.ReadAllBytes(path);
        var numbers = double.IsFinite(near) ? Plans.ReadFloats(path) : [];
        File.Delete(path);
        using (var got = DeviceRig.Execute(device, plan, options))
        {
            got.Commit();
            Assert.Equal(told, got.NonFinite);
            Assert.Equal(results, got.Results);
        }

        foreach (var (name, values) in numbers)
        {
            var got = Plans.ReadFloats(path)[name];
            Assert.All(values.Index(), v => Assert.Equal(v.Item, got[v.Index], near));
        }

        if (exact)
        {
            Assert.True(bytes.AsSpan().SequenceEqual(File.ReadAllBytes(path)), $"the device wrote other bytes than the CPU: {plan.Outputs[0].DTypes[0]}");
        }
    }

    /// <summary>The same bits, or, where the device does not add as the CPU does, 1e-9 of the sum of magnitudes that there could be.</summary>
    private static void Near(string name, string what, double[] expected, double[] got)
    {
        Assert.Equal(expected.Length, got.Length);
        for (var i = 0; i < expected.Length; i++)
        {
            var near = DeviceRig.Exact(name) ? 0 : 1e-9 * Math.Max(1e4, Math.Abs(expected[i]));
            Assert.True(
                expected[i].Equals(got[i]) || Math.Abs(expected[i] - got[i]) <= near || (!double.IsFinite(expected[i]) && !double.IsFinite(got[i]) && near > 0),
                $"{what}: {i} is {expected[i]:r} on the CPU and {got[i]:r} on the device");
        }
    }
}
