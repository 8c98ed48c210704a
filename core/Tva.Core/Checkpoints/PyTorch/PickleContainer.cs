namespace Tva.Core.Checkpoints;

/// <summary>What holds other values.</summary>
public abstract class PickleContainer : PickleValue
{
    private protected PickleContainer()
    {
    }

    /// <summary>
    /// Tensors in it and in what it holds, each time they are held, objects that hold storages among them; <see cref="long.MaxValue"/> stands
    /// for more.
    /// </summary>
    public long Tensors { get; internal set; }

    internal abstract int Count { get; }

    internal abstract PickleValue this[int index] { get; }

    /// <summary>Containers on the longest way down, itself included; 0 before it was measured, -1 while it is.</summary>
    internal int Depth { get; set; }
}
