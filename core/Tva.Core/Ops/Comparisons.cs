using System.Runtime.CompilerServices;
using Tva.Core.Kernels.Vectors;

namespace Tva.Core.Ops;

/// <summary>1 where a &lt; b, else 0.</summary>
internal readonly struct Lt : IBinary
{
    public static OpInfo Info => new(
        "lt", 2, "lt(a, b)", "1 where a < b, else 0; 0 where either is NaN",
        "lt(a, b) = gt(b, a)",
        "($a < $b ? 1.0f : 0.0f)", false, (a, b, _) => a < b ? 1 : 0);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Apply<V>(V a, V b)
        where V : struct, IVec<V> => V.IfLess(a, b, V.Const(1), V.Const(0));
}

/// <summary>1 where a &lt;= b, else 0.</summary>
internal readonly struct Le : IBinary
{
    public static OpInfo Info => new(
        "le", 2, "le(a, b)", "1 where a <= b, else 0; 0 where either is NaN",
        "le(a, b) = ge(b, a)",
        "($a <= $b ? 1.0f : 0.0f)", false, (a, b, _) => a <= b ? 1 : 0);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Apply<V>(V a, V b)
        where V : struct, IVec<V> => V.IfLessEqual(a, b, V.Const(1), V.Const(0));
}

/// <summary>1 where a &gt; b, else 0.</summary>
internal readonly struct Gt : IBinary
{
    public static OpInfo Info => new(
        "gt", 2, "gt(a, b)", "1 where a > b, else 0; 0 where either is NaN",
        "gt(a, b) = lt(b, a)",
        "($a > $b ? 1.0f : 0.0f)", false, (a, b, _) => a > b ? 1 : 0);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Apply<V>(V a, V b)
        where V : struct, IVec<V> => V.IfLess(b, a, V.Const(1), V.Const(0));
}

/// <summary>1 where a &gt;= b, else 0.</summary>
internal readonly struct Ge : IBinary
{
    public static OpInfo Info => new(
        "ge", 2, "ge(a, b)", "1 where a >= b, else 0; 0 where either is NaN",
        "ge(a, b) = le(b, a)",
        "($a >= $b ? 1.0f : 0.0f)", false, (a, b, _) => a >= b ? 1 : 0);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Apply<V>(V a, V b)
        where V : struct, IVec<V> => V.IfLessEqual(b, a, V.Const(1), V.Const(0));
}

/// <summary>1 where a == b, else 0.</summary>
internal readonly struct Eq : IBinary
{
    public static OpInfo Info => new(
        "eq", 2, "eq(a, b)", "1 where a == b, else 0; 0 where either is NaN; -0 == +0",
        "commutative; eq(a, b) = not(ne(a, b))",
        "($a == $b ? 1.0f : 0.0f)", false, (a, b, _) => a == b ? 1 : 0);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Apply<V>(V a, V b)
        where V : struct, IVec<V> => V.IfEqual(a, b, V.Const(1), V.Const(0));
}

/// <summary>1 where a != b, else 0.</summary>
internal readonly struct Ne : IBinary
{
    public static OpInfo Info => new(
        "ne", 2, "ne(a, b)", "1 where a != b, else 0; 1 where either is NaN; -0 == +0",
        "commutative; ne(a, b) = not(eq(a, b))",
        "($a != $b ? 1.0f : 0.0f)", false, (a, b, _) => a != b ? 1 : 0);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Apply<V>(V a, V b)
        where V : struct, IVec<V> => V.IfEqual(a, b, V.Const(0), V.Const(1));
}
