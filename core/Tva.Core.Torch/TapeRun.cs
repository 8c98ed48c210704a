using Tva.Core.Devices;
using Tva.Core.Devices.Tapes;
using Tva.Core.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Tva.Core.Torch;

/// <summary>
/// Comes in: steps, and operands as tensors. Goes out: stored elements to whom wants them, the values that reductions look at, and which cells a
/// guard found NaN or infinity in. Every step is a call of libtorch over all elements; a result goes as soon as nothing needs it any more.
/// </summary>
/// <param name="side">The steps.</param>
/// <param name="load">An operand as float32, by input.</param>
/// <param name="parameter">Bits of a parameter: up to an element of the run, behind it, and which that is.</param>
/// <param name="store">Takes an output's stored elements.</param>
/// <param name="guard">Takes which values are finite.</param>
/// <param name="count">Elements.</param>
/// <param name="device">Where it runs.</param>
internal sealed class TapeRun(
    TorchKernel.Side side, Func<int, Tensor> load, Func<int, BlockParameter> parameter, Action<int, Tensor> store, Action<Tensor> guard, long count, Device device)
{
    private readonly Tensor?[] results = new Tensor?[side.Plan.Tape.Steps.Count];

    /// <summary>Does all steps.</summary>
    public void Run()
    {
        var steps = side.Plan.Tape.Steps;
        for (var n = 0; n < steps.Count; n++)
        {
            results[n] = Do(steps[n], n);
            foreach (var done in side.Plan.LastUses[n])
            {
                results[done]?.Dispose();
                results[done] = null;
            }
        }
    }

    /// <summary>An output's float32 values.</summary>
    public Tensor Value(int output) => Whole(results[side.Plan.Values[output]]!);

    private Tensor? Do(TapeStep step, int number)
    {
        Tensor A() => results[step.A]!;
        Tensor B() => results[step.B]!;
        switch (step.Code)
        {
            case TapeCode.Constant:
                return side.Constants[number];
            case TapeCode.Parameter:
                return tensor(BitConverter.Int32BitsToSingle(parameter(step.Immediate).Upto), device: device);
            case TapeCode.Load:
                return load(step.Immediate);
            case TapeCode.Reinterpret:
                return Bits.As(A(), step.Kind == TapeKind.Int ? ScalarType.Int32 : ScalarType.Float32);
            case TapeCode.Add or TapeCode.AddInt:
                return A().add(B());
            case TapeCode.Subtract or TapeCode.SubtractInt:
                return A().sub(B());
            case TapeCode.Multiply:
                return A().mul(B());
            case TapeCode.Divide:
                return A().div(B());
            case TapeCode.Fma:
                return FusedProduct.Of(A(), B(), results[step.C]!);
            case TapeCode.SquareRoot:
                return A().sqrt();
            case TapeCode.Floor:
                return A().floor();
            case TapeCode.Round:
                return A().round();
            case TapeCode.Negate:
                return A().neg();
            case TapeCode.Magnitude:
                return A().abs();
            case TapeCode.Less:
                return A().lt(B());
            case TapeCode.LessEqual:
                return A().le(B());
            case TapeCode.Equal:
                return A().eq(B());
            case TapeCode.And:
                return A().bitwise_and(B());
            case TapeCode.Or:
                return A().bitwise_or(B());
            case TapeCode.Xor:
                return A().bitwise_xor(B());
            case TapeCode.Not:
                return A().bitwise_not();
            case TapeCode.Select:
                return where(A(), B(), results[step.C]!);
            case TapeCode.MaxInt:
                return A().maximum(B());
            case TapeCode.ShiftLeft:
                return A().bitwise_left_shift(B());
            case TapeCode.ShiftRightSigned:
                return A().bitwise_right_shift(B());
            case TapeCode.FromInt:
                return A().to(ScalarType.Float32);
            case TapeCode.WideSine or TapeCode.WideCosine or TapeCode.WideArcCosine or TapeCode.WidePower or TapeCode.WideRemainder:
                return Wide(step);
            case TapeCode.Keep:
                return Keep(A(), parameter(step.Immediate));
            case TapeCode.Narrow:
                return Narrow(A(), (DType)step.Immediate, side.Constants[number]!);
            case TapeCode.Store:
                store(step.Immediate, Whole(step.Kind == TapeKind.Int ? A().to(ScalarType.Byte) : A()));
                return null;
            case TapeCode.Guard:
                guard(Whole(A()).isfinite());
                return null;
            default:
                throw new InvalidOperationException($"{step.Code} is no step");
        }
    }

    private Tensor Wide(TapeStep step)
    {
        using var x = results[step.A]!.to(ScalarType.Float64);
        using var y = step.B < 0 ? null : results[step.B]!.to(ScalarType.Float64);
        using var wide = step.Code switch
        {
            TapeCode.WideSine => x.sin(),
            TapeCode.WideCosine => x.cos(),
            TapeCode.WideArcCosine => x.acos(),
            TapeCode.WideRemainder => x.fmod(y!),
            _ => x.pow(y!),
        };
        return wide.to(ScalarType.Float32);
    }

    private Tensor Keep(Tensor x, BlockParameter threshold)
    {
        var (upto, beyond, last) = threshold;
        using var wholeX = Whole(x);
        using var bits = Bits.As(wholeX, ScalarType.Int32);
        using var mask = tensor(int.MaxValue, device: device);
        using var magnitudes = bits.bitwise_and(mask);
        using var zero = tensor(0f, device: device);
        if (last >= count - 1 || last < 0)
        {
            using var large = magnitudes.gt(Numbers.Of(last < 0 ? beyond : upto));
            return where(large, wholeX, zero);
        }

        using var first = magnitudes.narrow(0, 0, last + 1).gt(Numbers.Of(upto));
        using var rest = magnitudes.narrow(0, last + 1, count - last - 1).gt(Numbers.Of(beyond));
        using var both = cat([first, rest], 0);
        return where(both, wholeX, zero);
    }

    private static Tensor Narrow(Tensor x, DType type, Tensor nan)
    {
        using var rounded = x.to(TorchTypes.Of(type));
        using var isNumber = x.eq(x);
        return where(isNumber, rounded, nan);
    }

    /// <summary>What is the same for all elements, for all elements.</summary>
    private Tensor Whole(Tensor x) => x.dim() > 0 ? x.alias() : x.expand(count).contiguous();
}
