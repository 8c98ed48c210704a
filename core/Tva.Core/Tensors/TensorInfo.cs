namespace Tva.Core.Tensors;

/// <summary>One tensor of a checkpoint, as its header tells: where its bytes lie and what they are.</summary>
/// <param name="Name">Dotted name, unique in the checkpoint.</param>
/// <param name="DType">Stored element type.</param>
/// <param name="Shape">Dimensions, outermost first.</param>
/// <param name="File">Index of the checkpoint's file that holds it.</param>
/// <param name="Offset">First byte in that file.</param>
public sealed record TensorInfo(string Name, DType DType, Shape Shape, int File, long Offset)
{
    /// <summary>Bytes taken in the file.</summary>
    public long Bytes => Shape.Elements * DType.Size();

    /// <summary>The layer: the first integer component of the dotted name, or -1.</summary>
    public int Layer { get; } = LayerOf(Name);

    private static int LayerOf(ReadOnlySpan<char> name)
    {
        foreach (var range in name.Split('.'))
        {
            var part = name[range];
            if (part.Length is > 0 and < 10 && part.IndexOfAnyExceptInRange('0', '9') < 0)
            {
                return int.Parse(part);
            }
        }

        return -1;
    }
}
