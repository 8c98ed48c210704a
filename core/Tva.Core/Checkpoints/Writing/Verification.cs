using System.Collections.Concurrent;

namespace Tva.Core.Checkpoints;

/// <summary>A finding about an output.</summary>
/// <param name="File">The file.</param>
/// <param name="Tensor">The tensor, or null where it is about the file.</param>
/// <param name="What">What is wrong.</param>
public sealed record Damage(string File, string? Tensor, string What);

/// <summary>What the content of an output tells.</summary>
/// <param name="Tensors">Tensors looked at.</param>
/// <param name="Recorded">Those that have a hash in their header.</param>
/// <param name="Bytes">Bytes read.</param>
/// <param name="Damages">What is wrong, in order of files and tensors.</param>
public sealed record VerifiedContent(int Tensors, int Recorded, long Bytes, IReadOnlyList<Damage> Damages);

/// <summary>Comes in: an output of an earlier run. Goes out: whether its bytes are those that were written, and whether all of it is there.</summary>
public static class Verification
{
    private const int Block = 1 << 20;

    /// <summary>Reads every tensor and compares its hash with the one in the header.</summary>
    /// <param name="checkpoint">The output.</param>
    /// <param name="threads">How many tensors are read at a time.</param>
    /// <param name="cancellation">Stops between blocks.</param>
    /// <exception cref="FaultException">A file can't be read.</exception>
    public static VerifiedContent Content(Checkpoint checkpoint, int threads, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(checkpoint);
        var damages = new ConcurrentBag<(int File, int Tensor, Damage Damage)>();
        int tensors = 0, recorded = 0;
        long bytes = 0;
        for (var f = 0; f < checkpoint.Files.Count; f++)
        {
            using var file = new SafetensorsFile(checkpoint.Files[f], f);
            tensors += file.Tensors.Count;
            foreach (var missing in Missing(file))
            {
                damages.Add((f, -1, new Damage(file.FullPath, null, $"{missing} was written with it and is gone")));
            }

            if (TensorRecords.Read(file.Metadata, file.Tensors.Count) is not { } records)
            {
                continue;
            }

            recorded += file.Tensors.Count;
            var index = f;
            try
            {
                Parallel.For(0, file.Tensors.Count, new ParallelOptions { MaxDegreeOfParallelism = Math.Max(1, threads), CancellationToken = cancellation }, i =>
                {
                    var tensor = file.Tensors[i];
                    Interlocked.Add(ref bytes, tensor.Bytes);
                    if (Hash(file, i, cancellation) != records.Summaries[i].Hash)
                    {
                        damages.Add((index, i, new Damage(file.FullPath, tensor.Name, $"its bytes, from byte {tensor.Offset} on, are not those that were written")));
                    }
                });
            }
            catch (AggregateException e) when (e.Flatten().InnerExceptions.FirstOrDefault(x => x is FaultException) is { } fault)
            {
                throw new FaultException(fault.Message, e);
            }
        }

        return new VerifiedContent(tensors, recorded, bytes, [.. damages.OrderBy(d => d.File).ThenBy(d => d.Tensor).Select(d => d.Damage)]);
    }

    /// <summary>Whether a header's entry is a list of numbers by tensor, which is for programs.</summary>
    public static bool IsRecord(string key) => TensorRecords.IsRecord(key);

    private static ulong Hash(SafetensorsFile file, int i, CancellationToken cancellation)
    {
        var tensor = file.Tensors[i];
        var buffer = new byte[(int)Math.Min(Block, tensor.Bytes)];
        ulong hash = 0;
        for (long at = 0; at < tensor.Bytes; at += buffer.Length)
        {
            cancellation.ThrowIfCancellationRequested();
            var block = buffer.AsSpan(0, (int)Math.Min(buffer.Length, tensor.Bytes - at));
            file.Read(tensor, at, block);
            hash += TensorDigest.Sum(block, at);
        }

        return hash;
    }

    private static IEnumerable<string> Missing(SafetensorsFile file)
    {
        if (!file.Metadata.TryGetValue(FolderOutput.FilesKey, out var list))
        {
            return [];
        }

        try
        {
            var folder = Path.GetDirectoryName(file.FullPath)!;
            return [.. (System.Text.Json.JsonSerializer.Deserialize<string[]>(list) ?? []).Where(name => !File.Exists(Path.Combine(folder, name)))];
        }
        catch (System.Text.Json.JsonException)
        {
            return [];
        }
    }
}
