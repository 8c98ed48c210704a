using Tva.Core.Devices;
using Tva.Core.Execution;
using Tva.Core.Kernels;
using Tva.Core.Tensors;
using Xunit;

namespace Tva.Core.Tests.Devices;

/// <summary>What happens when a device is not there, can't be used, or fails: what is said, and who takes over.</summary>
public class DeviceFaultTests
{
    private readonly FakeProvider provider = FakeProvider.Instance;

    [Fact]
    public void NamesAreFoundOrToldApart()
    {
        Assert.Equal(FakeProvider.Id("good"), DeviceCatalog.Find("test card, good").Id);
        Assert.Equal(FakeProvider.Id("good"), DeviceCatalog.Find("TEST:GOOD").Id);
        var number = DeviceCatalog.Devices.Select(d => d.Id).ToList().IndexOf(FakeProvider.Id("small"));
        Assert.Equal(FakeProvider.Id("small"), DeviceCatalog.Find(number.ToString()).Id);
        Assert.Equal(DeviceKind.Gpu, DeviceCatalog.Find("gpu").Kind);
        Says("more than one is called so: test:twin-of-a (Test card, twin of a), test:twin-of-b", () => DeviceCatalog.Find("twin"));
        Says("WithDevice(\"h9000\"): there is none of that name; there are cpu, ", () => DeviceCatalog.Find("h9000"));
        Says("WithDevice(\"99\"): there is none", () => DeviceCatalog.Find("99"));
        Says("Test card, old (test:old) can't be used: its driver is too old; update it; or compute with WithDevice(\"cpu\")", () => DeviceCatalog.Find("old"));
    }

    /// <summary>A card that a driver and OpenCL both lead to is meant by its name all the same: the way by which it can be used, else the first.</summary>
    [Fact]
    public void ACardThatTwoWaysLeadToIsFoundByItsName()
    {
        DeviceCatalog.Add(new OtherWay());
        Assert.Equal("test:other-two-ways", DeviceCatalog.Find("card, two ways").Id);
        Assert.Equal(FakeProvider.Id("good"), DeviceCatalog.Find("card, good").Id);
    }

    [Fact]
    public void ANamedDeviceThatFailsEndsTheRunAndLeavesNothing()
    {
        using var folder = new TempFolder();
        foreach (var (name, says) in ((string, string)[])[("broken compiler", "its compiler refuses"), ("lost at once", "was lost"), ("lost later", "was lost")])
        {
            var plan = Heavy(folder[$"{name}.safetensors"], 40);
            Says(says, () => new DeviceChoice(FakeProvider.Id(name)).Run(plan, Plans.Options, null, null, TestContext.Current.CancellationToken).Dispose());
            Assert.Empty(Directory.GetFiles(folder.Path, $"{name}*"));
        }
    }

    /// <summary>A card that was lost is opened anew by whoever asks next, as after its driver was restarted.</summary>
    [Fact]
    public void ALostDeviceIsOpenedAnew()
    {
        using var folder = new TempFolder();
        var plan = Heavy(folder["x.safetensors"], 2);
        var choice = new DeviceChoice(FakeProvider.Id("lost once"));
        Says("was lost", () => choice.Run(plan, Plans.Options, null, null, TestContext.Current.CancellationToken).Dispose());
        Assert.Contains(FakeProvider.Id("lost once"), FakeProvider.Closed);
        using var result = choice.Run(plan, Plans.Options, null, null, TestContext.Current.CancellationToken);
        Assert.True(result.BytesWritten > 0);
    }

    [Fact]
    public void TooLittleMemoryIsToldWithHowMuchIsNeeded()
    {
        using var folder = new TempFolder();
        var plan = Heavy(folder["x.safetensors"], 2);
        var message = Assert.Throws<DeviceFaultException>(() => new DeviceChoice(FakeProvider.Id("small")).Run(plan, Plans.Options, null, null, TestContext.Current.CancellationToken).Dispose()).Message;
        var (number, unit) = message[(message.IndexOf("at least ", StringComparison.Ordinal) + 9)..].Split(' ') is [var n, var u, ..] ? (n, u) : ("", "");
        var enough = double.Parse(number, System.Globalization.CultureInfo.InvariantCulture) * (unit == "KiB" ? 1 << 10 : 1 << 20);
        new DeviceChoice(FakeProvider.Id("good"), (long)enough).Run(plan, Plans.Options, null, null, TestContext.Current.CancellationToken).Dispose();
        Says("give at least", () => new DeviceChoice(FakeProvider.Id("good"), (long)(enough * 0.99)).Run(plan, Plans.Options, null, null, TestContext.Current.CancellationToken).Dispose());
    }

    /// <summary>The first card there is may be any, so the device is named and the choice made as `auto` makes it.</summary>
    [Fact]
    public void TheProcessorTakesOverBeforeTheFirstByteAndNeverLater()
    {
        using var folder = new TempFolder();
        var path = folder["x.safetensors"];
        var plan = Heavy(path, 40);
        using (var result = Plans.Execute(plan, Plans.Options))
        {
            result.Commit();
        }

        var expected = File.ReadAllBytes(path);
        foreach (var name in (string[])["good", "broken compiler", "lost at once"])
        {
            File.Delete(path);
            var told = new List<string>();
            using (var result = DeviceChoice.RunOn(() => Open(name), plan, Plans.Options, true, () => { }, told.Add, null, TestContext.Current.CancellationToken))
            {
                result.Commit();
            }

            Assert.Equal(expected, File.ReadAllBytes(path));
            Assert.Equal(name == "good" ? 0 : 1, told.Count);
            Assert.All(told, text => Assert.Contains("the CPU computes instead: Test card", text));
        }

        var late = Assert.Throws<DeviceFaultException>(() => DeviceChoice.RunOn(() => Open("lost later"), plan, new RunOptions(4 << 20, 1, false), true, () => { }, null, null, TestContext.Current.CancellationToken));
        Assert.False(late.BeforeOutput);
    }

    /// <summary>While a block is on the device another one is on its way there, also where one thread is all there may be.</summary>
    [Fact]
    public void TwoBlocksAreInFlight()
    {
        using var folder = new TempFolder();
        using var result = new DeviceChoice(FakeProvider.Id("two at once")).Run(
            Heavy(folder["x.safetensors"], 2), new RunOptions(4 << 20, 1, false), null, null, TestContext.Current.CancellationToken);
        Assert.True(result.BytesWritten > 0);
    }

    [Fact]
    public void AutoLeavesToTheProcessorWhatIsAllTransfer()
    {
        using var folder = new TempFolder();
        var (device, reason) = new DeviceChoice("auto").Decide(Linear(folder["x.safetensors"]), 2);
        Assert.Null(device);
        Assert.Contains("all transfer: ", reason);
        (device, reason) = new DeviceChoice("auto").Decide(Heavy(folder["x.safetensors"], 400), 2);
        Assert.NotNull(device);
        Assert.Contains("worth the transfer", reason);
        (device, reason) = new DeviceChoice(FakeProvider.Id("good")).Decide(Linear(folder["x.safetensors"]), 2);
        Assert.Equal(FakeProvider.Id("good"), device!.Id);
        Assert.Contains("all transfer", reason);
        Assert.Empty(new DeviceChoice("cpu").Explain(Linear(folder["x.safetensors"]), 2));
        Assert.Contains("computed on the cpu: its cost on a device is all transfer", new DeviceChoice("auto").Explain(Linear(folder["x.safetensors"]), 2)[0]);
        Assert.Contains("computed on Test card, good (test:good), with 1 GiB", new DeviceChoice("good").Explain(Heavy(folder["x.safetensors"], 400), 2)[0]);
    }

    private DeviceBackend Open(string name) => new(provider.Open(provider.Devices.First(d => d.Id == FakeProvider.Id(name)), new DeviceOptions()));

    private static void Says(string part, Action act) => Assert.Contains(part, Assert.Throws<DeviceFaultException>(act).Message);

    private static ExecutionPlan Linear(string path)
    {
        var source = new FakeCheckpoint("a").Add("w", new Shape(1000, 1000), new float[1000000]);
        return new ExecutionPlan([source], Plans.Tensors(source), [], [new Step([], [Plans.Linear([DType.F32], [0.5f], DType.F32)])], [new PlanOutput(path, [DType.F32], Plans.NoMetadata)], []);
    }

    /// <summary>So many roots of every element that moving it is nothing beside them.</summary>
    private static ExecutionPlan Heavy(string path, int roots)
    {
        var source = new FakeCheckpoint("a");
        for (var t = 0; t < 8; t++)
        {
            source.Add($"w{t}", new Shape(20000), [.. Plans.Normal(t, 20000).Select(MathF.Abs)]);
        }

        var code = new List<Instruction> { new(Code.Load, Index: 0) };
        for (var i = 0; i < roots; i++)
        {
            code.Add(new(Code.Apply, code.Count - 1, Index: Plans.Op("sqrt")));
        }

        code.Add(new(Code.Store, code.Count - 1, Index: 0));
        var kernel = new ClassKernel(new KernelProgram(code, [DType.F32], [DType.F32], 0), [new FileInput(0)], [0], [], []);
        return new ExecutionPlan([source], Plans.Tensors(source), [], [new Step([], [kernel])], [new PlanOutput(path, [.. source.Tensors.Select(_ => DType.F32)], Plans.NoMetadata)], []);
    }

    private sealed class OtherWay : IDeviceProvider
    {
        public string Name => "other";

        public string? Missing => null;

        public IReadOnlyList<DeviceInfo> Devices { get; } =
            [.. FakeProvider.Instance.Devices.Where(d => d.Name.Contains("good", StringComparison.Ordinal) || d.Name.Contains("two ways", StringComparison.Ordinal))
                .Select(d => d with { Id = d.Id.Replace("test:", "test:other-", StringComparison.Ordinal), Unusable = null })];

        public IBlockDevice Open(DeviceInfo info, DeviceOptions options) => throw new DeviceFaultException("it is never opened");
    }
}
