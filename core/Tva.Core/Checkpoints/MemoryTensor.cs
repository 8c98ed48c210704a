using System.Runtime.InteropServices;
using Tva.Core.Tensors;

namespace Tva.Core.Checkpoints;

/// <summary>A tensor in the host's memory, row-major. Its elements must stay as they are while a run reads them.</summary>
public abstract class MemoryTensor
{
    private MemoryTensor(string name, DType dtype, Shape shape)
    {
        ArgumentNullException.ThrowIfNull(name);
        ArgumentNullException.ThrowIfNull(shape);
        if (shape.Dims.Any(size => size < 0))
        {
            throw new ArgumentException($"{name}: {shape} has a negative dimension", nameof(shape));
        }

        (Name, DType, Shape) = (name, dtype, shape);
    }

    /// <summary>Its name.</summary>
    public string Name { get; }

    /// <summary>Its element type.</summary>
    public DType DType { get; }

    /// <summary>Its dimensions, outermost first.</summary>
    public Shape Shape { get; }

    /// <summary>A tensor over numbers whose .NET type says what they are: float, double, Half, and the integers; bool for BOOL.</summary>
    /// <exception cref="ArgumentException">No tensor has elements of that type, their number is not the shape's, or a dimension is negative.</exception>
    public static MemoryTensor Of<T>(string name, ReadOnlyMemory<T> elements, params long[] shape)
        where T : unmanaged
    {
        ArgumentNullException.ThrowIfNull(shape);
        Shape whole;
        try
        {
            whole = new Shape(shape);
        }
        catch (OverflowException)
        {
            throw new ArgumentException($"{name}: no memory holds [{string.Join(", ", shape)}]", nameof(shape));
        }

        return Of(name, TypeOf(typeof(T)), elements, whole);
    }

    /// <summary>A tensor over numbers that are stored as the type says, for instance BF16 over ushort or bytes.</summary>
    /// <exception cref="ArgumentException">The memory is not as long as the shape and the type ask for, or a dimension is negative.</exception>
    public static MemoryTensor Of<T>(string name, DType dtype, ReadOnlyMemory<T> memory, Shape shape)
        where T : unmanaged
    {
        var tensor = new Typed<T>(name, dtype, shape, memory);
        Int128 given = (Int128)memory.Length * Marshal.SizeOf<T>(), wanted = (Int128)shape.Elements * dtype.Size();
        if (typeof(T) == typeof(bool))
        {
            given = memory.Length; // marshalled as four bytes, held as one
        }

        return given == wanted ? tensor
            : throw new ArgumentException($"{name}: {shape} of {dtype.Name()} takes {wanted} bytes, and {given} are given", nameof(memory));
    }

    /// <summary>Copies its bytes from an offset.</summary>
    internal abstract void CopyTo(long byteOffset, Span<byte> destination);

    private static DType TypeOf(Type type) => type switch
    {
        _ when type == typeof(float) => DType.F32,
        _ when type == typeof(double) => DType.F64,
        _ when type == typeof(Half) => DType.F16,
        _ when type == typeof(long) => DType.I64,
        _ when type == typeof(int) => DType.I32,
        _ when type == typeof(short) => DType.I16,
        _ when type == typeof(sbyte) => DType.I8,
        _ when type == typeof(ulong) => DType.U64,
        _ when type == typeof(uint) => DType.U32,
        _ when type == typeof(ushort) => DType.U16,
        _ when type == typeof(byte) => DType.U8,
        _ when type == typeof(bool) => DType.Bool,
        _ => throw new ArgumentException($"no tensor has elements of type {type.Name}; name their DType"),
    };

    private sealed class Typed<T>(string name, DType dtype, Shape shape, ReadOnlyMemory<T> memory) : MemoryTensor(name, dtype, shape)
        where T : unmanaged
    {
        internal override unsafe void CopyTo(long byteOffset, Span<byte> destination)
        {
            // Cut in elements first: the bytes of all of them together may be more than a span can count.
            int first = (int)(byteOffset / sizeof(T)), skip = (int)(byteOffset % sizeof(T));
            int count = (skip + destination.Length + sizeof(T) - 1) / sizeof(T);
            MemoryMarshal.AsBytes(memory.Span.Slice(first, count)).Slice(skip, destination.Length).CopyTo(destination);
        }
    }
}
