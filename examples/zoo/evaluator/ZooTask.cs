using Tva.Core;
using Tva.Core.Checkpoints;
using Tva.Core.Tensors;

namespace Zoo.Evaluator;

/// <summary>The files of the heads and of a split come in; each task's frozen linear head, images and labels go out.</summary>
public sealed class ZooTask
{
    private readonly float[] weight;
    private readonly float[] bias;

    private ZooTask(string name, Checkpoint heads, Checkpoint split)
    {
        Name = name;
        var classes = heads.Require($"{name}.bias").Shape.Elements;
        bias = heads.Floats($"{name}.bias", classes);
        weight = heads.Floats($"{name}.weight", classes, Encoder.Width);
        Labels = Bytes(split, $"{name}.labels");
        Images = Bytes(split, $"{name}.images");
        if (Labels.Length == 0 || Images.Length != Labels.Length * Encoder.Side * Encoder.Side)
        {
            throw new FaultException($"{split.Path}: '{name}.images' and '{name}.labels' don't hold the same number of images; "
                + "take the file again from the repository");
        }
    }

    /// <summary>What it is called.</summary>
    public string Name { get; }

    /// <summary>Number of images.</summary>
    internal int Count => Labels.Length;

    internal byte[] Images { get; }

    internal byte[] Labels { get; }

    internal static IReadOnlyList<ZooTask> Load(string headsPath, string splitPath, string? only)
    {
        using var heads = Checkpoint.Open(headsPath);
        using var split = Checkpoint.Open(splitPath);
        const string Suffix = ".weight";
        var names = heads.Tensors.Select(t => t.Name)
            .Where(name => name.EndsWith(Suffix, StringComparison.Ordinal))
            .Select(name => name[..^Suffix.Length])
            .ToArray();
        if (only is not null && !names.Contains(only))
        {
            throw new FaultException($"{heads.Path}: no head for the task '{only}'; the tasks are {string.Join(", ", names)}");
        }

        return [.. names.Where(name => only is null || name == only).Select(name => new ZooTask(name, heads, split))];
    }

    /// <summary>The class with the highest logit; the first one among equals.</summary>
    internal int Classify(ReadOnlySpan<float> feature)
    {
        var best = 0;
        var bestLogit = float.NegativeInfinity;
        for (var c = 0; c < bias.Length; c++)
        {
            var logit = Logit(feature, c);
            if (logit > bestLogit)
            {
                (best, bestLogit) = (c, logit);
            }
        }

        return best;
    }

    /// <summary>The head's outputs, one for each class.</summary>
    internal float[] Logits(ReadOnlySpan<float> feature)
    {
        var logits = new float[bias.Length];
        for (var c = 0; c < logits.Length; c++)
        {
            logits[c] = Logit(feature, c);
        }

        return logits;
    }

    private float Logit(ReadOnlySpan<float> feature, int c)
    {
        var logit = bias[c];
        for (var i = 0; i < feature.Length; i++)
        {
            logit += feature[i] * weight[(c * feature.Length) + i];
        }

        return logit;
    }

    private static byte[] Bytes(Checkpoint checkpoint, string name)
    {
        var tensor = checkpoint.Require(name);
        if (tensor.DType != DType.U8)
        {
            throw new FaultException($"{checkpoint.Path}: tensor '{name}' is {tensor.DType.Name()}, expected U8");
        }

        var bytes = new byte[tensor.Bytes];
        checkpoint.Read(tensor, 0, bytes);
        return bytes;
    }
}
