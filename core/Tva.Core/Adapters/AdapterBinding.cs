using Tva.Core.Checkpoints;
using Tva.Core.Tensors;

namespace Tva.Core.Adapters;

/// <summary>Comes in: an adapter and a base. Goes out: what the adapter does to which of the base's tensors, and what the base has no place for.</summary>
internal static class AdapterBinding
{
    /// <summary>Every change by the base's tensor; <paramref name="unplaced"/> gets the modules that the base lacks.</summary>
    /// <exception cref="FaultException">Shapes that don't fit, or names that fit several places.</exception>
    public static List<AdapterTensor> Bind(AdapterLayout layout, Checkpoint origin, List<string> unplaced)
    {
        var found = new Dictionary<string, AdapterTensor>(StringComparer.Ordinal);
        var wrong = new List<string>();
        var names = origin.Tensors.Select(t => t.Name).ToArray();
        AdapterTensor Of(string name) => found.TryGetValue(name, out var t) ? t : new AdapterTensor(origin.Find(name)!);

        var places = layout.Modules.GroupBy(m => (m.Key.Group, m.Key.IsFlat))
            .ToDictionary(g => g.Key, g => ModuleNames.Match(layout.File.Path, [.. g.Select(m => Weight(m.Name))], names, g.Key.IsFlat));
        foreach (var module in layout.Modules)
        {
            if (!places[(module.Key.Group, module.Key.IsFlat)].TryGetValue(Weight(module.Name), out var name))
            {
                unplaced.Add(module.Name);
                continue;
            }

            var tensor = Of(name);
            if (tensor.Module is { } other)
            {
                throw new FaultException($"{layout.File.Path}: {Quoted.Name(module.Name)} and {Quoted.Name(other.Name)} are both {Quoted.Name(name)} of {origin.Path}");
            }

            if (KindOf(module, tensor.Base, layout.Config?.IsTransposed ?? false) is { } kind)
            {
                found[name] = tensor with { Module = module, Kind = kind };
            }
            else
            {
                wrong.Add($"{name} is {tensor.Base.DType.Name()} {Quoted.Dims(tensor.Base.Shape.Dims)} there, and the adapter changes {Needs(module)}");
            }

            if (module.UpBias is { } added)
            {
                var bias = name[..^"weight".Length] + "bias";
                if (origin.Find(bias) is not { } info || !info.Shape.Equals(added.Shape) || !info.DType.IsFloating())
                {
                    wrong.Add($"{bias} is {(origin.Find(bias) is { } i ? Quoted.Dims(i.Shape.Dims) : "missing")} there, and the adapter adds {Quoted.Dims(added.Shape.Dims)}");
                }
                else
                {
                    found[bias] = Of(bias) with { Added = added, AddedScale = module.Scale };
                }
            }
        }

        // Beside factors, whole tensors lie under the same prefix; the names of both are matched together where there are both.
        var linear = layout.Modules.Where(m => !m.Key.IsFlat && m.Key.Group.Length == 0).Select(m => Weight(m.Name)).ToArray();
        foreach (var group in layout.Whole.GroupBy(w => w.Key.Group))
        {
            string[] wanted = [.. group.Select(w => w.Key.Module)];
            string[] together = group.Key.Length == 0 ? [.. wanted.Union(linear)] : wanted;
            var map = ModuleNames.Match(layout.File.Path, together, names, false);
            foreach (var (key, info) in group)
            {
                if (!map.TryGetValue(key.Module, out var name))
                {
                    unplaced.Add(key.Module);
                    continue;
                }

                var tensor = Of(name);
                if (!tensor.Base.Shape.Equals(info.Shape) || !tensor.Base.DType.IsFloating())
                {
                    wrong.Add($"{name} is {tensor.Base.DType.Name()} {Quoted.Dims(tensor.Base.Shape.Dims)} there, and the adapter has {Quoted.Dims(info.Shape.Dims)} instead");
                    continue;
                }

                found[name] = tensor with { Instead = info, ReplacedAs = key.Module };
            }
        }

        return wrong.Count == 0
            ? [.. found.Values.OrderBy(t => t.Base.Name, StringComparer.Ordinal)]
            : throw new FaultException($"{layout.File.Path}: is an adapter for a model of other shapes than {origin.Path}: " + string.Join("; ", wrong.Take(8))
                + (wrong.Count > 8 ? $"; and {wrong.Count - 8} more" : ""));
    }

    private static string Weight(string module) => module + ".weight";

    private static string Needs(AdapterModule m) =>
        $"{(m.Down.Shape.Dims.Count > 2 ? Quoted.Dims([m.Up.Shape.Dims[0], .. m.Down.Shape.Dims.Skip(1)]) : Quoted.Dims([m.Up.Shape.Dims[0], m.Down.Shape.Dims[1]]))}";

    /// <summary>How the factors lie in the base's tensor, by its shape; where both ways fit, as the configuration says. Null: they don't.</summary>
    private static AdapterKind? KindOf(AdapterModule m, TensorInfo tensor, bool isTransposed)
    {
        var (inputs, outputs) = (m.Down.Shape.Elements / m.Rank, m.Up.Shape.Dims[0]);
        var dims = tensor.Shape.Dims;
        if (!tensor.DType.IsFloating() || dims.Count < 2)
        {
            return null;
        }

        var rest = tensor.Shape.Elements / Math.Max(1, dims[0]);
        if (m.IsEmbedding)
        {
            return dims.Count == 2 && dims[0] == inputs && rest == outputs ? AdapterKind.Embedding : null;
        }

        var straight = dims[0] == outputs && rest == inputs;
        if (dims.Count > 2)
        {
            // A 1×1 convolution's A may be flat.
            return straight && (m.Down.Shape.Dims.Count == 2 ? dims.Skip(2).All(d => d == 1) : m.Down.Shape.Dims.Skip(1).SequenceEqual(dims.Skip(1)))
                ? AdapterKind.Convolution : null;
        }

        if (m.Down.Shape.Dims.Skip(2).Any(d => d != 1))
        {
            return null;
        }

        // PEFT corrects the setting by the layer's type, which only shapes tell here.
        var across = dims[0] == inputs && rest == outputs;
        return straight && !(across && isTransposed) ? AdapterKind.Linear : across ? AdapterKind.Transposed : null;
    }
}
