using Tva.Core.Execution;
using Tva.Core.Kernels;
using Tva.Core.Tensors;
using Xunit;

namespace Tva.Core.Tests;

/// <summary>Ranks as a kernel's input against a plain stable sort.</summary>
public class RankTests : IDisposable
{
    private readonly TempFolder folder = new();

    public static TheoryData<string, long[]> Cases()
    {
        var data = new TheoryData<string, long[]>();
        foreach (var name in (string[])["normal", "coarse", "zeros", "equal", "signedzeros", "nan", "steps", "subnormal", "extreme"])
        {
            foreach (var shape in (long[][])[[1], [2], [7], [100_003], [5, 1], [40, 768], [300, 1], [23, 2999], [3, 70_000], [9, 16384], [4, 33, 65]])
            {
                data.Add(name, shape);
            }
        }

        return data;
    }

    [Theory, MemberData(nameof(Cases))]
    public void RanksAreThoseOfASort(string distribution, long[] dims)
    {
        var shape = new Shape(dims);
        var values = Values(distribution, (int)shape.Elements);
        using var source = new FakeCheckpoint("memory").Add("w", shape, values);
        foreach (var extent in (Extent[])[Extent.Row, Extent.Tensor])
        {
            foreach (var magnitudes in (bool[])[false, true])
            {
                var length = (int)(extent == Extent.Row ? shape.RowLength : shape.Elements);
                var expected = Reference(magnitudes ? [.. values.Select(Math.Abs)] : values, length);
                var got = Plans.Run(Ranking(folder["ranks.safetensors"], extent, magnitudes, source))["w"];
                Assert.Equal(expected, got);
            }
        }
    }

    /// <summary>Outputs, sums cut at cells, a selection with its sample and its tie, and a row's quantile, all over ranks times values.</summary>
    [Theory]
    [InlineData(Extent.Row)]
    [InlineData(Extent.Tensor)]
    public void MemoryAndThreadsChangeNothing(Extent extent)
    {
        using var source = new FakeCheckpoint("memory");
        (string Name, Shape Shape)[] shapes =
            [("a", new(300, 2999)), ("b", new(64, 16384)), ("c", new(3, 70_000)), ("d", new(50_000)), ("e", new(900, 768)), ("f", new(7, 1)), ("g", new(0, 5))];
        var values = shapes.Select((s, i) => Plans.Coarse(i, (int)s.Shape.Elements)).ToArray();
        for (var i = 0; i < shapes.Length; i++)
        {
            source.AddHalf(shapes[i].Name, shapes[i].Shape, values[i]);
        }

        byte[]? bytes = null;
        double[][]? numbers = null;
        foreach (var (memory, threads) in ((long, int)[])[(256 << 20, 2), (40 << 20, 1), (44 << 20, 3), (1 << 30, 5)])
        {
            var plan = Mixed(folder["ranks.safetensors"], extent, source);
            using (var result = Plans.Execute(plan, new RunOptions(memory, threads, false)))
            {
                result.Commit();
                numbers ??= [.. result.Results];
                for (var r = 0; r < numbers.Length; r++)
                {
                    Assert.Equal(numbers[r], result.Results[r]);
                }
            }

            var now = File.ReadAllBytes(plan.Outputs[0].Path);
            Assert.Equal(bytes ?? now, now);
            bytes = now;
        }

        var written = Plans.ReadFloats(folder["ranks.safetensors"]);
        for (var i = 0; i < shapes.Length; i++)
        {
            var shape = shapes[i].Shape;
            var ranks = Reference([.. values[i].Select(Math.Abs)], (int)Math.Max(1, extent == Extent.Row ? shape.RowLength : shape.Elements));
            var products = ranks.Select((r, e) => r * values[i][e]).ToArray();
            var kept = products.Select((p, e) => (Size: Math.Abs(p), e)).OrderByDescending(p => p.Size).ThenBy(p => p.e)
                .Take((int)(0.3 * products.Length)).Select(p => p.e).ToHashSet();
            Assert.Equal(products.Select((p, e) => kept.Contains(e) ? p : 0), written[shapes[i].Name]);
            Assert.Equal(products.Sum(p => (double)p * p), numbers![0][i], 1e-9 * products.Length);
        }
    }

    [Fact]
    public void TooLongARowForTheMemoryIsAFault()
    {
        using var source = new FakeCheckpoint("memory").Add("w", new Shape(3_000_000), new float[3_000_000]);
        var plan = Ranking(folder["ranks.safetensors"], Extent.Row, false, source);
        var fault = Assert.Throws<FaultException>(() => Plans.Run(plan, new RunOptions(32 << 20, 1, false)));
        Assert.Contains("WithMemory", fault.Message);
    }

    public void Dispose() => folder.Dispose();

    private static RankInput Rank(DType type, Extent extent, bool magnitudes) => new(
        new KernelProgram(
            magnitudes
                ? [new(Code.Load, Index: 0), new(Code.Apply, 0, Index: Plans.Op("abs")), new(Code.Store, 1, Index: 0)]
                : [new(Code.Load, Index: 0), new(Code.Store, 0, Index: 0)],
            [type], [DType.F32], 0),
        [0], [], extent);

    private static ExecutionPlan Ranking(string path, Extent extent, bool magnitudes, FakeCheckpoint source)
    {
        var tensors = Plans.Tensors(source);
        var kernel = new ClassKernel(
            new KernelProgram([new(Code.Load, Index: 1), new(Code.Store, 0, Index: 0)], [DType.F32, DType.F32], [DType.F32], 0),
            [new FileInput(0), Rank(DType.F32, extent, magnitudes)], [0], [], []);
        return new ExecutionPlan(
            [source], tensors, [], [new Step([], [kernel])], [new PlanOutput(path, [.. tensors.Select(_ => DType.F32)], Plans.NoMetadata)], []);
    }

    private static ExecutionPlan Mixed(string path, Extent extent, FakeCheckpoint source)
    {
        var tensors = Plans.Tensors(source);
        Instruction[] product = [new(Code.Load, Index: 0), new(Code.Load, Index: 1), new(Code.Apply, 0, 1, Index: Plans.Op("mul"))];
        InputBinding[] inputs = [new FileInput(0), Rank(DType.BF16, extent, true)];
        var first = new ClassKernel(
            new KernelProgram([.. product, new(Code.Store, 2, Index: 0)], [DType.BF16, DType.F32], [DType.F32], 0),
            inputs, [-1], [], [new(0, 0), new(0), new(0)]);
        var second = new ClassKernel(
            new KernelProgram([.. product, new(Code.Keep, 2, Index: 0), new(Code.Store, 3, Index: 0)], [DType.BF16, DType.F32], [DType.F32], 1),
            inputs, [0], [new KeepParameter(0, 1)], []);
        return new ExecutionPlan(
            [source], tensors,
            [new StaticScalar(Extent.All, [0.3]), new ReducedScalar(Extent.Tensor, 0, 0), new ReducedScalar(Extent.Row, 0, 2)],
            [
                new Step(
                    [
                        new Reduction(ReduceKind.Dot, Extent.Tensor), new Reduction(ReduceKind.KeepLargest, Extent.Tensor, 0),
                        new Reduction(ReduceKind.Quantile, Extent.Row, 0),
                    ],
                    [first]),
                new Step([], [second]),
            ],
            [new PlanOutput(path, [.. tensors.Select(_ => DType.F32)], Plans.NoMetadata)], [1, 2]);
    }

    /// <summary>Sorted by value, then index; NaN above all.</summary>
    private static float[] Reference(float[] values, int length)
    {
        var ranks = new float[values.Length];
        for (var start = 0; start < values.Length; start += length)
        {
            var order = Enumerable.Range(start, length)
                .OrderBy(i => float.IsNaN(values[i]) ? 1 : 0).ThenBy(i => float.IsNaN(values[i]) ? 0.0 : values[i] + 0.0).ThenBy(i => i).ToArray();
            for (var k = 0; k < length; k++)
            {
                ranks[order[k]] = length == 1 ? 0.5f : (float)(k / (double)(length - 1));
            }
        }

        return ranks;
    }

    private static float[] Values(string distribution, int n)
    {
        var random = new Random(5);
        return distribution switch
        {
            "normal" => Plans.Normal(n, n),
            "coarse" => Plans.Coarse(n, n),
            "zeros" => new float[n],
            "equal" => [.. Enumerable.Repeat(-1.5f, n)],
            "signedzeros" => [.. Enumerable.Range(0, n).Select(i => (i % 3) switch { 0 => 0f, 1 => -0f, _ => i % 2 - 0.5f })],
            "nan" => [.. Enumerable.Range(0, n).Select(i => (i % 5) switch { 0 => float.NaN, 1 => BitConverter.Int32BitsToSingle(-1), 2 => float.NegativeInfinity, 3 => float.PositiveInfinity, _ => i })],
            "steps" => [.. Enumerable.Range(0, n).Select(i => MathF.ScaleB(1, random.Next(-30, 30)) * (random.Next(2) - 0.5f))],
            "subnormal" => [.. Enumerable.Range(0, n).Select(_ => BitConverter.Int32BitsToSingle(random.Next(1000) | (random.Next(2) << 31)))],
            _ => [.. Enumerable.Range(0, n).Select(_ => BitConverter.Int32BitsToSingle(random.Next(2) == 0 ? random.Next(int.MinValue, -8388608) : random.Next(0x7f800000)))],
        };
    }
}
