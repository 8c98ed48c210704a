using Tva.Core.Devices;
using Tva.Core.Devices.OpenCl;
using Tva.Core.Devices.Rendering;
using Tva.Core.Execution;
using Tva.Core.Kernels;
using Tva.Core.Tensors;
using Xunit;

namespace Tva.Core.Tests.Devices;

/// <summary>What is OpenCL's own: its programs' cache, its compiler's words, its memory's budget.</summary>
public class OpenClTests
{
    private static readonly KernelProgram Halves = new(
        [new(Code.Load, Index: 0), new(Code.Const, Value: 0.5f), new(Code.Apply, 0, 1, Index: Plans.Op("mul")), new(Code.Store, 2, Index: 0)], [DType.F32], [DType.F32], 0);

    [Fact]
    public void BinariesAreKeptAndDamagedOnesBuiltAnew()
    {
        using var folder = new TempFolder();
        var cache = Path.Combine(folder.Path, "kernels");
        Assert.Equal(1, Compiled(cache));
        Assert.Equal(0, Compiled(cache));
        var file = Assert.Single(Directory.GetFiles(cache));
        var good = File.ReadAllBytes(file);
        foreach (var damage in (Func<byte[]>[])[() => [], () => good[..(good.Length / 2)], () => [.. good[..^5], 1, 2, 3, 4, 5], () => new byte[100]])
        {
            File.WriteAllBytes(file, damage());
            Assert.Equal(1, Compiled(cache));
            Assert.Equal(0, Compiled(cache));
        }

        // A folder that can't be one.
        Assert.Equal(1, Compiled(Path.Combine(file, "below")));
        Assert.Equal([file], Directory.GetFiles(cache));
    }

    [Fact]
    public void ConstantsShareAProgramAndItIsBuiltOnce()
    {
        using var device = Open(null);
        foreach (var value in (float[])[0.5f, -3f, float.NaN])
        {
            var program = new KernelProgram([.. Halves.Instructions.Select(i => i.Code == Code.Const ? i with { Value = value } : i)], Halves.Inputs, Halves.Outputs, 0);
            var got = DeviceRig.Run(device, program, [Rig.Bytes([1f, 2f])], 2).Outputs[0];
            Assert.Equal(Rig.Run(Rig.Scalar, program, [Rig.Bytes([1f, 2f])], 2).Outputs[0], got);
        }

        Assert.Equal(1, device.Programs.Compiled);
    }

    [Fact]
    public void ACompilersRefusalHasItsWordsAndTheDevicesName()
    {
        using var device = Open(null);
        var message = Assert.Throws<DeviceFaultException>(() => device.Programs.Get("KERNEL void wrong(GLOBAL int* x) { x[0] = nothing_of_that_name; }")).Message;
        Assert.Contains(device.Info.Name, message);
        Assert.Contains("--device cpu", message);
        Assert.Contains("nothing_of_that_name", message);
    }

    [Fact]
    public void MemoryIsCountedAndItsEndIsTold()
    {
        using var device = Open(null, 1 << 20);
        using (device.Hold(900 << 10))
        {
            Assert.Null(device.Hold(200 << 10));
            var values = Rig.Bytes(new float[100000]);
            var message = Assert.Throws<DeviceFaultException>(() => DeviceRig.Run(device, Halves, [values], 100000)).Message;
            Assert.Contains("--device-memory", message);
            Assert.Contains(device.Info.Name, message);
        }

        device.Trim();
        Assert.Equal(0, device.Taken);
        Assert.Equal(Rig.Bytes(new float[1000]), DeviceRig.Run(device, Halves, [Rig.Bytes(new float[1000])], 1000).Outputs[0]);
        device.Trim();
        Assert.Equal(0, device.Taken);
    }

    /// <summary>The same source for the same plan: what the cache is asked by.</summary>
    [Fact]
    public void SourcesDependOnTheProgramAlone()
    {
        var block = new BlockProgram(Halves, [BlockSource.Memory], [true], [new(ReduceKind.Sum, 0)], []);
        Assert.Equal(Renderer.Render(block, true).Source, Renderer.Render(block with { }, true).Source);
        Assert.NotEqual(Renderer.Render(block, true).Source, Renderer.Render(block with { Cells = [] }, true).Source);
    }

    [Fact]
    public void A_division_by_zero_is_still_an_exception()
    {
        using var device = Open(null);
        var zero = device.GetHashCode() & 0;
        Assert.Throws<DivideByZeroException>(() => 1 / zero);
    }

    private static int Compiled(string cache)
    {
        using var device = Open(cache);
        Assert.Equal(Rig.Bytes([0.5f]), DeviceRig.Run(device, Halves, [Rig.Bytes([1f])], 1).Outputs[0]);
        return device.Programs.Compiled;
    }

    private static OpenClDevice Open(string? cache, long? memory = null)
    {
        var info = new OpenClProvider().Devices.FirstOrDefault(d => d.Unusable is null);
        Assert.SkipWhen(info is null, $"no device: {new OpenClProvider().Missing}");
        return (OpenClDevice)new OpenClProvider().Open(info!, new DeviceOptions { CacheFolder = cache, Memory = memory });
    }
}
