namespace Tva.Core.Bases;

/// <summary>What a basis is to be; the defaults are the published settings (arXiv 2502.01015).</summary>
public sealed record BasisOptions
{
    /// <summary>The method.</summary>
    public BasisMethod Method { get; init; } = BasisMethod.Ae;

    /// <summary>
    /// M, from 1 to the rank of G. When neither this nor <see cref="Error"/> is given, half the tasks (at most the rank), and for
    /// <see cref="BasisMethod.Cluster"/> the number of clusters that the largest eigengap shows.
    /// </summary>
    public int? Atoms { get; init; }

    /// <summary>
    /// Instead of <see cref="Atoms"/>: the least M whose worst task has a relative error ‖τ−τ̂‖/‖τ‖ of at most this.
    /// </summary>
    public double? Error { get; init; }

    /// <summary>Everything random follows from it.</summary>
    public long Seed { get; init; }

    /// <summary>
    /// Trainings from further draws of A, each with all steps, as long as the loss is more than 1 % above the spectral bound; the
    /// best is taken (ae, ae-linear). One is the published training, which about one time in ten is still on its way after its
    /// steps.
    /// </summary>
    public int Starts { get; init; } = 6;

    /// <summary>Steps of Adam (ae, ae-linear).</summary>
    public int Steps { get; init; } = 6000;

    /// <summary>Adam's learning rate.</summary>
    public double LearningRate { get; init; } = 0.01;

    /// <summary>Added to the gradient times the parameter, as torch.optim.Adam does.</summary>
    public double WeightDecay { get; init; } = 1e-6;

    /// <summary>What A is divided by; null is 5 for ae and 1 for ae-linear.</summary>
    public double? Temperature { get; init; }

    /// <summary>Every so many steps the temperature is multiplied by <see cref="AnnealFactor"/>; null is never.</summary>
    public int? AnnealEvery { get; init; }

    /// <summary>See <see cref="AnnealEvery"/>.</summary>
    public double AnnealFactor { get; init; } = 0.5;

    /// <summary>Annealing does not go below it.</summary>
    public double Floor { get; init; } = 0.1;

    /// <summary>In training W is a softmax over the atoms, so that each task is a convex combination of them.</summary>
    public bool SoftmaxDecoder { get; init; }

    /// <summary>
    /// <c>closed</c>: W* = (BᵀGB)⁺BᵀG. By name <c>trained</c> (ae, ae-linear: W as trained), <c>selection</c> (sample: a task
    /// that was not drawn becomes zero) or <c>membership</c> (cluster: a task becomes its cluster's mean). Null is closed, but
    /// trained with <see cref="SoftmaxDecoder"/>.
    /// </summary>
    public string? Decoder { get; init; }

    /// <summary>cluster: the atom is the <c>mean</c> or the <c>sum</c> of the cluster's tasks.</summary>
    public string Merge { get; init; } = "mean";

    /// <summary>The same with this M instead of what M was to follow from.</summary>
    public BasisOptions WithAtoms(int atoms) => this with { Atoms = atoms, Error = null };

    internal string DecoderOrDefault => Decoder ?? (SoftmaxDecoder ? "trained" : "closed");

    internal double TemperatureOrDefault => Temperature ?? (Method == BasisMethod.Ae ? 5 : 1);

    /// <summary>Of what does not depend on G.</summary>
    /// <exception cref="ArgumentException">A number out of range, an unknown name, or Atoms and Error together.</exception>
    internal void Check()
    {
        if (Atoms is not null && Error is not null)
        {
            throw new ArgumentException("either Atoms or Error, not both");
        }

        Positive(Starts, nameof(Starts));
        Positive(Steps, nameof(Steps));
        Positive(LearningRate, nameof(LearningRate));
        Positive(TemperatureOrDefault, nameof(Temperature));
        Positive(AnnealEvery ?? 1, nameof(AnnealEvery));
        Positive(AnnealFactor, nameof(AnnealFactor));
        Positive(Floor, nameof(Floor));
        Require(AnnealFactor <= 1, nameof(AnnealFactor), "at most 1");
        Require(WeightDecay >= 0 && double.IsFinite(WeightDecay), nameof(WeightDecay), "not negative");
        Require(Error is null || (Error >= 0 && double.IsFinite(Error.Value)), nameof(Error), "not negative");
        if (!Method.Decoders().Contains(DecoderOrDefault))
        {
            var decoders = string.Join(", ", Method.Decoders());
            throw new ArgumentException($"{Method.Name()} has no decoder '{DecoderOrDefault}', only {decoders}");
        }

        if (Merge is not ("mean" or "sum"))
        {
            throw new ArgumentException($"clusters merge by mean or sum, not '{Merge}'");
        }
    }

    private static void Positive(double value, string name) => Require(value > 0 && double.IsFinite(value), name, "positive");

    private static void Require(bool holds, string name, string what)
    {
        if (!holds)
        {
            throw new ArgumentOutOfRangeException(name, $"must be {what}");
        }
    }
}
