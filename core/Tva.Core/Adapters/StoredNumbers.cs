using System.Runtime.InteropServices;
using Tva.Core.Checkpoints;
using Tva.Core.Kernels;
using Tva.Core.Tensors;

namespace Tva.Core.Adapters;

/// <summary>Comes in: a tensor of a file. Goes out: its elements as float32, whatever they are stored as.</summary>
internal static class StoredNumbers
{
    /// <summary>Elements from <paramref name="first"/> on, as many as there is room for.</summary>
    /// <exception cref="FaultException">The file can't be read.</exception>
    public static unsafe void Read(Checkpoint file, TensorInfo tensor, long first, Span<float> destination)
    {
        if (tensor.DType == DType.F32)
        {
            file.Read(tensor, first * sizeof(float), MemoryMarshal.AsBytes(destination));
            return;
        }

        var size = tensor.DType.Size();
        var bytes = new byte[Math.Min(destination.Length, 1 << 16) * size];
        for (var at = 0; at < destination.Length;)
        {
            var part = bytes.AsSpan(0, Math.Min(destination.Length - at, 1 << 16) * size);
            file.Read(tensor, (first + at) * size, part);
            var count = part.Length / size;
            switch (tensor.DType)
            {
                case DType.BF16:
                    var high = MemoryMarshal.Cast<byte, ushort>(part);
                    for (var i = 0; i < count; i++)
                    {
                        destination[at + i] = BitConverter.UInt32BitsToSingle((uint)high[i] << 16);
                    }

                    break;
                case DType.F16:
                    var halves = MemoryMarshal.Cast<byte, Half>(part);
                    for (var i = 0; i < count; i++)
                    {
                        destination[at + i] = (float)halves[i];
                    }

                    break;
                default:
                    fixed (byte* p = part)
                    {
                        for (var i = 0; i < count; i++)
                        {
                            destination[at + i] = ScalarConversion.Load(tensor.DType, p, i);
                        }
                    }

                    break;
            }

            at += count;
        }
    }

    /// <summary>All elements.</summary>
    public static float[] ReadAll(Checkpoint file, TensorInfo tensor)
    {
        var values = new float[tensor.Shape.Elements];
        Read(file, tensor, 0, values);
        return values;
    }

    /// <summary>The one element of a tensor, which may be a whole number.</summary>
    public static double ReadOne(Checkpoint file, TensorInfo tensor)
    {
        if (tensor.DType.IsFloating())
        {
            var value = new float[1];
            Read(file, tensor, 0, value);
            return value[0];
        }

        var bytes = new byte[tensor.DType.Size()];
        file.Read(tensor, 0, bytes);
        return tensor.DType switch
        {
            DType.I64 => BitConverter.ToInt64(bytes),
            DType.I32 => BitConverter.ToInt32(bytes),
            DType.I16 => BitConverter.ToInt16(bytes),
            DType.U8 => bytes[0],
            _ => double.NaN,
        };
    }
}
