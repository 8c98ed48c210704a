using System.Reflection.Emit;
using System.Runtime.Intrinsics;
using Tva.Core.Kernels.Vectors;
using Tva.Core.Tensors;

namespace Tva.Core.Kernels;

/// <summary>
/// A <see cref="KernelProgram"/> in, machine code out: a loop over the block in the widest vectors this processor has.
/// Programs that differ in their constants alone share their code, so sweeping a coefficient compiles once.
/// </summary>
public static class CpuKernel
{
    private const int MostKept = 2000;

    // A dictionary of references per width and form: one keyed by value tuples would itself be compiled at every start.
    private static readonly Dictionary<KernelProgram, DynamicMethod>[] Compiled =
    [
        new(new SameCode()), new(new SameCode()), new(new SameCode()), new(new SameCode()), new(new SameCode()), new(new SameCode()),
        new(new SameCode()), new(new SameCode()), new(new SameCode()),
    ];

    /// <summary>Bits in the vectors that kernels use here: 512, 256 or 128.</summary>
    public static int Width { get; } = Vector512.IsHardwareAccelerated ? 512 : Vector256.IsHardwareAccelerated ? 256 : 128;

    /// <summary>
    /// The program as a callable body, the same bits for every width. The JIT runs at the first call. Any thread may call it.
    /// A program too large to be compiled well becomes several that run strip by strip.
    /// Outputs are written in whole groups of at most 64 elements; what lies past count in the inputs may be anything.
    /// </summary>
    /// <param name="program">The program.</param>
    /// <param name="forceWidth">512, 256 or 128 bits; by default <see cref="Width"/>. Wider than the processor's works, slowly.</param>
    public static unsafe KernelBody Compile(KernelProgram program, int? forceWidth = null)
    {
        var width = forceWidth ?? Width;
        var pairs = Emitter.Pairs(program);
        var size = CodeSize.Of(program);
        if (Emitter.PairsWhole(program) && size * 2 <= CodeSize.Limit)
        {
            return Compile(program, width, true, true);
        }

        if (size * (pairs ? 2 : 1) <= CodeSize.Limit)
        {
            return Compile(program, width, pairs, false);
        }

        var parts = Split.Into(program, CodeSize.Limit / (pairs ? 2 : 1));
        return new Segments(program, parts, [.. parts.Select(part => Compile(part.Program, width, pairs, false))]).Run;
    }

    private static KernelBody Compile(KernelProgram program, int width, bool paired, bool ordered)
    {
        var (vector, lanes, form) = width switch
        {
            512 => (typeof(V512), 16, 2),
            256 => (typeof(V256), 8, 1),
            128 => (typeof(V128), 4, 0),
            _ => throw new ArgumentOutOfRangeException(nameof(width), width, "Vectors have 512, 256 or 128 bits."),
        };
        var cache = Compiled[form + (ordered ? 6 : paired ? 3 : 0)];
        lock (cache)
        {
            if (!cache.TryGetValue(program, out var method))
            {
                // A program that lives long and meets ever new expressions must not keep all of them.
                if (cache.Count >= MostKept)
                {
                    cache.Clear();
                }

                method = new Emitter(program, vector, lanes, paired, ordered).Emit();
                cache.Add(program, method);
            }

            return method.CreateDelegate<KernelBody>(Constants(program));
        }
    }

    private static float[] Constants(KernelProgram program)
    {
        var values = new List<float>();
        foreach (var i in program.Instructions)
        {
            if (i.Code == Code.Const)
            {
                values.Add(i.Value);
            }
        }

        return [.. values];
    }

    /// <summary>Equal but for constants and origins. Plain loops: they run at every start.</summary>
    private sealed class SameCode : IEqualityComparer<KernelProgram>
    {
        public bool Equals(KernelProgram? a, KernelProgram? b)
        {
            if (a is null || b is null || a.Instructions.Count != b.Instructions.Count
                || !Same(a.Inputs, b.Inputs) || !Same(a.Outputs, b.Outputs))
            {
                return false;
            }

            for (var n = 0; n < a.Instructions.Count; n++)
            {
                var (i, j) = (a.Instructions[n], b.Instructions[n]);
                if (i.Code != j.Code || i.A != j.A || i.B != j.B || i.C != j.C || i.Index != j.Index)
                {
                    return false;
                }
            }

            return true;
        }

        public int GetHashCode(KernelProgram program)
        {
            var hash = 0;
            foreach (var i in program.Instructions)
            {
                hash = (((((((hash * 31) + (int)i.Code) * 31) + i.A) * 31) + i.B) * 31) + i.Index;
            }

            return hash;
        }

        private static bool Same(IReadOnlyList<DType> a, IReadOnlyList<DType> b)
        {
            if (a.Count != b.Count)
            {
                return false;
            }

            for (var k = 0; k < a.Count; k++)
            {
                if (a[k] != b[k])
                {
                    return false;
                }
            }

            return true;
        }
    }
}
