using System.Runtime.InteropServices;
using Tva.Core.Kernels;
using Tva.Core.Tensors;

namespace Tva.Core.Checkpoints;

/// <summary>Comes in: a small tensor's bytes. Goes out: its elements in double precision, exactly but for integers past 2^53.</summary>
internal static class Doubles
{
    public static double[] Of(DType type, byte[] bytes) => type switch
    {
        DType.F64 => MemoryMarshal.Cast<byte, double>(bytes).ToArray(),
        DType.I64 => Each<long>(bytes, x => x),
        DType.I32 => Each<int>(bytes, x => x),
        DType.I16 => Each<short>(bytes, x => x),
        DType.I8 => Each<sbyte>(bytes, x => x),
        DType.U64 => Each<ulong>(bytes, x => x),
        DType.U32 => Each<uint>(bytes, x => x),
        DType.U16 => Each<ushort>(bytes, x => x),
        DType.U8 or DType.Bool => Each<byte>(bytes, x => x),
        _ => Floats(type, bytes),
    };

    private static double[] Each<T>(byte[] bytes, Func<T, double> convert)
        where T : unmanaged
    {
        var source = MemoryMarshal.Cast<byte, T>(bytes);
        var result = new double[source.Length];
        for (int i = 0; i < result.Length; i++)
        {
            result[i] = convert(source[i]);
        }

        return result;
    }

    private static unsafe double[] Floats(DType type, byte[] bytes)
    {
        var result = new double[bytes.Length / type.Size()];
        fixed (byte* source = bytes)
        {
            for (int i = 0; i < result.Length; i++)
            {
                result[i] = ScalarConversion.Load(type, source, i);
            }
        }

        return result;
    }
}
