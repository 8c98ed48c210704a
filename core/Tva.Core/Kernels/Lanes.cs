using System.Runtime.CompilerServices;
using Tva.Core.Kernels.Vectors;

namespace Tva.Core.Kernels;

/// <summary>What a kernel's loop needs besides ops and conversions: broadcasts, positions, selection by magnitude, the guard.</summary>
internal static unsafe class Lanes
{
    private const MethodImplOptions Inline = MethodImplOptions.AggressiveInlining;

    [MethodImpl(Inline)]
    public static V Const<V>(float value)
        where V : struct, IVec<V> => V.Const(value);

    [MethodImpl(Inline)]
    public static V Bits<V>(int value)
        where V : struct, IVec<V> => V.Bits(value);

    [MethodImpl(Inline)]
    public static V Broadcast<V>(float* source, int index)
        where V : struct, IVec<V> => V.Const(source[index]);

    /// <summary>Positions in a group: first, first + step, first + 2·step...</summary>
    [MethodImpl(Inline)]
    public static V Positions<V>(int first, int shift)
        where V : struct, IVec<V> => V.AddInt(V.ShiftLeft(V.Iota, shift), V.Bits(first));

    /// <summary>See <see cref="Code.Keep"/>.</summary>
    [MethodImpl(Inline)]
    public static V Keep<V>(V x, V threshold)
        where V : struct, IVec<V> => V.IfLessInt(threshold, x & V.Bits(0x7fffffff), x, V.Const(0));

    /// <summary>All bits but the sign where the position lies before count, else none.</summary>
    [MethodImpl(Inline)]
    public static V Inside<V>(V positions, int count)
        where V : struct, IVec<V> => V.LessInt(positions, V.Bits(count)) & V.Bits(0x7fffffff);

    /// <summary>The largest magnitude so far, as an integer: two cheap instructions where a comparison would need four.</summary>
    [MethodImpl(Inline)]
    public static V Guard<V>(V x, V inside, V largest)
        where V : struct, IVec<V> => V.MaxInt(largest, x & inside);

    [MethodImpl(Inline)]
    public static int Finish<V>(V largest)
        where V : struct, IVec<V> => V.Any(V.LessInt(V.Bits(0x7f7fffff), largest)) ? 1 : 0;
}
