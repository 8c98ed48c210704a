namespace Tva.Core.Devices;

/// <summary>
/// A device that computes whole blocks of tensors. Comes in: what is to be computed, compiled once, then blocks of elements. Goes out: their
/// outputs and what their reductions came to. Every member may be called from any thread.
/// </summary>
public interface IBlockDevice : IDisposable
{
    /// <summary>What it is.</summary>
    DeviceInfo Info { get; }

    /// <summary>Bytes of its memory that may be taken.</summary>
    long Memory { get; }

    /// <summary>Why a program can't run here and must on the CPU, as a person reads it; null where it can.</summary>
    string? Refusal(BlockProgram program);

    /// <summary>Whether its lanes multiply whole matrices, to the bits of <see cref="Matrices.MatrixProduct"/>.</summary>
    bool Multiplies { get; }

    /// <summary>Compiles a program; equal programs may give the same kernel.</summary>
    /// <exception cref="DeviceFaultException">It does not compile; the message has the compiler's words.</exception>
    IBlockKernel Compile(BlockProgram program);

    /// <summary>A queue of its own for a worker: while one computes, another is filled or read from.</summary>
    /// <param name="staging">Bytes of host memory that the device copies from and to.</param>
    /// <exception cref="DeviceFaultException">There is not so much.</exception>
    IBlockLane Open(long staging);

    /// <summary>Memory on the device for an operand that is used again, or null where there is none left.</summary>
    IHeld? Hold(long bytes);
}

/// <summary>A compiled <see cref="BlockProgram"/>.</summary>
public interface IBlockKernel
{
    /// <summary>What it was compiled from.</summary>
    BlockProgram Program { get; }
}

/// <summary>A factor of a product.</summary>
/// <param name="host">Its elements in host memory.</param>
/// <param name="rows">Rows of the factor.</param>
/// <param name="columns">Its columns.</param>
/// <param name="transposed">Whether the memory holds its transpose, columns×rows.</param>
/// <param name="place">Where it is copied to.</param>
public readonly unsafe struct MatrixOperand(float* host, int rows, int columns, bool transposed, IHeld place)
{
    /// <summary>Its elements in host memory.</summary>
    public float* Host => host;

    /// <summary>Rows of the factor.</summary>
    public int Rows => rows;

    /// <summary>Its columns.</summary>
    public int Columns => columns;

    /// <summary>Elements from one row to the next in memory.</summary>
    public long RowStep => transposed ? 1 : columns;

    /// <summary>Elements from one column to the next.</summary>
    public long ColumnStep => transposed ? rows : 1;

    /// <summary>Bytes.</summary>
    public long Bytes => (long)rows * columns * sizeof(float);

    /// <summary>Where it is copied to.</summary>
    public IHeld Place => place;
}

/// <summary>Device memory that an operand is kept in.</summary>
public interface IHeld : IDisposable
{
    /// <summary>Bytes.</summary>
    long Bytes { get; }
}

/// <summary>One worker's queue and memory on a device. One thread at a time.</summary>
public unsafe interface IBlockLane : IDisposable
{
    /// <summary>Host memory that the device copies from and to without another copy, 64-byte aligned.</summary>
    byte* Staging { get; }

    /// <summary>Does a block, from the copies in to the copies out.</summary>
    /// <exception cref="DeviceFaultException">The device was lost or has too little memory.</exception>
    void Run(IBlockKernel kernel, BlockCall call);

    /// <summary>c = op(a)·op(b) of float32 matrices in host memory, row by row, on a device that <see cref="IBlockDevice.Multiplies"/>.</summary>
    /// <param name="a">rows×inner.</param>
    /// <param name="b">inner×columns.</param>
    /// <param name="c">Where the product goes, rows×columns.</param>
    /// <param name="place">Where it is kept on the device meanwhile.</param>
    /// <exception cref="DeviceFaultException">The device was lost.</exception>
    void Multiply(MatrixOperand a, MatrixOperand b, float* c, IHeld place);

    /// <summary>Copies an operand into other memory of the device, and waits for it: nothing that reads and writes as much can be faster.</summary>
    /// <param name="from">The operand.</param>
    /// <param name="to">As many bytes or more.</param>
    /// <exception cref="DeviceFaultException">The device was lost.</exception>
    void Copy(IHeld from, IHeld to);
}
