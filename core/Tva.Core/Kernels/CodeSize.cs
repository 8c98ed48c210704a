using Tva.Core.Ops;
using Tva.Core.Tensors;

namespace Tva.Core.Kernels;

/// <summary>
/// Comes in: an instruction. Goes out: how many locals its vector form, inlined, costs the JIT, as measured on x64 by how many of it
/// fit into a kernel. A method with more than 512 gets nothing more inlined: every further op is then a call, with all
/// registers spilled around it, and the kernel several times slower.
/// </summary>
internal static class CodeSize
{
    /// <summary>What a kernel may cost: 512 less what the loop itself takes, and some for errors in the figures.</summary>
    public const int Limit = 450;

    // By type: F64, F32, F16, BF16, F8_E4M3, F8_E5M2; I8 is only stored.
    private const int StoreI8 = 24;
    private static readonly int[] Loads = [5, 4, 39, 7, 50, 39];
    private static readonly int[] Stores = [11, 7, 46, 18, 46, 46];

    public static int Of(KernelProgram program)
    {
        var sum = 0;
        foreach (var i in program.Instructions)
        {
            sum += Of(i, program);
        }

        return sum;
    }

    public static int Of(Instruction i, KernelProgram program) => i.Code switch
    {
        Code.Load => Load(program.Inputs[i.Index]),
        Code.Store => Store(program.Outputs[i.Index]),
        Code.Keep => 12,
        Code.Apply => OpTable.Get(i.Index).Locals,
        _ => 3,
    };

    public static int Load(DType type) => Loads[(int)type];

    public static int Store(DType type) => type == DType.I8 ? StoreI8 : Stores[(int)type];
}
