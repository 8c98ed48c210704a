using Tva.Core.Checkpoints;
using Tva.Core.Kernels;
using Tva.Core.Tensors;

namespace Tva.Core.Execution;

/// <summary>
/// A plan of one element, from memory to memory. Most of a first run's time is the runtime's, which compiles the engine as it goes;
/// a host with a core to spare has this done beside whatever it does before its first plan.
/// </summary>
public static class WarmUp
{
    /// <summary>Runs it on the calling thread and one worker. Any thread may call it, at any time.</summary>
    public static void Run()
    {
        var model = new MemoryCheckpoint("model", [MemoryTensor.Of<ushort>("x", DType.BF16, new ushort[1], new Shape([1]))]);
        var program = new KernelProgram(
            [new(Code.Load, Index: 0), new(Code.Load, Index: 1), new(Code.Apply, 0, 1, Index: 0), new(Code.Guard, 2), new(Code.Store, 2, Index: 0)],
            [DType.BF16, DType.BF16], [DType.BF16], 0);
        var kernel = new ClassKernel(program, [new FileInput(0), new FileInput(1)], [0], [], []);
        var plan = new ExecutionPlan(
            [model, model],
            [new PlanTensor("x", new Shape([1]), -1, 0, [model.Tensors[0], model.Tensors[0]])],
            [],
            [new Step([], [kernel])],
            [new PlanOutput("memory:result", [DType.BF16], new Dictionary<string, string>())],
            []);
        var options = RunOptions.Default with { Threads = 1, Target = (path, tensors, metadata) => new MemoryWriter(path, tensors, metadata, _ => { }) };
        using var result = Executor.Run(plan, options);
        result.Commit();
    }
}
