using TorchSharp;
using static TorchSharp.torch;

namespace Tva.Core.Torch;

/// <summary>
/// Comes in: a tensor. Goes out: one of the same bytes and another type. TorchSharp has no call for this, TorchScript does, on every device
/// and since libtorch 1.12.
/// </summary>
internal static class Bits
{
    private static readonly Lazy<jit.CompilationUnit> Unit = new(() => jit.compile("def reinterpret(x, dtype: int):\n    return torch.view_copy(x, dtype=dtype)\n"));

    /// <summary>The tensor's bytes as another type, a copy; the last dimension changes with the elements' size.</summary>
    public static Tensor As(Tensor x, ScalarType type) => (Tensor)Unit.Value.invoke("reinterpret", x, (int)type);
}
