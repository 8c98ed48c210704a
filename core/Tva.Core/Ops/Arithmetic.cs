using System.Runtime.CompilerServices;
using Tva.Core.Kernels.Vectors;

namespace Tva.Core.Ops;

/// <summary>a + b.</summary>
internal readonly struct Add : IBinary
{
    public static OpInfo Info => new(
        "add", 2, "add(a, b)", "a + b",
        "commutative; a + 0 = a",
        "($a + $b)", true, (a, b, _) => a + b);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Apply<V>(V a, V b)
        where V : struct, IVec<V> => a + b;
}

/// <summary>a − b.</summary>
internal readonly struct Sub : IBinary
{
    public static OpInfo Info => new(
        "sub", 2, "sub(a, b)", "a - b",
        "a - b = a + neg(b); a - a = 0 where a is finite",
        "($a - $b)", true, (a, b, _) => a - b);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Apply<V>(V a, V b)
        where V : struct, IVec<V> => a - b;
}

/// <summary>a · b.</summary>
internal readonly struct Mul : IBinary
{
    public static OpInfo Info => new(
        "mul", 2, "mul(a, b)", "a · b",
        "commutative; a · 1 = a; a · -1 = neg(a)",
        "($a * $b)", true, (a, b, _) => a * b);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Apply<V>(V a, V b)
        where V : struct, IVec<V> => a * b;
}

/// <summary>a / b, IEEE also at zero.</summary>
internal readonly struct Div : IBinary
{
    public static OpInfo Info => new(
        "div", 2, "div(a, b)", "a / b; x / 0 is ±inf, 0 / 0 is NaN",
        "a / 1 = a; exact as a · (1 / b) only where b is a power of two",
        "($a / $b)", true, (a, b, _) => a / b);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Apply<V>(V a, V b)
        where V : struct, IVec<V> => a / b;
}

/// <summary>−x.</summary>
internal readonly struct Neg : IUnary
{
    public static OpInfo Info => new(
        "neg", 1, "neg(x)", "-x, the sign bit turned over",
        "neg(neg(x)) = x",
        "(-$a)", true, (x, _, _) => -x);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Apply<V>(V x)
        where V : struct, IVec<V> => x ^ V.Const(-0f);
}

/// <summary>a · b + c with a single rounding.</summary>
internal readonly struct Fma : ITernary
{
    public static OpInfo Info => new(
        "fma", 3, "fma(a, b, c)", "a · b + c, rounded once",
        "commutative in a and b; fma(a, b, 0) = a · b up to the sign of 0",
        "fma($a, $b, $c)", true, Math.FusedMultiplyAdd);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Apply<V>(V a, V b, V c)
        where V : struct, IVec<V> => V.Fma(a, b, c);
}
