using Tva.Core.Tensors;

namespace Tva.Core.Kernels;

/// <summary>One of the programs that a larger one became, and which streams its inputs and outputs are.</summary>
/// <param name="Program">The program; its parameters are the larger one's.</param>
/// <param name="Inputs">Per input the larger program's input, or −1 − n for scratch stream n.</param>
/// <param name="Outputs">Per output the same.</param>
internal sealed record Segment(KernelProgram Program, int[] Inputs, int[] Outputs);

/// <summary>
/// A program too large for the JIT in, a chain of smaller ones out that together do the same: values needed past a cut go through
/// F32 scratch streams, but what is loaded or constant is loaded again. Cuts lie where the work in all is least, which is where
/// few values are alive.
/// </summary>
internal sealed class Split
{
    private readonly KernelProgram program;
    private readonly IReadOnlyList<Instruction> code;

    /// <summary>The instructions that compute or write; the others are repeated wherever they are used.</summary>
    private readonly List<int> body = [];

    /// <summary>Where in the body a value is computed, or −1, and where it is used last.</summary>
    private readonly int[] place;
    private readonly int[] lastUse;

    /// <summary>The segment that last looked at a value; saves clearing a set for every segment tried.</summary>
    private readonly int[] seen;
    private int round;

    private Split(KernelProgram program)
    {
        this.program = program;
        code = program.Instructions;
        place = new int[code.Count];
        lastUse = new int[code.Count];
        seen = new int[code.Count];
        for (var n = 0; n < code.Count; n++)
        {
            (place[n], lastUse[n]) = (-1, -1);
            if (code[n].Code is Code.Load or Code.Const or Code.Param)
            {
                continue;
            }

            place[n] = body.Count;
            foreach (var operand in Operands(code[n]))
            {
                lastUse[operand] = body.Count;
            }

            body.Add(n);
        }
    }

    /// <summary>Programs of at most that size each (see <see cref="CodeSize"/>), or of one instruction; run in order.</summary>
    public static IReadOnlyList<Segment> Into(KernelProgram program, int limit)
    {
        var split = new Split(program);
        return split.Build(split.Cuts(limit));
    }

    /// <summary>Where segments begin, and the end: the cheapest way to it, found from every place for all that follow.</summary>
    private List<int> Cuts(int limit)
    {
        // A segment more costs its broadcasts and one more pass over its streams.
        const int perSegment = 20;
        var cost = new int[body.Count + 1];
        var from = new int[body.Count + 1];
        Array.Fill(cost, int.MaxValue, 1, body.Count);
        for (var first = 0; first < body.Count; first++)
        {
            for (var end = first + 1; end <= body.Count; end++)
            {
                var size = Size(first, end, out var grown);
                if (grown > limit && end > first + 1)
                {
                    break;
                }

                if ((size <= limit || end == first + 1) && cost[first] + size + perSegment < cost[end])
                {
                    cost[end] = cost[first] + size + perSegment;
                    from[end] = first;
                }
            }
        }

        var cuts = new List<int> { body.Count };
        while (cuts[^1] > 0)
        {
            cuts.Add(from[cuts[^1]]);
        }

        cuts.Reverse();
        return cuts;
    }

    /// <summary>What instructions [first, end) of the body cost as a segment.</summary>
    /// <param name="first">The first.</param>
    /// <param name="end">The one after the last.</param>
    /// <param name="grown">The same without the stores to scratch: a longer segment may need fewer of those, but no less of the rest.</param>
    private int Size(int first, int end, out int grown)
    {
        round++;
        var (size, stores) = (0, 0);
        for (var k = first; k < end; k++)
        {
            var n = body[k];
            size += CodeSize.Of(code[n], program);
            stores += lastUse[n] >= end ? CodeSize.Store(DType.F32) : 0;
            foreach (var operand in Operands(code[n]))
            {
                if (place[operand] < first && seen[operand] != round)
                {
                    seen[operand] = round;
                    size += place[operand] < 0 ? CodeSize.Of(code[operand], program) : CodeSize.Load(DType.F32);
                }
            }
        }

        grown = size;
        return size + stores;
    }

    private List<Segment> Build(List<int> cuts)
    {
        var segments = new List<Segment>();
        var slots = new Dictionary<int, int>();
        var free = new SortedSet<int>();
        var used = 0;
        for (var s = 0; s + 1 < cuts.Count; s++)
        {
            var (first, end) = (cuts[s], cuts[s + 1]);
            foreach (var (value, slot) in slots)
            {
                if (lastUse[value] < first)
                {
                    slots.Remove(value);
                    free.Add(slot);
                }
            }

            segments.Add(Cut(first, end, slots, Slot));
        }

        return segments;

        int Slot()
        {
            if (free.Count == 0)
            {
                return used++;
            }

            var slot = free.Min;
            free.Remove(slot);
            return slot;
        }
    }

    private Segment Cut(int first, int end, Dictionary<int, int> slots, Func<int> newSlot)
    {
        var instructions = new List<Instruction>();
        var numbers = new Dictionary<int, int>();
        var (inputs, inputTypes) = (new List<int>(), new List<DType>());
        var (outputs, outputTypes) = (new List<int>(), new List<DType>());
        for (var k = first; k < end; k++)
        {
            var n = body[k];
            var i = code[n] with { A = Number(code[n].A), B = Number(code[n].B), C = Number(code[n].C) };
            if (i.Code == Code.Store)
            {
                i = i with { Index = Stream(outputs, outputTypes, i.Index, program.Outputs[i.Index]) };
            }

            numbers[n] = instructions.Count;
            instructions.Add(i);
        }

        for (var k = first; k < end; k++)
        {
            var n = body[k];
            if (lastUse[n] >= end)
            {
                slots.Add(n, newSlot());
                instructions.Add(new(Code.Store, numbers[n], Index: Stream(outputs, outputTypes, -1 - slots[n], DType.F32)));
            }
        }

        return new(new(instructions, inputTypes, outputTypes, program.Parameters), [.. inputs], [.. outputs]);

        int Number(int value)
        {
            if (value < 0)
            {
                return value;
            }

            if (numbers.TryGetValue(value, out var number))
            {
                return number;
            }

            var i = code[value];
            if (place[value] >= 0)
            {
                i = new(Code.Load, Index: Stream(inputs, inputTypes, -1 - slots[value], DType.F32), Origin: i.Origin);
            }
            else if (i.Code == Code.Load)
            {
                i = i with { Index = Stream(inputs, inputTypes, i.Index, program.Inputs[i.Index]) };
            }

            numbers.Add(value, instructions.Count);
            instructions.Add(i);
            return numbers[value];
        }
    }

    private static int Stream(List<int> streams, List<DType> types, int stream, DType type)
    {
        var index = streams.IndexOf(stream);
        if (index < 0)
        {
            index = streams.Count;
            streams.Add(stream);
            types.Add(type);
        }

        return index;
    }

    private static IEnumerable<int> Operands(Instruction i)
    {
        if (i.A >= 0)
        {
            yield return i.A;
        }

        if (i.B >= 0)
        {
            yield return i.B;
        }

        if (i.C >= 0)
        {
            yield return i.C;
        }
    }
}
