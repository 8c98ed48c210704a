using System.Diagnostics.CodeAnalysis;

namespace Tva.Core.Checkpoints;

/// <summary>A dictionary in the order in which its keys were first set; keys are mostly texts or integers.</summary>
public sealed class PickleDictionary : PickleContainer
{
    // Most values of a hostile file may be empty dictionaries, so an empty one is small.
    private OrderedDictionary<PickleValue, PickleValue>? entries;

    internal PickleDictionary()
    {
    }

    /// <summary>Keys (<see cref="PickleText"/>, <see cref="PickleInteger"/>, sometimes others, which equal only themselves) with their values, in order.</summary>
    public IReadOnlyList<KeyValuePair<PickleValue, PickleValue>> Entries =>
        entries ?? (IReadOnlyList<KeyValuePair<PickleValue, PickleValue>>)[];

    internal override int Count => entries?.Count ?? 0;

    internal override PickleValue this[int index] => entries!.GetAt(index).Value;

    /// <summary>The value under a text key, or null.</summary>
    public PickleValue? Find(string key) => entries?.GetValueOrDefault(new PickleText(key));

    /// <inheritdoc/>
    public override string ToString() => $"a dictionary of {Count}";

    /// <summary>A key as a tensor's name shows it.</summary>
    internal static string Name(PickleValue key) => key is PickleText text ? text.Value : key is PickleInteger number ? $"{number.Value}" : $"{key}";

    internal void Set(PickleValue key, PickleValue value) => (entries ??= new(KeyComparer.Instance))[key] = value;

    /// <summary>Hashes are seeded for each process, so that no file can be made of keys that collide.</summary>
    private sealed class KeyComparer : IEqualityComparer<PickleValue>
    {
        public static readonly KeyComparer Instance = new();

        public bool Equals(PickleValue? x, PickleValue? y) => (x, y) switch
        {
            (PickleText a, PickleText b) => a.Value == b.Value,
            (PickleInteger a, PickleInteger b) => a.Value == b.Value,
            _ => ReferenceEquals(x, y),
        };

        public int GetHashCode([DisallowNull] PickleValue key) =>
            key is PickleText text ? text.Value.GetHashCode(StringComparison.Ordinal)
                : key is PickleInteger number ? HashCode.Combine(number.Value) : System.Runtime.CompilerServices.RuntimeHelpers.GetHashCode(key);
    }
}
