using Tva.Core.Tensors;

namespace Tva.Core.Checkpoints;

/// <summary>
/// Comes in: a known name and the arguments it is called with. Goes out: the value that PyTorch would have built from them, or what is
/// wrong. Nothing is called.
/// </summary>
internal static class PickleCalls
{
    public const string WayOut = "save the tensors alone, with torch.save(model.state_dict(), path) or as safetensors";

    // As in torch itself no tensor has more; it bounds what one may cost.
    private const int MaxRank = 64;

    public static PickleValue? Call(PickleName name, ReadOnlySpan<PickleValue> arguments, out string? problem)
    {
        problem = null;
        switch (name.Kind)
        {
            case NameKind.OrderedDict when arguments is []:
                return new PickleDictionary();
            case NameKind.Dictionary when arguments is [] or [PickleName]:
                return new PickleDictionary();
            case NameKind.Set when arguments is []:
                return new PickleList(tuple: false);
            case NameKind.Set when arguments is [PickleList members]:
                return members;
            case NameKind.Size when arguments is [PickleList sizes]:
                return sizes;
            case NameKind.Parameter when arguments is [PickleTensor tensor, PickleBoolean, _, .. var state] && state.Length <= 1:
                return tensor;
            case NameKind.Subclass when arguments is [PickleName { Kind: not NameKind.Subclass } function, PickleName { Kind: NameKind.Class }, PickleList { IsTuple: true } inner, _]:
                return Call(function, inner.Span, out problem);
            case NameKind.OldTensor when arguments is [PickleStorage { Type: { } type } storage, PickleInteger offset, PickleList sizes, PickleList strides]:
                return Tensor(type, storage, offset.Value, sizes, strides, out problem);
            case NameKind.Tensor when arguments is [PickleStorage { Type: { } type } storage, PickleInteger offset, PickleList sizes,
                PickleList strides, PickleBoolean, _, .. var rest] && IsPlain(rest):
                return Tensor(type, storage, offset.Value, sizes, strides, out problem);
            case NameKind.TypedTensor when arguments is [PickleStorage storage, PickleInteger offset, PickleList sizes,
                PickleList strides, PickleBoolean, _, PickleName { Kind: NameKind.Type, Type: { } type }, .. var rest] && IsPlain(rest):
                return Tensor(type, storage, offset.Value, sizes, strides, out problem);
            default:
                string list = string.Join(", ", arguments[..Math.Min(8, arguments.Length)].ToArray().AsEnumerable());
                problem = $"calls {name.Name} with ({list}{(arguments.Length > 8 ? $", ... {arguments.Length}" : "")}), "
                    + "which is not how plain tensors are saved; " + WayOut;
                return null;
        }
    }

    // What may follow: marks of conjugated or negated views and attributes of Python, which change what the bytes mean.
    private static bool IsPlain(ReadOnlySpan<PickleValue> rest) => rest is [] or [PickleNothing] or [PickleDictionary { Count: 0 }];

    private static PickleTensor? Tensor(
        DType type, PickleStorage storage, long offset, PickleList sizes, PickleList strides, out string? problem)
    {
        int size = type.Size();
        long available = storage.Entry.Bytes / size;
        string Shown() => $"tensor {type.Name()} in storage {Quoted.Name(storage.Entry.Name)}";
        if (sizes.Count != strides.Count || sizes.Count > MaxRank)
        {
            problem = $"{Shown()} has {sizes.Count} dimensions and {strides.Count} strides (at most {MaxRank}); the file is damaged";
            return null;
        }

        var (dims, steps) = (new long[sizes.Count], new long[sizes.Count]);
        long elements = 1;
        bool empty = false;
        for (int i = 0; i < dims.Length; i++)
        {
            if (sizes[i] is not PickleInteger { Value: >= 0 and var d } || strides[i] is not PickleInteger { Value: >= 0 and var step })
            {
                problem = $"{Shown()} has dimension {sizes[i]} with stride {strides[i]}; expected numbers from 0 on; the file is damaged";
                return null;
            }

            (dims[i], steps[i]) = (d, step);
            empty |= d == 0;
            if (d > 0 && elements > long.MaxValue / size / d)
            {
                problem = $"{Shown()} has shape {Quoted.Dims(dims.AsSpan(0, i + 1).ToArray())} so far, more elements than any file; the file is damaged";
                return null;
            }

            elements *= Math.Max(d, 1);
        }

        Int128 last = offset;
        for (int i = 0; i < dims.Length && !empty; i++)
        {
            last += (Int128)(dims[i] - 1) * steps[i];
        }

        if (offset < 0 || last >= available + (empty ? 1 : 0) || storage.Entry.Bytes % size != 0)
        {
            problem = $"{Shown()} reaches from element {offset} to {last} with shape {Quoted.Dims(dims)} and strides {Quoted.Dims(steps)}, and its "
                + $"storage has {storage.Entry.Bytes} bytes, {available} elements; the file is damaged";
            return null;
        }

        problem = null;
        return new PickleTensor(type, new Shape(dims), steps, storage.Entry, offset);
    }
}
