using TorchSharp;

namespace Tva.Core.Torch;

/// <summary>
/// Comes in: numbers for calls of libtorch. Goes out: TorchSharp's objects for them. What a call makes of a plain number by itself nobody holds, and a
/// garbage collection may free it while the call runs; these are held until the thread has made many more.
/// </summary>
internal static class Numbers
{
    private const int Held = 64;

    [ThreadStatic]
    private static Scalar[]? last;

    [ThreadStatic]
    private static int next;

    /// <summary>An int32.</summary>
    public static Scalar Of(int value) => Hold(value);

    /// <summary>An int64.</summary>
    public static Scalar Of(long value) => Hold(value);

    /// <summary>A float32.</summary>
    public static Scalar Of(float value) => Hold(value);

    /// <summary>A float64.</summary>
    public static Scalar Of(double value) => Hold(value);

    private static Scalar Hold(Scalar scalar)
    {
        last ??= new Scalar[Held];
        last[next = (next + 1) % Held] = scalar;
        return scalar;
    }
}
