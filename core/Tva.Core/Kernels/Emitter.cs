using System.Reflection;
using System.Reflection.Emit;
using Tva.Core.Kernels.Vectors;
using Tva.Core.Ops;
using Tva.Core.Tensors;

namespace Tva.Core.Kernels;

/// <summary>
/// A program in, IL out: broadcasts, then one loop that calls the ops' and conversions' generic forms closed over one width,
/// all of which the JIT inlines. An iteration handles one vector, or a pair (see <see cref="paired"/>): more of them measured
/// nothing but longer compilation, since iterations are independent and the processor overlaps them by itself.
/// Not generic over the vector itself, as code closed over 512-bit vectors is never compiled ahead of time.
/// </summary>
internal sealed class Emitter
{
    private static readonly string[] Loads =
    [
        nameof(Conversion.LoadF64), nameof(Conversion.LoadF32), nameof(Conversion.LoadF16),
        nameof(Conversion.LoadBF16), nameof(Conversion.LoadF8E4M3), nameof(Conversion.LoadF8E5M2),
    ];

    private static readonly string[] Stores =
    [
        nameof(Conversion.StoreF64), nameof(Conversion.StoreF32), nameof(Conversion.StoreF16),
        nameof(Conversion.StoreBF16), nameof(Conversion.StoreF8E4M3), nameof(Conversion.StoreF8E5M2),
    ];

    private static readonly Dictionary<string, MethodInfo> Closed = [];

    private readonly KernelProgram program;
    private readonly Type vector;
    private readonly int lanes;
    private readonly int copies;

    /// <summary>
    /// Where all streams are BF16 the two vectors of a pair hold the elements at even and at odd positions, which come out of
    /// 32-bit words by a shift and a mask. Elementwise work does not mind the order. The F32 streams that segments pass values
    /// through (see <see cref="Split"/>) hold them in that order, vector by vector.
    /// </summary>
    private readonly bool paired;

    /// <summary>F32 outputs of pairs are in the elements' order: they are the program's, and not what segments pass on.</summary>
    private readonly bool ordered;

    private readonly ILGenerator il;
    private readonly DynamicMethod method;
    private readonly LocalBuilder[,] values;
    private readonly LocalBuilder[] inside;
    private readonly LocalBuilder[] thresholds;
    private readonly LocalBuilder[] inputs;
    private readonly LocalBuilder[] outputs;
    private readonly bool guard;
    private readonly LocalBuilder? largest;
    private readonly LocalBuilder at;
    private readonly LocalBuilder end;

    public Emitter(KernelProgram program, Type vector, int lanes, bool paired, bool ordered)
    {
        this.program = program;
        this.vector = vector;
        this.lanes = lanes;
        (this.paired, this.ordered) = (paired, ordered);
        copies = paired ? 2 : 1;
        method = new DynamicMethod(
            "kernel", typeof(int), [typeof(float[]), typeof(byte**), typeof(byte**), typeof(float*), typeof(nint)],
            typeof(CpuKernel).Module, skipVisibility: true);
        il = method.GetILGenerator();
        at = il.DeclareLocal(typeof(nint));
        end = il.DeclareLocal(typeof(nint));
        guard = Has(Code.Guard);
        largest = guard ? Vector() : null;
        inside = guard ? Vectors() : [];
        thresholds = new LocalBuilder[program.Instructions.Count];
        inputs = Pointers(program.Inputs.Count);
        outputs = Pointers(program.Outputs.Count);
        values = new LocalBuilder[program.Instructions.Count, copies];
    }

    private int Step => copies * lanes;

    /// <summary>Whether a program may be compiled in pairs.</summary>
    public static bool Pairs(KernelProgram program) => Only(DType.BF16, program.Inputs) && Only(DType.BF16, program.Outputs);

    /// <summary>Whether a program that is not split may be: what goes to reductions is float32.</summary>
    public static bool PairsWhole(KernelProgram program)
    {
        foreach (var type in program.Outputs)
        {
            if (type is not (DType.BF16 or DType.F32))
            {
                return false;
            }
        }

        return program.Inputs.Count > 0 && Only(DType.BF16, program.Inputs);
    }

    public DynamicMethod Emit()
    {
        LoadPointers(inputs, OpCodes.Ldarg_1);
        LoadPointers(outputs, OpCodes.Ldarg_2);
        Broadcasts();
        Loop();
        return method;
    }

    private void LoadPointers(LocalBuilder[] locals, OpCode table)
    {
        for (var k = 0; k < locals.Length; k++)
        {
            il.Emit(table);
            il.Emit(OpCodes.Ldc_I4, k * nint.Size);
            il.Emit(OpCodes.Add);
            il.Emit(OpCodes.Ldind_I);
            il.Emit(OpCodes.Stloc, locals[k]);
        }
    }

    /// <summary>Everything that stays the same through the loop, in registers before it.</summary>
    private void Broadcasts()
    {
        var constant = 0;
        for (var n = 0; n < program.Instructions.Count; n++)
        {
            var i = program.Instructions[n];
            switch (i.Code)
            {
                case Code.Const:
                    il.Emit(OpCodes.Ldarg_0);
                    il.Emit(OpCodes.Ldc_I4, constant++);
                    il.Emit(OpCodes.Ldelem_R4);
                    Call(typeof(Lanes), nameof(Lanes.Const));
                    Share(n, Store(Vector()));
                    break;
                case Code.Param:
                    Share(n, Parameter(i.Index));
                    break;
                case Code.Keep:
                    thresholds[n] = Parameter(i.Index);
                    break;
            }
        }

        foreach (var local in inside)
        {
            il.Emit(OpCodes.Ldc_I4, int.MaxValue);
            Call(typeof(Lanes), nameof(Lanes.Bits));
            il.Emit(OpCodes.Stloc, local);
        }
    }

    /// <summary>
    /// With guards the loop first runs over the whole groups, then, with the lanes past count masked out, once over the rest.
    /// </summary>
    private void Loop()
    {
        var (body, test, done) = (il.DefineLabel(), il.DefineLabel(), il.DefineLabel());
        il.Emit(OpCodes.Ldarg, 4);
        if (guard)
        {
            il.Emit(OpCodes.Ldc_I4, -Step);
            il.Emit(OpCodes.Conv_I);
            il.Emit(OpCodes.And);
        }

        il.Emit(OpCodes.Stloc, end);
        il.Emit(OpCodes.Br, test);
        il.MarkLabel(body);
        Body();

        il.Emit(OpCodes.Ldloc, at);
        il.Emit(OpCodes.Ldc_I4, Step);
        il.Emit(OpCodes.Add);
        il.Emit(OpCodes.Stloc, at);
        il.MarkLabel(test);
        il.Emit(OpCodes.Ldloc, at);
        il.Emit(OpCodes.Ldloc, end);
        il.Emit(OpCodes.Blt, body);
        if (!guard)
        {
            il.Emit(OpCodes.Ldc_I4_0);
            il.Emit(OpCodes.Ret);
            return;
        }

        il.Emit(OpCodes.Ldloc, at);
        il.Emit(OpCodes.Ldarg, 4);
        il.Emit(OpCodes.Bge, done);
        for (var u = 0; u < copies; u++)
        {
            Positions(u);
            il.Emit(OpCodes.Ldarg, 4);
            il.Emit(OpCodes.Ldloc, at);
            il.Emit(OpCodes.Sub);
            il.Emit(OpCodes.Conv_I4);
            Call(typeof(Lanes), nameof(Lanes.Inside));
            il.Emit(OpCodes.Stloc, inside[u]);
        }

        il.Emit(OpCodes.Ldarg, 4);
        il.Emit(OpCodes.Stloc, end);
        il.Emit(OpCodes.Br, body);
        il.MarkLabel(done);
        il.Emit(OpCodes.Ldloc, largest!);
        Call(typeof(Lanes), nameof(Lanes.Finish));
        il.Emit(OpCodes.Ret);
    }

    /// <summary>The program once, each instruction over all copies.</summary>
    private void Body()
    {
        for (var n = 0; n < program.Instructions.Count; n++)
        {
            var i = program.Instructions[n];
            if (i.Code == Code.Store && paired && program.Outputs[i.Index] == DType.BF16)
            {
                il.Emit(OpCodes.Ldloc, values[i.A, 0]);
                il.Emit(OpCodes.Ldloc, values[i.A, 1]);
                Address(outputs[i.Index], DType.BF16, 0);
                Call(typeof(Conversion), nameof(Conversion.StorePairBF16));
                continue;
            }

            if (i.Code == Code.Store && paired && ordered)
            {
                il.Emit(OpCodes.Ldloc, values[i.A, 0]);
                il.Emit(OpCodes.Ldloc, values[i.A, 1]);
                Address(outputs[i.Index], DType.F32, 0);
                Call(typeof(Conversion), nameof(Conversion.StorePairF32));
                continue;
            }

            for (var u = 0; u < copies; u++)
            {
                One(n, i, u);
            }
        }
    }

    private void One(int n, Instruction i, int u)
    {
        switch (i.Code)
        {
            case Code.Load:
                var type = program.Inputs[i.Index];
                var pair = paired && type == DType.BF16;
                Address(inputs[i.Index], type, pair ? 0 : u);
                Call(typeof(Conversion), !pair ? Loads[(int)type] : u == 0 ? nameof(Conversion.LoadEvenBF16) : nameof(Conversion.LoadOddBF16));
                values[n, u] = Store(Vector());
                break;
            case Code.Apply:
                il.Emit(OpCodes.Ldloc, values[i.A, u]);
                var arity = OpTable.Get(i.Index).Arity;
                if (arity > 1)
                {
                    il.Emit(OpCodes.Ldloc, values[i.B, u]);
                }

                if (arity > 2)
                {
                    il.Emit(OpCodes.Ldloc, values[i.C, u]);
                }

                Call(OpTable.Form(i.Index), nameof(IUnary.Apply));
                values[n, u] = Store(Vector());
                break;
            case Code.Keep:
                il.Emit(OpCodes.Ldloc, values[i.A, u]);
                il.Emit(OpCodes.Ldloc, thresholds[n]);
                Call(typeof(Lanes), nameof(Lanes.Keep));
                values[n, u] = Store(Vector());
                break;
            case Code.Store:
                il.Emit(OpCodes.Ldloc, values[i.A, u]);
                Address(outputs[i.Index], program.Outputs[i.Index], u);
                Call(typeof(Conversion), program.Outputs[i.Index] == DType.I8 ? nameof(Conversion.StoreI8) : Stores[(int)program.Outputs[i.Index]]);
                break;
            case Code.Guard:
                il.Emit(OpCodes.Ldloc, values[i.A, u]);
                il.Emit(OpCodes.Ldloc, inside[u]);
                il.Emit(OpCodes.Ldloc, largest!);
                Call(typeof(Lanes), nameof(Lanes.Guard));
                il.Emit(OpCodes.Stloc, largest!);
                break;
        }
    }

    /// <summary>Pushes base + at·size, in the form that becomes one addressing mode, of a pair's first or second vector.</summary>
    private void Address(LocalBuilder pointer, DType type, int copy)
    {
        il.Emit(OpCodes.Ldloc, pointer);
        il.Emit(OpCodes.Ldloc, at);
        il.Emit(OpCodes.Ldc_I4, type.Size());
        il.Emit(OpCodes.Mul);
        il.Emit(OpCodes.Add);
        if (copy > 0)
        {
            il.Emit(OpCodes.Ldc_I4, copy * lanes * type.Size());
            il.Emit(OpCodes.Add);
        }
    }

    private void Positions(int u)
    {
        il.Emit(OpCodes.Ldc_I4, u);
        il.Emit(OpCodes.Ldc_I4, paired ? 1 : 0);
        Call(typeof(Lanes), nameof(Lanes.Positions));
    }

    private LocalBuilder Parameter(int index)
    {
        il.Emit(OpCodes.Ldarg_3);
        il.Emit(OpCodes.Ldc_I4, index);
        Call(typeof(Lanes), nameof(Lanes.Broadcast));
        return Store(Vector());
    }

    private void Share(int n, LocalBuilder local)
    {
        for (var u = 0; u < copies; u++)
        {
            values[n, u] = local;
        }
    }

    private LocalBuilder Vector() => il.DeclareLocal(vector);

    private LocalBuilder[] Pointers(int count)
    {
        var locals = new LocalBuilder[count];
        for (var k = 0; k < count; k++)
        {
            locals[k] = il.DeclareLocal(typeof(byte*));
        }

        return locals;
    }

    private static bool Only(DType type, IReadOnlyList<DType> types)
    {
        foreach (var t in types)
        {
            if (t != type)
            {
                return false;
            }
        }

        return true;
    }

    private bool Has(Code code)
    {
        foreach (var i in program.Instructions)
        {
            if (i.Code == code)
            {
                return true;
            }
        }

        return false;
    }

    private LocalBuilder[] Vectors()
    {
        var locals = new LocalBuilder[copies];
        for (var u = 0; u < copies; u++)
        {
            locals[u] = Vector();
        }

        return locals;
    }

    private LocalBuilder Store(LocalBuilder local)
    {
        il.Emit(OpCodes.Stloc, local);
        return local;
    }

    /// <summary>Calls a generic method closed over the vector; looked up once.</summary>
    private void Call(Type owner, string name)
    {
        var key = string.Concat(vector.Name, owner.Name, name);
        lock (Closed)
        {
            if (!Closed.TryGetValue(key, out var closed))
            {
                closed = owner.GetMethod(name, BindingFlags.Public | BindingFlags.Static)!.MakeGenericMethod(vector);
                Closed.Add(key, closed);
            }

            il.Emit(OpCodes.Call, closed);
        }
    }
}
