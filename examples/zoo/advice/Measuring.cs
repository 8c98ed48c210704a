using System.Runtime.InteropServices;
using Tva.Core.Checkpoints;
using Zoo.Evaluator;

namespace Zoo.Advice;

/// <summary>Coefficients of tasks come in; the accuracies of base + Σ λτ go out.</summary>
internal sealed class Measuring
{
    private readonly Dictionary<string, Dictionary<string, float[]>> models = [];
    private readonly Checkpoint origin;
    private readonly Dictionary<string, ZooTask> tasks;

    public Measuring(string zoo, IReadOnlyList<string> names, string split)
    {
        tasks = Evaluation.Load(zoo, split).Where(t => names.Contains(t.Name)).ToDictionary(t => t.Name);
        origin = Checkpoint.Open(Path.Combine(zoo, "base.safetensors"));
        models["base"] = Read(origin);
        foreach (var name in names)
        {
            using var task = Checkpoint.Open(Path.Combine(zoo, "tasks", name + ".safetensors"));
            models[name] = Read(task);
        }
    }

    /// <summary>Accuracies on the tasks asked for, in their order.</summary>
    public double[] Accuracies(IReadOnlyList<(string Task, double Lambda)> terms, IReadOnlyList<string> on)
    {
        var tensors = origin.Tensors.Select(t =>
        {
            var start = models["base"][t.Name];
            var sum = (float[])start.Clone();
            foreach (var (task, lambda) in terms)
            {
                var end = models[task][t.Name];
                for (var i = 0; i < sum.Length; i++)
                {
                    sum[i] += (float)lambda * (end[i] - start[i]);
                }
            }

            return MemoryTensor.Of<float>(t.Name, t.DType, sum, t.Shape);
        });
        var found = Evaluation.Run(new MemoryCheckpoint("candidate", tensors), [.. on.Select(n => tasks[n])]);
        return [.. found.Select(f => f.Accuracy)];
    }

    private static Dictionary<string, float[]> Read(Checkpoint checkpoint) => checkpoint.Tensors.ToDictionary(t => t.Name, t =>
    {
        var bytes = new byte[t.Bytes];
        checkpoint.Read(t, 0, bytes);
        return MemoryMarshal.Cast<byte, float>(bytes).ToArray();
    });
}
