using TorchSharp;
using static TorchSharp.torch;

namespace Tva.Core.Torch;

/// <summary>
/// a·b + c of float32 tensors, rounded once, as a fused instruction gives it. The product of two float32 is exact in float64, and so the sum is
/// rounded there and once more to float32: right but where the first rounding hits the middle between two float32. There the second one is
/// told which side the sum lay on, by a step of one float64 towards it (Boldo, Melquiond: "Emulation of a FMA and correctly rounded sums:
/// proved algorithms using rounding to odd", IEEE TC 57(4), 2008).
/// </summary>
internal static class FusedProduct
{
    /// <summary>The fused product; operands of one element are the same for all.</summary>
    public static Tensor Of(Tensor a, Tensor b, Tensor c)
    {
        using var scope = NewDisposeScope();
        var product = a.to(ScalarType.Float64).mul(b.to(ScalarType.Float64));
        var third = c.to(ScalarType.Float64);
        var sum = product.add(third);
        var rounded = sum.to(ScalarType.Float32);

        // In the middle, and only there, twice the way to the rounded number ends on its neighbour; infinity has none.
        var wide = rounded.to(ScalarType.Float64);
        var neighbour = sum.mul(Numbers.Of(2)).sub(wide);
        var middle = neighbour.to(ScalarType.Float32).to(ScalarType.Float64).eq(neighbour).bitwise_and(neighbour.ne(wide))
            .bitwise_or(wide.isinf().bitwise_and(sum.isfinite()));
        if (!middle.any().item<bool>())
        {
            return rounded.MoveToOuterDisposeScope();
        }

        // What the sum lacks, exactly (Knuth's TwoSum).
        var part = sum.sub(product);
        var error = product.sub(sum.sub(part)).add(third.sub(part));
        var towards = error.sign().mul(Numbers.Of(double.PositiveInfinity));
        var told = where(middle.bitwise_and(error.ne(Numbers.Of(0))), sum.nextafter(towards), sum);
        return told.to(ScalarType.Float32).MoveToOuterDisposeScope();
    }
}
