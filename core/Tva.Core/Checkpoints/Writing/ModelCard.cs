using System.Globalization;
using System.Text;
using System.Text.Json;
using Tva.Core.Tensors;

namespace Tva.Core.Checkpoints;

/// <summary>Comes in: a header's metadata and what is told of the tensors. Goes out: the README.md of the model, as hubs show it.</summary>
internal static class ModelCard
{
    public static byte[] Render(
        string name, IReadOnlyDictionary<string, string> metadata,
        IEnumerable<(string Name, DType DType, Shape Shape, TensorSummary Summary)> tensors, long bytes)
    {
        var list = tensors.ToArray();
        var kind = metadata.GetValueOrDefault("tva.kind", "model");
        var text = new StringBuilder();
        text.Append("---\ntags:\n- merge\n- tva\n---\n\n");
        text.Append(CultureInfo.InvariantCulture, $"# {Plain(name)}\n\n");
        text.Append(kind == "delta"
            ? "A task vector: a difference of two models, to be added to its base. It is no model by itself.\n\n"
            : "A model made by algebra over checkpoints.\n\n");
        text.Append(CultureInfo.InvariantCulture,
            $"{list.Length} tensors, {list.Sum(t => t.Shape.Elements)} elements, {bytes} bytes ({Sizes.Text(bytes)}), written by tva {metadata.GetValueOrDefault("tva.version", "")}.\n\n");
        if (metadata.TryGetValue("tva.expression", out var expression))
        {
            var fence = Fence(expression);
            text.Append(CultureInfo.InvariantCulture, $"## Expression\n\n{fence}\n{expression}\n{fence}\n\n");
        }

        if (metadata.TryGetValue("tva.inputs", out var inputs))
        {
            text.Append("## Inputs\n\n| path | fingerprint |\n|---|---|\n");
            using var json = JsonDocument.Parse(inputs);
            foreach (var input in json.RootElement.EnumerateObject())
            {
                text.Append(CultureInfo.InvariantCulture, $"| {Code(input.Name)} | {Code(input.Value.GetString() ?? "")} |\n");
            }

            text.Append('\n');
        }

        text.Append("## Tensors\n\nOf the numbers as they are stored: the norm is the root of the sum of squares.\n\n");
        text.Append("| tensor | type | shape | norm | rms | largest |\n|---|---|---|---|---|---|\n");
        foreach (var (tensor, dtype, shape, summary) in list)
        {
            text.Append(CultureInfo.InvariantCulture, $"| {Code(tensor)} | {dtype.Name()} | {shape} | ");
            text.Append(dtype.IsFloating()
                ? string.Create(CultureInfo.InvariantCulture,
                    $"{summary.Norm:g6} | {(shape.Elements == 0 ? 0 : summary.Norm / Math.Sqrt(shape.Elements)):g6} | {summary.Largest:g6} |\n")
                : "| | |\n");
        }

        return Encoding.UTF8.GetBytes(text.ToString());
    }

    /// <summary>A fence longer than any run of backticks inside.</summary>
    private static string Fence(string text) => new('`', Math.Max(3, Runs(text) + 1));

    private static string Code(string text)
    {
        var quotes = new string('`', Runs(text) + 1);

        // A blank keeps backticks of the text apart from those around it.
        (var open, var close) = quotes.Length > 1 ? (quotes + " ", " " + quotes) : (quotes, quotes);
        return $"{open}{Plain(text).Replace("|", "\\|", StringComparison.Ordinal)}{close}";
    }

    private static string Plain(string text) => string.Concat(text.Select(c => char.IsControl(c) ? ' ' : c));

    private static int Runs(string text)
    {
        int most = 0, now = 0;
        foreach (var c in text)
        {
            now = c == '`' ? now + 1 : 0;
            most = Math.Max(most, now);
        }

        return most;
    }
}
