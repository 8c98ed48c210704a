using System.Runtime.InteropServices;
using Tva.Core.Checkpoints;
using Tva.Core.Execution;
using Tva.Core.Kernels;
using Tva.Core.Ops;
using Tva.Core.Tensors;
using Xunit;

namespace Tva.Core.Tests;

/// <summary>Plans written by hand, and what comes of them.</summary>
internal static class Plans
{
    public static readonly RunOptions Options = new(64 << 20, 2, false);

    public static readonly IReadOnlyDictionary<string, string> NoMetadata = new Dictionary<string, string>();

    public static int Op(string name) => OpTable.IndexOf(name);

    /// <summary>Tensors of the first checkpoint, all of class 0 but those that are not floating.</summary>
    public static PlanTensor[] Tensors(params Checkpoint[] sources) =>
        [.. sources[0].Tensors.Select(t => new PlanTensor(t.Name, t.Shape, t.Layer, t.DType.IsFloating() ? 0 : -1, [.. sources.Select(s => s.Find(t.Name))]))];

    /// <summary>Out = Σ c·source, guarded.</summary>
    public static ClassKernel Linear(DType[] inputs, float[] coefficients, DType output, int file = 0)
    {
        var code = new List<Instruction>();
        var sum = -1;
        for (var i = 0; i < inputs.Length; i++)
        {
            code.Add(new(Code.Load, Index: i));
            code.Add(new(Code.Const, Value: coefficients[i]));
            code.Add(new(Code.Apply, code.Count - 2, code.Count - 1, Index: Op("mul")));
            if (sum >= 0)
            {
                code.Add(new(Code.Apply, sum, code.Count - 1, Index: Op("add")));
            }

            sum = code.Count - 1;
        }

        code.Add(new(Code.Guard, sum));
        code.Add(new(Code.Store, sum, Index: 0));
        return new ClassKernel(
            new KernelProgram(code, inputs, [output], 0), [.. inputs.Select((_, i) => new FileInput(i))], [file], [], []);
    }

    /// <summary>A scratch stream per source, each feeding nothing yet.</summary>
    public static ClassKernel Streams(DType type, int sources, params ReductionFeed[] feeds)
    {
        var code = new List<Instruction>();
        for (var i = 0; i < sources; i++)
        {
            code.Add(new(Code.Load, Index: i));
            code.Add(new(Code.Store, code.Count - 1, Index: i));
        }

        return new ClassKernel(
            new KernelProgram(code, [.. Enumerable.Repeat(type, sources)], [.. Enumerable.Repeat(DType.F32, sources)], 0),
            [.. Enumerable.Range(0, sources).Select(i => new FileInput(i))], [.. Enumerable.Repeat(-1, sources)], [], feeds);
    }

    /// <summary>The first source, kept by the selection of step 0, to the first output.</summary>
    public static ClassKernel Kept(DType type, DType output) => new(
        new KernelProgram([new(Code.Load, Index: 0), new(Code.Keep, 0, Index: 0), new(Code.Store, 1, Index: 0)], [type], [output], 1),
        [new FileInput(0)], [0], [new KeepParameter(0, 0)], []);

    /// <summary>A plan of one reduction of the first source (the second, too, for Dot).</summary>
    public static ExecutionPlan Reducing(ReduceKind kind, Extent extent, double argument, DType type, params Checkpoint[] sources)
    {
        var feed = new ReductionFeed(0, kind == ReduceKind.Dot ? 1 : -1);
        return new ExecutionPlan(
            sources, Tensors(sources), [new StaticScalar(Extent.All, [argument]), new ReducedScalar(extent, 0, 0)],
            [new Step([new Reduction(kind, extent, 0)], [Streams(type, sources.Length, feed)])], [], [1]);
    }

    /// <summary>Keeps the largest of the source's elements and writes them as float32.</summary>
    public static ExecutionPlan Keeping(
        string path, Extent extent, double density, DType type, Checkpoint source, ReduceKind kind = ReduceKind.KeepLargest)
    {
        var tensors = Tensors(source);
        return new ExecutionPlan(
            [source], tensors, [new StaticScalar(Extent.All, [density]), new ReducedScalar(extent, 0, 0)],
            [
                new Step([new Reduction(kind, extent, 0)], [Streams(type, 1, new ReductionFeed(0))]),
                new Step([], [Kept(type, DType.F32)]),
            ],
            [new PlanOutput(path, [.. tensors.Select(_ => DType.F32)], NoMetadata)], [1]);
    }

    public static RunResult Execute(ExecutionPlan plan, RunOptions options, IProgress<RunProgress>? progress = null) =>
        Executor.Run(plan, options, progress, TestContext.Current.CancellationToken);

    /// <summary>Runs and commits; the output's tensors as float32 by name.</summary>
    public static Dictionary<string, float[]> Run(ExecutionPlan plan, RunOptions? options = null)
    {
        using (var result = Execute(plan, options ?? Options))
        {
            result.Commit();
        }

        return ReadFloats(plan.Outputs[0].Path);
    }

    public static Dictionary<string, float[]> ReadFloats(string path)
    {
        using var checkpoint = Checkpoint.Open(path);
        return checkpoint.Tensors.ToDictionary(t => t.Name, t =>
        {
            var values = new float[t.Shape.Elements];
            checkpoint.Read(t, 0, MemoryMarshal.AsBytes(values.AsSpan()));
            return values;
        });
    }

    /// <summary>The first result's numbers.</summary>
    public static double[] Numbers(ExecutionPlan plan, RunOptions? options = null)
    {
        using var result = Execute(plan, options ?? Options);
        return result.Results[0];
    }

    public static float[] Normal(int seed, int n, double scale = 1)
    {
        var random = new Random(seed);
        var values = new float[n];
        for (var i = 0; i < n; i++)
        {
            values[i] = (float)(scale * Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble()));
        }

        return values;
    }

    /// <summary>As <see cref="Normal"/>, with 8 significant bits: what bf16 holds, and full of ties.</summary>
    public static float[] Coarse(int seed, int n) =>
        [.. Normal(seed, n).Select(v => BitConverter.UInt32BitsToSingle(BitConverter.SingleToUInt32Bits(v) & 0xffff0000))];
}
