namespace Tva.Core.Execution;

/// <summary>What is done to a tensor, in rising order of urgency: what is nearer to finishing something comes first.</summary>
internal enum JobKind : byte
{
    /// <summary>Compare a tensor that is not algebra across the sources and copy it.</summary>
    Copy,

    /// <summary>Run the kernel on the sampled pieces.</summary>
    Sample,

    /// <summary>The step's pass: kernel, reductions, writing.</summary>
    Full,

    /// <summary>Reductions that need whole rows in memory.</summary>
    Rows,

    /// <summary>Take the whole tensor as a matrix.</summary>
    Matrix,

    /// <summary>Another round of one selection.</summary>
    Rescan,

    /// <summary>One cell again, for the index of a tie.</summary>
    Locate,
}

/// <summary>One thing to do to one tensor, cut into blocks that any worker may take.</summary>
internal sealed class Job(JobKind kind, int step, int tensor, StepKernel? kernel, long total, long unit)
{
    /// <summary>Blocks not done yet.</summary>
    public long Remaining = (total + unit - 1) / unit;

    public JobKind Kind => kind;

    public int Step => step;

    public int Tensor => tensor;

    /// <summary>Null only for Copy.</summary>
    public StepKernel Kernel => kernel!;

    /// <summary>Elements; of Copy bytes, of Sample pieces, of Locate its one cell's number and up.</summary>
    public long Total => total;

    /// <summary>Of those a block has so many.</summary>
    public long Unit => unit;

    /// <summary>Where the next block to be taken starts.</summary>
    public long Next { get; set; }

    /// <summary>What the cells' results become, where there are any.</summary>
    public CellFold? Fold { get; init; }

    /// <summary>The rows of <see cref="StepKernel.Rows"/>.</summary>
    public RowReducer[] Rows { get; init; } = [];

    /// <summary>The selections that are fed.</summary>
    public IReadOnlyList<SelectionGroup> Groups { get; init; } = [];

    /// <summary>Which of the step's matrix ops.</summary>
    public int Matrix { get; init; }

    /// <summary>What Sample reads.</summary>
    public IReadOnlyList<(SelectionGroup Group, Piece Piece)> Pieces { get; init; } = [];
}

/// <summary>A block of a job.</summary>
internal readonly record struct Claim(Job Job, long Start, long Count);
