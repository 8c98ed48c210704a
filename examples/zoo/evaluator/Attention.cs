using System.Numerics;
using System.Runtime.InteropServices;

namespace Zoo.Evaluator;

/// <summary>One image's q, k and v for every token come in; softmax(qkᵀ/√16) v of every head goes out.</summary>
internal static class Attention
{
    private const int Heads = 4;
    private const int HeadWidth = Encoder.Width / Heads;

    // Keys stand side by side in whole vectors; those past the last token score −∞ and so weigh nothing.
    private const int PaddedTokens = 32;

    /// <summary>Floats of scratch that <see cref="Apply"/> needs.</summary>
    public const int Scratch = (HeadWidth + 2) * PaddedTokens;

    /// <param name="qkv">[tokens, 3 · width]: each row is q, k, v, each of them head by head.</param>
    /// <param name="destination">[tokens, width]</param>
    /// <param name="scratch">Overwritten.</param>
    public static void Apply(ReadOnlySpan<float> qkv, Span<float> destination, Span<float> scratch)
    {
        const int Stride = 3 * Encoder.Width;
        var keys = scratch[..(HeadWidth * PaddedTokens)];
        var mask = scratch.Slice(HeadWidth * PaddedTokens, PaddedTokens);
        var weights = scratch.Slice((HeadWidth + 1) * PaddedTokens, PaddedTokens);
        mask.Fill(float.NegativeInfinity);
        mask[..Encoder.Tokens].Clear();
        for (var head = 0; head < Heads; head++)
        {
            var offset = head * HeadWidth;
            for (var token = 0; token < Encoder.Tokens; token++)
            {
                var k = qkv.Slice((token * Stride) + Encoder.Width + offset, HeadWidth);
                for (var i = 0; i < HeadWidth; i++)
                {
                    keys[(i * PaddedTokens) + token] = k[i] / MathF.Sqrt(HeadWidth);
                }
            }

            for (var token = 0; token < Encoder.Tokens; token++)
            {
                Score(qkv.Slice((token * Stride) + offset, HeadWidth), keys, mask, weights);
                Softmax(weights);
                var y = MemoryMarshal.Cast<float, Vector<float>>(destination.Slice((token * Encoder.Width) + offset, HeadWidth));
                y.Clear();
                for (var other = 0; other < Encoder.Tokens; other++)
                {
                    var v = MemoryMarshal.Cast<float, Vector<float>>(
                        qkv.Slice((other * Stride) + (2 * Encoder.Width) + offset, HeadWidth));
                    for (var i = 0; i < y.Length; i++)
                    {
                        y[i] += v[i] * weights[other];
                    }
                }
            }
        }
    }

    private static void Score(ReadOnlySpan<float> q, ReadOnlySpan<float> keys, ReadOnlySpan<float> mask, Span<float> scores)
    {
        for (var at = 0; at < PaddedTokens; at += Vector<float>.Count)
        {
            var score = new Vector<float>(mask[at..]);
            for (var i = 0; i < q.Length; i++)
            {
                score += new Vector<float>(keys[((i * PaddedTokens) + at)..]) * q[i];
            }

            score.CopyTo(scores[at..]);
        }
    }

    private static void Softmax(Span<float> scores)
    {
        var highest = float.NegativeInfinity;
        foreach (var score in scores[..Encoder.Tokens])
        {
            highest = MathF.Max(highest, score);
        }

        var vectors = MemoryMarshal.Cast<float, Vector<float>>(scores);
        var total = Vector<float>.Zero;
        foreach (ref var v in vectors)
        {
            v = Vector.Exp(v - new Vector<float>(highest));
            total += v;
        }

        var scale = 1 / Vector.Sum(total);
        foreach (ref var v in vectors)
        {
            v *= scale;
        }
    }
}
