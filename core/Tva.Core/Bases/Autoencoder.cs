using System.Numerics;
using System.Runtime.CompilerServices;

namespace Tva.Core.Bases;

/// <summary>
/// A Gram matrix G in, a trained encoder B (T×M) and decoder W (M×T) out: Adam on L = tr((BW−I)ᵀG(BW−I))/T² over A and W, where
/// B = softmax(A/temperature) over the tasks, or A/temperature (arXiv 2502.01015). A begins as N(0, 1), W as 0.
/// W is held transposed, so that A, W and their gradients are all T rows of M numbers, padded with zeros to whole vectors.
/// </summary>
internal sealed class Autoencoder
{
    private const double Beta1 = 0.9;
    private const double Beta2 = 0.999;
    private const double Epsilon = 1e-8;

    private readonly BasisOptions options;
    private readonly int tasks;
    private readonly int atoms;

    /// <summary>Numbers in a padded row of M.</summary>
    private readonly int stride;

    private readonly double[] gram;

    /// <summary>A, then (the decoder's parameters)ᵀ; their gradients and Adam's two moments likewise.</summary>
    private readonly double[] parameters;
    private readonly double[] gradient;
    private readonly double[] first;
    private readonly double[] second;

    /// <summary>Rows of B beside rows of Wᵀ, and the same times G.</summary>
    private readonly double[] pair;
    private readonly double[] pairTimesGram;

    /// <summary>BᵀGB, then WWᵀ.</summary>
    private readonly double[] inner;

    /// <summary>1 for a column that is an atom, 0 for padding.</summary>
    private readonly double[] isAtom;

    private double power1 = 1;
    private double power2 = 1;

    public Autoencoder(double[,] gram, int atoms, BasisOptions options, SeededRandom random)
    {
        (this.options, this.atoms, tasks) = (options, atoms, gram.GetLength(0));
        Temperature = options.TemperatureOrDefault;
        var width = Vector<double>.Count;
        stride = (atoms + width - 1) / width * width;

        // On G over its mean diagonal: weight decay and epsilon then mean the same whatever the scale of the tasks.
        var energy = Enumerable.Range(0, tasks).Sum(t => gram[t, t]);
        this.gram = new double[tasks * tasks];
        for (var i = 0; i < this.gram.Length; i++)
        {
            this.gram[i] = gram[i / tasks, i % tasks] * (tasks / energy);
        }

        var size = tasks * stride;
        (parameters, gradient) = (new double[2 * size], new double[2 * size]);
        (first, second) = (new double[2 * size], new double[2 * size]);
        (pair, pairTimesGram, inner) = (new double[2 * size], new double[2 * size], new double[2 * stride * stride]);
        isAtom = new double[stride];
        Array.Fill(isAtom, 1, 0, atoms);
        for (var t = 0; t < tasks; t++)
        {
            for (var m = 0; m < atoms; m++)
            {
                A(t, m) = random.Normal();
            }
        }
    }

    /// <summary>As annealed so far.</summary>
    private double Temperature { get; set; }

    public double[,] Encoder => Dense.Build(tasks, atoms, (t, m) => pair[(t * 2 * stride) + m]);

    public double[,] Decoder => Dense.Build(atoms, tasks, (m, t) => pair[(t * 2 * stride) + stride + m]);

    private Matrix B => new(pair, 0, 2 * stride, 1);

    private Matrix W => new(pair, stride, 2 * stride, 1);

    /// <summary>The encoder's parameter.</summary>
    public ref double A(int task, int atom) => ref parameters[(task * stride) + atom];

    /// <summary>The decoder's parameter: W itself, or with a softmax what it is taken of.</summary>
    public ref double C(int atom, int task) => ref parameters[((tasks + task) * stride) + atom];

    /// <summary>dL/dA.</summary>
    public double GradientA(int task, int atom) => gradient[(task * stride) + atom];

    /// <summary>dL/dC.</summary>
    public double GradientC(int atom, int task) => gradient[((tasks + task) * stride) + atom];

    /// <summary>All steps; B and W are then those of the last parameters.</summary>
    public void Train()
    {
        for (var step = 1; step <= options.Steps; step++)
        {
            Forward();
            Backward();
            Adam();
            if (options.AnnealEvery is { } every && step % every == 0)
            {
                Temperature = Math.Min(Temperature, Math.Max(options.Floor, Temperature * options.AnnealFactor));
            }
        }

        Forward();
    }

    /// <summary>Parameters to B and W.</summary>
    public void Forward()
    {
        if (options.Method == BasisMethod.Ae)
        {
            SoftmaxOverTasks();
        }
        else
        {
            Scale();
        }

        if (options.SoftmaxDecoder)
        {
            SoftmaxOverAtoms();
            return;
        }

        for (var t = 0; t < tasks; t++)
        {
            parameters.AsSpan((tasks + t) * stride, stride).CopyTo(pair.AsSpan((t * 2 * stride) + stride));
        }
    }

    /// <summary>
    /// The gradient at the B and W of <see cref="Forward"/>. With E = BW − I: dL/dW = 2/T²·BᵀGE = 2/T²·(BᵀGB·W − BᵀG), of which
    /// this is the transpose, and dL/dB = 2/T²·GEWᵀ = 2/T²·(GB·WWᵀ − GWᵀ); then through what makes B and W of the parameters.
    /// </summary>
    public void Backward()
    {
        var g = new Matrix(gram, 0, tasks, 1);
        var (gb, gw) = (new Matrix(pairTimesGram, 0, 2 * stride, 1), new Matrix(pairTimesGram, stride, 2 * stride, 1));
        var (bgb, ww) = (new Matrix(inner, 0, stride, 1), new Matrix(inner, stride * stride, stride, 1));
        var (da, dw) = (new Matrix(gradient, 0, stride, 1), new Matrix(gradient, tasks * stride, stride, 1));
        RowProduct.Multiply(g, B, gb, tasks, tasks, 2 * stride);
        RowProduct.Multiply(B.Transposed, gb, bgb, stride, tasks, stride);
        RowProduct.Multiply(W.Transposed, W, ww, stride, tasks, stride);
        RowProduct.Multiply(W, bgb, dw, tasks, atoms, stride);
        RowProduct.Multiply(gb, ww, da, tasks, atoms, stride);
        Finish(dw, gb);
        Finish(da, gw);
        if (options.Method == BasisMethod.Ae)
        {
            ThroughTaskSoftmax();
        }
        else
        {
            ThroughScale();
        }

        if (options.SoftmaxDecoder)
        {
            ThroughAtomSoftmax();
        }
    }

    /// <summary>2/T²·(product − other), in place.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Finish(Matrix product, Matrix other)
    {
        var scale = new Vector<double>(2.0 / tasks / tasks);
        for (var t = 0; t < tasks; t++)
        {
            for (var j = 0; j < stride; j += Vector<double>.Count)
            {
                ref var x = ref product.At(t, j);
                ((Vector.LoadUnsafe(ref x) - Vector.LoadUnsafe(ref other.At(t, j))) * scale).StoreUnsafe(ref x);
            }
        }
    }

    /// <summary>B = A/temperature.</summary>
    private void Scale()
    {
        for (var t = 0; t < tasks; t++)
        {
            for (var m = 0; m < atoms; m++)
            {
                pair[(t * 2 * stride) + m] = A(t, m) / Temperature;
            }
        }
    }

    private void ThroughScale()
    {
        for (var i = 0; i < tasks * stride; i++)
        {
            gradient[i] /= Temperature;
        }
    }

    /// <summary>Each column of B the softmax of A's over temperature: positive, of sum 1. Padding becomes 0.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void SoftmaxOverTasks()
    {
        var scale = new Vector<double>(1 / Temperature);
        for (var j = 0; j < stride; j += Vector<double>.Count)
        {
            ref var a = ref parameters[j];
            ref var b = ref pair[j];
            var largest = Vector.LoadUnsafe(ref a);
            for (var t = 1; t < tasks; t++)
            {
                largest = Vector.Max(largest, Vector.LoadUnsafe(ref a, (nuint)(t * stride)));
            }

            var sum = Vector<double>.Zero;
            for (var t = 0; t < tasks; t++)
            {
                var x = (Vector.LoadUnsafe(ref a, (nuint)(t * stride)) - largest) * scale;
                var e = Portable.Exp(Vector.Max(x, new Vector<double>(-700)));
                e.StoreUnsafe(ref b, (nuint)(t * 2 * stride));
                sum += e;
            }

            sum = Vector.LoadUnsafe(ref isAtom[j]) / sum;
            for (var t = 0; t < tasks; t++)
            {
                var place = (nuint)(t * 2 * stride);
                (Vector.LoadUnsafe(ref b, place) * sum).StoreUnsafe(ref b, place);
            }
        }
    }

    /// <summary>dL/dA = B ⊙ (dL/dB − Σ over tasks of B ⊙ dL/dB) / temperature, by column.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void ThroughTaskSoftmax()
    {
        var scale = new Vector<double>(1 / Temperature);
        for (var j = 0; j < stride; j += Vector<double>.Count)
        {
            ref var d = ref gradient[j];
            ref var b = ref pair[j];
            var mean = Vector<double>.Zero;
            for (var t = 0; t < tasks; t++)
            {
                mean += Vector.LoadUnsafe(ref b, (nuint)(t * 2 * stride)) * Vector.LoadUnsafe(ref d, (nuint)(t * stride));
            }

            for (var t = 0; t < tasks; t++)
            {
                var place = (nuint)(t * stride);
                var weight = Vector.LoadUnsafe(ref b, (nuint)(t * 2 * stride)) * scale;
                (weight * (Vector.LoadUnsafe(ref d, place) - mean)).StoreUnsafe(ref d, place);
            }
        }
    }

    /// <summary>Each task's weights the softmax of its parameters over the atoms. Scalar: few ask for it.</summary>
    private void SoftmaxOverAtoms()
    {
        for (var t = 0; t < tasks; t++)
        {
            var c = parameters.AsSpan((tasks + t) * stride, atoms);
            var w = pair.AsSpan((t * 2 * stride) + stride, atoms);
            var largest = c[0];
            foreach (var x in c)
            {
                largest = Math.Max(largest, x);
            }

            var sum = 0.0;
            for (var m = 0; m < atoms; m++)
            {
                w[m] = Portable.Exp(new Vector<double>(Math.Max(c[m] - largest, -700)))[0];
                sum += w[m];
            }

            for (var m = 0; m < atoms; m++)
            {
                w[m] /= sum;
            }
        }
    }

    private void ThroughAtomSoftmax()
    {
        for (var t = 0; t < tasks; t++)
        {
            var d = gradient.AsSpan((tasks + t) * stride, atoms);
            var w = pair.AsSpan((t * 2 * stride) + stride, atoms);
            var mean = 0.0;
            for (var m = 0; m < atoms; m++)
            {
                mean += w[m] * d[m];
            }

            for (var m = 0; m < atoms; m++)
            {
                d[m] = w[m] * (d[m] - mean);
            }
        }
    }

    /// <summary>One step of Adam (arXiv 1412.6980), weight decay in the gradient; padding stays 0.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Adam()
    {
        power1 *= Beta1;
        power2 *= Beta2;
        var rate = new Vector<double>(options.LearningRate / (1 - power1));
        var correction = new Vector<double>(1 / Math.Sqrt(1 - power2));
        var decay = new Vector<double>(options.WeightDecay);
        var epsilon = new Vector<double>(Epsilon);
        for (var i = 0; i < parameters.Length; i += Vector<double>.Count)
        {
            var p = Vector.LoadUnsafe(ref parameters[i]);
            var g = Vector.LoadUnsafe(ref gradient[i]) + (p * decay);
            var m = (Vector.LoadUnsafe(ref first[i]) * Beta1) + (g * (1 - Beta1));
            var v = (Vector.LoadUnsafe(ref second[i]) * Beta2) + (g * g * (1 - Beta2));
            m.StoreUnsafe(ref first[i]);
            v.StoreUnsafe(ref second[i]);
            (p - (rate * m / ((Vector.SquareRoot(v) * correction) + epsilon))).StoreUnsafe(ref parameters[i]);
        }
    }
}
