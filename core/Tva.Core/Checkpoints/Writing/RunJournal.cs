using System.Globalization;
using System.Text;
using System.Text.Json;
using Microsoft.Win32.SafeHandles;

namespace Tva.Core.Checkpoints;

/// <summary>
/// Comes in: the tensors of an unfinished output that the disk has. Goes out: a file beside it from which a later run knows them. Lines are
/// added at its end, each on the disk before the next; one that was cut off counts for nothing.
/// </summary>
internal sealed class RunJournal : IDisposable
{
    private const string Format = "tva-journal 1";
    private const long MaxBytes = 256 << 20;

    private readonly SafeFileHandle file;
    private readonly string path;
    private long end;

    /// <summary>Creates or takes over the journal, locked. Empty until <see cref="Start"/>.</summary>
    public RunJournal(string shown, string path)
    {
        this.path = path;
        file = PartialFile.Open(shown, path, keep: true);
    }

    /// <summary>Beside what is written.</summary>
    public static string PathOf(string target) => target + ".journal.partial";

    /// <summary>What a journal tells, by tensor; null with the reason where it is of another run.</summary>
    public (Dictionary<string, TensorSummary>? Finished, string? Reason) Read(string fingerprint)
    {
        try
        {
            var length = RandomAccess.GetLength(file);
            if (length is 0 or > MaxBytes)
            {
                return (null, null);
            }

            var bytes = new byte[length];
            var got = RandomAccess.Read(file, bytes, 0);
            var text = Encoding.UTF8.GetString(bytes, 0, got);
            var whole = text.LastIndexOf('\n') + 1;
            var lines = text[..whole].Split('\n', StringSplitOptions.RemoveEmptyEntries);
            if (lines.Length == 0)
            {
                return (null, null);
            }

            if (lines[0] != $"{Format} {fingerprint}")
            {
                return (null, "inputs, expression or this program have changed since");
            }

            var finished = new Dictionary<string, TensorSummary>(StringComparer.Ordinal);
            foreach (var line in lines.Skip(1))
            {
                var parts = line.Split(' ', 4);
                finished[JsonSerializer.Deserialize<string>(parts[3])!] =
                    new TensorSummary(Number(parts[0]), BitConverter.UInt64BitsToDouble(Number(parts[1])), BitConverter.UInt64BitsToDouble(Number(parts[2])));
            }

            end = Encoding.UTF8.GetByteCount(text.AsSpan(0, whole));
            return (finished, null);
        }
        catch (Exception e) when (FileFaults.Handles(e) || e is FormatException or JsonException or IndexOutOfRangeException or OverflowException)
        {
            return (null, "its journal is damaged");
        }

        static ulong Number(string digits) => ulong.Parse(digits, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
    }

    /// <summary>Empties it, so that nothing is taken for finished any more.</summary>
    public void Clear()
    {
        RandomAccess.SetLength(file, 0);
        Native.Flush(file);
        end = 0;
    }

    /// <summary>Begins it for a plan.</summary>
    public void Start(string fingerprint)
    {
        Clear();
        Add($"{Format} {fingerprint}\n");
    }

    /// <summary>Adds tensors that the disk has.</summary>
    public void Append(IEnumerable<(string Name, TensorSummary Summary)> finished) =>
        Add(string.Concat(finished.Select(f => string.Create(
            CultureInfo.InvariantCulture,
            $"{f.Summary.Hash:x16} {BitConverter.DoubleToUInt64Bits(f.Summary.Norm):x16} {BitConverter.DoubleToUInt64Bits(f.Summary.Largest):x16} {JsonSerializer.Serialize(f.Name)}\n"))));

    /// <summary>Deletes it.</summary>
    public void Discard() => PartialFile.Discard(file, path);

    /// <summary>Closes it; it stays where there is something in it.</summary>
    public void Close()
    {
        if (RandomAccess.GetLength(file) == 0)
        {
            Discard();
        }
        else
        {
            Dispose();
        }
    }

    /// <summary>Closes it; it stays.</summary>
    public void Dispose() => file.Dispose();

    private void Add(string lines)
    {
        var bytes = Encoding.UTF8.GetBytes(lines);
        RandomAccess.Write(file, bytes, end);
        Native.Flush(file);
        end += bytes.Length;
    }
}
