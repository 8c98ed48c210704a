using Microsoft.Win32.SafeHandles;
using Tva.Core.Tensors;

namespace Tva.Core.Checkpoints;

/// <summary>Comes in: the path that a user wants written. Goes out: the unfinished file beside it, locked against other runs.</summary>
internal static class PartialFile
{
    /// <summary>The file that the path means: full, links followed. Refuses what is not a plain file.</summary>
    public static string Target(string path)
    {
        string full = Path.GetFullPath(path);
        if (Directory.Exists(full) || Path.EndsInDirectorySeparator(full))
        {
            throw new FaultException($"{path}: is a folder; name a file in it, for instance {Path.Combine(path, "merged.safetensors")}");
        }

        try
        {
            full = File.ResolveLinkTarget(full, returnFinalTarget: true)?.FullName ?? full;
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return full;
        }
        catch (UnauthorizedAccessException e)
        {
            throw FileFaults.Writing(path, "can't look into its folder", e);
        }
        catch (Exception e) when (FileFaults.Handles(e))
        {
            RequireFolders(path, full);
            throw FileFaults.Writing(path, "can't follow the link", e);
        }

        if (Native.Identity(full) is { Regular: false })
        {
            // A rename would replace the device or pipe itself: as root, /dev/null.
            throw new FaultException($"{path}: is not a plain file; save under another name");
        }

        return full;
    }

    /// <summary>Makes the folders above a path. Refuses where one of them is a file.</summary>
    public static void MakeFolder(string shown, string path)
    {
        RequireFolders(shown, path);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
    }

    /// <summary>Refuses to take the place of what this process may not write, though it might rename over it.</summary>
    public static void RequireWritable(string path, string target)
    {
        if (Native.IsProtected(target))
        {
            throw new FaultException($"{path}: is there and may not be written; make it writable, or save under another name");
        }
    }

    private static void RequireFolders(string shown, string path)
    {
        for (var above = Path.GetDirectoryName(path); above is not null && !Directory.Exists(above); above = Path.GetDirectoryName(above))
        {
            if (File.Exists(above))
            {
                throw new FaultException($"{shown}: {above} is a file and not a folder; save elsewhere");
            }
        }
    }

    /// <summary>
    /// Creates or takes over the unfinished file, locked; empty unless what is there is to be kept. It has the rights of the target, which must be
    /// writable where there is one.
    /// </summary>
    public static SafeFileHandle Open(string path, string partial, string? target = null, bool keep = false)
    {
        if (target is not null)
        {
            RequireWritable(path, target);
        }

        try
        {
            MakeFolder(path, partial);
            for (int attempt = 1; ; attempt++)
            {
                var file = File.OpenHandle(partial, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);

                // Between our open and our lock the other run may have renamed it: then what we hold is its finished file.
                // A few attempts only: a file system whose inode numbers waver must not hold us here.
                if (attempt == 4 || Native.Identity(file) == Native.Identity(partial))
                {
                    if (target is not null)
                    {
                        // From the first byte on: what comes is as private as what was there.
                        Native.TakeRights(target, partial);
                    }

                    if (!keep)
                    {
                        RandomAccess.SetLength(file, 0);
                    }

                    return file;
                }

                file.Dispose();
            }
        }
        catch (Exception e) when (FileFaults.IsLocked(e))
        {
            throw new FaultException($"{path}: another run is writing it ({partial}); wait for that run or save under another name", e);
        }
        catch (Exception e) when (FileFaults.Handles(e))
        {
            throw FileFaults.Writing(path, $"can't create {partial}", e);
        }
    }

    /// <summary>Refuses to begin what the disk can't hold.</summary>
    public static void RequireSpace(string path, string target, long bytes)
    {
        long free;
        try
        {
            var drive = new DriveInfo(Path.GetDirectoryName(target)!);
            if (drive.TotalSize == 0)
            {
                return; // network and user-space file systems that don't tell
            }

            free = drive.AvailableFreeSpace;
        }
        catch (Exception e) when (FileFaults.Handles(e) || e is ArgumentException)
        {
            return;
        }

        if (free < bytes)
        {
            throw new FaultException($"{path}: needs {Sizes.Text(bytes)} and its disk has {Sizes.Text(free)} free; "
                + "free some space or save to another disk");
        }
    }

    /// <summary>Closes and deletes the unfinished file.</summary>
    public static void Discard(SafeFileHandle file, string partial)
    {
        try
        {
            if (OperatingSystem.IsWindows())
            {
                file.Dispose();
            }

            // Still locked, so this can't delete the file of a run that came after us.
            File.Delete(partial);
        }
        catch (Exception e) when (FileFaults.Handles(e))
        {
            // Nothing more can be done, and the fault on its way up matters more.
        }

        file.Dispose();
    }
}
