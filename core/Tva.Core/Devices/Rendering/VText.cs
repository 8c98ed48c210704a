using System.Globalization;
using Tva.Core.Kernels.Vectors;

namespace Tva.Core.Devices.Rendering;

/// <summary>
/// Comes in: what is written over vectors, an op's form or a conversion. Goes out: the same as statements of the device dialect, one lane
/// of it: every operation becomes a statement and its result a name. So a device computes what the CPU's vectors do, step by step.
/// </summary>
internal readonly unsafe struct VText : IVec<VText>
{
    [ThreadStatic]
    private static List<string>? statements;

    [ThreadStatic]
    private static string? stored;

    private readonly string? text;
    private readonly Kind kind;

    private VText(string text, Kind kind) => (this.text, this.kind) = (text, kind);

    private enum Kind : byte { Float, Int, Mask }

    public static int Lanes => 1;

    public static VText Iota => new("0", Kind.Int);

    private string Float => kind == Kind.Float ? text! : $"as_float({text})";

    private string Int => kind == Kind.Float ? $"as_int({text})" : text!;

    /// <summary>The statements of a form over variables a, b, c, and the name or expression that is its result, as float.</summary>
    public static (IReadOnlyList<string> Statements, string Result) Trace(Func<VText, VText, VText, VText> form)
    {
        var lines = new List<string>();
        statements = lines;
        try
        {
            var result = form(new("a", Kind.Float), new("b", Kind.Float), new("c", Kind.Float));
            return (lines, result.Float);
        }
        finally
        {
            statements = null;
        }
    }

    /// <summary>The same of a load: its source is the variable <c>x</c>, the element's stored bits.</summary>
    public static (IReadOnlyList<string> Statements, string Result) TraceLoad(Func<nint, VText> load) => Trace((_, _, _) => load(0));

    /// <summary>The same of a store: the result is what is to be stored.</summary>
    public static (IReadOnlyList<string> Statements, string Result) TraceStore(Action<VText, nint> store)
    {
        string? result = null;
        var (lines, _) = Trace((a, _, _) =>
        {
            store(a, 0);
            result = stored;
            return a;
        });
        return (lines, result!);
    }

    public static VText Const(float value) => new(
        float.IsFinite(value) ? value.ToString("R", CultureInfo.InvariantCulture) is var s && s.AsSpan().IndexOfAny("E.") < 0 ? s + ".0f" : s + "f"
            : $"as_float(0x{BitConverter.SingleToInt32Bits(value):x8})",
        Kind.Float);

    public static VText Bits(int value) => new(value == int.MinValue ? "(-2147483647 - 1)" : value.ToString(CultureInfo.InvariantCulture), Kind.Int);

    public static VText operator +(VText a, VText b) => Say($"{a.Float} + {b.Float}", Kind.Float);

    public static VText operator -(VText a, VText b) => Say($"{a.Float} - {b.Float}", Kind.Float);

    public static VText operator *(VText a, VText b) => Say($"{a.Float} * {b.Float}", Kind.Float);

    public static VText operator /(VText a, VText b) => Say($"{a.Float} / {b.Float}", Kind.Float);

    public static VText operator &(VText a, VText b) => Say($"{a.Int} & {b.Int}", Common(a, b));

    public static VText operator |(VText a, VText b) => Say($"{a.Int} | {b.Int}", Common(a, b));

    public static VText operator ^(VText a, VText b) => Say($"{a.Int} ^ {b.Int}", Common(a, b));

    public static VText operator ~(VText a) => Say($"~{a.Int}", a.kind == Kind.Mask ? Kind.Mask : Kind.Int);

    public static VText Fma(VText a, VText b, VText c) => Say($"fma({a.Float}, {b.Float}, {c.Float})", Kind.Float);

    public static VText Sqrt(VText a) => Say($"sqrt({a.Float})", Kind.Float);

    public static VText Floor(VText a) => Say($"floor({a.Float})", Kind.Float);

    public static VText Round(VText a) => Say($"rint({a.Float})", Kind.Float);

    public static VText Min(VText a, VText b) => Say($"min_ieee({a.Float}, {b.Float})", Kind.Float);

    public static VText Max(VText a, VText b) => Say($"max_ieee({a.Float}, {b.Float})", Kind.Float);

    public static VText Less(VText a, VText b) => Say($"{a.Float} < {b.Float} ? -1 : 0", Kind.Mask);

    public static VText LessEqual(VText a, VText b) => Say($"{a.Float} <= {b.Float} ? -1 : 0", Kind.Mask);

    public static VText Equal(VText a, VText b) => Say($"{a.Float} == {b.Float} ? -1 : 0", Kind.Mask);

    public static VText Select(VText mask, VText a, VText b) => mask.kind != Kind.Mask
        ? Say($"({a.Int} & {mask.Int}) | ({b.Int} & ~{mask.Int})", Kind.Int)
        : Choose($"{mask.text} != 0", a, b);

    public static VText IfLess(VText a, VText b, VText x, VText y) => Choose($"{a.Float} < {b.Float}", x, y);

    public static VText IfLessEqual(VText a, VText b, VText x, VText y) => Choose($"{a.Float} <= {b.Float}", x, y);

    public static VText IfEqual(VText a, VText b, VText x, VText y) => Choose($"{a.Float} == {b.Float}", x, y);

    public static VText IfLessInt(VText a, VText b, VText x, VText y) => Choose($"{a.Int} < {b.Int}", x, y);

    /// <summary>Never: what stands behind such a test goes lane by lane through float64, and a device has its own words for that.</summary>
    public static bool Any(VText mask) => false;

    // Sums of integers may wrap round, which only unsigned ones may do in C.
    public static VText AddInt(VText a, VText b) => Say($"(int)((uint){a.Int} + (uint){b.Int})", Kind.Int);

    public static VText SubInt(VText a, VText b) => Say($"(int)((uint){a.Int} - (uint){b.Int})", Kind.Int);

    public static VText MaxInt(VText a, VText b) => Say($"{a.Int} > {b.Int} ? {a.Int} : {b.Int}", Kind.Int);

    public static VText LessInt(VText a, VText b) => Say($"{a.Int} < {b.Int} ? -1 : 0", Kind.Mask);

    public static VText EqualInt(VText a, VText b) => Say($"{a.Int} == {b.Int} ? -1 : 0", Kind.Mask);

    public static VText ShiftLeft(VText a, int bits) => Say($"(int)((uint){a.Int} << {bits})", Kind.Int);

    public static VText ShiftRight(VText a, int bits) => Say($"(int)((uint){a.Int} >> {bits})", Kind.Int);

    public static VText ShiftRightSigned(VText a, int bits) => Say($"{a.Int} >> {bits}", Kind.Int);

    /// <summary>A device's lanes are by themselves.</summary>
    public static (VText Low, VText High) Interleave(VText a, VText b) => (a, b);

    public static VText FromInt(VText a) => Say($"(float){a.Int}", Kind.Float);

    public static VText Load32(byte* source) => new("x", Kind.Float);

    public static VText Load16(byte* source) => new("(int)x", Kind.Int);

    public static VText Load8(byte* source) => new("(int)x", Kind.Int);

    public static VText LoadF64(byte* source) => Say("narrow_f64(x)", Kind.Float);

    public static void Store32(VText a, byte* destination) => stored = a.Float;

    public static void Store16(VText a, byte* destination) => stored = $"(ushort){a.Int}";

    public static void Store8(VText a, byte* destination) => stored = $"(uchar){a.Int}";

    public static void StoreF64(VText a, byte* destination) => stored = $"widen_f64({a.Float})";

    private static Kind Common(VText a, VText b) => a.kind == Kind.Mask && b.kind == Kind.Mask ? Kind.Mask : Kind.Int;

    private static VText Choose(string condition, VText a, VText b) => a.kind == Kind.Float && b.kind == Kind.Float
        ? Say($"{condition} ? {a.Float} : {b.Float}", Kind.Float)
        : Say($"{condition} ? {a.Int} : {b.Int}", a.kind == b.kind ? a.kind : Kind.Int);

    private static VText Say(string expression, Kind kind)
    {
        var name = $"t{statements!.Count}";
        statements.Add($"const {(kind == Kind.Float ? "float" : "int")} {name} = {expression};");
        return new(name, kind);
    }
}
