using System.Globalization;
using System.Text;

namespace Theory.Lab;

/// <summary>Numbers by row and column come in; a CSV file, as TVA's <c>table</c> reads it, goes out.</summary>
public static class Tables
{
    /// <summary>From first to last, rounded so that 0.1 is 0.1.</summary>
    public static double[] Range(double first, double last, double by) =>
        [.. Enumerable.Range(0, (int)Math.Round((last - first) / by) + 1).Select(i => Math.Round(first + (i * by), 9) + 0.0)];

    /// <summary>Writes a file; numbers to four digits after the point.</summary>
    /// <param name="path">Where to.</param>
    /// <param name="corner">What the rows and columns are.</param>
    /// <param name="rows">A label for each row.</param>
    /// <param name="columns">A title for each column.</param>
    /// <param name="cell">The number of a row and a column.</param>
    public static void Write(string path, string corner, IReadOnlyList<double> rows, IReadOnlyList<double> columns, Func<int, int, double> cell)
    {
        var text = new StringBuilder(corner);
        foreach (var column in columns)
        {
            text.Append(',').Append(Text(column));
        }

        for (var i = 0; i < rows.Count; i++)
        {
            text.Append('\n').Append(Text(rows[i]));
            for (var j = 0; j < columns.Count; j++)
            {
                text.Append(',').Append(Text(cell(i, j)));
            }
        }

        File.WriteAllText(path, text.Append('\n').ToString());
    }

    private static string Text(double value) => Math.Round(value, 4).ToString("0.####", CultureInfo.InvariantCulture);
}
