using Tva.Core.Checkpoints;
using Tva.Core.Tensors;

namespace Tva.Fuzz;

/// <summary>
/// One kind of hostile input: how inputs are made and what takes them. An input follows from its number alone, so a number reproduces it.
/// Each worker has a target of its own with a folder of its own.
/// </summary>
public abstract class Target(string folder)
{
    /// <summary>Where this worker puts its files.</summary>
    protected string Folder { get; } = folder;

    /// <summary>Makes an input.</summary>
    public abstract byte[] Make(Random random);

    /// <summary>Hands the input to the product. Only a <see cref="Core.FaultException"/> or a diagnostic may come of it.</summary>
    /// <returns>Whether it was taken as good.</returns>
    /// <exception cref="Core.FaultException">The input was refused.</exception>
    public abstract bool Run(byte[] input);

    /// <summary>Puts a file into the folder.</summary>
    protected string Put(string name, byte[] content)
    {
        string path = Path.Combine(Folder, name);
        File.WriteAllBytes(path, content);
        return path;
    }

    /// <summary>Opens a checkpoint, holds it against what must be true of each, and reads parts of some tensors.</summary>
    protected static bool Use(string path)
    {
        const int most = 8;
        using var checkpoint = Checkpoint.Open(path);
        var buffer = new byte[4096];
        int read = 0;
        foreach (var tensor in checkpoint.Tensors)
        {
            Require(tensor.Shape.Elements >= 0 && tensor.Bytes >= 0 && tensor.Offset >= 0, "a tensor has less than nothing");
            Require(ReferenceEquals(checkpoint.Find(tensor.Name), tensor), "a tensor isn't found by its name");
            Require(tensor.File >= 0 && tensor.File < checkpoint.Files.Count, "a tensor is in no file");
            if (read++ < most)
            {
                int count = (int)Math.Min(tensor.Bytes, buffer.Length);
                checkpoint.Prefetch(tensor, 0, count);
                checkpoint.Read(tensor, 0, buffer.AsSpan(0, count));
                checkpoint.Read(tensor, tensor.Bytes - count, buffer.AsSpan(0, count));
                int size = tensor.DType.Size();
                checkpoint.Read(tensor, tensor.Bytes / 2 / size * size, buffer.AsSpan(0, Math.Min(count / 2, size)));
            }
        }

        Require(checkpoint.Fingerprint.Length == 64 && checkpoint.Notes.Count < 100 && checkpoint.Metadata.Count >= 0, "its facts are missing");
        return true;
    }

    /// <summary>What must hold of everything that is accepted.</summary>
    protected static void Require(bool holds, string otherwise)
    {
        if (!holds)
        {
            throw new InvalidOperationException(otherwise);
        }
    }
}
