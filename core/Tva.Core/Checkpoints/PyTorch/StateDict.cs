using Tva.Core.Tensors;

namespace Tva.Core.Checkpoints;

/// <summary>
/// Comes in: what a PyTorch file holds. Goes out: its state dict's tensors by dotted name, or a fault that says what is there instead.
/// Items of lists are called by their numbers; of a module that was saved whole it is what its <c>state_dict()</c> has. Texts, numbers and
/// objects beside the tensors are left out; tensors never are.
/// </summary>
internal static class StateDict
{
    // Names are joined from keys that a file can repeat at no cost; what all of them take is bounded here, as is what the tensors claim.
    private const int MaxTensors = 1 << 18;
    private const int MaxNameChars = 64 << 20;
    private const long MaxBytes = 1L << 50;

    private static readonly string[] Wrappers = ["state_dict", "model_state_dict", "model", "module"];

    /// <summary>
    /// A file's state dict: the root, or the one dictionary or module with tensors under a customary key where the root has no tensor itself;
    /// and what a user should know of the choice.
    /// </summary>
    public static (PickleValue Value, string[] Notes) Find(string path, PickleValue root)
    {
        if (root is PickleObject module)
        {
            return (root, [$"is {module}, never made: its tensors are those of its state_dict()"]);
        }

        if (root is not PickleDictionary dictionary || dictionary.Entries.Any(entry => entry.Value is PickleTensor))
        {
            return (root, []);
        }

        var inner = Wrappers.Where(key => dictionary.Find(key) is PickleDictionary { Tensors: > 0 } or PickleObject { Tensors: > 0 }).ToArray();
        if (inner.Length > 1)
        {
            throw new FaultException($"{path}: holds several state dicts, under {Quoted.List(inner)}; save the one you mean by itself");
        }

        if (inner.Length == 0)
        {
            return (root, []);
        }

        var others = dictionary.Entries.Where(entry => PickleDictionary.Name(entry.Key) != inner[0]).Select(entry => PickleDictionary.Name(entry.Key)).ToArray();
        return (dictionary.Find(inner[0])!, others.Length == 0 ? [] : [$"is what stands under {Quoted.Name(inner[0])}; left out: {Quoted.List(others)}"]);
    }

    /// <summary>All tensors of a value and of what it holds.</summary>
    public static List<NamedTensor> Tensors(string path, PickleValue value)
    {
        if (value is not PickleContainer { Tensors: > 0 } container)
        {
            throw new FaultException($"{path}: holds {Describe(value)}; expected a dictionary of tensors (a state dict)");
        }

        if (container.Tensors > MaxTensors)
        {
            throw new FaultException($"{path}: holds more than {MaxTensors} tensors; this is no state dict");
        }

        var found = new List<NamedTensor>();
        long chars = 0, bytes = 0;
        Walk("", container, 0);
        return found.Count > 0 ? found : throw new FaultException($"{path}: holds {Describe(value)}, whose tensors are in no state dict; "
            + "save the tensors alone, with torch.save(model.state_dict(), path) or as safetensors");

        void Walk(string prefix, PickleContainer holder, int depth)
        {
            if (depth > PickleMeasure.MaxDepth)
            {
                throw new FaultException($"{path}: {Quoted.Name(prefix)} holds itself; save the tensors alone, with torch.save(model.state_dict(), path) or as safetensors");
            }

            switch (holder)
            {
                case PickleDictionary dictionary:
                    foreach (var (key, item) in dictionary.Entries)
                    {
                        Take(prefix, PickleDictionary.Name(key), item, depth);
                    }

                    break;
                case PickleList list:
                    for (int i = 0; i < list.Count; i++)
                    {
                        Take(prefix, $"{i}", list[i], depth);
                    }

                    break;
                default:
                    foreach (var (key, item) in Module.Members(path, prefix, (PickleObject)holder))
                    {
                        Take(prefix, key, item, depth);
                    }

                    break;
            }
        }

        void Take(string prefix, string name, PickleValue item, int depth)
        {
            if (item is not (PickleTensor or PickleContainer { Tensors: > 0 }))
            {
                return;
            }

            if ((chars += prefix.Length + name.Length) > MaxNameChars || found.Count == MaxTensors)
            {
                throw new FaultException($"{path}: its tensors' names take more than {MaxNameChars} characters, or are more than {MaxTensors}; this is no state dict");
            }

            name = prefix + name;
            if (item is PickleContainer inner)
            {
                Walk(name + ".", inner, depth + 1);
                return;
            }

            var tensor = (PickleTensor)item;
            bytes += Math.Min(tensor.Bytes, MaxBytes + 1);
            found.Add(new NamedTensor(name, tensor));
            if (bytes > MaxBytes)
            {
                throw new FaultException($"{path}: its tensors have more than {Sizes.Text(MaxBytes)}, most of them repeated (stride 0)");
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
