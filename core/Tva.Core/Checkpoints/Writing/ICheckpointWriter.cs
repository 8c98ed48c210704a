using Tva.Core.Tensors;

namespace Tva.Core.Checkpoints;

/// <summary>
/// Takes the bytes of a checkpoint's tensors in any order. What it makes of them is complete once <see cref="Commit"/> returns, and gone
/// when it is disposed of before.
/// </summary>
public interface ICheckpointWriter : IDisposable
{
    /// <summary>What the output is called: a path, or the name that it was asked for under.</summary>
    string Path { get; }

    /// <summary>Size of the whole output in bytes.</summary>
    long Bytes { get; }

    /// <summary>Whether it needs none of a tensor's bytes: an earlier run has brought them. Told before the first byte.</summary>
    bool Has(int tensor) => false;

    /// <summary>What it had before, or null where that is no question.</summary>
    OutputReport? Report => null;

    /// <summary>Takes bytes of a tensor (its number in the list given) from <paramref name="byteOffset"/>, relative to the tensor. Called from several threads at once.</summary>
    void Write(int tensor, long byteOffset, ReadOnlySpan<byte> source);

    /// <summary>Every byte has come: makes the output final.</summary>
    void Commit();
}

/// <summary>
/// Asked once for each output of a run, before the first byte: who takes it, or null for a file at that path. An exception ends the run
/// before anything is written.
/// </summary>
/// <param name="path">The path or name that the output was asked for under.</param>
/// <param name="tensors">Its tensors, in the order of their numbers.</param>
/// <param name="metadata">What a file's header would hold besides.</param>
public delegate ICheckpointWriter? OutputTarget(
    string path, IReadOnlyList<(string Name, DType DType, Shape Shape)> tensors, IReadOnlyDictionary<string, string> metadata);
