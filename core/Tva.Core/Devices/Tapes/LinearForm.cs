using Tva.Core.Kernels;
using Tva.Core.Ops;
using Tva.Core.Tensors;

namespace Tva.Core.Devices.Tapes;

/// <summary>
/// Comes in: a program. Goes out, where all that leaves it is sums of numbers times operands: those sums as a matrix of coefficients, for a
/// block's parameters, and the program that stores and guards what the matrix product came to.
/// </summary>
internal sealed class LinearForm
{
    private readonly KernelProgram program;
    private readonly bool[] linear;
    private readonly int[] rows;

    private LinearForm(KernelProgram program, bool[] linear, int[] rows, KernelProgram rest)
    {
        (this.program, this.linear, this.rows, Rest) = (program, linear, rows, rest);
        Stepwise = new(
            [.. program.Instructions.Select(i => i.Code is Code.Store or Code.Guard ? new(Code.Const) : i), .. rows.Select((v, r) => new Instruction(Code.Store, v, Index: r))],
            program.Inputs, rest.Inputs, program.Parameters);
    }

    /// <summary>What comes after the product: its inputs are the sums.</summary>
    public KernelProgram Rest { get; }

    /// <summary>The sums step by step, as outputs.</summary>
    public KernelProgram Stepwise { get; }

    /// <summary>Operands.</summary>
    public int Operands => program.Inputs.Count;

    /// <summary>Sums.</summary>
    public int Sums => rows.Length;

    /// <summary>
    /// The form of a program, or null: where something else is done to operands, and where there is but one rounding, which the steps one by one
    /// do better. What selections look at is left to those too: keys must not differ from those that other passes see.
    /// </summary>
    public static LinearForm? Of(BlockProgram block)
    {
        var code = block.Program.Instructions;
        var linear = new bool[code.Count];
        var roundings = 0;
        for (var n = 0; n < code.Count; n++)
        {
            var i = code[n];
            switch (i.Code)
            {
                case Code.Load:
                    linear[n] = true;
                    break;
                case Code.Apply when Lines(i, linear) is { } result:
                    linear[n] = result;
                    roundings += result ? 1 : 0;
                    break;
                case Code.Const or Code.Param:
                    break;
                case Code.Store or Code.Guard when linear[i.A]:
                    break;
                default:
                    return null;
            }
        }

        if (block.Selects || roundings < 2 || block.Program.Inputs.Count < 2)
        {
            return null;
        }

        int[] rows = [.. code.Where(i => i.Code is Code.Store or Code.Guard).Select(i => i.A).Distinct()];
        Instruction[] rest =
        [
            .. rows.Select((_, r) => new Instruction(Code.Load, Index: r)),
            .. code.Where(i => i.Code is Code.Store or Code.Guard).Select(i => i with { A = Array.IndexOf(rows, i.A) }),
        ];
        return new(block.Program, linear, rows, new(rest, [.. rows.Select(_ => DType.F32)], block.Program.Outputs, 0));
    }

    /// <summary>A row of coefficients per sum, one after the other, and what each sum begins with.</summary>
    public (double[] Coefficients, double[] Constants) Matrix(BlockParameter[] parameters)
    {
        var code = program.Instructions;
        var (numbers, terms) = (new float[code.Count], new (double[] Factors, double Constant)[code.Count]);
        for (var n = 0; n < code.Count; n++)
        {
            var i = code[n];
            switch (i.Code)
            {
                case Code.Load:
                    terms[n] = (new double[Operands], 0);
                    terms[n].Factors[i.Index] = 1;
                    break;
                case Code.Const:
                    numbers[n] = i.Value;
                    break;
                case Code.Param:
                    numbers[n] = BitConverter.Int32BitsToSingle(parameters[i.Index].Upto);
                    break;
                case Code.Apply when linear[n]:
                    terms[n] = Combine(i);
                    break;
                case Code.Apply:
                    numbers[n] = Interpreter.Apply(i.Index, numbers[i.A], i.B < 0 ? 0 : numbers[i.B], i.C < 0 ? 0 : numbers[i.C]);
                    break;
            }
        }

        return ([.. rows.SelectMany(r => terms[r].Factors)], [.. rows.Select(r => terms[r].Constant)]);

        (double[] Factors, double Constant) Combine(Instruction i)
        {
            switch (OpTable.Get(i.Index).Name)
            {
                case "neg":
                    return Sum(-1, i.A, 0, -1);
                case "add":
                    return Sum(1, i.A, 1, i.B);
                case "sub":
                    return Sum(1, i.A, -1, i.B);
                case "div":
                    return Sum(1.0 / numbers[i.B], i.A, 0, -1);
                default:
                    var (operand, factor) = linear[i.A] ? (i.A, i.B) : (i.B, i.A);
                    return Sum(numbers[factor], operand, 1, i.C);
            }
        }

        (double[] Factors, double Constant) Sum(double a, int x, double b, int y)
        {
            var factors = new double[Operands];
            var constant = 0.0;
            foreach (var (scale, of) in ((double, int)[])[(a, x), (b, y)])
            {
                if (of < 0)
                {
                    continue;
                }

                constant += scale * (linear[of] ? terms[of].Constant : numbers[of]);
                for (var k = 0; linear[of] && k < factors.Length; k++)
                {
                    factors[k] += scale * terms[of].Factors[k];
                }
            }

            return (factors, constant);
        }
    }

    /// <summary>Whether an op's result is a sum of operands; false where no operand goes in, null where it is anything else.</summary>
    private static bool? Lines(Instruction i, bool[] linear)
    {
        bool Is(int operand) => operand >= 0 && linear[operand];
        if (!Is(i.A) && !Is(i.B) && !Is(i.C))
        {
            return false;
        }

        return OpTable.Get(i.Index).Name switch
        {
            "neg" or "add" or "sub" => true,
            "mul" when !Is(i.A) || !Is(i.B) => true,
            "div" when !Is(i.B) => true,
            "fma" when Is(i.A) != Is(i.B) => true,
            _ => null,
        };
    }
}
