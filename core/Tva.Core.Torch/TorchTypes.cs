using Tva.Core.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Tva.Core.Torch;

/// <summary>What libtorch calls stored types; what it has no type for are bytes to it.</summary>
internal static class TorchTypes
{
    /// <summary>The type of a stored element.</summary>
    public static ScalarType Of(DType type) => type switch
    {
        DType.F64 => ScalarType.Float64,
        DType.F32 => ScalarType.Float32,
        DType.F16 => ScalarType.Float16,
        DType.BF16 => ScalarType.BFloat16,
        _ => ScalarType.Byte,
    };
}
