using System.Runtime.InteropServices;
using Tva.Core.Tensors;

namespace Tva.Core.Execution;

/// <summary>
/// Comes in: the bytes of cells in which a kernel met NaN or infinity. Goes out: how many of them each input tensor has. An element is
/// counted in the first step that guards and reads it; a result that overflows while its inputs are finite is laid to the output.
/// </summary>
internal sealed unsafe class NonFiniteLog(ExecutionPlan plan)
{
    private readonly Lock gate = new();
    private readonly SortedDictionary<(int Tensor, int Place), (long NaNs, long Infinities)> counts = [];
    private readonly Dictionary<(int Class, int Source), int> firstSteps = FirstSteps(plan);

    /// <summary>Whether an element of a source is counted in that step, for that class.</summary>
    public bool Counts(int step, int @class, int source) => firstSteps.GetValueOrDefault((@class, source), -1) == step;

    public void AddInput(int tensor, int source, (long NaNs, long Infinities) found) => Add((tensor, source), found);

    public void AddOutput(int tensor, int output, (long NaNs, long Infinities) found) => Add((tensor, plan.Sources.Count + output), found);

    /// <summary>All entries, by tensor, inputs before outputs.</summary>
    public IReadOnlyList<NonFinite> Entries()
    {
        lock (gate)
        {
            return [.. counts.Select(c => new NonFinite(PathOf(c.Key.Place), NameOf(c.Key.Tensor, c.Key.Place), c.Value.NaNs, c.Value.Infinities))];
        }
    }

    /// <summary>Refuses a tensor with such an element in an input.</summary>
    /// <exception cref="FaultException">It has one.</exception>
    public void RequireFinite(int tensor)
    {
        lock (gate)
        {
            foreach (var ((t, place), (nans, infinities)) in counts)
            {
                if (t == tensor && place < plan.Sources.Count)
                {
                    throw new FaultException(
                        $"{PathOf(place)}: {NameOf(tensor, place)} has {nans} NaN and {infinities} infinite elements; "
                        + $"repair the file, leave the tensor out, or run without {Wording.Current.Strict} to let them through");
                }

                if (t == tensor)
                {
                    throw new FaultException(
                        $"{PathOf(place)}: the result at {plan.Tensors[tensor].Name} has {nans} NaN and {infinities} infinite elements, from finite "
                        + $"inputs; scale it down or store it wider (dtype =), or run without {Wording.Current.Strict} to let them through");
                }
            }
        }
    }

    /// <summary>Counts NaNs and infinities among stored elements.</summary>
    public static (long NaNs, long Infinities) Count(DType type, ReadOnlySpan<byte> bytes) => type switch
    {
        DType.F64 => Count(MemoryMarshal.Cast<byte, ulong>(bytes), 0x7ff0_0000_0000_0000UL),
        DType.F32 => Count(MemoryMarshal.Cast<byte, uint>(bytes), 0x7f80_0000U),
        DType.F16 => Count(MemoryMarshal.Cast<byte, ushort>(bytes), (ushort)0x7c00),
        DType.BF16 => Count(MemoryMarshal.Cast<byte, ushort>(bytes), (ushort)0x7f80),
        DType.F8E5M2 => Count(bytes, (byte)0x7c),
        DType.F8E4M3 => (Count(bytes, (byte)0x7f).Infinities, 0), // The pattern that elsewhere is infinity is its only NaN.
        _ => (0, 0),
    };

    private static (long NaNs, long Infinities) Count<T>(ReadOnlySpan<T> elements, T infinity)
        where T : unmanaged, System.Numerics.IBinaryInteger<T>
    {
        var magnitude = T.AllBitsSet >>> 1;
        long nans = 0, infinities = 0;
        foreach (var element in elements)
        {
            var m = element & magnitude;
            nans += m > infinity ? 1 : 0;
            infinities += m == infinity ? 1 : 0;
        }

        return (nans, infinities);
    }

    private static Dictionary<(int Class, int Source), int> FirstSteps(ExecutionPlan plan)
    {
        var first = new Dictionary<(int Class, int Source), int>();
        for (var s = 0; s < plan.Steps.Count; s++)
        {
            for (var c = 0; c < plan.Steps[s].Kernels.Count; c++)
            {
                if (plan.Steps[s].Kernels[c] is { } kernel && kernel.Program.Instructions.Any(i => i.Code == Kernels.Code.Guard))
                {
                    foreach (var input in kernel.Inputs.OfType<FileInput>())
                    {
                        first.TryAdd((c, input.Source), s);
                    }
                }
            }
        }

        return first;
    }

    private string PathOf(int place) =>
        place < plan.Sources.Count ? plan.Sources[place].Path
        : place < plan.Sources.Count + plan.Outputs.Count ? plan.Outputs[place - plan.Sources.Count].Path
        : "(computed)";

    /// <summary>What a tensor is called where it was found.</summary>
    private string NameOf(int tensor, int place) =>
        place < plan.Sources.Count && plan.Tensors[tensor].Sources[place] is { } info ? plan.Sources[place].StoredName(info) : plan.Tensors[tensor].Name;

    private void Add((int Tensor, int Place) key, (long NaNs, long Infinities) found)
    {
        if (found != (0, 0))
        {
            lock (gate)
            {
                var (nans, infinities) = counts.GetValueOrDefault(key);
                counts[key] = (nans + found.NaNs, infinities + found.Infinities);
            }
        }
    }
}
