using Tva.Core;
using Tva.Core.Checkpoints;

namespace Zoo.Evaluator;

/// <summary>A model's path and the zoo's folder come in; each task's share of rightly classified images goes out.</summary>
public static class Evaluation
{
    private const int ImageBytes = Encoder.Side * Encoder.Side;

    /// <summary>The tasks' images, labels and heads.</summary>
    /// <param name="zoo">The folder with <c>heads.safetensors</c> and <c>SPLIT.safetensors</c>.</param>
    /// <param name="split"><c>test</c> or <c>val</c>.</param>
    /// <param name="only">The one task to run; all of them when null.</param>
    /// <exception cref="FaultException">A file is missing or broken.</exception>
    public static IReadOnlyList<ZooTask> Load(string zoo, string split, string? only = null) =>
        ZooTask.Load(Path.Combine(zoo, "heads.safetensors"), Path.Combine(zoo, split + ".safetensors"), only);

    /// <summary>Runs the model over every task's images, with that task's own head.</summary>
    /// <param name="model">A checkpoint of the zoo's network.</param>
    /// <param name="tasks">What to run it over.</param>
    /// <returns>Accuracies in 0..1, in the order of the tasks.</returns>
    /// <exception cref="FaultException">The file is missing, broken, or not a checkpoint of this network.</exception>
    public static IReadOnlyList<(string Task, double Accuracy)> Run(string model, IReadOnlyList<ZooTask> tasks)
    {
        using var checkpoint = Checkpoint.Open(model);
        return Run(checkpoint, tasks);
    }

    /// <summary>The same of a checkpoint that is open, or in memory.</summary>
    public static IReadOnlyList<(string Task, double Accuracy)> Run(Checkpoint checkpoint, IReadOnlyList<ZooTask> tasks)
    {
        var encoder = new Encoder(checkpoint);

        // One unit of work is one batch of one task, so that every core is busy to the end.
        var batches = tasks
            .SelectMany((task, index) => Enumerable.Range(0, (task.Count + Encoder.Batch - 1) / Encoder.Batch)
                .Select(batch => (Task: index, First: batch * Encoder.Batch)))
            .ToArray();
        var right = new int[tasks.Count];
        Parallel.For(0, batches.Length, () => new Encoder.Workspace(), (i, _, workspace) =>
        {
            var (index, first) = batches[i];
            var task = tasks[index];
            var count = Math.Min(Encoder.Batch, task.Count - first);
            var features = encoder.Run(task.Images.AsSpan(first * ImageBytes, count * ImageBytes), workspace);
            var hits = 0;
            for (var image = 0; image < count; image++)
            {
                var feature = features.Slice(image * Encoder.Width, Encoder.Width);
                hits += task.Classify(feature) == task.Labels[first + image] ? 1 : 0;
            }

            Interlocked.Add(ref right[index], hits);
            return workspace;
        }, _ => { });

        return [.. tasks.Select((task, i) => (task.Name, (double)right[i] / task.Count))];
    }

    /// <summary>The logits of every task's first images, with that task's own head.</summary>
    /// <param name="model">A checkpoint of the zoo's network.</param>
    /// <param name="tasks">What to run it over.</param>
    /// <param name="images">So many of each task, or all there are.</param>
    /// <returns>By task its images' logits, in the order of the tasks.</returns>
    /// <exception cref="FaultException">The file is missing, broken, or not a checkpoint of this network.</exception>
    public static IReadOnlyList<(string Task, float[][] Logits)> Outputs(string model, IReadOnlyList<ZooTask> tasks, int images)
    {
        using var checkpoint = Checkpoint.Open(model);
        var encoder = new Encoder(checkpoint);
        var workspace = new Encoder.Workspace();
        return [.. tasks.Select(task =>
        {
            var logits = new List<float[]>();
            for (var first = 0; first < Math.Min(images, task.Count); first += Encoder.Batch)
            {
                var count = Math.Min(Encoder.Batch, Math.Min(images, task.Count) - first);
                var features = encoder.Run(task.Images.AsSpan(first * ImageBytes, count * ImageBytes), workspace);
                for (var image = 0; image < count; image++)
                {
                    logits.Add(task.Logits(features.Slice(image * Encoder.Width, Encoder.Width)));
                }
            }

            return (task.Name, logits.ToArray());
        })];
    }

    /// <summary>The zoo's folder, looked for upwards from the program and then from the working folder.</summary>
    /// <exception cref="FaultException">There is none.</exception>
    public static string FindZoo()
    {
        foreach (var start in new[] { AppContext.BaseDirectory, Environment.CurrentDirectory })
        {
            for (var folder = new DirectoryInfo(start); folder is not null; folder = folder.Parent)
            {
                foreach (var inside in new[] { "", "zoo", "examples/zoo" })
                {
                    var candidate = Path.Combine(folder.FullName, inside);
                    if (File.Exists(Path.Combine(candidate, "heads.safetensors")))
                    {
                        return candidate;
                    }
                }
            }
        }

        throw new FaultException("found no folder with heads.safetensors above the program or the working folder; name it with --data");
    }
}
