using System.Runtime.InteropServices;
using Tva.Core.Devices;
using Tva.Core.Devices.OpenCl;
using Tva.Core.Devices.Rendered;
using Tva.Core.Devices.Rendering;
using Tva.Core.Execution;
using Tva.Core.Kernels;
using Tva.Core.Tensors;
using Xunit;

namespace Tva.Core.Tests.Devices;

/// <summary>What OpenCL's and CUDA's devices have beside blocks: their programs' cache, their compilers' words, their memory's budget.</summary>
public class RenderedTests
{
    private static readonly KernelProgram Halves = new(
        [new(Code.Load, Index: 0), new(Code.Const, Value: 0.5f), new(Code.Apply, 0, 1, Index: Plans.Op("mul")), new(Code.Store, 2, Index: 0)], [DType.F32], [DType.F32], 0);

    /// <summary>One of every way to devices.</summary>
    public static TheoryData<string> Devices
    {
        get
        {
            var names = DeviceRig.Names.Where(id => id.StartsWith("opencl:", StringComparison.Ordinal) || id.StartsWith("cuda:", StringComparison.Ordinal))
                .GroupBy(id => id.Split(':')[0]).Select(g => g.First()).ToList();
            return names.Count == 0 ? ["(none)"] : [.. names];
        }
    }

    [Theory]
    [MemberData(nameof(Devices))]
    public void BinariesAreKeptAndDamagedOnesBuiltAnew(string name)
    {
        using var folder = new TempFolder();
        var cache = Path.Combine(folder.Path, "kernels");
        Assert.Equal(1, Compiled(name, cache));
        Assert.Equal(0, Compiled(name, cache));
        var file = Assert.Single(Directory.GetFiles(cache));
        var good = File.ReadAllBytes(file);
        foreach (var damage in (Func<byte[]>[])[() => [], () => good[..(good.Length / 2)], () => [.. good[..^5], 1, 2, 3, 4, 5], () => new byte[100]])
        {
            File.WriteAllBytes(file, damage());
            Assert.Equal(1, Compiled(name, cache));
            Assert.Equal(0, Compiled(name, cache));
        }

        // A folder that can't be one.
        Assert.Equal(1, Compiled(name, Path.Combine(file, "below")));
        Assert.Equal([file], Directory.GetFiles(cache));
    }

    [Theory]
    [MemberData(nameof(Devices))]
    public void ConstantsShareAProgramAndItIsBuiltOnce(string name)
    {
        using var device = Open(name, null);
        foreach (var value in (float[])[0.5f, -3f, float.NaN])
        {
            var program = new KernelProgram([.. Halves.Instructions.Select(i => i.Code == Code.Const ? i with { Value = value } : i)], Halves.Inputs, Halves.Outputs, 0);
            var got = DeviceRig.Run(device, program, [Rig.Bytes([1f, 2f])], 2).Outputs[0];
            Assert.Equal(Rig.Run(Rig.Scalar, program, [Rig.Bytes([1f, 2f])], 2).Outputs[0], got);
        }

        Assert.Equal(1, device.Programs.Compiled);
    }

    [Theory]
    [MemberData(nameof(Devices))]
    public void ACompilersRefusalHasItsWordsAndTheDevicesName(string name)
    {
        using var device = Open(name, null);
        var message = Assert.Throws<DeviceFaultException>(() => device.Programs.Get("KERNEL(void wrong, 64, 1)(GLOBAL int* x) { x[0] = nothing_of_that_name; }")).Message;
        Assert.Contains(device.Info.Name, message);
        Assert.Contains("WithDevice(\"cpu\")", message);
        Assert.Contains("nothing_of_that_name", message);
    }

    [Theory]
    [MemberData(nameof(Devices))]
    public void MemoryIsCountedAndItsEndIsTold(string name)
    {
        using var device = Open(name, null, 1 << 20);
        using (device.Hold(900 << 10))
        {
            Assert.Null(device.Hold(200 << 10));
            var values = Rig.Bytes(new float[100000]);
            var message = Assert.Throws<DeviceFaultException>(() => DeviceRig.Run(device, Halves, [values], 100000)).Message;
            Assert.Contains("WithDeviceMemory", message);
            Assert.Contains(device.Info.Name, message);
        }

        device.Trim();
        Assert.Equal(0, device.Taken);
        Assert.Equal(Rig.Bytes(new float[1000]), DeviceRig.Run(device, Halves, [Rig.Bytes(new float[1000])], 1000).Outputs[0]);
        device.Trim();
        Assert.Equal(0, device.Taken);
    }

    /// <summary>A second look at a block wants no sums, and its program leaves them all the same; the lane may be one that has done no block before.</summary>
    [Theory]
    [MemberData(nameof(Devices))]
    public unsafe void SumsHaveRoomWhetherTheyAreWantedOrNot(string name)
    {
        using var device = Open(name, null);
        const int cells = 64;
        const int count = cells * BlockProgram.CellElements;
        var block = new BlockProgram(Halves, [BlockSource.Memory], [true], [new(ReduceKind.Sum, 0), new(ReduceKind.MaxAbs, 0)], []);
        using var lane = device.Open(2L * count * sizeof(float));
        new Span<float>(lane.Staging, count).Fill(3);
        var call = new BlockCall { Count = count, RowLength = count, Inputs = new BlockInput[1], Outputs = [(nint)lane.Staging + (count * sizeof(float))], Flags = new bool[cells] };
        call.Inputs[0].Host = lane.Staging;
        lane.Run(device.Compile(block), call);
        Assert.All(new Span<float>((float*)lane.Staging + count, count).ToArray(), v => Assert.Equal(1.5f, v));
        const int sums = 2 * cells * BlockProgram.Lanes * sizeof(double);
        Assert.True(device.Taken >= (2L * count * sizeof(float)) + sums, $"{device.Taken} bytes are taken");
    }

    /// <summary>A device that is closed while a lane is out goes on until that is left, and gives no other.</summary>
    [Theory]
    [MemberData(nameof(Devices))]
    public void ALaneOutlivesTheClosingOfItsDevice(string name)
    {
        var device = Open(name, null);
        var values = Rig.Bytes(new float[100]);
        using (device.Open(1 << 16))
        {
            using var other = device.Open(1 << 16);
            device.Dispose();
            Assert.Contains("run this one again", Assert.Throws<DeviceFaultException>(() => DeviceRig.Run(device, Halves, [values], 100)).Message);
        }

        Assert.Equal(0, device.Taken);
        device.Dispose();
    }

    /// <summary>The same source for the same plan: what the cache is asked by.</summary>
    [Fact]
    public void SourcesDependOnTheProgramAlone()
    {
        var block = new BlockProgram(Halves, [BlockSource.Memory], [true], [new(ReduceKind.Sum, 0)], []);
        Assert.Equal(Renderer.Render(block, 256).Source, Renderer.Render(block with { }, 256).Source);
        Assert.NotEqual(Renderer.Render(block, 256).Source, Renderer.Render(block with { Cells = [] }, 256).Source);
    }

    [Theory]
    [MemberData(nameof(Devices))]
    public void A_division_by_zero_is_still_an_exception(string name)
    {
        using var device = Open(name, null);
        var zero = device.GetHashCode() & 0;
        Assert.Throws<DivideByZeroException>(() => 1 / zero);
    }

    /// <summary>
    /// Queues of one device run a kernel in ever wider grids, while other contexts build the same source: PoCL before 6.0 ended the process there.
    /// </summary>
    [Theory]
    [MemberData(nameof(Devices))]
    public async Task QueuesRunOneKernelInSeveralWidthsWhileOthersBuildIt(string name)
    {
        const int queues = 4, runs = 50, step = 8192;
        using var device = Open(name, null);
        var widths = 0;
        var widening = Task.WhenAll(Enumerable.Range(0, queues).Select(_ => Beside(Widen)));
        await Task.WhenAll(widening, Beside(Rebuild));

        void Widen()
        {
            for (var run = 0; run < runs; run++)
            {
                var n = Interlocked.Increment(ref widths);
                var values = new float[step * n];
                Array.Fill(values, n);
                var halves = DeviceRig.Run(device, Halves, [Rig.Bytes(values)], values.Length).Outputs[0];
                Assert.False(MemoryMarshal.Cast<byte, float>(halves).ContainsAnyExcept(n / 2f));
            }
        }

        void Rebuild()
        {
            while (!widening.IsCompleted)
            {
                using var other = Open(name, null);
                Assert.Equal(Rig.Bytes([0.5f]), DeviceRig.Run(other, Halves, [Rig.Bytes([1f])], 1).Outputs[0]);
            }
        }

        static Task Beside(Action work) => Task.Factory.StartNew(work, TestContext.Current.CancellationToken, TaskCreationOptions.LongRunning, TaskScheduler.Default);
    }

    [Theory]
    [InlineData("Portable Computing Language 3.1+debian", true)]
    [InlineData("Portable Computing Language 5.0", true)]
    [InlineData("Portable Computing Language 6.0", false)]
    [InlineData("Portable Computing Language 10.1", false)]
    [InlineData("Portable Computing Language HEAD", true)]
    [InlineData("NVIDIA CUDA 550.54", false)]
    public void DriversThatCantRunTwoKernelsAtOnceAreKnown(string driver, bool known) => Assert.Equal(known, OpenClDevice.MixesKernelsUp(driver));

    private static int Compiled(string name, string cache)
    {
        using var device = Open(name, cache);
        Assert.Equal(Rig.Bytes([0.5f]), DeviceRig.Run(device, Halves, [Rig.Bytes([1f])], 1).Outputs[0]);
        return device.Programs.Compiled;
    }

    private static RenderedDevice Open(string name, string? cache, long? memory = null)
    {
        Assert.SkipWhen(name == "(none)", $"no device: {DeviceCatalog.Missing()}");
        return (RenderedDevice)DeviceCatalog.Open(name, new DeviceOptions { CacheFolder = cache, Memory = memory });
    }
}
