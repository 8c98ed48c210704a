using Tva.Core.Checkpoints;

namespace Tva.Core.Bases;

/// <summary>A basis read from a folder: what its members are called, and what they are made of.</summary>
public sealed record StoredBasis
{
    /// <summary>The folder.</summary>
    public required string Path { get; init; }

    /// <summary>The method's name, for instance <c>ae</c>.</summary>
    public required BasisMethod Method { get; init; }

    /// <summary>The T members' names.</summary>
    public required IReadOnlyList<string> Tasks { get; init; }

    /// <summary>The M atoms.</summary>
    public required IReadOnlyList<Checkpoint> Atoms { get; init; }

    /// <summary>What every member has in full besides its share of the atoms, or null.</summary>
    public Checkpoint? Mean { get; init; }

    /// <summary>Over what a set of coefficients holds: <c>all</c>, <c>layer</c> or <c>tensor</c>.</summary>
    public string By { get; init; } = "all";

    /// <summary>For each group its coefficients.</summary>
    public required IReadOnlyList<StoredGroup> Groups { get; init; }

    /// <summary>The fingerprint of the base that the tasks are measured from; null where the folder doesn't say.</summary>
    public string? BaseFingerprint { get; init; }

    /// <summary>Where the base was when the basis was made; null where the folder doesn't say.</summary>
    public string? BasePath { get; init; }

    /// <summary>By task ‖τ‖; null where the folder doesn't say.</summary>
    public IReadOnlyList<double>? Norms { get; init; }

    /// <summary>By task ‖τ − τ̂‖/‖τ‖.</summary>
    public IReadOnlyList<double>? RelativeErrors { get; init; }

    /// <summary>By task the cosine of τ and τ̂.</summary>
    public IReadOnlyList<double>? Cosines { get; init; }

    internal StoredBasis WithMean(Checkpoint mean) => this with { Mean = mean };

    /// <summary>Σ‖τ − τ̂‖²/Σ‖τ‖²; NaN where the folder doesn't say.</summary>
    public double Loss { get; init; } = double.NaN;

    /// <summary>What no basis of M atoms can go below; NaN where the folder doesn't say.</summary>
    public double Bound { get; init; } = double.NaN;
}

/// <summary>The numbers of one group: the whole model, a layer or a tensor.</summary>
/// <param name="Label">Empty for the whole model.</param>
/// <param name="Gram">T×T, of the tasks; null where the folder doesn't say.</param>
/// <param name="Encoder">T×M; null where the folder doesn't say, or where the atoms were not made of the tasks.</param>
/// <param name="Decoder">The coefficients, M×T; with a mean one row more, the last.</param>
public sealed record StoredGroup(string Label, double[,]? Gram, double[,]? Encoder, double[,] Decoder);
