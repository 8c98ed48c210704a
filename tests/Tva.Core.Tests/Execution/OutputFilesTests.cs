using Tva.Core.Checkpoints;
using Tva.Core.Execution;
using Tva.Core.Kernels;
using Tva.Core.Tensors;
using Xunit;

namespace Tva.Core.Tests;

/// <summary>Outputs that share a file as slices of stacked tensors: what each slice holds, what is left out, and that threads don't show.</summary>
public sealed class OutputFilesTests : IDisposable
{
    private static readonly Shape[] Shapes = [new(3), new(128, 129), new(), new(0, 4), new(150_001), new(2, 3, 5)];
    private static readonly float[] Factors = [1, -2, 0.5f, 3];
    private readonly TempFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Theory]
    [InlineData(DType.F32)]
    [InlineData(DType.BF16)]
    [InlineData(DType.I8)]
    public void SlicesOfOneFileAreItsParts(DType type)
    {
        using var source = Source();
        byte[]? bytes = null;
        foreach (var (memory, threads) in ((long, int)[])[(1 << 20, 1), (1 << 20, 7), (64 << 20, 2), (64 << 20, 3)])
        {
            var plan = Plan(source, type);
            using (var result = Plans.Execute(plan, new RunOptions(memory, threads, false)))
            {
                Assert.False(File.Exists(folder["stack.safetensors"]) && bytes is null);
                var floating = Shapes.Sum(s => s.Elements);
                Assert.Equal((Factors.Length * floating * type.Size()) + (4 * floating) + 56, result.BytesWritten);
                result.Commit();
            }

            var now = File.ReadAllBytes(folder["stack.safetensors"]);
            Assert.Equal(bytes ?? now, now);
            bytes = now;
        }

        using var stack = Checkpoint.Open(folder["stack.safetensors"]);
        Assert.Equal("v", stack.Metadata["k"]);

        // Token ids are no atoms.
        Assert.Equal(Shapes.Select((_, i) => $"w{i}").Order(), stack.Tensors.Select(t => t.Name).Order());
        foreach (var t in stack.Tensors)
        {
            var values = Values(t.Name);
            Assert.Equal((type, new Shape([Factors.Length, .. Shape(t.Name).Dims])), (t.DType, t.Shape));
            var read = new byte[t.Bytes];
            stack.Read(t, 0, read);
            for (var p = 0; p < Factors.Length; p++)
            {
                for (var i = 0; i < values.Length; i++)
                {
                    var at = ((p * values.Length) + i) * type.Size();
                    var got = type switch
                    {
                        DType.F32 => BitConverter.ToSingle(read, at),
                        DType.BF16 => BitConverter.UInt32BitsToSingle((uint)BitConverter.ToUInt16(read, at) << 16),
                        _ => (sbyte)read[at],
                    };
                    Assert.Equal(Factors[p] * values[i], got);
                }
            }
        }

        // The output beside them has all tensors, the ids as they are.
        using var plain = Checkpoint.Open(folder["plain.safetensors"]);
        Assert.Equal(Shapes.Length + 1, plain.Tensors.Count);
        var ids = new byte[56];
        plain.Read(plain.Find("ids")!, 0, ids);
        Assert.Equal(source.Bytes("ids"), ids);
    }

    [Fact]
    public void ARunThatIsNotCommittedLeavesNothing()
    {
        using var source = Source();
        Plans.Execute(Plan(source, DType.F32), Plans.Options).Dispose();
        Assert.Empty(Directory.GetFiles(folder.Path));
        source.OnRead = t => throw new FaultException($"{t.Name} can't be read");
        Assert.Throws<FaultException>(() => Plans.Execute(Plan(source, DType.F32), Plans.Options));
        Assert.Empty(Directory.GetFiles(folder.Path));
    }

    [Fact]
    public void AFileThatCanNotBeBegunTakesTheOthersAlong()
    {
        using var source = Source();
        Directory.CreateDirectory(folder["plain.safetensors.partial"]);
        Assert.Throws<FaultException>(() => Plans.Execute(Plan(source, DType.F32), Plans.Options));
        Assert.Empty(Directory.GetFiles(folder.Path));
    }

    private FakeCheckpoint Source()
    {
        var source = new FakeCheckpoint("m");
        foreach (var (shape, i) in Shapes.Select((s, i) => (s, i)))
        {
            source.Add($"w{i}", shape, Values($"w{i}"));
        }

        return source.Add("ids", DType.I64, new Shape(7), [.. Enumerable.Range(1, 56).Select(i => (byte)i)]);
    }

    private static Shape Shape(string name) => Shapes[name[1] - '0'];

    /// <summary>Even integers of at most 6 bits: what every type holds of any factor.</summary>
    private static float[] Values(string name) =>
        [.. Enumerable.Range(0, (int)Shape(name).Elements).Select(i => 2f * (((i * 13) + name[1]) % 31 - 15))];

    /// <summary>The source times each factor as a slice; then the source itself as a file of its own.</summary>
    private ExecutionPlan Plan(FakeCheckpoint source, DType type)
    {
        var tensors = Plans.Tensors(source);
        var code = new List<Instruction> { new(Code.Load, Index: 0) };
        for (var p = 0; p < Factors.Length; p++)
        {
            code.Add(new(Code.Const, Value: Factors[p]));
            code.Add(new(Code.Apply, 0, code.Count - 1, Index: Plans.Op("mul")));
            code.Add(new(Code.Store, code.Count - 1, Index: p));
        }

        code.Add(new(Code.Store, 0, Index: Factors.Length));
        DType[] outputs = [.. Factors.Select(_ => type), DType.F32];
        var kernel = new ClassKernel(
            new KernelProgram(code, [DType.F32], outputs, 0), [new FileInput(0)], [.. Enumerable.Range(0, outputs.Length)], [], []);
        var metadata = new Dictionary<string, string> { ["k"] = "v" };
        DType[] Types(DType floating) => [.. tensors.Select(t => t.Class < 0 ? DType.I64 : floating)];
        return new ExecutionPlan(
            [source], tensors, [], [new Step([], [kernel])],
            [
                .. Factors.Select((_, p) => new PlanOutput(folder["stack.safetensors"], Types(type), metadata) { Stack = new StackPart(p, Factors.Length) }),
                new PlanOutput(folder["plain.safetensors"], Types(DType.F32), metadata),
            ],
            []);
    }
}
