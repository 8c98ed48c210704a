namespace Tva.Core.Kernels.Vectors;

/// <summary>
/// What ops and conversions are written over, once for every width: some float32 lanes in, as many out. A lane never looks at
/// its neighbours, and every member is exactly rounded or plain bit work, so all widths give the same bits.
/// Masks are lanes of all ones or all zeros; the Int members see the lanes as int32.
/// </summary>
/// <typeparam name="V">The vector itself.</typeparam>
internal unsafe interface IVec<V>
    where V : struct, IVec<V>
{
    static abstract int Lanes { get; }

    static abstract V Const(float value);

    static abstract V Bits(int value);

    /// <summary>0, 1, 2... as int32.</summary>
    static abstract V Iota { get; }

    static abstract V operator +(V a, V b);

    static abstract V operator -(V a, V b);

    static abstract V operator *(V a, V b);

    static abstract V operator /(V a, V b);

    static abstract V operator &(V a, V b);

    static abstract V operator |(V a, V b);

    static abstract V operator ^(V a, V b);

    static abstract V operator ~(V a);

    /// <summary>a·b + c rounded once, also where the machine has no such instruction.</summary>
    static abstract V Fma(V a, V b, V c);

    static abstract V Sqrt(V a);

    static abstract V Floor(V a);

    /// <summary>To the nearest integer, ties to even.</summary>
    static abstract V Round(V a);

    /// <summary>The smaller; NaN where either is, −0 below +0.</summary>
    static abstract V Min(V a, V b);

    /// <summary>The larger; NaN where either is, −0 below +0.</summary>
    static abstract V Max(V a, V b);

    static abstract V Less(V a, V b);

    static abstract V LessEqual(V a, V b);

    static abstract V Equal(V a, V b);

    static abstract V Select(V mask, V a, V b);

    /// <summary>Element by element one of a and one of b: the first half of these, and the second.</summary>
    static abstract (V Low, V High) Interleave(V a, V b);

    /// <summary>x where a &lt; b, else y: as one, since 512-bit comparisons give no vectors, and making one of them costs an instruction.</summary>
    static abstract V IfLess(V a, V b, V x, V y);

    /// <summary>x where a &lt;= b, else y.</summary>
    static abstract V IfLessEqual(V a, V b, V x, V y);

    /// <summary>x where a = b, else y.</summary>
    static abstract V IfEqual(V a, V b, V x, V y);

    /// <summary>x where a &lt; b as integers, else y.</summary>
    static abstract V IfLessInt(V a, V b, V x, V y);

    static abstract bool Any(V mask);

    static abstract V AddInt(V a, V b);

    static abstract V SubInt(V a, V b);

    static abstract V MaxInt(V a, V b);

    static abstract V LessInt(V a, V b);

    static abstract V EqualInt(V a, V b);

    static abstract V ShiftLeft(V a, int bits);

    static abstract V ShiftRight(V a, int bits);

    /// <summary>With copies of the sign moving in.</summary>
    static abstract V ShiftRightSigned(V a, int bits);

    /// <summary>int32 to the nearest float32.</summary>
    static abstract V FromInt(V a);

    static abstract V Load32(byte* source);

    /// <summary>16-bit elements, zero extended into the lanes.</summary>
    static abstract V Load16(byte* source);

    /// <summary>8-bit elements, zero extended into the lanes.</summary>
    static abstract V Load8(byte* source);

    /// <summary>float64 elements rounded to nearest even.</summary>
    static abstract V LoadF64(byte* source);

    static abstract void Store32(V a, byte* destination);

    /// <summary>The low 16 bits of each lane, which must be all it has.</summary>
    static abstract void Store16(V a, byte* destination);

    /// <summary>The low 8 bits of each lane, which must be all it has.</summary>
    static abstract void Store8(V a, byte* destination);

    /// <summary>Lanes as float64.</summary>
    static abstract void StoreF64(V a, byte* destination);
}
