using System.Text.Json;
using Tva.Core.Tensors;

namespace Tva.Core.Checkpoints;

/// <summary>A small file that goes beside the tensors.</summary>
/// <param name="Name">Its name in the folder.</param>
/// <param name="Content">Its bytes.</param>
public sealed record SideFile(string Name, byte[] Content);

/// <summary>An output that is a folder: shards with their index, or one file, and what goes beside them.</summary>
/// <param name="ShardBytes">The most bytes of tensors that a shard holds, one larger tensor excepted; <see cref="long.MaxValue"/> for one file.</param>
public sealed record FolderOutput(long ShardBytes)
{
    /// <summary>The file that describes the model.</summary>
    public const string CardName = "README.md";

    /// <summary>Names what the folder holds, so that a later run knows what is its to replace.</summary>
    internal const string FilesKey = "tva.files";

    /// <summary>What goes beside the tensors.</summary>
    public IReadOnlyList<SideFile> Files { get; init; } = [];

    /// <summary>Whether a model card is made: expression, inputs and statistics of every tensor.</summary>
    public bool Card { get; init; }

    /// <summary>What a folder holds besides what a run has written there; saving to it would take that away.</summary>
    /// <param name="folder">A folder, or a path where none is.</param>
    /// <exception cref="FaultException">It can't be looked into.</exception>
    public static IReadOnlyList<string> Foreign(string folder)
    {
        try
        {
            if (!Directory.Exists(folder))
            {
                return [];
            }

            var names = Directory.EnumerateFileSystemEntries(folder).Select(e => Path.GetFileName(e)!).Order(StringComparer.Ordinal).ToArray();
            var own = Own(folder, names);
            return [.. names.Where(n => !own.Contains(n))];
        }
        catch (Exception e) when (FileFaults.Handles(e))
        {
            throw FileFaults.Reading(folder, "can't list the folder", e);
        }
    }

    /// <summary>Renders the list of a folder's files.</summary>
    internal static string List(IEnumerable<string> names) => JsonSerializer.Serialize(names.Order(StringComparer.Ordinal));

    private static HashSet<string> Own(string folder, string[] names)
    {
        // Any of the shards tells; one that was damaged since need not hide that the others are ours.
        foreach (var name in names.Where(n => n.StartsWith("model", StringComparison.Ordinal) && n.EndsWith(".safetensors", StringComparison.Ordinal)))
        {
            try
            {
                using var file = new SafetensorsFile(Path.Combine(folder, name), 0);
                if (file.Metadata.TryGetValue(FilesKey, out var list))
                {
                    return [.. JsonSerializer.Deserialize<string[]>(list) ?? []];
                }
            }
            catch (Exception e) when (e is FaultException or JsonException)
            {
                // The next one.
            }
        }

        return [];
    }
}
