using Tva.Core.Tensors;

namespace Tva.Core.Checkpoints;

/// <summary>
/// Comes in: what a PyTorch file holds. Goes out: its state dict's tensors by dotted name, or a fault that says what is there instead.
/// Texts and numbers beside the tensors are left out; tensors never are.
/// </summary>
internal static class StateDict
{
    // Names are joined from keys that a file can repeat at no cost; what all of them take is bounded here, as is what the tensors claim.
    private const int MaxTensors = 1 << 18;
    private const int MaxNameChars = 64 << 20;
    private const long MaxBytes = 1L << 50;

    private static readonly string[] Wrappers = ["state_dict", "model_state_dict", "model", "module"];

    /// <summary>A file's state dict: the root, or the one dictionary with tensors under a customary key where the root has none itself.</summary>
    public static PickleValue Find(string path, PickleValue root)
    {
        if (root is not PickleDictionary dictionary || dictionary.Entries.Any(entry => entry.Value is PickleTensor))
        {
            return root;
        }

        var inner = Wrappers.Where(key => dictionary.Find(key) is PickleDictionary { Tensors: > 0 }).ToArray();
        return inner.Length switch
        {
            0 => root,
            1 => dictionary.Find(inner[0])!,
            _ => throw new FaultException($"{path}: holds several state dicts, under {Quoted.List(inner)}; save the one you mean by itself"),
        };
    }

    /// <summary>All tensors of a dictionary and of dictionaries in it.</summary>
    public static List<NamedTensor> Tensors(string path, PickleValue value)
    {
        if (value is not PickleDictionary { Tensors: > 0 } dictionary)
        {
            throw new FaultException($"{path}: holds {Describe(value)}; expected a dictionary of tensors (a state dict)");
        }

        if (dictionary.Tensors > MaxTensors)
        {
            throw new FaultException($"{path}: holds more than {MaxTensors} tensors; this is no state dict");
        }

        var found = new List<NamedTensor>();
        long chars = 0, bytes = 0;
        Walk("", dictionary);
        return found;

        void Walk(string prefix, PickleDictionary holder)
        {
            foreach (var (key, item) in holder.Entries)
            {
                if (item is not (PickleTensor or PickleContainer { Tensors: > 0 }))
                {
                    continue;
                }

                string name = PickleDictionary.Name(key);
                if ((chars += prefix.Length + name.Length) > MaxNameChars)
                {
                    throw new FaultException($"{path}: its tensors' names take more than {MaxNameChars} characters; this is no state dict");
                }

                name = prefix + name;
                switch (item)
                {
                    case PickleTensor tensor:
                        bytes += Math.Min(tensor.Bytes, MaxBytes + 1);
                        found.Add(new NamedTensor(name, tensor));
                        break;
                    case PickleDictionary inner:
                        Walk(name + ".", inner);
                        break;
                    default:
                        throw new FaultException($"{path}: holds {Describe(value)}, and {Quoted.Name(name)} in it is {item} with tensors, which "
                            + "have no names; expected tensors and dictionaries of them (a state dict)");
                }

                if (bytes > MaxBytes)
                {
                    throw new FaultException($"{path}: its tensors have more than {Sizes.Text(MaxBytes)}, most of them repeated (stride 0)");
                }
            }
        }
    }

    private static string Describe(PickleValue value) => value is PickleDictionary { Entries.Count: > 0 } dictionary
        ? $"{dictionary} with {string.Join(", ", dictionary.Entries.Take(6).Select(e => $"{Quoted.Name(PickleDictionary.Name(e.Key))} ({e.Value})"))}"
            + (dictionary.Entries.Count > 6 ? ", ..." : "")
        : $"{value}";
}

/// <summary>A tensor under its dotted name.</summary>
internal sealed record NamedTensor(string Name, PickleTensor Tensor);
