using Tva.Core.Tensors;

namespace Tva.Core.Kernels;

/// <summary>
/// What a kernel's instruction does. Values are float32 vectors over a block's elements; comparisons give 1 or 0.
/// The elementwise ones come from <see cref="Ops.OpTable"/>; here stand only those that move data.
/// </summary>
public enum Code : byte
{
    /// <summary>Element of input <c>Index</c>, converted to float32.</summary>
    Load,

    /// <summary>The constant <c>Value</c>.</summary>
    Const,

    /// <summary>Parameter <c>Index</c>: one float for the whole block.</summary>
    Param,

    /// <summary>Element-wise op number <c>Index</c> of the table applied to values A, B, C (as many as it takes).</summary>
    Apply,

    /// <summary>
    /// Value A where it is large enough, else 0: where the bits of |A|, as an integer, are above the int32 t that parameter <c>Index</c>
    /// holds as float bits. So NaN counts as larger than every number, and t = -1 keeps everything.
    /// </summary>
    Keep,

    /// <summary>Writes value A to output <c>Index</c>, rounded to its type to nearest even.</summary>
    Store,

    /// <summary>Reports (in the kernel's result) whether value A is anywhere NaN or infinite.</summary>
    Guard,
}

/// <summary>One instruction; instruction i defines value i (Store and Guard define none that may be used).</summary>
/// <param name="Code">What it does.</param>
/// <param name="A">First operand, an earlier instruction's number.</param>
/// <param name="B">Second operand.</param>
/// <param name="C">Third operand.</param>
/// <param name="Index">Input, output, parameter or op number.</param>
/// <param name="Value">The constant.</param>
/// <param name="Origin">What the front end knows this by; only for messages.</param>
public readonly record struct Instruction(Code Code, int A = -1, int B = -1, int C = -1, int Index = -1, float Value = 0, int Origin = 0);

/// <summary>
/// A fused elementwise program: one loop over a block, every input read once, intermediates in registers.
/// Inputs and outputs are typed streams; a stream of scratch values is F32.
/// </summary>
public sealed class KernelProgram : IEquatable<KernelProgram>
{
    /// <summary>The program; see <see cref="Instruction"/>.</summary>
    public KernelProgram(IReadOnlyList<Instruction> instructions, IReadOnlyList<DType> inputs, IReadOnlyList<DType> outputs, int parameters)
    {
        Instructions = instructions;
        Inputs = inputs;
        Outputs = outputs;
        Parameters = parameters;
    }

    /// <summary>The instructions in order.</summary>
    public IReadOnlyList<Instruction> Instructions { get; }

    /// <summary>Element types of the inputs.</summary>
    public IReadOnlyList<DType> Inputs { get; }

    /// <summary>Element types of the outputs.</summary>
    public IReadOnlyList<DType> Outputs { get; }

    /// <summary>Number of parameters.</summary>
    public int Parameters { get; }

    /// <inheritdoc/>
    public bool Equals(KernelProgram? other) =>
        other is not null && Parameters == other.Parameters && Inputs.SequenceEqual(other.Inputs)
        && Outputs.SequenceEqual(other.Outputs) && Instructions.SequenceEqual(other.Instructions)

        // Zeros of either sign are equal, and what they are added to is not.
        && Instructions.Select(i => BitConverter.SingleToInt32Bits(i.Value)).SequenceEqual(other.Instructions.Select(i => BitConverter.SingleToInt32Bits(i.Value)));

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as KernelProgram);

    /// <inheritdoc/>
    public override int GetHashCode()
    {
        var hash = new HashCode();
        foreach (var i in Instructions)
        {
            hash.Add(i);
        }

        return hash.ToHashCode();
    }
}

/// <summary>
/// A compiled program. Buffers may begin anywhere (64-byte aligned is fastest) and are padded to whole groups of 64, so the loop has no tail:
/// lanes past <paramref name="count"/> are computed and thrown away, and never reported by Guard.
/// </summary>
/// <param name="inputs">One pointer per input.</param>
/// <param name="outputs">One pointer per output; outputs don't overlap inputs.</param>
/// <param name="parameters">The parameters.</param>
/// <param name="count">Elements that matter.</param>
/// <returns>0, or 1 when a guarded value was NaN or infinite.</returns>
public unsafe delegate int KernelBody(byte** inputs, byte** outputs, float* parameters, nint count);
