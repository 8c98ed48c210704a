using System.Runtime.CompilerServices;
using Tva.Core.Kernels.Vectors;

namespace Tva.Core.Ops;

/// <summary>The smaller of two; NaN wins.</summary>
internal readonly struct Min : IBinary
{
    public static OpInfo Info => new(
        "min", 2, "min(a, b)", "the smaller; NaN where either is, -0 below +0 (NumPy minimum)",
        "commutative; associative; min(a, a) = a",
        "min_ieee($a, $b)", false, (a, b, _) => Math.Min(a, b));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Apply<V>(V a, V b)
        where V : struct, IVec<V> => V.Min(a, b);
}

/// <summary>The larger of two; NaN wins.</summary>
internal readonly struct Max : IBinary
{
    public static OpInfo Info => new(
        "max", 2, "max(a, b)", "the larger; NaN where either is, -0 below +0 (NumPy maximum)",
        "commutative; associative; max(a, a) = a",
        "max_ieee($a, $b)", false, (a, b, _) => Math.Max(a, b));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Apply<V>(V a, V b)
        where V : struct, IVec<V> => V.Max(a, b);
}

/// <summary>x held between lo and hi.</summary>
internal readonly struct Clamp : ITernary
{
    public static OpInfo Info => new(
        "clamp", 3, "clamp(x, lo, hi)", "min(max(x, lo), hi); hi where lo > hi; NaN where any is (NumPy clip)",
        "clamp(clamp(x, lo, hi), lo, hi) = clamp(x, lo, hi)",
        "min_ieee(max_ieee($a, $b), $c)", false, (x, lo, hi) => Math.Min(Math.Max(x, lo), hi));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Apply<V>(V x, V lo, V hi)
        where V : struct, IVec<V> => V.Min(V.Max(x, lo), hi);
}

/// <summary>a where cond is nonzero, else b.</summary>
internal readonly struct Where : ITernary
{
    public static OpInfo Info => new(
        "where", 3, "where(cond, a, b)", "a where cond is nonzero (NaN is), else b; the other is not looked at",
        "where(1, a, b) = a; where(0, a, b) = b; where(c, a, a) = a",
        "($a != 0.0f ? $b : $c)", true, (c, a, b) => c != 0 ? a : b);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Apply<V>(V cond, V a, V b)
        where V : struct, IVec<V> => V.IfEqual(cond, V.Const(0), b, a);
}
