using Tva.Core.Checkpoints;
using Tva.Core.Tensors;

namespace Tva.Core.Adapters;

/// <summary>What an adapter has for one module.</summary>
/// <param name="Name">The module's name in the file.</param>
/// <param name="Rank">r.</param>
/// <param name="Scale">What the product of the factors is multiplied with.</param>
/// <param name="IsEmbedding">Whether the change is (B·A)ᵀ because the module is an embedding.</param>
/// <param name="Down">A in the file.</param>
/// <param name="Up">B in the file.</param>
public sealed record AdapterModule(string Name, int Rank, double Scale, bool IsEmbedding, TensorInfo Down, TensorInfo Up)
{
    internal AdapterKey Key { get; init; }

    internal TensorInfo? UpBias { get; init; }
}

/// <summary>
/// Comes in: an adapter's file and, if there is one, its configuration. Goes out: its modules and the tensors that it keeps in full, every
/// shape held against the ranks; nothing yet of the base.
/// </summary>
public sealed class AdapterLayout
{
    private AdapterLayout(Checkpoint file, AdapterConfig? config, IReadOnlyList<AdapterModule> modules, IReadOnlyList<(AdapterKey, TensorInfo)> whole) =>
        (File, Config, Modules, Whole) = (file, config, modules, whole);

    /// <summary>The file with the factors.</summary>
    public Checkpoint File { get; }

    /// <summary>PEFT's configuration; null of a single file.</summary>
    public AdapterConfig? Config { get; }

    /// <summary>The modules that have factors, in the order of their names.</summary>
    public IReadOnlyList<AdapterModule> Modules { get; }

    /// <summary>Names of the tensors that are kept in full.</summary>
    public IEnumerable<string> Replaced => Whole.Select(w => w.Key.Module);

    internal IReadOnlyList<(AdapterKey Key, TensorInfo Info)> Whole { get; }

    /// <summary>The file to open for a path: of a folder with an <c>adapter_config.json</c> that with the factors, else the path itself.</summary>
    /// <exception cref="FaultException">The folder has a configuration and no factors.</exception>
    public static string FileOf(string path)
    {
        if (!System.IO.File.Exists(Path.Combine(path, AdapterConfig.FileName)))
        {
            return path;
        }

        string[] names = ["adapter_model.safetensors", "adapter_model.bin"];
        return names.Select(n => Path.Combine(path, n)).FirstOrDefault(System.IO.File.Exists)
            ?? throw new FaultException($"{path}: has {AdapterConfig.FileName} and neither {names[0]} nor {names[1]}; copy the whole folder");
    }

    /// <summary>Whether a checkpoint is an adapter, by the names of its tensors or by the configuration beside it.</summary>
    public static bool IsAdapter(Checkpoint file) => ConfigOf(file) is not null || file.Tensors.Any(t => AdapterKeys.IsTelling(t.Name));

    /// <summary>Reads an adapter's configuration and headers.</summary>
    /// <exception cref="FaultException">Another kind of adapter, a factor without its other half, shapes or ranks that don't agree.</exception>
    public static AdapterLayout Read(Checkpoint file)
    {
        var config = ConfigOf(file) is { } path ? AdapterConfig.Read(path) : null;
        var parts = new SortedDictionary<string, Dictionary<AdapterPart, (AdapterKey Key, TensorInfo Info)>>(StringComparer.Ordinal);
        var whole = new List<(AdapterKey, TensorInfo)>();
        foreach (var tensor in file.Tensors)
        {
            var key = AdapterKeys.Parse(file.Path, tensor.Name);
            if (!tensor.DType.IsFloating() && !(key.Part == AdapterPart.Alpha && tensor.Shape.Elements == 1))
            {
                throw new FaultException($"{file.Path}: {Quoted.Name(tensor.Name)} is {tensor.DType.Name()}; an adapter's tensors are floating");
            }

            if (key.Part == AdapterPart.Whole)
            {
                // Anything may stand in a single file; only PEFT says that it means to replace.
                whole.Add(config is not null ? (key, tensor) : throw new FaultException(
                    $"{file.Path}: {Quoted.Name(tensor.Name)} is no part of a LoRA that is known here (lora_A and lora_B, lora_down and lora_up, alpha)"));
                continue;
            }

            var id = $"{key.Group}\n{key.Module}";
            if (!parts.TryGetValue(id, out var module))
            {
                parts.Add(id, module = []);
            }

            if (!module.TryAdd(key.Part, (key, tensor)))
            {
                throw new FaultException($"{file.Path}: {Quoted.Name(tensor.Name)} and {Quoted.Name(module[key.Part].Info.Name)} are the same part of one module; "
                    + "keep one adapter per file");
            }
        }

        if (whole.GroupBy(w => w.Item1.Module).FirstOrDefault(g => g.Count() > 1) is { } twice)
        {
            throw new FaultException($"{file.Path}: has {Quoted.Name(twice.Key)} twice, as {Quoted.List([.. twice.Select(t => t.Item2.Name)])}");
        }

        var header = file.Metadata.GetValueOrDefault("lora_adapter_metadata");
        var configs = parts.Values.Select(p => p.Values.First().Key.Group).Distinct()
            .ToDictionary(g => g, g => config ?? (header is null ? null : AdapterConfig.OfHeader(file.Path, header, g)));
        var modules = parts.Values.Select(p => Module(file, configs[p.Values.First().Key.Group], p)).ToArray();
        return modules.Length + whole.Count > 0
            ? new AdapterLayout(file, config, modules, whole)
            : throw new FaultException($"{file.Path}: holds no tensors of an adapter");
    }

    /// <summary>‖scale · B·A‖ of a module, from its factors.</summary>
    /// <exception cref="FaultException">The file can't be read.</exception>
    public double NormOf(AdapterModule module)
    {
        ArgumentNullException.ThrowIfNull(module);
        var factors = FactorsOf(module);
        return Math.Sqrt(Math.Max(0, factors.Dot(factors)));
    }

    /// <summary>scale · B·A, neither transposed.</summary>
    internal Factors FactorsOf(AdapterModule m) => new(StoredNumbers.ReadAll(File, m.Up), StoredNumbers.ReadAll(File, m.Down), m.Rank, m.Scale);

    private static string? ConfigOf(Checkpoint file)
    {
        // Only of the file that PEFT names; other files may lie in the folder too.
        var path = Path.Combine(Path.GetDirectoryName(Path.GetFullPath(file.Path)) ?? "", AdapterConfig.FileName);
        return Path.GetFileName(file.Path) is "adapter_model.safetensors" or "adapter_model.bin" && System.IO.File.Exists(path) ? path : null;
    }

    private static AdapterModule Module(Checkpoint file, AdapterConfig? config, Dictionary<AdapterPart, (AdapterKey Key, TensorInfo Info)> parts)
    {
        var isEmbedding = parts.ContainsKey(AdapterPart.EmbeddingDown) || parts.ContainsKey(AdapterPart.EmbeddingUp);
        var (downPart, upPart) = isEmbedding ? (AdapterPart.EmbeddingDown, AdapterPart.EmbeddingUp) : (AdapterPart.Down, AdapterPart.Up);
        var any = parts.Values.First();
        if (!parts.TryGetValue(downPart, out var down) || !parts.TryGetValue(upPart, out var up))
        {
            throw new FaultException($"{file.Path}: has {Quoted.Name(any.Info.Name)} and lacks the other factor of {Quoted.Name(any.Key.Module)}; it is damaged, get it again");
        }

        if (down.Info.Shape.Dims.Count < 2 || up.Info.Shape.Dims.Count < 2 || up.Info.Shape.Dims.Skip(2).Any(d => d != 1)
            || down.Info.Shape.Elements == 0 || up.Info.Shape.Elements == 0 || down.Info.Shape.Dims[0] != up.Info.Shape.Dims[1])
        {
            throw new FaultException($"{file.Path}: {Quoted.Name(down.Info.Name)} is {Quoted.Dims(down.Info.Shape.Dims)} and {Quoted.Name(up.Info.Name)} "
                + $"{Quoted.Dims(up.Info.Shape.Dims)}, and should be [r, in] and [out, r], or for a convolution [r, in, h, w] and [out, r, 1, 1]");
        }

        var rank = down.Info.Shape.Dims[0];
        if (config is not null && config.RankOf(down.Key.Module) is var said && said != rank)
        {
            throw new FaultException($"{file.Path}: {Quoted.Name(down.Info.Name)} has rank {rank}, and {(file.Path == config.Path ? "its header" : AdapterConfig.FileName)} says {said}; are they of one adapter?");
        }

        if (rank > int.MaxValue)
        {
            throw new FaultException($"{file.Path}: {Quoted.Name(down.Info.Name)} has rank {rank}, which is no low rank");
        }

        var scale = parts.TryGetValue(AdapterPart.Alpha, out var alpha) ? One(file, alpha.Info) / rank : config?.ScaleOf(down.Key.Module) ?? 1;

        var bias = parts.TryGetValue(AdapterPart.UpBias, out var found) ? found.Info : null;
        if (bias is not null && !bias.Shape.Equals(new Shape(up.Info.Shape.Dims[0])))
        {
            throw new FaultException($"{file.Path}: {Quoted.Name(bias.Name)} is {Quoted.Dims(bias.Shape.Dims)}, and should be [{up.Info.Shape.Dims[0]}]");
        }

        return new AdapterModule(down.Key.Module, (int)rank, scale, isEmbedding, down.Info, up.Info) { Key = down.Key, UpBias = bias };
    }

    private static double One(Checkpoint file, TensorInfo info)
    {
        if (info.Shape.Elements != 1)
        {
            throw new FaultException($"{file.Path}: {Quoted.Name(info.Name)} is {Quoted.Dims(info.Shape.Dims)}, and should be one number");
        }

        var value = StoredNumbers.ReadOne(file, info);
        return double.IsFinite(value) ? value : throw new FaultException($"{file.Path}: {Quoted.Name(info.Name)} is {value}; it is damaged, get it again");
    }
}
