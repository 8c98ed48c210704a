using Tva.Core.Kernels.Vectors;

namespace Tva.Core.Devices.Tapes;

/// <summary>
/// Comes in: what is written over vectors, an op's form or a conversion. Goes out: the same steps on a <see cref="Tape"/>, whose lanes are a
/// tensor's elements. So a library of tensors computes what the CPU's vectors do, step by step, and nothing is written for it anew.
/// </summary>
internal readonly unsafe struct VTape : IVec<VTape>
{
    private const int MagnitudeMask = int.MaxValue;

    [ThreadStatic]
    private static Tape? tape;

    [ThreadStatic]
    private static VTape stored;

    private readonly TapeKind kind;

    private VTape(int step, TapeKind kind) => (Step, this.kind) = (step, kind);

    /// <summary>Its number on the tape.</summary>
    public int Step { get; }

    public static int Lanes => 1;

    public static VTape Iota => throw Impossible();

    private VTape Float => kind == TapeKind.Float ? this : Reinterpret(Int, TapeKind.Float);

    private VTape Int => kind switch
    {
        TapeKind.Int => this,
        TapeKind.Float => Reinterpret(this, TapeKind.Int),
        _ => Say(new(TapeCode.Select, TapeKind.Int, Step, Bits(-1).Step, Bits(0).Step)),
    };

    /// <summary>Traces onto a tape.</summary>
    public static int On(Tape onto, Func<VTape> trace)
    {
        var before = tape;
        tape = onto;
        try
        {
            return trace().Float.Step;
        }
        finally
        {
            tape = before;
        }
    }

    /// <summary>What a store makes of a value: the stored bits in an int's low end, or the number.</summary>
    public static int OnStore(Tape onto, int value, Action<VTape> store)
    {
        var before = tape;
        tape = onto;
        try
        {
            store(Of(onto, value));
            return stored.Step;
        }
        finally
        {
            tape = before;
        }
    }

    /// <summary>A step as a value.</summary>
    public static VTape Of(Tape on, int step) => new(step, on.Steps[step].Kind);

    public static VTape Const(float value) => new(tape!.Say(new(TapeCode.Constant, TapeKind.Float, Immediate: BitConverter.SingleToInt32Bits(value))), TapeKind.Float);

    public static VTape Bits(int value) => new(tape!.Say(new(TapeCode.Constant, TapeKind.Int, Immediate: value)), TapeKind.Int);

    public static VTape operator +(VTape a, VTape b) => Floats(TapeCode.Add, a, b);

    public static VTape operator -(VTape a, VTape b) => Floats(TapeCode.Subtract, a, b);

    public static VTape operator *(VTape a, VTape b) => Floats(TapeCode.Multiply, a, b);

    public static VTape operator /(VTape a, VTape b) => Floats(TapeCode.Divide, a, b);

    // What is done to a sign bit alone libtorch does to floats, without looking at them as integers.
    public static VTape operator &(VTape a, VTape b) =>
        (a.kind, b.kind) switch
        {
            (TapeKind.Mask, TapeKind.Mask) => Say(new(TapeCode.And, TapeKind.Mask, a.Step, b.Step)),
            (TapeKind.Mask, _) => Say(new(TapeCode.Select, b.kind, a.Step, b.Step, Zero(b.kind).Step)),
            (_, TapeKind.Mask) => b & a,
            (TapeKind.Float, _) when Constant(b) == MagnitudeMask => Say(new(TapeCode.Magnitude, TapeKind.Float, a.Step)),
            _ => Say(new(TapeCode.And, TapeKind.Int, a.Int.Step, b.Int.Step)),
        };

    public static VTape operator |(VTape a, VTape b) => Logic(TapeCode.Or, a, b);

    public static VTape operator ^(VTape a, VTape b) =>
        a.kind == TapeKind.Float && Constant(b) == int.MinValue ? Say(new(TapeCode.Negate, TapeKind.Float, a.Step)) : Logic(TapeCode.Xor, a, b);

    public static VTape operator ~(VTape a) => a.kind == TapeKind.Mask
        ? Say(new(TapeCode.Not, TapeKind.Mask, a.Step))
        : Say(new(TapeCode.Not, TapeKind.Int, a.Int.Step));

    public static VTape Fma(VTape a, VTape b, VTape c) => Say(new(TapeCode.Fma, TapeKind.Float, a.Float.Step, b.Float.Step, c.Float.Step));

    public static VTape Sqrt(VTape a) => Floats(TapeCode.SquareRoot, a);

    public static VTape Floor(VTape a) => Floats(TapeCode.Floor, a);

    public static VTape Round(VTape a) => Floats(TapeCode.Round, a);

    public static VTape Min(VTape a, VTape b) => Extreme(a, b, Less(a, b), Less(b, a), a | b);

    public static VTape Max(VTape a, VTape b) => Extreme(a, b, Less(b, a), Less(a, b), a.Int & b.Int);

    public static VTape Less(VTape a, VTape b) => Say(new(TapeCode.Less, TapeKind.Mask, a.Float.Step, b.Float.Step));

    public static VTape LessEqual(VTape a, VTape b) => Say(new(TapeCode.LessEqual, TapeKind.Mask, a.Float.Step, b.Float.Step));

    public static VTape Equal(VTape a, VTape b) => Say(new(TapeCode.Equal, TapeKind.Mask, a.Float.Step, b.Float.Step));

    public static VTape Select(VTape mask, VTape a, VTape b) => mask.kind != TapeKind.Mask
        ? (a.Int & mask.Int) | (b.Int & ~mask.Int)
        : a.kind == b.kind ? Say(new(TapeCode.Select, a.kind, mask.Step, a.Step, b.Step))
        : Say(new(TapeCode.Select, TapeKind.Int, mask.Step, a.Int.Step, b.Int.Step));

    public static VTape IfLess(VTape a, VTape b, VTape x, VTape y) => Select(Less(a, b), x, y);

    public static VTape IfLessEqual(VTape a, VTape b, VTape x, VTape y) => Select(LessEqual(a, b), x, y);

    public static VTape IfEqual(VTape a, VTape b, VTape x, VTape y) => Select(Equal(a, b), x, y);

    public static VTape IfLessInt(VTape a, VTape b, VTape x, VTape y) => Select(LessInt(a, b), x, y);

    /// <summary>Never: what stands behind such a test goes lane by lane through float64, and the device's form has its own words for that.</summary>
    public static bool Any(VTape mask) => false;

    public static VTape AddInt(VTape a, VTape b) => Ints(TapeCode.AddInt, a, b);

    public static VTape SubInt(VTape a, VTape b) => Ints(TapeCode.SubtractInt, a, b);

    public static VTape MaxInt(VTape a, VTape b) => Ints(TapeCode.MaxInt, a, b);

    public static VTape LessInt(VTape a, VTape b) => Say(new(TapeCode.Less, TapeKind.Mask, a.Int.Step, b.Int.Step));

    public static VTape EqualInt(VTape a, VTape b) => Say(new(TapeCode.Equal, TapeKind.Mask, a.Int.Step, b.Int.Step));

    public static VTape ShiftLeft(VTape a, int bits) => Ints(TapeCode.ShiftLeft, a, Bits(bits));

    // libtorch has no unsigned integers of this size.
    public static VTape ShiftRight(VTape a, int bits) =>
        bits == 0 ? a : ShiftRightSigned(a, bits) & Bits((int)(uint.MaxValue >> bits));

    public static VTape ShiftRightSigned(VTape a, int bits) => Ints(TapeCode.ShiftRightSigned, a, Bits(bits));

    /// <summary>Lanes are elements by themselves.</summary>
    public static (VTape Low, VTape High) Interleave(VTape a, VTape b) => (a, b);

    public static VTape FromInt(VTape a) => Say(new(TapeCode.FromInt, TapeKind.Float, a.Int.Step));

    public static VTape Load32(byte* source) => throw Impossible();

    public static VTape Load16(byte* source) => throw Impossible();

    public static VTape Load8(byte* source) => throw Impossible();

    public static VTape LoadF64(byte* source) => throw Impossible();

    public static void Store32(VTape a, byte* destination) => stored = a.Float;

    public static void Store16(VTape a, byte* destination) => stored = a.Int;

    public static void Store8(VTape a, byte* destination) => stored = a.Int;

    public static void StoreF64(VTape a, byte* destination) => stored = a.Float;

    /// <summary>A function of float64, rounded.</summary>
    public static VTape Wide(TapeCode code, VTape a, VTape? b = null) => Say(new(code, TapeKind.Float, a.Float.Step, b?.Float.Step ?? -1));

    private static VTape Extreme(VTape a, VTape b, VTape first, VTape second, VTape same) =>
        Select(Equal(a, a) & Equal(b, b), Select(first, a.Float, Select(second, b.Float, same.Float)), a + b);

    private static VTape Reinterpret(VTape a, TapeKind kind)
    {
        var step = tape!.Steps[a.Step];
        return step.Code switch
        {
            TapeCode.Constant => Say(step with { Kind = kind }),
            TapeCode.Reinterpret => new(step.A, kind),
            _ => Say(new(TapeCode.Reinterpret, kind, a.Step)),
        };
    }

    private static VTape Zero(TapeKind kind) => kind == TapeKind.Float ? Const(0) : Bits(0);

    private static int? Constant(VTape a) => tape!.ConstantOf(a.Step);

    private static VTape Logic(TapeCode code, VTape a, VTape b) => a.kind == TapeKind.Mask && b.kind == TapeKind.Mask
        ? Say(new(code, TapeKind.Mask, a.Step, b.Step))
        : Ints(code, a, b);

    private static VTape Floats(TapeCode code, VTape a) => Say(new(code, TapeKind.Float, a.Float.Step));

    private static VTape Floats(TapeCode code, VTape a, VTape b) => Say(new(code, TapeKind.Float, a.Float.Step, b.Float.Step));

    private static VTape Ints(TapeCode code, VTape a, VTape b) => Say(new(code, TapeKind.Int, a.Int.Step, b.Int.Step));

    private static VTape Say(TapeStep step) => new(tape!.Say(step), step.Kind);

    private static InvalidOperationException Impossible() => new("no op or store asks for this");
}
