using System.Runtime.InteropServices;
using Tva.Core.Checkpoints;
using Tva.Core.Execution;
using Tva.Core.Kernels;
using Tva.Core.Tensors;
using Xunit;

namespace Tva.Core.Tests;

/// <summary>Whole plans against plain loops: what is written, in which order steps see numbers, and that nothing else shows.</summary>
public class ExecutorTests : IDisposable
{
    private static readonly Shape[] Shapes = [new(1), new(16383), new(128, 128), new(16385), new(317, 411), new(0, 4), new(300_007)];
    private readonly TempFolder folder = new();

    [Fact]
    public void WarmingUpGoesWellOnAnyThread() => Parallel.For(0, 8, _ => WarmUp.Run());

    [Fact]
    public void ALinearPlanIsTheSumRoundedOnce()
    {
        var files = Enumerable.Range(0, 3).Select(m => Write($"m{m}.safetensors", m)).ToArray();
        var values = files.Select(Plans.ReadFloats).ToArray();
        using Checkpoint a = Checkpoint.Open(files[0]), b = Checkpoint.Open(files[1]), c = Checkpoint.Open(files[2]);
        var tensors = Plans.Tensors(a, b, c);
        var kernel = Plans.Linear([DType.F32, DType.F32, DType.F32], [0.5f, 2, -0.25f], DType.F32);
        byte[]? bytes = null;
        foreach (var (memory, threads) in ((long, int)[])[(1 << 20, 1), (1 << 20, 5), (64 << 20, 2), (1 << 30, 3)])
        {
            var plan = new ExecutionPlan(
                [a, b, c], tensors, [], [new Step([], [kernel])],
                [new PlanOutput(folder["out.safetensors"], [.. tensors.Select(_ => DType.F32)], new Dictionary<string, string> { ["k"] = "v" })], []);
            using (var result = Plans.Execute(plan, new RunOptions(memory, threads, true)))
            {
                Assert.False(File.Exists(folder["out.safetensors"]) && bytes is null);
                Assert.Equal(3 * 4 * Shapes.Sum(s => s.Elements), result.BytesRead);
                Assert.Equal(4 * Shapes.Sum(s => s.Elements), result.BytesWritten);
                Assert.Empty(result.NonFinite);
                result.Commit();
            }

            foreach (var (name, got) in Plans.ReadFloats(folder["out.safetensors"]))
            {
                for (var i = 0; i < got.Length; i++)
                {
                    var exact = (0.5 * values[0][name][i]) + (2.0 * values[1][name][i]) - (0.25 * values[2][name][i]);
                    Assert.Equal(exact, got[i], 1e-6 * (1 + Math.Abs(exact)));
                }
            }

            var now = File.ReadAllBytes(folder["out.safetensors"]);
            Assert.Equal(bytes ?? now, now);
            bytes = now;
        }

        using var written = Checkpoint.Open(folder["out.safetensors"]);
        Assert.Equal("v", written.Metadata["k"]);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void ACopyKeepsEveryBit(bool beside)
    {
        // Signalling NaNs and all, which a kernel's load and store would quieten; alone, and beside an output that is computed.
        var bytes = new byte[2 * 70_000];
        new Random(5).NextBytes(bytes);
        using var source = new FakeCheckpoint("m").Add("w", DType.BF16, new Shape(70_000), bytes);
        var code = new List<Instruction> { new(Code.Load, Index: 0), new(Code.Store, 0, Index: 0) };
        if (beside)
        {
            code.AddRange([new(Code.Apply, 0, Index: Plans.Op("neg")), new(Code.Store, 2, Index: 1)]);
        }

        DType[] types = beside ? [DType.BF16, DType.F32] : [DType.BF16];
        var kernel = new ClassKernel(new KernelProgram(code, [DType.BF16], types, 0), [new FileInput(0)], [.. types.Select((_, i) => i)], [], []);
        var plan = new ExecutionPlan(
            [source], Plans.Tensors(source), [], [new Step([], [kernel])],
            [.. types.Select((t, i) => new PlanOutput(folder[$"{i}.safetensors"], [t], Plans.NoMetadata))], []);
        using (var result = Plans.Execute(plan, Plans.Options))
        {
            result.Commit();
        }

        Assert.Equal(bytes, File.ReadAllBytes(folder["0.safetensors"])[^bytes.Length..]);
    }

    [Fact]
    public void StepsSeeFinalNumbersOfEveryExtent()
    {
        // out = x / rownorm + all + layer + tensor sums, in three steps, of tensors some of which have nothing to do in a step or no elements.
        using var source = new FakeCheckpoint("m");
        (string Name, Shape Shape)[] shapes =
            [("l.0.a", new(50, 701)), ("l.0.b", new(3, 20_000)), ("l.1.a", new(0)), ("l.1.b", new(77)), ("end", new(90_000)), ("l.0.skip", new(40_000))];
        var values = shapes.Select((s, i) => Plans.Normal(i, (int)s.Shape.Elements)).ToArray();
        for (var i = 0; i < shapes.Length; i++)
        {
            source.Add(shapes[i].Name, shapes[i].Shape, values[i]);
        }

        ScalarDef[] scalars =
        [
            new ReducedScalar(Extent.Row, 0, 0), new ComputedScalar(Extent.Row, Plans.Op("sqrt"), 0), new ReducedScalar(Extent.All, 0, 1),
            new ReducedScalar(Extent.Layer, 1, 0), new ReducedScalar(Extent.Tensor, 1, 1), new ComputedScalar(Extent.Tensor, Plans.Op("add"), 3, 4),
            new ComputedScalar(Extent.Tensor, Plans.Op("add"), 5, 2),
        ];
        var first = new Step(
            [new Reduction(ReduceKind.Dot, Extent.Row), new Reduction(ReduceKind.Sum, Extent.All)],
            [Plans.Streams(DType.F32, 1, new ReductionFeed(0, 0), new ReductionFeed(0)), Plans.Streams(DType.F32, 1, new ReductionFeed(0, 0), new ReductionFeed(-1))]);
        var second = new Step(
            [new Reduction(ReduceKind.Sum, Extent.Layer), new Reduction(ReduceKind.SumAbs, Extent.Tensor)],
            [Plans.Streams(DType.F32, 1, new ReductionFeed(0), new ReductionFeed(0)), null]);
        var code = new KernelProgram(
            [
                new(Code.Load, Index: 0), new(Code.Load, Index: 1), new(Code.Apply, 0, 1, Index: Plans.Op("div")),
                new(Code.Param, Index: 0), new(Code.Apply, 2, 3, Index: Plans.Op("add")), new(Code.Store, 4, Index: 0),
            ],
            [DType.F32, DType.F32], [DType.F32], 1);
        var last = new ClassKernel(code, [new FileInput(0), new RowInput(1)], [0], [new ScalarParameter(6)], []);
        var tensors = Plans.Tensors(source);
        tensors[5] = tensors[5] with { Class = 1 };
        var plan = new ExecutionPlan(
            [source], tensors, scalars, [first, second, new Step([], [last, last])],
            [new PlanOutput(folder["out.safetensors"], [.. tensors.Select(_ => DType.F32)], Plans.NoMetadata)], [2, 3, 4, 0]);
        double Sum(int t) => t == 5 ? 0 : values[t].Sum(v => (double)v);
        double Abs(int t) => t == 5 ? 0 : values[t].Sum(v => Math.Abs((double)v));
        double all = Enumerable.Range(0, 5).Sum(Sum);
        double[] layers = [Sum(0) + Sum(1), Sum(2) + Sum(3), Sum(4)];
        foreach (var options in (RunOptions[])[Plans.Options, new(2 << 20, 1, false), new(64 << 20, 5, false)])
        {
            using var result = Plans.Execute(plan, options);
            result.Commit();
            Assert.Equal([0, 1, -1], result.Layers);
            Close([all], result.Results[0]);
            Close(layers, result.Results[1]);
            Close([.. Enumerable.Range(0, 6).Select(Abs)], result.Results[2]);
            Close([.. values.Zip(shapes, (v, s) => v.Length == 0 ? [] : v.Chunk((int)s.Shape.RowLength)).SelectMany(c => c).Select(r => r.Sum(x => (double)x * x))], result.Results[3]);
            var got = Plans.ReadFloats(folder["out.safetensors"]);
            for (var t = 0; t < shapes.Length; t++)
            {
                var add = layers[t switch { 2 or 3 => 1, 4 => 2, _ => 0 }] + Abs(t) + all;
                var rows = values[t].Length == 0 ? [] : values[t].Chunk((int)shapes[t].Shape.RowLength).Select(r => (Row: r, Norm: Math.Sqrt(r.Sum(y => (double)y * y))));
                Close(
                    [.. rows.SelectMany(r => r.Row.Select(x => (x / r.Norm) + add))],
                    [.. got[shapes[t].Name].Select(v => (double)v)], 1e-6);
            }
        }

        static void Close(double[] expected, double[] got, double tolerance = 1e-12)
        {
            Assert.Equal(expected.Length, got.Length);
            for (var i = 0; i < got.Length; i++)
            {
                Assert.True(Math.Abs(expected[i] - got[i]) <= tolerance * Math.Max(1, Math.Abs(expected[i])), $"{i}: {got[i]:R}, not {expected[i]:R}");
            }
        }
    }

    [Fact]
    public void RandomNumbersDependOnSeedNameAndIndexAlone()
    {
        using var source = new FakeCheckpoint("m").Add("a", new Shape(70_001), new float[70_001]).Add("b", new Shape(9), new float[9]);
        var kernel = new ClassKernel(
            new KernelProgram([new(Code.Load, Index: 0), new(Code.Store, 0, Index: 0)], [DType.F32], [DType.F32], 0), [new RandomInput(0)], [0], [], []);
        var tensors = Plans.Tensors(source);
        var plan = new ExecutionPlan(
            [source], tensors, [new StaticScalar(Extent.All, [42.3])], [new Step([], [kernel])],
            [new PlanOutput(folder["out.safetensors"], [DType.F32, DType.F32], Plans.NoMetadata)], []);
        var got = Plans.Run(plan);
        foreach (var tensor in tensors)
        {
            var expected = new float[tensor.Shape.Elements];
            Philox.Fill(Philox.Key(42, tensor.Name), 0, expected);
            Assert.Equal(expected, got[tensor.Name]);
        }

        Assert.Equal(got["a"], Plans.Run(plan, new RunOptions(1 << 20, 1, false))["a"]);
    }

    [Fact]
    public void WhatIsNotFloatingIsComparedAndCopied()
    {
        var ids = MemoryMarshal.AsBytes(Enumerable.Range(0, 300_000).Select(i => (long)i).ToArray().AsSpan()).ToArray();
        using var a = new FakeCheckpoint("a").Add("ids", DType.I64, new Shape(300_000), ids).Add("none", DType.U8, new Shape(0), []).Add("w", new Shape(2), [1, 2]);
        using var b = new FakeCheckpoint("b").Add("ids", DType.I64, new Shape(300_000), [.. ids]).Add("w", new Shape(2), [3, 4]);
        var tensors = Plans.Tensors(a, b);
        var plan = new ExecutionPlan(
            [a, b], tensors, [], [new Step([], [Plans.Linear([DType.F32, DType.F32], [1, 1], DType.F32)])],
            [new PlanOutput(folder["out.safetensors"], [DType.I64, DType.U8, DType.F32], Plans.NoMetadata)], []);
        using (var result = Plans.Execute(plan, Plans.Options))
        {
            result.Commit();
        }

        using (var written = Checkpoint.Open(folder["out.safetensors"]))
        {
            var copy = new byte[ids.Length];
            written.Read(written.Find("ids")!, 0, copy);
            Assert.Equal(ids, copy);
        }

        b.Bytes("ids")[1_234_567] ^= 1;
        File.Delete(folder["out.safetensors"]);
        var fault = Assert.Throws<FaultException>(() => Plans.Execute(plan, Plans.Options));
        Assert.Contains("b: ids differs from the one in a", fault.Message);
        Assert.Empty(Directory.GetFiles(folder.Path));
    }

    [Fact]
    public void APlanThatContradictsItselfIsRefused()
    {
        using var source = new FakeCheckpoint("m").AddHalf("w", new Shape(4), new float[4]);
        var good = Plans.Keeping(folder["out.safetensors"], Extent.All, 0.5, DType.BF16, source);
        foreach (var wrong in (ExecutionPlan[])
            [
                good with { Results = [7] },
                good with { Steps = [good.Steps[1], good.Steps[0]] },
                good with { Scalars = [good.Scalars[0], new ComputedScalar(Extent.All, 0, 1)] },
                good with { Outputs = [good.Outputs[0] with { DTypes = [DType.BF16] }] },
                Plans.Keeping(folder["out.safetensors"], Extent.All, 0.5, DType.F32, source),
            ])
        {
            Assert.Throws<ArgumentException>(() => Plans.Execute(wrong, Plans.Options));
        }
    }

    public void Dispose() => folder.Dispose();

    private string Write(string name, int seed)
    {
        using var writer = new CheckpointWriter(folder[name], [.. Shapes.Select((s, i) => ($"t{i}", DType.F32, s))], Plans.NoMetadata);
        for (var i = 0; i < Shapes.Length; i++)
        {
            writer.Write(i, 0, MemoryMarshal.AsBytes(Plans.Normal((seed * 100) + i, (int)Shapes[i].Elements).AsSpan()));
        }

        writer.Commit();
        return folder[name];
    }
}
