using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Theory.Lab;

/// <summary>
/// Vectors of float64 come in; their combinations go out. Always eight lanes, whatever the machine has, so that sums are the same to the bit.
/// Lengths are multiples of <see cref="Width"/>.
/// </summary>
internal static class Lanes
{
    public const int Width = 8;

    /// <summary>y += s x.</summary>
    public static void Add(double s, ReadOnlySpan<double> x, Span<double> y)
    {
        ref var from = ref MemoryMarshal.GetReference(x);
        ref var to = ref MemoryMarshal.GetReference(y);
        var scale = Vector512.Create(s);
        for (nuint i = 0; i < (nuint)y.Length; i += Width)
        {
            Vector512.FusedMultiplyAdd(scale, Vector512.LoadUnsafe(ref from, i), Vector512.LoadUnsafe(ref to, i)).StoreUnsafe(ref to, i);
        }
    }

    /// <summary>Σ x y.</summary>
    public static double Dot(ReadOnlySpan<double> x, ReadOnlySpan<double> y)
    {
        ref var first = ref MemoryMarshal.GetReference(x);
        ref var second = ref MemoryMarshal.GetReference(y);
        var sum = Vector512<double>.Zero;
        for (nuint i = 0; i < (nuint)x.Length; i += Width)
        {
            sum = Vector512.FusedMultiplyAdd(Vector512.LoadUnsafe(ref first, i), Vector512.LoadUnsafe(ref second, i), sum);
        }

        return Total(sum);
    }

    /// <summary>Σ a max(z, 0).</summary>
    public static double Relu(ReadOnlySpan<double> a, ReadOnlySpan<double> z)
    {
        ref var first = ref MemoryMarshal.GetReference(a);
        ref var second = ref MemoryMarshal.GetReference(z);
        var sum = Vector512<double>.Zero;
        for (nuint i = 0; i < (nuint)a.Length; i += Width)
        {
            sum = Vector512.FusedMultiplyAdd(Vector512.LoadUnsafe(ref first, i), Vector512.Max(Vector512.LoadUnsafe(ref second, i), Vector512<double>.Zero), sum);
        }

        return Total(sum);
    }

    /// <summary>slope = s a where z is positive, 0 elsewhere: the gradient of s Σ a max(z, 0).</summary>
    public static void ReluSlope(double s, ReadOnlySpan<double> a, ReadOnlySpan<double> z, Span<double> slope)
    {
        ref var first = ref MemoryMarshal.GetReference(a);
        ref var second = ref MemoryMarshal.GetReference(z);
        ref var to = ref MemoryMarshal.GetReference(slope);
        var scale = Vector512.Create(s);
        for (nuint i = 0; i < (nuint)a.Length; i += Width)
        {
            var open = Vector512.GreaterThan(Vector512.LoadUnsafe(ref second, i), Vector512<double>.Zero);
            Vector512.ConditionalSelect(open, scale * Vector512.LoadUnsafe(ref first, i), Vector512<double>.Zero).StoreUnsafe(ref to, i);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static double Total(Vector512<double> v) =>
        ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]));
}
