using System.Runtime.CompilerServices;
using Tva.Core.Kernels.Vectors;

namespace Tva.Core.Ops;

/// <summary>1 where both are nonzero, else 0.</summary>
internal readonly struct And : IBinary
{
    public static OpInfo Info => new(
        "and", 2, "a and b", "1 where both are nonzero (NaN is nonzero), else 0",
        "commutative; associative",
        "($a != 0.0f && $b != 0.0f ? 1.0f : 0.0f)", false, (a, b, _) => a != 0 && b != 0 ? 1 : 0) { Locals = 12 };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Apply<V>(V a, V b)
        where V : struct, IVec<V> => ~(V.Equal(a, V.Const(0)) | V.Equal(b, V.Const(0))) & V.Const(1);
}

/// <summary>1 where either is nonzero, else 0.</summary>
internal readonly struct Or : IBinary
{
    public static OpInfo Info => new(
        "or", 2, "a or b", "1 where either is nonzero (NaN is nonzero), else 0",
        "commutative; associative",
        "($a != 0.0f || $b != 0.0f ? 1.0f : 0.0f)", false, (a, b, _) => a != 0 || b != 0 ? 1 : 0) { Locals = 12 };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Apply<V>(V a, V b)
        where V : struct, IVec<V> => ~(V.Equal(a, V.Const(0)) & V.Equal(b, V.Const(0))) & V.Const(1);
}

/// <summary>1 where x is zero, else 0.</summary>
internal readonly struct Not : IUnary
{
    public static OpInfo Info => new(
        "not", 1, "not x", "1 where x is 0, else 0 (NaN is nonzero)",
        "not(not(c)) = c where c is 0 or 1",
        "($a == 0.0f ? 1.0f : 0.0f)", false, (x, _, _) => x == 0 ? 1 : 0);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Apply<V>(V x)
        where V : struct, IVec<V> => V.IfEqual(x, V.Const(0), V.Const(1), V.Const(0));
}
