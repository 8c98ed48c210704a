using System.Numerics;
using System.Runtime.InteropServices;
using Tva.Core.Checkpoints;

namespace Zoo.Evaluator;

/// <summary>A vector of values comes in; their error function or exact GELU goes out.</summary>
public static class Activations
{
    // The Maclaurin series 2/√π Σ (−1)ⁿ x²ⁿ⁺¹ / (n! (2n+1)), highest power first: nine terms leave 2e-8 at 0.75.
    private const float SeriesBelow = 0.75f;
    private static readonly float[] Series = MaclaurinTerms(9);

    /// <summary>
    /// erf(x), to 3e-7 everywhere: its series near zero, and beyond
    /// sign(x) (1 − (a₁t + … + a₅t⁵) e^(−x²)) with t = 1/(1 + p|x|), Abramowitz and Stegun 7.1.26 (error at most 1.5e-7, but
    /// the subtraction cancels in float32 where erf is small).
    /// </summary>
    public static Vector<float> Erf(Vector<float> x)
    {
        var magnitude = Vector.Abs(x);
        var square = x * x;
        var t = Vector<float>.One / (Vector<float>.One + (magnitude * 0.3275911f));
        var tail = new Vector<float>(1.061405429f);
        tail = (tail * t) + new Vector<float>(-1.453152027f);
        tail = (tail * t) + new Vector<float>(1.421413741f);
        tail = (tail * t) + new Vector<float>(-0.284496736f);
        tail = (tail * t) + new Vector<float>(0.254829592f);
        var far = Vector.CopySign(Vector<float>.One - (tail * t * Vector.Exp(-square)), x);

        var near = Vector<float>.Zero;
        foreach (var term in Series)
        {
            near = (near * square) + new Vector<float>(term);
        }

        return Vector.ConditionalSelect(Vector.LessThan(magnitude, new Vector<float>(SeriesBelow)), near * x, far);
    }

    /// <summary>gelu(x) = x (1 + erf(x/√2)) / 2, in place; the length is a multiple of the vector's.</summary>
    public static void Gelu(Span<float> values)
    {
        const float InverseRoot2 = 0.70710678f;
        foreach (ref var x in MemoryMarshal.Cast<float, Vector<float>>(values))
        {
            x = x * 0.5f * (Vector<float>.One + Erf(x * InverseRoot2));
        }
    }

    private static float[] MaclaurinTerms(int count)
    {
        var terms = new float[count];
        var factorial = 1.0;
        for (var n = 0; n < count; n++)
        {
            factorial *= Math.Max(n, 1);
            terms[count - 1 - n] = (float)(2 / Math.Sqrt(Math.PI) * (n % 2 == 0 ? 1 : -1) / (factorial * ((2 * n) + 1)));
        }

        return terms;
    }
}

/// <summary>Rows come in; rows of mean 0 and variance 1, scaled and shifted by the checkpoint's parameters, go out.</summary>
internal sealed class LayerNorm(Checkpoint checkpoint, string name)
{
    private const float Epsilon = 1e-5f;
    private readonly float[] weight = checkpoint.Floats($"{name}.weight", Encoder.Width);
    private readonly float[] bias = checkpoint.Floats($"{name}.bias", Encoder.Width);

    /// <summary>(x − mean) / √(variance + 1e-5) · weight + bias, row by row; the two spans may be the same.</summary>
    public void Apply(ReadOnlySpan<float> source, Span<float> destination)
    {
        var w = MemoryMarshal.Cast<float, Vector<float>>(weight);
        var b = MemoryMarshal.Cast<float, Vector<float>>(bias);
        for (var at = 0; at < source.Length; at += Encoder.Width)
        {
            var x = MemoryMarshal.Cast<float, Vector<float>>(source.Slice(at, Encoder.Width));
            var y = MemoryMarshal.Cast<float, Vector<float>>(destination.Slice(at, Encoder.Width));
            var sum = Vector<float>.Zero;
            foreach (var v in x)
            {
                sum += v;
            }

            var mean = new Vector<float>(Vector.Sum(sum) / Encoder.Width);
            var squares = Vector<float>.Zero;
            foreach (var v in x)
            {
                squares += (v - mean) * (v - mean);
            }

            var scale = new Vector<float>(1 / MathF.Sqrt((Vector.Sum(squares) / Encoder.Width) + Epsilon));
            for (var i = 0; i < x.Length; i++)
            {
                y[i] = ((x[i] - mean) * scale * w[i]) + b[i];
            }
        }
    }
}
