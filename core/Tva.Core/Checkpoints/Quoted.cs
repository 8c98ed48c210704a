using System.Text;

namespace Tva.Core.Checkpoints;

/// <summary>Comes in: text from a file nobody vouches for. Goes out: text fit for a message: short, and without terminal control codes.</summary>
internal static class Quoted
{
    private const int MaxLength = 160;

    public static string Name(string name)
    {
        var text = new StringBuilder("'");
        foreach (char c in name.AsSpan(0, Math.Min(name.Length, MaxLength)))
        {
            _ = char.IsControl(c) || char.GetUnicodeCategory(c) == System.Globalization.UnicodeCategory.Format
                ? text.Append($"\\u{(int)c:x4}")
                : text.Append(c);
        }

        return text.Append(name.Length > MaxLength ? "...'" : "'").ToString();
    }

    /// <summary>Dimensions, or as many as fit a line.</summary>
    public static string Dims(IReadOnlyList<long> dims) =>
        dims.Count <= 16 ? $"[{string.Join(", ", dims)}]" : $"[{string.Join(", ", dims.Take(16))}, ... {dims.Count} dimensions]";

    /// <summary>At most ten of them, then how many more there are.</summary>
    public static string List(IReadOnlyCollection<string> names)
    {
        const int most = 10;
        string text = string.Join(", ", names.Take(most).Select(Name));
        return names.Count > most ? $"{text} and {names.Count - most} more" : text;
    }
}
