using System.Globalization;

namespace Tva.Core.Tensors;

/// <summary>Comes in: a number of bytes. Goes out: how people write it.</summary>
public static class Sizes
{
    private static readonly string[] Units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

    /// <summary>For instance <c>1.5 GiB</c>; up to 1023 B exactly.</summary>
    public static string Text(long bytes)
    {
        var (value, unit) = InUnit(bytes);
        return string.Create(CultureInfo.InvariantCulture, $"{value:0.##} {Units[unit]}");
    }

    /// <summary>The same, of so many bytes or a few more: whoever gives what it says gives enough.</summary>
    public static string Enough(long bytes)
    {
        var (value, unit) = InUnit(bytes);
        return string.Create(CultureInfo.InvariantCulture, $"{Math.Ceiling(value * 100) / 100:0.##} {Units[unit]}");
    }

    private static (double Value, int Unit) InUnit(long bytes)
    {
        double value = bytes;
        int unit = 0;
        while (Math.Abs(value) >= 1024 && unit < Units.Length - 1)
        {
            value /= 1024;
            unit++;
        }

        return (value, unit);
    }
}
