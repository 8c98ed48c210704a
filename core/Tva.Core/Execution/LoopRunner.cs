using System.Runtime.InteropServices;
using Tva.Core.Ops;

namespace Tva.Core.Execution;

/// <summary>
/// Comes in: the starts and inputs of a <see cref="ScalarLoop"/>. Goes out: its states after the last round. Many rows go through a round
/// together, each on its own, so that what a step costs besides its arithmetic is paid once for all of them.
/// </summary>
internal sealed class LoopRunner
{
    /// <summary>Numbers that fit the first-level or at worst second-level cache: 256 KiB.</summary>
    private const int Resident = 32768;

    private enum Kind : byte { Add, Sub, Mul, Div, Neg, Where, Other }

    private readonly ScalarLoop loop;
    private readonly (Kind Kind, int Target, int A, int B, int C, Func<double, double, double, double> Host)[] steps;
    private readonly double[] registers;
    private readonly double[] next;

    public LoopRunner(ScalarLoop loop)
    {
        this.loop = loop;
        Lanes = Math.Clamp(Resident / loop.Registers, 1, 256);
        steps = [.. loop.Steps.Select(s => (KindOf(s.Op), s.Target * Lanes, At(s.A), At(s.B), At(s.C), OpTable.All[s.Op].Host))];
        registers = new double[loop.Registers * Lanes];
        next = new double[loop.Starts.Count * Lanes];

        // An operand that is not there is not looked at.
        int At(int register) => Math.Max(register, 0) * Lanes;
    }

    /// <summary>How many sets of numbers go through together at most.</summary>
    public int Lanes { get; }

    /// <summary>A register's numbers, one per lane.</summary>
    public Span<double> Register(int register) => registers.AsSpan(register * Lanes, Lanes);

    /// <summary>Does all rounds in the first so many lanes.</summary>
    public void Run(int lanes)
    {
        for (var round = 0; round < loop.Rounds; round++)
        {
            foreach (ref readonly var step in steps.AsSpan())
            {
                Do(in step, lanes);
            }

            var same = true;
            for (var s = 0; s < loop.Next.Count; s++)
            {
                var value = Register(loop.Next[s])[..lanes];
                same = same && Bits(value).SequenceEqual(Bits(Register(s)[..lanes]));
                value.CopyTo(next.AsSpan(s * Lanes));
            }

            // What stays as it is stays so in all further rounds.
            if (same)
            {
                return;
            }

            for (var s = 0; s < loop.Next.Count; s++)
            {
                next.AsSpan(s * Lanes, lanes).CopyTo(Register(s));
            }
        }
    }

    private static ReadOnlySpan<long> Bits(Span<double> values) => MemoryMarshal.Cast<double, long>(values);

    private static Kind KindOf(int op) => OpTable.All[op].Name switch
    {
        "add" => Kind.Add,
        "sub" => Kind.Sub,
        "mul" => Kind.Mul,
        "div" => Kind.Div,
        "neg" => Kind.Neg,
        "where" => Kind.Where,
        _ => Kind.Other,
    };

    private void Do(in (Kind Kind, int Target, int A, int B, int C, Func<double, double, double, double> Host) step, int lanes)
    {
        var target = registers.AsSpan(step.Target, lanes);
        var a = registers.AsSpan(step.A, lanes);
        var b = registers.AsSpan(step.B, lanes);
        var c = registers.AsSpan(step.C, lanes);
        switch (step.Kind)
        {
            case Kind.Add:
                for (var i = 0; i < target.Length; i++)
                {
                    target[i] = a[i] + b[i];
                }

                break;
            case Kind.Sub:
                for (var i = 0; i < target.Length; i++)
                {
                    target[i] = a[i] - b[i];
                }

                break;
            case Kind.Mul:
                for (var i = 0; i < target.Length; i++)
                {
                    target[i] = a[i] * b[i];
                }

                break;
            case Kind.Div:
                for (var i = 0; i < target.Length; i++)
                {
                    target[i] = a[i] / b[i];
                }

                break;
            case Kind.Neg:
                for (var i = 0; i < target.Length; i++)
                {
                    target[i] = -a[i];
                }

                break;
            case Kind.Where:
                for (var i = 0; i < target.Length; i++)
                {
                    target[i] = a[i] != 0 ? b[i] : c[i];
                }

                break;
            default:
                for (var i = 0; i < target.Length; i++)
                {
                    target[i] = step.Host(a[i], b[i], c[i]);
                }

                break;
        }
    }
}
