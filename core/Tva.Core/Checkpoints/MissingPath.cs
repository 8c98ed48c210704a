namespace Tva.Core.Checkpoints;

/// <summary>Comes in: a path with nothing there. Goes out: a fault that says what is near it, or what the person may have meant.</summary>
internal static class MissingPath
{
    public static FaultException Fault(string path)
    {
        string full = Path.TrimEndingDirectorySeparator(Path.GetFullPath(path));
        string folder = Path.GetDirectoryName(full) ?? full;
        if (!Directory.Exists(folder))
        {
            return new FaultException($"{path}: doesn't exist, nor does the folder {folder}; "
                + (Unmeant(full) ?? "relative paths begin at the script's folder, at the prompt at the working folder" + OfTheHub(full)));
        }

        string wanted = Path.GetFileName(full);
        var names = CheckpointFinder.List(path, folder);
        var near = names.Select(name => (name, distance: Distance(wanted, name))).Where(x => x.distance <= Math.Max(2, wanted.Length / 4))
            .OrderBy(x => x.distance).ThenBy(x => x.name, StringComparer.Ordinal).Take(3).Select(x => x.name).ToArray();
        if (near.Length > 0)
        {
            return new FaultException($"{path}: doesn't exist; did you mean {string.Join(" or ", near.Select(Quoted.Name))}?");
        }

        var files = names.Where(name => CheckpointFinder.Is(name, CheckpointFinder.Extension) || PyTorchFormat.HasExtension(name) || GgufFormat.HasExtension(name)).ToArray();
        return new FaultException($"{path}: doesn't exist; {folder} has "
            + (files.Length > 0 ? Quoted.List(files) : names.Length > 0 ? Quoted.List(names) : "nothing in it"));
    }

    /// <summary>What a shell or a browser would have made of it.</summary>
    private static string? Unmeant(string full)
    {
        var parts = full.Split(Path.DirectorySeparatorChar, Path.AltDirectorySeparatorChar);
        return parts.Any(part => part is "http:" or "https:" or "hf:" or "s3:" or "gs:")
                ? "nothing is fetched from an address: download it first, and name the file or folder"
            : parts.Any(part => part.StartsWith('~')) ? "`~` stands for no folder in a text: write the whole path"
            : parts.Any(part => part.StartsWith('$') || (part.Length > 2 && part[0] == '%' && part[^1] == '%'))
                ? "variables of the shell mean nothing in a text: write the path, or a `param` that is set from outside"
            : null;
    }

    /// <summary>`organization/name`, of which neither is there: the snapshot in the cache of the Hugging Face hub, or how to get one.</summary>
    private static string OfTheHub(string full)
    {
        string name = Path.GetFileName(full), organization = Path.GetFileName(Path.GetDirectoryName(full) ?? "");
        if (organization.Length == 0 || Path.GetExtension(name) is CheckpointFinder.Extension or ".pt" or ".pth" or ".bin" or ".gguf" or ".json"
            || !Directory.Exists(Path.GetDirectoryName(Path.GetDirectoryName(full)!)))
        {
            return "";
        }

        string home = Environment.GetEnvironmentVariable("HF_HOME") is { Length: > 0 } set ? set
            : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache", "huggingface");
        string cache = Environment.GetEnvironmentVariable("HF_HUB_CACHE") is { Length: > 0 } given ? given : Path.Combine(home, "hub");
        string kept = Path.Combine(cache, $"models--{organization}--{name}");
        try
        {
            if (Directory.Exists(Path.Combine(kept, "snapshots")))
            {
                string main = Path.Combine(kept, "refs", "main");
                string? commit = File.Exists(main) ? File.ReadAllText(main).Trim() : null;
                var snapshots = Directory.GetDirectories(Path.Combine(kept, "snapshots")).Order(StringComparer.Ordinal).ToArray();
                if ((snapshots.FirstOrDefault(s => Path.GetFileName(s) == commit) ?? snapshots.FirstOrDefault()) is { } snapshot)
                {
                    return $"; the Hugging Face cache has it: {snapshot}";
                }
            }
        }
        catch (Exception e) when (FileFaults.Handles(e))
        {
            // The cache is only looked at to help.
        }

        return $"; a model of the Hugging Face hub is downloaded first: hf download {organization}/{name} --local-dir FOLDER";
    }

    /// <summary>Edits from one name to the other, case and a missing extension not counted.</summary>
    private static int Distance(string wanted, string name)
    {
        string a = wanted.ToLowerInvariant(), b = name.ToLowerInvariant();
        if (a == b || a + CheckpointFinder.Extension == b || a + GgufFormat.Extension == b || PyTorchFormat.Extensions.Any(e => a + e == b))
        {
            return 0;
        }

        var row = Enumerable.Range(0, b.Length + 1).ToArray();
        for (int i = 1; i <= a.Length; i++)
        {
            int diagonal = row[0];
            row[0] = i;
            for (int j = 1; j <= b.Length; j++)
            {
                int change = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
                diagonal = row[j];
                row[j] = Math.Min(change, Math.Min(row[j], row[j - 1]) + 1);
            }
        }

        return row[^1];
    }
}
