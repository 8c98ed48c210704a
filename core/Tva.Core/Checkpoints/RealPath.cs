namespace Tva.Core.Checkpoints;

/// <summary>Comes in: a path. Goes out: where it really leads, every link on the way followed; parts that don't exist stay as they are.</summary>
internal static class RealPath
{
    private const int MaxLinks = 40; // as Linux does

    public static string Of(string path)
    {
        string full = Path.GetFullPath(path);
        string root = Path.GetPathRoot(full)!;
        string current = root;
        var rest = new Stack<string>(Parts(full[root.Length..]));
        int links = 0;
        while (rest.TryPop(out var part))
        {
            string next = Path.Combine(current, part);
            if (Link(next) is not { } link || ++links > MaxLinks)
            {
                current = next;
                continue;
            }

            string target = Path.GetFullPath(link, current);
            current = Path.GetPathRoot(target)!;
            foreach (var p in Parts(target[current.Length..]))
            {
                rest.Push(p);
            }
        }

        return current;
    }

    /// <summary>Whether a real path lies in a real folder.</summary>
    public static bool IsIn(string path, string folder) =>
        path.StartsWith(Path.TrimEndingDirectorySeparator(folder) + Path.DirectorySeparatorChar, StringComparison.Ordinal);

    private static IEnumerable<string> Parts(string path) =>
        path.Split(Path.DirectorySeparatorChar, StringSplitOptions.RemoveEmptyEntries).Reverse();

    private static string? Link(string path)
    {
        try
        {
            return new FileInfo(path).LinkTarget;
        }
        catch (Exception e) when (FileFaults.Handles(e))
        {
            return null;
        }
    }
}
