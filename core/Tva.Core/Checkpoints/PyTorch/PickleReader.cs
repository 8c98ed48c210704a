using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;

namespace Tva.Core.Checkpoints;

/// <summary>
/// Comes in: a pickle's bytes. Goes out: its value. A closed machine: it knows the names that tensors need and the opcodes that pickles of
/// protocol 2 and later have, and calls nothing: what another name would make of its arguments is an object that was never made. Names that
/// only serve to reach out of the file are refused. Memory stays below some hundred bytes for each byte of the pickle and below half a
/// gigabyte in all.
/// </summary>
/// <remarks>Opcodes as in CPython's Lib/pickletools.py; what PyTorch makes of them in torch/serialization.py and torch/_utils.py.</remarks>
internal ref struct PickleReader
{
    private const int MaxValues = 4 << 20;
    private const int MaxProtocol = 5;

    private static readonly PickleInteger[] Small = [.. Enumerable.Range(0, 256).Select(i => new PickleInteger(i))];

    private readonly Func<string, long, StoredEntry?> storages;
    private readonly List<PickleValue> stack = [];
    private readonly List<int> marks = [];
    private readonly Dictionary<uint, PickleValue> memo = [];
    private PickleCursor cursor;
    private int left;

    private PickleReader(string where, long start, ReadOnlySpan<byte> bytes, Func<string, long, StoredEntry?> storages)
    {
        cursor = new PickleCursor(where, start, bytes);
        this.storages = storages;
        left = Math.Min(MaxValues, bytes.Length);
    }

    /// <summary>Reads a pickle.</summary>
    /// <param name="where">The file and what of it this is, for messages.</param>
    /// <param name="start">Where it begins there.</param>
    /// <param name="bytes">All of it.</param>
    /// <param name="storages">Where the bytes lie of a storage of that key and so many bytes, or null.</param>
    public static PickleValue Read(string where, long start, ReadOnlySpan<byte> bytes, Func<string, long, StoredEntry?> storages)
    {
        var reader = new PickleReader(where, start, bytes, storages);
        var root = reader.Run();
        PickleMeasure.Of(where, root);
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
                Push(PickleCursor.Long(cursor.Take(cursor.U8())));
                break;
            case 0x8B: // LONG4
                uint digits = cursor.U32();
                Push(digits <= 8 ? PickleCursor.Long(cursor.Take((int)digits)) : cursor.Blob(digits));
                break;
            case (byte)'C': // SHORT_BINBYTES
                Push(cursor.Blob(cursor.U8()));
                break;
            case (byte)'B': // BINBYTES
                Push(cursor.Blob(cursor.U32()));
                break;
            case 0x8E or 0x96: // BINBYTES8, BYTEARRAY8
                Push(cursor.Blob(cursor.U64()));
                break;
            case (byte)'U': // SHORT_BINSTRING
                Push(cursor.OldText(cursor.U8()));
                break;
            case (byte)'T': // BINSTRING
                Push(cursor.OldText(cursor.U32()));
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
            case (byte)']' or 0x8F: // EMPTY_LIST, EMPTY_SET
                Push(new PickleList(tuple: false));
                break;
            case (byte)')': // EMPTY_TUPLE
                Push(new PickleList(tuple: true));
                break;
            case 0x85 or 0x86 or 0x87: // TUPLE1 to TUPLE3
                Tuple(opcode - 0x84);
                break;
            case (byte)'t' or 0x91: // TUPLE, FROZENSET
                Tuple(stack.Count - Mark());
                break;
            case (byte)'a': // APPEND
                Append(stack.Count - 1);
                break;
            case (byte)'e' or 0x90: // APPENDS, ADDITEMS
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
            case 0x81: // NEWOBJ
                NewObject();
                break;
            case 0x92: // NEWOBJ_EX
                var named = Pop();
                NewObject();
                (stack[^1] as PickleObject)?.Add([named]);
                break;
            case (byte)'0': // POP
                Pop();
                break;
            case (byte)'1': // POP_MARK
                int kept = Mark();
                stack.RemoveRange(kept, stack.Count - kept);
                break;
            case (byte)'2': // DUP
                RequireStack(stack.Count - 1);
                Push(stack[^1]);
                break;
            case (byte)'l': // LIST
                int first = Mark();
                var list = new PickleList(tuple: false);
                list.Add(CollectionsMarshal.AsSpan(stack)[first..]);
                stack.RemoveRange(first, stack.Count - first);
                Push(list);
                break;
            case (byte)'d': // DICT
                int from = Mark();
                stack.Insert(from, new PickleDictionary());
                SetItems(from + 1);
                Pay(1);
                break;
            case (byte)'b': // BUILD
                Build();
                break;
            case (byte)'Q': // BINPERSID
                Push(Outside());
                break;
            default:
                Throw($"has opcode 0x{opcode:x2}, which no file of torch.save needs; " + PickleCalls.WayOut);
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
        if (PickleName.Find(module, name) is not { } known)
        {
            Throw($"asks for {Quoted.Name($"{module}.{name}")}, which no model needs and which is never called here; loading this file in Python would: "
                + "don't, and get the model from whom you trust");
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
        var more = CollectionsMarshal.AsSpan(stack)[from..];
        switch (stack[from - 1])
        {
            case PickleList { IsTuple: false } list:
                list.Add(more);
                break;
            case PickleObject made:
                made.Add(more);
                break;
            default:
                Throw($"appends to {stack[from - 1]}; the file is damaged");
                break;
        }

        stack.RemoveRange(from, stack.Count - from);
    }

    private readonly void SetItems(int from)
    {
        RequireStack(from - 1);
        if (stack[from - 1] is PickleObject made)
        {
            made.Add(CollectionsMarshal.AsSpan(stack)[from..]);
        }
        else if (stack[from - 1] is PickleDictionary dictionary && (stack.Count - from) % 2 == 0)
        {
            for (int i = from; i < stack.Count; i += 2)
            {
                if (stack[i] is PickleList { IsTuple: false } or PickleDictionary)
                {
                    Throw($"has {stack[i]} as a key, which Python can't; the file is damaged");
                }

                dictionary.Set(stack[i], stack[i + 1]);
            }
        }
        else
        {
            Throw($"sets {stack.Count - from} keys and values of {stack[from - 1]}; the file is damaged");
        }

        stack.RemoveRange(from, stack.Count - from);
    }

    private void Put(uint index)
    {
        RequireStack(stack.Count - 1);
        // Mostly in order from 0; Python 2 begins with 1.
        Pay(1);
        memo[index] = stack[^1];
    }

    private void Get(uint index)
    {
        if (!memo.TryGetValue(index, out var value))
        {
            Throw($"recalls value {index}, which none of the {memo.Count} remembered is; the file is damaged");
            return;
        }

        Push(value);
    }

    private void Reduce()
    {
        var (arguments, function) = (Pop(), Pop());
        if (arguments is not PickleList { IsTuple: true } tuple || function is not (PickleName or PickleObject))
        {
            Throw($"calls {function} with {arguments}; the file is damaged");
            return;
        }

        if (function is not PickleName { Kind: not NameKind.Foreign } name)
        {
            Push(new PickleObject((function as PickleName)?.Name ?? ((PickleObject)function).Name, arguments));
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

    private void NewObject()
    {
        var (arguments, type) = (Pop(), Pop());
        if (arguments is not PickleList { IsTuple: true } || type is not (PickleName or PickleObject))
        {
            Throw($"makes an object of {type} with {arguments}; the file is damaged");
        }

        Push(type is PickleName { Kind: NameKind.OrderedDict or NameKind.Dictionary } ? new PickleDictionary()
            : new PickleObject((type as PickleName)?.Name ?? ((PickleObject)type).Name, arguments));
    }

    /// <summary>Attributes of a dictionary, such as a state dict's _metadata, are dropped.</summary>
    private void Build()
    {
        var state = Pop();
        RequireStack(stack.Count - 1);
        if (stack[^1] is PickleObject made)
        {
            made.SetState(state);
        }
        else if (stack[^1] is not PickleDictionary || state is not PickleDictionary)
        {
            Throw($"gives {stack[^1]} the attributes {state}; " + PickleCalls.WayOut);
        }
    }

    /// <summary>What a reference out of the pickle leads to: a storage; in old files also a module's class, beside its source.</summary>
    private PickleValue Outside()
    {
        var value = Pop();
        if (value is PickleList { IsTuple: true, Span: [PickleText { Value: "module" }, PickleName type, _, _] })
        {
            return type;
        }

        if (value is not PickleList { IsTuple: true, Span: [PickleText { Value: "storage" }, PickleName { Kind: NameKind.Storage } kind,
            PickleText key, PickleText, PickleInteger { Value: var count }, .. var view] } || view is not ([] or [PickleNothing]))
        {
            Throw($"refers outside with {value} instead of a storage; " + PickleCalls.WayOut);
            return null;
        }

        int size = kind.Type is { } dtype ? Tensors.DTypes.Size(dtype) : 1;
        if (storages(key.Value, count is >= 0 and <= long.MaxValue / 8 ? count * size : -1) is not { } entry)
        {
            Throw($"its storage {Quoted.Name(key.Value)} is not in the archive; the file is damaged");
            return null;
        }

        if (count != entry.Bytes / size || entry.Bytes % size != 0)
        {
            Throw($"its storage {Quoted.Name(key.Value)} should be {count} elements of {size} bytes, and its entry has {entry.Bytes} bytes; "
                + "the file is damaged");
        }

        return new PickleStorage(entry, kind.Type);
    }

    [DoesNotReturn]
    private readonly void Throw(string what) => cursor.Throw(what);
}
