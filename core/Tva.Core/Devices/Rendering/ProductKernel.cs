using System.Globalization;
using Tva.Core.Matrices;

namespace Tva.Core.Devices.Rendering;

/// <summary>
/// The kernel that multiplies whole matrices. Comes in: strides and sizes. Goes out: elements added up in chains of
/// <see cref="MatrixProduct.Inner"/> fused steps, chain after chain, as on the CPU. A group makes a tile, a work-item 8×8 of its elements, from strips
/// of both factors in local memory.
/// </summary>
internal static class ProductKernel
{
    /// <summary>Its name.</summary>
    public const string Name = "tva_multiply";

    private const int Side = 64;

    /// <summary>Its source, without a prelude.</summary>
    public static string Source { get; } = """
        KERNEL(void tva_multiply, 64, 1)(
            GLOBAL const float* a, ulong a_row, ulong a_column, GLOBAL const float* b, ulong b_row, ulong b_column,
            GLOBAL float* c, uint rows, uint inner, uint columns)
        {
            LOCAL float left[16 * 64];
            LOCAL float right[16 * 64];
            const uint across = (columns + 63) / 64;
            const uint top = GROUP / across * 64, first = GROUP % across * 64;
            const uint y = LOCAL_ID / 8, x = LOCAL_ID % 8;
            float sums[64];
            for (uint n = 0; n < 64; n++) sums[n] = 0.0f;
            for (uint from = 0; from < inner; from += 16)
            {
                const uint steps = inner - from < 16 ? inner - from : 16;
                for (uint e = LOCAL_ID; e < 16 * 64; e += LOCAL_SIZE)
                {
                    /* Neighbours in memory go to neighbouring work-items, whichever way the factor lies. */
                    const uint ka = a_column == 1 ? e % 16 : e / 64, i = a_column == 1 ? e / 16 : e % 64;
                    const uint kb = b_row == 1 ? e % 16 : e / 64, j = b_row == 1 ? e / 16 : e % 64;
                    left[ka * 64 + i] = ka < steps && top + i < rows ? a[(top + i) * a_row + (from + ka) * a_column] : 0.0f;
                    right[kb * 64 + j] = kb < steps && first + j < columns ? b[(from + kb) * b_row + (first + j) * b_column] : 0.0f;
                }
                SYNC;
                for (uint k = 0; k < steps; k++)
                    for (uint i = 0; i < 8; i++)
                    {
                        const float l = left[k * 64 + y + 8 * i];
                        for (uint j = 0; j < 8; j++) sums[8 * i + j] = fma(l, right[k * 64 + x + 8 * j], sums[8 * i + j]);
                    }
                SYNC;
                if ((from + steps) % CHAIN != 0 && from + steps != inner) continue;
                for (uint i = 0; i < 8; i++)
                    for (uint j = 0; j < 8; j++)
                    {
                        const uint row = top + y + 8 * i, column = first + x + 8 * j;
                        if (row < rows && column < columns)
                        {
                            const ulong at = (ulong)row * columns + column;
                            c[at] = from < CHAIN ? sums[8 * i + j] : c[at] + sums[8 * i + j];
                        }
                        sums[8 * i + j] = 0.0f;
                    }
            }
        }


        """.Replace("CHAIN", MatrixProduct.Inner.ToString(CultureInfo.InvariantCulture) + "u", StringComparison.Ordinal);

    /// <summary>How many groups make a product.</summary>
    public static long Tiles(int rows, int columns) => (rows + Side - 1L) / Side * ((columns + Side - 1L) / Side);
}
