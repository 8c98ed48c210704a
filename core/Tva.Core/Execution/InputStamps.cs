using System.Globalization;
using Tva.Core.Checkpoints;

namespace Tva.Core.Execution;

/// <summary>Comes in: the checkpoints that a run reads. Goes out: whether their files are what they were when it began, and when they last changed.</summary>
internal sealed class InputStamps
{
    private readonly IReadOnlyList<Checkpoint> sources;
    private readonly (string Path, Stamp Stamp)[] files;

    /// <summary>Looks at every file.</summary>
    public InputStamps(IReadOnlyList<Checkpoint> sources)
    {
        this.sources = sources;
        files = [.. sources.SelectMany(s => s.Files).Distinct(StringComparer.Ordinal).Select(f => (f, Look(f)))];
        Text = string.Join("\n", files.Select(f => string.Create(CultureInfo.InvariantCulture, $"{f.Path}|{f.Stamp}")));
    }

    /// <summary>Files with size, time and identity, as one text.</summary>
    public string Text { get; }

    /// <summary>Throws where a file is not what it was.</summary>
    /// <exception cref="FaultException">It has changed, is another or is gone.</exception>
    public void RequireUnchanged()
    {
        foreach (var (path, before) in files)
        {
            var now = Look(path);
            if (now != before)
            {
                var what = now.Length < 0 ? "is gone" : now.Length != before.Length
                    ? string.Create(CultureInfo.InvariantCulture, $"has {now.Length} bytes and had {before.Length}")
                    : now.Identity != before.Identity ? "is another file by now" : "was written to";
                throw new FaultException($"{path}: has changed while the run was reading it: it {what}; leave it alone and run again");
            }
        }
    }

    /// <summary>
    /// When the files last changed of those sources whose fingerprints are in a text, in nanoseconds since 1970: their changes, if any, are
    /// such as fingerprints don't show.
    /// </summary>
    public long ChangedSince(string text) =>
        sources.Where(s => text.Contains(s.Fingerprint, StringComparison.Ordinal)).SelectMany(s => s.Files)
            .Select(f => Native.ChangedAt(f) ?? (File.GetLastWriteTimeUtc(f) - DateTime.UnixEpoch).Ticks * 100).DefaultIfEmpty(0).Max();

    private static Stamp Look(string path)
    {
        var file = new FileInfo(path);
        try
        {
            // Through links: what counts is what is read.
            var real = file.LinkTarget is null ? file : new FileInfo(RealPath.Of(path));
            return real.Exists ? new Stamp(real.Length, real.LastWriteTimeUtc.Ticks, Native.Identity(real.FullName)) : new Stamp(-1, 0, null);
        }
        catch (Exception e) when (FileFaults.Handles(e))
        {
            return new Stamp(-1, 0, null);
        }
    }

    private readonly record struct Stamp(long Length, long Ticks, FileIdentity? Identity);
}
