using Tva.Core.Tensors;

namespace Tva.Core.Devices.Tapes;

#pragma warning disable CS1591 // the names are the documentation
/// <summary>What a lane of a step's result is: float32, int32, or whether something holds.</summary>
internal enum TapeKind : byte { Float, Int, Mask }
#pragma warning restore CS1591

/// <summary>What a step does; each is one or a few calls of a library of tensors, which is libtorch.</summary>
internal enum TapeCode : byte
{
    /// <summary>Immediate bits, the same in all lanes.</summary>
    Constant,

    /// <summary>Parameter Immediate.</summary>
    Parameter,

    /// <summary>Input Immediate as float32.</summary>
    Load,

    /// <summary>The bits of A as the other of Float and Int.</summary>
    Reinterpret,

    Add, Subtract, Multiply, Divide, Fma, SquareRoot, Floor, Round, Negate, Magnitude,
    Less, LessEqual, Equal,
    And, Or, Xor, Not,
    Select,
    AddInt, SubtractInt, MaxInt, ShiftLeft, ShiftRightSigned, FromInt,

    /// <summary>Through float64, where libtorch's own functions are off by less than what the rounding to float32 takes away.</summary>
    WideSine, WideCosine, WideArcCosine, WidePower, WideRemainder,

    /// <summary>A where its magnitude's bits are above parameter Immediate's, else 0.</summary>
    Keep,

    /// <summary>A rounded to the type Immediate by libtorch's own conversion; its NaNs are any.</summary>
    Narrow,

    /// <summary>A is output Immediate's stored element: an int's low bits, or a number already of the type.</summary>
    Store,

    /// <summary>Reports A's NaN and infinities by cell.</summary>
    Guard,
}

/// <summary>A step; A, B, C are numbers of earlier ones.</summary>
internal readonly record struct TapeStep(TapeCode Code, TapeKind Kind, int A = -1, int B = -1, int C = -1, int Immediate = 0);

/// <summary>
/// Comes in: steps as something is traced. Goes out: them in order, none twice, with what each is the last to need, so that tensors live no
/// longer than they are used.
/// </summary>
internal sealed class Tape
{
    private readonly List<TapeStep> steps = [];
    private readonly Dictionary<TapeStep, int> known = [];

    /// <summary>The steps.</summary>
    public IReadOnlyList<TapeStep> Steps => steps;

    /// <summary>A step's number; the same step has the same one.</summary>
    public int Say(TapeStep step)
    {
        if (!known.TryGetValue(step, out var number))
        {
            number = steps.Count;
            steps.Add(step);
            known.Add(step, number);
        }

        return number;
    }

    /// <summary>A constant's bits, or null.</summary>
    public int? ConstantOf(int step) => steps[step].Code == TapeCode.Constant ? steps[step].Immediate : null;

    /// <summary>Per step the steps whose results nothing needs after it; <paramref name="kept"/> are needed to the end.</summary>
    public int[][] LastUses(IReadOnlyCollection<int> kept)
    {
        var seen = new HashSet<int>(kept);
        var last = new int[steps.Count][];
        for (var n = steps.Count - 1; n >= 0; n--)
        {
            // A result that nobody ever needs is done with at once.
            var done = new List<int>();
            foreach (var operand in (int[])[n, steps[n].A, steps[n].B, steps[n].C])
            {
                if (operand >= 0 && seen.Add(operand))
                {
                    done.Add(operand);
                }
            }

            last[n] = [.. done];
        }

        return last;
    }

    /// <summary>The most results that are alive at once.</summary>
    public static int MostAlive(IReadOnlyList<int[]> lastUses)
    {
        var (alive, most) = (0, 0);
        foreach (var done in lastUses)
        {
            most = Math.Max(most, ++alive);
            alive -= done.Length;
        }

        return most;
    }
}
