using System.Globalization;
using Tva.Core.Devices;
using Tva.Core.Tensors;

namespace Tva.Core.Execution;

/// <summary>
/// Comes in: what a person says about where to compute: <c>cpu</c>, <c>auto</c>, <c>gpu</c>, or a device's number, id or name. Goes out: plans run
/// there. A device is opened when a plan first needs it, and stays open with what it holds for all that ask for it in this process.
/// </summary>
public sealed class DeviceChoice
{
    private static readonly Dictionary<(string Id, long? Memory), DeviceBackend> Opened = [];

    private readonly string name;
    private readonly long? memory;

    /// <summary>A choice; nothing is looked for yet.</summary>
    /// <param name="name">See the class.</param>
    /// <param name="memory">Bytes of device memory that may be taken; null: three quarters of it.</param>
    public DeviceChoice(string name, long? memory = null) => (this.name, this.memory) = (name, memory);

    /// <summary>Whether everything is computed by the worker threads, whatever there is.</summary>
    public bool IsCpu => name.Equals("cpu", StringComparison.OrdinalIgnoreCase);

    /// <summary>Whether it is left to the engine.</summary>
    public bool IsAuto => name.Equals("auto", StringComparison.OrdinalIgnoreCase);

    /// <summary>The device that is named; null where it is the processor, or left to the engine.</summary>
    /// <exception cref="DeviceFaultException">There is none of that name, or it can't be used.</exception>
    public DeviceInfo? Named => IsCpu || IsAuto ? null : DeviceCatalog.Find(name);

    /// <summary>Bytes of the named device's memory that operands take which stay there from one run to the next; 0 where it was not opened yet.</summary>
    /// <exception cref="DeviceFaultException">There is none of that name, or it can't be used.</exception>
    public long HeldBytes
    {
        get
        {
            lock (Opened)
            {
                return Named is { } named && Opened.TryGetValue((named.Id, memory), out var backend) ? backend.Held.Bytes : 0;
            }
        }
    }

    /// <summary>Where a plan is computed, and why there.</summary>
    /// <exception cref="DeviceFaultException">A named device can't be had.</exception>
    public (DeviceInfo? Device, string Reason) Decide(ExecutionPlan plan, int threads)
    {
        if (IsCpu)
        {
            return (null, "as asked for");
        }

        if (!IsAuto)
        {
            var named = Named!;
            var cost = DeviceCost.Of(plan, threads, (memory ?? named.Memory / 4 * 3) / 2);
            return (named, named.Kind != DeviceKind.Processor && cost.IsAllTransfer ? $"as asked for, though its cost is all transfer: {Text(cost)}" : "as asked for");
        }

        // Drivers take long to start: not before there is something for them to do.
        var least = DeviceCost.Of(plan, threads, long.MaxValue);
        if (least.IsAllTransfer)
        {
            return (null, $"its cost on a device is all transfer: {Text(least)}");
        }

        var gpu = DeviceCatalog.Devices.FirstOrDefault(d => d.Unusable is null && d.Kind == DeviceKind.Gpu);
        if (gpu is null)
        {
            return (null, DeviceCatalog.Devices.Count == 0 ? DeviceCatalog.Missing() : "no graphics card can be used");
        }

        var there = DeviceCost.Of(plan, threads, (memory ?? gpu.Memory / 4 * 3) / 2);
        return there.IsAllTransfer ? (null, $"its cost on {gpu.Name} is all transfer: {Text(there)}") : (gpu, $"it is worth the transfer: {Text(there)}");
    }

    /// <summary>What a plan does where, in lines for people; nothing where the processor was asked for.</summary>
    /// <exception cref="DeviceFaultException">A named device can't be had.</exception>
    public IReadOnlyList<string> Explain(ExecutionPlan plan, int threads)
    {
        if (IsCpu)
        {
            return [];
        }

        var (device, reason) = Decide(plan, threads);
        if (device is null)
        {
            return [$"computed on the cpu: {reason}"];
        }

        var backend = Backend(device);
        var lines = new List<string> { $"computed on {device.Name} ({device.Id}), with {Sizes.Text(backend.Device.Memory)} of its memory: {reason}" };
        if (!backend.Device.Info.Fp64)
        {
            lines.Add("it has no float64: sums are pairs of float32, good to 1e-9 of the sum of magnitudes");
        }

        lines.AddRange(Placement.OnProcessor(plan, backend.Device));
        return lines;
    }

    /// <summary>
    /// Runs a plan. Left to the engine, a device that can't do its part hands over to the processor as long as nothing has been written.
    /// Arguments and faults are those of <see cref="Executor.Run"/>.
    /// </summary>
    /// <param name="plan">The plan.</param>
    /// <param name="options">How to run it.</param>
    /// <param name="tell">Is told in words when the processor takes over.</param>
    /// <param name="progress">Who watches.</param>
    /// <param name="cancellation">Stops it.</param>
    /// <exception cref="DeviceFaultException">The device can't do its part, and was asked for by name or has written already.</exception>
    public RunResult Run(
        ExecutionPlan plan, RunOptions options, Action<string>? tell = null, IProgress<RunProgress>? progress = null, CancellationToken cancellation = default)
    {
        if (Decide(plan, options.Threads).Device is not { } device)
        {
            return Executor.Run(plan, options, progress, cancellation);
        }

        return RunOn(() => Backend(device), plan, options, IsAuto, () => Forget(device), tell, progress, cancellation);
    }

    /// <summary>Runs a plan on a device.</summary>
    /// <param name="device">Opens it.</param>
    /// <param name="plan">The plan.</param>
    /// <param name="options">How to run it.</param>
    /// <param name="stepIn">Whether the processor does it where the device can't and nothing has been written.</param>
    /// <param name="lost">Is called where the device is of no more use as it was opened.</param>
    /// <param name="tell">See <see cref="Run"/>.</param>
    /// <param name="progress">The same.</param>
    /// <param name="cancellation">The same.</param>
    internal static RunResult RunOn(
        Func<IBackend> device, ExecutionPlan plan, RunOptions options, bool stepIn, Action lost, Action<string>? tell, IProgress<RunProgress>? progress,
        CancellationToken cancellation)
    {
        try
        {
            return Executor.Run(plan, options, progress, cancellation, device());
        }
        catch (DeviceFaultException fault)
        {
            if (fault.Lost)
            {
                lost();
            }

            if (!stepIn || !fault.BeforeOutput)
            {
                throw;
            }

            tell?.Invoke($"the CPU computes instead: {fault.Message.ReplaceLineEndings(" ")}");
        }

        return Executor.Run(plan, options, progress, cancellation);
    }

    /// <summary>Whoever asks next opens it anew. What others still do with it comes to its end first; then it is closed.</summary>
    private void Forget(DeviceInfo device)
    {
        lock (Opened)
        {
            if (Opened.Remove((device.Id, memory), out var lost))
            {
                lost.Device.Dispose();
            }
        }
    }

    private DeviceBackend Backend(DeviceInfo device)
    {
        lock (Opened)
        {
            if (!Opened.TryGetValue((device.Id, memory), out var backend))
            {
                Opened.Add((device.Id, memory), backend = new DeviceBackend(DeviceCatalog.Open(device.Id, new DeviceOptions { Memory = memory })));
            }

            return backend;
        }
    }

    private static string Text(DeviceCost cost) => string.Create(CultureInfo.InvariantCulture,
        $"{Sizes.Text(cost.Transferred)} to move, {Time(cost.TransferSeconds)} at {Sizes.Text((long)DeviceCost.BusRate)} a second and as fast as threads read, where the processor takes {Time(cost.ProcessorSeconds)}");

    private static string Time(double seconds) =>
        seconds < 0.001 ? "under 1 ms" : seconds < 1 ? $"{Math.Round(seconds * 1e3)} ms" : string.Create(CultureInfo.InvariantCulture, $"{seconds:0.#} s");
}
