using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.RegularExpressions;
using Tva.Core.Checkpoints;
using Tva.Core.Kernels;
using Tva.Core.Tensors;

namespace Tva.Core.Adapters;

/// <summary>What was kept of a module.</summary>
/// <param name="Module">Its name.</param>
/// <param name="Rank">The rank of what is kept.</param>
/// <param name="RelativeError">‖what is lost‖ / ‖the module's change‖, the rounding to the stored type not counted.</param>
public sealed record AdapterError(string Module, int Rank, double RelativeError);

/// <summary>
/// Comes in: what is to be kept. Goes out: a folder as PEFT has it, <c>adapter_model.safetensors</c> and <c>adapter_config.json</c>, the old one or
/// the whole new one at any moment.
/// </summary>
public static class AdapterWriter
{
    private const string ModelName = "adapter_model.safetensors";
    private const int Part = 1 << 16;

    /// <summary>Writes the folder; other files that it had stay in it.</summary>
    /// <param name="folder">Made where it is missing.</param>
    /// <param name="content">What to keep.</param>
    /// <param name="origin">The base.</param>
    /// <param name="dtype">What the numbers are stored as.</param>
    /// <param name="metadata">Of the file with the factors.</param>
    /// <param name="threads">Threads to compute with; bits don't depend on them.</param>
    /// <param name="cancellation">Stops between tensors.</param>
    /// <returns>What was lost, by module.</returns>
    /// <exception cref="FaultException">The disk is full, failing or forbidden, or an input can't be read.</exception>
    public static IReadOnlyList<AdapterError> Write(
        string folder, IAdapterContent content, Checkpoint origin, DType dtype, IReadOnlyDictionary<string, string> metadata, int threads, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(content);
        var tensors = new List<(string Name, DType DType, Shape Shape)>();
        foreach (var t in content.Factored)
        {
            var (down, up) = Shapes(t);
            var (a, b) = t.Kind == AdapterKind.Embedding ? ("lora_embedding_A", "lora_embedding_B") : ("lora_A.weight", "lora_B.weight");
            tensors.Add(($"base_model.model.{t.Module}.{a}", dtype, down));
            tensors.Add(($"base_model.model.{t.Module}.{b}", dtype, up));
        }

        var modules = content.Factored.Select(t => t.Module).ToHashSet(StringComparer.Ordinal);
        foreach (var t in content.Whole)
        {
            var module = ModuleOf(t.Name);
            tensors.Add(("base_model.model." + (modules.Contains(module) ? $"{module}.base_layer{t.Name[module.Length..]}" : t.Name), dtype, t.Base.Shape));
        }

        var errors = new AdapterError[content.Factored.Count];
        var place = new FolderSwitch(folder, _ => []);
        using var journal = new RunJournal(folder, RunJournal.PathOf(place.Target));
        try
        {
            place.Prepare();
            place.Begin();
            Fill(place.Partial, tensors, content, origin, dtype, metadata, modules, errors, threads, cancellation);
            place.TakeOver(ModelName, AdapterConfig.FileName);
            place.Commit();
        }
        catch
        {
            place.Discard();
            throw;
        }
        finally
        {
            journal.Discard();
        }

        return errors;
    }

    private static void Fill(
        string folder, List<(string Name, DType DType, Shape Shape)> tensors, IAdapterContent content, Checkpoint origin, DType dtype,
        IReadOnlyDictionary<string, string> metadata, HashSet<string> modules, AdapterError[] errors, int threads, CancellationToken cancellation)
    {
        using var writer = new CheckpointWriter(Path.Combine(folder, ModelName), tensors, metadata);
        try
        {
            Parallel.For(0, content.Factored.Count, new ParallelOptions { MaxDegreeOfParallelism = Math.Max(1, threads), CancellationToken = cancellation }, i =>
            {
                var t = content.Factored[i];
                var (factors, error) = content.FactorsOf(t);
                if (t.Kind is AdapterKind.Transposed or AdapterKind.Embedding)
                {
                    factors = factors.Transposed();
                }

                Put(writer, 2 * i, dtype, factors.Right, 0);
                var scale = factors.Scale;
                Put(writer, (2 * i) + 1, dtype, scale == 1 ? factors.Left : [.. factors.Left.Select(x => (float)(scale * x))], 0);
                errors[i] = new AdapterError(t.Module, t.Rank, error);
            });
        }
        catch (AggregateException e) when (e.Flatten().InnerExceptions.FirstOrDefault(x => x is FaultException) is { } fault)
        {
            throw new FaultException(fault.Message, e);
        }

        var part = new float[Part];
        for (var w = 0; w < content.Whole.Count; w++)
        {
            var t = content.Whole[w];
            for (long at = 0; at < t.Base.Shape.Elements; at += Part)
            {
                cancellation.ThrowIfCancellationRequested();
                var values = part.AsSpan(0, (int)Math.Min(Part, t.Base.Shape.Elements - at));
                content.ReadWhole(t, at, values);
                Put(writer, (2 * content.Factored.Count) + w, dtype, values, at);
            }
        }

        cancellation.ThrowIfCancellationRequested();
        var config = Path.Combine(folder, AdapterConfig.FileName);
        try
        {
            WriteConfig(config, content, origin, modules);
            writer.Commit();
        }
        catch (Exception e) when (FileFaults.Handles(e))
        {
            throw FileFaults.Writing(config, "can't be written", e);
        }
    }

    private static (Shape Down, Shape Up) Shapes(FactoredTensor t)
    {
        var dims = t.Base.Shape.Dims;
        return t.Kind switch
        {
            AdapterKind.Linear => (new Shape(t.Rank, dims[1]), new Shape(dims[0], t.Rank)),
            AdapterKind.Convolution => (new Shape([t.Rank, .. dims.Skip(1)]), new Shape([dims[0], t.Rank, .. dims.Skip(2).Select(_ => 1L)])),
            _ => (new Shape(t.Rank, dims[0]), new Shape(dims[1], t.Rank)),
        };
    }

    private static unsafe void Put(CheckpointWriter writer, int tensor, DType dtype, ReadOnlySpan<float> values, long first)
    {
        if (dtype == DType.F32)
        {
            writer.Write(tensor, first * sizeof(float), MemoryMarshal.AsBytes(values));
            return;
        }

        var bytes = new byte[values.Length * dtype.Size()];
        fixed (byte* p = bytes)
        {
            for (var i = 0; i < values.Length; i++)
            {
                ScalarConversion.Store(dtype, values[i], p, i);
            }
        }

        writer.Write(tensor, first * dtype.Size(), bytes);
    }

    private static string ModuleOf(string tensor) => tensor.LastIndexOf('.') is var dot and > 0 ? tensor[..dot] : tensor;

    private static void WriteConfig(string path, IAdapterContent content, Checkpoint origin, HashSet<string> modules)
    {
        var ranks = content.Factored.Select(t => (t.Module, t.Rank)).ToArray();
        var common = ranks.Length == 0 ? 8 : ranks.GroupBy(r => r.Rank).OrderByDescending(g => g.Count()).ThenBy(g => g.Key).First().Key;

        // Names are patterns to PEFT: where one would speak for another module too, it is nailed down.
        Render(path, content, origin, modules, common, m => m);
        var read = AdapterConfig.Read(path);
        if (ranks.Any(r => read.RankOf(r.Module) != r.Rank || read.ScaleOf(r.Module) != 1))
        {
            Render(path, content, origin, modules, common, m => "^" + Regex.Escape(m));
        }
    }

    private static void Render(string path, IAdapterContent content, Checkpoint origin, HashSet<string> modules, int common, Func<string, string> pattern)
    {
        using var stream = File.Create(path);
        using (var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true }))
        {
            json.WriteStartObject();
            json.WriteString("base_model_name_or_path", content.BaseName);
            json.WriteString("bias", content.Whole.Any(w => modules.Contains(ModuleOf(w.Name))) ? "lora_only" : "none");
            json.WriteBoolean("fan_in_fan_out", content.Factored.Any(t => t.Kind == AdapterKind.Transposed));
            json.WriteBoolean("inference_mode", true);
            json.WriteBoolean("init_lora_weights", true);

            // α = r everywhere: the scale is 1, for it is in the factors.
            json.WriteNumber("lora_alpha", common);
            json.WriteNumber("lora_dropout", 0.0);
            string[] saved = [.. content.Whole.Select(w => ModuleOf(w.Name)).Where(m => !modules.Contains(m)).Distinct()];
            if (saved.Length == 0)
            {
                json.WriteNull("modules_to_save");
            }
            else
            {
                List(json, "modules_to_save", saved);
            }

            json.WriteString("peft_type", "LORA");
            json.WriteNumber("r", common);
            var other = content.Factored.Where(t => t.Rank != common).ToArray();
            foreach (var key in (string[])["rank_pattern", "alpha_pattern"])
            {
                json.WriteStartObject(key);
                foreach (var t in other)
                {
                    json.WriteNumber(pattern(t.Module), t.Rank);
                }

                json.WriteEndObject();
            }

            List(json, "target_modules", Targets(content, origin, modules));
            json.WriteNull("task_type");
            json.WriteBoolean("use_dora", false);
            json.WriteBoolean("use_rslora", false);
            json.WriteEndObject();
        }

        stream.Flush();
        Native.Flush(stream.SafeFileHandle);
    }

    private static void List(Utf8JsonWriter json, string name, IEnumerable<string> items)
    {
        json.WriteStartArray(name);
        foreach (var item in items)
        {
            json.WriteStringValue(item);
        }

        json.WriteEndArray();
    }

    /// <summary>The modules by their last components where these name no others of the base, else in full.</summary>
    private static string[] Targets(IAdapterContent content, Checkpoint origin, HashSet<string> modules)
    {
        static string Last(string name) => name[(name.LastIndexOf('.') + 1)..];
        string[] last = [.. modules.Select(Last).Distinct().Order(StringComparer.Ordinal)];
        var changed = content.Factored.Select(t => t.Base.Name).ToHashSet(StringComparer.Ordinal);
        var isExact = origin.Tensors.Where(t => t.Shape.Dims.Count >= 2 && t.Name.EndsWith(".weight", StringComparison.Ordinal) && last.Contains(Last(ModuleOf(t.Name))))
            .All(t => changed.Contains(t.Name));
        return isExact ? last : [.. modules.Order(StringComparer.Ordinal)];
    }
}
