using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Tva.Core.Checkpoints;

/// <summary>
/// Comes in: open files and paths. Goes out: hints to the system's page cache and the identity and the rights of files. Every call but
/// <see cref="Flush"/> is best effort: where the system lacks it, or refuses, nothing happens.
/// </summary>
internal static unsafe partial class Native
{
    private const int AtFdCwd = -100;
    private const int AtEmptyPath = 0x1000;
    private const uint StatxBasic = 0x7ff;
    private const int AdviceWillNeed = 3;
    private const uint SyncRangeWrite = 2;
    private const int NoWait = 8;
    private const uint RenameExchange = 2;
    private const int OpenReadOnlyCloseOnExec = 0x80000;
    private const int MayWrite = 2;
    private const int Forbidden = 13;

    // Struct and flag values below are those of 64-bit Linux, the same on x64 and arm64.
    private static readonly bool Available = OperatingSystem.IsLinux() && Environment.Is64BitProcess;

    /// <summary>Starts reading a range into the page cache.</summary>
    public static void WillNeed(SafeFileHandle file, long offset, long bytes) =>
        Try(() => posix_fadvise(file, offset, bytes, AdviceWillNeed));

    /// <summary>Whether a byte is in the page cache; false where the system doesn't say.</summary>
    public static bool IsCached(SafeFileHandle file, long at)
    {
        var cached = false;
        Try(() =>
        {
            byte found;
            var vector = new IoVector { Base = &found, Length = 1 };
            cached = preadv2(file, &vector, 1, at, NoWait) == 1;
            return 0;
        });
        return cached;
    }

    /// <summary>Starts writing a range's dirty pages, so that the disk works while the processor does and the final fsync is short.</summary>
    public static void StartWriteBack(SafeFileHandle file, long offset, long bytes) =>
        Try(() => sync_file_range(file, offset, bytes, SyncRangeWrite));

    /// <summary>Waits until the disk has a file's content. <see cref="RandomAccess.FlushToDisk"/> says nothing of what fsync reports.</summary>
    /// <exception cref="IOException">The disk has not taken all of it. It is told once: asked again, the system says that all is well.</exception>
    public static void Flush(SafeFileHandle file)
    {
        const int interrupted = 4, invalid = 22, readOnly = 30, unsupported = 95;
        if (!Available)
        {
            RandomAccess.FlushToDisk(file);
            return;
        }

        while (fsync(file) != 0)
        {
            int error = Marshal.GetLastPInvokeError();
            if (error is invalid or readOnly or unsupported)
            {
                return; // what this is has no disk behind it
            }

            if (error != interrupted)
            {
                throw new IOException(Marshal.GetPInvokeErrorMessage(error), error);
            }
        }
    }

    /// <summary>Makes a rename in this folder durable.</summary>
    public static void SyncFolder(string folder) => Try(() =>
    {
        int fd = open(folder, OpenReadOnlyCloseOnExec);
        if (fd >= 0)
        {
            _ = fsync(fd);
            _ = close(fd);
        }

        return 0;
    });

    /// <summary>Gives two folders or files each other's names in one step; false where the system can't.</summary>
    public static bool Exchange(string a, string b)
    {
        var done = false;
        Try(() =>
        {
            done = renameat2(AtFdCwd, a, AtFdCwd, b, RenameExchange) == 0;
            return 0;
        });
        return done;
    }

    /// <summary>
    /// Copies a range from file to file within the system, sharing blocks where the file system can; returns how many bytes it did, 0 where
    /// it can't.
    /// </summary>
    public static long CopyRange(SafeFileHandle from, long at, SafeFileHandle to, long target, long bytes)
    {
        long done = 0;
        Try(() =>
        {
            while (done < bytes)
            {
                long source = at + done, place = target + done;
                var got = copy_file_range(from, &source, to, &place, (nuint)Math.Min(bytes - done, 1L << 30), 0);
                if (got <= 0)
                {
                    break;
                }

                done += got;
            }

            return 0;
        });
        return done;
    }

    /// <summary>When a file's content or anything else about it last changed, in nanoseconds since 1970; null where unknown.</summary>
    public static long? ChangedAt(string path)
    {
        long? found = null;
        Try(() =>
        {
            StatxBuffer s;
            if (statx(AtFdCwd, path, 0, StatxBasic, &s) == 0)
            {
                found = Math.Max((s.Changed * 1_000_000_000) + s.ChangedNanoseconds, (s.Modified * 1_000_000_000) + s.ModifiedNanoseconds);
            }

            return 0;
        });
        return found;
    }

    /// <summary>Device and inode of what a path leads to, links followed; null where unknown.</summary>
    public static FileIdentity? Identity(string path) => Statx(AtFdCwd, path, 0);

    /// <summary>Device and inode of an open file; null where unknown.</summary>
    public static FileIdentity? Identity(SafeFileHandle file) => Statx((int)file.DangerousGetHandle(), "", AtEmptyPath);

    /// <summary>Whether a file or folder is there that this process may not write, by its permissions.</summary>
    public static bool IsProtected(string path)
    {
        var refused = false;
        Try(() =>
        {
            refused = access(path, MayWrite) != 0 && Marshal.GetLastPInvokeError() == Forbidden;
            return 0;
        });
        return refused;
    }

    /// <summary>Gives a file or folder the owner, group and permission bits of another, as far as this process may.</summary>
    public static void TakeRights(string from, string to) => Try(() =>
    {
        const int groupBits = 0x38, setGroup = 0x400, all = 0xFFF;
        StatxBuffer a, b;
        if (statx(AtFdCwd, from, 0, StatxBasic, &a) != 0 || statx(AtFdCwd, to, 0, StatxBasic, &b) != 0)
        {
            return 0;
        }

        var mode = a.Mode & all;
        var same = (a.User, a.Group) == (b.User, b.Group) || chown(to, a.User, a.Group) == 0 || a.Group == b.Group || chown(to, uint.MaxValue, a.Group) == 0;
        if (!same)
        {
            // What one group was allowed is not for another.
            mode &= ~(groupBits | setGroup);
        }

        return chmod(to, (uint)mode);
    });

    private static FileIdentity? Statx(int folder, string path, int flags)
    {
        FileIdentity? found = null;
        Try(() =>
        {
            StatxBuffer s;
            if (statx(folder, path, flags, StatxBasic, &s) == 0)
            {
                found = new FileIdentity(((ulong)s.DevMajor << 32) | s.DevMinor, s.Inode, (s.Mode & 0xF000) == 0x8000);
            }

            return 0;
        });
        return found;
    }

    private static void Try(Func<int> call)
    {
        if (!Available)
        {
            return;
        }

        try
        {
            _ = call();
        }
        catch (Exception e) when (e is DllNotFoundException or EntryPointNotFoundException)
        {
            // A libc without this call: the hint is lost, nothing else.
        }
    }

    [LibraryImport("libc")]
    private static partial int posix_fadvise(SafeFileHandle file, long offset, long bytes, int advice);

    [LibraryImport("libc")]
    private static partial nint preadv2(SafeFileHandle file, IoVector* vectors, int count, long offset, int flags);

    [LibraryImport("libc")]
    private static partial int sync_file_range(SafeFileHandle file, long offset, long bytes, uint flags);

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int open(string path, int flags);

    [LibraryImport("libc")]
    private static partial int fsync(int file);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fsync(SafeFileHandle file);

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int renameat2(int fromFolder, string from, int toFolder, string to, uint flags);

    [LibraryImport("libc")]
    private static partial nint copy_file_range(SafeFileHandle from, long* at, SafeFileHandle to, long* target, nuint bytes, uint flags);

    [LibraryImport("libc")]
    private static partial int close(int file);

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int statx(int folder, string path, int flags, uint mask, StatxBuffer* result);

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    private static partial int access(string path, int mode);

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int chown(string path, uint user, uint group);

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int chmod(string path, uint mode);

    private struct IoVector
    {
        public void* Base;
        public nuint Length;
    }

    [StructLayout(LayoutKind.Explicit, Size = 256)]
    private struct StatxBuffer
    {
        [FieldOffset(20)]
        public uint User;

        [FieldOffset(24)]
        public uint Group;

        [FieldOffset(28)]
        public ushort Mode;

        [FieldOffset(32)]
        public ulong Inode;

        [FieldOffset(96)]
        public long Changed;

        [FieldOffset(104)]
        public uint ChangedNanoseconds;

        [FieldOffset(112)]
        public long Modified;

        [FieldOffset(120)]
        public uint ModifiedNanoseconds;

        [FieldOffset(136)]
        public uint DevMajor;

        [FieldOffset(140)]
        public uint DevMinor;
    }
}

/// <summary>What makes two paths the same file, and whether it is a regular one.</summary>
internal readonly record struct FileIdentity(ulong Device, ulong Inode, bool Regular);
