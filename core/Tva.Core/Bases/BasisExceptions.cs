namespace Tva.Core.Bases;

/// <summary>
/// The tasks themselves stand against the basis that was asked for; members are named by index, the front has their names.
/// </summary>
public abstract class BasisException(string message) : Exception(message);

/// <summary>More atoms than the tasks have linearly independent directions.</summary>
/// <param name="rank">How many they have (around their mean, for pca): the most atoms that can be asked for.</param>
/// <param name="zero">Tasks that are zero everywhere.</param>
/// <param name="equal">Pairs of equal tasks, each with the first that it equals.</param>
/// <param name="dependent">Further tasks that are combinations of others.</param>
public sealed class BasisRankException(int rank, int[] zero, (int First, int Second)[] equal, int[] dependent)
    : BasisException(Text(rank, zero, equal, dependent))
{
    /// <summary>The most atoms that can be asked for.</summary>
    public int Rank { get; } = rank;

    /// <summary>Tasks that are zero everywhere.</summary>
    public IReadOnlyList<int> Zero { get; } = zero;

    /// <summary>Pairs of equal tasks.</summary>
    public IReadOnlyList<(int First, int Second)> Equal { get; } = equal;

    /// <summary>Tasks that are combinations of others, beyond those above.</summary>
    public IReadOnlyList<int> Dependent { get; } = dependent;

    private static string Text(int rank, int[] zero, (int First, int Second)[] equal, int[] dependent)
    {
        var found = zero.Select(t => $"task {t} is zero")
            .Concat(equal.Select(p => $"tasks {p.First} and {p.Second} are equal"))
            .Concat(dependent.Select(t => $"task {t} is a combination of others"));
        return $"rank {rank}: {string.Join(", ", found.DefaultIfEmpty("no more directions"))}; at most {rank} atoms";
    }
}

/// <summary>NaN or infinity in G.</summary>
/// <param name="members">The tasks whose own norm is not finite; if every norm is, those with a product that is not.</param>
public sealed class BasisNonFiniteException(int[] members)
    : BasisException($"NaN or infinity in task {string.Join(", ", members)}")
{
    /// <summary>The tasks that it comes from.</summary>
    public IReadOnlyList<int> Members { get; } = members;
}

/// <summary>Training left the finite numbers: the learning rate is too high.</summary>
public sealed class BasisDivergedException()
    : BasisException("training diverged; a lower learning rate may help");

/// <summary>No number of atoms brings every task's error down to what was asked for.</summary>
/// <param name="reached">The least worst relative error of any number of atoms.</param>
/// <param name="atoms">That number.</param>
public sealed class BasisUnreachedException(double reached, int atoms)
    : BasisException($"the worst task's relative error is {reached:g4} at best, with {atoms} atoms")
{
    /// <summary>The least worst relative error.</summary>
    public double Reached { get; } = reached;

    /// <summary>With so many atoms.</summary>
    public int Atoms { get; } = atoms;
}
