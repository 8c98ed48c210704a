using Tva.Core.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace Tva.Core.Torch;

/// <summary>
/// Comes in: a key and a run of a tensor's elements. Goes out: their uniform numbers as <see cref="Philox"/> gives them, bit for bit: its 32-bit
/// words in the low halves of int64, whose products wrap as they should.
/// </summary>
internal static class Uniform
{
    private const int Group = 64;
    private const int Counters = 16;

    /// <summary>The numbers of elements <paramref name="start"/> and on, a multiple of 64.</summary>
    public static Tensor Of(ulong key, long start, long count, Device device)
    {
        using var scope = NewDisposeScope();
        var groups = (count + Group - 1) / Group;
        var low = tensor(uint.MaxValue, ScalarType.Int64, device);
        var counter = arange(start / Group * Counters, (start / Group * Counters) + (groups * Counters), ScalarType.Int64, device);
        var thirtyTwo = tensor(32L, ScalarType.Int64, device);
        var (x, y) = (counter.bitwise_and(low), High(counter));
        var (z, w) = (zeros_like(x), zeros_like(x));
        var (k0, k1) = ((uint)key, (uint)(key >> 32));
        for (var round = 0; round < Philox.Rounds; round++)
        {
            using var inner = NewDisposeScope();
            var (a, b) = (x.mul(Numbers.Of((long)Philox.M0)), z.mul(Numbers.Of((long)Philox.M1)));
            (x, y, z, w) = (
                High(b).bitwise_xor(y).bitwise_xor(tensor((long)k0, ScalarType.Int64, device)).MoveToOuterDisposeScope(), b.bitwise_and(low).MoveToOuterDisposeScope(),
                High(a).bitwise_xor(w).bitwise_xor(tensor((long)k1, ScalarType.Int64, device)).MoveToOuterDisposeScope(), a.bitwise_and(low).MoveToOuterDisposeScope());
            (k0, k1) = (k0 + Philox.W0, k1 + Philox.W1);
        }

        var words = stack([x.view(groups, Counters), y.view(groups, Counters), z.view(groups, Counters), w.view(groups, Counters)], 1);
        var upper = words.bitwise_right_shift(tensor(8L, ScalarType.Int64, device)).to(ScalarType.Float32).mul(Numbers.Of(1f / (1 << 24)));
        return upper.view(groups * Group).narrow(0, 0, count).MoveToOuterDisposeScope();

        Tensor High(Tensor product) => product.bitwise_right_shift(thirtyTwo).bitwise_and(low);
    }
}
