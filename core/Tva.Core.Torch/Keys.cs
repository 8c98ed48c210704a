using TorchSharp;
using static TorchSharp.torch;

namespace Tva.Core.Torch;

/// <summary>Float32 bits as integers that order as the numbers do, negative ones first; or without their signs.</summary>
internal static class Keys
{
    /// <summary>Of bits, int32.</summary>
    public static Tensor Of(Tensor bits, bool magnitudes)
    {
        using var mask = tensor(int.MaxValue, device: bits.device);
        if (magnitudes)
        {
            return bits.bitwise_and(mask);
        }

        using var shift = tensor(31, device: bits.device);
        using var sign = bits.bitwise_right_shift(shift);
        using var turned = sign.bitwise_and(mask);
        return bits.bitwise_xor(turned);
    }

    /// <summary>The bits of an ordered key, or the key of bits.</summary>
    public static int Of(int key) => key ^ ((key >> 31) & int.MaxValue);
}
