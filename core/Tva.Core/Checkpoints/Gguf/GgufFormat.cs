using System.Globalization;
using System.Text.RegularExpressions;

namespace Tva.Core.Checkpoints;

/// <summary>Comes in: a name or a file's first bytes. Goes out: whether this is a GGUF file and which others belong to it, or a fault that says what it is instead.</summary>
internal static partial class GgufFormat
{
    public const string Extension = ".gguf";

    // Five digits, of which a hostile name could ask for as many files.
    private const int MaxParts = 10_000;

    public static bool HasExtension(string path) => path.EndsWith(Extension, StringComparison.OrdinalIgnoreCase);

    public static void Require(InputFile file)
    {
        var start = new byte[16];
        ReadOnlySpan<byte> got = start.AsSpan(0, file.Fill(start, 0, "its start"));
        if (got.StartsWith("GGUF"u8))
        {
            return;
        }

        throw new FaultException(got.StartsWith("version "u8)
            ? $"{file.Path}: is a Git LFS pointer, not the file itself; fetch it with `git lfs pull`"
            : got.Length < 4
                ? $"{file.Path}: has {file.Length} bytes, too few for a GGUF file; copy or download it again"
                : $"{file.Path}: doesn't begin with GGUF (found {Convert.ToHexStringLower(got[..4])}, expected 47475546); "
                    + "this is not a GGUF file or it is damaged");
    }

    /// <summary>All files of the model that this one is part of, by llama.cpp's names NAME-00001-of-00003.gguf; mostly it alone.</summary>
    /// <exception cref="FaultException">Some are missing.</exception>
    public static IReadOnlyList<string> Parts(string path)
    {
        if (PartName().Match(path) is not { Success: true } match)
        {
            return [path];
        }

        var (part, count) = (Number(match.Groups["part"]), Number(match.Groups["count"]));
        if (count is 0 or > MaxParts || part == 0 || part > count)
        {
            throw new FaultException($"{path}: is called part {part} of {count}; expected 1 to {MaxParts}; rename it");
        }

        string[] parts = [.. Enumerable.Range(1, count).Select(i => $"{match.Groups["name"]}-{i:d5}-of-{count:d5}{match.Groups["end"]}")];
        var missing = parts.Where(p => !CheckpointFinder.Exists(p)).Select(p => Path.GetFileName(p)).ToArray();
        return missing.Length == 0 ? parts : throw new FaultException($"{path}: {missing.Length} of the model's {count} files are missing: "
            + $"{Quoted.List(missing)}; copy or download them into its folder");
    }

    private static int Number(Group digits) => int.Parse(digits.ValueSpan, NumberStyles.None, CultureInfo.InvariantCulture);

    [GeneratedRegex(@"^(?<name>.*)-(?<part>[0-9]{5})-of-(?<count>[0-9]{5})(?<end>\.gguf)\z", RegexOptions.IgnoreCase | RegexOptions.Singleline)]
    private static partial Regex PartName();
}
