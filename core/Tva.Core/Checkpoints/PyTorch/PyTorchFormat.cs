namespace Tva.Core.Checkpoints;

/// <summary>Comes in: a name or a file's first bytes. Goes out: whether this is a PyTorch file and of which form, or a fault that says what it is instead.</summary>
internal static class PyTorchFormat
{
    private const int TarMagicAt = 257;
    private const int LocalBytes = 30;

    /// <summary>What such files are called.</summary>
    public static IReadOnlyList<string> Extensions { get; } = [".pt", ".pth", ".bin"];

    public static bool HasExtension(string path) => Extensions.Any(e => path.EndsWith(e, StringComparison.OrdinalIgnoreCase));

    /// <summary>Whether a file's first bytes are what torch.save begins with: the zip entry FOLDER/data.pkl, or before 1.6 its magic number.</summary>
    public static bool Begins(ReadOnlySpan<byte> start) => LegacyPickles.Begins(start)
        || (start.StartsWith("PK\x03\x04"u8) && start.Length >= LocalBytes
            && BitConverter.ToUInt16(start[26..]) is var name && start.Length >= LocalBytes + name && start.Slice(LocalBytes, name).EndsWith("/data.pkl"u8));

    /// <summary>Whether it is of the form before PyTorch 1.6, pickles one behind the other, and not a zip archive.</summary>
    public static bool IsLegacy(InputFile file)
    {
        var start = new byte[512];
        ReadOnlySpan<byte> got = start.AsSpan(0, file.Fill(start, 0, "its start"));
        if (got.StartsWith("PK\x03\x04"u8) || LegacyPickles.Begins(got))
        {
            return got[0] != (byte)'P';
        }

        if (got.StartsWith("version "u8))
        {
            throw new FaultException($"{file.Path}: is a Git LFS pointer, not the file itself; fetch it with `git lfs pull`");
        }

        if (got.Length >= TarMagicAt + 5 && got[TarMagicAt..].StartsWith("ustar"u8))
        {
            throw new FaultException($"{file.Path}: is a tar archive, as PyTorch before 0.1.10 wrote checkpoints, and those aren't read; if it is one, and you trust "
                + "whoever made it, load it with PyTorch and save its tensors with safetensors.torch.save_file");
        }

        if (got is [0x80, < 6, ..])
        {
            throw new FaultException($"{file.Path}: is a pickle, and not one of torch.save (found {Convert.ToHexStringLower(got[..Math.Min(got.Length, 15)])}, expected the "
                + "number 1950a86a20f9469cfc6c first); if you trust whoever made it, load it in Python and save its tensors with torch.save");
        }

        throw new FaultException(got.Length < LocalBytes
            ? $"{file.Path}: has {file.Length} bytes, too few for a PyTorch file; copy or download it again"
            : $"{file.Path}: doesn't begin with a zip entry (found {Convert.ToHexStringLower(got[..4])}, expected 504b0304); "
                + "this is not a PyTorch file or it is damaged");
    }
}
