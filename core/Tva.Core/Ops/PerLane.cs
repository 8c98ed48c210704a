using System.Runtime.CompilerServices;
using Tva.Core.Kernels.Vectors;

namespace Tva.Core.Ops;

/// <summary>Vectors in, vectors out, one lane after the other through a float64 function: for what is rare or hard.</summary>
internal static unsafe class PerLane
{
    /// <summary>f(a), rounded once.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static V Apply<V>(V a, delegate*<double, double> f)
        where V : struct, IVec<V>
    {
        var lanes = stackalloc float[V.Lanes];
        V.Store32(a, (byte*)lanes);
        for (var i = 0; i < V.Lanes; i++)
        {
            lanes[i] = (float)f(lanes[i]);
        }

        return V.Load32((byte*)lanes);
    }

    /// <summary>f(a, b), rounded once.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static V Apply<V>(V a, V b, delegate*<double, double, double> f)
        where V : struct, IVec<V>
    {
        var x = stackalloc float[V.Lanes];
        var y = stackalloc float[V.Lanes];
        V.Store32(a, (byte*)x);
        V.Store32(b, (byte*)y);
        for (var i = 0; i < V.Lanes; i++)
        {
            x[i] = (float)f(x[i], y[i]);
        }

        return V.Load32((byte*)x);
    }
}
