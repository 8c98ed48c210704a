using System.Globalization;

namespace Theory.Lab;

/// <summary>What was promised and what was measured at each place of a map come in; how often they agree, and where they don't, go out.</summary>
/// <param name="Claim">What was promised, in words.</param>
/// <param name="Held">Places promised where it was so.</param>
/// <param name="Broken">Places promised where it was not.</param>
/// <param name="Beyond">Places not promised where it was so all the same.</param>
/// <param name="Outside">Places not promised where it was not.</param>
/// <param name="Exceptions">Where a promise was broken.</param>
public sealed record Verdict(string Claim, int Held, int Broken, int Beyond, int Outside, IReadOnlyList<string> Exceptions)
{
    /// <summary>A mean hinge loss up to this is a task learned or kept.</summary>
    public const double Learned = 0.1;

    /// <summary>A mean hinge loss from this on is a task not known: an untrained model has 1.</summary>
    public const double Forgotten = 0.9;

    /// <summary>Compares over a grid.</summary>
    public static Verdict Of(
        string claim, string rowName, double[] rows, string columnName, double[] columns, Func<int, int, bool> promised, Func<int, int, bool> measured)
    {
        int held = 0, broken = 0, beyond = 0, outside = 0;
        var exceptions = new List<string>();
        for (var i = 0; i < rows.Length; i++)
        {
            for (var j = 0; j < columns.Length; j++)
            {
                switch (promised(i, j), measured(i, j))
                {
                    case (true, true):
                        held++;
                        break;
                    case (true, false):
                        broken++;
                        exceptions.Add(string.Create(CultureInfo.InvariantCulture, $"{rowName} = {rows[i]}, {columnName} = {columns[j]}"));
                        break;
                    case (false, true):
                        beyond++;
                        break;
                    default:
                        outside++;
                        break;
                }
            }
        }

        return new(claim, held, broken, beyond, outside, exceptions);
    }
}
