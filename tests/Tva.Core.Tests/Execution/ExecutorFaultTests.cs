using Tva.Core.Execution;
using Tva.Core.Tensors;
using Xunit;

namespace Tva.Core.Tests;

/// <summary>What goes wrong in a run: what is said, and that nothing is left behind.</summary>
public class ExecutorFaultTests : IDisposable
{
    private readonly TempFolder folder = new();

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void AReadersFaultComesThroughAsItIs(int threads)
    {
        using var source = Source();
        var reads = 0;
        var fault = new FaultException("m: w1 can't be read");
        source.OnRead = _ =>
        {
            if (Interlocked.Increment(ref reads) == 7)
            {
                throw fault;
            }
        };
        Assert.Same(fault, Assert.Throws<FaultException>(() => Plans.Execute(Plan(source), new RunOptions(1 << 20, threads, false))));
        Assert.Empty(Directory.GetFiles(folder.Path));
    }

    [Fact]
    public void CancellingLeavesNothing()
    {
        using var source = Source();
        using var cancel = new CancellationTokenSource();
        using var cancelled = new ManualResetEventSlim();
        var reads = 0;
        source.OnRead = _ =>
        {
            switch (Interlocked.Increment(ref reads))
            {
                case 5:
                    cancel.Cancel();
                    cancelled.Set();
                    break;
                case > 5:
                    // However the threads take turns, what is read after the fifth is read after cancelling.
                    cancelled.Wait();
                    break;
            }
        };
        // Little memory makes many blocks.
        var options = Plans.Options with { Memory = 1 << 20 };
        var e = Assert.ThrowsAny<OperationCanceledException>(() => Executor.Run(Plan(source), options, null, cancel.Token));
        Assert.Equal(cancel.Token, e.CancellationToken);
        Assert.Empty(Directory.GetFiles(folder.Path));
        Assert.InRange(reads, 5, 12);
        Assert.ThrowsAny<OperationCanceledException>(() => Executor.Run(Plan(source), Plans.Options, null, cancel.Token));
    }

    [Fact]
    public void WhatIsNotCommittedIsDeleted()
    {
        using var source = Source();
        using (Plans.Execute(Plan(source), Plans.Options))
        {
            Assert.Single(Directory.GetFiles(folder.Path));
        }

        Assert.Empty(Directory.GetFiles(folder.Path));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void NonFiniteInputsAreCountedOnce(int threads)
    {
        using var source = Source();
        using var other = Source("other");
        Poke(source, "w1", 5, float.NaN);
        Poke(source, "w1", 70_000, float.NegativeInfinity);
        Poke(source, "w1", 70_001, BitConverter.Int32BitsToSingle(0x7f800001));
        Poke(other, "w1", 5, float.PositiveInfinity);
        Poke(other, "w0", 3e38f);
        Poke(source, "w0", 3e38f);
        var kernel = Plans.Linear([DType.F32, DType.F32], [1, 1], DType.F32);
        var tensors = Plans.Tensors(source, other);
        var plan = new ExecutionPlan(
            [source, other], tensors, [], [new Step([], [kernel])],
            [new PlanOutput(folder["out.safetensors"], [.. tensors.Select(_ => DType.F32)], Plans.NoMetadata)], []);

        // A second pass that reads the same again must not count again.
        var again = plan with
        {
            Steps = [plan.Steps[0], plan.Steps[0]],
            Outputs = [plan.Outputs[0]],
        };
        foreach (var p in (ExecutionPlan[])[plan, again])
        {
            using var result = Plans.Execute(p, new RunOptions(1 << 20, threads, false));
            Assert.Equal(
                [new("m", "w1", 2, 1), new("other", "w1", 0, 1)],
                result.NonFinite.Where(n => n.Path != folder["out.safetensors"]));
            Assert.Contains(result.NonFinite, n => n.Path == folder["out.safetensors"] && n.Tensor == "w0" && n.Infinities > 0 && n.NaNs == 0);
        }

        var strict = new RunOptions(1 << 20, threads, true);
        Assert.Throws<FaultException>(() => Plans.Execute(plan, strict));
        Poke(source, "w0", 1f);
        var fault = Assert.Throws<FaultException>(() => Plans.Execute(plan, strict));
        Assert.Contains("m: w1 has 2 NaN and 1 infinite elements", fault.Message);
        Poke(source, "w1", 5, 0f);
        Poke(source, "w1", 70_000, 0f);
        Poke(source, "w1", 70_001, 0f);
        Poke(other, "w1", 5, 0f);
        Poke(source, "w0", 3e38f);
        var overflow = Assert.Throws<FaultException>(() => Plans.Execute(plan, strict));
        Assert.Contains("the result at w0 has 0 NaN and", overflow.Message);
        Assert.Empty(Directory.GetFiles(folder.Path));
    }

    [Theory]
    [InlineData(DType.F64, new byte[] { 1, 0, 0, 0, 0, 0, 0xf0, 0x7f, 0, 0, 0, 0, 0, 0, 0xf0, 0xff, 0, 0, 0, 0, 0, 0, 0xe0, 0x7f }, 1, 1)]
    [InlineData(DType.F16, new byte[] { 0, 0x7c, 0, 0xfc, 1, 0xfc, 0xff, 0x7b }, 1, 2)]
    [InlineData(DType.BF16, new byte[] { 0x80, 0x7f, 0x81, 0x7f, 0x7f, 0x7f }, 1, 1)]
    [InlineData(DType.F8E4M3, new byte[] { 0x7f, 0xff, 0x7e, 0x78 }, 2, 0)]
    [InlineData(DType.F8E5M2, new byte[] { 0x7c, 0xfd, 0x7e, 0x7b }, 2, 1)]
    public void KnowsWhatIsNotFinite(DType type, byte[] bytes, long nans, long infinities) =>
        Assert.Equal((nans, infinities), NonFiniteLog.Count(type, bytes));

    [Fact]
    public void ABudgetThatHoldsNotOneBlockIsSaid()
    {
        using var source = Source();
        var fault = Assert.Throws<FaultException>(() => Plans.Execute(Plan(source), new RunOptions(100 << 10, 4, false)));
        Assert.Matches("budget of 100 KiB is too small.*give at least .* KiB with WithMemory", fault.Message);
        Assert.Empty(Directory.GetFiles(folder.Path));
    }

    [Fact]
    public void ProgressEndsAtTheEnd()
    {
        using var source = Source();
        source.OnRead = _ => Thread.Sleep(5);
        var seen = new List<RunProgress>();
        using var result = Plans.Execute(Plan(source), new RunOptions(1 << 20, 2, false), new Direct(seen));
        Assert.Equal(result.BytesRead + result.BytesWritten, seen[^1].BytesDone);
        Assert.All(seen, p => Assert.Equal(seen[^1].BytesTotal, p.BytesTotal));
        Assert.Equal(seen.Select(p => p.BytesDone).Order(), seen.Select(p => p.BytesDone));
    }

    public void Dispose() => folder.Dispose();

    private static FakeCheckpoint Source(string path = "m")
    {
        var source = new FakeCheckpoint(path);
        for (var i = 0; i < 4; i++)
        {
            source.Add($"w{i}", new Shape(250_000), Plans.Normal(i, 250_000));
        }

        return source;
    }

    private static void Poke(FakeCheckpoint source, string name, int index, float value) =>
        BitConverter.TryWriteBytes(source.Bytes(name).AsSpan(index * 4), value);

    private static void Poke(FakeCheckpoint source, string name, float value) => Poke(source, name, 9, value);

    private ExecutionPlan Plan(FakeCheckpoint source)
    {
        var tensors = Plans.Tensors(source);
        return new ExecutionPlan(
            [source], tensors, [], [new Step([], [Plans.Linear([DType.F32], [2], DType.F32)])],
            [new PlanOutput(folder["out.safetensors"], [.. tensors.Select(_ => DType.F32)], Plans.NoMetadata)], []);
    }

    private sealed class Direct(List<RunProgress> seen) : IProgress<RunProgress>
    {
        public void Report(RunProgress value) => seen.Add(value);
    }
}
