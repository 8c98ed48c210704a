using System.Text;
using Tva.Core.Kernels;
using Tva.Core.Kernels.Vectors;
using Tva.Core.Ops;
using Tva.Core.Tensors;

namespace Tva.Core.Devices.Rendering;

/// <summary>
/// Comes in: which types and ops a kernel uses. Goes out: their functions in the device dialect, a C in which the memory of a device is
/// GLOBAL and LOCAL, kernels are KERNEL(name, work-items of a group), and a work-item asks for its numbers by GROUP, LOCAL_ID and GLOBAL_ID; <see cref="OpenClPrelude"/>
/// says what they are in OpenCL C. Conversions and forms are traced from those of the CPU (<see cref="VText"/>), so neither is written twice.
/// </summary>
internal static class Dialect
{
    /// <summary>In <see cref="OpInfo.Gpu"/>: the op's own vector form.</summary>
    public const string Form = "form";

    private static readonly Dictionary<string, string> Functions = [];

    /// <summary>A stored element's type.</summary>
    public static string TypeOf(DType type) => type switch
    {
        DType.F64 => "ulong",
        DType.F32 => "float",
        DType.F16 or DType.BF16 => "ushort",
        _ => "uchar",
    };

    /// <summary>Name of the function that reads a type.</summary>
    public static string Load(DType type) => "load_" + type.Name().ToLowerInvariant();

    /// <summary>Name of the function that rounds to a type.</summary>
    public static string Store(DType type) => "store_" + type.Name().ToLowerInvariant();

    /// <summary>An op's expression over names.</summary>
    public static string Apply(int op, string a, string b, string c)
    {
        var info = OpTable.Get(op);
        return info.Gpu.Replace(Form + "(", "op_" + info.Name + "(", StringComparison.Ordinal)
            .Replace("$a", a, StringComparison.Ordinal).Replace("$b", b, StringComparison.Ordinal).Replace("$c", c, StringComparison.Ordinal);
    }

    /// <summary>The functions that a program calls, in an order that depends on it alone.</summary>
    public static string FunctionsOf(KernelProgram program)
    {
        var text = new StringBuilder();
        foreach (var type in program.Inputs.Distinct().Order())
        {
            text.Append(LoadFunction(type));
        }

        foreach (var type in program.Outputs.Distinct().Order())
        {
            text.Append(StoreFunction(type));
        }

        foreach (var op in program.Instructions.Where(i => i.Code == Code.Apply).Select(i => i.Index).Distinct().Order())
        {
            if (OpTable.Get(op).Gpu.Contains(Form + "(", StringComparison.Ordinal))
            {
                text.Append(FormFunction(op));
            }
        }

        return text.ToString();
    }

    private static string LoadFunction(DType type) => Cached(Load(type), name =>
    {
        var (lines, result) = VText.TraceLoad(LoadOf(type));
        return Function($"float {name}({TypeOf(type)} x)", lines, result);
    });

    private static string StoreFunction(DType type) => Cached(Store(type), name =>
    {
        var (lines, result) = VText.TraceStore(StoreOf(type));
        return Function($"{TypeOf(type)} {name}(float a)", lines, result);
    });

    private static string FormFunction(int op) => Cached("op_" + OpTable.Get(op).Name, name =>
    {
        var apply = OpTable.Form(op).GetMethod(nameof(IUnary.Apply))!.MakeGenericMethod(typeof(VText));
        var arity = OpTable.Get(op).Arity;
        Func<VText, VText, VText, VText> form;
        switch (arity)
        {
            case 1:
                var one = apply.CreateDelegate<Func<VText, VText>>();
                form = (a, _, _) => one(a);
                break;
            case 2:
                var two = apply.CreateDelegate<Func<VText, VText, VText>>();
                form = (a, b, _) => two(a, b);
                break;
            default:
                form = apply.CreateDelegate<Func<VText, VText, VText, VText>>();
                break;
        }

        var (lines, result) = VText.Trace(form);
        var parameters = arity switch { 1 => "float a", 2 => "float a, float b", _ => "float a, float b, float c" };
        return Function($"float {name}({parameters})", lines, result);
    });

    private static unsafe Func<nint, VText> LoadOf(DType type) => type switch
    {
        DType.F64 => p => Conversion.LoadF64<VText>((byte*)p),
        DType.F32 => p => Conversion.LoadF32<VText>((byte*)p),
        DType.F16 => p => Conversion.LoadF16<VText>((byte*)p),
        DType.BF16 => p => Conversion.LoadBF16<VText>((byte*)p),
        DType.F8E4M3 => p => Conversion.LoadF8E4M3<VText>((byte*)p),
        DType.F8E5M2 => p => Conversion.LoadF8E5M2<VText>((byte*)p),
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "not a type to compute with"),
    };

    private static unsafe Action<VText, nint> StoreOf(DType type) => type switch
    {
        DType.F64 => (v, p) => Conversion.StoreF64(v, (byte*)p),
        DType.F32 => (v, p) => Conversion.StoreF32(v, (byte*)p),
        DType.F16 => (v, p) => Conversion.StoreF16(v, (byte*)p),
        DType.BF16 => (v, p) => Conversion.StoreBF16(v, (byte*)p),
        DType.F8E4M3 => (v, p) => Conversion.StoreF8E4M3(v, (byte*)p),
        DType.F8E5M2 => (v, p) => Conversion.StoreF8E5M2(v, (byte*)p),
        DType.I8 => (v, p) => Conversion.StoreI8(v, (byte*)p),
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "not a type to store"),
    };

    private static string Function(string head, IReadOnlyList<string> lines, string result)
    {
        var text = new StringBuilder($"INLINE {head}\n{{\n");
        foreach (var line in lines)
        {
            text.Append("    ").Append(line).Append('\n');
        }

        return text.Append("    return ").Append(result).Append(";\n}\n\n").ToString();
    }

    private static string Cached(string name, Func<string, string> make)
    {
        lock (Functions)
        {
            if (!Functions.TryGetValue(name, out var text))
            {
                Functions.Add(name, text = make(name));
            }

            return text;
        }
    }
}
