using Tva.Core.Execution;

namespace Tva.Core.Devices;

/// <summary>An input of a block; which members count depends on its <see cref="BlockSource"/>.</summary>
public unsafe struct BlockInput
{
    /// <summary>Memory: the block's first element on the host; null where it is held on the device already.</summary>
    public byte* Host;

    /// <summary>Memory: where on the device the operand is kept, and is copied to where <see cref="Host"/> is given; null: nowhere.</summary>
    public IHeld? Held;

    /// <summary>The block's first byte in <see cref="Held"/>.</summary>
    public long HeldOffset;

    /// <summary>Random: the key.</summary>
    public ulong Key;

    /// <summary>Product: the left factor, from the row of the block's first element on, row by row.</summary>
    public ReadOnlyMemory<float> Left;

    /// <summary>Product: the right factor, all of it, row by row.</summary>
    public ReadOnlyMemory<float> Right;

    /// <summary>Product: columns of the left factor, rows of the right one.</summary>
    public int Rank;

    /// <summary>Product: columns of the right factor.</summary>
    public int Columns;

    /// <summary>Rows: the numbers of the tensor's rows from that of the block's first element on.</summary>
    public float[]? RowValues;
}

/// <summary>
/// A parameter of a block: bits <paramref name="Upto"/> for elements of the tensor up to index <paramref name="Last"/>, bits
/// <paramref name="Beyond"/> for those behind it. What is the same everywhere has Last = <see cref="long.MaxValue"/>.
/// </summary>
/// <param name="Upto">The float32's, or the threshold's, bits.</param>
/// <param name="Beyond">The same.</param>
/// <param name="Last">Index in the tensor; -1 for none.</param>
public readonly record struct BlockParameter(int Upto, int Beyond, long Last);

/// <summary>
/// A look at one output for a selection: how many keys lie above a bracket, how many equal its guess, and the others inside it.
/// Keys are the values' bits: without the sign, or so ordered that negative ones come first.
/// </summary>
/// <param name="output">The output, a kept one of F32.</param>
/// <param name="bracket">Where to look.</param>
/// <param name="magnitudes">Whether keys are magnitudes.</param>
/// <param name="most">Keys that are wanted at most; where there are more, they are counted alone.</param>
public sealed class BlockScan(int output, Bracket bracket, bool magnitudes, int most)
{
    /// <summary>The output.</summary>
    public int Output => output;

    /// <summary>Where to look; where it was looked at last.</summary>
    public Bracket Bracket { get; set; } = bracket;

    /// <summary>Whether keys are magnitudes.</summary>
    public bool Magnitudes => magnitudes;

    /// <summary>Keys that are wanted at most.</summary>
    public int Most => most;

    /// <summary>
    /// Where the block is all that the selection looks at: where to look next after a look that found too many keys; null: nowhere. A device that
    /// knows it looks again while it has the values; the same will be done otherwise in another pass.
    /// </summary>
    public Func<BlockScan, Bracket?>? Narrow { get; init; }

    /// <summary>Per cell of the block: keys above, at the guess, gathered; where those begin in <see cref="Keys"/>; values not 0; values NaN.</summary>
    public ScannedCell[] Cells { get; set; } = [];

    /// <summary>Keys inside by bin of <see cref="RadixSelect"/>, of all cells.</summary>
    public long[] Bins { get; } = new long[RadixSelect.Bins];

    /// <summary>The gathered keys, each cell's together in any order; empty where there were more than wanted.</summary>
    public int[] Keys { get; set; } = [];

    /// <summary>Whether the keys were too many to be gathered.</summary>
    public bool Overflowed { get; set; }
}

/// <summary>What a scan found in a cell.</summary>
public readonly record struct ScannedCell(int Above, int Equal, int Kept, int First, int Nonzero, int NaNs);

/// <summary>One call of a kernel: a run of a tensor's elements that begins at a cell, with all that goes in and comes out.</summary>
public sealed unsafe class BlockCall
{
    /// <summary>Index of the first element in its tensor, a multiple of a cell.</summary>
    public long Start { get; set; }

    /// <summary>Elements.</summary>
    public int Count { get; set; }

    /// <summary>Elements of a row of the tensor.</summary>
    public long RowLength { get; set; }

    /// <summary>Per input.</summary>
    public BlockInput[] Inputs { get; set; } = [];

    /// <summary>Per parameter.</summary>
    public BlockParameter[] Parameters { get; set; } = [];

    /// <summary>Per output where it is to be copied to, as addresses of host memory; 0: nowhere.</summary>
    public nint[] Outputs { get; set; } = [];

    /// <summary>Whether reductions are wanted; a second look for a selection wants none.</summary>
    public bool Reduces { get; set; }

    /// <summary>Out: whether a guarded value of each cell was NaN or infinite.</summary>
    public bool[] Flags { get; set; } = [];

    /// <summary>Out: what the cells came to, a cell's reductions together.</summary>
    public double[] CellResults { get; set; } = [];

    /// <summary>Out: per reduction by row the numbers of the parts that <see cref="RowSegments"/> cuts the block into.</summary>
    public double[][] RowResults { get; set; } = [];

    /// <summary>Looks for selections, after the program has run.</summary>
    public IReadOnlyList<BlockScan> Scans { get; set; } = [];
}
