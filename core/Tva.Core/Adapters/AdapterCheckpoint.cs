using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using Tva.Core.Checkpoints;
using Tva.Core.Tensors;

namespace Tva.Core.Adapters;

/// <summary>
/// A low-rank adapter (LoRA, arXiv 2106.09685) over a base, seen as a checkpoint of differences: the tensors of the base that it changes, in
/// float32, expanded as they are read. Reads and holds only the factors of the tensors that are at work.
/// </summary>
public sealed class AdapterCheckpoint : Checkpoint
{
    /// <summary>So many tensors' factors are held: more than there are threads, each of which is at one tensor.</summary>
    private const int Held = 32;

    private readonly Checkpoint origin;
    private readonly Dictionary<string, (AdapterTensor Change, TensorInfo Shown)> byName = new(StringComparer.Ordinal);
    private readonly List<TensorInfo> tensors = [];
    private readonly Dictionary<string, Lazy<Factors>> held = new(StringComparer.Ordinal);
    private readonly Queue<string> order = new();
    private readonly Lazy<string> fingerprint;
    private readonly bool isOwner;

    private AdapterCheckpoint(AdapterLayout layout, Checkpoint origin, List<AdapterTensor> changes, IReadOnlyList<string> unplaced, bool isOwner)
    {
        (Layout, this.origin, Unplaced, this.isOwner) = (layout, origin, unplaced, isOwner);
        foreach (var change in changes)
        {
            var place = change.Module?.Down ?? change.Instead ?? change.Added!;
            var shown = new TensorInfo(change.Base.Name, DType.F32, change.Base.Shape, place.File, place.Offset);
            tensors.Add(shown);
            byName.Add(shown.Name, (change, shown));
        }

        fingerprint = new(() => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(string.Join('\n', Identity())))));
    }

    /// <summary>The modules and the configuration.</summary>
    public AdapterLayout Layout { get; }

    /// <summary>Modules that the base has no tensor for.</summary>
    public IReadOnlyList<string> Unplaced { get; }

    /// <summary>What it does to which tensor, by name.</summary>
    public IEnumerable<AdapterTensor> Changes => tensors.Select(t => byName[t.Name].Change);

    /// <inheritdoc/>
    public override string Path => Layout.File.Path;

    /// <inheritdoc/>
    public override IReadOnlyList<string> Files => Layout.Config is { } c ? [.. Layout.File.Files, System.IO.Path.GetFullPath(c.Path)] : Layout.File.Files;

    /// <inheritdoc/>
    public override IReadOnlyList<TensorInfo> Tensors => tensors;

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, string> Metadata => Layout.File.Metadata;

    /// <inheritdoc/>
    public override string Fingerprint => fingerprint.Value;

    /// <summary>
    /// Lays an adapter over a base. Modules that the base lacks are listed in <see cref="Unplaced"/>, for the caller to judge.
    /// </summary>
    /// <param name="layout">The adapter.</param>
    /// <param name="origin">The base, which the caller keeps open.</param>
    /// <param name="isOwner">Whether the adapter's file is closed with this checkpoint.</param>
    /// <exception cref="FaultException">Shapes that don't fit the base's, or names that fit several places.</exception>
    public static AdapterCheckpoint Over(AdapterLayout layout, Checkpoint origin, bool isOwner = false)
    {
        var unplaced = new List<string>();
        return new AdapterCheckpoint(layout, origin, AdapterBinding.Bind(layout, origin, unplaced), unplaced, isOwner);
    }

    /// <inheritdoc/>
    public override TensorInfo? Find(string name) => byName.TryGetValue(name, out var found) ? found.Shown : null;

    /// <summary>What it does to a tensor, or null.</summary>
    public AdapterTensor? ChangeOf(string name) => byName.TryGetValue(name, out var found) ? found.Change : null;

    /// <inheritdoc/>
    public override long StoredBytes(TensorInfo tensor)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        var change = byName[tensor.Name].Change;
        return change.Stored + (change.Instead is null ? 0 : change.Base.Bytes);
    }

    /// <inheritdoc/>
    public override void Read(TensorInfo tensor, long byteOffset, Span<byte> destination)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        if (byteOffset % sizeof(float) == 0 && destination.Length % sizeof(float) == 0)
        {
            Read(byName[tensor.Name].Change, byteOffset / sizeof(float), MemoryMarshal.Cast<byte, float>(destination));
            return;
        }

        // Nobody reads parts of elements but a test.
        var first = byteOffset / sizeof(float);
        var whole = new float[((byteOffset + destination.Length + 3) / sizeof(float)) - first];
        Read(byName[tensor.Name].Change, first, whole);
        MemoryMarshal.AsBytes(whole.AsSpan()).Slice((int)(byteOffset - (first * sizeof(float))), destination.Length).CopyTo(destination);
    }

    /// <summary>The factors of a tensor for which they tell all.</summary>
    /// <exception cref="FaultException">The file can't be read.</exception>
    public Factors FactorsOf(string name)
    {
        Lazy<Factors>? found;
        lock (held)
        {
            if (!held.TryGetValue(name, out found))
            {
                var change = byName[name].Change;
                held.Add(name, found = new Lazy<Factors>(() => Load(change)));
                order.Enqueue(name);
                if (order.Count > Held)
                {
                    held.Remove(order.Dequeue());
                }
            }
        }

        return found.Value;
    }

    /// <inheritdoc/>
    public override void Prefetch(TensorInfo tensor, long byteOffset, long bytes)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        var change = byName[tensor.Name].Change;
        if (change.Module is { } m && byteOffset == 0)
        {
            Layout.File.Prefetch(m.Down, 0, m.Down.Bytes);
            Layout.File.Prefetch(m.Up, 0, m.Up.Bytes);
        }

        if (change.Instead is { } instead)
        {
            var (from, count) = (byteOffset / sizeof(float) * instead.DType.Size(), Math.Max(1, bytes / sizeof(float) * instead.DType.Size()));
            Layout.File.Prefetch(instead, from, count);
            origin.Prefetch(change.Base, byteOffset / sizeof(float) * change.Base.DType.Size(), Math.Max(1, bytes / sizeof(float) * change.Base.DType.Size()));
        }
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        if (isOwner)
        {
            Layout.File.Dispose();
        }
    }

    private IEnumerable<string> Identity()
    {
        yield return Layout.File.Fingerprint;
        foreach (var t in Changes)
        {
            yield return $"{t.Base.Name} {t.Kind} {t.Module?.Scale:R} {t.Instead?.Name} {t.Added?.Name} {t.AddedScale:R}";
        }

        if (Layout.Whole.Count > 0)
        {
            yield return origin.Fingerprint;
        }
    }

    private void Read(AdapterTensor change, long first, Span<float> destination)
    {
        if (change.Instead is { } instead)
        {
            StoredNumbers.Read(Layout.File, instead, first, destination);
            var part = new float[Math.Min(destination.Length, 1 << 16)];
            for (var at = 0; at < destination.Length; at += part.Length)
            {
                var count = Math.Min(part.Length, destination.Length - at);
                StoredNumbers.Read(origin, change.Base, first + at, part.AsSpan(0, count));
                for (var i = 0; i < count; i++)
                {
                    destination[at + i] -= part[i];
                }
            }

            if (change.Module is not null || change.Added is not null)
            {
                var more = new float[destination.Length];
                Read(change with { Instead = null }, first, more);
                for (var i = 0; i < more.Length; i++)
                {
                    destination[i] += more[i];
                }
            }
        }
        else if (change.Module is not null)
        {
            FactorsOf(change.Base.Name).Expand(first, destination);
        }
        else
        {
            StoredNumbers.Read(Layout.File, change.Added!, first, destination);
            var scale = (float)change.AddedScale;
            foreach (ref var x in destination)
            {
                x *= scale;
            }
        }
    }

    private Factors Load(AdapterTensor change)
    {
        var module = change.Module ?? throw new ArgumentException($"{change.Base.Name} has no factors");
        var factors = Layout.FactorsOf(module);
        return change.Kind is AdapterKind.Linear or AdapterKind.Convolution ? factors : factors.Transposed();
    }
}
