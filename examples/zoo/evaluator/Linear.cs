using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Tva.Core.Checkpoints;

namespace Zoo.Evaluator;

/// <summary>Rows of inputs come in; rows of <c>x Wᵀ + b</c> go out.</summary>
internal sealed class Linear
{
    /// <summary>Rows are taken this many at a time; their number must be a multiple.</summary>
    public const int RowTile = 4;

    // Four rows by two vectors are eight independent sums: as many as hide the latency of a fused multiply-add.
    private static readonly int Panel = 2 * Vector<float>.Count;

    private readonly int inputs;
    private readonly int outputs;
    private readonly float[] bias;

    // W cut into panels of two vectors of outputs; within one, input by input: the inner loop reads it straight through.
    private readonly float[] panels;

    /// <summary>Reads <c>NAME.weight</c> [outputs, inputs] and <c>NAME.bias</c> [outputs]; outputs must be a multiple of 32.</summary>
    public Linear(Checkpoint checkpoint, string name, int inputs, int outputs)
    {
        this.inputs = inputs;
        this.outputs = outputs;
        bias = checkpoint.Floats($"{name}.bias", outputs);
        var weight = checkpoint.Floats($"{name}.weight", outputs, inputs);
        panels = new float[weight.Length];
        for (var o = 0; o < outputs; o++)
        {
            for (var i = 0; i < inputs; i++)
            {
                panels[(((o / Panel * inputs) + i) * Panel) + (o % Panel)] = weight[(o * inputs) + i];
            }
        }
    }

    /// <summary>Writes x Wᵀ + b, or with <paramref name="add"/> adds it to what stands there.</summary>
    public void Apply(ReadOnlySpan<float> source, Span<float> destination, bool add = false)
    {
        var rows = source.Length / inputs;
        ArgumentOutOfRangeException.ThrowIfNotEqual(rows % RowTile, 0);
        ArgumentOutOfRangeException.ThrowIfNotEqual(destination.Length, rows * outputs);
        for (var column = 0; column < outputs; column += Panel)
        {
            ref var panel = ref panels[column * inputs];
            for (var row = 0; row < rows; row += RowTile)
            {
                Tile(
                    ref MemoryMarshal.GetReference(source.Slice(row * inputs, RowTile * inputs)),
                    ref panel,
                    ref destination.Slice(row * outputs, RowTile * outputs)[column],
                    ref bias[column],
                    add);
            }
        }
    }

    private void Tile(ref float x, ref float panel, ref float y, ref float b, bool add)
    {
        var width = (nuint)Vector<float>.Count;
        var stride = (nuint)outputs;
        var step = (nuint)inputs;
        Vector<float> b0 = Vector.LoadUnsafe(ref b), b1 = Vector.LoadUnsafe(ref b, width);
        Vector<float> a00 = b0, a10 = b0, a20 = b0, a30 = b0;
        Vector<float> a01 = b1, a11 = b1, a21 = b1, a31 = b1;
        for (nuint i = 0; i < step; i++)
        {
            var w0 = Vector.LoadUnsafe(ref panel, i * 2 * width);
            var w1 = Vector.LoadUnsafe(ref panel, (i * 2 * width) + width);
            var x0 = new Vector<float>(Unsafe.Add(ref x, i));
            var x1 = new Vector<float>(Unsafe.Add(ref x, i + step));
            var x2 = new Vector<float>(Unsafe.Add(ref x, i + (2 * step)));
            var x3 = new Vector<float>(Unsafe.Add(ref x, i + (3 * step)));
            a00 = Vector.FusedMultiplyAdd(x0, w0, a00);
            a01 = Vector.FusedMultiplyAdd(x0, w1, a01);
            a10 = Vector.FusedMultiplyAdd(x1, w0, a10);
            a11 = Vector.FusedMultiplyAdd(x1, w1, a11);
            a20 = Vector.FusedMultiplyAdd(x2, w0, a20);
            a21 = Vector.FusedMultiplyAdd(x2, w1, a21);
            a30 = Vector.FusedMultiplyAdd(x3, w0, a30);
            a31 = Vector.FusedMultiplyAdd(x3, w1, a31);
        }

        Store(ref y, 0, a00, a01, add);
        Store(ref y, stride, a10, a11, add);
        Store(ref y, 2 * stride, a20, a21, add);
        Store(ref y, 3 * stride, a30, a31, add);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(ref float y, nuint at, Vector<float> v0, Vector<float> v1, bool add)
    {
        var next = at + (nuint)Vector<float>.Count;
        if (add)
        {
            v0 += Vector.LoadUnsafe(ref y, at);
            v1 += Vector.LoadUnsafe(ref y, next);
        }

        v0.StoreUnsafe(ref y, at);
        v1.StoreUnsafe(ref y, next);
    }
}
