using Tva.Core.Tensors;

namespace Tva.Core.Checkpoints;

/// <summary>
/// A tensor of a PyTorch file: a view of a storage that may be shared with others. Every element lies inside the storage; strides
/// are not negative, and may be 0 (one element seen many times).
/// </summary>
public sealed class PickleTensor : PickleValue
{
    private readonly long[] strides;

    internal PickleTensor(DType dtype, Shape shape, long[] strides, StoredEntry storage, long offset)
    {
        DType = dtype;
        Shape = shape;
        this.strides = strides;
        Storage = storage;
        StorageOffset = offset;
        IsContiguous = true;
        long step = 1;
        for (int i = strides.Length - 1; i >= 0; i--)
        {
            IsContiguous &= shape.Dims[i] == 1 || strides[i] == step || shape.Elements == 0;
            step = unchecked(step * shape.Dims[i]);
        }
    }

    /// <summary>Element type.</summary>
    public DType DType { get; }

    /// <summary>Dimensions, outermost first.</summary>
    public Shape Shape { get; }

    /// <summary>Elements of the storage from one index to the next, for each dimension.</summary>
    public IReadOnlyList<long> Strides => strides;

    /// <summary>Element of the storage where it begins.</summary>
    public long StorageOffset { get; }

    /// <summary>Whether its elements lie in the file one behind the other in row-major order.</summary>
    public bool IsContiguous { get; }

    /// <summary>Bytes of all elements in row-major order.</summary>
    public long Bytes => Shape.Elements * DType.Size();

    /// <summary>Whether neighbours in a row don't lie side by side in the file, nor are the same element.</summary>
    internal bool IsScattered
    {
        get
        {
            int last = strides.Length - 1;
            while (last >= 0 && Shape.Dims[last] == 1)
            {
                last--;
            }

            return last >= 0 && strides[last] > 1;
        }
    }

    /// <summary>The archive's entry that holds its elements.</summary>
    internal StoredEntry Storage { get; }

    /// <summary>Bytes from its first element in the storage to behind its last.</summary>
    internal long Extent
    {
        get
        {
            if (Shape.Elements == 0)
            {
                return 0;
            }

            long last = 0;
            for (int i = 0; i < strides.Length; i++)
            {
                last += (Shape.Dims[i] - 1) * strides[i];
            }

            return (last + 1) * DType.Size();
        }
    }

    /// <inheritdoc/>
    public override string ToString() => $"a tensor {DType.Name()} {Shape}";
}

/// <summary>A storage by itself, or as the first argument of a tensor. Without a type it is bytes.</summary>
internal sealed class PickleStorage(StoredEntry entry, DType? type) : PickleValue
{
    public StoredEntry Entry => entry;

    public DType? Type => type;

    public override string ToString() => "a storage";
}
