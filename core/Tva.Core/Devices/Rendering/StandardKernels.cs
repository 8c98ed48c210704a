using System.Text;
using Tva.Core.Execution;

namespace Tva.Core.Devices.Rendering;

/// <summary>The kernels that do not depend on a plan: lanes folded, rows reduced, keys counted and gathered, a product of matrices.</summary>
internal static class StandardKernels
{
    /// <summary>Their source, without a prelude.</summary>
    public static string Source { get; } = Fold + Rows() + Scan;

    // Kinds: 0 a sum, 1 a maximum, 2 minus a maximum.
    private const string Fold = """
        KERNEL void tva_fold(GLOBAL const acc_t* partials, GLOBAL acc_t* results, GLOBAL const int* kinds, uint parts, uint slots)
        {
            const uint slot = GLOBAL_ID / parts, part = GLOBAL_ID % parts;
            if (slot >= slots) return;
            acc_t lanes[16];
            for (uint l = 0; l < 16; l++) lanes[l] = partials[GLOBAL_ID * 16 + l];
            const int kind = kinds[slot];
            for (uint half_way = 8; half_way > 0; half_way /= 2)
                for (uint l = 0; l < half_way; l++)
                    lanes[l] = kind == 0 ? acc_sum(lanes[l], lanes[l + half_way]) : acc_max(lanes[l], lanes[l + half_way]);
            results[part * slots + slot] = kind == 2 ? acc_neg(lanes[0]) : lanes[0];
        }


        """;

    // A group per cell. Keys inside go to local memory as far as that has room, and then, all of a cell together, to where the group's share
    // begins; where there are more, they are looked for once more. Five counts of each work-item are added up at the end.
    private const string Scan = """
        INLINE int scan_key(int bits, int magnitudes)
        {
            return magnitudes ? bits & 0x7fffffff : bits ^ ((bits >> 31) & 0x7fffffff);
        }

        #define SCAN_ROOM 2048u
        #define SCAN(value) \
            { \
                const int magnitude = (value) & 0x7fffffff; \
                const int key = scan_key(value, magnitudes); \
                nonzero += magnitude != 0 ? 1u : 0u; \
                nans += magnitude > 0x7f800000 ? 1u : 0u; \
                if (key > high) above++; \
                else if (key == guess) equal++; \
                else if (key >= low) \
                { \
                    const uint place = ADD_LOCAL(&totals[2], 1u); \
                    ADD_LOCAL(&bin[((uint)key - (uint)low) >> shift], 1u); \
                    if (place < SCAN_ROOM) room[place] = key; \
                } \
            }

        KERNEL void tva_scan(
            GLOBAL const uchar* base, ulong offset, uint count, int low, int high, int guess, int magnitudes, uint shift, uint most,
            GLOBAL uint* cells, GLOBAL uint* bins, GLOBAL int* keys)
        {
            LOCAL uint totals[6];
            LOCAL uint bin[1024];
            LOCAL int room[2048];
            LOCAL uint counts[4 * 256];
            GLOBAL const int* values = (GLOBAL const int*)(base + offset);
            for (uint b = LOCAL_ID; b < 1024; b += LOCAL_SIZE) bin[b] = 0;
            if (LOCAL_ID < 6) totals[LOCAL_ID] = 0;
            SYNC;
            const uint first = GROUP * 16384u;
            const uint end = count - first < 16384u ? count : first + 16384u;
            uint above = 0, equal = 0, nonzero = 0, nans = 0;
            for (uint i = first + 4 * LOCAL_ID; i < end; i += 4 * LOCAL_SIZE)
            {
                if (end - i >= 4)
                {
                    const int4 four = *(GLOBAL const int4*)(values + i);
                    SCAN(four.x) SCAN(four.y) SCAN(four.z) SCAN(four.w)
                }
                else
                    for (uint j = i; j < end; j++) SCAN(values[j])
            }
            counts[LOCAL_ID] = above;
            counts[256 + LOCAL_ID] = equal;
            counts[512 + LOCAL_ID] = nonzero;
            counts[768 + LOCAL_ID] = nans;
            SYNC;
            if (LOCAL_ID < 128)
            {
                const uint kind = LOCAL_ID / 32;
                uint sum = 0;
                for (uint j = LOCAL_ID % 32; j < 256; j += 32) sum += counts[256 * kind + j];
                ADD_LOCAL(&totals[kind < 2 ? kind : kind + 2], sum);
            }
            if (LOCAL_ID == 0) totals[3] = ADD_GLOBAL(&bins[1024], totals[2]);
            SYNC;
            if (LOCAL_ID < 6) cells[GROUP * 6 + LOCAL_ID] = totals[LOCAL_ID];
            const uint from = totals[3], all = totals[2];
            if (all == 0) return;
            for (uint b = LOCAL_ID; b < 1024; b += LOCAL_SIZE)
                if (bin[b] != 0) ADD_GLOBAL(&bins[b], bin[b]);
            if (from + all > most) return;
            if (all <= SCAN_ROOM)
            {
                for (uint k = LOCAL_ID; k < all; k += LOCAL_SIZE) keys[from + k] = room[k];
                return;
            }
            SYNC;
            if (LOCAL_ID == 0) totals[2] = 0;
            SYNC;
            for (uint i = first + LOCAL_ID; i < end; i += LOCAL_SIZE)
            {
                const int key = scan_key(values[i], magnitudes);
                if (key <= high && key != guess && key >= low) keys[from + ADD_LOCAL(&totals[2], 1u)] = key;
            }
        }


        """;

    private static string Rows()
    {
        var text = new StringBuilder();
        foreach (var kind in (ReduceKind[])[ReduceKind.Sum, ReduceKind.SumAbs, ReduceKind.Dot, ReduceKind.MaxAbs, ReduceKind.Min, ReduceKind.Max, ReduceKind.CountNonzero])
        {
            text.Append($$"""
                KERNEL void {{RowKernel(kind)}}(
                    GLOBAL const uchar* a, ulong a_offset, GLOBAL const uchar* b, ulong b_offset, GLOBAL const int* cuts, uint parts, GLOBAL acc_t* partials)
                {
                    const uint part = GLOBAL_ID / 16u, lane = GLOBAL_ID & 15u;
                    if (part >= parts) return;
                    GLOBAL const float* x = (GLOBAL const float*)(a + a_offset);
                    GLOBAL const float* y = (GLOBAL const float*)(b + b_offset);
                    {{ReductionText.Start(kind, "s")}}
                    for (int i = cuts[part] + (int)lane; i < cuts[part + 1]; i += 16)
                    {
                        {{ReductionText.Step(kind, "s", "x[i]", "y[i]")}}
                    }
                    partials[GLOBAL_ID] = {{ReductionText.End(kind, "s")}};
                }


                """);
        }

        return text.ToString();
    }

    /// <summary>The kernel that reduces rows.</summary>
    public static string RowKernel(ReduceKind kind) => "tva_rows_" + kind.ToString().ToLowerInvariant();

    /// <summary>How lanes are folded.</summary>
    public static int FoldKind(ReduceKind kind) => kind switch { ReduceKind.MaxAbs or ReduceKind.Max => 1, ReduceKind.Min => 2, _ => 0 };
}
