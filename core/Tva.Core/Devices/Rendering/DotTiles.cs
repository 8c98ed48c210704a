using Tva.Core.Execution;
using Tva.Core.Kernels;

namespace Tva.Core.Devices.Rendering;

/// <summary>The dots of up to eight streams with up to eight.</summary>
/// <param name="Rows">Outputs, one per row of the tile.</param>
/// <param name="Columns">Outputs, one per column.</param>
/// <param name="Slots">Per place of the tile, row by row, which of the reductions it is; -1: none.</param>
internal sealed record DotTile(int[] Rows, int[] Columns, int[] Slots);

/// <summary>
/// Comes in: tiles of dots. Goes out: the kernel that makes all of them in one pass. A group takes a cell: its work-items compute the program for some
/// elements, leave the streams in local memory, and then each adds up one lane of one tile from there.
/// </summary>
internal sealed partial class Renderer
{
    /// <summary>Bytes of local memory: what every device has, but for a little.</summary>
    private const int LocalBytes = 31 << 10;

    private void Tiles(string name, IReadOnlyList<DotTile> tiles, int group)
    {
        const int lanes = BlockProgram.Lanes;
        var blocks = tiles.SelectMany(t => (int[][])[t.Rows, t.Columns]).DistinctBy(b => b[0]).OrderBy(b => b[0]).ToList();
        var placeOf = blocks.Index().ToDictionary(b => b.Item[0], b => b.Index * Side);

        // Rows of local memory begin in different banks.
        var some = Math.Min(group, ((LocalBytes / sizeof(double) / (blocks.Count * Side)) - lanes) / lanes * lanes);
        var stride = some % 32 == 0 ? some + lanes : some;
        var slots = tiles.SelectMany(t => t.Slots).Where(s => s >= 0).ToList();
        var needed = Needed(slots, false);
        Table("slots", tiles.SelectMany(t => t.Slots));
        Table("rows", tiles.Select(t => placeOf[t.Rows[0]]));
        Table("columns", tiles.Select(t => placeOf[t.Columns[0]]));
        Head(name, group);
        Line(1, $"LOCAL acc_t values[{blocks.Count * Side * stride}];");
        Invariants(needed);
        Line(1, $"const uint tile = LOCAL_ID / {lanes}u, lane = LOCAL_ID % {lanes}u;");
        Line(1, $"const uint top = {name}_rows[tile] * {stride}u, left = {name}_columns[tile] * {stride}u;");
        Line(1, $"const uint begin = GROUP * {BlockProgram.CellElements}u;");
        Line(1, $"const uint end = count - begin < {BlockProgram.CellElements}u ? count : begin + {BlockProgram.CellElements}u;");
        Line(1, $"acc_t sums[{Side * Side}];");
        Unrolled(1, "n", Side * Side, "sums[n] = ACC_ZERO;");
        Line(1, $"for (uint first = begin; first < end; first += {some}u)");
        Line(1, "{");
        Line(2, $"const uint some = end - first < {some}u ? end - first : {some}u;");
        Line(2, "const uint i = first + LOCAL_ID;");
        Line(2, "if (LOCAL_ID < some)");
        Line(2, "{");
        Body(3, needed, "i", k => $"in{k}[i]", o => $"out{o}[i]");
        foreach (var (n, output) in blocks.SelectMany((b, k) => b.Select((output, n) => ((k * Side) + n, output))))
        {
            Line(3, $"values[{n * stride}u + LOCAL_ID] = ACC_OF(v{stored[output]});");
        }

        Line(2, "}");
        Line(2, "SYNC;");
        text.Append("#pragma unroll 1\n");
        Line(2, $"for (uint j = lane; j < some; j += {lanes}u)");
        Line(2, "{");
        Line(3, $"acc_t x[{Side}];");
        Unrolled(3, "a", Side, $"x[a] = values[top + a * {stride}u + j];");
        text.Append("#pragma unroll\n");
        Line(3, $"for (uint b = 0; b < {Side}u; b++)");
        Line(3, "{");
        Line(4, $"const acc_t y = values[left + b * {stride}u + j];");
        Unrolled(4, "a", Side, $"sums[a * {Side}u + b] = acc_fma(sums[a * {Side}u + b], x[a], y);");
        Line(3, "}");
        Line(2, "}");
        Line(2, "SYNC;");
        Line(1, "}");
        text.Append("#pragma unroll\n");
        Line(1, $"for (uint n = 0; n < {Side * Side}u; n++)");
        Line(1, "{");
        Line(2, $"const int slot = {name}_slots[tile * {Side * Side}u + n];");
        Line(2, $"if (slot >= 0) partials[((uint)slot * cells + GROUP) * {lanes}u + lane] = sums[n];");
        Line(1, "}");
        text.Append("}\n\n");

        void Table(string what, IEnumerable<int> numbers)
        {
            List<int> list = [.. numbers];
            text.Append($"CONSTANT int {name}_{what}[{list.Count}] = {{{string.Join(", ", list)}}};\n");
        }

        void Unrolled(int depth, string index, int times, string line)
        {
            text.Append("#pragma unroll\n");
            Line(depth, $"for (uint {index} = 0; {index} < {times}u; {index}++) {line}");
        }
    }
}
