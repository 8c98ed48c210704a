using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;

namespace Tva.Core.Checkpoints;

/// <summary>
/// Comes in: a pickle's bytes. Goes out: its value. A closed machine: it knows the opcodes and names that tensors, numbers, texts and
/// their containers need, calls nothing, and refuses everything else by name and place. Memory stays below some hundred bytes for each
/// byte of the pickle and below half a gigabyte in all.
/// </summary>
/// <remarks>Opcodes as in CPython's Lib/pickletools.py; what PyTorch makes of them in torch/serialization.py and torch/_utils.py.</remarks>
internal ref struct PickleReader
{
    private const int MaxValues = 4 << 20;
    private const int MaxProtocol = 5;

    private static readonly PickleInteger[] Small = [.. Enumerable.Range(0, 256).Select(i => new PickleInteger(i))];

    private readonly Func<string, StoredEntry?> storages;
    private readonly List<PickleValue> stack = [];
    private readonly List<int> marks = [];
    private readonly List<PickleValue> memo = [];
    private PickleCursor cursor;
    private int left;

    private PickleReader(string path, ReadOnlySpan<byte> bytes, Func<string, StoredEntry?> storages)
    {
        cursor = new PickleCursor(path, bytes);
        this.storages = storages;
        left = Math.Min(MaxValues, bytes.Length);
    }

    /// <summary>Reads a pickle.</summary>
    /// <param name="path">The file, for messages.</param>
    /// <param name="bytes">All of <c>data.pkl</c>.</param>
    /// <param name="storages">The archive's entry of a storage's key, or null.</param>
    public static PickleValue Read(string path, ReadOnlySpan<byte> bytes, Func<string, StoredEntry?> storages)
    {
        var reader = new PickleReader(path, bytes, storages);
        var root = reader.Run();
        PickleMeasure.Of(path, root);
        return root;
    }

    private PickleValue Run()
    {
        if (cursor.Left < 2 || cursor.Opcode() != 0x80 || cursor.U8() is < 2 or > MaxProtocol)
        {
            Throw($"expected a pickle of protocol 2 to {MaxProtocol}");
        }

        while (true)
        {
            byte opcode = cursor.Opcode();
            if (opcode == (byte)'.')
            {
                return Stop();
            }

            Step(opcode);
        }
    }

    private void Step(byte opcode)
    {
        switch (opcode)
        {
            case 0x80: // PROTO
                cursor.Take(1);
                break;
            case 0x95: // FRAME
                cursor.Skip(cursor.U64());
                break;
            case (byte)'(': // MARK
                Pay(1);
                marks.Add(stack.Count);
                break;
            case (byte)'N': // NONE
                Push(PickleNothing.Instance);
                break;
            case 0x88: // NEWTRUE
                Push(PickleBoolean.True);
                break;
            case 0x89: // NEWFALSE
                Push(PickleBoolean.False);
                break;
            case (byte)'K': // BININT1
                Push(Small[cursor.U8()]);
                break;
            case (byte)'M': // BININT2
                Push(new PickleInteger(BinaryPrimitives.ReadUInt16LittleEndian(cursor.Take(2))));
                break;
            case (byte)'J': // BININT
                Push(new PickleInteger(BinaryPrimitives.ReadInt32LittleEndian(cursor.Take(4))));
                break;
            case 0x8A: // LONG1
                Push(cursor.Long(cursor.Take(cursor.U8())));
                break;
            case (byte)'G': // BINFLOAT
                Push(new PickleReal(BinaryPrimitives.ReadDoubleBigEndian(cursor.Take(8))));
                break;
            case 0x8C: // SHORT_BINUNICODE
                Push(cursor.Text(cursor.U8()));
                break;
            case (byte)'X': // BINUNICODE
                Push(cursor.Text(cursor.U32()));
                break;
            case 0x8D: // BINUNICODE8
                Push(cursor.Text(cursor.U64()));
                break;
            case (byte)'}': // EMPTY_DICT
                Push(new PickleDictionary());
                break;
            case (byte)']': // EMPTY_LIST
                Push(new PickleList(tuple: false));
                break;
            case (byte)')': // EMPTY_TUPLE
                Push(new PickleList(tuple: true));
                break;
            case 0x85 or 0x86 or 0x87: // TUPLE1 to TUPLE3
                Tuple(opcode - 0x84);
                break;
            case (byte)'t': // TUPLE
                Tuple(stack.Count - Mark());
                break;
            case (byte)'a': // APPEND
                Append(stack.Count - 1);
                break;
            case (byte)'e': // APPENDS
                Append(Mark());
                break;
            case (byte)'s': // SETITEM
                SetItems(stack.Count - 2);
                break;
            case (byte)'u': // SETITEMS
                SetItems(Mark());
                break;
            case (byte)'q': // BINPUT
                Put(cursor.U8());
                break;
            case (byte)'r': // LONG_BINPUT
                Put(cursor.U32());
                break;
            case 0x94: // MEMOIZE
                Put((uint)memo.Count);
                break;
            case (byte)'h': // BINGET
                Get(cursor.U8());
                break;
            case (byte)'j': // LONG_BINGET
                Get(cursor.U32());
                break;
            case (byte)'c': // GLOBAL
                Push(Name(cursor.Line(), cursor.Line()));
                break;
            case 0x93: // STACK_GLOBAL
                string name = PopText("a name");
                Push(Name(PopText("a module's name"), name));
                break;
            case (byte)'R': // REDUCE
                Reduce();
                break;
            case (byte)'b': // BUILD
                Build();
                break;
            case (byte)'Q': // BINPERSID
                Push(Storage());
                break;
            default:
                Throw($"has opcode 0x{opcode:x2}, which no dictionary of tensors needs; " + PickleCalls.WayOut);
                break;
        }
    }

    private readonly PickleValue Stop()
    {
        if (stack.Count != 1 || marks.Count > 0 || cursor.Left > 0)
        {
            Throw($"ends with {stack.Count} values, {marks.Count} open groups and {cursor.Left} bytes behind; expected one value; "
                + "the file is damaged");
        }

        return stack[0];
    }

    private readonly PickleName Name(string module, string name)
    {
        string full = $"{module}.{name}";
        if (PickleName.Find(full) is not { } known)
        {
            Throw($"asks for {Quoted.Name(full)}, which is not a tensor and is never called; " + PickleCalls.WayOut);
            return null;
        }

        return known;
    }

    // Each value costs some of a budget that no more than the pickle's length gives: what a few bytes can ask for stays small.
    private void Pay(int values)
    {
        left -= values;
        if (left < 0)
        {
            Throw($"holds more than {Math.Min(MaxValues, cursor.Length)} values; this is no file of tensors, or it is damaged");
        }
    }

    private void Push(PickleValue value)
    {
        Pay(1);
        stack.Add(value);
    }

    private PickleValue Pop()
    {
        RequireStack(stack.Count - 1);
        var value = stack[^1];
        stack.RemoveAt(stack.Count - 1);
        return value;
    }

    private string PopText(string what)
    {
        var value = Pop();
        if (value is not PickleText text)
        {
            Throw($"expected {what}, found {value}; the file is damaged");
            return null;
        }

        return text.Value;
    }

    /// <summary>Values above the last mark are all that an opcode may touch.</summary>
    private readonly void RequireStack(int from)
    {
        if (from < (marks.Count > 0 ? marks[^1] : 0))
        {
            Throw("takes more values than there are; the file is damaged");
        }
    }

    private int Mark()
    {
        if (marks.Count == 0)
        {
            Throw("ends a group that was not begun; the file is damaged");
        }

        int mark = marks[^1];
        marks.RemoveAt(marks.Count - 1);
        return mark;
    }

    private void Tuple(int count)
    {
        int from = stack.Count - count;
        RequireStack(from);
        var tuple = new PickleList(CollectionsMarshal.AsSpan(stack)[from..]);
        stack.RemoveRange(from, count);
        Push(tuple);
    }

    private readonly void Append(int from)
    {
        RequireStack(from - 1);
        if (stack[from - 1] is not PickleList { IsTuple: false } list)
        {
            Throw($"appends to {stack[from - 1]}; the file is damaged");
            return;
        }

        list.Add(CollectionsMarshal.AsSpan(stack)[from..]);
        stack.RemoveRange(from, stack.Count - from);
    }

    private readonly void SetItems(int from)
    {
        RequireStack(from - 1);
        if (stack[from - 1] is not PickleDictionary dictionary || (stack.Count - from) % 2 != 0)
        {
            Throw($"sets {stack.Count - from} keys and values of {stack[from - 1]}; the file is damaged");
            return;
        }

        for (int i = from; i < stack.Count; i += 2)
        {
            if (stack[i] is not (PickleText or PickleInteger))
            {
                Throw($"has {stack[i]} as a key; keys are texts or integers; " + PickleCalls.WayOut);
            }

            dictionary.Set(stack[i], stack[i + 1]);
        }

        stack.RemoveRange(from, stack.Count - from);
    }

    private void Put(uint index)
    {
        RequireStack(stack.Count - 1);
        if (index > memo.Count)
        {
            Throw($"remembers a value as {index} after {memo.Count} others; the file is damaged");
        }

        Pay(1);
        if (index == memo.Count)
        {
            memo.Add(stack[^1]);
        }
        else
        {
            memo[(int)index] = stack[^1];
        }
    }

    private void Get(uint index)
    {
        if (index >= memo.Count)
        {
            Throw($"recalls value {index} of {memo.Count}; the file is damaged");
        }

        Push(memo[(int)index]);
    }

    private void Reduce()
    {
        var (arguments, function) = (Pop(), Pop());
        if (function is not PickleName name || arguments is not PickleList { IsTuple: true } tuple)
        {
            Throw($"calls {function} with {arguments}; the file is damaged");
            return;
        }

        var result = PickleCalls.Call(name, tuple.Span, out var problem);
        if (result is null)
        {
            Throw(problem!);
        }

        Pay(result is PickleTensor tensor ? 2 * tensor.Strides.Count : 0);
        Push(result);
    }

    /// <summary>Attributes of a dictionary, such as a state dict's _metadata, are dropped.</summary>
    private void Build()
    {
        var state = Pop();
        RequireStack(stack.Count - 1);
        if (stack[^1] is not PickleDictionary || state is not PickleDictionary)
        {
            Throw($"gives {stack[^1]} the attributes {state}; " + PickleCalls.WayOut);
        }
    }

    private PickleStorage Storage()
    {
        var value = Pop();
        if (value is not PickleList { IsTuple: true, Span: [PickleText { Value: "storage" }, PickleName { Kind: NameKind.Storage } type,
            PickleText key, PickleText, PickleInteger count] })
        {
            Throw($"refers outside with {value} instead of a storage; " + PickleCalls.WayOut);
            return null;
        }

        if (storages(key.Value) is not { } entry)
        {
            Throw($"its storage {Quoted.Name(key.Value)} is not in the archive; the file is damaged");
            return null;
        }

        int size = type.Type is { } dtype ? Tensors.DTypes.Size(dtype) : 1;
        if (count.Value != entry.Bytes / size || entry.Bytes % size != 0)
        {
            Throw($"its storage {Quoted.Name(key.Value)} should be {count.Value} elements of {size} bytes, and its entry has {entry.Bytes} bytes; "
                + "the file is damaged");
        }

        return new PickleStorage(entry, type.Type);
    }

    [DoesNotReturn]
    private readonly void Throw(string what) => cursor.Throw(what);
}
