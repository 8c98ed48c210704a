using Tva.Core.Checkpoints;
using Tva.Core.Execution;
using Tva.Core.Kernels;
using Tva.Core.Tensors;
using Xunit;

namespace Tva.Core.Tests;

/// <summary>Fingerprints of what tensors are computed from, and runs that leave out what outputs have already.</summary>
public sealed class LeavingTests : IDisposable
{
    private readonly TempFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void FingerprintsTellWhatIsComputedAndFromWhat()
    {
        using var a = Source("a");
        using var b = Source("b");
        var plain = Prints(Linear(1, 0.5f, a, b));
        Assert.Equal(plain, Prints(Linear(1, 0.5f, a, b)));

        // Another number, another file, another order, another type: every tensor is another.
        foreach (var other in (ExecutionPlan[])[Linear(1, 0.25f, a, b), Linear(1, 0.5f, b, a), Linear(0.5f, 1, a, b), Linear(1, 0.5f, a, b, DType.BF16)])
        {
            Assert.DoesNotContain(Prints(other).Take(3), plain.Contains);
        }

        // Same numbers in tensors of another name or shape are others, too.
        Assert.Equal(4, plain.Distinct().Count());
    }

    [Fact]
    public void WhatElseAPlanComputesDoesNotShow()
    {
        using var a = Source("a");
        using var b = Source("b");
        var plan = Linear(1, 0.5f, a, b);
        var kernel = plan.Steps[0].Kernels[0]!;
        var program = kernel.Program;
        Instruction[] code =
        [
            new(Code.Const, Value: 9), .. program.Instructions.Select(i => i with { A = i.A < 0 ? -1 : i.A + 1, B = i.B < 0 ? -1 : i.B + 1, C = i.C < 0 ? -1 : i.C + 1 }),
            new(Code.Load, Index: 0), new(Code.Store, program.Instructions.Count + 1, Index: 1),
        ];
        var more = new ClassKernel(
            new KernelProgram(code, program.Inputs, [.. program.Outputs, DType.F32], 0), kernel.Inputs, [0, -1], [], [new ReductionFeed(1)]);
        var wider = plan with
        {
            Scalars = [new ReducedScalar(Extent.All, 0, 0)],
            Steps = [new Step([new Reduction(ReduceKind.Sum, Extent.All)], [more])],
            Results = [0],
        };
        Assert.Equal(Prints(plan), Prints(wider));
    }

    [Fact]
    public void ANumberOfTheModelTiesItsTensorsTogether()
    {
        using var a = Source("a");
        var byTensor = Prints(Plans.Keeping("x", Extent.Tensor, 0.5, DType.F32, a));
        var byModel = Prints(Plans.Keeping("x", Extent.All, 0.5, DType.F32, a));
        Assert.NotEqual(byTensor, byModel);
        Assert.NotEqual(byTensor, Prints(Plans.Keeping("x", Extent.Tensor, 0.25, DType.F32, a)));

        // One tensor more: a threshold over all is another one, a threshold of the tensor isn't.
        using var more = Source("a").Add("z", new Shape(5), Plans.Normal(9, 5));
        Assert.Equal(byTensor, Prints(Plans.Keeping("x", Extent.Tensor, 0.5, DType.F32, more)).Take(4));
        Assert.DoesNotContain(Prints(Plans.Keeping("x", Extent.All, 0.5, DType.F32, more)).Take(3), byModel.Contains);
    }

    [Theory]
    [InlineData(Extent.Tensor, 1)]
    [InlineData(Extent.All, 3)]
    public void OnlyWhatIsMissingIsRead(Extent extent, int readInSelection)
    {
        using var a = Source("a");
        var options = Plans.Options with { Incremental = true };
        var path = folder["out.safetensors"];
        var plan = With(Plans.Keeping(path, extent, 0.5, DType.F32, a), path) with { Results = [] };
        Commit(plan, Plans.Options);
        var whole = File.ReadAllBytes(path);

        // One tensor's record made another: only that one is written again, and only what it rests on is read.
        var text = System.Text.Encoding.Latin1.GetString(whole);
        var at = text.IndexOf("tva.plans", StringComparison.Ordinal) + 12;
        var changed = (byte[])whole.Clone();
        changed[at] = changed[at] == (byte)'0' ? (byte)'1' : (byte)'0';
        File.WriteAllBytes(path, changed);
        var read = new HashSet<string>();
        a.OnRead = t =>
        {
            lock (read)
            {
                read.Add(t.Name);
            }
        };
        using (var result = Plans.Execute(plan, options))
        {
            Assert.Equal(3, result.Outputs[0].Reused);
            result.Commit();
        }

        Assert.Equal(whole, File.ReadAllBytes(path));
        Assert.Equal(readInSelection, read.Count);

        // Nothing at all where nothing is another.
        read.Clear();
        using (var result = Plans.Execute(plan, options))
        {
            Assert.True(result.Outputs[0].Unchanged);
            Assert.Equal((0, 0), (result.BytesRead, result.BytesWritten));
            result.Commit();
        }

        Assert.Empty(read);
        Assert.Equal(whole, File.ReadAllBytes(path));
    }

    [Fact]
    public void AskedForNumbersAreToldAllTheSame()
    {
        using var a = Source("a");
        var path = folder["out.safetensors"];
        var plan = With(Plans.Keeping(path, Extent.Tensor, 0.5, DType.F32, a), path);
        using var first = Plans.Execute(plan, Plans.Options);
        first.Commit();
        using var second = Plans.Execute(plan, Plans.Options with { Incremental = true });
        Assert.True(second.Outputs[0].Unchanged);
        Assert.Equal(first.Results[0], second.Results[0]);
    }

    [Fact]
    public void AFileThatChangesDuringTheRunIsAFault()
    {
        var input = folder.Put(
            "in.safetensors", """{"w":{"dtype":"F32","shape":[400000],"data_offsets":[0,1600000]}}""", new byte[1_600_000]);
        foreach (var change in (Action[])[
            () => File.SetLastWriteTimeUtc(input, DateTime.UtcNow.AddSeconds(-5)),
            () => File.Move(folder.Put("other.safetensors", File.ReadAllBytes(input)), input, overwrite: true)])
        {
            using var source = Checkpoint.Open(input);
            var changed = false;
            var plan = new ExecutionPlan(
                [source], Plans.Tensors(source), [], [new Step([], [Plans.Linear([DType.F32], [2], DType.F32)])],
                [new PlanOutput(folder["out.safetensors"], [DType.F32], Plans.NoMetadata)], []);
            var target = new Disturbing(() =>
            {
                if (!changed)
                {
                    changed = true;
                    change();
                }
            });
            var fault = Assert.Throws<FaultException>(() => Plans.Execute(plan, Plans.Options with { Threads = 1, Target = (_, _, _) => target }));
            Assert.StartsWith(input + ": has changed while the run was reading it", fault.Message, StringComparison.Ordinal);
        }
    }

    private static ulong[] Prints(ExecutionPlan plan) => new PlanFingerprint(plan).Of(0);

    private static void Commit(ExecutionPlan plan, RunOptions options)
    {
        using var result = Plans.Execute(plan, options);
        result.Commit();
    }

    private static FakeCheckpoint Source(string name) => new FakeCheckpoint(name)
        .Add("u", new Shape(40_000), Plans.Normal(1, 40_000)).Add("v", new Shape(3, 7), Plans.Normal(2, 21)).Add("w", new Shape(7, 3), Plans.Normal(2, 21))
        .Add("ids", DType.I64, new Shape(2), new byte[16]);

    private static ExecutionPlan With(ExecutionPlan plan, string path) =>
        plan with
        {
            Outputs = [new PlanOutput(path, [.. plan.Tensors.Select(t => t.Class < 0 ? DType.I64 : DType.F32)], new Dictionary<string, string> { ["tva.inputs"] = "{}" })],
        };

    private static ExecutionPlan Linear(float p, float q, FakeCheckpoint a, FakeCheckpoint b, DType type = DType.F32)
    {
        var tensors = Plans.Tensors(a, b);
        return new ExecutionPlan(
            [a, b], tensors, [], [new Step([], [Plans.Linear([DType.F32, DType.F32], [p, q], type)])],
            [new PlanOutput("x", [.. tensors.Select(t => t.Class < 0 ? DType.I64 : type)], Plans.NoMetadata)], []);
    }

    private sealed class Disturbing(Action onWrite) : ICheckpointWriter
    {
        public string Path => "memory";

        public long Bytes => 0;

        public void Write(int tensor, long byteOffset, ReadOnlySpan<byte> source) => onWrite();

        public void Commit()
        {
        }

        public void Dispose()
        {
        }
    }
}
