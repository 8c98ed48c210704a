namespace Tva.Core.Devices;

/// <summary>What a device is.</summary>
/// <param name="Id">What it is asked for by, for instance <c>opencl:0</c>.</param>
/// <param name="Name">As its driver calls it.</param>
/// <param name="Driver">Its driver and that one's version.</param>
/// <param name="Memory">Bytes of its memory.</param>
/// <param name="Kind">Processor, graphics card or another.</param>
/// <param name="Fp64">Whether it has float64; sums are compensated float32 without.</param>
/// <param name="Fp16">Whether it has float16 arithmetic, which nothing here needs: f16 is loaded and stored as bits.</param>
/// <param name="Exact">Whether its fused products, quotients and roots are correctly rounded, subnormals kept and sums in float64, so that results have the CPU's bits.</param>
/// <param name="Unusable">Why it can't be used, with what to do; null where it can.</param>
public sealed record DeviceInfo(
    string Id, string Name, string Driver, long Memory, DeviceKind Kind, bool Fp64, bool Fp16, bool Exact, string? Unusable = null);

#pragma warning disable CS1591 // the names are the documentation
/// <summary>Kinds of devices. A processor shares the computer's memory and is seldom better than the engine's own vectors.</summary>
public enum DeviceKind : byte { Gpu, Processor, Other }
#pragma warning restore CS1591
