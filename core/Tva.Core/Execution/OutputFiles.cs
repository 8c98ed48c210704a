using Tva.Core.Checkpoints;
using Tva.Core.Tensors;

namespace Tva.Core.Execution;

/// <summary>Comes in: a plan's outputs. Goes out: their files or what the host takes them with, one for each path, and where in them an output's tensors lie.</summary>
internal sealed class OutputFiles : IDisposable
{
    private readonly List<ICheckpointWriter> writers = [];
    private readonly ExecutionPlan plan;
    private readonly OutputTarget? target;
    private readonly int[] fileOf;

    // Per output and plan tensor the tensor's number in its file; -1 where it is not kept there.
    private readonly int[][] places;

    /// <exception cref="FaultException">A file can't be begun; those already begun are gone.</exception>
    public OutputFiles(ExecutionPlan plan, OutputTarget? target)
    {
        (this.plan, this.target) = (plan, target);
        fileOf = new int[plan.Outputs.Count];
        places = new int[plan.Outputs.Count][];
        var stacks = new Dictionary<string, int>(StringComparer.Ordinal);
        try
        {
            for (var o = 0; o < plan.Outputs.Count; o++)
            {
                var output = plan.Outputs[o];
                if (output.Stack is null)
                {
                    places[o] = [.. Enumerable.Range(0, plan.Tensors.Count)];
                    fileOf[o] = Begin(output, [.. plan.Tensors.Select((tensor, t) => (tensor.Name, output.DTypes[t], tensor.Shape))]);
                    continue;
                }

                places[o] = Kept(plan);
                if (!stacks.TryGetValue(output.Path, out fileOf[o]))
                {
                    long parts = output.Stack.Value.Parts;
                    fileOf[o] = stacks[output.Path] = Begin(output, [.. plan.Tensors.Select((tensor, t) => (tensor, t)).Where(x => x.tensor.Class >= 0)
                        .Select(x => (x.tensor.Name, output.DTypes[x.t], new Shape([parts, .. x.tensor.Shape.Dims])))]);
                }
            }
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public IReadOnlyList<ICheckpointWriter> Writers => writers;

    /// <summary>Whether anything was written.</summary>
    public bool Begun { get; private set; }

    /// <summary>Writes bytes of an output's tensor; returns whether the output keeps that tensor.</summary>
    public bool Write(int output, int tensor, long byteOffset, ReadOnlySpan<byte> bytes)
    {
        var place = places[output][tensor];
        if (place < 0)
        {
            return false;
        }

        Begun = true;
        var part = plan.Outputs[output].Stack?.Part ?? 0;
        var size = plan.Tensors[tensor].Shape.Elements * plan.Outputs[output].DTypes[tensor].Size();
        writers[fileOf[output]].Write(place, (part * size) + byteOffset, bytes);
        return true;
    }

    /// <summary>Closes the files; those not committed are deleted.</summary>
    public void Dispose() => writers.ForEach(writer => writer.Dispose());

    private static int[] Kept(ExecutionPlan plan)
    {
        var next = 0;
        return [.. plan.Tensors.Select(tensor => tensor.Class >= 0 ? next++ : -1)];
    }

    private int Begin(PlanOutput output, (string Name, DType DType, Shape Shape)[] tensors)
    {
        writers.Add(target?.Invoke(output.Path, tensors, output.Metadata) ?? new CheckpointWriter(output.Path, tensors, output.Metadata));
        return writers.Count - 1;
    }
}
