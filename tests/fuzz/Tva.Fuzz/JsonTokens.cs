using System.Globalization;
using System.Text;

namespace Tva.Fuzz;

/// <summary>Comes in: JSON. Goes out: mostly still JSON, with values of other kinds, sizes and places, keys lost, repeated or renamed.</summary>
public static class JsonTokens
{
    private static readonly string[] Oddities =
    [
        "null", "true", "false", "0", "-0", "-1", "1", "1.5", "1e3", "1e999", "-1e-999", "9223372036854775807", "9223372036854775808", "18446744073709551616", "4294967296", "2147483648",
        "0.1", "[]", "{}", "[[]]", "{\"a\":{}}", "\"\"", "\"a\"", "\"..\"", "\"../x\"", "\"/etc/passwd\"", "\"\\u0000\"", "\"\\ud800\"", "\"\\n\\u001b[2J\"", "\"τ😀\"", "\"a/b\"", "\"*\"",
        "\"(a+)+$\"", "\"[\"", "NaN", "Infinity", "01", "+1", "'a'", "/**/1", "",
    ];

    /// <param name="random">What to draw from.</param>
    /// <param name="json">The text.</param>
    /// <param name="words">What else may stand where a value does: the format's own words.</param>
    public static byte[] Damage(Random random, string json, IReadOnlyList<string> words)
    {
        var tokens = Split(json);
        for (int k = random.Next(1, 5); k > 0; k--)
        {
            Once(random, tokens, words);
        }

        var text = string.Concat(tokens);
        var bytes = Encoding.UTF8.GetBytes(text);
        return random.Next(8) == 0 ? Bits.Damage(random, bytes) : bytes;
    }

    private static void Once(Random random, List<string> tokens, IReadOnlyList<string> words)
    {
        if (tokens.Count == 0)
        {
            tokens.Add("{");
            return;
        }

        int at = random.Next(tokens.Count);
        switch (random.Next(12))
        {
            case 0:
                tokens.RemoveAt(at);
                break;
            case 1:
                tokens.Insert(at, tokens[random.Next(tokens.Count)]);
                break;
            case 2:
                (tokens[at], tokens[^1]) = (tokens[^1], tokens[at]);
                break;
            case 3:
            {
                // A whole value goes, comes twice, or is put into itself.
                var (from, to) = Whole(tokens, at);
                var value = tokens.GetRange(from, to - from);
                switch (random.Next(4))
                {
                    case 0:
                        tokens.RemoveRange(from, to - from);
                        break;
                    case 1:
                        tokens.InsertRange(from, [.. value, ","]);
                        break;
                    case 2:
                        tokens.InsertRange(random.Next(tokens.Count + 1), value);
                        break;
                    default:
                        int depth = 1 << random.Next(9);
                        tokens.InsertRange(to, Enumerable.Repeat("]", depth));
                        tokens.InsertRange(from, Enumerable.Repeat("[", depth));
                        break;
                }

                break;
            }

            case 4:
                tokens[at] = '"' + new string('x', 1 << random.Next(12)) + '"';
                break;
            case 5:
            case 6:
                tokens[at] = Bits.Number(random).ToString(CultureInfo.InvariantCulture);
                break;
            case 7:
            case 8:
                tokens[at] = Oddities[random.Next(Oddities.Length)];
                break;
            case 9 when words.Count > 0:
                tokens[at] = words[random.Next(words.Count)];
                break;
            default:
                // Of the same kind as what it replaces, so that the text goes on being JSON.
                bool text = tokens[at].StartsWith('"'), number = char.IsAsciiDigit(tokens[at][0]);
                tokens[at] = number ? Bits.Number(random).ToString(CultureInfo.InvariantCulture)
                    : text && words.Count > 0 ? words[random.Next(words.Count)] : text ? $"\"{(char)random.Next('a', 'z')}\"" : tokens[at];
                break;
        }

        if (tokens.Count == 0 || tokens[^1].Length == 0)
        {
            tokens.Add(" ");
        }

        tokens.RemoveAll(token => token.Length == 0);
    }

    private static (int From, int To) Whole(List<string> tokens, int at)
    {
        int depth = 0, to = at;
        do
        {
            depth += tokens[to] is "[" or "{" ? 1 : tokens[to] is "]" or "}" ? -1 : 0;
            to++;
        }
        while (depth > 0 && to < tokens.Count);
        return (at, to);
    }

    private static List<string> Split(string json)
    {
        var tokens = new List<string>();
        int i = 0;
        while (i < json.Length)
        {
            int from = i++;
            if (json[from] == '"')
            {
                while (i < json.Length && json[i] != '"')
                {
                    i += json[i] == '\\' ? 2 : 1;
                }

                i = Math.Min(i + 1, json.Length);
            }
            else if (char.IsAsciiLetterOrDigit(json[from]) || json[from] == '-')
            {
                while (i < json.Length && (char.IsAsciiLetterOrDigit(json[i]) || json[i] is '.' or '+' or '-'))
                {
                    i++;
                }
            }

            tokens.Add(json[from..i]);
        }

        return tokens;
    }
}
