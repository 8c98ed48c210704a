namespace Tva.Core.Ops;

/// <summary>One elementwise op as the language, the help and every backend know it.</summary>
/// <param name="Name">Its name in the language (arithmetic has names too: add, sub, mul...).</param>
/// <param name="Arity">1, 2 or 3 operands.</param>
/// <param name="Signature">For instance <c>clamp(x, lo, hi)</c>.</param>
/// <param name="Formula">What it computes, NaN and infinities included.</param>
/// <param name="Laws">Algebraic facts the optimizer and tests may use, in words.</param>
/// <param name="Gpu">
/// Expression in the GPU dialect over $a, $b, $c, the only place where the op is told to devices; <c>form($a)</c> stands for a function of the
/// same steps as the op's vector form, made from that (see <see cref="Devices.Rendering.VText"/>).
/// </param>
/// <param name="OnPoints">Whether it makes sense on a Model; else it asks for a Delta.</param>
/// <param name="Host">The same in float64, for scalars and constant folding; unused operands are 0.</param>
public sealed record OpInfo(
    string Name, int Arity, string Signature, string Formula, string Laws, string Gpu, bool OnPoints,
    Func<double, double, double, double> Host)
{
    /// <summary>
    /// Locals that the vector form takes of those the JIT allows a method before it stops inlining: what was measured, rounded up.
    /// The default covers forms of up to four instructions.
    /// </summary>
    public int Locals { get; init; } = 6;
}
