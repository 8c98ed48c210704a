using Tva.Core.Devices.Rendering;
using Tva.Core.Tensors;

namespace Tva.Core.Devices.Rendered;

/// <summary>
/// A device that runs rendered kernels, whatever its driver. Comes in: programs and blocks. Goes out: them compiled, once each, and queues that do
/// them; and how much of its memory is taken. A driver gives memory, queues and a compiler; the rest is here.
/// </summary>
internal abstract class RenderedDevice : IBlockDevice
{
    /// <summary>How long lanes are kept for the next run.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    private readonly Dictionary<BlockProgram, RenderedKernel> kernels = new(ProgramComparer.Instance);
    private readonly List<RenderedLane> idle = [];
    private readonly Lock gate = new();
    private readonly Timer quiet;
    private long taken;
    private int lanesOut;
    private bool disposed;

    /// <summary>Sets it up; the driver opens it.</summary>
    protected RenderedDevice(DeviceInfo info, DeviceOptions options)
    {
        Info = info;
        Memory = Math.Min(options.Memory ?? info.Memory / 4 * 3, info.Memory);
        Programs = new ProgramCache(this, options.CacheFolder);
        quiet = new Timer(_ => Trim());
    }

    /// <inheritdoc/>
    public DeviceInfo Info { get; }

    /// <inheritdoc/>
    public long Memory { get; }

    /// <summary>Whether sums are in float64.</summary>
    public bool Fp64 => Info.Fp64;

    /// <summary>Bytes of device memory that buffers take now.</summary>
    public long Taken
    {
        get
        {
            lock (gate)
            {
                return taken;
            }
        }
    }

    /// <summary>Its compiled programs.</summary>
    public ProgramCache Programs { get; }

    /// <summary>The kernels that do not depend on a plan.</summary>
    public nint Standard => Programs.Get(StandardKernels.Source);

    /// <inheritdoc/>
    public bool Multiplies => Info.Exact;

    /// <summary>What goes before every source.</summary>
    public abstract string Prelude { get; }

    /// <summary>All that a program depends on beside its source: options, the driver, the device.</summary>
    public abstract string Toolchain { get; }

    /// <summary>Bytes that one buffer may have.</summary>
    protected abstract long LargestBuffer { get; }

    /// <summary>Work-items that a group may have.</summary>
    protected abstract int LargestGroup { get; }

    /// <summary>Bytes of arguments that a kernel may have.</summary>
    protected abstract long ParameterBytes { get; }

    /// <summary>A queue of its own.</summary>
    /// <exception cref="DeviceFaultException">The driver refuses.</exception>
    public abstract DeviceQueue OpenQueue();

    /// <summary>Memory of the device; 0 where the driver has none left.</summary>
    /// <exception cref="DeviceFaultException">Something else is wrong.</exception>
    public abstract nint Allocate(long bytes);

    /// <summary>Gives it back.</summary>
    public abstract void Free(nint memory);

    /// <summary>Compiles a source, prelude included.</summary>
    /// <returns>The program, and what <see cref="Load"/> takes; null where the driver does not give it.</returns>
    /// <exception cref="DeviceFaultException">It does not compile: see <see cref="Refused"/>.</exception>
    public abstract (nint Program, byte[]? Binary) Build(string source);

    /// <summary>A program from what <see cref="Build"/> gave; 0 where the driver does not take it.</summary>
    public abstract nint Load(ReadOnlySpan<byte> binary);

    /// <summary>Gives a program back.</summary>
    public abstract void Unload(nint program);

    /// <inheritdoc/>
    public string? Refusal(BlockProgram program)
    {
        var streams = program.Sources.Sum(s => s == BlockSource.Product ? 4 : 1) + program.Kept.Count(k => k);
        return (streams * sizeof(long)) + 64 > ParameterBytes
            ? $"it works on {streams} streams at once, and the device takes no more than {(ParameterBytes - 64) / sizeof(long)}"
            : null;
    }

    /// <inheritdoc/>
    public IBlockKernel Compile(BlockProgram program)
    {
        lock (kernels)
        {
            if (kernels.TryGetValue(program, out var known))
            {
                return known;
            }
        }

        var rendered = Renderer.Render(program, Info.Kind == DeviceKind.Processor ? 0 : LargestGroup);
        var kernel = new RenderedKernel(program, rendered, Programs.Get(rendered.Source));
        lock (kernels)
        {
            kernels[program] = kernel;
        }

        return kernel;
    }

    /// <summary>A lane: one that nobody uses any more, where there is one of this size, because memory to copy from takes long to get.</summary>
    /// <inheritdoc/>
    public IBlockLane Open(long staging)
    {
        RenderedLane? kept;
        lock (gate)
        {
            if (disposed)
            {
                throw new DeviceFaultException($"{Info.Name} ({Info.Id}): it was lost and closed while another run had it; run this one again") { Lost = true };
            }

            kept = idle.Where(l => l.StagingBytes >= staging).MinBy(l => l.StagingBytes);
            _ = kept is not null && idle.Remove(kept);
            lanesOut++;
        }

        try
        {
            if (kept is null)
            {
                Trim();
                kept = new RenderedLane(this, staging);
            }
        }
        catch
        {
            Left();
            throw;
        }

        kept.Taken = true;
        return kept;
    }

    /// <summary>A lane is not used any more: it is kept for whoever opens the next one, unless something went wrong on it.</summary>
    public void Leave(RenderedLane lane)
    {
        // Where memory is scarce, whatever a lane once needed may be what the next run's blocks want elsewhere.
        if (!lane.Failed && Taken > Memory / 4)
        {
            lane.Empty();
        }

        bool keep;
        lock (gate)
        {
            keep = !disposed && !lane.Failed;
            if (keep)
            {
                idle.Add(lane);
                quiet.Change(Patience, Timeout.InfiniteTimeSpan);
            }
        }

        if (!keep)
        {
            lane.Release();
        }

        Left();
    }

    private void Left()
    {
        bool last;
        lock (gate)
        {
            last = --lanesOut == 0 && disposed;
        }

        if (last)
        {
            End();
        }
    }

    /// <summary>Gives back what idle lanes have.</summary>
    /// <returns>Whether there were any.</returns>
    public bool Trim()
    {
        RenderedLane[] dropped;
        lock (gate)
        {
            dropped = [.. idle];
            idle.Clear();
        }

        foreach (var lane in dropped)
        {
            lane.Release();
        }

        return dropped.Length > 0;
    }

    /// <inheritdoc/>
    public IHeld? Hold(long bytes) => Take(bytes);

    /// <summary>A buffer; null where there is no room for it.</summary>
    public DeviceBuffer? Take(long bytes)
    {
        if (bytes > LargestBuffer)
        {
            return null;
        }

        // What idle lanes have is there for whoever needs it.
        for (var turn = 0; turn < 2; turn++)
        {
            if (TryTake(bytes))
            {
                nint memory = 0;
                try
                {
                    memory = Allocate(bytes);
                }
                finally
                {
                    if (memory == 0)
                    {
                        Return(bytes);
                    }
                }

                if (memory != 0)
                {
                    return new DeviceBuffer(this, memory, bytes);
                }
            }

            if (turn == 0 && !Trim())
            {
                return null;
            }
        }

        return null;
    }

    /// <summary>Gives a buffer's share of the budget back.</summary>
    public void Return(long bytes)
    {
        lock (gate)
        {
            taken -= bytes;
        }
    }

    /// <summary>What a person is told when a call failed.</summary>
    /// <param name="error">The error's name.</param>
    /// <param name="doing">What was to be done with the device, as in "can't ... it".</param>
    /// <param name="memory">Whether it looks like too little memory.</param>
    /// <param name="lost">Whether the device is of no more use as it was opened.</param>
    public DeviceFaultException Failed(string error, string doing, bool memory, bool lost)
    {
        var way = memory
            ? $"give it less with {Wording.Current.DeviceMemory} (now {Sizes.Text(Memory)}), or compute with {Wording.Current.Cpu}"
            : $"if it goes on, restart what drives it; meanwhile compute with {Wording.Current.Cpu}";
        return new DeviceFaultException($"{Info.Name} ({Info.Id}): can't {doing}: {error}; {way}") { Lost = lost };
    }

    /// <summary>What a person is told when a kernel does not compile.</summary>
    protected DeviceFaultException Refused(string error, string log)
    {
        log = log.TrimEnd('\0', '\n', ' ');
        return new DeviceFaultException(
            $"{Info.Name} ({Info.Id}): its compiler refuses a kernel ({error}); update its driver ({Info.Driver}), or compute "
            + $"with {Wording.Current.Cpu}. The compiler says:\n{(log.Length > 2000 ? log[..2000] + "..." : log.Length == 0 ? "(nothing)" : log)}");
    }

    /// <summary>Closes it; where lanes are still out, once the last of them is left.</summary>
    /// <inheritdoc/>
    public void Dispose()
    {
        bool last;
        lock (gate)
        {
            last = !disposed && lanesOut == 0;
            disposed = true;
        }

        if (last)
        {
            End();
        }
    }

    private void End()
    {
        quiet.Dispose();
        Trim();
        Programs.Dispose();
        Close();
    }

    /// <summary>Closes it at the driver; everything else is gone.</summary>
    protected abstract void Close();

    private bool TryTake(long bytes)
    {
        lock (gate)
        {
            if (taken + bytes > Memory)
            {
                return false;
            }

            taken += bytes;
            return true;
        }
    }

    /// <summary>Programs are compared by what they hold, not by their lists.</summary>
    private sealed class ProgramComparer : IEqualityComparer<BlockProgram>
    {
        public static ProgramComparer Instance { get; } = new();

        public bool Equals(BlockProgram? a, BlockProgram? b) =>
            ReferenceEquals(a, b) || (a is not null && b is not null && a.Program.Equals(b.Program) && a.Sources.SequenceEqual(b.Sources)
                && a.Kept.SequenceEqual(b.Kept) && a.Cells.SequenceEqual(b.Cells) && a.Rows.SequenceEqual(b.Rows));

        public int GetHashCode(BlockProgram program) => program.Program.GetHashCode();
    }
}

/// <summary>A compiled program.</summary>
internal sealed class RenderedKernel(BlockProgram program, RenderedProgram rendered, nint handle) : IBlockKernel
{
    public BlockProgram Program => program;

    public RenderedProgram Rendered => rendered;

    /// <summary>The driver's program.</summary>
    public nint Handle => handle;
}

/// <summary>A buffer of device memory, counted against its budget.</summary>
internal sealed class DeviceBuffer(RenderedDevice device, nint handle, long bytes) : IHeld
{
    private nint handle = handle;

    ~DeviceBuffer() => Release();

    public long Bytes => bytes;

    public nint Handle => handle;

    public void Dispose()
    {
        Release();
        GC.SuppressFinalize(this);
    }

    private void Release()
    {
        var h = Interlocked.Exchange(ref handle, 0);
        if (h != 0)
        {
            device.Free(h);
            device.Return(bytes);
        }
    }
}
