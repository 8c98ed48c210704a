using System.Runtime.InteropServices;
using Tva.Core;
using Tva.Core.Checkpoints;
using Tva.Core.Tensors;

namespace Zoo.Evaluator;

/// <summary>A tensor's name comes in; its values as float32, whatever the checkpoint stores, go out.</summary>
internal static class Weights
{
    public static TensorInfo Require(this Checkpoint checkpoint, string name) =>
        checkpoint.Find(name) ?? throw new FaultException(
            $"{checkpoint.Path}: no tensor '{name}'; the evaluator runs the network described in examples/zoo/README.md");

    /// <summary>The values, row by row, of a tensor that must have these dimensions.</summary>
    public static float[] Floats(this Checkpoint checkpoint, string name, params long[] dims)
    {
        var tensor = checkpoint.Require(name);
        var shape = new Shape(dims);
        if (!tensor.Shape.Equals(shape))
        {
            throw new FaultException($"{checkpoint.Path}: tensor '{name}' has shape {tensor.Shape}, the network needs {shape}");
        }

        var bytes = new byte[tensor.Bytes];
        checkpoint.Read(tensor, 0, bytes);
        return tensor.DType switch
        {
            DType.F32 => MemoryMarshal.Cast<byte, float>(bytes).ToArray(),
            DType.F64 => Convert<double>(bytes, v => (float)v),
            DType.F16 => Convert<Half>(bytes, v => (float)v),
            DType.BF16 => Convert<ushort>(bytes, v => BitConverter.UInt32BitsToSingle((uint)v << 16)),
            _ => throw new FaultException($"{checkpoint.Path}: tensor '{name}' is {tensor.DType.Name()}; save the model as F32, F64, F16 or BF16"),
        };
    }

    private static float[] Convert<T>(byte[] bytes, Func<T, float> convert)
        where T : struct =>
        Array.ConvertAll(MemoryMarshal.Cast<byte, T>(bytes).ToArray(), v => convert(v));
}
