namespace Tva.Core.Checkpoints;

/// <summary>
/// Comes in: an object of a pickle. Goes out: what its <c>state_dict()</c> would list, if it is a module of PyTorch, by the attributes that all
/// such have: parameters, buffers that are to be kept, and the modules in it. Nothing is called.
/// </summary>
/// <remarks>As <c>torch.nn.Module._save_to_state_dict</c> in torch/nn/modules/module.py; TorchScript's modules have the attributes themselves.</remarks>
internal static class Module
{
    private const string ScriptPrefix = "__torch__.";

    public static IEnumerable<(string Key, PickleValue Value)> Members(string path, string prefix, PickleObject module)
    {
        var attributes = module.Attributes;
        if (attributes is not null && module.Name.StartsWith(ScriptPrefix, StringComparison.Ordinal))
        {
            return attributes.Entries.Where(entry => entry.Value is PickleTensor or PickleObject).Select(entry => (PickleDictionary.Name(entry.Key), entry.Value));
        }

        if (attributes?.Find("_parameters") is PickleDictionary parameters && attributes.Find("_modules") is PickleDictionary modules)
        {
            var buffers = attributes.Find("_buffers") as PickleDictionary;
            var passing = (attributes.Find("_non_persistent_buffers_set") as PickleList)?.Items.OfType<PickleText>().Select(text => text.Value).ToHashSet() ?? [];
            return [.. Of(parameters), .. Of(buffers).Where(pair => !passing.Contains(pair.Key)), .. Of(modules)];
        }

        string name = prefix.Length == 0 ? "the value" : Quoted.Name(prefix[..^1]);
        throw new FaultException($"{path}: {name} is {module}, which holds tensors and is no module of PyTorch; it can't be read without making it; "
            + PickleCalls.WayOut);
    }

    private static IEnumerable<(string Key, PickleValue Value)> Of(PickleDictionary? members) =>
        members?.Entries.Select(entry => (PickleDictionary.Name(entry.Key), entry.Value)) ?? [];
}
