namespace Tva.Core.Execution;

/// <summary>A register of a <see cref="ScalarLoop"/> that holds a scalar, the same in every round.</summary>
/// <param name="Register">The register.</param>
/// <param name="Scalar">Index of an earlier scalar.</param>
public readonly record struct LoopInput(int Register, int Scalar);

/// <summary>An op of the table on registers that are known by then.</summary>
/// <param name="Target">The register it sets, which nothing else does.</param>
/// <param name="Op">Index in <see cref="Ops.OpTable"/>.</param>
/// <param name="A">Register of the first operand.</param>
/// <param name="B">Of the second, or -1.</param>
/// <param name="C">Of the third, or -1.</param>
public readonly record struct LoopStep(int Target, int Op, int A, int B = -1, int C = -1);

/// <summary>
/// Numbers that are computed again and again from what they were: with n starts, registers 0 to n-1 hold them, and after the steps of a
/// round they take the values of <see cref="Next"/>, all at once. In float64.
/// </summary>
/// <param name="rounds">How often, 0 or more.</param>
/// <param name="registers">How many registers there are.</param>
/// <param name="starts">Indices of earlier scalars.</param>
/// <param name="inputs">What else is known before the first round.</param>
/// <param name="steps">A round.</param>
/// <param name="next">A register for each start.</param>
public sealed class ScalarLoop(
    int rounds, int registers, IReadOnlyList<int> starts, IReadOnlyList<LoopInput> inputs, IReadOnlyList<LoopStep> steps, IReadOnlyList<int> next)
{
    /// <summary>How often the steps are done.</summary>
    public int Rounds { get; } = rounds;

    /// <summary>How many registers there are.</summary>
    public int Registers { get; } = registers;

    /// <summary>Scalars that registers 0 to n-1 hold before the first round.</summary>
    public IReadOnlyList<int> Starts { get; } = starts;

    /// <summary>Further registers that hold scalars.</summary>
    public IReadOnlyList<LoopInput> Inputs { get; } = inputs;

    /// <summary>A round, in order.</summary>
    public IReadOnlyList<LoopStep> Steps { get; } = steps;

    /// <summary>The registers whose values the first n take after a round.</summary>
    public IReadOnlyList<int> Next { get; } = next;

    /// <summary>Every scalar it is computed from.</summary>
    public IEnumerable<int> Operands => Starts.Concat(Inputs.Select(i => i.Scalar));

    /// <summary>What is wrong with it, or null.</summary>
    internal string? Fault()
    {
        var known = new bool[Registers];
        if (Rounds < 0 || Next.Count != Starts.Count || Starts.Count == 0 || Starts.Count > Registers)
        {
            return "its states don't match its registers";
        }

        Array.Fill(known, true, 0, Starts.Count);
        foreach (var input in Inputs)
        {
            if (!Fresh(input.Register))
            {
                return $"register {input.Register} is set twice";
            }
        }

        foreach (var step in Steps)
        {
            if (step.Op < 0 || step.Op >= Ops.OpTable.All.Count || !Known(step.A) || (step.B >= 0 && !Known(step.B)) || (step.C >= 0 && !Known(step.C)))
            {
                return $"register {step.Target} is computed from unknown ones";
            }

            if (!Fresh(step.Target))
            {
                return $"register {step.Target} is set twice";
            }
        }

        return Next.All(Known) ? null : "a state is never computed";

        bool Known(int register) => register >= 0 && register < Registers && known[register];

        bool Fresh(int register) => register >= 0 && register < Registers && !known[register] && (known[register] = true);
    }
}
