namespace Tva.Core.Tensors;

/// <summary>A tensor's dimensions, outermost first; <c>[]</c> is a single number.</summary>
public sealed class Shape : IEquatable<Shape>
{
    private readonly long[] dims;

    /// <summary>The caller has checked that the product fits in a long (headers are validated when read).</summary>
    public Shape(params long[] dims)
    {
        this.dims = dims;
        long n = 1;
        foreach (var d in dims)
        {
            n = checked(n * d);
        }

        Elements = n;
    }

    /// <summary>The dimensions.</summary>
    public IReadOnlyList<long> Dims => dims;

    /// <summary>Number of elements, the product of the dimensions.</summary>
    public long Elements { get; }

    /// <summary>Rows and columns where it is taken as a matrix: the first dimension, and all others together; a single number is 1×1.</summary>
    public (long Rows, long Columns) Sides => dims.Length == 0 ? (1, 1) : (dims[0], dims[0] == 0 ? 0 : Elements / dims[0]);

    /// <summary>Length of a row: the last dimension; a vector or a single number is one row.</summary>
    public long RowLength => dims.Length <= 1 ? Elements : dims[^1];

    /// <summary>Number of rows.</summary>
    public long Rows => Elements == 0 ? 0 : Elements / RowLength;

    /// <inheritdoc/>
    public bool Equals(Shape? other) => other is not null && dims.AsSpan().SequenceEqual(other.dims);

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as Shape);

    /// <inheritdoc/>
    public override int GetHashCode() => dims.Aggregate(dims.Length, HashCode.Combine);

    /// <summary>For instance <c>[48, 32]</c>.</summary>
    public override string ToString() => $"[{string.Join(", ", dims)}]";
}
