using System.Globalization;
using System.Text;

namespace Tva.Core.Checkpoints;

/// <summary>
/// What a header records of its tensors, in their order and of fixed width, so that it can be filled in when the tensors are there:
/// <c>tva.plans</c>, 16 hexadecimal digits each for how a tensor is computed; <c>tva.hashes</c>, 16 each for its bytes; and where asked for
/// <c>tva.statistics</c>, 32 each, the float64 bits of its norm and of its largest magnitude.
/// </summary>
internal static class TensorRecords
{
    private const string PlansKey = "tva.plans";
    private const string HashesKey = "tva.hashes";
    private const string StatisticsKey = "tva.statistics";
    private const int Digits = 16;

    /// <summary>Whether a header's entry is one of these.</summary>
    public static bool IsRecord(string key) => key is PlansKey or HashesKey or StatisticsKey;

    /// <summary>The metadata with room for the records.</summary>
    public static Dictionary<string, string> Reserve(IReadOnlyDictionary<string, string> metadata, IReadOnlyList<ulong> plans, bool measured)
    {
        var all = new Dictionary<string, string>(metadata)
        {
            [PlansKey] = string.Concat(plans.Select(Hex)),
            [HashesKey] = new string('0', Digits * plans.Count),
        };
        if (measured)
        {
            all[StatisticsKey] = new string('0', 2 * Digits * plans.Count);
        }

        return all;
    }

    /// <summary>The header with the records in their places.</summary>
    public static byte[] Filled(byte[] blank, IReadOnlyList<TensorSummary> summaries)
    {
        var header = (byte[])blank.Clone();
        Put(header, HashesKey, string.Concat(summaries.Select(s => Hex(s.Hash))));
        Put(header, StatisticsKey, string.Concat(summaries.Select(s => Hex(Bits(s.Norm)) + Hex(Bits(s.Largest)))));
        return header;
    }

    /// <summary>Whether two headers differ in hashes and statistics at most.</summary>
    public static bool AreAlike(byte[] there, byte[] blank)
    {
        var copy = (byte[])there.Clone();
        foreach (var key in (string[])[HashesKey, StatisticsKey])
        {
            if (Place(blank, key) is var (start, length) && start > 0)
            {
                blank.AsSpan(start, length).CopyTo(copy.AsSpan(start, length));
            }
        }

        return copy.AsSpan().SequenceEqual(blank);
    }

    /// <summary>The records of a file's metadata for its so many tensors; null where it has none or they don't fit.</summary>
    public static (ulong[] Plans, TensorSummary[] Summaries)? Read(IReadOnlyDictionary<string, string> metadata, int tensors)
    {
        if (Numbers(metadata, PlansKey, tensors) is not { } plans || Numbers(metadata, HashesKey, tensors) is not { } hashes)
        {
            return null;
        }

        var statistics = Numbers(metadata, StatisticsKey, 2 * tensors);
        double At(int i) => statistics is null ? double.NaN : BitConverter.UInt64BitsToDouble(statistics[i]);
        return (plans, [.. hashes.Select((hash, i) => new TensorSummary(hash, At(2 * i), At((2 * i) + 1)))]);
    }

    private static ulong[]? Numbers(IReadOnlyDictionary<string, string> metadata, string key, int count)
    {
        if (!metadata.TryGetValue(key, out var text) || text.Length != (long)count * Digits)
        {
            return null;
        }

        var numbers = new ulong[count];
        for (var i = 0; i < count; i++)
        {
            if (!ulong.TryParse(text.AsSpan(i * Digits, Digits), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out numbers[i]))
            {
                return null;
            }
        }

        return numbers;
    }

    private static void Put(byte[] header, string key, string value)
    {
        if (Place(header, key) is var (start, length) && start > 0)
        {
            Encoding.ASCII.GetBytes(value, header.AsSpan(start, length));
        }
    }

    /// <summary>Where a record's digits stand; the key in quotes, with a colon and a quote behind, can't stand within a JSON text.</summary>
    private static (int Start, int Length) Place(byte[] header, string key)
    {
        var begin = Encoding.ASCII.GetBytes($"\"{key}\":\"");
        var at = header.AsSpan().IndexOf(begin);
        if (at < 0)
        {
            return (0, 0);
        }

        var start = at + begin.Length;
        return (start, header.AsSpan(start).IndexOf((byte)'"'));
    }

    private static ulong Bits(double value) => BitConverter.DoubleToUInt64Bits(value);

    private static string Hex(ulong value) => value.ToString("x16", CultureInfo.InvariantCulture);
}
