using System.Reflection;
using Tva.Core.Kernels.Vectors;
using Tva.Core.Ops;

namespace Tva.Core.Kernels;

/// <summary>
/// A program and its buffers in, the same outputs as <see cref="CpuKernel"/>'s to the bit: one element and one instruction at a
/// time, with conversions of its own. The reference that compiled kernels are compared with, nothing to run models on.
/// </summary>
public static unsafe class Interpreter
{
    /// <summary>Runs the program; parameters as <see cref="KernelBody"/> takes them. Needs no padding.</summary>
    /// <returns>0, or 1 when a guarded value was NaN or infinite.</returns>
    public static int Run(KernelProgram program, byte** inputs, byte** outputs, float* parameters, nint count)
    {
        var values = new float[program.Instructions.Count];
        var bad = false;
        for (nint at = 0; at < count; at++)
        {
            for (var n = 0; n < values.Length; n++)
            {
                var i = program.Instructions[n];
                switch (i.Code)
                {
                    case Code.Load:
                        values[n] = ScalarConversion.Load(program.Inputs[i.Index], inputs[i.Index], at);
                        break;
                    case Code.Const:
                        values[n] = i.Value;
                        break;
                    case Code.Param:
                        values[n] = parameters[i.Index];
                        break;
                    case Code.Apply:
                        values[n] = Apply(i.Index, values[i.A], i.B < 0 ? 0 : values[i.B], i.C < 0 ? 0 : values[i.C]);
                        break;
                    case Code.Keep:
                        var size = BitConverter.SingleToInt32Bits(values[i.A]) & int.MaxValue;
                        values[n] = size > ((int*)parameters)[i.Index] ? values[i.A] : 0;
                        break;
                    case Code.Store:
                        ScalarConversion.Store(program.Outputs[i.Index], values[i.A], outputs[i.Index], at);
                        break;
                    case Code.Guard:
                        bad |= !float.IsFinite(values[i.A]);
                        break;
                }
            }
        }

        return bad ? 1 : 0;
    }

    /// <summary>One op on numbers, in float32 as kernels compute it.</summary>
    internal static float Apply(int op, float a, float b, float c) => Forms.Of(op)(a, b, c);

    /// <summary>The ops' forms closed over one lane.</summary>
    private static class Forms
    {
        private static readonly Func<float, float, float, float>?[] Table = new Func<float, float, float, float>?[OpTable.All.Count];

        public static Func<float, float, float, float> Of(int op) => Table[op] ??= Make(op);

        private static Func<float, float, float, float> Make(int op)
        {
            var form = OpTable.Form(op).GetMethod(nameof(IUnary.Apply), BindingFlags.Public | BindingFlags.Static)!
                .MakeGenericMethod(typeof(V1));
            switch (OpTable.Get(op).Arity)
            {
                case 1:
                    var one = form.CreateDelegate<Func<V1, V1>>();
                    return (a, _, _) => one(new(a)).Value;
                case 2:
                    var two = form.CreateDelegate<Func<V1, V1, V1>>();
                    return (a, b, _) => two(new(a), new(b)).Value;
                default:
                    var three = form.CreateDelegate<Func<V1, V1, V1, V1>>();
                    return (a, b, c) => three(new(a), new(b), new(c)).Value;
            }
        }
    }
}
