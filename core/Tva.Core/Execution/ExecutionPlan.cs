using Tva.Core.Checkpoints;
using Tva.Core.Kernels;
using Tva.Core.Tensors;

namespace Tva.Core.Execution;

#pragma warning disable CS1591 // the names are the documentation
/// <summary>Over what one number holds: the whole model, a layer, a tensor, a row of a tensor (see <see cref="Shape.RowLength"/>), an element.</summary>
public enum Extent : byte { All, Layer, Tensor, Row, Element }
#pragma warning restore CS1591

/// <summary>What a reduction computes of its stream(s), in float64, at cuts that depend on shapes alone.</summary>
public enum ReduceKind : byte
{
    /// <summary>Σ x.</summary>
    Sum,

    /// <summary>Σ |x|.</summary>
    SumAbs,

    /// <summary>Σ x·y, the product taken in float64.</summary>
    Dot,

    /// <summary>max |x|; NaN wins.</summary>
    MaxAbs,

    /// <summary>min x; NaN wins.</summary>
    Min,

    /// <summary>max x; NaN wins.</summary>
    Max,

    /// <summary>Number of elements that are not 0 (NaN counts).</summary>
    CountNonzero,

    /// <summary>
    /// Exact selection for <see cref="Code.Keep"/>: the magnitude and the last index such that int(argument · n) elements are kept,
    /// the larger magnitudes first and, among equals, the lower index (over several tensors: the earlier tensor) first.
    /// n counts every element of the extent. Its value as a scalar is the threshold.
    /// </summary>
    KeepLargest,

    /// <summary>The same, n counting the elements that are not 0 alone.</summary>
    KeepLargestNonzero,

    /// <summary>The argument-quantile (0..1) of the extent's values, linearly interpolated between neighbours; NaN where any is NaN.</summary>
    Quantile,
}

/// <summary>A number known to the host, as float64: one per member of its extent.</summary>
/// <param name="Extent">Over what it holds; never Element.</param>
public abstract record ScalarDef(Extent Extent);

/// <summary>Known beforehand.</summary>
/// <param name="Extent">All (one value), Layer (a value per layer, in the order of their first tensors) or Tensor (a value per plan tensor).</param>
/// <param name="Values">The values.</param>
public sealed record StaticScalar(Extent Extent, double[] Values) : ScalarDef(Extent);

/// <summary>Result of a reduction of an earlier step.</summary>
/// <param name="Extent">The reduction's extent.</param>
/// <param name="Step">Index of the step.</param>
/// <param name="Reduction">Index of the reduction in the step.</param>
public sealed record ReducedScalar(Extent Extent, int Step, int Reduction) : ScalarDef(Extent);

/// <summary>An op of the table on earlier scalars; coarser ones broadcast into finer extents.</summary>
/// <param name="Extent">The finest extent of its operands.</param>
/// <param name="Op">Index in <see cref="Ops.OpTable"/>.</param>
/// <param name="A">First operand: index of an earlier scalar.</param>
/// <param name="B">Second operand or -1.</param>
/// <param name="C">Third operand or -1.</param>
public sealed record ComputedScalar(Extent Extent, int Op, int A, int B = -1, int C = -1) : ScalarDef(Extent);

/// <summary>One of the states of a loop after its last round.</summary>
/// <param name="Extent">The finest extent of the loop's operands.</param>
/// <param name="Loop">The loop, the same object for all its states, so that it runs once for all of them.</param>
/// <param name="State">Which one.</param>
public sealed record LoopScalar(Extent Extent, ScalarLoop Loop, int State) : ScalarDef(Extent);

/// <summary>Where a kernel's input stream comes from.</summary>
public abstract record InputBinding;

/// <summary>The tensor's bytes in a source.</summary>
public sealed record FileInput(int Source) : InputBinding;

/// <summary>
/// Uniform numbers in [0, 1), a function of the seed (a scalar of extent All or Tensor, rounded to a 64-bit integer), the tensor's name
/// and the element's index alone. F32.
/// </summary>
public sealed record RandomInput(int Seed) : InputBinding
{
    /// <summary>The names to draw by, where they are others than the plan's: those that the tensors had before they were renamed.</summary>
    public IReadOnlyDictionary<string, string>? Names { get; init; }

    /// <summary>What to draw by for a tensor of the plan.</summary>
    public string NameOf(string tensor) => Names is not null && Names.TryGetValue(tensor, out var name) ? name : tensor;
}

/// <summary>A scalar of extent Row, repeated along each row. F32.</summary>
public sealed record RowInput(int Scalar) : InputBinding;

/// <summary>What a <see cref="MatrixOp"/> of an earlier step made of the tensor. F32.</summary>
public sealed record MatrixInput(int Step, int Matrix) : InputBinding;

/// <summary>
/// A value computed element by element, then replaced by its rank: (position − 1)/(n − 1) among the n of its row or tensor in ascending
/// order, the lower index first among equals, NaN last; 1/2 where n is 1. −0 equals 0. F32.
/// </summary>
/// <param name="Program">What is ranked: one output, F32.</param>
/// <param name="Inputs">Per input of that program: an earlier input of the same kernel, so that each is read once.</param>
/// <param name="Parameters">A binding per parameter of that program.</param>
/// <param name="Extent">Row or Tensor: what is sorted together and so is in memory at once.</param>
public sealed record RankInput(
    KernelProgram Program, IReadOnlyList<int> Inputs, IReadOnlyList<ParameterBinding> Parameters, Extent Extent) : InputBinding;

/// <summary>What a kernel's parameter holds.</summary>
public abstract record ParameterBinding;

/// <summary>A scalar of extent All, Layer or Tensor, rounded to float32.</summary>
public sealed record ScalarParameter(int Scalar) : ParameterBinding;

/// <summary>
/// What <see cref="Code.Keep"/> compares with for a KeepLargest reduction of an earlier step: its threshold, or the pattern just below
/// where elements that equal it are kept.
/// </summary>
public sealed record KeepParameter(int Step, int Reduction) : ParameterBinding;

/// <summary>A reduction, done by every step over some extent.</summary>
/// <param name="Kind">What it computes.</param>
/// <param name="Extent">All, Layer, Tensor or Row; KeepLargest takes All, Layer or Tensor.</param>
/// <param name="Argument">For KeepLargest and KeepLargestNonzero the density, for Quantile q: index of a scalar known before this step; else -1.</param>
public sealed record Reduction(ReduceKind Kind, Extent Extent, int Argument = -1)
{
    /// <summary>All, Layer, Tensor or Row; KeepLargest takes All, Layer or Tensor.</summary>
    /// <exception cref="ArgumentException">KeepLargest per row, or anything per element.</exception>
    public Extent Extent { get; } = Extent switch
    {
        Extent.Element => throw new ArgumentException("a reduction has no extent Element", nameof(Extent)),
        Extent.Row when Kind is ReduceKind.KeepLargest or ReduceKind.KeepLargestNonzero => throw new ArgumentException("KeepLargest takes All, Layer or Tensor", nameof(Extent)),
        _ => Extent,
    };
}

/// <summary>
/// Which kernel outputs, scratch streams all, feed a reduction. A = -1, or no kernel for the class in the step: this tensor
/// contributes nothing, that is zeros, which only KeepLargest, Quantile, Min and Max notice.
/// </summary>
public readonly record struct ReductionFeed(int A, int B = -1);

/// <summary>What one step does with the tensors of one class.</summary>
/// <param name="Program">The kernel.</param>
/// <param name="Inputs">A binding per input.</param>
/// <param name="Files">Per kernel output: the plan output it is written to, or -1 for a scratch stream (F32) that feeds reductions.</param>
/// <param name="Parameters">A binding per parameter.</param>
/// <param name="Feeds">A feed per reduction of the step.</param>
public sealed record ClassKernel(
    KernelProgram Program,
    IReadOnlyList<InputBinding> Inputs,
    IReadOnlyList<int> Files,
    IReadOnlyList<ParameterBinding> Parameters,
    IReadOnlyList<ReductionFeed> Feeds);

/// <summary>
/// One pass. A tensor's turn comes when the reductions of the previous step are final for every extent it belongs to,
/// so steps overlap between tensors unless a reduction spans the whole model.
/// </summary>
/// <param name="Reductions">The reductions of this pass.</param>
/// <param name="Kernels">A kernel per tensor class; null where the class has nothing to do in this pass.</param>
public sealed record Step(IReadOnlyList<Reduction> Reductions, IReadOnlyList<ClassKernel?> Kernels)
{
    /// <summary>What is made of whole matrices once the tensor's pass of this step is over.</summary>
    public IReadOnlyList<MatrixOp> Matrices { get; init; } = [];
}

/// <summary>A tensor the plan works on.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Shape">Its shape, equal in all sources.</param>
/// <param name="Layer">Its layer or -1 (all of those are one extent).</param>
/// <param name="Class">Index into <see cref="Step.Kernels"/>; -1: not floating, compared across <paramref name="Sources"/> and copied from the first.</param>
/// <param name="Sources">Where each source keeps it, null where a source lacks it (and no kernel of its class reads it there).</param>
public sealed record PlanTensor(string Name, Shape Shape, int Layer, int Class, IReadOnlyList<TensorInfo?> Sources);

/// <summary>A checkpoint to write: every plan tensor, in order.</summary>
/// <param name="Path">Final path of the safetensors file.</param>
/// <param name="DTypes">Stored type per plan tensor.</param>
/// <param name="Metadata">Header metadata.</param>
public sealed record PlanOutput(string Path, IReadOnlyList<DType> DTypes, IReadOnlyDictionary<string, string> Metadata)
{
    /// <summary>
    /// Null for a checkpoint of its own. Else outputs of one path share its file, which holds each floating tensor as [Parts, ...shape]
    /// and nothing of the others; this output is the slice of that number.
    /// </summary>
    public StackPart? Stack { get; init; }

    /// <summary>Null for a single file; else the output is a folder.</summary>
    public FolderOutput? Folder { get; init; }
}

/// <summary>A slice of stacked tensors.</summary>
/// <param name="Part">Which one.</param>
/// <param name="Parts">Of how many.</param>
public readonly record struct StackPart(int Part, int Parts);

/// <summary>Everything the engine needs to know; made by the front end, knows no text.</summary>
public sealed record ExecutionPlan(
    IReadOnlyList<Checkpoint> Sources,
    IReadOnlyList<PlanTensor> Tensors,
    IReadOnlyList<ScalarDef> Scalars,
    IReadOnlyList<Step> Steps,
    IReadOnlyList<PlanOutput> Outputs,
    IReadOnlyList<int> Results);

/// <summary>How to run.</summary>
/// <param name="Memory">Bytes that buffers and results may take.</param>
/// <param name="Threads">Worker threads.</param>
/// <param name="Strict">NaN or infinity in an input is a fault, not a warning.</param>
public sealed record RunOptions(long Memory, int Threads, bool Strict)
{
    /// <summary>All cores; the smaller of 2 GiB and a quarter of the memory.</summary>
    public static RunOptions Default => new(
        Math.Min(2L << 30, GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 4), Environment.ProcessorCount, false);

    /// <summary>Go on with what a run that was stopped has left of the outputs, and leave what is done if this one stops.</summary>
    public bool Resume { get; init; }

    /// <summary>Take from outputs that are there the tensors that are computed as before, from the same inputs.</summary>
    public bool Incremental { get; init; }

    /// <summary>Who takes outputs instead of files; null: nobody.</summary>
    public OutputTarget? Target { get; init; }
}

/// <summary>Non-finite elements found in an input tensor.</summary>
public sealed record NonFinite(string Path, string Tensor, long NaNs, long Infinities);

/// <summary>Bytes of file input and output done so far, of the total (known beforehand, exact unless a selection needs another round).</summary>
public readonly record struct RunProgress(long BytesDone, long BytesTotal);
