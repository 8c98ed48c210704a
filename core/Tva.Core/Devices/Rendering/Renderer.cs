using System.Text;
using Tva.Core.Devices.Rendered;
using Tva.Core.Execution;
using Tva.Core.Kernels;
using Tva.Core.Tensors;

namespace Tva.Core.Devices.Rendering;

/// <summary>
/// Comes in: a <see cref="BlockProgram"/>. Goes out: its source. All entries take the same arguments: per input of Memory or Rows its buffer,
/// of Random its key, of Product both factors' buffers, the rank, the columns and the first element's column; per kept output its buffer; then the parameter block, the block's first index in the tensor, its elements, a row's length,
/// the first element's place in its row, flags by cell, partial sums, and the number of cells. The parameter block holds, as int32, three words
/// per parameter (see <see cref="BlockParameter"/>, the index counted from the block's start), the constants, and two words per buffer: where in
/// it the stream begins.
/// </summary>
internal sealed partial class Renderer
{
    /// <summary>Streams on each side of a tile of dots: 64 sums of two registers each are what a thread can hold.</summary>
    private const int Side = 8;

    /// <summary>Bytes of a stream that a work-item reads or writes at once: the most there is an instruction for.</summary>
    private const int Word = 16;

    private readonly BlockProgram block;
    private readonly int mostItems;
    private readonly KernelProgram program;
    private readonly StringBuilder text = new();
    private readonly List<float> constants = [];
    private readonly Dictionary<int, int> constantOf = [];
    private readonly int[] stored;

    private Renderer(BlockProgram block, int mostItems)
    {
        (this.block, this.mostItems) = (block, mostItems);
        program = block.Program;
        stored = new int[program.Outputs.Count];
        for (var n = 0; n < program.Instructions.Count; n++)
        {
            var i = program.Instructions[n];
            if (i.Code == Code.Store)
            {
                stored[i.Index] = i.A;
            }
            else if (i.Code == Code.Const)
            {
                constantOf.Add(n, constants.Count);
                constants.Add(i.Value);
            }
        }
    }

    /// <summary>Whether work-items take several elements at once.</summary>
    private bool Wide => mostItems > 0;

    private int Offsets => (3 * program.Parameters) + constants.Count;

    /// <summary>The source of a program.</summary>
    /// <param name="block">The program.</param>
    /// <param name="mostItems">Work-items that a group may have, on a graphics card, whose work-items take several elements at once; 0: on a processor, whose compiler makes vectors by itself.</param>
    public static RenderedProgram Render(BlockProgram block, int mostItems)
    {
        var r = new Renderer(block, mostItems);
        r.text.Append(Dialect.FunctionsOf(block.Program));
        var entries = new List<RenderedEntry>();
        if (block.Cells.Count == 0)
        {
            entries.Add(new("tva_map", r.Width, 0, DeviceQueue.WideGroup));
            r.Map();
        }
        else
        {
            var groups = r.Groups(out var tiles, out var streams);
            foreach (var group in groups)
            {
                // Sums take most of what a group has room for.
                entries.Add(new($"tva_cells{entries.Count}", 0, BlockProgram.Lanes, DeviceQueue.GroupSize));
                r.Cells(entries[^1].Name, group, entries.Count == 1);
            }

            foreach (var some in r.Passes(tiles))
            {
                var size = some.Length * BlockProgram.Lanes;
                entries.Add(new($"tva_tiles{entries.Count}", 0, size, size));
                r.Tiles(entries[^1].Name, some, streams, size);
            }
        }

        return new RenderedProgram(r.text.ToString(), entries, r.constants, r.Guards);
    }

    /// <summary>The words of the parameter block before the buffers' offsets.</summary>
    public static int WordsBefore(BlockProgram block, RenderedProgram rendered) => (3 * block.Program.Parameters) + rendered.Constants.Count;

    /// <summary>Elements of a work-item of a map: as many as make a word of its widest stream.</summary>
    private int Width => !Wide ? 1 : Word / Enumerable.Range(0, program.Inputs.Count).Where(k => block.Sources[k] == BlockSource.Memory).Select(k => program.Inputs[k].Size())
        .Concat(Enumerable.Range(0, program.Outputs.Count).Where(o => block.Kept[o]).Select(o => program.Outputs[o].Size())).DefaultIfEmpty(sizeof(float)).Max();

    private void Map()
    {
        var all = Enumerable.Repeat(true, program.Instructions.Count).ToArray();
        Head("tva_map", DeviceQueue.WideGroup);
        Invariants(all);
        if (Width == 1)
        {
            Line(1, "const uint i = GLOBAL_ID;");
            Line(1, "if (i >= count) return;");
            if (Guards)
            {
                Line(1, "uint bad = 0;");
            }

            Body(1, all, "i", k => $"in{k}[i]", o => $"out{o}[i]");
        }
        else
        {
            WideMap(all);
        }

        if (Guards)
        {
            Line(1, $"if (bad) flags[GLOBAL_ID * {Width}u / {BlockProgram.CellElements}u] = 1u;");
        }

        text.Append("}\n\n");
    }

    private void WideMap(bool[] all)
    {
        var streams = new WideStreams(Width, text);
        Line(1, $"const uint at = GLOBAL_ID * {Width}u;");
        Line(1, "if (at >= count) return;");
        Line(1, $"const int whole = count - at >= {Width}u;");
        foreach (var k in Loaded(all))
        {
            streams.Load(k, program.Inputs[k]);
        }

        for (var o = 0; o < program.Outputs.Count; o++)
        {
            if (block.Kept[o])
            {
                Line(1, $"{Dialect.TypeOf(program.Outputs[o])} y{o}[{Width}];");
            }
        }

        if (Guards)
        {
            Line(1, "uint bad = 0;");
        }

        text.Append("#pragma unroll\n");
        Line(1, $"for (uint w = 0; w < {Width}u; w++)");
        Line(1, "{");

        // What lies behind the end is the last element once more.
        Line(2, "const uint i = at + w < count ? at + w : count - 1;");
        Body(2, all, "i", k => $"x{k}[w]", o => $"y{o}[w]");
        Line(1, "}");
        for (var o = 0; o < program.Outputs.Count; o++)
        {
            if (block.Kept[o])
            {
                streams.Store(o, program.Outputs[o]);
            }
        }
    }

    private void Cells(string name, IReadOnlyList<int> slots, bool first)
    {
        const int step = BlockProgram.Lanes;
        var needed = Needed(slots, first);
        var loaded = Loaded(needed).ToList();

        // So many elements of each stream are on their way while as many are computed with.
        var turns = !Wide ? 1 : loaded.Count switch { <= 6 => 8, <= 12 => 4, _ => 1 };
        Head(name, DeviceQueue.GroupSize);
        Invariants(needed);
        Line(1, $"const uint lane = GLOBAL_ID & {step - 1}u, cell = GLOBAL_ID / {step}u;");
        Line(1, "if (cell >= cells) return;");
        Line(1, $"const uint begin = cell * {BlockProgram.CellElements}u;");
        Line(1, $"const uint end = count - begin < {BlockProgram.CellElements}u ? count : begin + {BlockProgram.CellElements}u;");
        if (Guards)
        {
            Line(1, "uint bad = 0;");
        }

        foreach (var s in slots)
        {
            Line(1, ReductionText.Start(block.Cells[s].Kind, $"s{s}"));
        }

        Line(1, "uint from = begin + lane;");
        if (Wide && loaded.Count > 0)
        {
            foreach (var k in loaded)
            {
                Line(1, $"{Dialect.TypeOf(program.Inputs[k])} x{k}[{turns}], n{k}[{turns}];");
            }

            Line(1, $"if (from + {(turns - 1) * step}u < end)");
            Line(1, "{");
            Fetch(2, "x", "from");
            Line(1, "}");
            Line(1, $"for (; from + {(turns - 1) * step}u < end; from += {turns * step}u)");
            Line(1, "{");
            Line(2, $"const uint ahead = from + {((2 * turns) - 1) * step}u < end ? from + {turns * step}u : from;");
            Fetch(2, "n", "ahead");
            text.Append("#pragma unroll\n");
            Line(2, $"for (uint u = 0; u < {turns}u; u++)");
            Line(2, "{");
            Line(3, $"const uint i = from + u * {step}u;");
            Element(3, k => $"x{k}[u]");
            Line(2, "}");
            foreach (var k in loaded)
            {
                Line(2, string.Join(' ', Enumerable.Range(0, turns).Select(u => $"x{k}[{u}] = n{k}[{u}];")));
            }

            Line(1, "}");
        }

        Line(1, $"for (; from < end; from += {step}u)");
        Line(1, "{");
        Line(2, "const uint i = from;");
        Element(2, k => $"in{k}[i]");
        Line(1, "}");
        if (first && Guards)
        {
            Line(1, "if (bad) flags[cell] = 1u;");
        }

        foreach (var s in slots)
        {
            Line(1, $"partials[({s}u * cells + cell) * {step}u + lane] = {ReductionText.End(block.Cells[s].Kind, $"s{s}")};");
        }

        text.Append("}\n\n");

        void Fetch(int depth, string array, string index)
        {
            foreach (var k in loaded)
            {
                Line(depth, string.Join(' ', Enumerable.Range(0, turns).Select(u => $"{array}{k}[{u}] = in{k}[{index} + {u * step}u];")));
            }
        }

        void Element(int depth, Func<int, string> load)
        {
            Body(depth, needed, "i", load, o => $"out{o}[i]");
            foreach (var s in slots)
            {
                var r = block.Cells[s];
                Line(depth, ReductionText.Step(r.Kind, $"s{s}", $"v{stored[r.A]}", r.B < 0 ? "" : $"v{stored[r.B]}"));
            }
        }
    }

    /// <summary>The inputs in memory that are loaded.</summary>
    private IEnumerable<int> Loaded(bool[] needed) =>
        program.Instructions.Where((i, n) => needed[n] && i.Code == Code.Load && block.Sources[i.Index] == BlockSource.Memory).Select(i => i.Index).Distinct().Order();

    private bool Guards => program.Instructions.Any(i => i.Code == Code.Guard);

    /// <summary>
    /// Reductions that share a pass: all, while a thread can hold them; else dots by tiles of streams, so that each pass loads few of them.
    /// The first group has everything that is no dot.
    /// </summary>
    /// <param name="tiles">The tiles that one pass over a cell makes all together, from local memory; where there are few, each has a pass of its own.</param>
    /// <param name="streams">The outputs that dots are of, by place.</param>
    private List<List<int>> Groups(out List<DotTile> tiles, out List<int> streams)
    {
        (tiles, streams) = ([], []);
        var all = Enumerable.Range(0, block.Cells.Count).ToList();
        if (all.Count <= Side * Side)
        {
            return [all];
        }

        var dots = all.Where(s => block.Cells[s].Kind == ReduceKind.Dot).ToList();
        streams = [.. dots.SelectMany(s => (int[])[block.Cells[s].A, block.Cells[s].B]).Distinct().Order()];
        var places = streams.Index().ToDictionary(x => x.Item, x => x.Index);
        List<int> others = [.. all.Except(dots)];
        if (Wide && streams.Count is >= FewestStreams and <= MostStreams)
        {
            tiles = TilesOf(dots, places);
            return [others];
        }

        var byTile = dots.GroupBy(s =>
        {
            var (a, b) = (places[block.Cells[s].A] / Side, places[block.Cells[s].B] / Side);
            return (Math.Min(a, b), Math.Max(a, b));
        }).OrderBy(g => g.Key);
        return [others, .. byTile.SelectMany(g => g.Chunk(Side * Side)).Select(g => g.ToList())];
    }

    /// <summary>What the reductions are computed from; in the first entry also what is stored and guarded.</summary>
    private bool[] Needed(IReadOnlyList<int> slots, bool first)
    {
        var needed = new bool[program.Instructions.Count];
        foreach (var s in slots)
        {
            needed[stored[block.Cells[s].A]] = true;
            if (block.Cells[s].B >= 0)
            {
                needed[stored[block.Cells[s].B]] = true;
            }
        }

        for (var n = needed.Length - 1; n >= 0; n--)
        {
            var i = program.Instructions[n];
            needed[n] |= first && (i.Code == Code.Guard || (i.Code == Code.Store && block.Kept[i.Index]));
            foreach (var operand in (int[])[i.A, i.B, i.C])
            {
                if (needed[n] && operand >= 0)
                {
                    needed[operand] = true;
                }
            }
        }

        return needed;
    }

    private void Head(string name, int group, int groups = 1)
    {
        text.Append($"KERNEL(void {name}, {group}, {groups})(");
        for (var k = 0; k < program.Inputs.Count; k++)
        {
            text.Append(block.Sources[k] switch
            {
                BlockSource.Random => $"ulong key{k}, ",
                BlockSource.Product => $"GLOBAL const uchar* RESTRICT b{k}, GLOBAL const uchar* RESTRICT r{k}, uint rank{k}, uint columns{k}, uint phase{k}, ",
                _ => $"GLOBAL const uchar* RESTRICT b{k}, ",
            });
        }

        for (var o = 0; o < program.Outputs.Count; o++)
        {
            if (block.Kept[o])
            {
                text.Append($"GLOBAL uchar* RESTRICT w{o}, ");
            }
        }

        text.Append("GLOBAL const int* RESTRICT P, ulong start, uint count, uint row_length, uint row_phase, GLOBAL uint* flags, GLOBAL acc_t* partials, uint cells)\n{\n");
    }

    /// <summary>What stays the same for all elements.</summary>
    private void Invariants(bool[] needed)
    {
        var at = Offsets;
        for (var k = 0; k < program.Inputs.Count; k++)
        {
            if (block.Sources[k] != BlockSource.Random)
            {
                Line(1, $"GLOBAL const {Dialect.TypeOf(program.Inputs[k])}* in{k} = (GLOBAL const {Dialect.TypeOf(program.Inputs[k])}*)(b{k} + {Offset(at)});");
                at += 2;
            }

            if (block.Sources[k] == BlockSource.Product)
            {
                Line(1, $"GLOBAL const float* right{k} = (GLOBAL const float*)(r{k} + {Offset(at)});");
                at += 2;
            }
        }

        for (var o = 0; o < program.Outputs.Count; o++)
        {
            if (block.Kept[o])
            {
                Line(1, $"GLOBAL {Dialect.TypeOf(program.Outputs[o])}* out{o} = (GLOBAL {Dialect.TypeOf(program.Outputs[o])}*)(w{o} + {Offset(at)});");
                at += 2;
            }
        }

        for (var n = 0; n < program.Instructions.Count; n++)
        {
            var i = program.Instructions[n];
            if (!needed[n])
            {
                continue;
            }

            switch (i.Code)
            {
                case Code.Const:
                    Line(1, $"const float v{n} = as_float(P[{(3 * program.Parameters) + constantOf[n]}]);");
                    break;
                case Code.Param:
                    Line(1, $"const float v{n} = as_float(P[{3 * i.Index}]);");
                    break;
                case Code.Keep:
                    Line(1, $"const int upto{n} = P[{3 * i.Index}], beyond{n} = P[{(3 * i.Index) + 1}], last{n} = P[{(3 * i.Index) + 2}];");
                    break;
            }
        }

        static string Offset(int at) => $"(((ulong)(uint)P[{at + 1}] << 32) | (uint)P[{at}])";
    }

    /// <summary>The program for an element.</summary>
    /// <param name="depth">How far lines are indented.</param>
    /// <param name="needed">Per instruction whether it is wanted.</param>
    /// <param name="index">The element's index in the block.</param>
    /// <param name="load">Where an input in memory has the element.</param>
    /// <param name="store">Where an output wants it.</param>
    private void Body(int depth, bool[] needed, string index, Func<int, string> load, Func<int, string> store)
    {
        for (var n = 0; n < program.Instructions.Count; n++)
        {
            var i = program.Instructions[n];
            if (!needed[n])
            {
                continue;
            }

            switch (i.Code)
            {
                case Code.Load:
                    Line(depth, $"const float v{n} = {LoadOf(i.Index, index, load)};");
                    break;
                case Code.Apply:
                    Line(depth, $"const float v{n} = {Dialect.Apply(i.Index, $"v{i.A}", $"v{i.B}", $"v{i.C}")};");
                    break;
                case Code.Keep:
                    Line(depth, $"const float v{n} = (as_int(v{i.A}) & 0x7fffffff) > ((int){index} <= last{n} ? upto{n} : beyond{n}) ? v{i.A} : 0.0f;");
                    break;
                case Code.Store when block.Kept[i.Index]:
                    Line(depth, $"{store(i.Index)} = {Dialect.Store(program.Outputs[i.Index])}(v{i.A});");
                    break;
                case Code.Guard:
                    Line(depth, $"bad |= (as_int(v{i.A}) & 0x7fffffff) > 0x7f7fffff ? 1u : 0u;");
                    break;
            }
        }
    }

    private string LoadOf(int input, string index, Func<int, string> load) => block.Sources[input] switch
    {
        BlockSource.Random => $"philox(key{input}, start + {index})",
        BlockSource.Product => $"product(in{input}, right{input}, rank{input}, columns{input}, (ulong)phase{input} + {index})",
        BlockSource.Rows => $"in{input}[({index} + row_phase) / row_length]",
        _ => $"{Dialect.Load(program.Inputs[input])}({load(input)})",
    };

    private void Line(int depth, string line) => text.Append(' ', 4 * depth).Append(line).Append('\n');
}
