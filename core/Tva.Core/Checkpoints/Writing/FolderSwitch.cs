namespace Tva.Core.Checkpoints;

/// <summary>
/// Comes in: the folder that a user wants written. Goes out: a folder beside it, <c>PATH.partial</c>, which takes its name in one step; what
/// had the name is gone after that, and never mixed with what comes.
/// </summary>
/// <remarks>
/// Linux exchanges two names in one step. Where a file system can't, the old folder is called <c>PATH.old.partial</c> for the moment between two
/// renames; a run that finds it so gives it its name back.
/// </remarks>
internal sealed class FolderSwitch
{
    private readonly string shown;
    private readonly string old;
    private readonly Func<string, IReadOnlyList<string>> foreign;

    /// <param name="path">The folder.</param>
    /// <param name="foreign">What of a folder's content must not be taken away.</param>
    /// <exception cref="FaultException">The path is a file, or can't be followed.</exception>
    public FolderSwitch(string path, Func<string, IReadOnlyList<string>> foreign)
    {
        (shown, this.foreign) = (path, foreign);
        Target = RealPath.Of(System.IO.Path.TrimEndingDirectorySeparator(System.IO.Path.GetFullPath(path)));
        Partial = Target + ".partial";
        old = Target + ".old.partial";
        if (File.Exists(Target))
        {
            throw new FaultException($"{path}: is a file; name a folder");
        }

        if (System.IO.Path.GetDirectoryName(Target) is null)
        {
            throw new FaultException($"{path}: is the root of a file system; name a folder in it");
        }
    }

    /// <summary>The folder that the path means: full, links followed.</summary>
    public string Target { get; }

    /// <summary>Where its content grows.</summary>
    public string Partial { get; }

    /// <summary>Makes the folder above, and gives a folder its name back that a run left without it. Whoever calls holds the lock after this.</summary>
    /// <exception cref="FaultException">There are files that no run has written.</exception>
    public void Prepare()
    {
        PartialFile.RequireWritable(shown, Target);
        try
        {
            PartialFile.MakeFolder(shown, Target);
            if (Directory.Exists(old))
            {
                if (Directory.Exists(Target))
                {
                    Delete(old);
                }
                else
                {
                    Directory.Move(old, Target);
                }
            }
        }
        catch (Exception e) when (FileFaults.Handles(e))
        {
            throw FileFaults.Writing(shown, "can't prepare its place", e);
        }

        RequireOwn();
    }

    /// <summary>Empties the place where the content grows.</summary>
    public void Begin()
    {
        try
        {
            Delete(Partial);
            Directory.CreateDirectory(Partial);
            Native.TakeRights(Target, Partial);
        }
        catch (Exception e) when (FileFaults.Handles(e))
        {
            throw FileFaults.Writing(shown, $"can't make {Partial}", e);
        }
    }

    /// <summary>Copies what the folder has besides the files of these names, so that it stays.</summary>
    /// <exception cref="FaultException">A file can't be copied, or one of those names is a folder.</exception>
    public void TakeOver(params string[] names)
    {
        try
        {
            foreach (var entry in Directory.Exists(Target) ? Directory.GetFileSystemEntries(Target) : [])
            {
                var name = System.IO.Path.GetFileName(entry);
                if (Directory.Exists(entry))
                {
                    throw new FaultException($"{shown}: holds a folder, {Quoted.Name(name)}; move that elsewhere or save to a folder of its own");
                }

                if (!names.Contains(name))
                {
                    File.Copy(entry, System.IO.Path.Combine(Partial, name));
                }
            }
        }
        catch (Exception e) when (FileFaults.Handles(e))
        {
            throw FileFaults.Writing(shown, "can't take over what it holds", e);
        }
    }

    /// <summary>All is on the disk but the names: makes it final.</summary>
    public void Commit()
    {
        RequireOwn();
        try
        {
            foreach (var file in Directory.GetFiles(Partial))
            {
                Native.TakeRights(System.IO.Path.Combine(Target, System.IO.Path.GetFileName(file)), file);
            }

            Native.SyncFolder(Partial);
            if (!Directory.Exists(Target))
            {
                Directory.Move(Partial, Target);
            }
            else if (!Native.Exchange(Partial, Target))
            {
                Directory.Move(Target, old);
                Directory.Move(Partial, Target);
            }

            Native.SyncFolder(System.IO.Path.GetDirectoryName(Target)!);
        }
        catch (Exception e) when (FileFaults.Handles(e))
        {
            throw FileFaults.Writing(shown, "can't give the folder its name", e);
        }

        try
        {
            Delete(Partial);
            Delete(old);
        }
        catch (Exception e) when (FileFaults.Handles(e))
        {
            // The output is there; the next run takes the rest away.
        }
    }

    /// <summary>Takes the unfinished content away.</summary>
    public void Discard()
    {
        try
        {
            Delete(Partial);
        }
        catch (Exception e) when (FileFaults.Handles(e))
        {
            // Nothing more can be done, and the fault on its way up matters more.
        }
    }

    private void RequireOwn()
    {
        if (foreign(Target) is { Count: > 0 } others)
        {
            throw new FaultException($"{shown}: holds what no run has written: {Quoted.List(others)}; move that elsewhere or save to a folder of its own");
        }
    }

    private static void Delete(string folder)
    {
        if (Directory.Exists(folder))
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
