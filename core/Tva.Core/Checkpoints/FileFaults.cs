namespace Tva.Core.Checkpoints;

/// <summary>Comes in: an exception of the file system and what was being done. Goes out: a fault with the way out.</summary>
internal static class FileFaults
{
    private const int WindowsSharing = unchecked((int)0x80070020);
    private const string TooMany = "raise this process's limit (`ulimit -n`), or read fewer files at once";
    private const int WindowsDiskFull = unchecked((int)0x80070070);

    /// <summary>Whether this is the file system's doing (anything else is our own mistake and must not be dressed up as a fault).</summary>
    public static bool Handles(Exception e) => e is IOException or UnauthorizedAccessException;

    /// <summary>The file is locked by another process.</summary>
    public static bool IsLocked(Exception e) =>
        e is IOException && (e.HResult == WindowsSharing
            || (OperatingSystem.IsLinux() && e.HResult == 11) || (OperatingSystem.IsMacOS() && e.HResult == 35));

    /// <summary>A file that can't be opened or read.</summary>
    public static FaultException Reading(string path, string what, Exception e) =>
        new($"{path}: {what}: {Reason(e)}; {ReadRemedy(e)}", e);

    /// <summary>A file that can't be created or written.</summary>
    public static FaultException Writing(string path, string what, Exception e) =>
        new($"{path}: {what}: {Reason(e)}; {WriteRemedy(e)}", e);

    private static string Reason(Exception e) => e switch
    {
        UnauthorizedAccessException => "permission denied",
        _ when IsFull(e) => "no space left on the disk",
        _ when IsQuota(e) => "the disk quota is used up",
        _ when IsTooMany(e) => "too many files are open",
        DirectoryNotFoundException => "its folder doesn't exist",
        FileNotFoundException => "it doesn't exist",
        PathTooLongException => "the path is too long",
        _ => e.Message.TrimEnd('.'),
    };

    private static string ReadRemedy(Exception e) => e switch
    {
        UnauthorizedAccessException => "allow this user to read it",
        _ when IsTooMany(e) => TooMany,
        FileNotFoundException or DirectoryNotFoundException => "was it moved or deleted meanwhile?",
        _ => "check the disk or the network mount, then run again",
    };

    private static string WriteRemedy(Exception e) => e switch
    {
        UnauthorizedAccessException => "allow this user to write there or save elsewhere",
        _ when IsFull(e) || IsQuota(e) => "free some space or save to another disk, then run again",
        _ when IsTooMany(e) => TooMany,
        _ => "check the disk or the network mount, or save elsewhere",
    };

    private static bool IsFull(Exception e) =>
        e is IOException && (e.HResult == WindowsDiskFull || (!OperatingSystem.IsWindows() && e.HResult == 28));

    private static bool IsTooMany(Exception e) => e is IOException && !OperatingSystem.IsWindows() && e.HResult is (23 or 24);

    private static bool IsQuota(Exception e) =>
        e is IOException && ((OperatingSystem.IsLinux() && e.HResult == 122) || (OperatingSystem.IsMacOS() && e.HResult == 69));
}
