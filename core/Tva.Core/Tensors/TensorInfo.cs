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

    private static int LayerOf(string name)
    {
        // One loop instead of Split: headers have ten thousand names and opening must not be felt.
        int value = 0, digits = 0;
        bool number = true;
        for (int i = 0; i <= name.Length; i++)
        {
            char c = i < name.Length ? name[i] : '.';
            if (c == '.')
            {
                if (number && digits is > 0 and < 10)
                {
                    return value;
                }

                (value, digits, number) = (0, 0, true);
            }
            else if (char.IsAsciiDigit(c) && digits < 10)
            {
                value = unchecked((value * 10) + (c - '0'));
                digits++;
            }
            else
            {
                number = false;
            }
        }

        return -1;
    }
}
