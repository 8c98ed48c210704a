namespace Tva.Core.Tensors;

#pragma warning disable CS1591 // the names are the documentation
/// <summary>Element types of stored tensors. The floating ones are computed with (in float32); the others are copied.</summary>
public enum DType : byte { F64, F32, F16, BF16, F8E4M3, F8E5M2, I64, I32, I16, I8, U64, U32, U16, U8, Bool }
#pragma warning restore CS1591

/// <summary>Facts about <see cref="DType"/>: names as safetensors headers spell them, sizes in bytes.</summary>
public static class DTypes
{
    private static readonly (DType Type, string Name, int Size)[] Table =
    [
        (DType.F64, "F64", 8), (DType.F32, "F32", 4), (DType.F16, "F16", 2), (DType.BF16, "BF16", 2),
        (DType.F8E4M3, "F8_E4M3", 1), (DType.F8E5M2, "F8_E5M2", 1), (DType.I64, "I64", 8), (DType.I32, "I32", 4),
        (DType.I16, "I16", 2), (DType.I8, "I8", 1), (DType.U64, "U64", 8), (DType.U32, "U32", 4), (DType.U16, "U16", 2),
        (DType.U8, "U8", 1), (DType.Bool, "BOOL", 1),
    ];

    /// <summary>Bytes per element.</summary>
    public static int Size(this DType type) => Table[(int)type].Size;

    /// <summary>The name in a safetensors header, for instance <c>BF16</c>.</summary>
    public static string Name(this DType type) => Table[(int)type].Name;

    /// <summary>Whether tensors of this type take part in the algebra.</summary>
    public static bool IsFloating(this DType type) => type <= DType.F8E5M2;

    /// <summary>Reads a header's or a user's name of a type, in any case.</summary>
    public static bool TryParse(string name, out DType type)
    {
        foreach (var row in Table)
        {
            if (string.Equals(row.Name, name, StringComparison.OrdinalIgnoreCase))
            {
                type = row.Type;
                return true;
            }
        }

        type = default;
        return false;
    }

    /// <summary>All names, for messages.</summary>
    public static IEnumerable<string> Names => Table.Select(row => row.Name);
}
