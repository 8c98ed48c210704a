using Tva.Core.Checkpoints;

namespace Theory.Lab;

/// <summary>
/// The weights of the one-layer, single-head transformer of arXiv 2504.10957:
/// f(X) = 1/P Σ_l aᵀ relu(V X softmax(Xᵀ W x_l)), with W = W_KᵀW_Q [d, d] and V = W_O W_V [m, d], since only these products act;
/// a is fixed, ±1/√m, and no part of the checkpoint.
/// </summary>
public sealed class Network
{
    /// <summary>Weights of zero.</summary>
    public Network(Sizes sizes)
    {
        Sizes = sizes;
        Attention = new double[sizes.Dimension * sizes.Dimension];
        Values = new double[sizes.Hidden * sizes.Dimension];
        Output = new double[sizes.Hidden];
        for (var k = 0; k < Output.Length; k++)
        {
            Output[k] = (k < Output.Length / 2 ? 1 : -1) / Math.Sqrt(Output.Length);
        }
    }

    /// <summary>What it is over.</summary>
    public Sizes Sizes { get; }

    /// <summary>W, row by row.</summary>
    public double[] Attention { get; }

    /// <summary>V, row by row: a row for each neuron.</summary>
    public double[] Values { get; }

    /// <summary>a.</summary>
    public double[] Output { get; }

    /// <summary>The pretrained model: small Gaussian weights.</summary>
    public static Network Pretrained(Sizes sizes, long seed)
    {
        var network = new Network(sizes);
        var draws = new Draws(seed, 2);
        foreach (var weights in (double[][])[network.Attention, network.Values])
        {
            for (var i = 0; i < weights.Length; i++)
            {
                weights[i] = (float)(sizes.Initial * draws.Normal());
            }
        }

        return network;
    }

    /// <summary>The weights of a checkpoint.</summary>
    public static Network Of(Sizes sizes, MemoryCheckpoint checkpoint)
    {
        var network = new Network(sizes);
        Fill(checkpoint.ToArray<float>("attention.weight"), network.Attention);
        Fill(checkpoint.ToArray<float>("values.weight"), network.Values);
        return network;
    }

    /// <summary>A copy to train on.</summary>
    public Network Copy()
    {
        var copy = new Network(Sizes);
        Attention.CopyTo(copy.Attention, 0);
        Values.CopyTo(copy.Values, 0);
        return copy;
    }

    /// <summary>The weights as a checkpoint, in float32.</summary>
    public MemoryCheckpoint ToCheckpoint(string name) =>
        new(name, [Tensor("attention.weight", Attention), Tensor("values.weight", Values)]);

    private MemoryTensor Tensor(string name, double[] weights) =>
        MemoryTensor.Of<float>(name, Array.ConvertAll(weights, w => (float)w), weights.Length / Sizes.Dimension, Sizes.Dimension);

    private static void Fill(float[] source, double[] destination)
    {
        for (var i = 0; i < destination.Length; i++)
        {
            destination[i] = source[i];
        }
    }
}
