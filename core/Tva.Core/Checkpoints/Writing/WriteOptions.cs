namespace Tva.Core.Checkpoints;

/// <summary>What a writer of files is told besides the tensors.</summary>
internal sealed record WriteOptions
{
    /// <summary>Per tensor a fingerprint of how it is computed and from what; null: nothing is recorded of the tensors.</summary>
    public IReadOnlyList<ulong>? Plans { get; init; }

    /// <summary>Go on with what a run that was stopped has left, and leave what is done if this one stops.</summary>
    public bool Resume { get; init; }

    /// <summary>Take tensors that are computed as before from the output that is there.</summary>
    public bool Incremental { get; init; }

    /// <summary>The input files as they are now: their sizes and times. What was half-written over others is not gone on with.</summary>
    public string Inputs { get; init; } = "";

    /// <summary>
    /// When the inputs last changed, of those whose fingerprint the output that is there names: a fingerprint looks at samples, so an output
    /// older than its inputs is made anew. Nanoseconds since 1970.
    /// </summary>
    public Func<string, long> ChangedSince { get; init; } = _ => 0;

    /// <summary>Called when all is on the disk but the name: throws where the inputs are not what they were.</summary>
    public Action RequireInputs { get; init; } = () => { };
}

/// <summary>What became of an output that had parts there already.</summary>
/// <param name="Path">The output.</param>
/// <param name="Tensors">How many tensors it has.</param>
/// <param name="Resumed">How many a stopped run had finished.</param>
/// <param name="Reused">How many were taken from the output that was there.</param>
/// <param name="Unchanged">Whether it was there as a whole, so that nothing was written.</param>
/// <param name="Restarted">Why a stopped run's work could not be used, or null.</param>
public sealed record OutputReport(string Path, int Tensors, int Resumed, int Reused, bool Unchanged, string? Restarted);
