using Tva.Core.Checkpoints;
using Tva.Core.Devices;
using Tva.Core.Execution;
using Tva.Core.Kernels;
using Tva.Core.Tensors;
using Xunit;

namespace Tva.Core.Tests.Devices;

/// <summary>Operands in every device's memory: kept while they fit, copied there, given back.</summary>
public class OperandConformance
{
    public static TheoryData<string> Devices => DeviceRig.Devices;

    /// <summary>What two steps read is copied to the device once where it fits, and streamed where it does not; nothing stays taken.</summary>
    [Theory]
    [MemberData(nameof(Devices))]
    public void OperandsStayWhileTheyFit(string name)
    {
        using var folder = new TempFolder();
        Assert.SkipWhen(name.StartsWith('('), DeviceCatalog.Missing());
        var source = new FakeCheckpoint("w");
        for (var t = 0; t < 6; t++)
        {
            source.AddHalf($"m.{t}.w", new Shape(1 << 20), Plans.Coarse(t, 1 << 20));
        }

        var plan = Plans.Keeping(folder["x.safetensors"], Extent.Tensor, 0.2, DType.BF16, source);
        var all = source.Tensors.Sum(t => t.Bytes);
        foreach (var (memory, fits) in ((long, bool)[])[(1L << 30, true), (14 << 20, false)])
        {
            using var device = DeviceCatalog.Open(name, new DeviceOptions { Memory = memory, CacheFolder = null });
            var backend = new DeviceBackend(device);
            using var got = Executor.Run(plan, new RunOptions(32 << 20, 2, false), null, TestContext.Current.CancellationToken, backend);
            Assert.InRange(got.BytesRead, all, fits ? all + (all / 8) : 3 * all);
            Assert.Equal(0, backend.Held.Bytes);
            got.Commit();
            var values = Plans.ReadFloats(plan.Outputs[0].Path);
            using var expected = Plans.Execute(plan, Plans.Options);
            expected.Commit();
            var reference = Plans.ReadFloats(plan.Outputs[0].Path);
            Assert.All(reference, r => Assert.Equal(r.Value, values[r.Key]));
        }
    }

    /// <summary>
    /// A selection over one block, whose first look finds far more keys than are brought back: of coarse values with ties, of fine ones, of pinned
    /// ones once and again.
    /// </summary>
    [Theory]
    [MemberData(nameof(Devices))]
    public void LargeSelectionsAreNarrowedOnTheDevice(string name)
    {
        using var folder = new TempFolder();
        var device = DeviceRig.Open(name);
        const int elements = 5_000_000;
        var fine = new FakeCheckpoint("fine").Add("w", new Shape(elements), Plans.Normal(3, elements)).Add("v", new Shape(elements / 50), Plans.Normal(4, elements / 50));
        var coarse = new FakeCheckpoint("coarse").AddHalf("w", new Shape(elements), Plans.Coarse(3, elements)).AddHalf("v", new Shape(elements / 50), Plans.Coarse(4, elements / 50));
        var options = new RunOptions(1L << 30, 2, false);
        var backend = new DeviceBackend(device);
        foreach (var (source, type) in ((FakeCheckpoint, DType)[])[(fine, DType.F32), (coarse, DType.BF16)])
        {
            using var pinned = PinnedCheckpoint.Load(source, 2, null, TestContext.Current.CancellationToken);
            var plan = Plans.Keeping(folder["x.safetensors"], Extent.Tensor, 0.2, type, source);
            using var expected = Executor.Run(plan, options, null, TestContext.Current.CancellationToken);
            expected.Commit();
            var reference = Plans.ReadFloats(plan.Outputs[0].Path);
            foreach (var some in (ExecutionPlan[])[plan, plan with { Sources = [pinned] }, plan with { Sources = [pinned] }])
            {
                using var got = Executor.Run(some, options, null, TestContext.Current.CancellationToken, backend);
                got.Commit();
                Assert.All(Plans.ReadFloats(plan.Outputs[0].Path), r => Assert.Equal(reference[r.Key], r.Value));
            }
        }
    }

    /// <summary>What a copy within the device's memory leaves there is what was brought.</summary>
    [Theory]
    [MemberData(nameof(Devices))]
    public unsafe void CopiesWithinTheDevice(string name)
    {
        var device = DeviceRig.Open(name);
        var program = new KernelProgram([new(Code.Load, Index: 0), new(Code.Store, 0, Index: 0)], [DType.F32], [DType.F32], 0);
        var kernel = device.Compile(new BlockProgram(program, [BlockSource.Memory], [true], [], []));
        var values = Plans.Normal(6, 70000);
        using var lane = device.Open(values.Length * sizeof(float));
        using var first = device.Hold(values.Length * sizeof(float));
        using var second = device.Hold(values.Length * sizeof(float));
        fixed (float* from = values)
        {
            lane.Run(kernel, Call(first!, (nint)from));
        }

        lane.Copy(first!, second!);
        lane.Run(kernel, Call(second!, 0));
        Assert.Equal(values, new Span<float>(lane.Staging, values.Length).ToArray());

        BlockCall Call(IHeld held, nint host)
        {
            var call = new BlockCall { Count = values.Length, RowLength = values.Length, Inputs = new BlockInput[1], Outputs = [(nint)lane.Staging], Flags = new bool[5] };
            call.Inputs[0].Host = (byte*)host;
            call.Inputs[0].Held = held;
            return call;
        }
    }
}
