using Tva.Core.Execution;
using Tva.Core.Kernels;

namespace Tva.Core.Devices.Rendering;

/// <summary>The dots of up to four streams with up to eight.</summary>
/// <param name="Row">Place of the first of the four.</param>
/// <param name="Column">Place of the first of the eight.</param>
/// <param name="Slots">Per place of the tile, row by row, which of the reductions it is; -1: none.</param>
internal sealed record DotTile(int Row, int Column, int[] Slots);

/// <summary>
/// Comes in: tiles of dots. Goes out: the kernel that makes all of them in one pass. A group takes a cell: its work-items compute the program for some
/// elements, leave the streams in local memory, and then each adds up one lane of one tile from there.
/// </summary>
internal sealed partial class Renderer
{
    /// <summary>Bytes of local memory: what every device has, but for a little.</summary>
    private const int LocalBytes = 31 << 10;

    /// <summary>Rows and columns of a tile: 32 sums of two registers each, so that several hundred threads have room.</summary>
    private const int TileRows = 4, TileColumns = 8;

    /// <summary>Streams from which on tiles are made together: each stream is then loaded once. And the most that local memory has room for, some elements of each.</summary>
    private const int FewestStreams = 17, MostStreams = 128;

    /// <summary>Work-items that a group should have at most.</summary>
    private const int MostItems = 384;

    /// <summary>Tiles as many at a time as a group has room for, and evenly.</summary>
    private IEnumerable<DotTile[]> Passes(List<DotTile> tiles)
    {
        var most = Math.Min(mostItems, MostItems) / BlockProgram.Lanes;
        var passes = (tiles.Count + most - 1) / Math.Max(1, most);

        // Two tiles run together and share a column of streams.
        return tiles.Chunk(Math.Max(2, ((tiles.Count + passes) / Math.Max(1, passes)) & ~1));
    }

    private List<DotTile> TilesOf(List<int> dots, Dictionary<int, int> places)
    {
        var tiles = new SortedDictionary<(int Column, int Row, int Again), DotTile>();
        foreach (var s in dots)
        {
            var (a, b) = (places[block.Cells[s].A], places[block.Cells[s].B]);
            var (low, high) = (Math.Min(a, b), Math.Max(a, b));
            var (row, column) = (low / TileRows * TileRows, high / TileColumns * TileColumns);
            var at = ((low - row) * TileColumns) + (high - column);

            // A pair that comes again has a tile of its own.
            for (var again = 0; ; again++)
            {
                if (!tiles.TryGetValue((column, row, again), out var tile))
                {
                    tiles.Add((column, row, again), tile = new DotTile(row, column, [.. Enumerable.Repeat(-1, TileRows * TileColumns)]));
                }

                if (tile.Slots[at] < 0)
                {
                    tile.Slots[at] = s;
                    break;
                }
            }
        }

        return [.. tiles.Values];
    }

    private void Tiles(string name, IReadOnlyList<DotTile> tiles, IReadOnlyList<int> streams, int group)
    {
        const int lanes = BlockProgram.Lanes;

        // Streams of the tiles by eights, and where in local memory those lie.
        var blocks = tiles.SelectMany(t => (int[])[t.Row / TileColumns, t.Column / TileColumns]).Distinct().Order().ToList();
        int PlaceOf(int place) => (blocks.IndexOf(place / TileColumns) * TileColumns) + (place % TileColumns);
        var some = Math.Min(group, LocalBytes / sizeof(double) / (blocks.Count * TileColumns) / lanes * lanes);
        var slots = tiles.SelectMany(t => t.Slots).Where(s => s >= 0).ToList();
        var needed = Needed(slots, false);
        Table("slots", tiles.SelectMany(t => t.Slots));
        Table("rows", tiles.Select(t => PlaceOf(t.Row)));
        Table("columns", tiles.Select(t => PlaceOf(t.Column)));
        Head(name, group, 2);
        Line(1, $"LOCAL acc_t values[{blocks.Count * TileColumns * some}];");
        Invariants(needed);
        Line(1, $"const uint tile = LOCAL_ID / {lanes}u, lane = LOCAL_ID % {lanes}u;");
        Line(1, $"const uint top = {name}_rows[tile] * {some}u, left = {name}_columns[tile] * {some}u;");
        Line(1, $"const uint begin = GROUP * {BlockProgram.CellElements}u;");
        Line(1, $"const uint end = count - begin < {BlockProgram.CellElements}u ? count : begin + {BlockProgram.CellElements}u;");
        Line(1, $"acc_t sums[{TileRows * TileColumns}];");
        Unrolled(1, "n", TileRows * TileColumns, "sums[n] = ACC_ZERO;");
        var loaded = Loaded(needed).ToList();
        foreach (var k in loaded)
        {
            Line(1, $"{Dialect.TypeOf(program.Inputs[k])} x{k} = 0;");
        }

        Fetch("begin");
        Line(1, $"for (uint first = begin; first < end; first += {some}u)");
        Line(1, "{");
        Line(2, $"const uint some = end - first < {some}u ? end - first : {some}u;");
        Line(2, "const uint i = first + LOCAL_ID;");
        Line(2, "if (LOCAL_ID < some)");
        Line(2, "{");
        Body(3, needed, "i", k => $"x{k}", o => $"out{o}[i]");
        for (var place = 0; place < streams.Count; place++)
        {
            if (blocks.Contains(place / TileColumns) && needed[stored[streams[place]]])
            {
                Line(3, $"values[{PlaceOf(place) * some}u + LOCAL_ID] = ACC_OF(v{stored[streams[place]]});");
            }
        }

        Line(2, "}");
        Line(2, "SYNC;");

        // On their way while sums are made.
        Fetch($"first + {some}u");
        text.Append("#pragma unroll 1\n");
        Line(2, $"for (uint j = lane; j < some; j += {lanes}u)");
        Line(2, "{");
        Line(3, $"acc_t x[{TileRows}];");
        Unrolled(3, "a", TileRows, $"x[a] = values[top + a * {some}u + j];");
        text.Append("#pragma unroll\n");
        Line(3, $"for (uint b = 0; b < {TileColumns}u; b++)");
        Line(3, "{");
        Line(4, $"const acc_t y = values[left + b * {some}u + j];");
        Unrolled(4, "a", TileRows, $"sums[a * {TileColumns}u + b] = acc_fma(sums[a * {TileColumns}u + b], x[a], y);");
        Line(3, "}");
        Line(2, "}");
        Line(2, "SYNC;");
        Line(1, "}");
        text.Append("#pragma unroll\n");
        Line(1, $"for (uint n = 0; n < {TileRows * TileColumns}u; n++)");
        Line(1, "{");
        Line(2, $"const int slot = {name}_slots[tile * {TileRows * TileColumns}u + n];");
        Line(2, $"if (slot >= 0) partials[((uint)slot * cells + GROUP) * {lanes}u + lane] = sums[n];");
        Line(1, "}");
        text.Append("}\n\n");

        void Fetch(string from)
        {
            Line(2, $"if (LOCAL_ID < {some}u && {from} + LOCAL_ID < end)");
            Line(2, "{");
            foreach (var k in loaded)
            {
                Line(3, $"x{k} = in{k}[{from} + LOCAL_ID];");
            }

            Line(2, "}");
        }

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
