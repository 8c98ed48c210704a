namespace Tva.Core.Checkpoints;

/// <summary>Comes in: a name or a file's first bytes. Goes out: whether this is a PyTorch file, or a fault that says what it is instead.</summary>
internal static class PyTorchFormat
{
    private const int TarMagicAt = 257;
    private const int LocalBytes = 30;

    /// <summary>What such files are called.</summary>
    public static IReadOnlyList<string> Extensions { get; } = [".pt", ".pth", ".bin"];

    public static bool HasExtension(string path) => Extensions.Any(e => path.EndsWith(e, StringComparison.OrdinalIgnoreCase));

    /// <summary>Whether a file of any name begins as torch.save lets it: with the entry FOLDER/data.pkl.</summary>
    public static bool Begins(string path)
    {
        using var file = new InputFile(path, "a .safetensors file");
        var start = new byte[512];
        var got = start.AsSpan(0, file.Fill(start, 0, "its start"));
        if (!got.StartsWith("PK\x03\x04"u8) || got.Length < LocalBytes)
        {
            return false;
        }

        int name = BitConverter.ToUInt16(start, 26);
        return got.Length >= LocalBytes + name && got.Slice(LocalBytes, name).EndsWith("/data.pkl"u8);
    }

    public static void Require(InputFile file)
    {
        var start = new byte[512];
        ReadOnlySpan<byte> got = start.AsSpan(0, file.Fill(start, 0, "its start"));
        if (got.StartsWith("PK\x03\x04"u8))
        {
            return;
        }

        if (got.StartsWith("version "u8))
        {
            throw new FaultException($"{file.Path}: is a Git LFS pointer, not the file itself; fetch it with `git lfs pull`");
        }

        if (got is [0x80, < 6, ..] || (got.Length >= TarMagicAt + 5 && got[TarMagicAt..].StartsWith("ustar"u8)))
        {
            throw new FaultException($"{file.Path}: is a pickle without a zip archive, as PyTorch before 1.6 wrote checkpoints, and those aren't read; if it is one, and you trust whoever made it, "
                + "load it with PyTorch 1.6 or newer and save it with torch.save, or its tensors with safetensors.torch.save_file");
        }

        throw new FaultException(got.Length < LocalBytes
            ? $"{file.Path}: has {file.Length} bytes, too few for a PyTorch file; copy or download it again"
            : $"{file.Path}: doesn't begin with a zip entry (found {Convert.ToHexStringLower(got[..4])}, expected 504b0304); "
                + "this is not a PyTorch file or it is damaged");
    }
}
