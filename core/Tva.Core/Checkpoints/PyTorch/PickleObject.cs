namespace Tva.Core.Checkpoints;

/// <summary>
/// What Python would have made by calling a name that isn't known here: never made, only what it would be made from. A module that was saved
/// whole is one.
/// </summary>
public sealed class PickleObject : PickleContainer
{
    private readonly PickleValue? arguments;
    private PickleValue? state;
    private PickleValue[] items = [];
    private int count;

    internal PickleObject(string name, PickleValue? arguments)
    {
        Name = name;
        this.arguments = arguments;
        if (arguments is PickleList list)
        {
            foreach (var value in list.Span)
            {
                HoldsStorage |= value is PickleStorage;
            }
        }
    }

    /// <summary>The name that would be called, or the class, for instance <c>torch.nn.modules.linear.Linear</c>.</summary>
    public string Name { get; }

    /// <summary>What its attributes would be set from: mostly a dictionary.</summary>
    public PickleValue? State => state;

    /// <summary>Whether it would be made from a storage, as tensors are that can't be read without calling something.</summary>
    internal bool HoldsStorage { get; }

    internal override int Count => 2 + count;

    internal override PickleValue this[int index] => index switch
    {
        0 => arguments ?? PickleNothing.Instance,
        1 => state ?? PickleNothing.Instance,
        _ => items[index - 2],
    };

    /// <summary>The attribute of that name, where its state is a dictionary (or begins with one), or null.</summary>
    public PickleValue? Find(string attribute) => Attributes?.Find(attribute);

    /// <inheritdoc/>
    public override string ToString() => $"an object of {Quoted.Name(Name)}";

    internal PickleDictionary? Attributes => state as PickleDictionary ?? (state is PickleList { Span: [PickleDictionary first, ..] } ? first : null);

    /// <summary>Sets its state; an earlier one stays as something it holds.</summary>
    internal void SetState(PickleValue value)
    {
        if (state is not null)
        {
            Add([state]);
        }

        state = value;
    }

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

/// <summary>Bytes, or an integer of more than 64 bits: nothing a tensor needs.</summary>
public sealed class PickleBlob : PickleValue
{
    internal PickleBlob(long bytes) => Bytes = bytes;

    /// <summary>How many there are.</summary>
    public long Bytes { get; }

    /// <inheritdoc/>
    public override string ToString() => $"{Bytes} bytes";
}
