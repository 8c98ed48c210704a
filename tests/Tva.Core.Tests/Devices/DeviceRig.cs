using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using Tva.Core.Devices;
using Tva.Core.Execution;
using Tva.Core.Kernels;
using Tva.Core.Tensors;
using Xunit;

namespace Tva.Core.Tests.Devices;

/// <summary>
/// The devices that the conformance suite runs on: every usable one there is, each as it is and, where it has float64, as if it had none.
/// Where there is none the suite is skipped, and says what to install.
/// </summary>
internal static unsafe class DeviceRig
{
    private const string None = "(none)";
    private const string Plain = " without float64";
    private const string Card = " as a card";

    private static readonly ConcurrentDictionary<string, Lazy<IBlockDevice>> Opened = new();

    /// <summary>Ids to run everything on.</summary>
    public static TheoryData<string> Devices => Names.Count == 0 ? [None] : [.. Names];

    /// <summary>All of them and, of processors, each as if it were a graphics card, whose work-items take several elements.</summary>
    public static TheoryData<string> DevicesAndCards =>
        Names.Count == 0 ? [None] : [.. Names.SelectMany(n => n.StartsWith("opencl:", StringComparison.Ordinal) && DeviceCatalog.Find(n).Kind == DeviceKind.Processor ? (string[])[n, n + Card] : [n])];

    /// <summary>Those with the CPU's bits.</summary>
    public static TheoryData<string> ExactDevices => Names.Where(Exact).ToList() is { Count: > 0 } exact ? [.. exact] : [None];

    /// <summary>For what adds up: those and, where they have float64, each as if it had none.</summary>
    public static TheoryData<string> DevicesBothWays =>
        Names.Count == 0 ? [None] : [.. DevicesAndCards.Select(n => n.Data), .. Names.Where(n => n.StartsWith("opencl:", StringComparison.Ordinal) && DeviceCatalog.Find(n).Fp64).Select(n => n + Plain)];

    private static IReadOnlyList<string> Names { get; } = [.. DeviceCatalog.Devices.Where(d => d.Unusable is null && !d.Id.StartsWith(FakeProvider.Prefix, StringComparison.Ordinal)).Select(d => d.Id)];

    /// <summary>A device, opened once.</summary>
    public static IBlockDevice Open(string name)
    {
        Assert.SkipWhen(name == None, $"no device: {DeviceCatalog.Missing()}");
        return name.EndsWith(Card, StringComparison.Ordinal) ? OpenAsCard(name[..^Card.Length]) : Opened.GetOrAdd(name, n => new(() => DeviceCatalog.Open(
            n.Replace(Plain, "", StringComparison.Ordinal), new DeviceOptions { WithoutFp64 = n.EndsWith(Plain, StringComparison.Ordinal), CacheFolder = null }))).Value;
    }

    /// <summary>The same device as if it were a graphics card, which is given products of whole matrices too.</summary>
    public static IBlockDevice OpenAsCard(string name)
    {
        Assert.SkipWhen(name == None, $"no device: {DeviceCatalog.Missing()}");
        return Opened.GetOrAdd(name + Card, _ => new(() => DeviceCatalog.Providers.First(p => p.Devices.Any(d => d.Id == name))
            .Open(DeviceCatalog.Find(name) with { Kind = DeviceKind.Gpu }, new DeviceOptions { CacheFolder = null }))).Value;
    }

    /// <summary>Whether sums have the CPU's bits.</summary>
    public static bool Exact(string name) => !name.EndsWith(Plain, StringComparison.Ordinal) && DeviceCatalog.Find(name.Replace(Card, "", StringComparison.Ordinal)).Exact;

    /// <summary>A program's outputs on a device, from bytes in memory.</summary>
    public static (byte[][] Outputs, bool Flagged) Run(IBlockDevice device, KernelProgram program, byte[][] inputs, int count, BlockParameter[]? parameters = null)
    {
        var block = new BlockProgram(program, [.. inputs.Select(_ => BlockSource.Memory)], [.. program.Outputs.Select(_ => true)], [], []);
        using var lane = device.Open(inputs.Sum(b => b.Length + 64L) + (program.Outputs.Sum(t => t.Size()) * (count + 64L)));
        var at = lane.Staging;
        var call = new BlockCall
        {
            Count = count,
            RowLength = count,
            Inputs = new BlockInput[inputs.Length],
            Parameters = parameters ?? [],
            Outputs = new nint[program.Outputs.Count],
            Flags = new bool[(count + BlockProgram.CellElements - 1) / BlockProgram.CellElements],
        };
        for (var i = 0; i < inputs.Length; i++)
        {
            call.Inputs[i].Host = at;
            inputs[i].AsSpan().CopyTo(new Span<byte>(at, inputs[i].Length));
            at += (inputs[i].Length + 63) / 64 * 64;
        }

        for (var o = 0; o < call.Outputs.Length; o++)
        {
            call.Outputs[o] = (nint)at;
            at += ((program.Outputs[o].Size() * (long)count) + 63) / 64 * 64;
        }

        lane.Run(device.Compile(block), call);
        return ([.. call.Outputs.Select((o, k) => new Span<byte>((void*)o, count * program.Outputs[k].Size()).ToArray())], call.Flags.Any(f => f));
    }

    /// <summary>Runs a plan on a device.</summary>
    public static RunResult Execute(IBlockDevice device, ExecutionPlan plan, RunOptions? options = null) =>
        Executor.Run(plan, options ?? Plans.Options, null, TestContext.Current.CancellationToken, new DeviceBackend(device));

    /// <summary>Asserts that float32 values have the same bits, all NaNs being one, or are near enough.</summary>
    public static void Same(ReadOnlySpan<byte> expected, ReadOnlySpan<byte> got, int ulps, Func<int, string> what)
    {
        if (ulps == 0 && expected.SequenceEqual(got))
        {
            return;
        }

        var x = MemoryMarshal.Cast<byte, int>(expected);
        var y = MemoryMarshal.Cast<byte, int>(got);
        Assert.Equal(x.Length, y.Length);
        for (var i = 0; i < x.Length; i++)
        {
            var far = Math.Abs((long)Ordered(x[i]) - Ordered(y[i]));
            var (a, b) = (BitConverter.Int32BitsToSingle(x[i]), BitConverter.Int32BitsToSingle(y[i]));
            Assert.True(x[i] == y[i] || (float.IsNaN(a) && float.IsNaN(b)) || (far <= ulps && !float.IsNaN(a) && !float.IsNaN(b)), $"{what(i)} is {a:r} on the CPU and {b:r} on the device");
        }

        static int Ordered(int bits) => bits < 0 ? -(bits & int.MaxValue) : bits;
    }
}
