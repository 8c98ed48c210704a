using Tva.Core.Kernels;
using Tva.Core.Tensors;

namespace Tva.Core.Devices.Tapes;

/// <summary>
/// Comes in: a fused program and which of its outputs are looked at. Goes out: the steps for libtorch, and where on the tape those outputs'
/// float32 values are.
/// </summary>
internal sealed class TapePlan
{
    private TapePlan(Tape tape, int[] values)
    {
        (Tape, Values) = (tape, values);
        LastUses = tape.LastUses([.. values.Where(v => v >= 0), .. Enumerable.Range(0, tape.Steps.Count).Where(n => tape.Steps[n].Code == TapeCode.Constant)]);
        Alive = Tape.MostAlive(LastUses);
    }

    /// <summary>The steps.</summary>
    public Tape Tape { get; }

    /// <summary>Per output the step that is its float32 value, kept to the end, or -1.</summary>
    public int[] Values { get; }

    /// <summary>Per step what is done with after it.</summary>
    public int[][] LastUses { get; }

    /// <summary>Tensors that are alive at once.</summary>
    public int Alive { get; }

    /// <summary>The plan of a program.</summary>
    /// <param name="program">The program.</param>
    /// <param name="stored">Per output whether its elements are wanted.</param>
    /// <param name="reduced">Per output whether its values are.</param>
    public static TapePlan Of(KernelProgram program, IReadOnlyList<bool> stored, IReadOnlyList<bool> reduced)
    {
        var tape = new Tape();
        var code = program.Instructions;
        var needed = Needed(code, o => stored[o] || reduced[o]);
        var at = new int[code.Count];
        var values = Enumerable.Repeat(-1, program.Outputs.Count).ToArray();
        for (var n = 0; n < code.Count; n++)
        {
            var i = code[n];
            if (!needed[n])
            {
                continue;
            }

            switch (i.Code)
            {
                case Code.Load:
                    at[n] = tape.Say(new(TapeCode.Load, TapeKind.Float, Immediate: i.Index));
                    break;
                case Code.Const:
                    at[n] = tape.Say(new(TapeCode.Constant, TapeKind.Float, Immediate: BitConverter.SingleToInt32Bits(i.Value)));
                    break;
                case Code.Param:
                    at[n] = tape.Say(new(TapeCode.Parameter, TapeKind.Float, Immediate: i.Index));
                    break;
                case Code.Apply:
                    VTape[] operands = [.. ((int[])[i.A, i.B, i.C]).Where(o => o >= 0).Select(o => VTape.Of(tape, at[o]))];
                    at[n] = VTape.On(tape, () => DeviceForm.Apply(i.Index, operands));
                    break;
                case Code.Keep:
                    at[n] = tape.Say(new(TapeCode.Keep, TapeKind.Float, at[i.A], Immediate: i.Index));
                    break;
                case Code.Store:
                    values[i.Index] = at[i.A];
                    if (stored[i.Index])
                    {
                        Store(tape, program.Outputs[i.Index], at[i.A], i.Index);
                    }

                    break;
                case Code.Guard:
                    tape.Say(new(TapeCode.Guard, TapeKind.Float, at[i.A]));
                    break;
            }
        }

        return new TapePlan(tape, values);
    }

    /// <summary>What some outputs and all guards are computed from, themselves included.</summary>
    public static bool[] Needed(IReadOnlyList<Instruction> code, Func<int, bool> output)
    {
        var needed = new bool[code.Count];
        for (var n = code.Count - 1; n >= 0; n--)
        {
            var i = code[n];
            needed[n] |= i.Code == Code.Guard || (i.Code == Code.Store && output(i.Index));
            foreach (var operand in (int[])[i.A, i.B, i.C])
            {
                if (needed[n] && operand >= 0)
                {
                    needed[operand] = true;
                }
            }
        }

        return needed;
    }

    /// <summary>What libtorch has a type for it rounds to itself, to nearest even as the CPU's conversions do; the rest is traced from those.</summary>
    private static unsafe void Store(Tape tape, DType type, int value, int output)
    {
        var step = type switch
        {
            DType.F8E4M3 => VTape.OnStore(tape, value, v => Conversion.StoreF8E4M3(v, null)),
            DType.F8E5M2 => VTape.OnStore(tape, value, v => Conversion.StoreF8E5M2(v, null)),
            DType.I8 => VTape.OnStore(tape, value, v => Conversion.StoreI8(v, null)),
            _ => tape.Say(new(TapeCode.Narrow, TapeKind.Float, value, Immediate: (int)type)),
        };
        tape.Say(new(TapeCode.Store, tape.Steps[step].Kind, step, Immediate: output));
    }
}
