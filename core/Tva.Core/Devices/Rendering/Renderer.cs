using System.Text;
using Tva.Core.Execution;
using Tva.Core.Kernels;
using Tva.Core.Tensors;

namespace Tva.Core.Devices.Rendering;

/// <summary>A program as source.</summary>
/// <param name="Source">The text, without a prelude.</param>
/// <param name="Entries">Names of its kernels; a call runs all of them. The first one stores and guards.</param>
/// <param name="Constants">The values that the parameter block ends with: sources that differ in constants alone are one.</param>
/// <param name="ByCell">Whether a work-item takes a lane of a cell; else an element.</param>
internal sealed record RenderedProgram(string Source, IReadOnlyList<string> Entries, IReadOnlyList<float> Constants, bool ByCell);

/// <summary>
/// Comes in: a <see cref="BlockProgram"/>. Goes out: its source. All entries take the same arguments: per input of Memory or Rows its buffer,
/// of Random its key, of Product both factors' buffers, the rank, the columns and the first element's column; per kept output its buffer; then the parameter block, the block's first index in the tensor, its elements, a row's length,
/// the first element's place in its row, flags by cell, partial sums, and the number of cells. The parameter block holds, as int32, three words
/// per parameter (see <see cref="BlockParameter"/>, the index counted from the block's start), the constants, and two words per buffer: where in
/// it the stream begins.
/// </summary>
internal sealed class Renderer
{
    /// <summary>Streams on each side of a tile of dots: 64 sums of two registers each are what a thread can hold.</summary>
    private const int Side = 8;

    private readonly BlockProgram block;
    private readonly KernelProgram program;
    private readonly StringBuilder text = new();
    private readonly List<float> constants = [];
    private readonly Dictionary<int, int> constantOf = [];
    private readonly int[] stored;

    private Renderer(BlockProgram block)
    {
        this.block = block;
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

    private int Offsets => (3 * program.Parameters) + constants.Count;

    /// <summary>The source of a program.</summary>
    public static RenderedProgram Render(BlockProgram block)
    {
        var r = new Renderer(block);
        r.text.Append(Dialect.FunctionsOf(block.Program));
        var entries = new List<string>();
        if (block.Cells.Count == 0)
        {
            entries.Add("tva_map");
            r.Map();
        }
        else
        {
            foreach (var group in r.Groups())
            {
                entries.Add($"tva_cells{entries.Count}");
                r.Cells(entries[^1], group, entries.Count == 1);
            }
        }

        return new RenderedProgram(r.text.ToString(), entries, r.constants, block.Cells.Count > 0);
    }

    /// <summary>The words of the parameter block before the buffers' offsets.</summary>
    public static int WordsBefore(BlockProgram block, RenderedProgram rendered) => (3 * block.Program.Parameters) + rendered.Constants.Count;

    private void Map()
    {
        Head("tva_map");
        Invariants([.. Enumerable.Repeat(true, program.Instructions.Count)]);
        Line(1, "const uint i = GLOBAL_ID;");
        Line(1, "if (i >= count) return;");
        Body(1, [.. Enumerable.Repeat(true, program.Instructions.Count)]);
        if (Guards)
        {
            Line(1, $"if (bad) flags[i / {BlockProgram.CellElements}u] = 1u;");
        }

        text.Append("}\n\n");
    }

    private void Cells(string name, IReadOnlyList<int> slots, bool first)
    {
        var needed = Needed(slots, first);
        Head(name);
        Invariants(needed);
        Line(1, $"const uint lane = GLOBAL_ID & {BlockProgram.Lanes - 1}u, cell = GLOBAL_ID / {BlockProgram.Lanes}u;");
        Line(1, "if (cell >= cells) return;");
        Line(1, $"const uint begin = cell * {BlockProgram.CellElements}u;");
        Line(1, $"const uint end = count - begin < {BlockProgram.CellElements}u ? count : begin + {BlockProgram.CellElements}u;");
        if (first && Guards)
        {
            Line(1, "uint any = 0;");
        }

        foreach (var s in slots)
        {
            Line(1, ReductionText.Start(block.Cells[s].Kind, $"s{s}"));
        }

        Line(1, $"for (uint i = begin + lane; i < end; i += {BlockProgram.Lanes}u)");
        Line(1, "{");
        Body(2, needed);
        foreach (var s in slots)
        {
            var r = block.Cells[s];
            Line(2, ReductionText.Step(r.Kind, $"s{s}", $"v{stored[r.A]}", r.B < 0 ? "" : $"v{stored[r.B]}"));
        }

        if (first && Guards)
        {
            Line(2, "any |= bad;");
        }

        Line(1, "}");
        if (first && Guards)
        {
            Line(1, "if (any) flags[cell] = 1u;");
        }

        foreach (var s in slots)
        {
            Line(1, $"partials[({s}u * cells + cell) * {BlockProgram.Lanes}u + lane] = {ReductionText.End(block.Cells[s].Kind, $"s{s}")};");
        }

        text.Append("}\n\n");
    }

    private bool Guards => program.Instructions.Any(i => i.Code == Code.Guard);

    /// <summary>
    /// Reductions that share a pass: all, while a thread can hold them; else dots by tiles of streams, so that each pass loads few of them.
    /// The first group has everything that is no dot.
    /// </summary>
    private List<List<int>> Groups()
    {
        var all = Enumerable.Range(0, block.Cells.Count).ToList();
        if (all.Count <= Side * Side)
        {
            return [all];
        }

        var dots = all.Where(s => block.Cells[s].Kind == ReduceKind.Dot).ToList();
        var places = dots.SelectMany(s => (int[])[block.Cells[s].A, block.Cells[s].B]).Distinct().Order().Index().ToDictionary(x => x.Item, x => x.Index / Side);
        var groups = new List<List<int>> { all.Except(dots).ToList() };
        groups.AddRange(dots.GroupBy(s =>
        {
            var (a, b) = (places[block.Cells[s].A], places[block.Cells[s].B]);
            return (Math.Min(a, b), Math.Max(a, b));
        }).OrderBy(g => g.Key).SelectMany(g => g.Chunk(Side * Side)).Select(g => g.ToList()));
        return groups;
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

    private void Head(string name)
    {
        text.Append($"KERNEL void {name}(");
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

    /// <summary>The program for element i.</summary>
    private void Body(int depth, bool[] needed)
    {
        if (Guards)
        {
            Line(depth, "uint bad = 0;");
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
                case Code.Load:
                    Line(depth, $"const float v{n} = {LoadOf(i.Index)};");
                    break;
                case Code.Apply:
                    Line(depth, $"const float v{n} = {Dialect.Apply(i.Index, $"v{i.A}", $"v{i.B}", $"v{i.C}")};");
                    break;
                case Code.Keep:
                    Line(depth, $"const float v{n} = (as_int(v{i.A}) & 0x7fffffff) > ((int)i <= last{n} ? upto{n} : beyond{n}) ? v{i.A} : 0.0f;");
                    break;
                case Code.Store when block.Kept[i.Index]:
                    Line(depth, $"out{i.Index}[i] = {Dialect.Store(program.Outputs[i.Index])}(v{i.A});");
                    break;
                case Code.Guard:
                    Line(depth, $"bad |= (as_int(v{i.A}) & 0x7fffffff) > 0x7f7fffff ? 1u : 0u;");
                    break;
            }
        }
    }

    private string LoadOf(int input) => block.Sources[input] switch
    {
        BlockSource.Random => $"philox(key{input}, start + i)",
        BlockSource.Product => $"product(in{input}, right{input}, rank{input}, columns{input}, (ulong)phase{input} + i)",
        BlockSource.Rows => $"in{input}[(i + row_phase) / row_length]",
        _ => $"{Dialect.Load(program.Inputs[input])}(in{input}[i])",
    };

    private void Line(int depth, string line) => text.Append(' ', 4 * depth).Append(line).Append('\n');
}
