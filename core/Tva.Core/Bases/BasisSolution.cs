namespace Tva.Core.Bases;

/// <summary>
/// A basis: atoms S = V·Encoder (d×M), and the tasks as they come back, S·Decoder (plus the mean when it has one).
/// </summary>
/// <param name="Encoder">B, T×M: the atoms as combinations of the tasks.</param>
/// <param name="Decoder">W, M×T: the tasks as combinations of the atoms.</param>
/// <param name="HasMean">pca: the mean of the tasks is kept as well and added to every task.</param>
/// <param name="Rank">Numerical rank of G: how many of the tasks are linearly independent.</param>
/// <param name="TrainedLoss">ae, ae-linear: Σ‖τ−τ̂‖²/Σ‖τ‖² with W as trained, whichever decoder was asked for.</param>
/// <param name="Selected">sample: the tasks drawn, in the order of the atoms.</param>
/// <param name="Clusters">cluster: per task the number of its cluster, which is that of its atom.</param>
public sealed record BasisSolution(
    double[,] Encoder,
    double[,] Decoder,
    bool HasMean,
    int Rank,
    double? TrainedLoss = null,
    int[]? Selected = null,
    int[]? Clusters = null)
{
    /// <summary>T.</summary>
    public int Tasks => Encoder.GetLength(0);

    /// <summary>M.</summary>
    public int Atoms => Encoder.GetLength(1);

    /// <summary>Vectors to keep: M, and one more with a mean.</summary>
    public int Kept => Atoms + (HasMean ? 1 : 0);

    /// <summary>The T×T matrix R for which the tasks come back as V·R: BW, and 1/T everywhere more with a mean.</summary>
    public double[,] Reconstruction()
    {
        var product = Dense.Multiply(Encoder, Decoder);
        if (HasMean)
        {
            Dense.Map(product, x => x + (1.0 / Tasks));
        }

        return product;
    }
}
