using Tva.Core.Checkpoints;
using Tva.Core.Matrices;

namespace Tva.Core.Execution;

/// <summary>What a run gave: numbers, and complete checkpoints that still lack their names. <see cref="Commit"/> or they are deleted.</summary>
public sealed class RunResult : IDisposable
{
    private readonly IReadOnlyList<ICheckpointWriter> writers;

    internal RunResult(IReadOnlyList<ICheckpointWriter> writers) => this.writers = writers;

    /// <summary>
    /// Values of the plan's results, in their order. Per scalar one number (All), one per layer in the order of
    /// <see cref="Layers"/>, one per plan tensor, or one per row of all plan tensors, one after the other. What nothing contributes
    /// to is 0; the smallest, the largest and a quantile of nothing are NaN.
    /// </summary>
    public required IReadOnlyList<double[]> Results { get; init; }

    /// <summary>The layers' numbers in order of first appearance; -1 stands for the tensors without one.</summary>
    public required IReadOnlyList<int> Layers { get; init; }

    /// <summary>Input tensors with NaN or infinity; with an output's path, results that overflowed from finite inputs.</summary>
    public required IReadOnlyList<NonFinite> NonFinite { get; init; }

    /// <summary>How well matrices were kept, in the order of steps, ops and tensors.</summary>
    public required IReadOnlyList<MatrixReport> Matrices { get; init; }

    /// <summary>The factors of matrix ops that are <see cref="MatrixOp.Kept"/>, by step, op and plan tensor.</summary>
    public required IReadOnlyDictionary<(int Step, int Matrix, int Tensor), LowRankFactors> Factors { get; init; }

    /// <summary>Bytes read from checkpoints.</summary>
    public required long BytesRead { get; init; }

    /// <summary>Bytes of tensors written.</summary>
    public required long BytesWritten { get; init; }

    /// <summary>How long the run took.</summary>
    public required TimeSpan Elapsed { get; init; }

    /// <summary>What outputs had before, of those that can tell; in the order of the plan's.</summary>
    public IReadOnlyList<OutputReport> Outputs => [.. writers.Select(w => w.Report).OfType<OutputReport>()];

    /// <summary>Waits for the disk and gives every output its final name.</summary>
    /// <exception cref="FaultException">The disk failed.</exception>
    public void Commit()
    {
        foreach (var writer in writers)
        {
            writer.Commit();
        }
    }

    /// <summary>Deletes what was not committed.</summary>
    public void Dispose()
    {
        foreach (var writer in writers)
        {
            writer.Dispose();
        }
    }
}
