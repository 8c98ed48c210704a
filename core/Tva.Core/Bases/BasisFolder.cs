using System.Text.Json;
using Tva.Core.Checkpoints;
using Tva.Core.Tensors;

namespace Tva.Core.Bases;

/// <summary>
/// Comes in: a folder. Goes out: the basis that is kept in it, as <c>basis.json</c> beside safetensors of stacked atoms, or as the
/// published code keeps one (arXiv 2502.01015); or a fault that names what is missing or damaged.
/// </summary>
public static class BasisFolder
{
    /// <summary>The file that makes a folder a basis.</summary>
    public const string FileName = "basis.json";

    /// <summary>What its <c>format</c> says.</summary>
    public const string Format = "tva-basis 1";

    private const long MaxBytes = 256L << 20;

    /// <summary>Whether the path is a folder with a basis in it.</summary>
    public static bool IsBasis(string path) => File.Exists(Path.Combine(path, FileName)) || File.Exists(Path.Combine(path, PublishedBasis.FileName));

    /// <summary>Opens it; the checkpoints in the result are the caller's to dispose.</summary>
    /// <exception cref="FaultException">Something is missing, damaged or contradicts itself.</exception>
    public static StoredBasis Open(string path)
    {
        if (!File.Exists(Path.Combine(path, FileName)))
        {
            return PublishedBasis.Open(path);
        }

        var file = Path.Combine(path, FileName);
        using var json = JsonFile.Open(file, MaxBytes);
        try
        {
            return Read(path, json);
        }
        catch (Exception e) when (e is KeyNotFoundException or InvalidOperationException or FormatException or OverflowException)
        {
            throw new FaultException($"{file}: is not what tva writes: {e.Message}; save the basis again", e);
        }
    }

    private static StoredBasis Read(string path, JsonFile json)
    {
        var root = json.Root;
        if (root.GetProperty("format").GetString() is var format && format != Format)
        {
            throw new FaultException($"{json.Path}: is of format {Quoted.Name(format ?? "null")}, and this version reads {Quoted.Name(Format)}");
        }

        var tasks = json.Names(root.GetProperty("tasks"), "tasks");
        var count = root.GetProperty("atoms").GetInt32();
        if (count < 1 || count > tasks.Count + 1)
        {
            throw new FaultException($"{json.Path}: says {count} atoms for {tasks.Count} tasks");
        }

        var type = root.GetProperty("dtype").GetString();
        var files = root.GetProperty("files");
        var open = new List<Checkpoint>();
        try
        {
            var stack = OpenFile("atoms", count);
            var scales = type == DType.I8.Name() ? OpenFile("scales", count) : null;
            if (stack.Tensors.FirstOrDefault(t => t.DType.Name() != type) is { } odd)
            {
                throw new FaultException($"{stack.Path}: {odd.Name} is {odd.DType.Name()}, and {FileName} says {type}");
            }

            if (scales is not null)
            {
                foreach (var t in stack.Tensors)
                {
                    long rows = new Shape([.. t.Shape.Dims.Skip(1)]).Rows;
                    if (scales.Find(t.Name) is not { DType: DType.F32 } s || !s.Shape.Equals(new Shape(count, rows)))
                    {
                        throw new FaultException($"{scales.Path}: lacks the scales of {t.Name}, F32 [{count}, {rows}]; save the basis again");
                    }
                }
            }

            Checkpoint? mean = files.TryGetProperty("mean", out _) ? new StackedCheckpoint(Path.Combine(path, "mean"), OpenFile("mean", 1), null, 0) : null;
            var errors = root.GetProperty("errors");
            double[] Column(string name) => [.. tasks.Select(t => JsonFile.Number(errors.GetProperty(t).GetProperty(name)))];
            var @base = root.GetProperty("base");
            return new StoredBasis
            {
                Path = path,
                Method = BasisMethods.TryParse(root.GetProperty("method").GetString() ?? "", out var method)
                    ? method
                    : throw new FaultException($"{json.Path}: knows no method {root.GetProperty("method")}"),
                Tasks = tasks,
                Atoms = [.. Enumerable.Range(0, count).Select(m => new StackedCheckpoint(Path.Combine(path, $"atom{m + 1}"), stack, scales, m))],
                Mean = mean,
                By = root.GetProperty("by").GetString() is "all" or "layer" or "tensor"
                    ? root.GetProperty("by").GetString()!
                    : throw new FaultException($"{json.Path}: `by` is {root.GetProperty("by")}; it is all, layer or tensor"),
                Groups = [.. root.GetProperty("groups").EnumerateArray().Select(g => new StoredGroup(
                    g.GetProperty("label").GetString() ?? throw new FaultException($"{json.Path}: a group has no label; save the basis again"),
                    g.TryGetProperty("gram", out var gram) ? json.Gram(gram, tasks.Count) : null,
                    g.TryGetProperty("encoder", out var encoder) ? json.Matrix(encoder, "encoder", tasks.Count, count) : null,
                    json.Matrix(g.GetProperty("decoder"), "decoder", count + (mean is null ? 0 : 1), tasks.Count)))],
                BaseFingerprint = @base.GetProperty("fingerprint").GetString(),
                BasePath = @base.GetProperty("path").GetString(),
                Norms = Column("norm"),
                RelativeErrors = Column("relative_error"),
                Cosines = Column("cosine"),
                Loss = JsonFile.Number(root.GetProperty("loss")),
                Bound = JsonFile.Number(root.GetProperty("bound")),
            };
        }
        catch
        {
            open.ForEach(c => c.Dispose());
            throw;
        }

        Checkpoint OpenFile(string key, int parts)
        {
            var entry = files.GetProperty(key);
            var name = entry.GetProperty("name").GetString() ?? "";
            if (name.AsSpan().IndexOfAny('/', '\\', '\0') >= 0 || name is "" or "." or "..")
            {
                throw new FaultException($"{json.Path}: {Quoted.Name(name)} is no name of a file in this folder");
            }

            var full = Path.Combine(path, name);
            if (!File.Exists(full))
            {
                throw new FaultException($"{json.Path}: its {key} are in {Quoted.Name(name)}, which is missing; copy the whole folder, or save the basis again");
            }

            if (!ShardIndex.IsHome(RealPath.Of(full), RealPath.Of(path)))
            {
                throw new FaultException($"{full}: is a link that leads out of the basis's folder; copy the file itself there");
            }

            var checkpoint = Checkpoint.Open(full);
            open.Add(checkpoint);
            if (checkpoint.Fingerprint != entry.GetProperty("fingerprint").GetString())
            {
                throw new FaultException($"{full}: has changed since {FileName} was written; save the basis again");
            }

            if (checkpoint.Tensors.FirstOrDefault(t => t.Shape.Dims.Count == 0 || t.Shape.Dims[0] != parts) is { } bad)
            {
                throw new FaultException($"{full}: {bad.Name} is {bad.Shape}, and should be [{parts}, ...]");
            }

            return checkpoint;
        }
    }
}
