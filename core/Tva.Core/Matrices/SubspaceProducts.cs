using Tva.Core.Kernels;
using Tva.Core.Tensors;

namespace Tva.Core.Matrices;

/// <summary>
/// A matrix X (m×n) and the width l of a subspace in; XᵀΩ for a random Ω, X·V and XᵀX·V out, each in one reading of X while l is
/// small, else by blocked products. X is scaled by a power of two where XᵀX would otherwise overflow or vanish.
/// </summary>
internal sealed unsafe class SubspaceProducts(float* x, int m, int n, int l, Workers workers, CancellationToken cancel) : IDisposable
{
    private float* x = x;
    private Block? scaled;
    private readonly StreamedPass? streamed = l <= StreamedPass.Widest ? new(m, n, l) : null;

    /// <summary>‖X‖² once <see cref="Start"/> has run: not finite where X isn't.</summary>
    public double Square { get; private set; }

    /// <summary>What X is multiplied by in all products.</summary>
    public float Scale { get; private set; } = 1;

    /// <summary>XᵀΩ (n×l).</summary>
    public double[] Start(long seed)
    {
        var omega = Draw(seed);
        var back = new float[(long)n * l];
        fixed (float* y = omega, b = back)
        {
            Square = Transposed(y, b);
            if (Square is > 0 and (< 1e-20 or > 1e20) && double.IsFinite(Square))
            {
                Rescale();
                Transposed(y, b);
            }
        }

        return Array.ConvertAll(back, value => (double)value);
    }

    /// <summary>X·V (m×l) and, where that is asked for, XᵀX·V (n×l).</summary>
    public (float[] Product, double[]? Back) Apply(double[] v, bool both)
    {
        var z = Array.ConvertAll(v, value => (float)value);
        var (product, back) = (new float[(long)m * l], new float[both ? (long)n * l : 0]);
        fixed (float* zs = z, ys = product, backs = back)
        {
            if (streamed is not null)
            {
                streamed.Run(x, zs, ys, both ? backs : null, workers, cancel);
            }
            else
            {
                MatrixProduct.Multiply(x, false, zs, false, ys, m, n, l, workers, cancel);
                if (both)
                {
                    MatrixProduct.Multiply(x, true, ys, false, backs, n, m, l, workers, cancel);
                }
            }
        }

        return (product, both ? Array.ConvertAll(back, value => (double)value) : null);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        streamed?.Dispose();
        scaled?.Dispose();
    }

    /// <summary>back = Xᵀy; gives ‖X‖².</summary>
    private double Transposed(float* y, float* back)
    {
        if (streamed is not null)
        {
            return streamed.Run(x, null, y, back, workers, cancel);
        }

        MatrixProduct.Multiply(x, true, y, false, back, n, m, l, workers, cancel);
        return Norms.Square(x, (long)m * n, workers, cancel);
    }

    /// <summary>Goes on with a copy of X whose norm is near 1.</summary>
    private void Rescale()
    {
        Scale = (float)Math.ScaleB(1, Math.Clamp(-Math.ILogB(Math.Sqrt(Square)), -126, 126));
        scaled = new Block((long)m * n * sizeof(float));
        var copy = (float*)scaled.Pointer;
        for (var i = 0L; i < (long)m * n; i++)
        {
            copy[i] = x[i] * Scale;
        }

        x = copy;
    }

    /// <summary>Ω (m×l): sums of four uniform numbers, near enough to normal ones, from a counter.</summary>
    private float[] Draw(long seed)
    {
        const int Part = 1 << 12;
        var key = Philox.Key(seed, "subspace");
        var omega = new float[(long)m * l];
        Lots.Run((int)((omega.LongLength + Part - 1) / Part), workers, cancel, part =>
        {
            Span<float> drawn = stackalloc float[4 * Part];
            var first = (long)part * Part;
            Philox.Fill(key, 4 * first, drawn);
            for (var i = 0; i < Math.Min(Part, omega.LongLength - first); i++)
            {
                omega[first + i] = drawn[i] + drawn[Part + i] + drawn[(2 * Part) + i] + drawn[(3 * Part) + i] - 2;
            }
        });
        return omega;
    }
}
