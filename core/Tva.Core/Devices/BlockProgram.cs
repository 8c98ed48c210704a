using Tva.Core.Execution;
using Tva.Core.Kernels;

namespace Tva.Core.Devices;

/// <summary>Where an input of a block comes from.</summary>
public enum BlockSource : byte
{
    /// <summary>Bytes: staged in host memory, or held on the device.</summary>
    Memory,

    /// <summary>Uniform numbers of <see cref="Philox"/>, by key and the element's index in its tensor.</summary>
    Random,

    /// <summary>A float32 number per row of the tensor.</summary>
    Rows,

    /// <summary>The product of two thin matrices of float32, its elements added up as <see cref="Matrices.FactorProduct"/> does.</summary>
    Product,
}

/// <summary>A reduction of one output's values, or for Dot of two: any kind but selections.</summary>
/// <param name="Kind">What it computes.</param>
/// <param name="A">The output.</param>
/// <param name="B">The other, or -1.</param>
public readonly record struct BlockReduction(ReduceKind Kind, int A, int B = -1);

/// <summary>
/// What a device is to do with blocks of a tensor: the fused program over all elements, and reductions of its outputs' float32 values.
/// </summary>
/// <param name="Program">The program.</param>
/// <param name="Sources">Per input where it comes from; all but Memory are F32.</param>
/// <param name="Kept">Per output whether its elements are wanted after the call: on the host, for <see cref="Rows"/>, or for a selection.</param>
/// <param name="Cells">
/// Reductions that give a number per cell of <see cref="PlanShape.Cell"/> elements: element i goes to lane i mod 16 in the order of i, in
/// float64, and lanes are folded in halves. So the CPU does, and where the device has float64 bits must be the same.
/// </param>
/// <param name="Rows">Reductions that give a number per row, or per part of it where it crosses cells; otherwise the same.</param>
public sealed record BlockProgram(
    KernelProgram Program,
    IReadOnlyList<BlockSource> Sources,
    IReadOnlyList<bool> Kept,
    IReadOnlyList<BlockReduction> Cells,
    IReadOnlyList<BlockReduction> Rows)
{
    /// <summary>
    /// Whether selections look at an output. Then its values must be those of every other program with the same steps, bit for bit: keys that
    /// differ keep other elements.
    /// </summary>
    public bool Selects { get; init; }

    /// <summary>Elements of a cell.</summary>
    public const int CellElements = PlanShape.Cell;

    /// <summary>Lanes that a sum has.</summary>
    public const int Lanes = Dots.Lanes;
}
