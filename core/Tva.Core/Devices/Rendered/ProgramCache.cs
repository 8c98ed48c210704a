using System.Security.Cryptography;
using System.Text;

namespace Tva.Core.Devices.Rendered;

/// <summary>
/// Comes in: sources. Goes out: built programs, each built once: they are kept in memory, and their binaries in the user's cache folder under
/// the hash of source, options, device and driver. A file there that is damaged, or that the driver does not take, is built anew and replaced;
/// where the folder can't be written, nothing is kept.
/// </summary>
internal sealed class ProgramCache(RenderedDevice device, string? folder) : IDisposable
{
    // Before a binary stands the SHA-256 of it.
    private const int HashBytes = 32;

    private readonly Dictionary<string, nint> built = new(StringComparer.Ordinal);

    /// <summary>How many programs were compiled from source; for tests.</summary>
    public int Compiled { get; private set; }

    /// <summary>The program of a source.</summary>
    /// <exception cref="DeviceFaultException">It does not compile.</exception>
    public nint Get(string source)
    {
        // One at a time: compilers are not known for being safe from several threads.
        lock (built)
        {
            if (!built.TryGetValue(source, out var program))
            {
                program = FromFile(source) is var kept and not 0 ? kept : Compile(source);
                built.Add(source, program);
            }

            return program;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var program in built.Values)
        {
            device.Unload(program);
        }

        built.Clear();
    }

    private nint Compile(string source)
    {
        Compiled++;
        var (program, binary) = device.Build(device.Prelude + source);
        if (binary is not null && PathOf(source) is { } path)
        {
            Keep(path, binary);
        }

        return program;
    }

    private string? PathOf(string source) => folder is null ? null : Path.Combine(
        folder, Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(string.Join('\0', device.Prelude, source, device.Toolchain))))[..40] + ".bin");

    private nint FromFile(string source)
    {
        byte[] bytes;
        try
        {
            if (PathOf(source) is not { } path || !File.Exists(path))
            {
                return 0;
            }

            bytes = File.ReadAllBytes(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return 0;
        }

        // A driver may crash on a damaged binary instead of refusing it.
        return bytes.Length > HashBytes && SHA256.HashData(bytes.AsSpan(HashBytes)).AsSpan().SequenceEqual(bytes.AsSpan(0, HashBytes))
            ? device.Load(bytes.AsSpan(HashBytes))
            : 0;
    }

    private void Keep(string path, byte[] binary)
    {
        try
        {
            // Under a name of its own first: another process may be reading.
            Directory.CreateDirectory(folder!);
            var temporary = $"{path}.{Environment.ProcessId}.partial";
            File.WriteAllBytes(temporary, [.. SHA256.HashData(binary), .. binary]);
            File.Move(temporary, path, overwrite: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Next time it is compiled again.
        }
    }
}
