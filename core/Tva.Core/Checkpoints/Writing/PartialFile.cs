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

        for (var above = Path.GetDirectoryName(full); above is not null && !Directory.Exists(above); above = Path.GetDirectoryName(above))
        {
            if (File.Exists(above))
            {
                throw new FaultException($"{path}: {above} is a file and not a folder; save elsewhere");
            }
        }

        try
        {
            full = File.ResolveLinkTarget(full, returnFinalTarget: true)?.FullName ?? full;
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return full;
        }
        catch (Exception e) when (FileFaults.Handles(e))
        {
            throw FileFaults.Writing(path, "can't look there", e);
        }

        if (Native.Identity(full) is { Regular: false })
        {
            // A rename would replace the device or pipe itself: as root, /dev/null.
            throw new FaultException($"{path}: is not a plain file; save under another name");
        }

        RequireWritable(path, full);
        return full;
    }

    /// <summary>A rename would replace a file that its owner has protected against writing.</summary>
    private static void RequireWritable(string path, string full)
    {
        if (File.Exists(full))
        {
            try
            {
                File.OpenHandle(full, FileMode.Open, FileAccess.Write, FileShare.ReadWrite | FileShare.Delete).Dispose();
            }
            catch (UnauthorizedAccessException e)
            {
                throw new FaultException($"{path}: is there and may not be written; make it writable, or save under another name", e);
            }
            catch (Exception e) when (FileFaults.Handles(e))
            {
                // Whatever else is wrong shows where the new file is written.
            }
        }
    }

    /// <summary>Gives what is to replace a file or folder the permissions that that has; as far as the system lets.</summary>
    public static void KeepPermissions(string target, string partial)
    {
        if (!OperatingSystem.IsWindows() && (File.Exists(target) || Directory.Exists(target)))
        {
            try
            {
                File.SetUnixFileMode(partial, File.GetUnixFileMode(target));
            }
            catch (Exception e) when (FileFaults.Handles(e))
            {
                // A file system without permissions.
            }
        }
    }

    /// <summary>Creates or takes over the unfinished file, locked; empty unless what is there is to be kept.</summary>
    public static SafeFileHandle Open(string path, string partial, bool keep = false)
    {
        try
        {
            Directory.CreateDirectory(Path.GetDirectoryName(partial)!);
            for (int attempt = 1; ; attempt++)
            {
                var file = File.OpenHandle(partial, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);

                // Between our open and our lock the other run may have renamed it: then what we hold is its finished file.
                // A few attempts only: a file system whose inode numbers waver must not hold us here.
                if (attempt == 4 || Native.Identity(file) == Native.Identity(partial))
                {
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
