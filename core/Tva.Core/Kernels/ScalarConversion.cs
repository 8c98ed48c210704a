using Tva.Core.Tensors;

namespace Tva.Core.Kernels;

/// <summary>
/// One stored element in, one float32 out, and back, for the interpreter. Written from the formats' definitions in float64
/// arithmetic, where every step but the one rounding is exact: nothing in common with <see cref="Conversion"/>.
/// </summary>
internal static unsafe class ScalarConversion
{
    /// <summary>Fraction bits, exponent bias, bits in all, the code that too large a magnitude becomes, NaN's code.</summary>
    private readonly record struct Format(int Fraction, int Bias, int Width, int Overflow, int NaN)
    {
        public bool HasInfinity => Overflow != NaN;
    }

    private static readonly Format F16 = new(10, 15, 16, 0x7c00, 0x7e00);
    private static readonly Format BF16 = new(7, 127, 16, 0x7f80, 0x7fc0);
    private static readonly Format F8E4M3 = new(3, 7, 8, 0x7f, 0x7f);
    private static readonly Format F8E5M2 = new(2, 15, 8, 0x7c, 0x7f);

    /// <summary>Element <paramref name="at"/> as float32.</summary>
    public static float Load(DType type, byte* source, nint at) => type switch
    {
        DType.F64 => (float)((double*)source)[at],
        DType.F32 => ((float*)source)[at],
        DType.F16 => Decode(F16, ((ushort*)source)[at]),
        DType.BF16 => Decode(BF16, ((ushort*)source)[at]),
        DType.F8E4M3 => Decode(F8E4M3, source[at]),
        DType.F8E5M2 => Decode(F8E5M2, source[at]),
        _ => throw NotFloating(type),
    };

    /// <summary>Rounds to nearest even and writes; every NaN as the same one.</summary>
    public static void Store(DType type, float value, byte* destination, nint at)
    {
        switch (type)
        {
            case DType.F64:
                ((long*)destination)[at] = float.IsNaN(value) ? 0x7ff8000000000000 : BitConverter.DoubleToInt64Bits(value);
                break;
            case DType.F32:
                ((int*)destination)[at] = float.IsNaN(value) ? 0x7fc00000 : BitConverter.SingleToInt32Bits(value);
                break;
            case DType.F16:
                ((ushort*)destination)[at] = (ushort)Encode(F16, value);
                break;
            case DType.BF16:
                ((ushort*)destination)[at] = (ushort)Encode(BF16, value);
                break;
            case DType.F8E4M3:
                destination[at] = (byte)Encode(F8E4M3, value);
                break;
            case DType.F8E5M2:
                destination[at] = (byte)Encode(F8E5M2, value);
                break;
            case DType.I8:
                destination[at] = (byte)(sbyte)(float.IsNaN(value) ? 0 : Math.Clamp(Math.Round((double)value, MidpointRounding.ToEven), -128, 127));
                break;
            default:
                throw NotFloating(type);
        }
    }

    private static float Decode(Format format, int code)
    {
        var sign = code >> (format.Width - 1) == 0 ? 1.0 : -1.0;
        var magnitude = code & ((1 << (format.Width - 1)) - 1);
        if (magnitude >= format.Overflow)
        {
            return format.HasInfinity && magnitude == format.Overflow ? (float)(sign * double.PositiveInfinity) : float.NaN;
        }

        var exponent = magnitude >> format.Fraction;
        var fraction = magnitude & ((1 << format.Fraction) - 1);
        var significand = exponent == 0 ? fraction : fraction + (1 << format.Fraction);
        return (float)(sign * Math.ScaleB(significand, Math.Max(exponent, 1) - format.Bias - format.Fraction));
    }

    private static int Encode(Format format, float value)
    {
        if (float.IsNaN(value))
        {
            return format.NaN;
        }

        var sign = float.IsNegative(value) ? 1 << (format.Width - 1) : 0;
        var magnitude = Math.Abs((double)value);
        if (magnitude == 0)
        {
            return sign;
        }

        if (double.IsInfinity(magnitude))
        {
            return sign | format.Overflow;
        }

        var exponent = Math.Max(Math.ILogB(magnitude), 1 - format.Bias);
        var units = (int)Math.Round(Math.ScaleB(magnitude, format.Fraction - exponent), MidpointRounding.ToEven);
        return sign | Math.Min(units + ((exponent + format.Bias - 1) << format.Fraction), format.Overflow);
    }

    private static ArgumentException NotFloating(DType type) => new($"{type.Name()} takes no part in the algebra.");
}
