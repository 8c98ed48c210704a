namespace Tva.Core.Checkpoints;

/// <summary>A list, tuple, set or torch.Size.</summary>
public sealed class PickleList : PickleContainer
{
    // No List: most values of a hostile file may be tuples of one, so they are small.
    private PickleValue[] items = [];
    private int count;

    internal PickleList(bool tuple) => IsTuple = tuple;

    internal PickleList(ReadOnlySpan<PickleValue> tuple)
    {
        IsTuple = true;
        items = tuple.ToArray();
        count = items.Length;
    }

    /// <summary>Whether it is a tuple.</summary>
    public bool IsTuple { get; }

    /// <summary>The values in order.</summary>
    public IReadOnlyList<PickleValue> Items => new ArraySegment<PickleValue>(items, 0, count);

    internal ReadOnlySpan<PickleValue> Span => items.AsSpan(0, count);

    internal override int Count => count;

    internal override PickleValue this[int index] => items[index];

    /// <inheritdoc/>
    public override string ToString() => $"a {(IsTuple ? "tuple" : "list")} of {count}";

    internal void Add(ReadOnlySpan<PickleValue> more)
    {
        if (more.Length > items.Length - count)
        {
            Array.Resize(ref items, Math.Max(2 * items.Length, count + more.Length));
        }

        more.CopyTo(items.AsSpan(count));
        count += more.Length;
    }
}
