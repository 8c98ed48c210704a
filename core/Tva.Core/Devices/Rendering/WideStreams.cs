using System.Text;
using Tva.Core.Tensors;

namespace Tva.Core.Devices.Rendering;

/// <summary>
/// Comes in: streams of a map whose work-items take some elements at once. Goes out: the text that brings them to arrays x0, x1... and from y0, y1...
/// back, in one access each; at the block's end, where there are fewer, one by one. Streams begin at multiples of such a word.
/// </summary>
/// <param name="width">Elements of a work-item, at most 16 bytes.</param>
/// <param name="text">Where the text goes.</param>
internal sealed class WideStreams(int width, StringBuilder text)
{
    /// <summary>The elements of an input, behind the end the last one again.</summary>
    public void Load(int input, DType type)
    {
        var (name, words) = (Dialect.TypeOf(type), Words(type));
        text.Append($"    {name} x{input}[{width}];\n");
        text.Append($"    if (whole)\n    {{\n        const {words.Type} q = ((GLOBAL const {words.Type}*)in{input})[GLOBAL_ID];\n");
        for (var w = 0; w < width; w++)
        {
            text.Append($"        x{input}[{w}] = {Part(type, words.Count, w)};\n");
        }

        text.Append($"    }}\n    else\n        for (uint w = 0; w < {width}u; w++) x{input}[w] = in{input}[at + w < count ? at + w : count - 1];\n");
    }

    /// <summary>The elements of an output.</summary>
    public void Store(int output, DType type)
    {
        var words = Words(type);
        var size = type.Size();
        var y = $"y{output}";
        var parts = Enumerable.Range(0, words.Count).Select(n => size switch
        {
            8 => $"(uint)({y}[{n / 2}] >> {n % 2 * 32})",
            4 => $"(uint)as_int({y}[{n}])",
            _ => string.Join(" | ", Enumerable.Range(0, Math.Min(width, 4 / size)).Select(e => $"(uint){y}[{(n * (4 / size)) + e}] << {8 * size * e}")),
        }).ToList();
        var value = words.Count switch { 4 => $"UINT4({string.Join(", ", parts)})", 2 => $"UINT2({string.Join(", ", parts)})", _ => $"({words.Type})({parts[0]})" };
        text.Append($"    if (whole) ((GLOBAL {words.Type}*)out{output})[GLOBAL_ID] = {value};\n");
        text.Append($"    else for (uint w = 0; w < {width}u && at + w < count; w++) out{output}[at + w] = {y}[w];\n");
    }

    /// <summary>The type that is read at once, and how many uint it has: 1 for a part of one.</summary>
    private (string Type, int Count) Words(DType type) => (width * type.Size()) switch
    {
        16 => ("uint4", 4),
        8 => ("uint2", 2),
        4 => ("uint", 1),
        2 => ("ushort", 1),
        _ => ("uchar", 1),
    };

    private static string Part(DType type, int words, int element)
    {
        var size = type.Size();
        var at = element * size;
        var word = Word(at / 4, words);
        return size switch
        {
            8 => $"(ulong){word} | (ulong){Word((at / 4) + 1, words)} << 32",
            4 => $"as_float((int){word})",
            _ => $"({Dialect.TypeOf(type)})({word} >> {at % 4 * 8})",
        };
    }

    private static string Word(int n, int words) => words == 1 ? "q" : "q." + "xyzw"[n];
}
